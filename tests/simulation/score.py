"""Whether a seed counts (DESIGN-daemon 31): enough was decided and sent, and every kind of fault fired and was noticed.

A fault that fired was noticed when something of what `KINDS` says shows it is in the journal, in the pictures of the
cell, or among the questions that the venue was asked.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from components.model.events import EventType
from components.model.orders import CostKind
from daemon.journal.records import ConfigChanged, Events, LatchChanged, Manifest, Outcome, StepBegin
from tests.simulation.harness import Run
from tests.simulation.host_faults import HostFault
from venues.paper.door.faults import Fault

AFTER_NS = 180_000_000_000  # a look at the books may come two rows later
ROWS_AN_HOUR = 60.0
FOREVER = 2**63 - 1
UNANSWERED = frozenset(
    {
        "connect_refused", "dns_failure", "tls_failure", "reset_before_send", "reset_after_send", "black_hole",
        "latency", "half_open", "truncated_json", "rate_limited", "banned", "error_before_accept",
        "error_after_accept", "unknown_status", "maintenance", "key_revoked",
    }
)  # fmt: skip
ASKED_AFTER = frozenset({"late_ack", "fill_before_ack", "late_fill", "duplicate_id", "tx_dropped"})
REFUSED = frozenset({"lot_change", "symbol_paused", "revert", "partial_fill"})
DISAGREEING = frozenset({"balance_lag", "rpc_behind", "wrong_position", "mute_stream", "dropped_frame"})
HARMLESS = frozenset({"duplicate_frame", "reordered_frame", "open_orders_truncated"})  # made good at once


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one run."""

    decided: float  # share of all rows of all strategies
    orders: int
    unclear: int  # outcomes other than filled
    fired: int
    hit_in_flight: int
    kinds: tuple[str, ...]
    unnoticed: tuple[str, ...]
    struck: tuple[str, ...]
    unnoticed_host: tuple[str, ...]


def score(run: Run, hours: float) -> Score:
    steps = sum(isinstance(record, StepBegin) for records in run.records.values() for record in records)
    hits = [(name, hit) for name, plan in run.plans.items() for hit in {id(each): each for each in plan.hits}.values()]
    kinds = sorted({hit.kind for _, hit in hits})
    seen = {hit.kind for name, hit in hits if is_noticed(run, name, hit)}
    host = sorted({fault.kind for fault in run.struck})
    seen_host = {fault.kind for fault in run.struck if is_host_noticed(run, fault)}
    return Score(
        decided=round(steps / (len(run.accounts) * hours * ROWS_AN_HOUR), 4),
        orders=sum(len(account.truth().orders) for account in run.accounts.values()),
        unclear=sum(
            isinstance(record, Outcome) and record.state != "filled"
            for records in run.records.values()
            for record in records
        ),
        fired=sum(sum(plan.fired.values()) for plan in run.plans.values()),
        hit_in_flight=sum(plan.hit_in_flight for plan in run.plans.values()),
        kinds=tuple(kinds),
        unnoticed=tuple(kind for kind in kinds if kind not in seen),
        struck=tuple(host),
        unnoticed_host=tuple(kind for kind in host if kind not in seen_host),
    )


def is_noticed(run: Run, strategy: str, fault: Fault) -> bool:
    begin, end = fault.at, fault.ends + AFTER_NS
    if fault.kind in UNANSWERED:
        return _errors(run, strategy, fault.venue, begin, end) or any(
            outcome.state != "filled" for outcome in _outcomes(run, strategy, begin, end)
        )
    if fault.kind in ASKED_AFTER:
        return any(
            message.endpoint in ("query", "cancel") and message.door == fault.venue and begin <= message.at <= end
            for message in run.accounts[strategy].registry.messages
        )
    if fault.kind in REFUSED:
        return any(outcome.state in ("rejected", "partial") for outcome in _outcomes(run, strategy, begin, end))
    if fault.kind in DISAGREEING:
        return any(
            sample.mismatches or sample.failing
            for sample in run.samples[strategy]
            if sample.timestamp is not None and begin <= sample.timestamp <= end
        ) or any(event is EventType.RECONCILIATION_MISMATCH for event in _events(run, strategy, begin, end))
    if fault.kind == "clock_skew":
        return any(f"venue.{fault.venue}.clock" in sample.failing for sample in run.samples[strategy])
    if fault.kind in ("reorg", "tx_replaced"):
        told = EventType.UNDONE if fault.kind == "reorg" else EventType.GAS
        return any(event is told for event in _events(run, strategy, begin, FOREVER))
    if fault.kind == "gas_spike":
        return any(
            cost.kind is CostKind.GAS
            for outcome in _outcomes(run, strategy, begin, end)
            if outcome.trade is not None
            for cost in outcome.trade.costs
        )
    return fault.kind in HARMLESS


def is_host_noticed(run: Run, fault: HostFault) -> bool:
    samples = run.samples[fault.strategy]
    records = run.records[fault.strategy]
    match fault.kind:
        case "disk_low":
            return any("host.disk" in sample.failing for sample in samples)
        case "clock_step":
            return any("host.clock" in sample.failing for sample in samples)
        case "disk_full" | "sync_error" | "write_error" | "crash":
            return any(crash.startswith(f"{fault.strategy}:") for crash in run.crashes)
        case "restart" | "cut":
            return sum(isinstance(record, Manifest) for record in records) > 1
        case "pause":
            return run.lagged_ns > 30_000_000_000
        case "suspend":
            return run.lagged_ns > 300_000_000_000
        case "reader_fails":
            return run.daemon is not None and any(reader.errors for reader in run.daemon.readers)
        case "feed_mute":
            return any(sample.missed > 0 for sample in samples) or any(each == fault.strategy for each, _ in run.stops)
        case "foreign_trade" | "foreign_transfer":
            shown = any(name.endswith(".ours_alone") for sample in samples for name in sample.failing)
            return shown or any(event is EventType.ADJUSTMENT for event in _events(run, fault.strategy, 0, FOREVER))
        case "foreign_order":
            return any(name.endswith(".no_strangers") for sample in samples for name in sample.failing)
        case "airdrop":
            return any(name.endswith(".ours_alone") for sample in samples for name in sample.failing)
        case "emergency":
            return any(isinstance(record, LatchChanged) for record in records)
        case "reload":
            return any(isinstance(record, ConfigChanged) for record in records)
        case _:
            return False


def _errors(run: Run, strategy: str, venue: str, begin: int, end: int) -> bool:
    """Whether the errors counted at a venue grew in that time; counts begin anew with every life of a cell."""
    last = 0
    for sample in run.samples[strategy]:
        count = dict(sample.errors).get(venue, 0)
        if sample.timestamp is not None and begin <= sample.timestamp <= end and count > last:
            return True
        last = count
    return False


def _outcomes(run: Run, strategy: str, begin: int, end: int) -> Iterator[Outcome]:
    for record in run.records[strategy]:
        if isinstance(record, Outcome) and begin <= record.at <= end:
            yield record


def _events(run: Run, strategy: str, begin: int, end: int) -> Iterator[EventType]:
    for record in run.records[strategy]:
        for event in record.events if isinstance(record, Events) else ():
            if begin <= event.timestamp <= end:
                yield event.event_type
