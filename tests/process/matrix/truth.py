"""What is open in an account by its balances alone: the judge of the matrix, which asks no daemon.

Prices are those of the last row that a daemon showed, and only turn coins into one another; amounts are the venues'.
"""

from __future__ import annotations

from collections.abc import Mapping

from components.model.keys import PositionKey, PositionType, token_of

DUST = {"ETH": 0.01, "WETH": 0.01, "wstETH": 0.002, "BTC": 1e-4, "USDT": 3.0}  # coins worth no more than a few USDT
FREE = ("reserve", "gas")


def left_open(balances: Mapping[PositionKey, float], share_class: str) -> list[str]:
    """What stands between these balances and flat, in words; tokens that no mode trades are nobody's business."""
    cash = {"USDT"} if share_class == "USDT" else {"ETH", "WETH"}
    found = []
    for key, amount in balances.items():
        kind, token = key.position_type, token_of(key)
        if kind is PositionType.PERP_QUOTE or key.venue in FREE or token not in DUST:
            continue
        if kind is PositionType.BASE_TOKEN and token in cash and key.venue != "transit":
            continue
        if abs(amount) > (1e-9 if kind is PositionType.PERP else DUST[token]):
            found.append(f"{key} {amount:.6g}")
    return found


def net_delta(balances: Mapping[PositionKey, float], coin: str, prices: Mapping[str, float]) -> float | None:
    """|coins − shorts| ÷ the larger of the two; None where a strategy has no shorts and next to no coins."""
    coins = shorts = 0.0
    for key, amount in balances.items():
        token = token_of(key)
        if key.position_type is PositionType.PERP:
            shorts -= amount
        elif key.position_type is not PositionType.PERP_QUOTE and key.venue not in FREE:
            coins += amount * _coins(key, token, coin, prices)
    gross = max(abs(coins), abs(shorts))
    return abs(coins - shorts) / gross if gross > 10.0 * DUST[coin] else None


def _coins(key: PositionKey, token: str, coin: str, prices: Mapping[str, float]) -> float:
    """Coins per native unit."""
    unit = 1.0 if token == coin or (coin, token) == ("ETH", "WETH") else 0.0
    if token == "wstETH":
        unit = prices["lido.ratio.wstETH"]
    if key.position_type is PositionType.A_TOKEN:
        unit *= prices[f"aave_v3.supply_index.{token}"] if unit else 0.0
    if key.position_type is PositionType.DEBT_TOKEN:
        unit *= -prices["aave_v3.borrow_index.WETH"]
    return unit
