"""The accounts of a run made again from balances and prices, by formulas of its own (SPEC §5); nothing of the product's
maths is used.

What was held when a row began earns by the change of prices, rates and indices; what an event changed counts at the
prices of its row under the heading of its kind. Both together are the change of equity.
"""

from __future__ import annotations

from collections import defaultdict

import msgspec
import numpy as np

from tests.audit.books import Books, Column, Entry

PARTS = (
    "supply_yield", "borrow_costs", "staking_yield_oracle", "staking_yield_rewards", "funding", "basis", "delta",
    "dust", "liquidation", "transaction_costs",
)  # fmt: skip
PAYMENTS = ("slow withdrawal", "withdrawal from the reserve")
HEADINGS = {
    "funding": "funding",
    "interest": "borrow_costs",
    "reward": "staking_yield_rewards",
    "liquidation": "liquidation",
    "deposit": "deposited",
    "withdrawal_paid": "paid out",
}
PROTOCOLS = {"weETH": "etherfi", "wstETH": "lido"}


class Accounts(msgspec.Struct, frozen=True, kw_only=True):
    """Per row: equity, parts, flows, and the value of one unit after the row's trades; balances by key."""

    equity: Column
    parts: dict[str, Column]
    flow: Column
    unit_value: Column
    held: dict[str, Column]


