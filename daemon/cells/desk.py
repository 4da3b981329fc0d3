"""The desk of one strategy: all it has on the event loop while its cell runs, and how it stands there.

What trades (core actor), what closes and what shows (picture) are given the desk, never each other. Nothing is decided
here: `authority` judges the circumstances before a step, `terms` a group right before it leaves.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import structlog
import trio

from components.model.orders import Order, OrderGroup, Trade
from components.model.requirements import DAY_NS
from daemon.cells.account import Account
from daemon.cells.authority import Authority, Circumstances, Pause
from daemon.cells.mailbox import RowMailbox
from daemon.cells.observer import Observer
from daemon.cells.surroundings import CellLog, Surroundings
from daemon.config.daemon_file import StrategyEntry
from daemon.orders import terms
from daemon.orders.breaker import Breaker
from daemon.orders.dispatch import Dispatch
from daemon.orders.gate import Gate
from daemon.recorded.unbooked import Unbooked
from daemon.replica import CellState
from daemon.world.rows import MarketRow
from venues.interfaces import VenueClient

log = structlog.get_logger()


class Counts(msgspec.Struct):
    """What happened since the cell began; `heartbeat` is process time of the core's last progress."""

    ticks: int = 0
    missed: int = 0
    skipped: int = 0
    restarts: int = 0
    heartbeat: float = 0.0
    last_step_s: float = 0.0


class Desk(Account, terms.Terms):
    def __init__(
        self,
        entry: StrategyEntry,
        clients: Iterable[VenueClient],
        journal: CellLog,
        around: Surroundings,
        epoch: int,
        unbooked: Unbooked,
    ) -> None:
        super().__init__(entry, clients, lambda: journal, around, str(epoch))
        self.epoch = epoch
        self.journal = journal
        self.unbooked = unbooked
        self.gate = Gate()
        self.breaker = Breaker(around.breaker)
        self.authority = Authority(around.limits)
        self.observer = Observer(self.clients, around.clock, around.telemetry, unbooked)
        self.dispatch = Dispatch(self.line, journal, self.gate, self, sent_at=unbooked.sent_at)
        self.mailbox = RowMailbox()
        self.book = trio.Lock()  # the book changes in steps, and in what an operator takes over between two of them
        self.last_row: MarketRow | None = None
        self.state, self.reason = CellState.STARTING, ""
        self.paused: Pause | None = None
        self.lifted: Pause | None = None  # a pause that the last step still stood under
        self.is_stepping = False
        self.counts = Counts()

    def surround(self, around: Surroundings) -> None:
        super().surround(around)
        self.dispatch.patience = around.patience
        self.authority.limits = around.limits
        self.breaker.limits = around.breaker

    def become(self, state: CellState, reason: str = "") -> None:
        if (state, reason) != (self.state, self.reason):
            self.state, self.reason = state, reason
            log.info("cell.state", strategy=self.strategy, state=state.value, reason=reason)
            self.publish()

    def progress(self) -> None:
        """Its core goes on."""
        self.counts.heartbeat = trio.current_time()

    def waits(self) -> None:
        """Waiting for a block is no standstill; who watches sees that."""
        self.progress()
        self.publish()

    # What it trades under

    def circumstances(self) -> Circumstances:
        around, pause = self.around, self.paused
        paused = () if pause is None else (str(pause),)
        stopped = paused if pause is not None and pause.everything else ()
        read_only = ("read only: orders are computed and not sent",) if around.read_only else ()
        day = around.clock.now() // DAY_NS
        return Circumstances(
            market_now=around.clock.now(),
            process_now=trio.current_time(),
            free_bytes=around.free_bytes(),
            clock_offset_ms=around.clock_offset_ms(),
            adjusted_share=self.unbooked.adjusted.get(day, 0.0),
            blocks_all=(*stopped, *read_only),
            blocks_risk=() if stopped else paused,
            contracts=tuple(self.breaker.contracts(trio.current_time(), around.clock.now())),
            max_trade_usdt=around.max_trade_usdt,
        )

    def unfit(self, group: OrderGroup) -> str:
        around = self.around
        return terms.unfit(
            group,
            self.last_row,
            around.clock.now(),
            max_age_s=around.limits.max_data_age_s,
            max_trade_usdt=around.max_trade_usdt,
            exchanges=self.run.exchanges,
        )

    def moved_bps(self, order: Order) -> float:
        """As far as a newer row tells."""
        newer, decided = self.mailbox.waiting, self.last_row
        if newer is None or decided is None:
            return 0.0
        was, stands = terms.price_usdt(order, decided), terms.price_usdt(order, newer)
        if not was or stands is None:
            return 0.0
        move = stands / was - 1.0
        return 1e4 * (move if order.amount > 0.0 else -move)

    def heard(self, order: Order, trade: Trade, at: float, market_now: int) -> None:
        self.breaker.heard(order, trade, at, market_now)
        if trade.changes or not trade.transient:
            self.observer.traded(order, trade)
