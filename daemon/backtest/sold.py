"""What positions would leave if they were sold now: a full exit at market ratios and depth, costs included.

Pure: positions and one row in, a figure out; nothing is sent. Book value says what is held by its oracle prices, this
says what is left of it; both are shown side by side wherever a result is told.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np

from components.model.errors import BasisError
from components.model.keys import TRANSIT, WALLET, PositionKey, PositionType, base_token
from components.model.market import Market, Provenance, Row
from components.model.orders import TradeStatus
from components.model.slices import RunSlice
from components.planner import Planner
from components.ports import Approved
from components.position_monitor import PositionMonitor
from components.routing.route import Route
from components.situation import Situation
from components.strategies.factory import make_strategy
from components.utility_manager import UtilityManager
from daemon.replica import Replica
from venues.sim.world import SimWorld

_PROVENANCE = Provenance(source="picture", data_hash="")


def exit_value(run: RunSlice, row: Row, held: Mapping[PositionKey, float]) -> float:
    """What is left of `held` after a full exit on `row`, share-class currency; nothing of it is in transit.

    A leg that cannot be sold, because its price is stale or its depth used up, counts at book value.
    """
    world = SimWorld(run, row.market)
    world.costs.waive_delays = True
    world.stand_at(held, row.index)
    positions = PositionMonitor()
    positions.place(held)
    now = Situation(run, row, positions, UtilityManager(run.mode.share_class))
    plan = Planner(run.mode, make_strategy(run.mode)).exit("liquidation value", now, step=0)
    for group in Route(plan, now, "liquidation-value", 0.0).groups():
        trades = world.execute(Approved(group))
        positions.expect(trades)
        if any(trade.status is not TradeStatus.FILLED for trade in trades):
            break
    return now.equity()


def exit_value_of(run: RunSlice, replica: Replica) -> float | None:
    """The same of a running strategy as of its last row; None while that is not known or something has no price.

    What is in transit counts as arrived: on chain where the mode goes there, else at the venue of its spot leg.
    """
    if replica.timestamp is None or not replica.prices or replica.equity is None:
        return None
    row = row_of(replica)
    place = WALLET if run.mode.lst_type is not None or run.mode.asset == "USDT" else run.mode.spot_venue
    held: dict[PositionKey, float] = {}
    for name, amount in (replica.observed if replica.equity_is_observed else replica.positions).items():
        key = PositionKey(name)
        if key.venue == TRANSIT and key.position_type is PositionType.BASE_TOKEN:
            key = base_token(place, key.symbol)
        held[key] = held.get(key, 0.0) + amount
    try:
        return exit_value(run, row, held)
    except (BasisError, LookupError, ValueError, ArithmeticError):
        return None  # something is held that this strategy knows no price of, or no way out of


class ExitValues:
    """Replicas with their exit values, each computed once: whoever asks often costs the daemon no more than one."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Replica, Replica]] = {}

    def of(self, run: RunSlice, replica: Replica) -> Replica:
        """The replica with what it would leave if it were sold now, beside its book value."""
        known = self._known.get(replica.strategy)
        if known is None or known[0] is not replica:
            valued = msgspec.structs.replace(replica, exit_value=exit_value_of(run, replica))
            known = self._known[replica.strategy] = (replica, valued)
        return known[1]


def row_of(replica: Replica) -> Row:
    """The last row of a strategy as a market of one row."""
    columns = {name: np.array([value]) for name, value in replica.prices.items()}
    return Row(Market(np.array([replica.timestamp or 0], dtype=np.int64), columns, provenance=_PROVENANCE), 0)
