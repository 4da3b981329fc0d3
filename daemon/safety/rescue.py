"""Margin for hedges whose coins still travel, while an account is closed: a short is never left to its liquidation.

The coins cannot be sold before they arrive, so their hedge is kept. Where its margin turns critical, cash is moved
there first, from the wallet, the reserve and the other venues; what cash does not cover, or would come too late for, is
hedged at another venue; only what no venue has room for is cut, by the least that is not critical any more. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Set
from hashlib import sha256
from math import inf

import msgspec

from components.hedge_room import CLEAR, held, margin_usdt, utmost
from components.margin import MINUTES, is_near
from components.maths.costs import round_to_lot
from components.model.awaited import DUST_USDT
from components.model.keys import RESERVE, TRANSIT, WALLET, VenueName, base_token
from components.model.orders import Action, GroupKind, InFlight, Order, OrderGroup, Verb
from components.model.requirements import HOUR_NS
from components.planner import SAFE
from components.routing.plan import CASH_KEPT
from components.situation import Situation
from daemon.safety.flat import delay_ns

TOP_UP = 0.05  # of the margin wanted: less is not worth a transfer, as the price moves it
REASON = "margin of a hedge that waits for its coins"


class Rescue(msgspec.Struct, frozen=True, kw_only=True):
    """What is done for the margin of one venue, in this order, and in words; no groups while cash is on its way there
    in time. `ratio` is equity ÷ notional now."""

    venue: VenueName
    ratio: float
    groups: tuple[OrderGroup, ...]
    said: str


def rescues(
    now: Situation,
    flights: Iterable[InFlight],
    run_id: str,
    *,
    untouchable: Collection[VenueName] = (),
    refused: Set[str] = frozenset(),
) -> Iterator[Rescue]:
    """One for each venue whose margin is critical, the thinnest first. `untouchable` are venues, or the wallet, that
    say nothing, or where the outcome of an order is not known; `refused` are legs that were refused for this before."""
    if now.lst is None:  # pairs: coins are where their short is, and are sold with it
        return
    ratios = {v: margin_usdt(now, v) / (held(now, v) * now.mark(v)) for v in now.mode.hedge_allocation if held(now, v)}
    thin = sorted((ratio, venue) for venue, ratio in ratios.items() if ratio < now.mode.risk.margin.critical)
    in_need = {venue for _, venue in thin}
    means = _Means(now, in_need, untouchable, refused)
    coming = tuple(_coming(now, flights))
    for ratio, venue in thin:
        if venue not in untouchable:
            yield _rescue(now, venue, ratio, means, coming, run_id)


def _coming(now: Situation, flights: Iterable[InFlight]) -> Iterator[InFlight]:
    """USDT that will arrive: what is not due yet, and what is due and still travels, until it is overdue."""
    at, left = now.row.timestamp, now.held(base_token(TRANSIT, "USDT"))
    for flight in sorted(flights, key=lambda each: (each.arrives_at, each.id), reverse=True):
        if flight.token != "USDT":
            continue
        if flight.arrives_at > at or (left > DUST_USDT and at <= flight.arrives_at + delay_ns(now.run, flight)):
            left -= flight.amount
            yield flight


def _rescue(
    now: Situation, venue: VenueName, ratio: float, means: _Means, flights: Iterable[InFlight], run_id: str
) -> Rescue:
    mark, size = now.mark(venue), held(now, venue)
    goal = _goal(now)
    least = min(CLEAR * now.mode.risk.margin.critical, goal)
    margin = margin_usdt(now, venue)
    coming = [each for each in flights if each.target == base_token(venue, "USDT")]
    arriving = sum(each.amount for each in coming)
    said, groups = [], list[OrderGroup]()
    sent = means.cash(venue, goal * size * mark - margin - arriving, TOP_UP * goal * size * mark, run_id)
    groups += sent.groups
    hours = [max((each.arrives_at - now.row.timestamp) / HOUR_NS, 0.0) for each in coming] + sent.hours
    if arriving + sent.usdt > DUST_USDT:
        said.append(f"{arriving + sent.usdt:,.0f} USDT of margin are on their way")
    counts = margin if not hours or is_near(now, venue, max(hours)) else margin + arriving + sent.usdt
    over = size - max(counts, 0.0) / (goal * mark)
    if over * mark > DUST_USDT and counts < least * size * mark * (1.0 - 1e-9):
        shifted = means.shift(venue, over, run_id)
        groups += shifted.groups
        size -= shifted.coins
        if shifted.coins > 0.0:
            said.append(f"{shifted.coins:g} {now.coin} of it are hedged at {', '.join(shifted.venues)} instead")
        lot = _lot(now, venue)
        cut = min(_up(size - max(counts, 0.0) / (least * mark), lot), size)
        if cut > 0.0:
            said.append(f"cut by {cut:g} {now.coin}, as no other venue has room for its hedge")
            groups.append(_group(run_id, f"{venue}/cut", [_perp(run_id, venue, now.coin, cut, "cut", reduces=True)]))
    told = "its margin turned critical: " + ("; ".join(said) or "nothing can be done for it now")
    return Rescue(venue=venue, ratio=ratio, groups=tuple(groups), said=told)


class _Cash(msgspec.Struct):
    groups: list[OrderGroup]
    usdt: float = 0.0
    hours: list[float] = []


class _Shift(msgspec.Struct):
    groups: list[OrderGroup]
    coins: float = 0.0
    venues: tuple[str, ...] = ()


class _Means:
    """Cash that is free and room for shorts that is left at venues that are not in need, while they are given to one
    venue after the other."""

    def __init__(
        self,
        now: Situation,
        in_need: Collection[VenueName],
        untouchable: Collection[VenueName],
        refused: Set[str],
    ) -> None:
        self._now = now
        self._refused = refused
        self._places = [WALLET, RESERVE] if WALLET not in untouchable else []
        self._venues = [v for v in now.mode.hedge_allocation if v not in untouchable and v not in in_need]
        self._spent: dict[VenueName, float] = {}  # USDT sent from there
        self._given: dict[VenueName, float] = {}  # coins hedged there for others

    def _free(self, source: VenueName) -> float:
        """USDT that may leave: of a venue what its own margin, and what it has taken over, does not need."""
        now, spent = self._now, self._spent.get(source, 0.0)
        if source == RESERVE:
            return now.reserve() - spent
        if source == WALLET:
            return now.wallet("USDT") - spent
        notional = (held(now, source) + self._given.get(source, 0.0)) * now.mark(source)
        return min(now.cash(source) - CASH_KEPT * notional, now.account(source) - _goal(now) * notional) - spent

    def _room(self, venue: VenueName) -> float:
        """Coins that may be hedged there for others."""
        taken = held(self._now, venue) + self._given.get(venue, 0.0)
        return utmost(self._now, venue, self._spent.get(venue, 0.0)) - taken

    def cash(self, venue: VenueName, missing: float, least: float, run_id: str) -> _Cash:
        """Transfers to a venue, none of `least` or less, the wallet's first; the reserve goes by way of the wallet."""
        out = _Cash([])
        for source in (*self._places, *self._venues):
            usdt = min(missing - out.usdt, self._free(source))
            sender = WALLET if source == RESERVE else source
            fee, hours = self._terms(sender)
            if usdt <= max(2.0 * fee, least) or {f"{sender}_to_{venue}", f"{source}_to_{sender}"} & self._refused:
                continue
            self._spent[source] = self._spent.get(source, 0.0) + usdt
            if source == RESERVE:
                out.groups.append(_group(run_id, f"{venue}/lent", [_transfer(run_id, RESERVE, WALLET, usdt, venue)]))
            out.groups.append(_group(run_id, f"{venue}/{source}", [_transfer(run_id, sender, venue, usdt, source)]))
            out.usdt += usdt - fee
            out.hours.append(hours)
        return out

    def shift(self, venue: VenueName, coins: float, run_id: str) -> _Shift:
        """Shorts that are opened elsewhere and closed here, both sides together."""
        now, out, moved = self._now, _Shift([]), list[str]()
        for other in sorted(self._venues, key=lambda each: -self._room(each)):
            lot = max(_lot(now, venue), _lot(now, other))
            part = round_to_lot(min(coins - out.coins, self._room(other)), lot)
            least = now.run.exchanges[other].instruments[f"perp.{now.coin}"].minimum_notional_usdt
            if part <= 0.0 or part * now.mark(other) < least or f"{other}_perp" in self._refused:
                continue
            self._given[other] = self._given.get(other, 0.0) + part
            legs = [
                _perp(run_id, other, now.coin, -part, f"for_{venue}", reduces=False),
                _perp(run_id, venue, now.coin, part, f"to_{other}", reduces=True),
            ]
            out.groups.append(_group(run_id, f"{venue}/to_{other}", legs))
            out.coins += part
            moved.append(other)
        out.venues = tuple(moved)
        return out

    def _terms(self, source: VenueName) -> tuple[float, float]:
        """(fee in USDT, hours) of sending USDT from there."""
        if self._now.mode.costs == "none":
            return 0.0, 0.0
        exchange = self._now.run.exchanges.get(source)
        terms = (self._now.run.chain.transfers if exchange is None else exchange.transfers).get("USDT")
        return (inf, 0.0) if terms is None else (terms.fee, terms.delay_minutes / MINUTES)


