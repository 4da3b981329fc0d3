"""How a cell begins: from what its journal says to a state that is durable again, with nothing in flight unasked.

It runs once, before the first row; what the journal says was read before (`recovery`). Afterwards journal and core
agree: the last record is a snapshot, and the next start has to read no further back.
"""

from __future__ import annotations

import msgspec
import structlog

from components.model.events import EventType
from components.model.orders import Order, OrderState
from components.ports import Happening
from daemon.cells.core_actor import CoreActor
from daemon.cells.desk import Desk
from daemon.journal.codec import encode
from daemon.journal.records import Manifest, Note, StepEnd
from daemon.orders.keeper import kept_by
from daemon.orders.outcomes import late_of, outcome_of
from daemon.recorded.recovery import Recovered
from daemon.recorded.steps import hash_of
from daemon.replica import CellState

log = structlog.get_logger()


async def begin(desk: Desk, actor: CoreActor, recovered: Recovered, capital: float, at: int) -> None:
    """Recovers: state, what was in flight, what nobody has booked. Durable when it returns."""
    desk.become(CellState.RECOVERING)
    core = actor.core
    if recovered.state is not None:
        core.restore(recovered.state)
        actor.previous = recovered.previous
    if recovered.not_repeated:
        told = f"{recovered.not_repeated} steps of other code do not repeat; what they did is booked with the next row"
        _note(desk, "steps.unbooked", told, at)
    if recovered.cut_tick is not None:
        _note(desk, "step.cut", f"the step of tick {recovered.cut_tick} was cut short; it is not resumed", at)
    desk.journal.append(_manifest(desk, recovered.state_hash))
    if recovered.state is None:
        gas = 0.0 if desk.run.mode.costs == "none" else desk.run.mode.gas_reserve
        core.start(core.strategy.initial(capital, gas), capital, at)
        for record in actor.ports.drain():
            desk.journal.append(record)
    state = encode(core.state())
    actor.state_hash = hash_of(state)
    desk.journal.append(StepEnd(tick=-1, timestamp=at, state_hash=actor.state_hash, state=state))
    await _ask_after(desk, recovered.uncertain)
    snapshot = recovered.unbooked.snapshot(at, recovered.previous, recovered.last_tick)
    desk.journal.append(msgspec.structs.replace(snapshot, signed=kept_by(desk.clients)))
    await desk.journal.commit()


async def _ask_after(desk: Desk, orders: list[Order]) -> None:
    """Orders of a step that was cut short, outcome unknown: asked now, uncertain if nobody says."""
    answers = await desk.dispatch.ask_all(orders, desk.run.exchanges)
    for order in orders:
        trade = answers.get(order.id)
        happening = late_of(order, trade)
        now = desk.around.clock.now()
        desk.journal.append(outcome_of(order, trade, OrderState.UNKNOWN, at=now, origin="recovered"))
        if happening is None:
            happening = Happening(
                event_type=EventType.ORDER_UNKNOWN,
                at=desk.around.clock.now(),
                venue=order.venue,
                token=order.token,
                amount=0.0,
                changes={},
                part=None,
                detail=f"{order.id} was sent before the restart; its outcome is not known",
                unknown=order,
            )
        desk.unbooked.late[order.id] = happening


def _manifest(desk: Desk, state_hash: str) -> Manifest:
    about = desk.around.provenance
    return Manifest(
        epoch=desk.epoch,
        strategy=desk.strategy,
        version=about.get("version", ""),
        code_hash=about.get("code_hash", ""),
        config_hash=desk.run.config_hash,
        data_hash=about.get("data_hash", ""),
        numpy=about.get("numpy", ""),
        platform=about.get("platform", ""),
        config=encode(desk.run),
        state_hash=state_hash,
    )


def _note(desk: Desk, kind: str, detail: str, at: int) -> None:
    desk.journal.append(Note(at=at, kind=kind, detail=detail))
    log.info(kind, strategy=desk.strategy, detail=detail)
