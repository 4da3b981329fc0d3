"""Names of things: venues, position keys and instruments.

A position key is the string `venue:position_type:symbol`, so it sorts, hashes and prints as itself. This module knows
no prices and no balances.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from typing import Literal, TypeAlias

import msgspec

Token: TypeAlias = str
VenueName: TypeAlias = str

WALLET = "wallet"
RESERVE = "reserve"
GAS = "gas"
TRANSIT = "transit"
KING = "king"
CHAIN_VENUES: tuple[VenueName, ...] = (
    WALLET,
    RESERVE,
    GAS,
    KING,
    "aave_v3",
    "lido",
    "etherfi",
    "morpho",
    "instadapp",
    "uniswap",
    "alchemy",
)  # places of a key that one wallet on chain reaches; the others are exchanges


class PositionType(StrEnum):
    """What a balance is. `PerpQuote` is the quote side of a perp: `-sum(quantity x fill)`, in USDT."""

    BASE_TOKEN = "BaseToken"
    A_TOKEN = "aToken"
    DEBT_TOKEN = "debtToken"
    PERP = "Perp"
    PERP_QUOTE = "PerpQuote"


class PositionKey(str):
    """`venue:position_type:symbol`, e.g. `binance:Perp:BTCUSDT`; a string that knows its three parts.

    They are split when first asked for, ValueError when the text is no key.
    """

    __slots__ = ("position_type", "symbol", "venue")

    venue: VenueName
    position_type: PositionType
    symbol: str

    @classmethod
    def of(cls, venue: VenueName, position_type: PositionType, symbol: str) -> PositionKey:
        return cls(f"{venue}:{position_type.value}:{symbol}")

    @classmethod
    def parse(cls, text: str) -> PositionKey:
        """The key in `text`; ValueError when it has not three parts or an unknown position type."""
        parts = text.split(":")
        if len(parts) != 3 or not all(parts):
            raise ValueError(f"{text!r} is not a position key: expected venue:position_type:symbol")
        PositionType(parts[1])
        return cls(text)

    def __getattr__(self, name: str) -> object:
        if name not in PositionKey.__slots__:
            raise AttributeError(f"a position key has no {name}")
        self.venue, self.position_type, self.symbol = _parts(self)
        return getattr(self, name)


@cache
def _parts(key: str) -> tuple[VenueName, PositionType, str]:
    venue, position_type, symbol = key.split(":")
    return venue, PositionType(position_type), symbol


@cache
def base_token(venue: VenueName, token: Token) -> PositionKey:
    return PositionKey.of(venue, PositionType.BASE_TOKEN, token)


@cache
def a_token(token: Token, venue: VenueName = "aave_v3") -> PositionKey:
    return PositionKey.of(venue, PositionType.A_TOKEN, f"a{token}")


@cache
def debt_token(token: Token, venue: VenueName = "aave_v3") -> PositionKey:
    return PositionKey.of(venue, PositionType.DEBT_TOKEN, f"variableDebt{token}")


@cache
def perp(venue: VenueName, coin: Token) -> PositionKey:
    return PositionKey.of(venue, PositionType.PERP, f"{coin}USDT")


@cache
def perp_quote(venue: VenueName, coin: Token) -> PositionKey:
    return PositionKey.of(venue, PositionType.PERP_QUOTE, f"{coin}USDT")


@cache
def token_of(key: PositionKey) -> Token:
    """The token whose price moves this position: `aweETH` → weETH, `variableDebtWETH` → WETH, `BTCUSDT` perp → BTC."""
    symbol = key.symbol
    match key.position_type:
        case PositionType.A_TOKEN:
            return symbol.removeprefix("a")
        case PositionType.DEBT_TOKEN:
            return symbol.removeprefix("variableDebt")
        case PositionType.PERP:
            return symbol.removesuffix("USDT")
        case PositionType.PERP_QUOTE:
            return "USDT"
        case PositionType.BASE_TOKEN:
            return symbol


class Tier(msgspec.Struct, frozen=True):
    """One step of a venue's maintenance table: up to `notional_usdt`, margin = notional × rate − deduction."""

    notional_usdt: float
    maintenance_rate: float
    deduction_usdt: float


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """How one product trades on one venue: steps and minimums in native units."""

    venue: VenueName
    product: Literal["spot", "perp"]
    coin: Token
    symbol: str
    lot: float
    tick: float
    minimum_notional_usdt: float
    contract_size: float = 1.0
    funding_interval_hours: float = 8.0
    tiers: tuple[Tier, ...] = ()
