"""Position Monitor: keeps the expected positions, and what the venues were last seen to hold.

Expected is what executed trades and settlements imply; observed is whatever the Observation port answered. This
component decides nothing and knows no price.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from components.maths.columns import accumulate, on_rows
from components.model.keys import TRANSIT, PositionKey, base_token
from components.model.market import Column, Window
from components.model.orders import InFlight, Order, OrderId, Trade
from components.model.positions import Book
from components.ports import Happening, Settlements


class BookColumns:
    """Balances over a window: constant but for the positions that cash flows change.

    `held` is what was held when the first row began, `quantities` what is held after its happenings; both in native
    units. `flowing` are the columns of balances that change within the window, `paid` what each of the cash flows comes
    to per row. `uncertain` are orders whose outcome is not known: the book does not count them, exposure counts them
    both ways.
    """

    __slots__ = ("uncertain", "flowing", "held", "paid", "quantities", "window")

    def __init__(
        self,
        window: Window,
        held: Mapping[PositionKey, float],
        quantities: Mapping[PositionKey, float],
        flowing: Mapping[PositionKey, Column],
        uncertain: tuple[Order, ...] = (),
        paid: tuple[Column, ...] = (),
    ) -> None:
        self.window = window
        self.held = held
        self.quantities = quantities
        self.flowing = flowing
        self.uncertain = uncertain
        self.paid = paid

    def native(self, key: PositionKey) -> Column | float:
        """The balance of `key` at each row, settlements of the row included."""
        column = self.flowing.get(key)
        return column if column is not None else self.quantities.get(key, 0.0)

    def after_each(self, happenings: Sequence[Happening]) -> list[dict[PositionKey, float]]:
        """Balances that are not zero after each happening of the first row, told after its cash flows, in key order.

        The last is what the book holds after the row to the last bit.
        """
        if not happenings:
            return []
        balances = dict(self.held)
        for key, column in self.flowing.items():
            paid = float(column[0]) - self.quantities.get(key, 0.0)
            balances[key] = float(column[0]) if self._is_quiet(key) else balances.get(key, 0.0) + paid
        out = []
        for happening in happenings[:-1]:
            for key, change in happening.changes.items():
                balances[key] = balances.get(key, 0.0) + change
            out.append({key: balances[key] for key in sorted(balances) if balances[key] != 0.0})
        last = {key: self.at(key, 0) for key in dict.fromkeys((*self.quantities, *self.flowing))}
        return [*out, {key: last[key] for key in sorted(last) if last[key] != 0.0}]

    def _is_quiet(self, key: PositionKey) -> bool:
        return self.held.get(key, 0.0) == self.quantities.get(key, 0.0)

    def at(self, key: PositionKey, row: int) -> float:
        column = self.flowing.get(key)
        return float(column[row]) if column is not None else self.quantities.get(key, 0.0)


class Unfinal(msgspec.Struct, frozen=True, kw_only=True):
    """What an order did in a block that a reorganisation of its chain may still take back."""

    order: Order
    block: str
    quantity: float
    changes: Mapping[PositionKey, float]


class PositionState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"uncertain": "doubts"}):
    """What the Position Monitor carries from step to step; on disk `uncertain` has the name it had first."""

    expected: dict[PositionKey, float]
    observed: dict[PositionKey, float]
    in_flight: dict[str, InFlight]
    landed: dict[str, InFlight]
    uncertain: dict[OrderId, Order]
    unfinal: dict[OrderId, Unfinal] = {}


class PositionMonitor:
    def __init__(self) -> None:
        self.expected = Book()
        self.observed: dict[PositionKey, float] = {}
        self.in_flight: dict[str, InFlight] = {}
        self.landed: dict[str, InFlight] = {}  # arrived before anybody said that it had left
        self.uncertain: dict[OrderId, Order] = {}
        self.unfinal: dict[OrderId, Unfinal] = {}

    def statistics(self) -> Mapping[str, int]:
        return {
            "positions": len(self.expected),
            "in_flight": len(self.in_flight),
            "uncertain": len(self.uncertain),
            "unfinal": len(self.unfinal),
        }

    @property
    def watched(self) -> dict[OrderId, Order]:
        """Orders whose effects may still come, or still go: uncertain, or done and not final."""
        return {**{id: each.order for id, each in self.unfinal.items()}, **self.uncertain}

    def state(self) -> PositionState:
        return PositionState(
            expected=dict(self.expected),
            observed=dict(self.observed),
            in_flight=dict(self.in_flight),
            landed=dict(self.landed),
            uncertain=dict(self.uncertain),
            unfinal=dict(self.unfinal),
        )

    def restore(self, state: PositionState) -> None:
        self.expected = Book(state.expected)
        self.observed = dict(state.observed)
        self.in_flight = dict(state.in_flight)
        self.landed = dict(state.landed)
        self.uncertain = dict(state.uncertain)
        self.unfinal = dict(state.unfinal)

    def place(self, balances: Mapping[PositionKey, float]) -> None:
        """The positions a run starts from."""
        self.expected.apply(balances)

    def project(self, window: Window, settlements: Settlements) -> BookColumns:
        """Balances over the rows of `window`, its settlements included; changes nothing."""
        held = dict(self.expected.items())
        quantities = held
        if settlements.happenings:
            after = Book(held)
            for happening in settlements.happenings:
                after.apply(happening.changes)
            quantities = dict(after.items())
        paid = tuple(on_rows(flow.row, flow.amount, len(window)) for flow in settlements.cash)
        amounts: dict[PositionKey, Column] = {}
        for flow, amount in zip(settlements.cash, paid, strict=True):
            amounts[flow.key] = amounts[flow.key] + amount if flow.key in amounts else amount
        flowing = {key: accumulate(quantities.get(key, 0.0), amount, len(window)) for key, amount in amounts.items()}
        uncertain = dict(self.uncertain)
        for happening in settlements.happenings:
            if happening.resolves is not None:
                uncertain.pop(happening.resolves, None)
            if happening.unknown is not None:
                uncertain[happening.unknown.id] = happening.unknown
        return BookColumns(window, held, quantities, flowing, tuple(uncertain.values()), paid)

    def happened(self, columns: BookColumns, settlements: Settlements, rows: int) -> None:
        """The first `rows` rows of a projection have happened."""
        if settlements.happenings:
            for happening in settlements.happenings:
                self.expected.apply(happening.changes)
                self._arrive(happening)
        for key, column in columns.flowing.items():
            self.expected.set(key, float(column[rows - 1]))

    def expect(self, trades: Iterable[Trade]) -> None:
        """What executed trades imply."""
        for trade in trades:
            self.expected.apply(trade.changes)
            if trade.in_flight is not None:
                self.in_flight[trade.in_flight.id] = trade.in_flight

    def keep_uncertain(self, order: Order) -> None:
        """The outcome of this order is not known."""
        self.uncertain[order.id] = order

    def may_be_undone(self, order: Order, trade: Trade) -> None:
        """This trade is in the book, and its chain may still take it back."""
        self.unfinal[order.id] = Unfinal(order=order, block=trade.block, quantity=trade.quantity, changes=trade.changes)

    def observe(self, report: Mapping[PositionKey, float]) -> None:
        self.observed.update(report)

    def snapshot(self) -> dict[PositionKey, float]:
        """Expected balances that are not zero, in key order."""
        return self.expected.snapshot()

    def travelling(self, token: str) -> float:
        """Amount of `token` on its way."""
        return self.expected.of(base_token(TRANSIT, token))

    def _arrive(self, happening: Happening) -> None:
        arrived, departed = happening.arrived, happening.departed
        if arrived is not None and self.in_flight.pop(arrived.id, None) is None:
            self.landed[arrived.id] = arrived
        if departed is not None and self.landed.pop(departed.id, None) is None:
            self.in_flight[departed.id] = departed
        if happening.resolves is not None:
            self.uncertain.pop(happening.resolves, None)
        if happening.unknown is not None:
            self.uncertain[happening.unknown.id] = happening.unknown
        if happening.undoes is not None:
            self.unfinal.pop(happening.undoes, None)
            self.in_flight.pop(happening.undoes, None)
        if happening.finalizes is not None:
            self.unfinal.pop(happening.finalizes, None)
        if (order := happening.revocable) is not None:
            self.unfinal[order.id] = Unfinal(
                order=order, block=happening.block, quantity=happening.amount, changes=happening.changes
            )
