"""What is known of an account beside what its venues say: empty where there is no core."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from components.model.keys import PositionKey
from components.model.orders import InFlight, Order, OrderId
from components.ports import Happening
from daemon.world.rows import MarketRow


class Books(msgspec.Struct, frozen=True, kw_only=True):
    row: MarketRow | None = None  # the last one
    in_flight: Mapping[str, InFlight] = {}
    uncertain: Mapping[OrderId, Order] = {}
    positions: Mapping[str, Mapping[PositionKey, float]] = {}  # by door, as last seen


def books_of(
    late: Iterable[Happening],
    *,
    in_flight: Mapping[str, InFlight],
    uncertain: Mapping[OrderId, Order],
    row: MarketRow | None = None,
    positions: Mapping[str, Mapping[PositionKey, float]] | None = None,
) -> Books:
    """What a core knew, and on top of it what no step has booked yet (`late`): what has left since, and which orders of
    a step that was cut nobody knows the outcome of."""
    known, travels = dict(uncertain), dict(in_flight)
    for each in late:
        if each.resolves is not None:
            known.pop(each.resolves, None)
        if each.unknown is not None:
            known[each.unknown.id] = each.unknown
        if each.departed is not None:
            travels[each.departed.id] = each.departed
    return Books(row=row, in_flight=travels, uncertain=known, positions=positions or {})
