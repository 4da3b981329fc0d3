"""What is held row by row and what it is worth, by arithmetic of its own from balances and market columns."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from components.model.market import Column, Market
from tests.decisions.playing import Played

BALANCE = "balance."
LST = {"weETH": "etherfi", "wstETH": "lido"}
Flags = np.ndarray[tuple[int], np.dtype[np.bool_]]


class Book:
    """Balances after the trades of each row."""

    def __init__(self, played: Played) -> None:
        self._market = played.market
        self.rows = len(played.result.timestamps)
        self.in_eth = played.run.mode.share_class == "ETH"
        columns = played.result.columns
        self.balances = {n.removeprefix(BALANCE): columns[n] for n in columns if n.startswith(BALANCE)}

    def eth_usdt(self) -> Column | float:
        return self._market.columns.get("binance.spot.ETH", 1.0)

    def price(self, key: str) -> Column | float:
        """USDT per native unit, at the price of the place where it lies."""
        return price_usdt(self._market, key)

    def coins(self, key: str, coin: str) -> Column | float:
        """Coins of `coin` that one native unit moves with."""
        kind, symbol = key.split(":")[1:]
        columns = self._market.columns
        if kind == "Perp":
            return 1.0 if symbol == f"{coin}USDT" else 0.0
        if kind == "debtToken":
            return -columns[f"aave_v3.borrow_index.{symbol.removeprefix('variableDebt')}"] if coin == "ETH" else 0.0
        token = symbol.removeprefix("a") if kind == "aToken" else symbol
        if kind == "aToken" and token not in LST:
            return 0.0
        if token in LST:
            ratio = columns[f"{LST[token]}.ratio.{token}"]
            return ratio * columns[f"aave_v3.supply_index.{token}"] if kind == "aToken" else ratio
        return 1.0 if kind == "BaseToken" and (token == coin or (coin == "ETH" and token == "WETH")) else 0.0

    def exposure(self, coin: str) -> tuple[Column, Column]:
        """Net coins, and the larger of what is long (debt taken off) and what is short."""
        long, short = np.zeros(self.rows), np.zeros(self.rows)
        for key, native in self.balances.items():
            if key.split(":")[1] == "Perp":
                short += native * self.coins(key, coin)
            elif key.split(":")[1] != "PerpQuote":
                long += native * self.coins(key, coin)
        return long + short, np.maximum(np.abs(long), np.abs(short))

    def travelling(self) -> Flags:
        """Rows after which something named is on its way."""
        out = np.zeros(self.rows, dtype=bool)
        for key, native in self.balances.items():
            if key.startswith("transit:"):
                out |= np.abs(native) > 1e-9
        return out

    def open_usdt(self) -> Column:
        """USDT value of all that is not cash, reserve or gas: what a flat account has none of."""
        total = np.zeros(self.rows)
        cash = "ETH" if self.in_eth else "USDT"
        for key, native in self.balances.items():
            venue, kind, symbol = key.split(":")
            if venue == "gas" or kind == "PerpQuote" or (kind == "BaseToken" and symbol == cash):
                continue
            total += np.abs(native * self.price(key))
        return total


@lru_cache(maxsize=4096)
def _parts(key: str) -> tuple[str, str, str]:
    venue, kind, symbol = key.split(":")
    return venue, kind, symbol


def price_usdt(market: Market, key: str) -> Column | float:
    """USDT per native unit of a position at every row; debt is negative, a perp is its mark and its quote 1."""
    venue, kind, symbol = _parts(key)
    columns = market.columns
    eth = columns.get("binance.spot.ETH", 1.0)
    if kind == "PerpQuote":
        return 1.0
    if kind == "Perp":
        return columns[f"{venue}.perp.{symbol.removesuffix('USDT')}"]
    if kind == "debtToken":
        token = symbol.removeprefix("variableDebt")
        return -columns[f"aave_v3.borrow_index.{token}"] * (1.0 if token == "USDT" else eth)
    token = symbol.removeprefix("a") if kind == "aToken" else symbol
    index = columns[f"aave_v3.supply_index.{token}"] if kind == "aToken" else 1.0
    if token == "USDT":
        return index
    if token in LST:
        return columns[f"{LST[token]}.ratio.{token}"] * index * eth
    if token in ("ETH", "WETH"):
        return columns.get(f"{venue}.spot.ETH", eth)
    if token == "BTC":
        return columns.get(f"{venue}.spot.BTC", columns["binance.spot.BTC"])
    return columns[f"uniswap.eth_price.{token}"] * eth


def value_at(market: Market, key: str, row: int) -> float:
    """USDT per native unit at one row."""
    price = market.derived(f"oracle({key})", lambda: np.broadcast_to(price_usdt(market, key), (len(market),)))
    return float(price[row])
