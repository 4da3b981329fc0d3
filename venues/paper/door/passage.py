"""The way of one request to a simulated venue and back, with latency and faults.

Theory of operation. A request goes through four stages: *connect* (a failure here means nothing left), *travel* (from
here on the venue may get it; a caller that gives up does not stop it), *arrive* (the venue refuses it whole, or acts on
it; no await in between, so every snapshot is consistent), and *return* (whatever fails here, the venue has acted). A
failure before the venue acted is `Refused`, one after it `Lost`. Latency is process time (`trio.sleep`), faults are
market time (the clock).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import msgspec
import trio

from components.model.keys import VenueName
from components.model.orders import OrderId
from venues.clock import Clock
from venues.embedded.streams import stream
from venues.paper.account import PaperAccount
from venues.paper.door.faults import Fault, FaultPlan
from venues.paper.store import LedgerFailed

T = TypeVar("T")
UNREACHED = {
    "connect_refused": "connection refused",
    "dns_failure": "name not found",
    "tls_failure": "TLS handshake failed",
    "reset_before_send": "connection reset before anything was sent",
}
TURNED_AWAY = {
    "rate_limited": "429 too many requests",
    "banned": "418 banned",
    "maintenance": "503 maintenance",
    "key_revoked": "401 the API key is not valid",
    "error_before_accept": "500 internal error, request not processed",
}
AFTERWARDS = {
    "reset_after_send": "connection reset while waiting for the answer",
    "error_after_accept": "502 bad gateway",
    "unknown_status": "-1007 timeout waiting for a response; status unknown",
    "truncated_json": "the answer ends in the middle",
}
BUDGET_SPAN_S = 60.0


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """How a door behaves without faults: round trip in seconds of process time (median, and spread of its logarithm),
    and how many requests a minute it takes."""

    latency_s: float = 0.05
    spread: float = 0.3
    requests_per_minute: int = 6000


class Refused(Exception):
    """The venue surely did not act."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Lost(Exception):
    """The venue may have acted; the answer is lost. That is found out after `wait_s` of process time."""

    def __init__(self, message: str, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class Passage:
    def __init__(
        self, door: VenueName, account: PaperAccount, clock: Clock, plan: FaultPlan, seed: int, profile: Profile
    ) -> None:
        self._name = door
        self._account = account
        self._clock = clock
        self._plan = plan
        self._profile = profile
        self._draw = stream(seed, f"latency {door}")
        self._recent: deque[float] = deque()
        self.travelling: list[OrderId] = []
        self.requests: dict[str, int] = {}
        self.refusals: dict[str, int] = {}

    async def request(self, endpoint: str, ids: tuple[OrderId, ...], act: Callable[[], T]) -> T:
        """Lets the venue `act` and returns its answer; `ids` name the orders that the request changes, if any."""
        await trio.lowlevel.checkpoint_if_cancelled()
        self.requests[endpoint] = self.requests.get(endpoint, 0) + 1
        way = self._round_trip(endpoint) / 2.0
        await self._connect(endpoint, way)
        if fault := self._hit("half_open", endpoint, in_flight=bool(ids)):
            await trio.sleep(fault.number("detect_s"))
            raise Lost("no answer and no acknowledgement: the connection is dead")
        if fault := self._hit("black_hole", endpoint, in_flight=bool(ids)):
            await self._vanish(fault, endpoint, ids, act)
        arrived = False
        self.travelling.extend(ids)
        try:
            await trio.sleep(way)
            arrived = True
        finally:
            for each in ids:
                self.travelling.remove(each)
            if ids and not arrived:  # the bytes have left: the venue works on them whoever still listens
                self._unheard(endpoint, act)
        try:
            answer = self._arrive(endpoint, ids, act)
        except (Refused, Lost) as error:
            await trio.sleep(way + (error.wait_s if isinstance(error, Lost) else 0.0))
            raise
        if ids and (fault := self._hit("late_ack", endpoint, in_flight=True)):
            way += fault.number("delay_s")
        await trio.sleep(way)
        return answer

    async def _connect(self, endpoint: str, way: float) -> None:
        for kind, message in UNREACHED.items():
            if self._hit(kind, endpoint):
                await trio.sleep(way)
                raise Refused(message)

    async def _vanish(self, fault: Fault, endpoint: str, ids: tuple[OrderId, ...], act: Callable[[], T]) -> None:
        """Hangs until the fault ends, or the caller gives up; the request arrives now, then, or never."""
        match fault.word("arrives"):
            case "at_once" if ids:
                self._unheard(endpoint, act)
            case "late" if ids:
                self._account.pending.add(fault.ends, ids, lambda: self._unheard(endpoint, act))
        await self._clock.sleep_until(fault.ends)
        raise Lost("connection timed out")

    def _arrive(self, endpoint: str, ids: tuple[OrderId, ...], act: Callable[[], T]) -> T:
        """At the venue: turned away whole, or done; Lost when the answer will not get back."""
        self._account.pending.deliver(self._now())
        self._admit(endpoint)
        for kind in ("reset_after_send", "unknown_status"):
            fault = self._plan.find(kind, self._name, self._now(), endpoint)
            if fault is not None and fault.word("arrives") == "no":
                self._plan.note(fault, in_flight=bool(ids))
                raise Lost(AFTERWARDS[kind])
        answer = self._acted(act)
        for kind, message in AFTERWARDS.items():
            if self._hit(kind, endpoint, in_flight=bool(ids)):
                raise Lost(message)
        if endpoint == "submit" and self._hit("duplicate_id", endpoint, in_flight=True):
            raise Lost("the client order id was used before")
        return answer

    def _admit(self, endpoint: str) -> None:
        """Refused when the venue does not take requests now, or took enough of them."""
        if self._account.ledger is not None and self._account.ledger.failed:
            raise Refused("the ledger of the simulated venues cannot be written")
        now = trio.current_time()
        while self._recent and self._recent[0] <= now - BUDGET_SPAN_S:
            self._recent.popleft()
        self._recent.append(now)
        refusal: Refused | None = None
        if len(self._recent) > self._profile.requests_per_minute:
            refusal = Refused("429 too many requests", self._recent[0] + BUDGET_SPAN_S - now)
        for kind, message in TURNED_AWAY.items():
            if refusal is None and (fault := self._hit(kind, endpoint)):
                refusal = Refused(message, fault.number("retry_after_s") or None)
        if refusal is not None:
            self.refusals[endpoint] = self.refusals.get(endpoint, 0) + 1
            raise refusal

    def _acted(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except LedgerFailed as error:
            raise Lost(error.message) from error

    def _unheard(self, endpoint: str, act: Callable[[], object]) -> None:
        """Acts on a request whose answer nobody will read."""
        with suppress(Refused, Lost):
            self._admit(endpoint)
            self._acted(act)

    def _round_trip(self, endpoint: str) -> float:
        seconds = self._profile.latency_s * float(self._draw.lognormal(0.0, self._profile.spread))
        fault = self._hit("latency", endpoint, in_flight=endpoint == "submit")
        return seconds * (fault.number("factor") if fault else 1.0)

    def _hit(self, kind: str, endpoint: str, *, in_flight: bool = False) -> Fault | None:
        return self._plan.hit(kind, self._name, self._now(), endpoint, in_flight=in_flight)

    def _now(self) -> int:
        return self._clock.now()
