"""The latest replica of each strategy, told to Prometheus whenever it asks.

Writers swap one value at a time, so that a scrape in another thread sees each figure whole. Counters outlive the
restart of a cell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from daemon.monitoring.families import FAMILIES, Kind, Source
from daemon.monitoring.figures import Reading, readings
from daemon.replica import CellState, Replica

_COUNTED: Mapping[str, str] = {"ticks_missed": "missed", "ticks_skipped": "skipped", "nursery_restarts": "restarts"}


class Strategies(Collector):
    """The latest replica of each strategy as metrics, and the counters that outlive a restart of a cell."""

    def __init__(self, now: Callable[[], float], speed: float) -> None:
        self._now = now
        self._speed = speed
        self.latest: dict[str, Replica] = {}
        self.limits_s: dict[str, float] = {}
        self._heard: dict[str, float] = {}
        self._counted: dict[tuple[str, str], float] = {}
        self._looped_at: dict[str, float] = {}
        self._unhedged: dict[str, tuple[float, float, float]] = {}  # USD, since, USD seconds until then

    def publish(self, replica: Replica) -> None:
        before = self.latest.get(replica.strategy)
        for family, field in _COUNTED.items():
            value = getattr(replica, field)
            known = 0 if before is None else getattr(before, field)
            key = (family, replica.strategy)
            # A lower count is a cell that began anew: all of it is new.
            self._counted[key] = self._counted.get(key, 0.0) + (value - known if value >= known else value)
        if replica.tick is not None and replica.ticks and (before is None or before.tick != replica.tick):
            self._looped_at[replica.strategy] = self._now()
        self.latest[replica.strategy] = replica

    def forget(self, strategy: str) -> None:
        self.latest.pop(strategy, None)
        self._looped_at.pop(strategy, None)
        self._unhedged.pop(strategy, None)
        for family in _COUNTED:
            self._counted.pop((family, strategy), None)

    def heard(self, series: str, age_limit_s: float | None) -> None:
        self._heard[series] = self._now()
        if age_limit_s is not None:
            self.limits_s[series] = age_limit_s

    def unhedged(self, strategy: str, usd: float) -> None:
        now = self._now()
        before, since, total = self._unhedged.get(strategy, (0.0, now, 0.0))
        self._unhedged[strategy] = (usd, now, total + before * max(0.0, now - since))

    def collect(self) -> Iterator[Metric]:
        families: dict[str, GaugeMetricFamily | CounterMetricFamily] = {
            family.name: (CounterMetricFamily if family.kind is Kind.COUNTER else GaugeMetricFamily)(
                family.full_name, family.help, labels=family.labels
            )
            for family in FAMILIES.values()
            if family.source is Source.STATE
        }
        for reading in self._readings():
            families[reading.family].add_metric(reading.labels, reading.value)
        yield from families.values()

    def _readings(self) -> Iterator[Reading]:
        for replica in tuple(self.latest.values()):
            yield from readings(replica, speed=self._speed)
        for (family, strategy), value in tuple(self._counted.items()):
            yield Reading(family, (strategy,), value)
        for strategy, at in tuple(self._looped_at.items()):
            yield Reading("last_full_loop_timestamp_seconds", (strategy,), at)
        now = self._now()
        for strategy, (usd, since, total) in tuple(self._unhedged.items()):
            yield Reading("leg_imbalance_usd", (strategy,), usd)
            yield Reading("leg_imbalance_usd_seconds", (strategy,), total + usd * max(0.0, now - since))
        for series, age_s in self._ages().items():
            yield Reading("market_data_age_seconds", series_labels(series), age_s)
        for series, limit_s in tuple(self.limits_s.items()):
            yield Reading("market_data_age_limit_seconds", series_labels(series), limit_s)

    def _ages(self) -> Mapping[str, float]:
        """Several strategies read one source: the worst of what they saw, unless the source itself was heard.

        A series that tells no age is as old as its row. A running cell whose next row does not come sees nothing new:
        its ages grow from when the row was due. A cell that neither runs nor is paused looks at nothing and knows none.
        """
        now = self._now()
        ages: dict[str, float] = {}
        for replica in tuple(self.latest.values()):
            if replica.state not in (CellState.RUNNING, CellState.PAUSED):
                continue
            silent_s = (now - self._looped_at.get(replica.strategy, now)) * self._speed
            overdue_s = max(0.0, silent_s - replica.interval_s) if replica.state is CellState.RUNNING else 0.0
            for series in {**replica.prices, **replica.ages_s}:
                ages[series] = max(replica.ages_s.get(series, 0.0) + overdue_s, ages.get(series, 0.0))
        return ages | {series: max(0.0, now - at) * self._speed for series, at in tuple(self._heard.items())}


def series_labels(name: str) -> tuple[str, str]:
    """`venue.kind.symbol` → (venue, `kind.symbol`)."""
    venue, _, instrument = name.partition(".")
    return venue, instrument
