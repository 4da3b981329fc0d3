"""What the name of a file says, as exchanges, download scripts and libraries write it.

`BTCUSDT-1h-2024-01.zip` and `BTCUSDT-fundingRate-2024-01.csv` (Binance), `BTC-USDT-SWAP-candlesticks-2024-01.zip` and
`…-fundingrates-…` (OKX), `BTCUSDT_60_2024-01-01_2024-01-31.csv.gz` (Bybit), `BTC_USDT_USDT-1h-futures.csv` (freqtrade)
and our own `bybit_BTCUSDT_spot_1h_….csv`. The exchange is named in the file, in a folder above it, or by the style.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from components.model.keys import VenueName
from components.model.requirements import DAY_NS, HOUR_NS
from venues.history.files.instruments import EXCHANGES, Instrument, read_instrument, venue_of
from venues.history.files.stamps import MINUTE_NS, SECOND_NS

SUFFIXES = (".csv", ".csv.gz", ".csv.zip", ".zip", ".gz", ".parquet")
Use = Literal["bars", "funding"]
_UNIT_NS = {"s": SECOND_NS, "m": MINUTE_NS, "min": MINUTE_NS, "h": HOUR_NS, "d": DAY_NS}
_STEP = re.compile(r"(\d+)\s*(s|m|min|h|d)")
_VENUE = re.compile(r"(?<![A-Za-z])(binance|bybit|okx)(?![A-Za-z])", re.IGNORECASE)
_STEP_IN_NAME = re.compile(r"(?<![A-Za-z0-9])(\d+(?:min|[smhdHD])|daily|hourly)(?![A-Za-z0-9])")
_BARE_MINUTES = re.compile(r"_(1|3|5|15|30|60|120|240|360|480|720|1440)_(?=(?:19|20)\d\d-\d\d-\d\d_)")  # Bybit
_FUNDING = re.compile(r"funding(?:[-_]?rates?)?(?:[-_]?history)?", re.IGNORECASE)
_DATE = re.compile(r"(?:19|20)\d\d(?:[-_.]?\d\d){1,2}(?:[T_-]?\d{2,6})?(?![\d])")
_NOISE = frozenset({
    "candlesticks", "candlestick", "candles", "candle", "klines", "kline", "ohlcv", "ohlc", "history", "historical",
    "data", "monthly", "daily", "um", "usdm", "futures", "future", "all", "trade", "bars",
})  # fmt: skip


class FileName(msgspec.Struct, frozen=True):
    """What a file is about by its name: what it holds, of which instrument, step and exchange; None is not said.
    `folder_venue` is the exchange that a folder above it names."""

    use: Use | None
    instrument: Instrument
    step: int | None
    venue: VenueName | None
    folder_venue: VenueName | None = None


def stem_of(name: str) -> str | None:
    """The name without the ending of a form that is read (in any case), None for another form."""
    lower = name.lower()
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if lower.endswith(suffix):
            stem = name[: -len(suffix)]
            return stem[: -len(".csv")] if stem.lower().endswith(".csv") else stem
    return None


def step_ns(word: str) -> int | None:
    """`1h`, `15m`, `daily`, `hourly` as nanoseconds; None when it is no length."""
    if word.lower() in ("daily", "hourly"):
        return DAY_NS if word.lower() == "daily" else HOUR_NS
    match = _STEP.fullmatch(word.lower())
    return int(match[1]) * _UNIT_NS[match[2]] if match else None


def read_file_name(stem: str, folders: tuple[str, ...]) -> FileName | None:
    """What `stem` says; `folders` are those above the file, nearest last. None when it names no instrument."""
    use: Use | None = "funding" if _FUNDING.search(stem) else None
    text = _DATE.sub(" ", _FUNDING.sub(" ", stem))
    above = next((found for part in reversed(folders) if (found := venue_of(part)) in EXCHANGES), None)
    named = [VenueName(word.lower()) for word in _VENUE.findall(text)]
    text = _VENUE.sub(" ", text)
    venue = named[0] if named else None
    named_step = _STEP_IN_NAME.search(text)
    step = step_ns(named_step[1]) if named_step else None
    if step is None and (minutes := _BARE_MINUTES.search(stem)):
        step = int(minutes[1]) * MINUTE_NS
    words = [word.strip("-") for word in re.split(r"[_\s]+", _STEP_IN_NAME.sub(" ", text)) if word.strip("-")]
    kept: list[str] = []
    for bare in words:
        if bare.lower() not in _NOISE:
            kept.append(bare)
    if use is None and step is not None:
        use = "bars"
    instrument = _instrument(kept)
    if instrument is None:
        return None
    if venue is None and above is None:
        venue = _by_style(stem)
    # Funding may change its interval within a file, so that none is promised by a name.
    return FileName(use, instrument, None if use == "funding" else step, venue or above, above)


def _instrument(words: list[str]) -> Instrument | None:
    """The longest beginning of the words that names an instrument: `BTC USDT USDT`, `BTCUSDT spot`, `BTC-USDT-SWAP`."""
    for stop in range(len(words), 0, -1):
        joined = "_".join(words[:stop])
        candidate = _without_noise(joined)
        found = read_instrument(candidate)
        if found is not None and (found.quote is not None or found.kind is not None):
            return found
    return None


def _without_noise(text: str) -> str:
    parts = [part for part in text.split("-") if part.lower() not in _NOISE]
    return "-".join(parts)


def _by_style(stem: str) -> VenueName | None:
    """Who writes such names: Binance a symbol without marks and dashes after it, OKX its instId with dashes."""
    if re.match(r"[A-Z0-9]+USDT?-(\d+[smhd]|fundingRate)-", stem):
        return VenueName("binance")
    if re.match(r"[A-Z0-9]+-USDT?(-SWAP)?-(candle|funding)", stem):
        return VenueName("okx")
    if re.match(r"[A-Z0-9]+USDT?_\d+_\d{4}-\d\d-\d\d_\d{4}", stem):
        return VenueName("bybit")
    return None
