"""Uncertain gains: what a unit of each position that an uncertain order may have moved has done since the order left.

When the outcome is known at last, the trade is booked where it belongs: its cost at the prices of the row on which it
was sent, and every move since in the P&L part that it belongs to. Orders that are done and not final are watched in
the same way: what a reorganisation takes back leaves each part by what it had brought there. State: per order and
position, the value of one native unit when the order left, and the sum of its changes since, by part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from components.maths.columns import running
from components.model.errors import MissingData
from components.model.keys import (
    GAS,
    TRANSIT,
    WALLET,
    PositionKey,
    a_token,
    base_token,
    debt_token,
    perp,
    perp_quote,
)
from components.model.market import Row, Window
from components.model.orders import Order, OrderId, Verb
from components.model.slices import ModeSlice
from components.utility_manager import UtilityManager


class Since(msgspec.Struct):
    """One native unit, share-class currency: `value` when the order left, `parts` what it gained since."""

    value: float
    parts: dict[str, float]


class UncertainGains:
    def __init__(self, mode: ModeSlice, prices: UtilityManager) -> None:
        self._prices = prices
        self.orders: dict[OrderId, dict[PositionKey, Since]] = {}
        self._on_chain = [base_token(WALLET, token) for token in ("USDT", "ETH", "WETH")] + [a_token("USDT")]
        if mode.lst_type is not None:
            self._on_chain += [base_token(WALLET, mode.lst_type), a_token(mode.lst_type), debt_token("WETH")]

    def state(self) -> dict[OrderId, dict[PositionKey, Since]]:
        return {
            id: {key: Since(since.value, dict(since.parts)) for key, since in watched.items()}
            for id, watched in self.orders.items()
        }

    def restore(self, state: Mapping[OrderId, Mapping[PositionKey, Since]]) -> None:
        self.orders = {
            id: {key: Since(since.value, dict(since.parts)) for key, since in watched.items()}
            for id, watched in state.items()
        }

    def watch(self, orders: Iterable[Order], row: Row) -> None:
        """These are uncertain as of `row`; those that are watched already stay as they are."""
        for order in orders:
            if order.id not in self.orders:
                self.orders[order.id] = {key: Since(value, {}) for key, value in self._values(order, row)}

    def forget(self, id: OrderId) -> None:
        """What this order did was taken back: whatever it does from now on is watched from here."""
        self.orders.pop(id, None)

    def known(
        self, id: OrderId | None, changes: Mapping[PositionKey, float], window: Window
    ) -> tuple[float, dict[str, float]]:
        """(cost, gain by part) of a trade that is known on the first row of `window`; one that nobody watched counts
        from the row before."""
        watched = self.orders.get(id or "", {})
        cost, gains = 0.0, dict[str, float]()
        before = Row(window.market, max(window.start - 1, 0))
        for key, change in changes.items():
            since = watched.get(key) or Since(self._prices.value_at(before, key), {})
            cost += change * since.value
            for part, gain in since.parts.items():
                gains[part] = gains.get(part, 0.0) + change * gain
            for part, column in self._prices.unit(window.market, key).terms if window.start else ():
                gains[part] = gains.get(part, 0.0) + change * float(column[window.start])
        return cost, gains

    def advance(self, window: Window, uncertain: Mapping[OrderId, Order]) -> None:
        """The rows of `window` have passed. What is uncertain no more, and final, is forgotten; what is new counts from
        the first row."""
        self.orders = {id: watched for id, watched in self.orders.items() if id in uncertain}
        known = frozenset(self.orders)
        self.watch(uncertain.values(), window.row(0))
        for id, watched in self.orders.items():
            start = window.start if id in known else window.start + 1
            for key, since in watched.items():
                for part, column in self._prices.unit(window.market, key).terms:
                    since.parts[part] = running(since.parts.get(part, 0.0), column[start : window.stop])

    def _values(self, order: Order, row: Row) -> Iterator[tuple[PositionKey, float]]:
        for key in dict.fromkeys(self._touched(order)):
            try:
                yield key, self._prices.value_at(row, key)
            except MissingData:  # a strategy without these prices cannot hold it
                continue

    def _touched(self, order: Order) -> Iterator[PositionKey]:
        """Positions that the order may have changed."""
        yield base_token(GAS, "ETH")
        match order.verb:
            case Verb.SPOT | Verb.PERP:
                yield from (base_token(order.venue, order.token), base_token(order.venue, "USDT"))
                yield from (perp(order.venue, order.token), perp_quote(order.venue, order.token))
            case Verb.TRANSFER | Verb.REQUEST_UNSTAKE:
                yield base_token(TRANSIT, order.token)
                yield base_token(TRANSIT, "ETH")
                yield from self._on_chain
            case _:
                yield from self._on_chain
        yield from (key for key in (order.source, order.target) if key is not None)
