"""What each kind of file holds: its stamp column and what the stamp means, its value columns and what is believable.

A candle is stamped when it opens and known when it closes; a settlement, an index or a gas price is known at its stamp.
Column names are compared without case, blanks and punctuation (`read.canonical`); of several that are present the first
listed is used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from typing import Literal

import msgspec

from components.model.requirements import HOUR_NS
from venues.history.files.stamps import MINUTE_NS, SECOND_NS

MAX_FUNDING_RATE = 0.05
BINANCE_KLINE = (
    "open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "count",
    "taker_buy_volume", "taker_buy_quote_volume", "ignore",
)  # fmt: skip
OKX_CANDLE = ("ts", "open", "high", "low", "close", "vol", "vol_ccy", "vol_ccy_quote", "confirm")


class StampColumn(msgspec.Struct, frozen=True):
    """`open`: known one native step later; `close`: known then, to the next full minute; `known`: known then."""

    column: str
    meaning: Literal["open", "close", "known"]


class Field(msgspec.Struct, frozen=True):
    """One value: our name, the columns it may stand in (the first present is used), and what is believable.

    Before `settled` of the columns hold what the exchange settled, the others what it announced or what is not said;
    only among the latter may two not differ.
    """

    name: str
    columns: tuple[str, ...]
    check: Literal["positive", "funding", "interval", "none"] = "positive"
    optional: bool = False
    settled: int = 0

    @property
    def title(self) -> str:
        return self.columns[self.settled]


class Schema(msgspec.Struct, frozen=True, kw_only=True):
    """What one kind of file holds.

    `market` is what its rows are about where that is an instrument of an exchange; `identity` columns, when present,
    must name the token of the file name where it is none. `one_of` fields are optional each but not all. `step_ns`
    overrides the step of the rows where their true resolution is coarser. `snap_ns` is how far a stamp may lie beside
    the full minute it means. `layouts` are the columns of files without a header line, by their number.
    """

    name: str
    stamps: tuple[StampColumn, ...]
    fields: tuple[Field, ...]
    market: Literal["spot", "perp"] | None = None
    identity: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    zone: str | None = None
    step_ns: int | None = None
    snap_ns: int = SECOND_NS
    layouts: Mapping[int, tuple[str, ...]] = {}


@cache
def fingerprint(schema_name: str) -> str:
    """A hash of everything a schema says: what was parsed by another definition is not this."""
    return hashlib.sha256(msgspec.json.encode(SCHEMAS[schema_name])).hexdigest()[:8]


def _stamps(meaning: Literal["open", "known"], *names: str) -> tuple[StampColumn, ...]:
    return tuple(StampColumn(name, meaning) for name in names)


_TIME = ("time", "datetime", "date_utc", "ts", "unix", "date")
_BAR_STAMPS = (
    *_stamps("open", "timestamp", "open_time", "open_timestamp", "start_time", "start_at", "start", *_TIME),
    StampColumn("close_datetime", "close"),
    StampColumn("close_time", "close"),
)
_KNOWN = _stamps("known", "timestamp", "block_timestamp", "target_date", *_TIME)
_CLOSE = Field("close", ("close", "close_price", "c"))
_HIGH, _LOW, _OPEN = (Field(name, (name, f"{name}_price", name[0])) for name in ("high", "low", "open"))
_VOLUME = Field("volume", ("volume", "vol", "base_volume", "v"), "none", optional=True)
_OHLC = ("timestamp", "open", "high", "low", "close")
_LAYOUTS = {
    5: _OHLC,
    6: (*_OHLC, "volume"),
    7: (*_OHLC, "volume", "turnover"),
    9: OKX_CANDLE,
    12: BINANCE_KLINE,
}

PERP = Schema(
    name="perp", stamps=_BAR_STAMPS, fields=(_CLOSE, _HIGH, _LOW, _OPEN, _VOLUME), market="perp", layouts=_LAYOUTS
)
SPOT = Schema(
    name="spot",
    stamps=_BAR_STAMPS,
    fields=(
        msgspec.structs.replace(_CLOSE, columns=(*_CLOSE.columns, "price")),
        *(msgspec.structs.replace(field, optional=True) for field in (_HIGH, _LOW, _OPEN)),
        _VOLUME,
    ),
    market="spot",
    layouts=_LAYOUTS,
)
POOL = Schema(
    name="pool",
    stamps=_stamps("open", "timestamp", "date_utc", "time", "datetime", "ts", "unix", "date"),
    fields=(Field("close", ("close", "price")), _VOLUME),
    identity=("base_token",),
)
LST_MARKET = Schema(
    name="lst_market",
    stamps=_stamps("open", "timestamp", *_TIME),
    fields=(Field("close", ("price", "close")), _VOLUME),
    identity=("base_token",),
)
FUNDING = Schema(
    name="funding",
    stamps=_stamps(
        "known", "funding_timestamp", "funding_time", "funding_rate_timestamp", "calc_time", "settle_time",
        "settlement_time", "timestamp", *_TIME,
    ),
    # An archive of OKX holds a forecast under `funding_rate` and the settled rate beside it.
    fields=(
        Field(
            "rate",
            ("real_funding_rate", "realized_rate", "settled_rate", "funding_rate", "last_funding_rate", "rate", "open"),
            "funding",
            settled=3,
        ),
        Field(
            "interval",
            ("funding_interval_hours", "funding_interval", "interval_hours", "interval"),
            "interval",
            optional=True,
        ),
    ),
    market="perp",
    snap_ns=MINUTE_NS // 2,
    layouts={
        2: ("funding_time", "funding_rate"),
        3: ("calc_time", "funding_interval_hours", "last_funding_rate"),
    },
)  # fmt: skip
RESERVE = Schema(
    name="reserve",
    stamps=_KNOWN,
    fields=(
        Field("supply_index", ("liquidityIndex", "supply_index"), optional=True),
        Field("borrow_index", ("variableBorrowIndex", "borrow_index"), optional=True),
    ),
    one_of=("supply_index", "borrow_index"),
    identity=("symbol",),
)
ORACLE = Schema(
    name="oracle",
    stamps=_KNOWN,
    fields=(Field("ratio", ("oracle_price_eth", "ratio", "protocol_rate")),),
    identity=("asset",),
)
GAS = Schema(
    name="gas",
    stamps=_stamps("known", "timestamp", *_TIME),
    fields=(Field("gwei", ("gas_price_gwei", "gwei")),),
    # Every second row is sampled 59 minutes before its stamp, seconds after the row above it.
    step_ns=2 * HOUR_NS,
)
BENCHMARK = Schema(
    name="benchmark",
    stamps=(StampColumn("date", "open"),),
    fields=(Field("apy", ("apy_decimal",), "none"),),
    zone="UTC",
)
SCHEMAS = {schema.name: schema for schema in (PERP, SPOT, POOL, LST_MARKET, FUNDING, RESERVE, ORACLE, GAS, BENCHMARK)}
