"""What the metrics say of one replica: names, labels and values, and nothing where nothing is known.

A pure translation. A figure that is None, NaN or infinite yields no reading, so that its series disappears.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import msgspec

from components.model.keys import PositionKey, PositionType
from components.model.measures import measure_of
from daemon.replica import CellState, Replica, UncertainOrder

RISK_LEVELS: Mapping[str, int] = {"ok": 0, "warning": 1, "critical": 2}
ALWAYS_MEASURED = ("drawdown", "daily_loss")  # in every mode; a measure that never crossed a limit has no level yet
REFERENCE_PRICE = "binance.spot.ETH"  # SPEC §5: absolute ETH/USD is Binance spot
_HASH_DIGITS = 12  # 48 bits: a double holds them exactly
_NANOSECONDS = 1e9


class Reading(msgspec.Struct, frozen=True):
    """One value; `labels` in the order of the family."""

    family: str
    labels: tuple[str, ...]
    value: float


def readings(replica: Replica, *, speed: float) -> Iterator[Reading]:
    """All gauges of one replica except ages of market data, which are a matter of all strategies together."""
    for reading in _all(replica, speed):
        if math.isfinite(reading.value):
            yield reading


def usd_per_unit(replica: Replica) -> float | None:
    """Price of one unit of share-class currency, None when not known."""
    return 1.0 if replica.share_class == "USDT" else replica.prices.get(REFERENCE_PRICE)


def _all(replica: Replica, speed: float) -> Iterator[Reading]:
    yield from _standing(replica, speed)
    yield from _money(replica)
    yield from _risk(replica)
    yield from _venues(replica)


def _standing(replica: Replica, speed: float) -> Iterator[Reading]:
    name = replica.strategy
    for state in CellState:
        yield Reading("strategy_state", (name, replica.mode, state.value), float(replica.state is state))
    yield Reading("emergency_stop_active", (name,), float(replica.state is CellState.LATCHED))
    yield Reading("paused", (name,), float(replica.state is CellState.PAUSED))
    yield Reading("full_loop_interval_seconds", (name,), replica.interval_s / speed)
    for actor, depth in replica.mailboxes.items():
        yield Reading("mailbox_depth", (name, actor), depth)
    for contract in replica.contracts:
        yield Reading("contract_broken", (name, contract.name), float(not contract.holds))
        if contract.blocks:
            yield Reading("authority_withheld", (name, contract.name), float(not contract.holds))
    if replica.journal_hash:
        yield Reading("event_chain_head_sequence", (name,), replica.journal_sequence)
        yield Reading("event_chain_head_fingerprint", (name,), int(replica.journal_hash[:_HASH_DIGITS], 16))


def _money(replica: Replica) -> Iterator[Reading]:
    name, currency, price = replica.strategy, replica.share_class, usd_per_unit(replica)
    if replica.initial is not None:
        yield Reading("net_deposits_native", (name, currency), replica.initial + replica.external_flows)
    if replica.equity is not None:
        yield Reading("equity_native", (name, currency), replica.equity)
        yield Reading("pnl_unexplained_native", (name, currency), replica.unexplained)
        if price is not None:
            yield Reading("equity_usd", (name, currency), replica.equity * price)
    for part, amount in replica.pnl.items():
        yield Reading("pnl_native", (name, currency, part), amount)
        if price is not None:
            yield Reading("pnl_usd", (name, currency, part), amount * price)
    reserve = replica.positions.get(f"reserve:BaseToken:{currency}")
    if reserve is not None and price is not None:
        yield Reading("reserve_usd", (name,), reserve * price)


def _risk(replica: Replica) -> Iterator[Reading]:
    name, columns = replica.strategy, replica.columns
    for text, quantity in replica.positions.items():
        key = PositionKey(text)
        if key.position_type is not PositionType.PERP_QUOTE:
            yield Reading("position_quantity", (name, key.venue, f"{key.position_type}:{key.symbol}"), quantity)
    for column, family in (("net_delta", "net_delta_ratio"), ("drawdown", "drawdown_ratio")):
        if column in columns:
            yield Reading(family, (name,), columns[column])
    for column, family in (("health_factor", "health_factor"), ("ltv", "ltv_ratio")):
        if column in columns:
            yield Reading(family, (name, _lender(replica)), columns[column])
    for column, value in columns.items():
        kind, _, venue = column.partition(".")
        if kind == "margin_ratio":
            yield Reading("margin_ratio", (name, venue, replica.account), value)
        elif kind == "mm_ratio":
            yield Reading("liquidation_distance_ratio", (name, venue), 1.0 - value)
    standing = dict.fromkeys(ALWAYS_MEASURED, "ok") if replica.equity is not None else {}
    for measure, level in {**standing, **replica.risk_levels}.items():
        about = measure_of(measure)
        yield Reading("risk_level", (name, about.kind.value, about.venue), RISK_LEVELS[level])


def _venues(replica: Replica) -> Iterator[Reading]:
    name = replica.strategy
    unknown = {venue.name: 0 for venue in replica.venues}
    for order in replica.uncertain:
        unknown[order.venue] = unknown.get(order.venue, 0) + 1
    for venue_name, count in unknown.items():
        yield Reading("orders_unknown", (name, venue_name), count)
    yield Reading(
        "uncertain_notional_usd", (name,), math.fsum(_notional_usd(replica, each) for each in replica.uncertain)
    )
    for venue in replica.venues:
        yield Reading("venue_reachable", (name, venue.name), float(venue.reachable))
        yield Reading("foreign_activity", (name, venue.name), venue.foreign + len(venue.strangers))
        yield Reading("reconciliation_mismatch", (name, venue.name), len(venue.mismatches))
        if venue.last_answer_at is not None and replica.timestamp is not None:
            age_s = (replica.timestamp - venue.last_answer_at) / _NANOSECONDS
            yield Reading("venue_last_answer_age_seconds", (name, venue.name), max(0.0, age_s))


def _notional_usd(replica: Replica, order: UncertainOrder) -> float:
    """What an order may have moved: its notional, and where no price is known the worst end: all there is."""
    if order.notional_usdt is not None:
        return abs(order.notional_usdt)
    return abs(replica.equity or replica.initial or 0.0) * (usd_per_unit(replica) or 1.0)


def _lender(replica: Replica) -> str:
    """The protocol that is owed; the core knows one lending account per strategy."""
    for text in replica.positions:
        key = PositionKey(text)
        if key.position_type is PositionType.DEBT_TOKEN:
            return key.venue
    return "aave_v3"
