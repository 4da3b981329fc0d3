"""Triggers: the first row of a window that needs an action, and all that its row asks for.

In order: risk, capital flows (and what arrived for a plan under way), what is still owed or was cut short, deviation,
dust. Each fires on a change, not on every row. What is done about one is the Strategy Manager's business.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from components.deviation import Deviation
from components.exposure_monitor import Exposure
from components.levels import CRITICAL, Crossing
from components.manager_state import ManagerState
from components.maths.columns import lowest
from components.model.events import EventType
from components.model.keys import GAS, RESERVE, PositionKey, PositionType, base_token, token_of
from components.model.measures import Kind, Measure
from components.model.requirements import reference_price
from components.model.slices import ModeSlice
from components.ports import Settlements
from components.risk_monitor import EMERGENCIES

FLOWS = {
    EventType.LIQUIDATION: "liquidated",
    EventType.TRANSFER_ARRIVED: "arrival",
    EventType.WITHDRAWAL_REQUESTED: "withdrawal",
    EventType.DEPOSIT: "deposit",
}
BARELY = 0.8  # of the smallest capital that works: what is left of one that began just above it
LEAST_COINS = 1e-9  # less of a leg than this is none
LEAST_USDT = 0.5  # less than this that is still owed is not paid on its own


class Trigger(msgspec.Struct, frozen=True):
    """Why row `row` of the window needs the manager: its kind, what to call it, the levels that rose, and what is to be
    brought back to its target."""

    row: int
    kind: str
    reason: str
    crossings: tuple[Crossing, ...] = ()
    measure: Measure | None = None


class Triggers:
    """Finds them; what it knows between two windows is the manager's, handed in as `state`."""

    def __init__(self, mode: ModeSlice, deviation: Deviation) -> None:
        self._mode = mode
        self._deviation = deviation
        self._auto = mode.rebalance == "auto"

    def first(
        self,
        state: ManagerState,
        exposure: Exposure,
        settlements: Settlements,
        crossing: Crossing | None,
        commands: tuple[str, ...] = (),
    ) -> Trigger | None:
        """The first row that needs an action; on one row risk comes before flows, flows before deviation, then dust."""
        again = int(exposure.window.timestamps.searchsorted(state.again_at))
        if not state.entered and again == 0 and not state.halted:
            return Trigger(0, "entry", "first row")
        found = [None if crossing is None else Trigger(crossing.row, "risk", crossing.name)]
        found += self._flows(state, settlements)
        found += _asked(state, commands)
        if state.blocked:
            found.append(Trigger(0, "blocked", "a stale leg"))
        if (state.entered or state.halted) and state.unfinished:
            found.append(Trigger(again, "retry", "cut short"))
        if not state.entered and not state.halted:
            found.append(Trigger(again, "entry", "first row"))
        found += [self._debt(state, exposure), self._shrunk(state, exposure)]
        if self._auto and state.entered and not state.halted and not state.dormant and state.plan is None:
            if deviation := self._deviation.first(exposure, state.held):
                found.append(off_target(*deviation))
            if (dust := self._deviation.dust(exposure, state.held)) is not None:
                found.append(Trigger(dust, "dust", "dust above threshold"))
        best: Trigger | None = None
        for trigger in found:
            if trigger is not None and (best is None or trigger.row < best.row):
                best = trigger
        return None if best is None or best.row >= len(exposure.window) else best

    def in_turn(
        self, state: ManagerState, first: Trigger, settlements: Settlements, commands: tuple[str, ...] = ()
    ) -> tuple[Trigger, ...]:
        """All that the row of `first` asks for, in order: no flow and no command is lost because something else came on
        its row."""
        flows = self._flows(state, settlements)
        match first.kind:
            case "risk":
                lost = next((flow for flow in flows if flow.kind == "liquidated"), None)
                if lost is not None and self._mode.hedge_allocation:
                    # A hedge that is gone comes before what is merely too thin: making it good thickens that too.
                    first = first if any(_outranks_a_loss(each) for each in first.crossings) else lost
                others = (flow for flow in flows if flow.kind != "liquidated")
                return (first, *others, *_asked(state, commands))
            case "entry" | "close":
                return (*(flow for flow in flows if flow.kind == "withdrawal"), first)
            case "arrival" | "deposit" | "withdrawal" | "liquidated":
                return (*flows, *_asked(state, commands))
            case _:
                return (first,)

    def _flows(self, state: ManagerState, settlements: Settlements) -> tuple[Trigger, ...]:
        """Liquidations, arrivals, withdrawals and deposits of the first row, one trigger for each kind, in this order:
        what came in on the row pays what is asked for on it, and only the net of both is put to work, or unwound."""
        found: dict[str, Trigger] = {}
        for happening in settlements.happenings:
            kind = FLOWS.get(happening.event_type)
            if kind == "liquidated" and not self._auto:
                continue
            if kind is not None and (kind != "deposit" or (self._auto and not state.halted)):
                found.setdefault(kind, Trigger(0, kind, happening.detail))
        return tuple(found[kind] for kind in FLOWS.values() if kind in found)

    def _debt(self, state: ManagerState, exposure: Exposure) -> Trigger | None:
        """What unwinding cost is still owed after a slow withdrawal: paid from the reserve as soon as that is enough,
        else worth another unwinding once a day."""
        if state.owed <= 0.0 or state.plan is not None or not state.entered:
            return None
        usdt = 1.0 if self._mode.share_class == "USDT" else exposure.window.row(0).value(reference_price("ETH"))
        key = base_token(RESERVE, self._mode.share_class)
        if exposure.book.quantities.get(key, 0.0) >= state.owed > LEAST_USDT / usdt:
            return Trigger(0, "owed", "still owed")
        if state.owed * usdt <= self._mode.minimum_trade_usdt:
            return None
        row = int(exposure.window.timestamps.searchsorted(state.retry_at.get("owed", 0)))
        return Trigger(row, "owed", "still owed")

    def _shrunk(self, state: ManagerState, exposure: Exposure) -> Trigger | None:
        """The first row on which what is left is clearly less than the smallest capital that works, although something
        is held: legs would be left out one by one."""
        floor = BARELY * state.least
        if floor <= 0.0 or state.halted or state.dormant or not state.entered or state.plan is not None:
            return None
        equity = exposure.equity - state.owed
        if lowest(equity) >= floor or is_flat(self._mode, exposure.book.quantities):
            return None
        reason = f"less is left than the {state.least:.6g} {self._mode.share_class} that work"
        return Trigger(int((equity < floor).argmax()), "too_small", reason)


