"""What a name of an instrument says, in whatever spelling: coin, quote, kind, and whether it is linear or inverse.

One reader for every exchange and library: `BTCUSDT`, `BTC/USDT:USDT` (ccxt), `BTC-USDT-SWAP` (OKX), `BTCUSDT.P` and
`BINANCE:BTCUSDTPERP` (charts), `BTC_USDT_USDT` (freqtrade), `BTCUSD_PERP` (coin-margined), `BTC-27DEC24` (dated).
What a spelling leaves open stays open (None): `BTCUSDT` may be spot or perp, `BTC` any market of the coin.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Literal

import msgspec

from components.model.keys import VenueName

Kind = Literal["spot", "perp", "future", "option"]
Margin = Literal["linear", "inverse"]

EXCHANGES = ("binance", "bybit", "okx")
_STABLES = ("USDT", "USDC", "FDUSD", "BUSD", "TUSD", "USDE", "USD1", "DAI")
_QUOTES = (*_STABLES, "USD", "EUR", "GBP", "JPY", "TRY", "BRL", "KRW", "AUD", "BTC", "ETH", "WETH", "BNB")
_ALIASES = {"XBT": "BTC"}
_WELL_KNOWN = ("BTC", "ETH", "XBT")
_VENUE_WORDS = (*EXCHANGES, "okex", "coinbase", "kraken", "deribit", "bitmex", "bitget", "gate", "gateio", "kucoin",
                "huobi", "htx", "bitstamp", "bitfinex", "mexc", "hyperliquid", "dydx")  # fmt: skip
_PERP_WORDS = frozenset({"PERP", "SWAP", "PERPETUAL", "P", "PERPETUALS"})
_DATED = re.compile(r"(\d{6}|\d{8}|\d{1,2}[A-Z]{3}\d{2})")
_OPTION_END = re.compile(r"[-_](?:\d+(?:D\d+)?)[-_][CP](?:[-_][A-Z]+)?$")
_COIN = re.compile(r"(?=[0-9]*[A-Z])[A-Z0-9]{2,12}")
_KIND_WORDS: dict[str, tuple[Kind, Margin | None]] = {
    "spot": ("spot", None),
    "margin": ("spot", None),
    "swap": ("perp", None),
    "perp": ("perp", None),
    "perpetual": ("perp", None),
    "perpetuals": ("perp", None),
    "linear": ("perp", "linear"),
    "linearperpetual": ("perp", "linear"),
    "usdm": ("perp", "linear"),
    "um": ("perp", "linear"),
    "inverse": ("perp", "inverse"),
    "inverseperpetual": ("perp", "inverse"),
    "coinm": ("perp", "inverse"),
    "cm": ("perp", "inverse"),
    "inversefutures": ("future", "inverse"),
    "linearfutures": ("future", "linear"),
    "currentquarter": ("future", None),
    "nextquarter": ("future", None),
    "delivery": ("future", None),
    "option": ("option", None),
    "options": ("option", None),
}


class Instrument(msgspec.Struct, frozen=True):
    """What is known of an instrument from its name; None is what the name leaves open."""

    coin: str | None
    quote: str | None = None
    kind: Kind | None = None
    margin: Margin | None = None
    venue: VenueName | None = None

    def __str__(self) -> str:
        words = (self.venue, self.margin, self.kind)
        pair = "/".join(word for word in (self.coin, self.quote) if word)
        return " ".join(word for word in (*words, pair) if word)

    def contradicts(self, expected: Instrument) -> bool:
        """Whether something said here differs from what is expected."""
        return any(
            mine is not None and theirs is not None and mine != theirs
            for mine, theirs in (
                (self.coin, expected.coin),
                (self.quote, expected.quote),
                (self.kind, expected.kind),
                (self.margin, expected.margin),
                (self.venue, expected.venue),
            )
        )


@cache
def read_instrument(text: str) -> Instrument | None:
    """The instrument that `text` names, None when it names none."""
    word = text.strip().upper()
    venue, word = _without_venue(word)
    if not word or not any(char.isalpha() for char in word):
        return None
    found = _ccxt(word) if "/" in word else _settled(word) if ":" in word else _plain(word)
    return None if found is None else msgspec.structs.replace(found, venue=venue or found.venue)


def expected_instrument(market: Literal["spot", "perp"], coin: str, venue: VenueName | None) -> Instrument:
    """What files of a market in USDT are about: spot, or the linear perp."""
    return Instrument(coin, "USDT", market, "linear" if market == "perp" else None, venue)


def kind_of(text: str) -> tuple[Kind, Margin | None] | None:
    """What a word such as `spot`, `SWAP`, `linear` or `COIN-M` says of a market; None for any other word, and for
    `futures`, which exchanges say of perpetuals too."""
    return _KIND_WORDS.get("".join(char for char in text.lower() if char.isalnum()))


def venue_of(text: str) -> VenueName | None:
    """The exchange in a word such as `okx`, `binance_futures` or `Bybit`; None when it names none."""
    first = re.split(r"[\s_.:-]", text.strip().lower(), maxsplit=1)[0]
    if first not in _VENUE_WORDS:
        return None
    return VenueName("okx" if first == "okex" else first)


def _without_venue(word: str) -> tuple[VenueName | None, str]:
    head, colon, rest = word.partition(":")
    if colon and "/" not in head and (venue := venue_of(head)):
        return venue, rest
    head, point, last = word.rpartition(".")
    if point and (venue := venue_of(last)):
        return venue, head
    return None, word


def _ccxt(word: str) -> Instrument | None:
    """`BTC/USDT` leaves the kind open (it is written of perps too), `:USDT` settles it, a date or strike follows."""
    pair, colon, settle = word.partition(":")
    base, _, quote = pair.partition("/")
    quote, perp = (quote[: -len(".P")], True) if quote.endswith(".P") else (quote, False)
    if not _is_coin(base) or not _is_coin(quote):
        return None
    if not colon:
        return _market(base, quote, "perp" if perp else None)
    settled, dash, rest = settle.partition("-")
    margin: Margin = "inverse" if _coin(settled) == _coin(base) else "linear"
    kind: Kind = "perp" if not dash else "option" if rest[-1:] in "CP" else "future"
    return Instrument(_coin(base), quote, kind, margin)


def _settled(word: str) -> Instrument | None:
    """`BTCUSDT:USDT`, `BTC_USDT:USDT`: a pair and what it is settled in."""
    pair, _, settle = word.partition(":")
    found = _plain(pair)
    if found is None or found.quote is None or _coin(settle) not in (found.coin, found.quote):
        return None
    margin: Margin = "inverse" if _coin(settle) == found.coin else "linear"
    return Instrument(found.coin, found.quote, "perp", margin)


def _plain(word: str) -> Instrument | None:
    if _OPTION_END.search(word):
        coin = re.split(r"[-_]", word)[0]
        return Instrument(_coin(coin), None, "option") if _is_coin(coin) else None
    parts = [part for part in re.split(r"[-_.\s]", word) if part]
    kind: Kind | None = None
    if len(parts) > 1 and parts[-1] in _PERP_WORDS:
        parts, kind = parts[:-1], "perp"
    elif len(parts) > 1 and _DATED.fullmatch(parts[-1]):
        parts, kind = parts[:-1], "future"
    elif len(parts) > 1 and parts[-1] in ("SPOT", "FUTURES"):
        parts, kind = parts[:-1], "spot" if parts[-1] == "SPOT" else None
    if len(parts) == 1:
        return _joined(parts[0], kind)
    if len(parts) == 3 and parts[1] in _QUOTES and _is_coin(parts[0]) and parts[2] in (*_STABLES, parts[0]):
        return Instrument(_coin(parts[0]), parts[1], "perp", "linear" if parts[2] in _STABLES else "inverse")
    if len(parts) == 2 and _is_coin(parts[0]) and parts[1] in _QUOTES:
        return _market(parts[0], parts[1], kind)
    return None


def _joined(word: str, kind: Kind | None) -> Instrument | None:
    """`BTCUSDT`, `BTCUSDTPERP`, `BTCPERP` (settled in USDC), `BTCUSD` (coin-margined where it is a perp), `BTC`."""
    for end in ("PERPETUAL", "PERP"):
        if word.endswith(end) and len(word) > len(end):
            word, kind = word.removesuffix(end), "perp"
            if _quote_of(word) is None:
                return Instrument(_coin(word), "USDC", "perp", "linear") if _is_coin(word) else None
    quote = _quote_of(word)
    if quote is not None:
        return _market(word.removesuffix(quote), quote, kind)
    if not _is_coin(word):
        return None
    if kind in ("perp", "future"):
        return Instrument(_coin(word), "USD", kind)
    return Instrument(_coin(word))


def _market(base: str, quote: str, kind: Kind | None) -> Instrument:
    coin = _coin(base)
    if kind in ("perp", "future"):
        return Instrument(coin, quote, kind, "inverse" if quote == "USD" else "linear")
    return Instrument(coin, quote, kind)


def _quote_of(word: str) -> str | None:
    """The quote a joined pair ends with; `XBTUSD` is XBT in USD, not XB in TUSD."""
    ends = [quote for quote in _QUOTES if word.endswith(quote) and _is_coin(word.removesuffix(quote))]
    return next((quote for quote in ends if word.removesuffix(quote) in _WELL_KNOWN), ends[0] if ends else None)


def _is_coin(word: str) -> bool:
    return bool(_COIN.fullmatch(word))


def _coin(word: str) -> str:
    return _ALIASES.get(word, word)