def _goal(now: Situation) -> float:
    """The margin ratio that cash and shifts aim at: past the warning, and no more than the mode aims at."""
    return min(SAFE * now.mode.risk.margin.warning, now.mode.margin_ratio_target)


def _lot(now: Situation, venue: VenueName) -> float:
    return 0.0 if now.mode.costs == "none" else now.run.exchanges[venue].instruments[f"perp.{now.coin}"].lot


def _up(coins: float, lot: float) -> float:
    """To the next lot away from zero; nothing for what is not positive."""
    if coins <= 0.0 or lot <= 0.0:
        return max(coins, 0.0)
    down = round_to_lot(coins, lot)
    return down if coins - down <= 1e-9 * lot else down + lot


def _id(run_id: str, leg: str) -> str:
    return sha256(f"{run_id}/margin/{leg}".encode()).hexdigest()[:28]


def _perp(run_id: str, venue: VenueName, coin: str, amount: float, why: str, *, reduces: bool) -> Order:
    leg = f"{venue}_perp"
    return Order(
        id=_id(run_id, f"{leg}/{why}"),
        verb=Verb.PERP,
        venue=venue,
        token=coin,
        amount=amount,
        leg=leg,
        reduce_only=reduces,
    )


def _transfer(run_id: str, source: VenueName, sink: VenueName, usdt: float, why: str) -> Order:
    leg = f"{source}_to_{sink}"
    return Order(
        id=_id(run_id, f"{leg}/{why}"),
        verb=Verb.TRANSFER,
        venue=source,
        token="USDT",
        amount=usdt,
        leg=leg,
        source=base_token(source, "USDT"),
        target=base_token(sink, "USDT"),
    )


def _group(run_id: str, name: str, orders: list[Order]) -> OrderGroup:
    kind = GroupKind.TOGETHER if len(orders) > 1 else GroupKind.ONE
    return OrderGroup(
        id=f"{run_id}/margin/{name}", kind=kind, action=Action.EXIT_PARTIAL, reason=REASON, orders=tuple(orders)
    )
