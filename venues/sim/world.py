"""The simulated world: exchanges and chain behind the ports Observation and Execution, with a ledger of its own.

`settle` is a pure preview; only `accept` and `execute` change the ledger. Replay calls it directly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from components.maths.columns import running
from components.model.events import EventType
from components.model.keys import (
    KING,
    TRANSIT,
    WALLET,
    PositionKey,
    base_token,
)
from components.model.market import Market, Row, Window
from components.model.orders import DONE, GroupKind, InFlight, Order, OrderGroup, Trade, Verb
from components.model.positions import Book
from components.model.requirements import reward_tokens
from components.model.slices import RunSlice
from components.ports import Approved, CashFlows, Flow, Happening, Settlements
from venues.sim.chain import SimChain
from venues.sim.costs import CostModel
from venues.sim.exchange import SimExchange
from venues.sim.payments import SimPayments, balances_by_row, by_row, first_rows, least_balance
from venues.sim.rewards import IN_WALLET, SUPPLIED, RewardMeter
from venues.sim.transfers import SimTransfers


class SimWorldState(msgspec.Struct, frozen=True, kw_only=True):
    """All that a world carries from row to row; with the same market it goes on from here byte for byte.

    `holdings` are the changes of (when, weETH in the wallet, weETH supplied), `rewards_paid` how many were credited.
    """

    row: int
    balances: Mapping[PositionKey, float]
    flights: tuple[InFlight, ...]
    flows: tuple[Flow, ...]
    holdings: tuple[tuple[int, float, float], ...]
    rewards_paid: int


class SimWorld:
    def __init__(self, run: RunSlice, market: Market, flows: tuple[Flow, ...] = ()) -> None:
        self._mode = run.mode
        self._market = market
        self.costs = CostModel(run)
        self._exchanges = {
            name: SimExchange(config, run.mode, self.costs) for name, config in sorted(run.exchanges.items())
        }
        self._hedges = [self._exchanges[name] for name in sorted(run.mode.hedge_allocation)]
        self._chain = SimChain(run, self.costs)
        self._transfers = SimTransfers(self.costs, run.mode.share_class)
        self._payments = SimPayments(self._hedges, run.mode.asset)
        self._reward_tokens = reward_tokens(run.mode) if run.mode.lst_type == "weETH" else ()
        self._rewards = RewardMeter(market, self._reward_tokens)
        self._holdings: list[tuple[int, float, float]] = []
        self._rewards_paid = 0
        self._flows = sorted(flows, key=lambda flow: (flow.at, flow.id))
        self._flights: dict[str, InFlight] = {}
        self._row = Row(market, 0)
        self.balances: dict[PositionKey, float] = {}

    def place(self, balances: Mapping[PositionKey, float]) -> None:
        """The capital a run starts with."""
        for key, amount in balances.items():
            self._add(key, amount)

    def stand_at(self, balances: Mapping[PositionKey, float], row: int) -> None:
        """Places balances and looks at one row: what if everything were sold there?"""
        self.place(balances)
        self._row = Row(self._market, row)

    @property
    def row(self) -> Row:
        """Where it stands: the last row it has lived through, at first row 0."""
        return self._row

    @property
    def flows(self) -> tuple[Flow, ...]:
        """Flows that are still to come."""
        return tuple(self._flows)

    def expect_flow(self, flow: Flow) -> None:
        """A flow that becomes known only now; it happens on the next row that is not before it."""
        self._flows = sorted([*self._flows, flow], key=lambda each: (each.at, each.id))

    def adjust(self, changes: Mapping[PositionKey, float]) -> None:
        """Somebody else changes balances."""
        for key, change in changes.items():
            self._add(key, change)
        self._meter()

    def extend(self, market: Market) -> None:
        """Goes on with a longer market that has the same values on the rows lived through."""
        index = self._row.market.first + self._row.index - market.first
        self._stand(market, index)

    def _stand(self, market: Market, index: int) -> None:
        """At a row of a market, with what was held metered."""
        self._market = market
        self._row = Row(market, index)
        self._rewards = RewardMeter(market, self._reward_tokens)
        for _ in range(self._rewards_paid):
            self._rewards.paid()
        for at, wallet, supplied in self._holdings:
            self._rewards.holds({IN_WALLET: wallet, SUPPLIED: supplied}, at)

    def state(self) -> SimWorldState:
        """As much of it as the rows to come depend on."""
        self._holdings = self._rewards.needed(self._holdings, self._row.timestamp)
        return SimWorldState(
            row=self._market.first + self._row.index,
            balances=dict(self.balances),
            flights=tuple(self._flights.values()),
            flows=tuple(self._flows),
            holdings=tuple(self._holdings),
            rewards_paid=self._rewards_paid,
        )

    def restore(self, state: SimWorldState) -> None:
        """Goes on where a world with this state stopped."""
        self.balances = dict(state.balances)
        self._flights = {flight.id: flight for flight in state.flights}
        self._flows = list(state.flows)
        self._holdings = list(state.holdings)
        self._rewards_paid = state.rewards_paid
        self._stand(self._market, state.row - self._market.first)

    # Observation

    def settle(self, window: Window, book: Book) -> Settlements:
        """Funding, interest, rewards, arrivals, flows and liquidations in the rows of `window`, given `book`."""
        rows = self._quiet_rows(window)
        happenings: list[Happening] = []
        if rows == 0:
            rows, happenings = 1, self._due(window.row(0))
        window = window.head(rows)
        held: Mapping[PositionKey, float] = book
        if happenings:
            after = Book(book)
            for happening in happenings:
                after.apply(happening.changes)
            held = after
        flows = self._payments.of(window, book, held)
        cut = self._first_liquidation(window, held, flows)
        if cut == 0:
            rows = 1
            flows = first_rows(flows, 1)
            happenings += self._liquidations(window, held, flows)
        elif cut is not None:
            rows = cut
            flows = first_rows(flows, cut)
        return Settlements(rows=rows, cash=tuple(flows), happenings=tuple(happenings))

    def accept(self, window: Window, settlements: Settlements, rows: int) -> None:
        """The first `rows` rows of a preview have happened."""
        self._row = window.row(rows - 1)
        for happening in settlements.happenings:
            for key, change in happening.changes.items():
                self._add(key, change)
            self._tick_off(happening)
        for key, amount in by_row(settlements.cash, rows).items():
            self.balances[key] = running(self.balances.get(key, 0.0), amount)
        if settlements.happenings:
            self._meter()

    def positions(self, venues: frozenset[str]) -> Mapping[PositionKey, float]:
        return {key: amount for key, amount in self.balances.items() if key.venue in venues}

    # Execution

    def execute(self, approved: Approved) -> tuple[Trade, ...]:
        """One trade per order; an atomic group happens wholly or not at all."""
        group = approved.group
        if group.kind is GroupKind.ATOMIC:
            trades = self._chain.execute_atomic(group, self._row, self.balances)
            for trade in trades:
                self._book(trade)
        else:
            done = []
            for order in group.orders:
                trade = self._execute(order)
                self._book(trade)
                done.append(trade)
            trades = tuple(done)
        self._meter()
        return trades

    def execute_one(self, order: Order) -> Trade:
        """One order that is not part of an atomic group."""
        trade = self._execute(order)
        self._book(trade)
        self._meter()
        return trade

    def would(self, group: OrderGroup) -> tuple[Trade, ...]:
        """What a request would do on this row; nothing is done."""
        if group.kind is GroupKind.ATOMIC:
            return self._chain.execute_atomic(group, self._row, self.balances)
        return tuple(self._execute(order) for order in group.orders)

    def take_back(self, trades: Iterable[Trade]) -> bool:
        """Reverses what they did, all or nothing; False when something of it has arrived elsewhere: it stands."""
        done = tuple(trades)
        flights = [trade.in_flight.id for trade in done if trade.in_flight is not None]
        if any(id not in self._flights for id in flights):
            return False
        for trade in done:
            for key, change in trade.changes.items():
                self._add(key, -change)
        for id in flights:
            del self._flights[id]
        self._meter()
        return True

    def _execute(self, order: Order) -> Trade:
        if order.verb is Verb.TRANSFER:
            return self._transfers.execute(order, self._row, self.balances)
        exchange = self._exchanges.get(order.venue)
        if exchange is not None:
            return exchange.execute(order, self._row, self.balances)
        return self._chain.execute(order, self._row, self.balances)

    # What is due

    def _quiet_rows(self, window: Window) -> int:
        """Rows before the first arrival, reward or flow."""
        due = [flight.arrives_at for flight in self._flights.values()]
        if self._flows:
            due.append(self._flows[0].at)
        reward = self._rewards.due()
        if reward is not None:
            due.append(reward)
        return int(window.timestamps.searchsorted(min(due))) if due else len(window)

    def _due(self, row: Row) -> list[Happening]:
        now = row.timestamp
        found = [self._arrival(f) for f in sorted(self._flights.values(), key=_arrival_order) if f.arrives_at <= now]
        reward = self._rewards.due()
        if reward is not None and reward <= now:
            found.append(self._reward())
        found += [self._flow(flow) for flow in self._flows if flow.at <= now]
        return sorted(found, key=lambda happening: happening.at)

    def _arrival(self, flight: InFlight) -> Happening:
        return Happening(
            event_type=EventType.TRANSFER_ARRIVED,
            at=flight.arrives_at,
            venue=flight.target.venue,
            token=flight.token,
            amount=flight.amount,
            changes={base_token(TRANSIT, flight.token): -flight.amount, flight.target: flight.amount},
            part=None,
            detail=f"{flight.source} to {flight.target}",
            arrived=flight,
        )

    def _reward(self) -> Happening:
        period, units = self._rewards.preview()
        return Happening(
            event_type=EventType.REWARD,
            at=period.paid_at,
            venue=KING,
            token=period.token,
            amount=units,
            changes={base_token(KING, period.token): units} if units else {},
            part="staking_yield_rewards",
            detail=f"{period.per_eeth!r} {period.token} per eETH",
        )

    def _flow(self, flow: Flow) -> Happening:
        deposit = flow.amount > 0.0
        return Happening(
            event_type=EventType.DEPOSIT if deposit else EventType.WITHDRAWAL_REQUESTED,
            at=flow.at,
            venue=WALLET,
            token=self._mode.share_class,
            amount=abs(flow.amount),
            changes={base_token(WALLET, self._mode.share_class): flow.amount} if deposit else {},
            part="flow" if deposit else None,
            detail=flow.id,
        )

    def _tick_off(self, happening: Happening) -> None:
        if happening.arrived is not None:
            del self._flights[happening.arrived.id]
        elif happening.event_type is EventType.REWARD:
            self._rewards.paid()
            self._rewards_paid += 1
        elif happening.event_type in (EventType.DEPOSIT, EventType.WITHDRAWAL_REQUESTED):
            self._flows = [flow for flow in self._flows if flow.id != happening.detail]

    # Cash and liquidations

    def _first_liquidation(
        self, window: Window, held: Mapping[PositionKey, float], flows: Sequence[CashFlows]
    ) -> int | None:
        rows = [] if self._chain.is_safe(window, held) else [self._chain.liquidation_row(window, held)]
        for exchange in self._hedges:
            key = base_token(exchange.name, "USDT")
            cash = held.get(key, 0.0)
            least = least_balance(flows, key, cash)
            if least < 0.0 or not exchange.is_safe(window, held, least):
                column = balances_by_row(flows, held, len(window)).get(key, cash)
                rows.append(exchange.liquidation_row(window, held, column))
                rows.append(exchange.overdrawn_row(window, held, column))
        found = [row for row in rows if row is not None]
        return min(found) if found else None

    def _liquidations(
        self, window: Window, held: Mapping[PositionKey, float], flows: Sequence[CashFlows]
    ) -> list[Happening]:
        """Liquidations on the first row, with the cash of that row; and where payments have used that up and the
        position carries them, its profit made cash."""
        row = window.row(0)
        at_row = {**held, **{key: float(column[0]) for key, column in balances_by_row(flows, held, 1).items()}}
        one = window.head(1)
        found = []
        if self._chain.liquidation_row(one, at_row) == 0:
            found.append(self._chain.liquidate(row, at_row))
        for exchange in self._hedges:
            cash = at_row.get(base_token(exchange.name, "USDT"), 0.0)
            if exchange.liquidation_row(one, at_row, cash) == 0:
                found.append(exchange.liquidate(row, at_row))
            elif exchange.overdrawn_row(one, at_row, cash) == 0:
                found.append(exchange.settle_profit(row, at_row))
        return found

    def _book(self, trade: Trade) -> None:
        if trade.status not in DONE:
            return
        for key, change in trade.changes.items():
            self._add(key, change)
        if trade.in_flight is not None:
            self._flights[trade.in_flight.id] = trade.in_flight

    def _meter(self) -> None:
        """What is held of weETH from now on earns rewards from now on."""
        if not self._reward_tokens:
            return
        at = self._row.timestamp
        self._rewards.holds(self.balances, at)
        wallet, supplied = (self.balances.get(key, 0.0) for key in (IN_WALLET, SUPPLIED))
        if not self._holdings or self._holdings[-1][1:] != (wallet, supplied):
            self._holdings.append((at, wallet, supplied))

    def _add(self, key: PositionKey, change: float) -> None:
        self.balances[key] = self.balances.get(key, 0.0) + change


def _arrival_order(flight: InFlight) -> tuple[int, str, str]:
    return flight.arrives_at, flight.target, flight.id
