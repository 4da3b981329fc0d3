"""All doors of an account asked at once: what rests is taken back, then what is held, then what it is worth.

Each door has its own time-out, so that a dead one never delays another; what a silent one held last is remembered, and
said to be old. Nothing here raises what a venue does wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeVar

import msgspec
import trio

from components.model.keys import TRANSIT, PositionKey, VenueName, base_token
from components.model.orders import InFlight
from venues.interfaces import NO_WAIT, Asking, DoorTerms, RestingOrder, Unavailable

T = TypeVar("T")
TakeBack = Callable[
    [VenueName, RestingOrder], Awaitable[str]
]  # why an order could not be taken back, "" when it is gone


class Reading(msgspec.Struct, kw_only=True):
    """One look at all doors. `positions` of a door in `silent` are those it told before; one in `unknown` never did."""

    positions: dict[PositionKey, float] = {}
    marks: dict[str, float] = {}
    silent: dict[str, str] = {}
    unknown: frozenset[str] = frozenset()
    resting: dict[str, str] = {}  # order id or the door's own name of it → door: what could not be taken back
    trouble: dict[str, str] = {}  # door → what it failed to do beside telling positions


class Doors:
    """The doors of one account; `timeout_s` bounds one question, process time."""

    def __init__(self, clients: Iterable[Asking], timeout_s: float) -> None:
        self.clients = tuple(clients)
        self._timeout = timeout_s
        self._last: dict[str, dict[PositionKey, float]] = {}
        self._marks: dict[str, float] = {}
        self.told: Counter[str] = Counter()  # how often each door has told what it holds

    def remember(self, door: str, positions: Mapping[PositionKey, float]) -> None:
        """What a door told somebody else, for as long as it tells nothing here."""
        self._last.setdefault(door, dict(positions))

    def inherit(self, before: Doors) -> None:
        """Goes on from what the doors told another look, and from what was booked since."""
        for door, held in before._last.items():
            self.remember(door, held)
        self.told = before.told + self.told

    def booked(
        self,
        changes: Mapping[PositionKey, float],
        *,
        sent: Mapping[str, int] | None = None,
        reading: Reading | None = None,
    ) -> None:
        """What an order of ours did since a door told its positions: one that falls silent now told of before.

        Of an order whose outcome is learned late, `sent` is how often each door had told when it left: one that has
        told since knows of it. What is booked is in `reading` as well.
        """
        for key, change in changes.items():
            door = self.door_of(key.venue) or ""
            held = self._last.get(door)
            if held is None or (sent is not None and self.told[door] > sent.get(door, 0)):
                continue
            held[key] = held.get(key, 0.0) + change
            if reading is not None:
                reading.positions[key] = held[key]

    def arrived(self, flight: InFlight, reading: Reading) -> None:
        """Takes a flight that is at its target off what a silent door told of it."""
        self.left(base_token(TRANSIT, flight.token), flight.amount, reading)

    def left(self, key: PositionKey, amount: float, reading: Reading) -> None:
        """Takes what stands elsewhere by now off what a silent door told of it."""
        door = self.door_of(key.venue)
        held = self._last.get(door or "", {})
        if door in reading.silent and held.get(key, 0.0) > 0.0:
            held[key] = max(held[key] - amount, 0.0)
            reading.positions[key] = held[key]

    def door_of(self, venue: VenueName) -> str | None:
        """The door that answers for a venue of position keys or orders; None when there is none."""
        for client in self.clients:
            if venue == client.name or venue in client.venues:
                return client.name
        return None

    async def read(self, take_back: TakeBack | None = None, *, marks: bool = True) -> Reading:
        """Asks all, and hands what rests to `take_back`; returns when the last has answered or run out of time."""
        reading = Reading()
        told: dict[str, dict[PositionKey, float]] = {}

        async def ask(client: Asking) -> None:
            if take_back is not None:
                await self._clear(client, take_back, reading)
            held = await self._try(client.positions, lambda why: reading.silent.__setitem__(client.name, why))
            if held is not None:
                told[client.name] = dict(held.balances)
            if marks:
                values = await self._try(client.marks, lambda why: reading.trouble.__setitem__(client.name, why))
                reading.marks.update(values or {})

        async with trio.open_nursery() as nursery:
            for client in self.clients:
                nursery.start_soon(ask, client)
        self._last.update(told)
        self.told.update(told.keys())
        self._marks.update(reading.marks)
        reading.marks = {**self._marks, **reading.marks}
        reading.positions = {
            key: amount for client in self.clients for key, amount in sorted(self._last.get(client.name, {}).items())
        }
        reading.unknown = frozenset(name for name in reading.silent if name not in self._last)
        return reading

    def terms_of(self, venue: VenueName) -> DoorTerms:
        """How slow the door is that answers for a venue of orders."""
        name = self.door_of(venue)
        return next((client.terms for client in self.clients if client.name == name), NO_WAIT)

    async def _clear(self, client: Asking, take_back: TakeBack, reading: Reading) -> None:
        """Takes back what rests; where that is paid for it is left to be done, and named."""

        def failed(why: str) -> None:
            reading.trouble[client.name] = f"open orders not cancelled: {why}"

        for resting in await self._try(client.open_orders, failed) or ():
            why = "" if client.terms.cancel_costs else await take_back(resting.key.venue, resting)
            if why:
                failed(why)
            if why or client.terms.cancel_costs:
                reading.resting[resting.order_id or resting.reference] = client.name

    async def _try(self, question: Callable[[], Awaitable[T]], failed: Callable[[str], None]) -> T | None:
        try:
            with trio.fail_after(self._timeout):
                return await question()
        except (Unavailable, trio.TooSlowError) as error:
            failed("no answer in time" if isinstance(error, trio.TooSlowError) else error.message)
            return None
