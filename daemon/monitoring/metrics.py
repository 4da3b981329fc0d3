"""Metrics: what happened since the last scrape, and how every strategy stands now.

What is a state is read from the latest replicas at the moment of a scrape, so that a series ends with its position;
what is an event is counted as it happens. Each `Metrics` has a registry of its own. `render` may run in a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import Metric

from daemon.monitoring.families import FAMILIES, Kind, Source
from daemon.monitoring.health import Component, Level
from daemon.monitoring.strategies import Strategies
from daemon.replica import Replica

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
FULL_LOOP_OUTCOMES = ("decided", "skipped", "aborted")
RECONCILIATION_OUTCOMES = ("agreed", "mismatch", "failed", "unanswered")
_COMPONENT_LEVELS: Mapping[Level, int] = {Level.OK: 0, Level.DEGRADED: 1, Level.FAILED: 2}

T = TypeVar("T", Counter, Gauge, Histogram)


class Metrics:
    """`now` returns wall time in UTC seconds; `speed` is how much faster than it market time runs."""

    def __init__(self, *, now: Callable[[], float], speed: float = 1.0) -> None:
        self._now = now
        self._registry = CollectorRegistry(auto_describe=False)
        self._children: dict[tuple[str, ...], object] = {}
        self._strategies = Strategies(now, speed)
        self._own: dict[str, Counter | Gauge | Histogram] = {}
        self._totals: dict[tuple[str, ...], int] = {}
        for family in FAMILIES.values():
            if family.source is Source.STATE:
                continue
            match family.kind:
                # Without labels it would read 0 before anybody has said so: `_child` registers it then.
                case Kind.COUNTER:
                    registry = self._registry if family.labels else None
                    made: Counter | Gauge | Histogram = Counter(
                        family.full_name, family.help, family.labels, registry=registry
                    )
                case Kind.GAUGE:
                    registry = self._registry if family.labels else None
                    made = Gauge(family.full_name, family.help, family.labels, registry=registry)
                case Kind.HISTOGRAM:
                    made = Histogram(
                        family.full_name, family.help, family.labels, registry=self._registry, buckets=family.buckets
                    )
            self._own[family.name] = made
        self._registry.register(self._strategies)
        ProcessCollector(registry=self._registry)

    def statistics(self) -> Mapping[str, int]:
        return {"strategies": len(self._strategies.latest), "children": len(self._children)}

    def render(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(_WithoutCreated(self._registry))

    # How strategies stand

    def publish(self, replica: Replica) -> None:
        """From now on this is how the strategy stands."""
        if replica.strategy not in self._strategies.latest:
            for outcome in FULL_LOOP_OUTCOMES:
                self._counter("full_loops", replica.strategy, outcome)
        for venue in replica.venues:
            for outcome in RECONCILIATION_OUTCOMES:
                self._counter("reconciliations", venue.name, outcome)
        self._strategies.publish(replica)

    def forget(self, strategy: str) -> None:
        """The strategy is no longer run."""
        self._strategies.forget(strategy)

    def market_data(self, series: str, age_limit_s: float | None = None) -> None:
        """The source of `venue.kind.symbol` has spoken just now: its age is counted from here, in market time, instead
        of read from replicas. `age_limit_s` is when it counts as stale (market time)."""
        self._strategies.heard(series, age_limit_s)

    # What happens

    def build(self, version: str, commit: str) -> None:
        self._gauge("build_info", version, commit).set(1)

    def instance(self, state_dir: str) -> None:
        """Whose figures these are: a daemon is its state directory, whatever address it answers at."""
        self._gauge("instance_info", state_dir).set(1)

    def config(self, hash: str, environment: str, mode: str) -> None:
        """Replaces what was in force before."""
        self._clear("config_info")
        self._gauge("config_info", hash, environment, mode).set(1)

    def ready(self, ready: bool) -> None:
        self._gauge("ready").set(ready)

    def components(self, components: Iterable[Component]) -> None:
        """Replaces all components."""
        self._clear("degraded")
        for component in components:
            self._gauge("degraded", component.name).set(_COMPONENT_LEVELS[component.level])

    def loop_lag(self, seconds: float) -> None:
        self._histogram("event_loop_lag_seconds").observe(seconds)

    def suspended(self, seconds: float) -> None:
        """The process did not run for so long."""
        self._counter("suspended_seconds").inc(seconds)

    def reader(self, name: str, *, errors: int, dropped: int) -> None:
        """What a reader could not read and did not take, in all so far."""
        self._total(errors, "reader_errors", name)
        self._total(dropped, "reader_dropped", name)

    def lines(self, stream: str, *, dropped: int) -> None:
        """Lines of a stream that were lost, in all so far."""
        self._total(dropped, "output_lines_dropped", stream)

    def step(self, strategy: str, seconds: float, outcome: str) -> None:
        """One full loop; `outcome` is one of `FULL_LOOP_OUTCOMES`."""
        self._histogram("full_loop_duration_seconds", strategy).observe(seconds)
        self._counter("full_loops", strategy, outcome).inc()

    def venue_request(self, venue: str, endpoint: str, outcome: str, seconds: float) -> None:
        """`endpoint` is the name of a call (submit, query, positions …), never a URL."""
        self._counter("venue_requests", venue, endpoint, outcome).inc()
        self._histogram("venue_request_duration_seconds", venue, endpoint).observe(seconds)

    def order(self, venue: str, strategy: str, side: str, outcome: str) -> None:
        """One order came to its end; `outcome` is the value of an OrderState."""
        self._counter("orders", venue, strategy, side, outcome).inc()

    def order_ack(self, venue: str, seconds: float) -> None:
        self._histogram("order_ack_duration_seconds", venue).observe(seconds)

    def order_retry(self, reason: str) -> None:
        self._counter("order_retries", reason).inc()

    def slippage(self, venue: str, ratio: float) -> None:
        self._histogram("fill_slippage_ratio", venue).observe(ratio)

    def fees(self, venue: str, kind: str, usd: float) -> None:
        """A negative fee is a rebate and counts as one: counters do not fall."""
        self._counter("fees_usd", venue, kind if usd >= 0 else f"{kind}_rebate").inc(abs(usd))

    def leg_imbalance(self, strategy: str, usd: float) -> None:
        """From now on this much is open without its hedge; 0 when the legs are whole again."""
        self._strategies.unhedged(strategy, usd)

    def commit(self, seconds: float) -> None:
        self._histogram("journal_commit_duration_seconds").observe(seconds)

    def event(self, event_type: str) -> None:
        self._counter("events", event_type).inc()

    def reconciliation(self, venue: str, outcome: str) -> None:
        """`outcome` is one of `RECONCILIATION_OUTCOMES`."""
        self._counter("reconciliations", venue, outcome).inc()
        if outcome == "agreed":
            self._gauge("last_reconciliation_timestamp_seconds", venue).set(self._now())

    def disk_free(self, free: int) -> None:
        """Bytes."""
        self._gauge("state_disk_free_bytes").set(free)

    def http(self, route: str, method: str, code: int, seconds: float) -> None:
        """`route` is a pattern, never a path with an id in it."""
        self._counter("http_requests", route, method, str(code)).inc()
        self._histogram("http_request_duration_seconds", route).observe(seconds)

    def _total(self, total: int, name: str, *labels: str) -> None:
        """A count that is kept elsewhere; it does not fall."""
        key = (name, *labels)
        self._counter(name, *labels).inc(max(0, total - self._totals.get(key, 0)))
        self._totals[key] = total

    # Children, found once per set of labels

    def _counter(self, name: str, *labels: str) -> Counter:
        return self._child(Counter, name, labels)

    def _gauge(self, name: str, *labels: str) -> Gauge:
        return self._child(Gauge, name, labels)

    def _histogram(self, name: str, *labels: str) -> Histogram:
        return self._child(Histogram, name, labels)

    def _child(self, kind: type[T], name: str, labels: tuple[str, ...]) -> T:
        child = self._children.get((name, *labels))
        if not isinstance(child, kind):
            parent = self._own[name]
            assert isinstance(parent, kind)
            child = parent.labels(*labels) if labels else parent
            if kind is not Histogram and not labels:
                self._registry.register(parent)
            self._children[(name, *labels)] = child
        return child

    def _clear(self, name: str) -> None:
        self._own[name].clear()
        for key in [key for key in self._children if key[0] == name]:
            del self._children[key]


class _WithoutCreated:
    """The registry without the `_created` twin of every counter, which nobody asks for."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            if metric.samples:
                yield metric
