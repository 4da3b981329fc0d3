"""What was known when: the market as columns over strictly rising timestamps, and windows onto it.

A column is named `venue.kind.symbol`. Kinds and units:

| kind | unit | example |
| --- | --- | --- |
| `spot`, `perp` | USDT per coin, known at the row | `binance.spot.BTC`, `okx.perp.ETH` |
| `perp_high`, `perp_low` | USDT, extremes of the bar that closed at the row | `binance.perp_high.BTC` |
| `supply_index`, `borrow_index` | growth since the reserve began | `aave_v3.supply_index.weETH` |
| `ratio` | ETH per LST by the protocol (`etherfi`, `lido`) or the market (`dex`) | `lido.ratio.wstETH` |
| `eth_price` | ETH per token | `uniswap.eth_price.EIGEN` |
| `gas_price` | gwei | `ethereum.gas_price.gwei` |
| `apy` | per year, fraction | `ethena.apy.sUSDe` |

Funding is not a column but a series of settlements (`binance.funding.BTC`), rewards are periods. A value that is stale
by the data contract is still present (valued by the rule of DESIGN-replay) and marked in `stale`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TypeAlias, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from components.model.errors import MissingData
from components.model.requirements import DAY_NS

Column: TypeAlias = npt.NDArray[np.float64]
Stamps: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]
_Values = TypeVar("_Values", Column, Flags)


class FundingSeries(msgspec.Struct, frozen=True):
    """Funding settlements of one perp, in time order.

    `at` is the venue's stamp (UTC ns), `row` the first row of the market at or after it, `rate` a fraction of notional
    per interval (positive: longs pay shorts), `mark_usdt` the mark as of the stamp. All of one length.
    """

    at: Stamps
    row: Stamps
    rate: Column
    mark_usdt: Column


class RewardPeriod(msgspec.Struct, frozen=True):
    """`per_eeth` tokens for each eETH held over the whole of [start, end), credited at `paid_at` (all UTC ns)."""

    token: str
    start: int
    end: int
    paid_at: int
    per_eeth: float


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """Where the values come from; goes into the summary of a run."""

    source: str
    data_hash: str
    notes: tuple[str, ...] = ()
    filled_rows: Mapping[str, int] = {}
    rewards_known_until: int | None = None


class Market:
    """Columns over timestamps, complete in memory; hands out windows and remembers derived columns.

    A market whose older rows were let go of has the number of its first row, and the time at which the whole begins.
    """

    def __init__(
        self,
        timestamps: Stamps,
        columns: Mapping[str, Column],
        *,
        stale: Mapping[str, Flags] | None = None,
        funding: Mapping[str, FundingSeries] | None = None,
        rewards: tuple[RewardPeriod, ...] = (),
        derived: Mapping[str, Column] | None = None,
        provenance: Provenance,
        first: int = 0,
        begins: int | None = None,
    ) -> None:
        self.timestamps = timestamps
        self.first = first
        self.begins = begins  # of the first row when None
        self.columns = dict(columns)
        self.stale = dict(stale or {})
        self.funding = dict(funding or {})
        self.rewards = rewards
        self.provenance = provenance
        self._derived: dict[str, Column] = dict(derived or {})

    def __len__(self) -> int:
        return len(self.timestamps)

    def __repr__(self) -> str:
        return f"<Market {len(self)} rows, {len(self.columns)} columns, {self.provenance.source}>"

    def column(self, name: str) -> Column:
        """The whole column; MissingData names it and the nearest ones there are."""
        try:
            return self.columns[name]
        except KeyError:
            raise MissingData.column(name, self.columns) from None

    def derived(self, name: str, compute: Callable[[], Column]) -> Column:
        """A column computed from others row by row, kept under `name`; `compute` must read no row beyond its own."""
        column = self._derived.get(name)
        if column is None:
            column = self._derived[name] = compute()
        return column

    def step(self, name: str) -> Column:
        """Change of a column from the row before; 0 at the first row, where nothing was held."""
        return self.derived(f"step({name})", lambda: step_of(self.column(name)))

    def before(self, name: str) -> Column:
        """The column one row earlier; the first row sees itself."""
        return self.derived(f"before({name})", lambda: shifted(self.column(name)))

    @cached_property
    def day_begins(self) -> Stamps:
        """Per row the first row of its UTC day."""
        days = self.timestamps // DAY_NS
        return np.searchsorted(days, days)

    def window(self, start: int, stop: int) -> Window:
        return Window(self, start, min(stop, len(self)))

    def since(self, row: int, more: Market | None = None) -> Market:
        """The rows from number `row` of the whole on, as copies; those of `more`, which goes on from here, behind."""
        assert more is None or more.first == self.first + len(self)
        drop = min(max(row - self.first, 0), len(self))
        last = self if more is None else more

        def columns(ours: Mapping[str, _Values], behind: Mapping[str, _Values]) -> dict[str, _Values]:
            return {name: np.concatenate((values[drop:], behind[name][:added])) for name, values in ours.items()}

        added = 0 if more is None else len(more)
        return Market(
            np.concatenate((self.timestamps[drop:], last.timestamps[:added])),
            columns(self.columns, last.columns),
            stale=columns(self.stale, last.stale),
            funding={name: _funding_since(drop, name, self, more) for name in self.funding},
            rewards=last.rewards,
            provenance=last.provenance,
            first=self.first + drop,
            begins=self.begins,
        )


class Window:
    """Rows [start, stop) of a market. Slices are views: nobody writes to them."""

    __slots__ = ("market", "start", "stop")

    def __init__(self, market: Market, start: int, stop: int) -> None:
        self.market = market
        self.start = start
        self.stop = stop

    def __len__(self) -> int:
        return self.stop - self.start

    def __repr__(self) -> str:
        return f"<Window [{self.start}, {self.stop}) of {len(self.market)}>"

    @property
    def timestamps(self) -> Stamps:
        return self.market.timestamps[self.start : self.stop]

    def column(self, name: str) -> Column:
        return self.market.column(name)[self.start : self.stop]

    def cut(self, column: Column) -> Column:
        """The rows of this window in a column of the whole market."""
        return column[self.start : self.stop]

    def head(self, rows: int) -> Window:
        """The first `rows` rows."""
        return Window(self.market, self.start, self.start + rows)

    def row(self, i: int) -> Row:
        """One row: what was known at its timestamp, nothing later."""
        return Row(self.market, self.start + i)


class Row:
    """One row of a market; `price(name)` is a float, `is_stale(name)` says whether it may be traded on."""

    __slots__ = ("index", "market")

    def __init__(self, market: Market, index: int) -> None:
        self.market = market
        self.index = index

    @property
    def timestamp(self) -> int:
        return int(self.market.timestamps[self.index])

    def value(self, name: str) -> float:
        return float(self.market.column(name)[self.index])

    def of(self, column: Column) -> float:
        """This row of a column of the whole market."""
        return float(column[self.index])

    def is_stale(self, name: str) -> bool:
        flags = self.market.stale.get(name)
        return flags is not None and bool(flags[self.index])


def _funding_since(drop: int, name: str, market: Market, more: Market | None) -> FundingSeries:
    """The settlements from the row `drop` of a market on, and those of the market behind it."""
    series = market.funding[name]
    kept = series.row >= drop
    at, row, rate, mark = series.at[kept], series.row[kept] - drop, series.rate[kept], series.mark_usdt[kept]
    if more is not None:
        behind = more.funding[name]
        at, rate = np.concatenate((at, behind.at)), np.concatenate((rate, behind.rate))
        row = np.concatenate((row, behind.row + len(market) - drop))
        mark = np.concatenate((mark, behind.mark_usdt))
    return FundingSeries(at=at, row=row, rate=rate, mark_usdt=mark)


def step_of(values: Column) -> Column:
    """Differences to the row before, 0 first; same length."""
    out = np.empty_like(values)
    out[0] = 0.0
    np.subtract(values[1:], values[:-1], out=out[1:])
    return out


def shifted(values: Column) -> Column:
    """Each row holds the value of the row before it; the first keeps its own."""
    out = np.empty_like(values)
    out[0] = values[0]
    out[1:] = values[:-1]
    return out
