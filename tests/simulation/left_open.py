"""What stands between an account and flat, by the truth of its venues alone: the judge of everything that says flat.

Written apart from the daemon's own judgement, from the same sentence: nothing above dust but share-class currency,
reserve and gas, nothing on its way, nothing that rests.
"""

from __future__ import annotations

from components.model.keys import PositionKey, PositionType, token_of
from venues.paper.account import PaperAccount

DUST_USDT = 2.5
LST = {"weETH": "etherfi", "wstETH": "lido"}


def left_open(account: PaperAccount) -> tuple[str, ...]:
    """Everything of it, in words; tokens that nobody has a price of, and coins that were sent to where the mode trades
    nothing, are left out."""
    found = [f"{key} {amount!r}" for key, amount in account.balances.items() if _is_open(account, key, amount)]
    found += [
        f"order {order.reference} rests at {door}" for door in account.doors for order in account.open_orders(door)
    ]
    return tuple(found)


def _is_open(account: PaperAccount, key: PositionKey, amount: float) -> bool:
    kind = key.position_type
    if amount == 0.0 or kind is PositionType.PERP_QUOTE or key.venue in ("reserve", "gas"):
        return False
    if kind is PositionType.PERP:
        return abs(amount) > 1e-9
    price = usdt_price(account, token_of(key))
    if price is None:
        return kind is PositionType.DEBT_TOKEN
    currency = ("USDT",) if account.run.mode.share_class == "USDT" else ("ETH", "WETH")
    if kind is PositionType.BASE_TOKEN and key.venue != "transit" and key.symbol in currency:
        return False
    if kind is PositionType.BASE_TOKEN and not _is_traded(account, key):
        return False
    return abs(amount) * price > DUST_USDT


def _is_traded(account: PaperAccount, key: PositionKey) -> bool:
    """Coins of the asset at an exchange, or on their way; what is staked, and what for, in the wallet."""
    mode = account.run.mode
    if key.venue == "wallet":
        return mode.lst_type is not None and key.symbol in ("ETH", mode.lst_type)
    return key.venue == "transit" or key.symbol == mode.asset


def usdt_price(account: PaperAccount, token: str) -> float | None:
    """Of one token, by the last row; None for what has no price there."""
    row = account.world.row
    columns = row.market.columns
    if token == "USDT":
        return 1.0
    if token in LST:
        name = f"{LST[token]}.ratio.{token}"
        ether = usdt_price(account, "ETH")
        return row.value(name) * ether if name in columns and ether is not None else None
    name = f"binance.spot.{'ETH' if token == 'WETH' else token}"
    if name in columns:
        return row.value(name)
    return 2000.0 if token in ("ETH", "WETH") else None
