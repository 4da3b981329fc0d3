"""How a cell begins: from what its journal says to a state that is durable again, with nothing in flight unasked.

It runs once, before the first row; what the journal says was read before (`recovery`). Afterwards journal and core
agree: the last record is a snapshot, and the next start has to read no further back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from components.model.events import EventType
from components.model.orders import Order
from components.ports import Happening
from daemon.journal.codec import encode
from daemon.journal.records import Manifest, Note, Outcome, StepEnd
from daemon.orders.outcomes import late_of, state_of
from daemon.recorded.recovery import Recovered
from daemon.recorded.steps import hash_of
from daemon.replica import CellState

if TYPE_CHECKING:
    from daemon.cells.cell import Cell

log = structlog.get_logger()


async def begin(cell: Cell, recovered: Recovered, capital: float, at: int) -> None:
    """Recovers: state, what was in flight, what nobody has booked. Durable when it returns."""
    cell.become(CellState.RECOVERING)
    core = cell.core
    if recovered.state is not None:
        core.restore(recovered.state)
        cell.actor.previous = recovered.previous
    if recovered.not_repeated:
        told = f"{recovered.not_repeated} steps of other code do not repeat; what they did is booked with the next row"
        _note(cell, "steps.unbooked", told, at)
    if recovered.cut_tick is not None:
        _note(cell, "step.cut", f"the step of tick {recovered.cut_tick} was cut short; it is not resumed", at)
    cell.journal.append(_manifest(cell, recovered.state_hash))
    if recovered.state is None:
        gas = 0.0 if cell.run_slice.mode.costs == "none" else cell.run_slice.mode.gas_reserve
        core.start(core.strategy.initial(capital, gas), capital, at)
        for record in cell.ports.drain():
            cell.journal.append(record)
    state = encode(core.state())
    cell.actor.state_hash = hash_of(state)
    cell.journal.append(StepEnd(tick=-1, timestamp=at, state_hash=cell.actor.state_hash, state=state))
    await _ask_after(cell, recovered.uncertain)
    cell.journal.append(recovered.unbooked.snapshot(at, recovered.previous, recovered.last_tick))
    await cell.journal.commit()


async def _ask_after(cell: Cell, orders: list[Order]) -> None:
    """Orders of a step that was cut short, outcome unknown: asked now, uncertain if nobody says."""
    answers = await cell.dispatch.ask_all(orders, cell.run_slice.exchanges)
    for order in orders:
        trade = answers.get(order.id)
        happening = late_of(order, trade)
        cell.journal.append(
            Outcome(
                at=cell.around.clock.now(),
                order_id=order.id,
                state=state_of(trade).value,
                trade=trade,
                origin="recovered",
                reason=trade.reason if trade is not None else "nobody says",
            )
        )
        if happening is None:
            happening = Happening(
                event_type=EventType.ORDER_UNKNOWN,
                at=cell.around.clock.now(),
                venue=order.venue,
                token=order.token,
                amount=0.0,
                changes={},
                part=None,
                detail=f"{order.id} was sent before the restart; its outcome is not known",
                unknown=order,
            )
        cell.actor.unbooked.late[order.id] = happening


def _manifest(cell: Cell, state_hash: str) -> Manifest:
    about = cell.around.provenance
    return Manifest(
        epoch=cell.epoch,
        strategy=cell.strategy,
        version=about.get("version", ""),
        code_hash=about.get("code_hash", ""),
        config_hash=cell.run_slice.config_hash,
        data_hash=about.get("data_hash", ""),
        numpy=about.get("numpy", ""),
        platform=about.get("platform", ""),
        config=encode(cell.run_slice),
        state_hash=state_hash,
    )


def _note(cell: Cell, kind: str, detail: str, at: int) -> None:
    cell.journal.append(Note(at=at, kind=kind, detail=detail))
    log.info(kind, strategy=cell.strategy, detail=detail)
