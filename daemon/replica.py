"""What a cell publishes of itself: immutable, swapped whole, read by status, metrics, health, page and logs.

Readers never see the core's objects. Amounts are in share-class currency unless the name says otherwise; a figure that
is not known is None, never zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from components.model.awaited import Awaited, Unsellable, Unvalued
from components.model.capital import cost_of_freeing
from components.model.keys import RESERVE, WALLET, base_token
from components.model.orders import OrderId

LEVELS = ("ok", "warning", "critical")  # of risk, by their number


class CellState(StrEnum):
    STARTING = "starting"
    RECOVERING = "recovering"
    RUNNING = "running"
    PAUSED = "paused"
    HALTED = "halted"  # by its own risk limits: it closed and waits for an operator
    LATCHED = "latched"  # emergency stop
    BACKING_OFF = "backing_off"  # crashed, starts again at `restart_at`
    FAILED = "failed"  # restarts used up
    STOPPING = "stopping"
    STOPPED = "stopped"


class UncertainOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order whose outcome is not known: exposure counts it both ways."""

    id: OrderId
    venue: str
    verb: str
    token: str
    amount: float  # native units, signed as in the order
    notional_usdt: float | None
    sent_at: int | None  # market time; None when a journal from before does not say
    reason: str


class About(StrEnum):
    """What an input contract is about; a row whose market contract is broken is not decided on."""

    MARKET = "market"
    ACCOUNT = "account"


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """One input contract and how it stands; `reason` is empty while it holds."""

    name: str
    holds: bool
    blocks: str  # "all" trading, "risk" (only what adds risk), or "" (told, blocks nothing)
    reason: str = ""
    since: int | None = None
    about: About = About.ACCOUNT


class VenueState(msgspec.Struct, frozen=True, kw_only=True):
    """One venue as its poller last saw it. Times are market time, UTC ns."""

    name: str
    reachable: bool
    last_answer_at: int | None
    requests: int
    errors: int
    error: str = ""
    mismatches: tuple[str, ...] = ()
    foreign: int = 0
    strangers: tuple[str, ...] = ()  # orders of somebody else that rest there


class Replica(msgspec.Struct, frozen=True, kw_only=True):
    """One strategy, as of its last step. Times are market time in UTC ns, durations seconds of process time."""

    strategy: str
    mode: str
    share_class: str
    account: str
    state: CellState
    reason: str = ""
    epoch: int = 0
    tick: int | None = None
    timestamp: int | None = None  # of the last handled row
    step: int = 0  # decisions so far
    interval_s: float = 60.0
    equity: float | None = None
    equity_is_observed: bool = False  # under a latch: of what the venues report, while the books rest at `step`
    exit_value: float | None = None  # what a full exit would leave now; computed when somebody asks
    initial: float | None = None
    external_flows: float = 0.0
    owed: float = 0.0  # of withdrawals: not paid yet
    pnl: Mapping[str, float] = {}  # part → sum since the start; also `residual`, `adjustment`
    unexplained: float = 0.0
    columns: Mapping[str, float] = {}  # result columns of the last row: ratios, deltas, per-venue figures
    columns_at: int | None = None  # under a latch the ratios among them are of what the venues reported then
    risk_levels: Mapping[str, str] = {}
    positions: Mapping[str, float] = {}  # expected, native units
    observed: Mapping[str, float] = {}
    prices: Mapping[str, float] = {}  # market columns of the last row
    ages_s: Mapping[str, float] = {}
    uncertain: tuple[UncertainOrder, ...] = ()
    contracts: tuple[Contract, ...] = ()
    venues: tuple[VenueState, ...] = ()
    withheld: tuple[str, ...] = ()  # why orders do not leave now
    phase: str = ""  # of the emergency: requested, closing, flat, failed; "" without a latch
    awaited: tuple[Awaited, ...] = ()  # what stands between the account and flat
    unvalued: tuple[Unvalued, ...] = ()  # tokens without a price: left out of equity
    unsellable: tuple[Unsellable, ...] = ()  # coins that closing leaves: the mode has no way to sell them
    closing_error: str = ""  # what went wrong last while closing
    ticks: int = 0
    missed: int = 0
    skipped: int = 0  # ticks that came but were not decided (no authority, paused)
    restarts: int = 0
    restart_at: float | None = None
    trades: int = 0
    events: int = 0
    journal_sequence: int = 0
    journal_hash: str = ""
    heartbeat: float = 0.0  # process time of the core's last progress (step or effect)
    step_s: float = 0.0  # how long the last step took
    mailboxes: Mapping[str, int] = {}
    trouble: str = ""  # why no newer picture of it could be taken

    def cost_of_freeing(self, amount: float) -> float | None:
        """What selling for a payment would cost now, about; 0 where cash at hand covers it, None while not known."""
        keys = (base_token(venue, self.share_class) for venue in (WALLET, RESERVE))
        at_hand = sum(self.positions.get(key, 0.0) for key in keys)
        return cost_of_freeing(amount, self.equity or 0.0, self.exit_value, at_hand)
