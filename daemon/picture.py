"""The picture a cell publishes of itself, taken between steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.model.orders import Order
from daemon.replica import OpenOrder, Replica

if TYPE_CHECKING:
    from daemon.cell import Cell

LEVELS = ("ok", "warning", "critical")


def picture(cell: Cell) -> Replica:
    """An immutable picture of a cell as of its last row."""
    core, row, actor = cell.core, cell.last_row, cell.actor
    head = cell.journal.head
    return Replica(
        strategy=cell.strategy,
        mode=cell.run_slice.mode.mode,
        share_class=cell.run_slice.mode.share_class,
        account=cell.account,
        state=cell.state,
        reason=cell.reason,
        epoch=cell.epoch,
        tick=row.tick if row else None,
        timestamp=row.timestamp if row else None,
        step=core.events.step,
        interval_s=cell.run_slice.mode.time_throttle_interval,
        equity=core.pnl.equity if actor.previous is not None else None,
        initial=core.pnl.initial,
        external_flows=core.pnl.external_flows,
        pnl={**core.pnl.sums, "residual": core.pnl.residual},
        unexplained=actor.row.get("unexplained", 0.0),
        columns=dict(actor.row),
        risk_levels={name: LEVELS[level] for name, level in core.risk.levels().items()},
        positions={str(key): amount for key, amount in core.positions.snapshot().items()},
        observed={str(key): amount for key, amount in cell.observer.observed().items() if amount},
        prices=dict(row.values) if row else {},
        ages_s=dict(row.ages_s) if row else {},
        uncertain=tuple(_open(order, row.timestamp if row else 0) for order in core.positions.doubts.values()),
        contracts=cell.authority.contracts,
        venues=cell.observer.states(),
        withheld=(*actor.standing.no_trade, *actor.standing.no_risk),
        ticks=cell.ticks,
        missed=cell.missed,
        skipped=cell.skipped,
        restarts=cell.restarts,
        trades=core.trades,
        events=core.events.order,
        journal_sequence=head.sequence,
        journal_hash=head.hash,
        heartbeat=cell.heartbeat,
        step_s=cell.last_step_s,
        mailboxes={"rows": cell.mailbox.depth},
    )


def _open(order: Order, at: int) -> OpenOrder:
    return OpenOrder(
        id=order.id,
        venue=order.venue,
        verb=order.verb.value,
        token=order.token,
        amount=order.amount,
        notional_usdt=None,
        sent_at=at,
        reason="outcome not known",
    )
