"""The picture a cell publishes of itself, taken between steps."""

from __future__ import annotations

from collections.abc import Iterable

from components.model.awaited import Unsellable, Unvalued
from components.model.errors import BasisError
from components.model.keys import WALLET, PositionKey, base_token
from components.model.orders import Order
from components.model.slices import RunSlice
from components.utility_manager import UtilityManager
from daemon.cells.closing import Closing
from daemon.cells.core_actor import CoreActor
from daemon.cells.desk import Desk
from daemon.cells.observed import observed_columns, without_ratios
from daemon.orders.terms import price_usdt
from daemon.replica import LEVELS, CellState, Replica, UncertainOrder
from daemon.safety.flat import unsellable_of, unvalued_of, worth
from daemon.world.rows import MarketRow, window_of


class Unpriced:
    """Which keys have no price: what is valued does not change from row to row, so it is asked when the keys do."""

    def __init__(self) -> None:
        self._keys: tuple[PositionKey, ...] = ()
        self._found: tuple[PositionKey, ...] = ()

    def of(self, run: RunSlice, row: MarketRow, held: Iterable[PositionKey]) -> tuple[PositionKey, ...]:
        """Those of `held`, sorted."""
        keys = tuple(sorted(held))
        if keys != self._keys:
            none = {each.key for each in unvalued_of(run, window_of(row, None).row(0), dict.fromkeys(keys, 1.0))}
            self._keys, self._found = keys, tuple(key for key in keys if key in none)
        return self._found


def picture(desk: Desk, actor: CoreActor, closing: Closing, unpriced: Unpriced) -> Replica:
    """An immutable picture of a strategy as of its last row."""
    core, row, counts = actor.core, desk.last_row, desk.counts
    head = desk.journal.head
    latched = desk.state is CellState.LATCHED
    columns, columns_at = _observed_columns(desk, actor) if latched else (dict(actor.row), None)
    equity = core.pnl.equity if actor.previous is not None else None
    return Replica(
        strategy=desk.strategy,
        mode=desk.run.mode.mode,
        share_class=desk.run.mode.share_class,
        account=desk.name,
        state=desk.state,
        reason=desk.reason,
        epoch=desk.epoch,
        tick=row.tick if row else None,
        timestamp=row.timestamp if row else None,
        step=core.events.step,
        interval_s=desk.run.mode.time_throttle_interval,
        equity=_observed_equity(desk) if latched else equity,
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
        observed=_reported(desk, actor),
        prices=dict(row.values) if row else {},
        ages_s=dict(row.ages_s) if row else {},
        uncertain=tuple(_open(order, desk) for order in core.positions.uncertain.values()),
        contracts=desk.authority.contracts,
        venues=desk.observer.states(),
        withheld=withheld(desk, actor),
        phase=closing.phase,
        awaited=closing.awaited if latched else core.manager.awaited,
        unvalued=_unvalued(desk, actor, closing, unpriced),
        unsellable=_unsellable(desk, closing) if latched else (),
        closing_error=closing.error,
        ticks=counts.ticks,
        missed=counts.missed,
        skipped=counts.skipped,
        restarts=counts.restarts,
        trades=core.trades,
        events=core.events.sequence,
        journal_sequence=head.sequence,
        journal_hash=head.hash,
        heartbeat=counts.heartbeat,
        step_s=counts.last_step_s,
        mailboxes={"rows": desk.mailbox.depth},
    )


def _reported(desk: Desk, actor: CoreActor) -> dict[str, float]:
    """What venues that have answered say is held, with a 0 for what our book has there and they have not."""
    told = {str(key): amount for key, amount in desk.observer.observed().items() if amount}
    answered = {
        name for view in desk.observer.views.values() if view.positions_at is not None for name in view.client.venues
    }
    gone = {str(key): 0.0 for key in actor.core.positions.snapshot() if key.venue in answered}
    return gone | told


def _observed_equity(desk: Desk) -> float | None:
    """What the venues say is held, at the prices of the last row, tokens without a price left out; None until all of it
    is known."""
    views, row = desk.observer.views.values(), desk.last_row
    if row is None or any(view.positions_at is None for view in views):
        return None
    return worth(desk.run, window_of(row, None).row(0), desk.observer.observed())


def _unvalued(desk: Desk, actor: CoreActor, closing: Closing, unpriced: Unpriced) -> tuple[Unvalued, ...]:
    """Tokens without a price, of those that the book and the venues hold."""
    row = desk.last_row
    if row is None:
        return closing.unvalued
    held = {**actor.core.positions.snapshot(), **desk.observer.observed()}
    return tuple(Unvalued(key=str(key), amount=held[key]) for key in unpriced.of(desk.run, row, held) if held[key])


def _unsellable(desk: Desk, closing: Closing) -> tuple[Unsellable, ...]:
    """Coins that closing leaves, of those that the venues hold; a daemon that starts under a latch knows them too."""
    row = desk.last_row
    if row is None:
        return closing.unsellable
    return unsellable_of(desk.run, window_of(row, None).row(0), desk.observer.observed())


def withheld(desk: Desk, actor: CoreActor) -> tuple[str, ...]:
    """What the last step stood under, with a pause that came or went since."""
    standing = actor.standing
    paused = () if desk.paused is None else (str(desk.paused),)
    lifted = None if desk.lifted is None else str(desk.lifted)
    reasons = dict.fromkeys((*paused, *standing.no_trade, *standing.no_risk))
    return tuple(reason for reason in reasons if reason != lifted)


def _observed_columns(desk: Desk, actor: CoreActor) -> tuple[dict[str, float], int | None]:
    """The last step's columns with the ratios that hold now, and when venues last reported all that is held; without
    those ratios while they do not."""
    rest = without_ratios(actor.row)
    row, views = desk.last_row, desk.observer.views.values()
    reported = [view.positions_at for view in views if view.positions_at is not None]
    if row is None or len(reported) < len(views):
        return rest, None
    try:
        return rest | observed_columns(desk.run, row, desk.observer.observed()), min(reported, default=None)
    except (KeyError, BasisError):  # something is held that this strategy knows no price of
        return rest, None


def _open(order: Order, desk: Desk) -> UncertainOrder:
    return UncertainOrder(
        id=order.id,
        venue=order.venue,
        verb=order.verb.value,
        token=order.token,
        amount=order.amount,
        notional_usdt=_notional_usdt(order, desk),
        sent_at=desk.unbooked.sent_at.get(order.id),
        reason="outcome not known",
    )


def _notional_usdt(order: Order, desk: Desk) -> float | None:
    """What an order is worth at the last row; None where no price of its token is known."""
    row = desk.last_row
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
