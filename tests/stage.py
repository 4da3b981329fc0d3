"""A core on stage: its ports follow a script where one is given, and behave like honest venues where none is.

    stage.plays(fills("binance_spot"), observes(BTC, 0.9), observes(BTC, 1.0))
    stage.advance()
    assert stage.script == ["intend binance_spot", "send binance_spot", "observe", "mismatch binance:BaseToken:BTC", …]

Cues are taken in order, and one that does not fit what the core does is an error; with none left, venues fill what they
are asked and report what they hold. A simulated world keeps their books, so a lost order may well have been done. Each
line is printed as it happens: pytest shows the conversation of a test that fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
import numpy as np
from msgspec import structs

from components.core import Core, CoreState, Ports
from components.event_logger import EventLogger
from components.model.events import Event, EventType, PaymentBatch, canonical_bytes
from components.model.keys import CHAIN_VENUES, PositionKey
from components.model.market import Column, Market, Row, Window
from components.model.orders import GroupKind, Order, OrderGroup, Trade, TradeStatus
from components.model.positions import Book
from components.model.slices import RunSlice
from components.ports import GRANTED, Approved, Flow, Happening, RowBlock, Settlements, Standing
from components.position_monitor import PositionMonitor
from components.position_update_handler import PositionUpdateHandler
from components.reconciliation import Reconciliation
from components.routing.plan import Plan
from components.routing.route import Route
from components.situation import Situation
from components.utility_manager import UtilityManager
from components.venue_interface_manager import VenueInterfaceManager
from components.venue_manager import VenueManager
from daemon.journal.codec import decode, encode
from daemon.orders.outcomes import late_of
from daemon.orders.undone import undone
from venues.interfaces import Unavailable
from venues.sim.world import SimWorld, SimWorldState

VENUES = ("binance", "bybit", "okx", *CHAIN_VENUES)


class Cue(msgspec.Struct, frozen=True, kw_only=True):
    """What a venue does with the next leg, or says about the next position."""

    leg: str = ""
    fate: str = "fill"
    share: float = 1.0
    reason: str = ""
    transient: bool = False
    done: bool = True
    key: PositionKey | None = None
    balance: float = 0.0
    silent: bool = False
    block: str = ""  # where it is done, of a chain that may yet take it back

    @property
    def is_send(self) -> bool:
        return bool(self.leg)


def _leg(order: Order | str) -> str:
    return order if isinstance(order, str) else order.leg


def fills(order: Order | str, *, share: float = 1.0, block: str = "") -> Cue:
    """The leg is filled, or a share of it; in a block it is not final."""
    return Cue(leg=_leg(order), share=share, block=block)


def rejects(order: Order | str, reason: str = "no", *, transient: bool = False) -> Cue:
    return Cue(leg=_leg(order), fate="reject", reason=reason, transient=transient)


def loses(order: Order | str, *, done: bool = True) -> Cue:
    """The answer is lost; the venue has `done` it or not."""
    return Cue(leg=_leg(order), fate="lose", reason="no answer", done=done)


def observes(key: PositionKey | str, balance: float) -> Cue:
    """The next report says `balance` for this key, whatever the books say."""
    return Cue(key=PositionKey(key), balance=balance)


def agrees() -> Cue:
    """The next report is what the books say."""
    return Cue()


def stays_silent() -> Cue:
    """The next question after positions is not answered."""
    return Cue(silent=True)


class Cut(msgspec.Struct, frozen=True):
    """Where a play was interrupted: the row that comes next, the core's state as a journal keeps it, and what goes on
    outside without it."""

    row: int
    core: bytes
    world: SimWorldState
    cues: tuple[Cue, ...]
    lost: dict[str, tuple[Order, Trade]]
    scheduled: tuple[tuple[int, Happening], ...]
    standing: Standing


class Trip:
    """A plan carried out over a simulated world, from balances at one row of a market."""

    def __init__(
        self,
        run: RunSlice,
        market: Market,
        balances: Mapping[str, float],
        plan: Plan,
        *,
        owed: float = 0.0,
        row: int = 0,
    ) -> None:
        held = {PositionKey(key): amount for key, amount in balances.items()}
        world, positions = SimWorld(run, market), PositionMonitor()
        world.stand_at(held, row)
        positions.place(held)
        self.now = Situation(run, Row(market, row), positions, UtilityManager(run.mode.share_class))
        self.route = Route(plan, self.now, "run", owed)
        self.groups: list[OrderGroup] = []
        for group in self.route.groups():
            trades = world.execute(Approved(group))
            positions.expect(trades)
            self.groups.append(group)
            assert {trade.status for trade in trades} == {TradeStatus.FILLED}, [trade.reason for trade in trades]

    @property
    def orders(self) -> list[Order]:
        return [order for group in self.groups for order in group.orders]

    @property
    def legs(self) -> list[list[str]]:
        """The legs of each group, in order."""
        return [[order.leg for order in group.orders] for group in self.groups]

    def amounts(self) -> dict[str, float]:
        """The amount of each leg; the last one where a leg comes more than once."""
        return {order.leg: order.amount for order in self.orders}


class Stage:
    """Observation, Execution and Sink of one core, over one market."""

    def __init__(self, run: RunSlice, market: Market, *, flows: Iterable[Flow] = ()) -> None:
        self.run = run
        self.market = market
        self.world = SimWorld(run, market, tuple(flows))
        self.row = 0
        self.groups: list[OrderGroup] = []
        self.trades: list[Trade] = []
        self.events: list[Event] = []
        self.blocks: list[RowBlock] = []
        self.scheduled: list[tuple[int, Happening]] = []
        self.standing: Standing = GRANTED
        self._lines: list[str] = []
        self._cues: list[Cue] = []
        self._lost: dict[str, tuple[Order, Trade]] = {}
        ports = Ports(market_data=market, observation=self, execution=dict.fromkeys(VENUES, self), sink=self)
        self.core = Core(run, ports, strategy_id=run.mode.mode, run_id="run")

    def __repr__(self) -> str:
        return "<Stage\n  " + "\n  ".join(self.script) + "\n>"

    # The director

    def plays(self, *cues: Cue) -> Stage:
        """What is to happen next, in this order."""
        self._cues.extend(cues)
        return self

    @property
    def script(self) -> list[str]:
        """What has happened, line by line."""
        self._agree()
        return list(self._lines)

    @property
    def cues(self) -> tuple[Cue, ...]:
        """Cues that were not taken yet."""
        return tuple(self._cues)

    def forget(self) -> None:
        """Begins a new scene: an empty script, the books as they are."""
        self._agree()
        self._lines.clear()
        self.events.clear()

    def at(self, row: int, happening: Happening) -> None:
        """A fact that the venues tell on a row."""
        self.scheduled.append((row, structs.replace(happening, at=int(self.market.timestamps[row]))))

    def resolves(self, leg: str, row: int) -> Happening:
        """What became of a lost leg is known on `row`."""
        order, trade = self._lost.pop(leg)
        happening = late_of(order, trade)
        assert happening is not None
        self.at(row, happening)
        return happening

    def undoes(self, leg: str, row: int) -> Happening:
        """A chain that is told to have another block takes back on `row` what a leg did."""
        (unfinal,) = (each for each in self.core.positions.unfinal.values() if each.order.leg == leg)
        happening = undone(unfinal, 0)
        self.at(row, happening)
        return happening

    # The play

    def starts(self, capital: float, balances: Mapping[PositionKey, float] | None = None) -> Stage:
        """The capital where the mode wants it, or the balances given."""
        gas = 0.0 if self.run.mode.costs == "none" else self.run.mode.gas_reserve
        placed = self.core.strategy.initial(capital, gas) if balances is None else balances
        self.world.place(placed)
        self.core.start(placed, capital, int(self.market.timestamps[0]))
        return self

    def advance(self, rows: int = 1, *, commands: tuple[str, ...] = (), close: bool = False) -> Stage:
        """`rows` rows of the market, in as many windows as it takes; commands come on the first of them."""
        until = self.row + rows
        while self.row < until:
            window = self.core.data.window(self.row, until - self.row)
            self.row = self.core.advance(window, close=close, standing=self.standing, commands=commands)
            commands = ()
        return self

    def cut(self) -> Cut:
        core = encode(self.core.state())
        scheduled = tuple(self.scheduled)
        return Cut(self.row, core, self.world.state(), self.cues, dict(self._lost), scheduled, self.standing)

    def resumes(self, cut: Cut) -> Stage:
        """Goes on from a cut, with a core and a world that have lived through nothing."""
        self.row = cut.row
        self.core.restore(decode(cut.core, CoreState))
        self.world.restore(cut.world)
        self._cues, self._lost, self.scheduled = list(cut.cues), dict(cut.lost), list(cut.scheduled)
        self.standing = cut.standing
        return self

    def handler(self, *, attempts: int = 3) -> PositionUpdateHandler:
        """A tight loop of its own over these ports, with the expected book of the core."""
        venues = VenueManager(VenueInterfaceManager(dict.fromkeys(VENUES, self)), self.run.exchanges)
        events = EventLogger(self, self.run.mode.mode, "run")
        return PositionUpdateHandler(venues, self.positions_held, self, Reconciliation(attempts), events)

    @property
    def positions_held(self) -> PositionMonitor:
        return self.core.positions

    # What came of it

    def told(self, *types: EventType) -> list[Event]:
        return [event for event in self.events if event.event_type in types]

    def decisions(self) -> list[str]:
        return [event.detail for event in self.told(EventType.DECISION)]

    def balance(self, key: str) -> float:
        """Expected by the core, native units."""
        return self.core.positions.expected.of(PositionKey(key))

    def column(self, name: str) -> Column:
        """One result over all rows so far; NaN where it is absent."""
        parts = [np.broadcast_to(block.columns.get(name, np.nan), len(block.timestamps)) for block in self.blocks]
        return np.concatenate(parts)

    def transcript(self, first_row: int = 0) -> tuple[bytes, ...]:
        """Events and rows from `first_row` on as bytes, whatever the windows were."""
        since = int(self.market.timestamps[first_row])
        told = [canonical_bytes(event) for event in self.events if event.timestamp >= since]
        names = sorted({name for block in self.blocks for name in block.columns})
        stamps = np.concatenate([block.timestamps for block in self.blocks])
        empty = {name: 0.0 if name.startswith("balance.") else np.nan for name in names}
        rows = []
        for name in names:
            parts = [np.broadcast_to(b.columns.get(name, empty[name]), len(b.timestamps)) for b in self.blocks]
            column = np.concatenate(parts)[stamps >= since]
            if not (np.isnan(column) | (column == 0.0)).all():  # absent and zero balances are one
                rows.append(name.encode() + column.tobytes())
        return (*told, *rows)

    # Observation

    def settle(self, window: Window, book: Book) -> Settlements:
        later = [row for row, _ in self.scheduled if window.start < row < window.stop]
        window = window.head(min(later) - window.start) if later else window
        due = tuple(happening for row, happening in self.scheduled if row == window.start)
        if not due:
            return self.world.settle(window, book)
        own = self.world.settle(window.head(1), book)
        return structs.replace(own, happenings=(*own.happenings, *due))

    def accept(self, window: Window, settlements: Settlements, rows: int) -> None:
        due = [happening for row, happening in self.scheduled if row == window.start]
        own = tuple(happening for happening in settlements.happenings if happening not in due)
        self.world.accept(window, structs.replace(settlements, happenings=own), rows)
        for happening in due:
            if happening.resolves is None:  # the books have had a lost order since it was sent
                self.world.adjust(happening.changes)
        self.scheduled = [(row, happening) for row, happening in self.scheduled if row != window.start]

    def positions(self, venues: frozenset[str]) -> Mapping[PositionKey, float]:
        self._say("observe")
        cue = self._next(lambda cue: not cue.is_send, "asks what is held")
        report = dict(self.world.positions(venues))
        if cue is not None and cue.silent:
            self._lines[-1] = "no answer"
            raise Unavailable("the venue does not answer", venue="binance")
        if cue is not None and cue.key is not None:
            report[cue.key] = cue.balance
        return report

    # Execution

    def execute(self, approved: Approved) -> tuple[Trade, ...]:
        orders = approved.group.orders
        self._say(f"send {' + '.join(order.leg for order in orders)}")
        self.groups.append(approved.group)
        cues = self._cues_for(orders)
        if approved.group.kind is GroupKind.ATOMIC:
            trades = self._all_or_nothing(approved, cues)
        else:
            trades = tuple(self._one(order, cues.get(order.leg, Cue(leg=order.leg))) for order in orders)
        self.trades.extend(trades)
        return trades

    # Sink

    def intend(self, group: OrderGroup, at: int) -> None:
        self._say(f"intend {' + '.join(order.leg for order in group.orders)}")

    def record(self, events: Sequence[Event | PaymentBatch]) -> None:
        for item in events:
            self.events.extend(item.events() if isinstance(item, PaymentBatch) else (item,))
        event = self.events[-1]
        if event.event_type in (EventType.RECONCILIATION_MISMATCH, EventType.RECONCILIATION_FAILED) and event.token:
            self._lines.append(f"mismatch {event.detail.split()[0]}")
            print(self._lines[-1])

    def rows(self, block: RowBlock) -> None:
        self.blocks.append(block)

    # Behind the scenes

    def _say(self, line: str) -> None:
        self._agree()
        self._lines.append(line)
        print(line)

    def _agree(self) -> None:
        if self._lines and self._lines[-1] == "observe":
            self._lines.append("agree")
            print("agree")

    def _next(self, fits: Callable[[Cue], bool], what: str) -> Cue | None:
        if not self._cues:
            return None
        cue = self._cues.pop(0)
        assert fits(cue), f"the play goes on with {cue}, but the core {what}"
        return cue

    def _cues_for(self, orders: tuple[Order, ...]) -> dict[str, Cue]:
        legs = [order.leg for order in orders]
        found: dict[str, Cue] = {}
        first = self._next(lambda cue: cue.leg in legs, f"sends {legs}")
        if first is not None:
            found[first.leg] = first
        while self._cues and self._cues[0].leg in legs and self._cues[0].leg not in found:
            cue = self._cues.pop(0)
            found[cue.leg] = cue
        return found

    def _all_or_nothing(self, approved: Approved, cues: Mapping[str, Cue]) -> tuple[Trade, ...]:
        odd = next((cue for cue in cues.values() if cue.fate != "fill"), None)
        if odd is None:
            return self.world.execute(approved)
        orders = approved.group.orders
        self._lines.append(f"{odd.fate} all")
        refused = tuple(self._answer(order, TradeStatus.REJECTED, odd) for order in orders)
        if odd.fate == "reject":
            return refused
        real = self.world.execute(approved) if odd.done else refused
        self._lost.update({order.leg: (order, trade) for order, trade in zip(orders, real, strict=True)})
        return tuple(self._answer(order, TradeStatus.UNKNOWN, odd) for order in orders)

    def _one(self, order: Order, cue: Cue) -> Trade:
        if cue.fate == "reject":
            self._lines.append(f"reject {order.leg}")
            return self._answer(order, TradeStatus.REJECTED, cue)
        if cue.fate == "lose":
            self._lines.append(f"lose {order.leg}")
            real = self.world.execute_one(order) if cue.done else self._answer(order, TradeStatus.REJECTED, cue)
            self._lost[order.leg] = (order, real)
            return self._answer(order, TradeStatus.UNKNOWN, cue)
        if cue.share != 1.0:
            self._lines.append(f"fill {cue.share:g} of {order.leg}")
            part = self.world.execute_one(structs.replace(order, amount=order.amount * cue.share, everything=False))
            return structs.replace(part, status=TradeStatus.PARTIAL)
        return structs.replace(self.world.execute_one(order), final=not cue.block, block=cue.block)

    def _answer(self, order: Order, status: TradeStatus, cue: Cue) -> Trade:
        return Trade(
            order_id=order.id,
            status=status,
            verb=order.verb,
            venue=order.venue,
            token=order.token,
            quantity=0.0,
            changes={},
            at=self.world.row.timestamp,
            reason=cue.reason,
            transient=cue.transient,
        )
