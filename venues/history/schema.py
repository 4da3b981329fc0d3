"""What each kind of file holds: its stamp column and what the stamp means, its value columns and what is believable.

A candle is stamped when it opens and known when it closes; a settlement, an index or a gas price is known at its stamp.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from components.model.requirements import HOUR_NS
from venues.history.stamps import MINUTE_NS, SECOND_NS

MAX_FUNDING_RATE = 0.05


class StampColumn(msgspec.Struct, frozen=True):
    """`open`: known one native step later; `close`: known then, to the next full minute; `known`: known then."""

    column: str
    meaning: Literal["open", "close", "known"]


class Field(msgspec.Struct, frozen=True):
    """One value: our name, the columns it may stand in (the first present is used), and what is believable.

    `label` is what messages call it where that is not the first column.
    """

    name: str
    columns: tuple[str, ...]
    check: Literal["positive", "funding", "none"] = "positive"
    optional: bool = False
    label: str | None = None

    @property
    def title(self) -> str:
        return self.label or self.columns[0]


class Schema(msgspec.Struct, frozen=True, kw_only=True):
    """`identity` columns, when present, must name the symbol of the file name. `step_ns` overrides the step of the rows
    where their true resolution is coarser. `snap_ns` is how far a stamp may lie beside the full minute it means."""

    name: str
    stamps: tuple[StampColumn, ...]
    fields: tuple[Field, ...]
    identity: tuple[str, ...] = ()
    zone: str | None = None
    step_ns: int | None = None
    snap_ns: int = SECOND_NS


_BAR_STAMPS = (StampColumn("timestamp", "open"), StampColumn("close_datetime", "close"))
_VOLUME = Field("volume", ("volume",), "none", optional=True)

PERP = Schema(
    name="perp",
    stamps=_BAR_STAMPS,
    fields=(
        Field("close", ("close",)),
        Field("high", ("high",)),
        Field("low", ("low",)),
        Field("open", ("open",)),
        _VOLUME,
    ),
    identity=("symbol", "asset_pair"),
)
SPOT = Schema(
    name="spot",
    stamps=_BAR_STAMPS,
    fields=(
        Field("close", ("close", "price")),
        Field("high", ("high",), optional=True),
        Field("low", ("low",), optional=True),
        Field("open", ("open",), optional=True),
        _VOLUME,
    ),
    identity=("symbol", "asset_pair"),
)
POOL = Schema(
    name="pool",
    stamps=(StampColumn("timestamp", "open"), StampColumn("date_utc", "open")),
    fields=(Field("close", ("close", "price")), _VOLUME),
    identity=("base_token",),
)
LST_MARKET = Schema(
    name="lst_market",
    stamps=(StampColumn("timestamp", "open"),),
    fields=(Field("close", ("price", "close")), _VOLUME),
    identity=("base_token",),
)
FUNDING = Schema(
    name="funding",
    stamps=tuple(StampColumn(name, "known") for name in ("funding_timestamp", "funding_time", "timestamp")),
    # An archive of OKX holds a forecast under `funding_rate` and the settled rate beside it.
    fields=(Field("rate", ("real_funding_rate", "funding_rate"), "funding", label="funding_rate"),),
    identity=("symbol", "instrument"),
    snap_ns=MINUTE_NS // 2,
)
RESERVE = Schema(
    name="reserve",
    stamps=(StampColumn("timestamp", "known"), StampColumn("targetDate", "known")),
    fields=(Field("supply_index", ("liquidityIndex",)), Field("borrow_index", ("variableBorrowIndex",))),
    identity=("symbol",),
)
ORACLE = Schema(
    name="oracle",
    stamps=(StampColumn("timestamp", "known"),),
    fields=(Field("ratio", ("oracle_price_eth",)),),
    identity=("asset",),
)
GAS = Schema(
    name="gas",
    stamps=(StampColumn("timestamp", "known"),),
    fields=(Field("gwei", ("gas_price_gwei",)),),
    # Every second row is sampled 59 minutes before its stamp, seconds after the row above it.
    step_ns=2 * HOUR_NS,
)
BENCHMARK = Schema(
    name="benchmark",
    stamps=(StampColumn("date", "open"),),
    fields=(Field("apy", ("apy_decimal",), "none"),),
    zone="UTC",
)
