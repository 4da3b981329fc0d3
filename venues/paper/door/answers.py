"""What a door tells about balances, open orders and the items it lists, as the faults of the moment colour it.

A fault counts as fired only when the answer differs from the truth.
"""

from __future__ import annotations

from components.model.keys import PositionKey, VenueName
from venues.interfaces import RestingOrder, SettledPage
from venues.paper.account import PaperAccount
from venues.paper.door.faults import SECOND_NS, FaultPlan

LAGGING = ("balance_lag", "rpc_behind")


class Answers:
    def __init__(self, door: VenueName, account: PaperAccount, plan: FaultPlan) -> None:
        self._door = door
        self._account = account
        self._plan = plan
        self._dropped: dict[str, None] = {}

    def positions(self, now: int) -> dict[PositionKey, float]:
        truth = self._account.positions(self._door)
        told = truth
        for kind in LAGGING:
            fault = self._plan.find(kind, self._door, now, "positions")
            if fault is None:
                continue
            until = now - int(fault.number("lag_s") * SECOND_NS)
            old = self._account.positions(self._door, until=until)
            if old != truth:
                self._plan.note(fault)
                told = old
        fault = self._plan.find("wrong_position", self._door, now, "positions")
        if fault is not None:
            key = next((each for each, amount in told.items() if amount), None)
            if key is not None:
                self._plan.note(fault)
                told = {**told, key: told[key] * fault.number("factor")}
        return told

    def stamp(self, now: int) -> int:
        """What the venue's own clock says (UTC ns)."""
        fault = self._plan.hit("clock_skew", self._door, now, "positions")
        return now + int(fault.number("skew_s") * SECOND_NS) if fault else now

    def open_orders(self, now: int, waiting: tuple[RestingOrder, ...]) -> tuple[RestingOrder, ...]:
        found = (*self._account.open_orders(self._door), *waiting)
        if found and self._plan.hit("open_orders_truncated", self._door, now, "open_orders"):
            return found[: len(found) // 2]
        return found

    def settled(self, cursor: int, now: int) -> SettledPage:
        page = self._account.settled(self._door, cursor)
        if not page.items:
            return page
        if self._plan.hit("mute_stream", self._door, now, "settled"):
            return SettledPage((), cursor)
        items = page.items
        if fault := self._plan.find("dropped_frame", self._door, now, "settled"):
            fresh = [item.id for item in items if item.id not in self._dropped]
            if fresh:
                self._plan.note(fault)
                items = tuple(item for item in items if item.id in self._dropped)
                self._dropped.update(dict.fromkeys(fresh))
        if len(items) > 1 and self._plan.hit("reordered_frame", self._door, now, "settled"):
            items = items[::-1]
        if items and self._plan.hit("duplicate_frame", self._door, now, "settled"):
            items = tuple(item for item in items for _ in range(2))
        return SettledPage(items, page.cursor)
