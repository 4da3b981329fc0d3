"""The exit of an emergency as groups: the core's routing, told which doors are silent.

Where a venue says nothing, what is known of it counts as held there. The coins that its shorts hedge are kept, as its
shorts could not be closed with them; everything else goes. Pure but for the positions it is given to look at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from math import inf

import msgspec

from components.maths.costs import round_to_lot
from components.model.awaited import DUST_USDT
from components.model.keys import PositionKey, perp
from components.model.market import Row
from components.model.orders import Action, GroupKind, Order, OrderGroup, Verb
from components.model.slices import RunSlice
from components.pieces import Limits, pieces, prices_of
from components.planner import Planner
from components.position_monitor import PositionMonitor
from components.price_caps import capped
from components.routing.route import Route
from components.situation import Situation
from components.strategies.factory import make_strategy
from components.utility_manager import UtilityManager
from daemon.safety.doors import Doors, Reading
from daemon.safety.flat import flatness
from daemon.safety.marks import Marked
from daemon.world.rows import window_of

REASON = "emergency stop"


def row_of(marked: Marked) -> Row:
    """The row an emergency goes by."""
    return window_of(marked.row, None).row(0)


def situation(run: RunSlice, marked: Marked, positions: PositionMonitor) -> Situation:
    """What is held at that row."""
    return Situation(run, row_of(marked), positions, UtilityManager.of(run.mode))


def exit_route(
    run: RunSlice,
    now: Situation,
    positions: PositionMonitor,
    reading: Reading,
    run_id: str,
    guard_usdt: float | None = None,
) -> Iterator[OrderGroup]:
    """The groups of an exit, in pieces that fit what venues, and the guard, take at once."""
    limits = Limits(run.exchanges, guard_usdt)
    for group in _exit(run, now, positions, reading, run_id):
        yield from pieces(group, prices_of(group, now), limits)


def _exit(
    run: RunSlice, now: Situation, positions: PositionMonitor, reading: Reading, run_id: str
) -> Iterator[OrderGroup]:
    """Everything sold, but for what hedges the shorts of venues that say nothing."""
    mode = run.mode
    plan = Planner(mode, make_strategy(mode)).exit(REASON, now, 0)
    silent = [venue for venue in mode.hedge_allocation if venue in reading.silent]
    if not silent or mode.lst_type is None:
        yield from Route(plan, now, run_id, 0.0).groups()
        yield from _crumbs(run, now, run_id)
        return
    _assume(run, now, positions, reading, silent)
    for group in Route(plan, now, run_id, 0.0).groups():
        if not any(order.venue in run.exchanges and order.verb in (Verb.SPOT, Verb.PERP) for order in group.orders):
            yield group
    yield from _beside_silent(run, now, silent, run_id)


def _beside_silent(run: RunSlice, now: Situation, silent: list[str], run_id: str) -> Iterator[OrderGroup]:
    """Coins sold as far as no silent venue's short needs them, and the shorts of the others brought down to what is
    left to hedge: never more than that."""
    mode, coin = run.mode, now.coin
    there = sum(abs(now.size(venue)) for venue in silent)
    long = now.long_coins()
    spot = mode.spot_venue if mode.spot_venue in run.exchanges and mode.spot_venue not in silent else None
    sold = min(max(long - there, 0.0), max(now.coins(spot), 0.0)) if spot else 0.0
    wanted = max(0.0, long - sold - there)
    live = {venue: abs(now.size(venue)) for venue in mode.hedge_allocation if venue not in silent}
    total = sum(live.values())
    orders = []
    if spot and sold * now.reference() > DUST_USDT:
        orders.append(_order(run_id, Verb.SPOT, spot, coin, -sold, everything=sold == now.coins(spot)))
    for venue, size in live.items():
        change = size * (1.0 - wanted / total) if total > wanted else 0.0
        everything = wanted * now.reference() <= DUST_USDT
        lot = run.exchanges[venue].instruments[f"perp.{coin}"].lot
        change = size if everything else round_to_lot(change, lot)
        if change > 0.0:
            sign = 1.0 if now.size(venue) < 0.0 else -1.0
            orders.append(_order(run_id, Verb.PERP, venue, coin, sign * change, everything=everything))
    if orders:
        kind = GroupKind.TOGETHER if len(orders) > 1 else GroupKind.ONE
        yield OrderGroup(id=f"{run_id}/beside", kind=kind, action=Action.EXIT_FULL, reason=REASON, orders=tuple(orders))


def _order(run_id: str, verb: Verb, venue: str, coin: str, amount: float, *, everything: bool) -> Order:
    leg = f"{venue}_{verb.value}"
    return Order(
        id=sha256(f"{run_id}/beside/{leg}".encode()).hexdigest()[:28],
        verb=verb,
        venue=venue,
        token=coin,
        amount=amount,
        leg=leg,
        reduce_only=verb is Verb.PERP,
        everything=everything,
    )


def _crumbs(run: RunSlice, now: Situation, run_id: str) -> Iterator[OrderGroup]:
    """Coins that the routing keeps against a gas debt, once no short is left: what is flat holds none."""
    if run.mode.share_class != "USDT" or any(now.size(venue) for venue in run.mode.hedge_allocation):
        return
    for venue in run.exchanges:
        coins = now.coins(venue)
        if now.coin == "USDT" or coins * now.reference() <= DUST_USDT:
            continue
        order = Order(
            id=sha256(f"{run_id}/crumbs/{venue}".encode()).hexdigest()[:28],
            verb=Verb.SPOT,
            venue=venue,
            token=now.coin,
            amount=-coins,
            leg=f"{venue}_crumbs",
            everything=True,
        )
        yield OrderGroup(
            id=f"{run_id}/crumbs/{venue}",
            kind=GroupKind.ONE,
            action=Action.EXIT_FULL,
            reason=REASON,
            orders=(order,),
        )


def worst_delta(
    run: RunSlice, marked: Marked, held: Mapping[PositionKey, float], uncertain: Iterable[Order] = ()
) -> float:
    """|net coins| ÷ gross at the worst end of what is uncertain; 0 for a flat account: what selling left over has no
    counterpart, and would be all of itself."""
    uncertain = tuple(uncertain)
    if flatness(run, row_of(marked), held, now=marked.row.timestamp, uncertain=uncertain).is_flat:
        return 0.0
    positions = PositionMonitor()
    positions.place(held)
    for order in uncertain:
        positions.keep_uncertain(order)
    now = situation(run, marked, positions)
    short = sum(abs(now.size(venue)) for venue in run.mode.hedge_allocation)
    gross = max(abs(now.long_coins()), short)
    worst = max(abs(each) for each in now.net_coins())
    return worst / gross if gross else 0.0 if worst == 0.0 else inf


def _assume(run: RunSlice, now: Situation, positions: PositionMonitor, reading: Reading, silent: list[str]) -> None:
    """A venue that has never said anything holds, for all we know, the shorts that hedge what nobody else hedges."""
    unknown = [venue for venue in silent if venue in reading.unknown]
    if not unknown:
        return
    hedged = sum(abs(now.size(venue)) for venue in run.mode.hedge_allocation)
    share = max(0.0, now.long_coins() - hedged) / len(unknown)
    positions.expected.apply({perp(venue, now.coin): -share for venue in unknown})


def reachable(group: OrderGroup, doors: Doors, reading: Reading, marked: Marked) -> list[OrderGroup]:
    """The group without what a silent door would have to do, as one group or two: legs that nobody has a price of are
    sent after the others. An atomic group, and one that would send something to a silent door, is left out."""
    orders = [order for order in group.orders if not _is_cut_off(order, doors, reading)]
    if not orders or (group.kind is not GroupKind.TOGETHER and len(orders) < len(group.orders)):
        return []
    if group.kind is not GroupKind.TOGETHER:
        return [group]
    unpriced = {order.venue for order in orders if f"{order.venue}.{order.verb.value}.{order.token}" in marked.missing}
    first = [order for order in orders if order.venue not in unpriced]
    last = [order for order in orders if order.venue in unpriced]
    if not first or not last or not _are_pairs(orders):
        return [_with(group, orders, "")]
    return [_with(group, first, ""), _with(group, last, "/unpriced")]


def limited(group: OrderGroup, now: Situation, marked: Marked, beyond: Mapping[str, int]) -> OrderGroup:
    """The group with price limits of an emergency, from what the doors quote: wider with every time that a leg found no
    price within its limit (`beyond`), and none any more after the widest, for what closes a position. A leg that nobody
    has a price of has no limit: that must not stop it."""
    steps = now.mode.price_caps.emergency
    orders = []
    for order in group.orders:
        tries, cap = beyond.get(order.leg, 0), None
        if f"{order.venue}.{order.verb.value}.{order.token}" not in marked.missing and steps:
            closes = order.verb is not Verb.PERP or order.reduce_only or order.everything
            cap = None if tries >= len(steps) and closes else steps[min(tries, len(steps) - 1)]
        orders.append(capped(order, now, cap))
    return msgspec.structs.replace(group, orders=tuple(orders))


def _is_cut_off(order: Order, doors: Doors, reading: Reading) -> bool:
    touched = [order.venue] + ([order.target.venue] if order.target is not None else [])
    return any(doors.door_of(venue) in reading.silent for venue in touched)


def _are_pairs(orders: list[Order]) -> bool:
    """Whether every venue is hedged by itself, so that one may go before another."""
    spot = {order.venue for order in orders if order.verb is Verb.SPOT}
    return spot == {order.venue for order in orders if order.verb is Verb.PERP}


def _with(group: OrderGroup, orders: list[Order], suffix: str) -> OrderGroup:
    if len(orders) == len(group.orders):
        return group
    kind = GroupKind.TOGETHER if len(orders) > 1 else GroupKind.ONE
    return msgspec.structs.replace(group, id=group.id + suffix, kind=kind, orders=tuple(orders))
