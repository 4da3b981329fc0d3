"""The picture a cell publishes of itself, taken between steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.model.awaited import Unvalued
from components.model.orders import Order
from daemon.flat import unvalued_of, worth
from daemon.replica import CellState, OpenOrder, Replica
from daemon.ticks import window_of

if TYPE_CHECKING:
    from daemon.cell import Cell

LEVELS = ("ok", "warning", "critical")


def picture(cell: Cell) -> Replica:
    """An immutable picture of a cell as of its last row."""
    core, row, actor = cell.core, cell.last_row, cell.actor
    head = cell.journal.head
    latched = cell.state is CellState.LATCHED
    equity = core.pnl.equity if actor.previous is not None else None
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
        equity=_observed_equity(cell) if latched else equity,
        equity_is_observed=latched,
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
        phase=cell.closing.phase,
        awaited=cell.closing.awaited,
        unvalued=_unvalued(cell),
        closing_error=cell.closing.error,
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


def _observed_equity(cell: Cell) -> float | None:
    """What the venues say is held, at the prices of the last row, tokens without a price left out; None until all of it
    is known."""
    views, row = cell.observer.views.values(), cell.last_row
    if row is None or any(view.positions_at is None for view in views):
        return None
    return worth(cell.run_slice, window_of(row, None).row(0), cell.observer.observed())


def _unvalued(cell: Cell) -> tuple[Unvalued, ...]:
    """Tokens without a price, of those that the book and the venues hold."""
    row = cell.last_row
    if row is None:
        return cell.closing.unvalued
    held = {**cell.core.positions.snapshot(), **cell.observer.observed()}
    keys = tuple(sorted(held))
    if keys != cell.priced_keys[0]:  # what is valued does not change from row to row
        found = unvalued_of(cell.run_slice, window_of(row, None).row(0), dict.fromkeys(held, 1.0))
        cell.priced_keys = keys, frozenset(each.key for each in found)
    return tuple(Unvalued(key=str(key), amount=held[key]) for key in keys if key in cell.priced_keys[1] and held[key])


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