def off_target(row: int, measure: Measure) -> Trigger:
    """What is held has moved from what is wanted; or somebody asks for it to be brought there."""
    return Trigger(row, "deviation", str(measure), measure=measure)


def _asked(state: ManagerState, commands: tuple[str, ...]) -> tuple[Trigger, ...]:
    wanted = "rebalance" in commands and state.entered and not (state.halted or state.dormant)
    return (off_target(0, Measure(Kind.ASKED)),) if wanted else ()


def is_flat(mode: ModeSlice, book: Mapping[PositionKey, float]) -> bool:
    """Whether nothing is held but cash, rewards and gas."""
    coin = mode.lst_type or mode.asset
    legs = (PositionType.PERP, PositionType.A_TOKEN, PositionType.DEBT_TOKEN)
    cash = "USDT" if mode.share_class == "USDT" else "ETH"
    return not any(
        abs(amount) > LEAST_COINS
        and (key.position_type in legs or (token_of(key) == coin != cash and key.venue != GAS))
        for key, amount in book.items()
    )


def _outranks_a_loss(crossing: Crossing) -> bool:
    """Whether a level that rose decides what is done on a row on which a venue liquidated something."""
    return crossing.level == CRITICAL and (crossing.measure.kind in EMERGENCIES or crossing.measure.kind is Kind.DELTA)
