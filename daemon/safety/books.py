"""What is known of an account beside what its venues say: empty where there is no core."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from components.model.keys import PositionKey
from components.model.orders import InFlight, Order, OrderId
from daemon.world.rows import MarketRow


class Books(msgspec.Struct, frozen=True, kw_only=True):
    row: MarketRow | None = None  # the last one
    in_flight: Mapping[str, InFlight] = {}
    uncertain: Mapping[OrderId, Order] = {}
    positions: Mapping[str, Mapping[PositionKey, float]] = {}  # by door, as last seen
