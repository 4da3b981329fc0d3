"""Simulated venues in another process, as seen from ours: a VenueClient per door, and the account's controls.

The other process outlives ours, so kill tests can ask it afterwards what really happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import trio

from components.model.keys import PositionKey, VenueName
from components.model.orders import OrderGroup, Trade, Verb
from venues.clock import Clock
from venues.interfaces import (
    NO_WAIT,
    DoorTerms,
    NotSent,
    OrderReport,
    OutcomeUnknown,
    PositionsReport,
    RestingOrder,
    SentOrder,
    SettledPage,
    Unavailable,
)
from venues.paper.chain.state import ChainTerms, terms_of
from venues.paper.codec import decode, encode
from venues.paper.door.door import served_by
from venues.paper.door.faults import CHAIN, Fault, FaultReport
from venues.paper.remote.wire import Answer, Call, raised, receive, send, value_of
from venues.paper.truth import Truth


class Gone(Exception):
    """No answer from the other process; `left` when the request may have reached it."""

    def __init__(self, message: str, *, left: bool) -> None:
        super().__init__(message)
        self.left = left


class RemoteVenue:
    """One door in another process; a VenueClient."""

    def __init__(self, path: str, account: str, door: VenueName, clock: Clock, *, speed: float = 1.0) -> None:
        self._line = Line(path, account, door, clock)
        self._door = door
        self._terms = terms_of(ChainTerms(), speed) if door == CHAIN else NO_WAIT

    def __repr__(self) -> str:
        return f"<RemoteVenue {self._door}>"

    @property
    def name(self) -> VenueName:
        return self._door

    @property
    def venues(self) -> frozenset[VenueName]:
        return served_by(self._door)

    @property
    def terms(self) -> DoorTerms:
        return self._terms

    async def submit(self, group: OrderGroup) -> tuple[Trade, ...]:
        return cast(tuple[Trade, ...], await self._change("submit", group))

    async def cancel(self, sent: SentOrder) -> OrderReport:
        return cast(OrderReport, await self._change("cancel", sent))

    async def cancel_resting(self, resting: RestingOrder) -> None:
        await self._change("cancel_resting", resting)

    async def query(self, sent: SentOrder) -> OrderReport:
        return cast(OrderReport, await self._line.question("query", sent))

    async def open_orders(self) -> tuple[RestingOrder, ...]:
        return cast(tuple[RestingOrder, ...], await self._line.question("open_orders"))

    async def positions(self) -> PositionsReport:
        return cast(PositionsReport, await self._line.question("positions"))

    async def marks(self) -> Mapping[str, float]:
        return cast(Mapping[str, float], await self._line.question("marks"))

    async def settled(self, cursor: int) -> SettledPage:
        return cast(SettledPage, await self._line.question("settled", cursor))

    async def foreign(self, cursor: int) -> SettledPage:
        return cast(SettledPage, await self._line.question("foreign", cursor))

    async def _change(self, method: str, argument: object) -> object:
        try:
            return await self._line.call(method, argument)
        except Gone as gone:
            if gone.left:
                raise OutcomeUnknown(str(gone), venue=self._door) from gone
            raise NotSent(str(gone), venue=self._door) from gone


class RemoteAccount:
    """The controls of one account in another process; Unavailable when that does not answer."""

    def __init__(self, path: str, account: str, clock: Clock) -> None:
        self._line = Line(path, account, "", clock)

    async def doors(self) -> tuple[str, ...]:
        return cast(tuple[str, ...], await self._line.question("doors"))

    async def advance_to(self, row: int) -> int:
        return cast(int, await self._line.question("advance_to", row))

    async def deposit(self, id: str, amount: float, at: int) -> None:
        await self._line.question("deposit", id, amount, at)

    async def withdrawal(self, id: str, amount: float, at: int) -> None:
        await self._line.question("withdrawal", id, amount, at)

    async def truth(self) -> Truth:
        return cast(Truth, await self._line.question("truth"))

    async def foreign_trade(self, id: str, venue: VenueName, verb: Verb, coin: str, quantity: float, at: int) -> Trade:
        return cast(Trade, await self._line.question("foreign_trade", id, venue, verb, coin, quantity, at))

    async def foreign_order(self, id: str, key: PositionKey, left: float) -> None:
        await self._line.question("foreign_order", id, key, left)

    async def foreign_transfer(
        self, id: str, source: PositionKey | None, target: PositionKey | None, amount: float, at: int
    ) -> None:
        await self._line.question("foreign_transfer", id, source, target, amount, at)

    async def add_fault(self, fault: Fault) -> None:
        await self._line.question("add_fault", fault)

    async def heal(self) -> None:
        await self._line.question("heal")

    async def fault_report(self) -> FaultReport:
        return cast(FaultReport, await self._line.question("fault_report"))


class Line:
    """Calls to one account; each has a connection of its own, so one that hangs holds up no other."""

    def __init__(self, path: str, account: str, door: str, clock: Clock) -> None:
        self._path = path
        self._account = account
        self._door = door
        self._clock = clock

    async def question(self, method: str, *arguments: object) -> Any:
        try:
            return await self.call(method, *arguments)
        except Gone as gone:
            raise Unavailable(str(gone), venue=self._door or self._account) from gone

    async def call(self, method: str, *arguments: object) -> Any:
        """The answer; the error that the other end raised; Gone when there is no answer."""
        call = Call(
            account=self._account,
            door=self._door,
            method=method,
            now=self._clock.now(),
            arguments=tuple(encode(each) for each in arguments),
        )
        try:
            stream = await trio.open_unix_socket(self._path)
        except OSError as error:
            raise Gone("the process of the simulated venues is not there", left=False) from error
        async with stream:
            try:
                await send(stream, call)
                frame = await receive(stream)
            except trio.BrokenResourceError as error:
                raise Gone("the process of the simulated venues broke off", left=True) from error
        if frame is None:
            raise Gone("the process of the simulated venues ended before it answered", left=True)
        answer = decode(frame, Answer)
        if answer.failure is not None:
            raise raised(answer.failure, self._door or self._account)
        return value_of(answer, method)


def remote_doors(
    path: str, account: str, names: tuple[str, ...], clock: Clock, *, speed: float = 1.0
) -> dict[str, RemoteVenue]:
    """A client for every door of an account in another process; `speed` is that of the clock."""
    return {name: RemoteVenue(path, account, name, clock, speed=speed) for name in names}
