"""Conditions: what a cell trades under at this moment, as its authority and its dispatch ask for it.

Nothing is decided here: `authority` judges the circumstances before a step, `terms` a group right before it leaves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from components.model.orders import Order, OrderGroup
from components.model.requirements import DAY_NS
from daemon.cells.authority import Circumstances
from daemon.orders import terms

if TYPE_CHECKING:
    from daemon.cells.cell import Cell


class Conditions:
    def __init__(self, cell: Cell) -> None:
        self._cell = cell

    def circumstances(self) -> Circumstances:
        around, pause = self._cell.around, self._cell.paused
        paused = () if pause is None else (str(pause),)
        stopped = paused if pause is not None and pause.everything else ()
        read_only = ("read only: orders are computed and not sent",) if around.read_only else ()
        day = around.clock.now() // DAY_NS
        return Circumstances(
            market_now=around.clock.now(),
            process_now=trio.current_time(),
            free_bytes=around.free_bytes(),
            clock_offset_ms=around.clock_offset_ms(),
            adjusted_share=self._cell.actor.unbooked.adjusted.get(day, 0.0),
            blocks_all=(*stopped, *read_only),
            blocks_risk=() if stopped else paused,
            contracts=tuple(self._cell.breaker.contracts(trio.current_time(), around.clock.now())),
            max_trade_usdt=around.max_trade_usdt,
        )

    def unfit(self, group: OrderGroup) -> str:
        """Why a group that adds risk may not leave any more, although it was approved."""
        around = self._cell.around
        return terms.unfit(
            group,
            self._cell.last_row,
            around.clock.now(),
            max_age_s=around.limits.max_data_age_s,
            max_trade_usdt=around.max_trade_usdt,
            exchanges=self._cell.run_slice.exchanges,
        )

    def moved_bps(self, order: Order) -> float:
        """How far the price has moved against an exchange order since its row, as far as a newer row tells."""
        newer, decided = self._cell.mailbox.waiting, self._cell.last_row
        if newer is None or decided is None:
            return 0.0
        was, stands = terms.price_usdt(order, decided), terms.price_usdt(order, newer)
        if not was or stands is None:
            return 0.0
        move = stands / was - 1.0
        return 1e4 * (move if order.amount > 0.0 else -move)
