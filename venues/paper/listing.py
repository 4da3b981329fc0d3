"""What venues did on their own, as they list it: one ever growing list per door, under the venues' own ids.

An id is made from what the item is and its venue stamp, never from when it was read: the same run lists the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from components.model.events import EventType
from components.model.keys import PositionKey, VenueName
from components.model.market import Window
from components.ports import CashFlows, Happening, Settlements
from venues.interfaces import Settled, SettledPage
from venues.paper.packed import PackedList

NAMES = {
    EventType.TRANSFER_ARRIVED: "arrival",
    EventType.REWARD: "reward",
    EventType.LIQUIDATION: "liquidation",
    EventType.SETTLED_PROFIT: "settled_profit",
    EventType.DEPOSIT: "deposit",
    EventType.WITHDRAWAL_REQUESTED: "withdrawal_requested",
}


class Listed(msgspec.Struct, frozen=True):
    """One item in the list of a door; `foreign` ones have a list of their own."""

    door: str
    foreign: bool
    item: Settled


class Listing:
    def __init__(self, doors: tuple[str, ...]) -> None:
        self._lists = {(door, foreign): PackedList(Settled) for door in doors for foreign in (False, True)}
        self._ids: dict[tuple[str, bool], dict[str, None]] = {key: {} for key in self._lists}  # of what is no payment

    def add(self, door: str, item: Settled, *, foreign: bool = False) -> None:
        self._lists[door, foreign].append(item)
        if not item.cash:
            self._ids[door, foreign][item.id] = None

    def take(self, listed: Listed) -> None:
        self.add(listed.door, listed.item, foreign=listed.foreign)

    def has(self, door: str, item_id: str, *, foreign: bool = False) -> bool:
        """Whether something that is asked for by somebody was listed: payments come by themselves."""
        return item_id in self._ids[door, foreign]

    def page(self, door: str, cursor: int, *, foreign: bool, limit: int | None = None) -> SettledPage:
        """Items from number `cursor` on, at most `limit`."""
        items = self._lists[door, foreign]
        stop = len(items) if limit is None else min(len(items), cursor + limit)
        return SettledPage(tuple(items[cursor:stop]), max(cursor, stop))

    def marks(self) -> tuple[int, ...]:
        """How long each list is."""
        return tuple(len(items) for items in self._lists.values())

    def since(self, marks: tuple[int, ...]) -> tuple[Listed, ...]:
        """What came after these lengths; () = from the beginning."""
        starts = marks or (0,) * len(self._lists)
        return tuple(
            Listed(door, foreign, item)
            for ((door, foreign), items), start in zip(self._lists.items(), starts, strict=True)
            for item in items[start:]
        )


def items_of(window: Window, settlements: Settlements, asset: str) -> list[Settled]:
    """The settlements of a window as single items, row by row; on a row happenings come before cash."""
    first = int(window.timestamps[0])
    found = [(0, 0, _happened(happening, first)) for happening in settlements.happenings]
    for source, flow in enumerate(settlements.cash, start=1):
        for i, row in enumerate(flow.row.tolist()):
            found.append((row, source, _paid(flow, i, int(window.timestamps[row]), asset)))
    return [item for _, _, item in sorted(found, key=lambda each: each[:2])]


def foreign_item(
    id: str,
    kind: EventType,
    venue: VenueName,
    token: str,
    amount: float,
    changes: Mapping[PositionKey, float],
    at: int,
) -> Settled:
    """Something that somebody else did with this account."""
    return Settled(
        id=f"foreign/{id}/{kind.value}",
        venue=venue,
        at=at,
        known_at=at,
        event_type=kind,
        token=token,
        amount=amount,
        changes=changes,
        part=None,
        detail="by a foreign hand",
    )


def _happened(happening: Happening, known_at: int) -> Settled:
    what = happening.detail if happening.event_type in (EventType.DEPOSIT, EventType.WITHDRAWAL_REQUESTED) else ""
    if happening.arrived is not None:
        what = happening.arrived.id
    if not what:
        what = f"{happening.token}/{happening.at}"
    return Settled(
        id=f"{happening.venue}/{NAMES[happening.event_type]}/{what}",
        venue=happening.venue,
        at=happening.at,
        known_at=known_at,
        event_type=happening.event_type,
        token=happening.token,
        amount=happening.amount,
        changes=happening.changes,
        part=happening.part,
        detail=happening.detail,
        arrived=happening.arrived,
    )


def _paid(flow: CashFlows, i: int, known_at: int, asset: str) -> Settled:
    at, amount = int(flow.at[i]), float(flow.amount[i])
    what = f"funding/{asset}USDT" if flow.event_type is EventType.FUNDING else f"{flow.event_type.value}/{flow.token}"
    return Settled(
        id=f"{flow.key.venue}/{what}/{at}",
        venue=flow.key.venue,
        at=at,
        known_at=known_at,
        event_type=flow.event_type,
        token=flow.token,
        amount=amount,
        changes={flow.key: amount},
        part=flow.part,
        detail=flow.detail,
        cash=True,
    )
