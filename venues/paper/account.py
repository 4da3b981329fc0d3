"""The truth of one strategy's account at all its simulated venues: one world, its orders, and what venues tell of it.

The venues live on by themselves: `advance_to` takes the world through rows whether or not a strategy looks. What
happened on the way is listed per door (an exchange, or `chain` for everything else) under the venue's own ids, so it
reads the same after a restart. An order id is done once. Everything here is synchronous and in market time (UTC ns);
latency and faults are the business of the doors in front of it. What changed is handed to a ledger before an answer is
given.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

import msgspec
import numpy as np

from components.model.errors import Refuse, Severity, catalogued
from components.model.events import EventType
from components.model.keys import WALLET, PositionKey, VenueName
from components.model.market import Market
from components.model.orders import GroupKind, Order, OrderGroup, OrderId, Trade, TradeStatus, Verb, nothing
from components.model.positions import Book
from components.model.slices import RunSlice
from components.ports import Flow
from venues.interfaces import OrderReport, ReportStatus, RestingOrder, Settled, SettledPage
from venues.paper.chain.blocks import PaperChain, gas_fact
from venues.paper.chain.state import ChainTerms
from venues.paper.filling import AT_ONCE, Filling, Handling, Mined, single
from venues.paper.listing import Listing, foreign_item, items_of
from venues.paper.pending import Pending
from venues.paper.registry import Registry
from venues.paper.truth import Change, Ledger, Truth
from venues.sim.costs import GAS_SERIES
from venues.sim.world import SimWorld

SIM_NO_ROW = catalogued(
    "SIM-001", Severity.ERROR, "The simulated market has no such row", "Extend the market before advancing the venues"
)
CHAIN = "chain"  # the door of everything that is not an exchange
REMEMBERED = 512  # balances of the past that a lagging answer may show


class PaperAccount:
    def __init__(
        self,
        run: RunSlice,
        market: Market,
        balances: Mapping[PositionKey, float],
        flows: tuple[Flow, ...] = (),
        *,
        ledger: Ledger | None = None,
        terms: ChainTerms | None = None,
    ) -> None:
        self.run = run
        self.doors: tuple[str, ...] = (*run.exchanges, CHAIN)
        self.row = market.first - 1  # the last row lived through
        self.world = SimWorld(run, market, flows)
        self.world.place(balances)
        self.registry = Registry()
        self.pending = Pending()
        self._strangers: dict[str, RestingOrder] = {}
        self.ledger = ledger
        self._market = market
        self._filling = Filling(self.world, self.registry)
        self._listing = Listing(self.doors)
        self.chain = PaperChain(self, int(market.timestamps[0]), terms)
        self._reorganised = False  # since the ledger was last written: what is in it was taken back
        self._past: deque[tuple[int, dict[PositionKey, float]]] = deque([(0, dict(balances))], maxlen=REMEMBERED)
        self._written = self._marks()

    def __repr__(self) -> str:
        return f"<PaperAccount {self.run.mode.mode} at row {self.row}, {len(self.registry.orders)} orders>"

    @property
    def balances(self) -> Mapping[PositionKey, float]:
        return self.world.balances

    @property
    def timestamp(self) -> int:
        """Of the last row lived through; of row 0 before that."""
        return self.world.row.timestamp

    def statistics(self) -> Mapping[str, int]:
        return {**self.registry.statistics(), "row": self.row, "pending": len(self.pending)}

    def door_of(self, venue: VenueName) -> str:
        """The door that answers for a venue of position keys."""
        return venue if venue in self.run.exchanges else CHAIN

    # Time

    def advance_to(self, row: int) -> int:
        """Lives through all rows up to and including `row`; returns the last row lived through (never goes back)."""
        first = self._market.first
        if row >= first + len(self._market):
            raise Refuse(SIM_NO_ROW, f"row {row} of {first + len(self._market)}", mode=self.run.mode.mode)
        while self.row < row:
            window = self._market.window(self.row + 1 - first, self._quiet_until(row) + 1 - first)
            settlements = self.world.settle(window, Book(self.world.balances))
            window = window.head(settlements.rows)
            self.world.accept(window, settlements, settlements.rows)
            self.row += settlements.rows
            happened = items_of(window, settlements, self.run.mode.asset)
            for item in happened:
                self._listing.add(self.door_of(item.venue), item)
            self.pending.deliver(self.timestamp)
            self.chain.mine_to(self.timestamp, self.timestamp)
            if self._filling.fill_due(self.timestamp) or happened:
                self._remember(self.timestamp)
        if self._marks() != self._written or (self.ledger is not None and self.ledger.failed):
            self._write(durable=False)  # a lost tail is lived through again, to the same bytes
        return self.row

    def extend(self, market: Market) -> None:
        """Goes on with a longer market that has the same values on the rows lived through, the last of them at least;
        older ones may be gone."""
        if not self._has_what_was_lived(market):
            raise Refuse(SIM_NO_ROW, "the longer market has other rows than those lived through")
        self._market = market
        self.world.extend(market)

    # Capital

    def deposit(self, id: str, amount: float, at: int) -> None:
        """Share-class currency comes into the wallet on the next row at or after `at`; the same id is done once."""
        self._flow(Flow(at, abs(amount), id), f"{WALLET}/deposit/{id}")

    def withdrawal(self, id: str, amount: float, at: int) -> None:
        """A withdrawal is asked for; nothing moves until the strategy pays it out. The same id is done once."""
        self._flow(Flow(at, -abs(amount), id), f"{WALLET}/withdrawal_requested/{id}")

    # Orders

    def submit(self, door: str, group: OrderGroup, at: int, handling: Handling = AT_ONCE) -> tuple[Trade, ...]:
        """One order, or an atomic group as a whole; one trade per order, UNKNOWN for one that is accepted only."""
        message = self.registry.heard(door, "submit", (o.id for o in group.orders), at, group.action.value)
        if message.known:
            trades = self.registry.again(group, at)
        else:
            refusal = self._refusal(door, group)
            trades = self._filling.fill(door, group, at, Handling(reject=refusal) if refusal else handling)
            self._remember(at)
        self._write(durable=True)
        return trades

    def query(self, door: str, order_id: OrderId, at: int) -> OrderReport:
        """What became of an order id; ABSENT when this door never had it (it may still be `pending`)."""
        self.registry.heard(door, "query", (order_id,), at)
        record = self.registry.find(door, order_id)
        return record.report() if record else OrderReport(order_id=order_id, status=ReportStatus.ABSENT)

    def cancel(self, door: str, order_id: OrderId, at: int) -> OrderReport:
        """Closes an open order; what was done of it stays done."""
        self.registry.heard(door, "cancel", (order_id,), at)
        record = self.registry.find(door, order_id)
        if record is not None and record.status is ReportStatus.OPEN:
            record = self._filling.cancel(record, at)
            self._write(durable=True)
        return record.report() if record else OrderReport(order_id=order_id, status=ReportStatus.ABSENT)

    def open_orders(self, door: str) -> tuple[RestingOrder, ...]:
        """What rests at a door, in the order of arrival, strangers' orders last."""
        strangers = (each for each in self._strangers.values() if self.door_of(each.key.venue) == door)
        return (*self.registry.open_at(door), *strangers)

    def cancel_resting(self, door: str, resting: RestingOrder, at: int) -> None:
        """Closes an order that rests, whoever sent it; one that is gone already is no error."""
        if resting.order_id is not None:
            self.cancel(door, resting.order_id, at)
        elif self._strangers.pop(resting.reference, None) is not None:
            self.registry.heard(door, "cancel", (resting.reference,), at)
            self._write(durable=True)

    # The machine of the chain

    def gas_price_gwei(self) -> float:
        """What gas costs on the row where the world stands; 0 where nothing costs anything."""
        return 0.0 if self.world.costs.free else self.world.row.value(GAS_SERIES)

    def would(self, group: OrderGroup) -> tuple[Trade, ...]:
        """What a node says a transaction would do; nothing is done."""
        refusal = self._refusal(CHAIN, group)
        if refusal:
            return tuple(nothing(order, TradeStatus.REJECTED, self.timestamp, refusal) for order in group.orders)
        return self.world.would(group)

    def carry_out(self, group: OrderGroup, at: int, handling: Handling) -> tuple[Trade, ...]:
        """A transaction in a block."""
        trades = self._filling.fill(CHAIN, group, at, handling)
        self._remember(at)
        return trades

    def take_nonce(self, cancelled: tuple[Order, ...], at: int, mined: Mined, factor: float) -> tuple[Trade, ...]:
        """A transaction that does nothing but pay gas: the orders it takes the place of are not done."""
        trades, paid = self._filling.take_nonce(CHAIN, cancelled, at, mined, factor)
        if not trades:
            self.tell(gas_fact(mined, paid, at))
        self._remember(at)
        return trades

    def take_back(self, trades: tuple[Trade, ...]) -> bool:
        """A block is gone with what it did; False when something of it has arrived elsewhere, and it stands."""
        if not self.world.take_back(trades):
            return False
        for trade in trades:
            self.registry.forget(trade.order_id)
        self._reorganised = True
        self._remember(self.timestamp)
        return True

    def finalise(self, trades: tuple[Trade, ...]) -> None:
        """No reorganisation reaches these any more."""
        for trade in trades:
            record = self.registry.orders[trade.order_id]
            self.registry.note(msgspec.structs.replace(record, trade=msgspec.structs.replace(trade, final=True)))

    def tell(self, item: Settled) -> None:
        self._listing.add(CHAIN, item)

    def mine_to(self, chain_at: int, at: int) -> None:
        """Blocks that are due while the market stands; what happened is written before anybody hears of it."""
        if self.chain.mine_to(chain_at, at):
            self._write(durable=True)

    # What is told

    def positions(self, door: str, *, until: int | None = None) -> dict[PositionKey, float]:
        """Balances at one door, in key order; with `until` as they were then (as far back as is remembered)."""
        balances: Mapping[PositionKey, float] = self.world.balances
        if until is not None:
            past = [held for at, held in self._past if at <= until]
            balances = past[-1] if past else self._past[0][1]
        return {key: balances[key] for key in sorted(balances) if self.door_of(key.venue) == door}

    def marks(self, door: str) -> dict[str, float]:
        """The series that this door goes by, at the last row lived through."""
        row = self.world.row
        return {name: row.value(name) for name in self._market.columns if self.door_of(name.partition(".")[0]) == door}

    def settled(self, door: str, cursor: int, *, limit: int | None = None) -> SettledPage:
        return self._listing.page(door, cursor, foreign=False, limit=limit)

    def foreign(self, door: str, cursor: int, *, limit: int | None = None) -> SettledPage:
        return self._listing.page(door, cursor, foreign=True, limit=limit)

    def truth(self) -> Truth:
        registry = self.registry
        return Truth(
            row=self.row,
            timestamp=self.timestamp,
            balances=dict(self.world.balances),
            orders=dict(registry.orders),
            fills=tuple(registry.fills),
            messages=tuple(registry.messages),
            duplicates=dict(registry.duplicates),
            conflicts=dict(registry.conflicts),
            cursors={door: self.settled(door, 0).cursor for door in self.doors},
            foreign_cursors={door: self.foreign(door, 0).cursor for door in self.doors},
            strangers=tuple(self._strangers.values()),
        )

    # A foreign hand

    def foreign_trade(self, id: str, venue: VenueName, verb: Verb, coin: str, quantity: float, at: int) -> Trade:
        """Somebody else trades spot or the perp on this account at the venue's price; the same id is done once."""
        order = Order(id=f"foreign/{id}", verb=verb, venue=venue, token=coin, amount=quantity, leg="foreign")
        if self._listing.has(self.door_of(venue), f"foreign/{id}/trade", foreign=True):
            return nothing(order, TradeStatus.REJECTED, at, "was done before")
        trade = self.world.execute_one(order)
        if trade.status is TradeStatus.FILLED:
            item = foreign_item(id, EventType.TRADE, venue, coin, trade.quantity, trade.changes, at)
            self._listing.add(self.door_of(venue), item, foreign=True)
            self._remember(at)
            self._write(durable=True)
        return trade

    def foreign_order(self, id: str, key: PositionKey, left: float) -> None:
        """Somebody else lets an order rest on this account; it would trade `left` of `key` and never does."""
        self._strangers[id] = RestingOrder(reference=id, order_id=None, key=key, left=left)
        self._write(durable=True)

    def foreign_transfer(
        self, id: str, source: PositionKey | None, target: PositionKey | None, amount: float, at: int
    ) -> None:
        """Somebody else moves coins between positions (None = an account that is not ours); the same id once."""
        sides = ((source, -amount, EventType.TRANSFER_SENT), (target, amount, EventType.TRANSFER_ARRIVED))
        for key, signed, kind in sides:
            if key is None or self._listing.has(self.door_of(key.venue), f"foreign/{id}/{kind.value}", foreign=True):
                continue
            self.world.adjust({key: signed})
            item = foreign_item(id, kind, key.venue, key.symbol, signed, {key: signed}, at)
            self._listing.add(self.door_of(key.venue), item, foreign=True)
        self._remember(at)
        self._write(durable=True)

    # Persistence

    def whole(self) -> Change:
        """All of it, as the first change of a ledger."""
        return self._change((), 0, 0, self.registry.orders)

    def restore(self, changes: Iterable[Change]) -> None:
        """Goes on where a ledger ends. Requests that were still on their way are lost with the process."""
        last: Change | None = None
        for last in changes:
            for record in last.orders:
                self.registry.note(record)
            for listed in last.listed:
                self._listing.take(listed)
            self.registry.messages.extend(last.messages)
            self.registry.fills.extend(last.fills)
            self.registry.duplicates = dict(last.duplicates)
            self.registry.conflicts = dict(last.conflicts)
            self._strangers = {each.reference: each for each in last.strangers}
        if last is not None:
            first, rows = self._market.first, self._market.first + len(self._market)
            if not first - 1 <= last.row < rows or last.world.row < first:
                raise Refuse(SIM_NO_ROW, f"stands at row {last.row} of {first} to {rows}", mode=self.run.mode.mode)
            self.row = last.row
            self.world.restore(last.world)
            if last.chain is not None:
                self.chain.restore(last.chain)
            self._remember(self.timestamp)
        self.registry.changed.clear()
        self._written = self._marks()

    def close(self) -> None:
        """A clean stop: where it stands is kept, quiet rows included."""
        if self.ledger is not None and not self.ledger.failed:
            self._write(durable=True)
            self.ledger.close()

    def _write(self, *, durable: bool) -> None:
        """Hands to the ledger what changed since the last time."""
        if self.ledger is not None and (self.ledger.failed or self._reorganised):
            self.ledger.begin(self.whole())
        elif self.ledger is not None:
            self.ledger.append(self._change(*self._written, self.registry.changed), durable=durable)
        self.registry.changed.clear()
        self._written, self._reorganised = self._marks(), False

    def _change(self, listed: tuple[int, ...], messages: int, fills: int, orders: Iterable[OrderId]) -> Change:
        registry = self.registry
        return Change(
            row=self.row,
            world=self.world.state(),
            orders=tuple(registry.orders[each] for each in orders),
            listed=self._listing.since(listed),
            messages=tuple(registry.messages[messages:]),
            fills=tuple(registry.fills[fills:]),
            duplicates=dict(registry.duplicates),
            conflicts=dict(registry.conflicts),
            strangers=tuple(self._strangers.values()),
            chain=self.chain.state(),
        )

    def _marks(self) -> tuple[tuple[int, ...], int, int]:
        return self._listing.marks(), len(self.registry.messages), len(self.registry.fills)

    # Privately

    def _flow(self, flow: Flow, item: str) -> None:
        coming = any(each.id == flow.id for each in self.world.flows)
        if not coming and not self._listing.has(CHAIN, item):
            self.world.expect_flow(flow)
            self._write(durable=True)

    def _refusal(self, door: str, group: OrderGroup) -> str:
        """Why this door does not take a group at all; empty when it does."""
        if group.kind is not GroupKind.ATOMIC and single(group) is None:
            return "a request is one order or one atomic group"
        strangers = [order.venue for order in group.orders if self.door_of(order.venue) != door]
        return f"{door} does not serve {strangers[0]}" if strangers else ""

    def _remember(self, at: int) -> None:
        self._past.append((at, dict(self.world.balances)))

    def _quiet_until(self, row: int) -> int:
        """The last row up to which no order fills and no request arrives, but at least the next row."""
        if self.chain.pool:
            return self.row + 1
        due = [*self._filling.due(), *self.pending.times()]
        if not due:
            return row
        stamps = self._market.timestamps
        return max(self.row + 1, min(row, self._market.first + int(np.searchsorted(stamps, min(due), side="left"))))

    def _has_what_was_lived(self, market: Market) -> bool:
        kept, lived = max(self._market.first, market.first), self.row + 1
        if kept > max(self.row, 0):
            return False
        ours, theirs = (each.timestamps[kept - each.first : lived - each.first] for each in (self._market, market))
        return np.array_equal(ours, theirs)
