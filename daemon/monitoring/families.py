"""Every metric of the daemon: name, kind, labels and what it says. A metric that is not in this table does not exist.

Base units, `_total` for counters, `_usd` for money (USDT counts as USD; ETH at the strategy's reference price). Order
and request ids are never labels. Figures in metrics are for watching; books are kept elsewhere.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

PREFIX = "basis_"


class Kind(StrEnum):
    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


class Source(StrEnum):
    STATE = "state"  # read at the moment of the scrape
    DIRECT = "direct"  # observed as it happens


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """One metric. `name` is without prefix and without `_total`."""

    name: str
    kind: Kind
    source: Source
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()

    @property
    def full_name(self) -> str:
        return PREFIX + self.name

    @property
    def samples(self) -> tuple[str, ...]:
        """Names as they appear in a query."""
        match self.kind:
            case Kind.GAUGE:
                return (self.full_name,)
            case Kind.COUNTER:
                return (f"{self.full_name}_total",)
            case Kind.HISTOGRAM:
                # A sum of values that may be negative is no counter, so Prometheus wants none.
                parts = ("bucket", "count") if self.buckets[0] < 0 else ("bucket", "sum", "count")
                return tuple(f"{self.full_name}_{part}" for part in parts)


_MILLISECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_SLIPPAGE = (-0.001, -0.0005, -0.0002, -0.0001, 0.0, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01)


def _gauge(name: str, labels: str, text: str) -> Family:
    return Family(name=name, kind=Kind.GAUGE, source=Source.DIRECT, labels=tuple(labels.split()), help=text)


def _counter(name: str, labels: str, text: str) -> Family:
    return Family(name=name, kind=Kind.COUNTER, source=Source.DIRECT, labels=tuple(labels.split()), help=text)


def _histogram(name: str, labels: str, text: str, buckets: tuple[float, ...]) -> Family:
    return Family(
        name=name, kind=Kind.HISTOGRAM, source=Source.DIRECT, labels=tuple(labels.split()), help=text, buckets=buckets
    )


def _seen(name: str, labels: str, text: str, kind: Kind = Kind.GAUGE) -> Family:
    return Family(name=name, kind=kind, source=Source.STATE, labels=tuple(labels.split()), help=text)


_FAMILIES = (
    # Process and loop
    _gauge("build_info", "version commit", "1; which code runs: its release, and its commit if it is a clone"),
    _gauge("instance_info", "state_dir", "1; whose figures these are: its state directory"),
    _gauge("config_info", "hash environment mode", "1; which configuration is in force"),
    _gauge("ready", "", "1 when every cell is running, or deliberately paused, latched or halted"),
    _gauge("degraded", "component", "0 ok, 1 degraded, 2 failed"),
    _histogram("full_loop_duration_seconds", "strategy", "How long a full loop took", _SECONDS),
    _counter("full_loops", "strategy outcome", "Full loops by outcome: decided, skipped, aborted"),
    _counter("suspended_seconds", "", "Process time in which the daemon was not let run; nobody counts as late for it"),
    _counter("reader_errors", "reader", "Facts that a reader (narrator, metrics, health, reports) could not read"),
    _counter("reader_dropped", "reader", "Facts that a reader was told and did not take in time"),
    _counter("output_lines_dropped", "stream", "Lines that stdout or stderr did not take: reader slow, gone or full"),
    _histogram("event_loop_lag_seconds", "", "How late the event loop woke a task", _MILLISECONDS),
    _seen("strategy_state", "strategy mode state", "1 for the state the strategy is in, 0 for the others"),
    _seen("emergency_stop_active", "strategy", "1 while the emergency latch is set"),
    _seen("paused", "strategy", "1 while paused by an operator"),
    _seen("full_loop_interval_seconds", "strategy", "Process time between full loops"),
    _seen("last_full_loop_timestamp_seconds", "strategy", "Wall time at which the last handled tick was published"),
    _seen("ticks_missed", "strategy", "Ticks that passed unhandled", Kind.COUNTER),
    _seen("ticks_skipped", "strategy", "Ticks that came but were not decided", Kind.COUNTER),
    _seen("nursery_restarts", "component", "Restarts of a strategy after a crash", Kind.COUNTER),
    _seen("mailbox_depth", "strategy actor", "Messages waiting in a mailbox"),
    # Venues and market data
    _counter("venue_requests", "venue endpoint outcome", "Requests: ok, error, not_sent, unknown, unavailable"),
    _histogram("venue_request_duration_seconds", "venue endpoint", "How long a venue took to answer", _SECONDS),
    _seen("venue_reachable", "strategy venue", "1 when the last poll was answered"),
    _seen("venue_last_answer_age_seconds", "strategy venue", "Market time from the last answer to the last row"),
    _seen("foreign_activity", "strategy venue", "Orders, trades and transfers of the account that are not ours"),
    _seen("market_data_age_seconds", "venue instrument", "Market time since the source last said something; the worst"),
    _seen(
        "market_data_age_limit_seconds", "venue instrument", "Age at which a series counts as stale, where one is set"
    ),
    # Execution
    _counter("orders", "venue strategy side outcome", "Orders: filled, partial, rejected, unknown, not_sent"),
    _histogram("order_ack_duration_seconds", "venue", "From sending an order to the venue's answer", _SECONDS),
    _histogram("fill_slippage_ratio", "venue", "(fill - price known) / price known; positive = paid", _SLIPPAGE),
    _counter("fees_usd", "venue kind", "Fees paid by kind; rebates count under <kind>_rebate"),
    _counter("order_retries", "reason", "Orders that were tried again: not_sent, or refused for a reason that passes"),
    _seen("leg_imbalance_usd", "strategy", "Notional of legs that are open without their hedge"),
    _seen("leg_imbalance_usd_seconds", "strategy", "Unhedged notional times seconds", Kind.COUNTER),
    _seen("orders_unknown", "strategy venue", "Orders that were sent and whose outcome is not known"),
    _seen(
        "uncertain_notional_usd",
        "strategy",
        "Notional of those; one without a price counts with all the equity there is",
    ),
    # Risk, position and profit
    _seen("equity_usd", "strategy share_class", "Equity"),
    _seen("equity_native", "strategy share_class", "Equity in share-class currency"),
    _seen("net_deposits_native", "strategy share_class", "First capital and flows since, share-class currency"),
    _seen("pnl_usd", "strategy share_class part", "P&L by part since the start, with residual and adjustment"),
    _seen("pnl_native", "strategy share_class part", "The same in share-class currency"),
    _seen("pnl_unexplained_native", "strategy share_class", "What the parts do not add up to"),
    _seen("position_quantity", "strategy venue instrument", "Expected position, native units, signed"),
    _seen("net_delta_ratio", "strategy", "|net coin| / gross coin"),
    _seen("margin_ratio", "strategy venue account", "Equity / perp notional at an exchange"),
    _seen("liquidation_distance_ratio", "strategy venue", "1 - maintenance margin / equity; 0 = liquidated"),
    _seen("health_factor", "strategy protocol", "Collateral x liquidation threshold / debt; below 1 = liquidated"),
    _seen("ltv_ratio", "strategy protocol", "Debt / collateral"),
    _seen("drawdown_ratio", "strategy", "Fall from the flow-adjusted peak"),
    _seen("reserve_usd", "strategy", "Cash kept for fast withdrawals"),
    _seen("risk_level", "strategy measure venue", "0 ok, 1 warning, 2 critical, by the strategy's own limits"),
    _seen("authority_withheld", "strategy contract", "1 when this contract keeps orders from leaving"),
    _seen("contract_broken", "strategy contract", "1 when an input fails its contract, blocking or not"),
    # Integrity
    _seen("reconciliation_mismatch", "strategy venue", "Position keys that differ from what is expected"),
    _counter("reconciliations", "venue outcome", "Reconciliations: agreed, mismatch, failed, unanswered"),
    _gauge("last_reconciliation_timestamp_seconds", "venue", "Wall time of the last reconciliation that agreed"),
    _counter("events", "type", "Events by type"),
    _seen("event_chain_head_sequence", "strategy", "Sequence number of the journal's last record"),
    _seen("event_chain_head_fingerprint", "strategy", "First 48 bits of the hash of that record, as a number"),
    _histogram("journal_commit_duration_seconds", "", "How long a commit to disk took", _MILLISECONDS),
    _gauge("state_disk_free_bytes", "", "Free space where the state is kept"),
    _counter("http_requests", "route method code", "HTTP requests answered"),
    _histogram("http_request_duration_seconds", "route", "How long an HTTP answer took", _MILLISECONDS),
)

FAMILIES: dict[str, Family] = {family.name: family for family in _FAMILIES}


def sample_names() -> frozenset[str]:
    """All names a query may use, those of the process itself included."""
    ours = {name for family in FAMILIES.values() for name in family.samples}
    process = {"cpu_seconds_total", "resident_memory_bytes", "start_time_seconds", "open_fds", "max_fds"}
    return frozenset(ours | {f"process_{name}" for name in process} | {"up"})


def reference_table() -> str:
    """The metrics as a table in Markdown."""
    lines = ["| metric | kind | labels | meaning |", "| --- | --- | --- | --- |"]
    for family in FAMILIES.values():
        suffix = "_total" if family.kind is Kind.COUNTER else ""
        labels = ", ".join(f"`{label}`" for label in family.labels)
        text = family.help.replace("|", "\\|")
        lines.append(f"| `{family.full_name}{suffix}` | {family.kind.value} | {labels} | {text} |")
    return "\n".join(lines) + "\n"
