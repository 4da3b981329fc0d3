"""Who looks at what the daemon does: metrics, health, narrator and reports, each told through a tray of its own."""

from __future__ import annotations

from daemon.journal.records import Record
from daemon.monitoring.health import Health
from daemon.monitoring.metrics import Metrics
from daemon.monitoring.narrator import Narrator
from daemon.monitoring.readers import Reader
from daemon.monitoring.told import Reports, ToldMetrics, ToldReports, count, show
from daemon.process.journals import AUDIT
from daemon.replica import Replica


class Audience:
    """Telling never waits and never fails: what is told is read in the tasks of `readers`."""

    def __init__(self, metrics: Metrics, health: Health, narrator: Narrator | None, reports: Reports) -> None:
        self._metrics = metrics
        self._health = health
        self._narrator = narrator
        self._to_metrics, self._to_health = Reader("metrics"), Reader("health")
        self._to_narrator, self._to_reports = Reader("narrator"), Reader("reports")
        self.readers = (self._to_metrics, self._to_health, self._to_narrator, self._to_reports)
        self.telemetry = ToldMetrics(metrics, self._to_metrics)
        self.reports = ToldReports(reports, self._to_reports)

    def committed(self, journal: str, seconds: float, records: int) -> None:
        """The committer has brought records of a journal to the disk."""
        self._to_metrics.tell(self._metrics.commit, seconds)

    def hear(self, strategy: str, record: Record) -> None:
        """A record was journaled."""
        self._to_metrics.tell(count, self._metrics, record)
        if self._narrator is not None and strategy != AUDIT:
            self._to_narrator.tell(self._narrator.heard, strategy, record)

    def publish(self, replica: Replica) -> None:
        """So a strategy stands from now on."""
        self._to_metrics.tell(show, self._metrics, replica)
        self._to_health.tell(self._health.publish, replica)
        if self._narrator is not None:
            self._to_narrator.tell(self._narrator.publish, replica)
