"""The whole exit, thought through: every group an emergency would send from here, wave by wave as things arrive.

The simulated venues do what the plan says at the row it is made on, on a copy of the positions: their fees, impact and
delays are the estimate. Nothing is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import nan

import msgspec

from components.model.errors import BasisError
from components.model.keys import GAS, TRANSIT, WALLET, PositionKey, PositionType, base_token, token_of
from components.model.market import Row
from components.model.orders import InFlight, OrderGroup, Trade, TradeStatus, nothing
from components.model.slices import RunSlice
from components.ports import Approved
from components.position_monitor import PositionMonitor
from daemon.safety.doors import Reading
from daemon.safety.flat import worth
from daemon.safety.marks import Marked
from daemon.safety.route import exit_route, situation
from venues.sim.world import SimWorld

WAVES = 12  # arrivals that a plan looks beyond


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """One group of the plan. `after_s`: how much later it can be sent, seconds of market time, None when nobody knows;
    `cost`: what it takes from equity, share-class currency, NaN without a price; `refused`: why it is not done."""

    group: OrderGroup
    wave: int
    after_s: float | None
    cost: float
    refused: str = ""


def projected(
    run: RunSlice, positions: Mapping[PositionKey, float], marked: Marked, in_flight: Iterable[InFlight] = ()
) -> list[Planned]:
    """From these positions to flat."""
    book = PositionMonitor()
    book.place(positions)
    now = situation(run, marked, book)
    world = SimWorld(run, now.row.market)
    world.stand_at(positions, 0)
    flights = {flight.id: flight for flight in _known(run, positions, in_flight)}
    steps: list[Planned] = []
    after: float | None = 0.0
    for wave in range(WAVES):
        for group in exit_route(run, now, book, Reading(), f"plan/{wave}"):
            before = _worth(run, book, now.row)
            trades = _done(world, group)
            book.expect(trades)
            flights |= {trade.in_flight.id: trade.in_flight for trade in trades if trade.in_flight is not None}
            refused = next((t.reason for t in trades if t.status is TradeStatus.REJECTED), "")
            cost = before - _worth(run, book, now.row)
            steps.append(Planned(group=group, wave=wave, after_s=after, cost=cost, refused=refused))
            if refused:
                return steps
        if not flights:
            return steps
        first = min(flights.values(), key=lambda each: (each.arrives_at, each.id))
        arriving = [each for each in flights.values() if each.arrives_at <= first.arrives_at]
        after = None if first.arrives_at == 0 else max(0.0, (first.arrives_at - marked.row.timestamp) / 1e9)
        for flight in arriving:
            changes = {base_token(TRANSIT, flight.token): -flight.amount}
            changes[flight.target] = changes.get(flight.target, 0.0) + flight.amount
            world.adjust(changes)
            book.place(changes)
            book.in_flight.pop(flight.id, None)
            del flights[flight.id]
    return steps


def _done(world: SimWorld, group: OrderGroup) -> tuple[Trade, ...]:
    try:
        return world.execute(Approved(group))
    except BasisError as error:
        return tuple(nothing(order, TradeStatus.REJECTED, world.row.timestamp, error.message) for order in group.orders)


def _worth(run: RunSlice, book: PositionMonitor, row: Row) -> float:
    value = worth(run, row, book.expected)
    return nan if value is None else value


def _known(run: RunSlice, positions: Mapping[PositionKey, float], in_flight: Iterable[InFlight]) -> list[InFlight]:
    """What travels, flight by flight; what nobody has announced goes, for all we know, where it would be sold."""
    known = [each for each in in_flight if positions.get(base_token(TRANSIT, each.token), 0.0) > 0.0]
    for key, amount in positions.items():
        if key.venue != TRANSIT or key.position_type is not PositionType.BASE_TOKEN or amount <= 0.0:
            continue
        token = token_of(key)
        left = amount - sum(each.amount for each in known if each.token == token)
        if left > 1e-9 * amount:
            venue = run.mode.spot_venue if token != "USDT" and run.mode.spot_venue in run.exchanges else WALLET
            known.append(
                InFlight(
                    id=f"unknown {token}",
                    token=token,
                    amount=left,
                    source=base_token(GAS, token),
                    target=base_token(venue or WALLET, token),
                    arrives_at=0,
                )
            )
    return known