class Recomputation:
    def __init__(self, books: Books) -> None:
        self._books = books
        self._columns = books.market.columns
        self._eth = self._columns.get("binance.spot.ETH", np.ones(books.rows))
        self._values: dict[str, Column] = {}

    def accounts(self) -> Accounts:
        books = self._books
        parts = {part: np.zeros(books.rows) for part in (*PARTS, "deposited", "paid out")}
        placed = next(i for i, entry in enumerate(books.entries) if entry.kind == "capital_placed")
        book = dict(books.entries[placed].balances)
        held = {key: np.zeros(books.rows) for key in book}
        unit_value = np.zeros(books.rows)
        units = float(books.summary["initial_capital"])
        by_row: dict[int, list[Entry]] = defaultdict(list)
        for entry in books.entries[placed + 1 :]:
            by_row[entry.row].append(entry)
        for row in range(books.rows):
            if row:
                self._earn(parts, book, row)
            borne, leaving = 0.0, False
            for entry in by_row[row]:
                if entry.kind == "decision":  # who leaves bears what freeing his money costs, while others stay
                    leaving = entry.status == "exit_partial" and entry.detail.partition(": ")[2] in PAYMENTS
                before = float(parts["transaction_costs"][row])
                came = self._book(parts, book, entry)
                borne += float(parts["transaction_costs"][row]) - before if leaving else 0.0
                if came and not units:
                    units = self._worth(book, row) / unit_value[row - 1]  # what was left comes with it
                units *= 1.0 + came / (self._worth(book, row) - came) if came and units else 1.0
            worth, paid = self._worth(book, row), float(parts["paid out"][row])
            borne = borne if worth > self._crumbs(row) else 0.0
            unit_value[row] = (worth - paid - borne) / units if units else unit_value[row - 1]
            if paid or borne:  # crumbs are no unit
                units *= worth / (worth - paid - borne) if worth > self._crumbs(row) else 0.0
            for key, native in book.items():
                held[key][row] = native
        flow = parts.pop("deposited") + parts.pop("paid out")
        equity = sum((held[key] * self.value(key) for key in held), np.zeros(books.rows))
        return Accounts(equity=equity, parts=parts, flow=flow, unit_value=unit_value, held=held)

    def _crumbs(self, row: int) -> float:
        """Less than this after a payment is no unit any more: a minimum trade, no more than 1 % of the capital."""
        mode, capital = self._books.config["mode"], float(self._books.summary["initial_capital"])
        if mode["costs"] == "none":
            return 1e-5 * capital
        least = float(mode["minimum_trade_usdt"]) / (float(self._eth[row]) if self._books.in_eth else 1.0)
        return max(1e-5 * capital, min(least, 1e-2 * capital))

    def _book(self, parts: dict[str, Column], book: dict[str, float], entry: Entry) -> float:
        """One event: its change of the book under its heading; what it brought in from outside."""
        came = 0.0
        for key, after in entry.balances.items():
            change = after - book.get(key, 0.0)
            if change == 0.0:
                continue
            worth = change * float(self.value(key)[entry.row])
            heading = HEADINGS.get(entry.kind, "transaction_costs")
            if heading == "paid out" and key.startswith("gas:"):
                heading = "transaction_costs"
            parts[heading][entry.row] += worth
            came += worth if heading == "deposited" else 0.0
            book[key] = after
        return came

    def _worth(self, book: dict[str, float], row: int) -> float:
        return sum(native * float(self.value(key)[row]) for key, native in book.items() if native)

    def value(self, key: str) -> Column:
        """Share-class currency per native unit."""
        if key not in self._values:
            usdt = np.broadcast_to(self._usdt(key), (self._books.rows,))
            self._values[key] = usdt / self._eth if self._books.in_eth else usdt
        return self._values[key]

    def _usdt(self, key: str) -> Column | float:
        venue, kind, symbol = key.split(":")
        if kind == "PerpQuote":
            return 1.0
        if kind == "Perp":
            return self._columns[f"{venue}.perp.{symbol.removesuffix('USDT')}"]
        if kind == "debtToken":
            return -self._columns[f"{venue}.borrow_index.{symbol.removeprefix('variableDebt')}"] * self._eth
        token = symbol.removeprefix("a") if kind == "aToken" else symbol
        index = self._columns[f"{venue}.supply_index.{token}"] if kind == "aToken" else 1.0
        if token == "USDT":
            return index
        if token in PROTOCOLS:
            return index * self._columns[f"{PROTOCOLS[token]}.ratio.{token}"] * self._eth
        if token in ("BTC", "ETH", "WETH"):
            coin = "ETH" if token == "WETH" else token
            return self._columns.get(f"{venue}.spot.{coin}", self._columns.get(f"binance.spot.{coin}", self._eth))
        return self._columns[f"uniswap.eth_price.{token}"] * self._eth

    # What is held earns

    def _earn(self, parts: dict[str, Column], book: dict[str, float], row: int) -> None:
        for key, native in book.items():
            if native:
                for part, gain in self._gains(key, row):
                    parts[part][row] += native * gain

    def _gains(self, key: str, t: int) -> list[tuple[str, float]]:
        """What one native unit, held from row t−1 to t, earned by part, share-class currency."""
        venue, kind, symbol = key.split(":")
        if kind == "PerpQuote":
            return []
        ref, move = (1.0, 0.0) if self._books.in_eth else self._reference("ETH", t)
        if kind == "debtToken":
            then, now = self._pair(f"{venue}.borrow_index.{symbol.removeprefix('variableDebt')}", t)
            return [("borrow_costs", -(now - then) * ref), ("delta", -then * move)]
        token = symbol.removeprefix("a") if kind == "aToken" else symbol
        if kind == "aToken" and token == "USDT":
            then, now = self._pair(f"{venue}.supply_index.USDT", t)
            return [("supply_yield", now - then)]
        if token in PROTOCOLS:
            then, now = self._pair(f"{PROTOCOLS[token]}.ratio.{token}", t)
            index = self._pair(f"{venue}.supply_index.{token}", t) if kind == "aToken" else (1.0, 1.0)
            return [
                ("supply_yield", (index[1] - index[0]) * now * ref),
                ("staking_yield_oracle", index[0] * (now - then) * ref),
                ("delta", index[0] * then * move),
            ]
        if token == "USDT":
            return [("delta", 1.0 / self._eth[t] - 1.0 / self._eth[t - 1])] if self._books.in_eth else []
        if kind == "Perp" or token in ("BTC", "ETH", "WETH"):
            return self._coin(key, t)
        then, now = (float(self.value(key)[i]) for i in (t - 1, t))
        return [("dust", now - then)]

    def _coin(self, key: str, t: int) -> list[tuple[str, float]]:
        """A coin or a perp: the reference moves it, and what its own price does beside is basis."""
        if self._books.in_eth:
            return []
        _, kind, symbol = key.split(":")
        coin = symbol.removesuffix("USDT") if kind == "Perp" else symbol
        _, move = self._reference("ETH" if coin == "WETH" else coin, t)
        own = float(self.value(key)[t] - self.value(key)[t - 1])
        return [("basis", own - move), ("delta", move)]

    def _reference(self, coin: str, t: int) -> tuple[float, float]:
        """(USDT per coin now, its change since the row before)."""
        then, now = self._pair(f"binance.spot.{coin}", t) if f"binance.spot.{coin}" in self._columns else (1.0, 1.0)
        return now, now - then

    def _pair(self, name: str, t: int) -> tuple[float, float]:
        column = self._columns[name]
        return float(column[t - 1]), float(column[t])


def drawdowns(unit_value: Column) -> Column:
    """Fall from the highest so far, the 1 of the start included."""
    highest, out = 1.0, np.zeros(len(unit_value))
    for row, value in enumerate(unit_value.tolist()):
        highest = max(highest, value)
        out[row] = 1.0 - value / highest
    return out


def fundings(books: Books) -> list[tuple[Entry, float]]:
    """Each funding event, and what it should have been: −size × mark × rate of the settlement it is stamped with."""
    out, before = [], {}
    for entry in books.entries:
        if entry.kind == "funding":
            series = next(s for name, s in books.market.funding.items() if name.startswith(f"{entry.venue}.funding."))
            i = int(np.searchsorted(series.at, entry.at))
            size = next((n for k, n in before.items() if k.startswith(f"{entry.venue}:Perp:")), 0.0)
            out.append((entry, -size * float(series.mark_usdt[i]) * float(series.rate[i])))
        before = entry.balances
    return out
