"""The picture a cell publishes of itself, taken between steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.model.awaited import Unsellable, Unvalued
from components.model.errors import BasisError
from components.model.keys import WALLET, base_token
from components.model.orders import Order
from components.utility_manager import UtilityManager
from daemon.cells.observed import observed_columns, without_ratios
from daemon.orders.terms import price_usdt
from daemon.replica import LEVELS, CellState, OpenOrder, Replica
from daemon.safety.flat import unsellable_of, unvalued_of, worth
from daemon.world.rows import window_of

if TYPE_CHECKING:
    from daemon.cells.cell import Cell


def picture(cell: Cell) -> Replica:
    """An immutable picture of a cell as of its last row."""
    core, row, actor = cell.core, cell.last_row, cell.actor
    head = cell.journal.head
    latched = cell.state is CellState.LATCHED
    columns, columns_at = _observed_columns(cell) if latched else (dict(actor.row), None)
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
        owed=core.manager.owed,
        pnl={**core.pnl.sums, "residual": core.pnl.residual},
        unexplained=actor.row.get("unexplained", 0.0),
        columns=columns,
        columns_at=columns_at,
        risk_levels={name: LEVELS[level] for name, level in core.risk.levels().items()},
        positions={str(key): amount for key, amount in core.positions.snapshot().items()},
        observed=_reported(cell),
        prices=dict(row.values) if row else {},
        ages_s=dict(row.ages_s) if row else {},
        uncertain=tuple(_open(order, cell) for order in core.positions.doubts.values()),
        contracts=cell.authority.contracts,
        venues=cell.observer.states(),
        withheld=withheld(cell),
        phase=cell.closing.phase,
        awaited=cell.closing.awaited if latched else core.manager.awaited,
        unvalued=_unvalued(cell),
        unsellable=_unsellable(cell) if latched else (),
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


def _reported(cell: Cell) -> dict[str, float]:
    """What venues that have answered say is held, with a 0 for what our book has there and they have not."""
    told = {str(key): amount for key, amount in cell.observer.observed().items() if amount}
    answered = {
        name for view in cell.observer.views.values() if view.positions_at is not None for name in view.client.venues
    }
    gone = {str(key): 0.0 for key in cell.core.positions.snapshot() if key.venue in answered}
    return gone | told


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


def _unsellable(cell: Cell) -> tuple[Unsellable, ...]:
    """Coins that closing leaves, of those that the venues hold; a daemon that starts under a latch knows them too."""
    row = cell.last_row
    if row is None:
        return cell.closing.unsellable
    return unsellable_of(cell.run_slice, window_of(row, None).row(0), cell.observer.observed())


def withheld(cell: Cell) -> tuple[str, ...]:
    """What the last step stood under, with a pause that came or went since."""
    standing = cell.actor.standing
    paused = () if cell.paused is None else (str(cell.paused),)
    lifted = None if cell.lifted is None else str(cell.lifted)
    reasons = dict.fromkeys((*paused, *standing.no_trade, *standing.no_risk))
    return tuple(reason for reason in reasons if reason != lifted)


def _observed_columns(cell: Cell) -> tuple[dict[str, float], int | None]:
    """The last step's columns with the ratios that hold now, and when venues last reported all that is held; without
    those ratios while they do not."""
    rest = without_ratios(cell.actor.row)
    row, views = cell.last_row, cell.observer.views.values()
    reported = [view.positions_at for view in views if view.positions_at is not None]
    if row is None or len(reported) < len(views):
        return rest, None
    try:
        return rest | observed_columns(cell.run_slice, row, cell.observer.observed()), min(reported, default=None)
    except (KeyError, BasisError):  # something is held that this strategy knows no price of
        return rest, None


def _open(order: Order, cell: Cell) -> OpenOrder:
    return OpenOrder(
        id=order.id,
        venue=order.venue,
        verb=order.verb.value,
        token=order.token,
        amount=order.amount,
        notional_usdt=_notional_usdt(order, cell),
        sent_at=cell.dispatch.sent_at.get(order.id),
        reason="outcome not known",
    )


def _notional_usdt(order: Order, cell: Cell) -> float | None:
    """What an order is worth at the last row; None where no price of its token is known."""
    row = cell.last_row
    if row is None:
        return None
    own = price_usdt(order, row)
    if own is not None:
        return abs(order.amount) * own
    try:
        at = window_of(row, None).row(0)
        return abs(order.amount) * UtilityManager("USDT").value_at(at, base_token(WALLET, order.token))
    except (KeyError, BasisError):
        return None
