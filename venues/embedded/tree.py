"""Writes a market as a data folder of the layout that `venues/history` reads, so that it covers the market's own rows.

Candles are stamped with their open time, so a value known at a row is the close of the bar opened one step before it;
the first row is the close of a flat bar before the span. What a run must know of the time before it (the midnight of
the first day, a settlement, a week of rewards) is written too, from the first row and never paid.
The folder appears whole or not at all; equal inputs give equal bytes.
"""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from components.model.errors import CFG_REQUEST, Fault, InvalidInput, nearest_name
from components.model.market import Column, Market, RewardPeriod, Stamps
from components.model.requirements import DAY_NS, HOUR_NS, SeriesName
from venues.embedded.defects import CANDLES, DEFECTS, FUNDING, Defect, Rows
from venues.embedded.streams import stream

SPOT = "market_data/spot_prices"
PERPS = "market_data/derivatives/futures_ohlcv"
FUNDING_FOLDER = "market_data/derivatives/funding_rates"
RATES = "protocol_data/aave/rates"
ORACLE = "protocol_data/aave/oracle"
OHLC = ["timestamp", "open", "high", "low", "close", "volume", "source", "symbol", "data_type"]
_UNITS = (("h", HOUR_NS), ("m", 60_000_000_000), ("s", 1_000_000_000))
_FUNDING_NS = 8 * HOUR_NS
DEX_POOLS = {"dex.ratio.weETH": "curve_weETHWETH", "dex.ratio.wstETH": "uniswapv3_wstETHWETH"}


def write_tree(
    market: Market, folder: Path, *, defects: Iterable[str] = (), seed: int = 0, fmt: str = "csv.gz"
) -> tuple[Path, ...]:
    """Writes every series of `market` below `folder`; returns the files, relative to it.

    Errors: InvalidInput(CFG-003) when the folder holds something already or cannot be written, or for an unknown defect
    or format.
    """
    faults = [
        Fault(where="defects", found=kind, expected=", ".join(DEFECTS), nearest=nearest_name(kind, DEFECTS))
        for kind in defects
        if kind not in DEFECTS
    ]
    if fmt not in ("csv", "csv.gz"):
        faults.append(Fault(where="format", found=fmt, expected="csv or csv.gz"))
    folder = folder.absolute()
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            found = "a file or a folder that is not empty"
            faults.append(Fault(where=str(folder), found=found, expected="a new folder"))
    except OSError as exc:
        faults.append(_unwritable(folder, exc))
    if faults:
        raise InvalidInput(CFG_REQUEST, faults)
    writer = _Writer(market, tuple(defects), seed, fmt)
    draft = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        draft.mkdir(parents=True)  # before a minute of work
        files = writer.write(draft)
        if folder.exists():
            folder.rmdir()
        draft.rename(folder)
    except OSError as exc:
        raise InvalidInput(CFG_REQUEST, [_unwritable(folder, exc)]) from exc
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return files


def _unwritable(folder: Path, exc: OSError) -> Fault:
    found = f"{exc.strerror or type(exc).__name__}: {exc.filename or folder}"
    return Fault(where=str(folder), found=found, expected="a place that can be written to")


class _Writer:
    def __init__(self, market: Market, defects: tuple[str, ...], seed: int, fmt: str) -> None:
        self._market = market
        self._defects = defects
        self._seed = seed
        self._suffix = fmt
        self._step = int(market.timestamps[1] - market.timestamps[0])
        self._name = next(f"{self._step // ns}{unit}" for unit, ns in _UNITS if self._step % ns == 0)
        self._start = int(market.timestamps[0])
        first, last = (str(np.datetime64(int(t), "ns"))[:10] for t in market.timestamps[[0, -1]])
        self._span = f"{first}_{last}"
        self._files: list[Path] = []

    def write(self, root: Path) -> tuple[Path, ...]:
        self._root = root
        for name, column in self._market.columns.items():
            self._column(SeriesName.parse(name), column)
        for name in self._market.funding:
            self._funding(SeriesName.parse(name))
        self._aave()
        self._rewards()
        return tuple(self._files)

    def _column(self, series: SeriesName, column: Column) -> None:
        venue, symbol = series.venue, series.symbol
        match series.kind:
            case "spot":
                folder = f"{SPOT}/{symbol.lower()}_usd"
                if venue == "uniswap":
                    self._pool(f"{folder}/uniswapv3_W{symbol}USDT", column)
                else:
                    self._candles(f"{folder}/{venue}_{symbol}USDT_spot", venue, f"{symbol}USDT", "spot", column)
            case "perp":
                name = f"{PERPS}/{venue}_{symbol}USDT_futures"
                self._candles(name, venue, f"{symbol}USDT", "futures", column)
            case "eth_price":
                self._pool(f"{SPOT}/protocol_tokens/uniswapv3_{symbol}WETH", column)
            case "ratio" if venue == "dex":
                rows = [[stamp, repr(v), "pool"] for stamp, v in zip(self._open_stamps(), column.tolist(), strict=True)]
                self._save(
                    f"{SPOT}/lst_eth_ratios/{DEX_POOLS[str(series)]}_{self._name}_{self._span}",
                    ["timestamp", "price", "source"],
                    rows,
                )
            case "ratio":
                rows = [[s, repr(v), symbol] for s, v in zip(*self._from_midnights(column), strict=True)]
                self._save(
                    f"{ORACLE}/{symbol}_ETH_oracle_{self._span}",
                    ["timestamp", "oracle_price_eth", "asset"],
                    rows,
                    comments=["# Source: synthetic", f"# Asset_pair: {symbol}_ETH"],
                )
            case "gas_price":
                rows = [[s, "ethereum", repr(v)] for s, v in zip(self._stamps(), column.tolist(), strict=True)]
                self._save(
                    f"blockchain_data/gas_prices/ethereum_gas_prices_{self._span}",
                    ["timestamp", "chain", "gas_price_gwei"],
                    rows,
                )
            case "apy":
                self._benchmark(column)

    def _candles(self, name: str, venue: str, symbol: str, kind: str, close: Column) -> None:
        key = SeriesName(venue, "perp" if kind == "futures" else kind, symbol.removesuffix("USDT"))
        columns = self._market.columns
        high = columns.get(f"{venue}.{key.kind}_high.{key.symbol}")
        low = columns.get(f"{venue}.{key.kind}_low.{key.symbol}")
        opened = np.concatenate([close[:1], close[:-1]])
        top, bottom = np.maximum(close, opened), np.minimum(close, opened)
        if high is not None:
            top[1:] = np.maximum(high[1:], top[1:])
        if low is not None:
            bottom[1:] = np.minimum(low[1:], bottom[1:])
        values = zip(self._open_stamps(), opened.tolist(), top.tolist(), bottom.tolist(), close.tolist(), strict=True)
        rows = [[s, *map(repr, ohlc), "1000.0", venue, symbol, kind] for s, *ohlc in values]
        self._save(f"{name}_{self._name}_{self._span}", OHLC, self._spoil(rows, CANDLES, name))

    def _pool(self, name: str, close: Column) -> None:
        """DEX candles: epoch seconds, flat bars."""
        opened = (self._market.timestamps - self._step) // 1_000_000_000
        rows = [[str(s), *[repr(v)] * 4, "1000.0"] for s, v in zip(opened.tolist(), close.tolist(), strict=True)]
        self._save(f"{name}_{self._name}_{self._span}", ["timestamp", "open", "high", "low", "close", "volume"], rows)

    def _funding(self, series: SeriesName) -> None:
        funding = self._market.funding[str(series)]
        symbol = f"{series.symbol}USDT"
        before = self._start // _FUNDING_NS * _FUNDING_NS
        at = np.concatenate([[before], funding.at])
        rates = [float(funding.rate[0]) if len(funding.at) else 0.0001, *funding.rate.tolist()]
        rows = [[stamp, repr(rate), symbol, series.venue] for stamp, rate in zip(_iso(at), rates, strict=True)]
        name = f"{FUNDING_FOLDER}/{series.venue}_{symbol}_funding_rates_{self._span}"
        header = ["funding_timestamp", "funding_rate", "symbol", "source"]
        self._save(name, header, self._spoil(rows, FUNDING, name))

    def _aave(self) -> None:
        """Daily snapshots at midnight, and the rows of the same indices."""
        columns = self._market.columns
        hourly = "hourly" if self._step == HOUR_NS else self._name
        for token in ("USDT", "WETH", "weETH", "wstETH"):
            supply = columns.get(f"aave_v3.supply_index.{token}")
            if supply is None:
                continue
            borrow = columns.get(f"aave_v3.borrow_index.{token}", np.ones(len(supply)))
            at, supply = self._with_midnights(supply)
            _, borrow = self._with_midnights(borrow)
            midnights = np.flatnonzero(at % DAY_NS == 0)
            every = np.flatnonzero(at % self._step == self._start % self._step)
            for name, rows in (("daily", midnights), (hourly, every)):
                if name == "daily" and self._step > DAY_NS:
                    continue  # the rows of their own step say the same
                stamps = _iso(at[rows])
                values = zip(stamps, supply[rows].tolist(), borrow[rows].tolist(), strict=True)
                stamp = "targetDate" if name == "daily" else "timestamp"
                self._save(
                    f"{RATES}/aave_v3_aave-v3-ethereum_{token}_rates_{name}_{self._span}",
                    [stamp, "liquidityIndex", "variableBorrowIndex"],
                    [[s, repr(a), repr(b)] for s, a, b in values],
                )

    def _rewards(self) -> None:
        folder = "manual_sources/etherfi_distributions"
        eigen, ethfi = [], []
        for period in (*self._rewards_before(), *self._market.rewards):
            start, end = (str(np.datetime64(t, "ns"))[:10] for t in (period.start, period.end - DAY_NS))
            paid = str(np.datetime64(period.paid_at, "ns"))[:10]
            if period.token == "EIGEN":
                eigen.append([start, end, repr(period.per_eeth * 1e6), "1000000", "0", ""])
            else:
                ethfi.append([paid, start, end, repr(period.per_eeth * 1e6), repr(period.per_eeth)])
        header = ["staking_period_start", "staking_period_end", "eigen_earned", "eth_restaked", "eth_not_restaked"]
        self._save(f"{folder}/eigen_distributions_raw", [*header, "eigen_per_eeth_weekly"], eigen, plain=True)
        header = ["top_up_date", "staking_period_start", "staking_period_end", "ethfi_amount"]
        self._save(f"{folder}/ethfi_topups_raw", [*header, "ethfi_per_eeth_distributed"], ethfi, plain=True)

    def _rewards_before(self) -> tuple[RewardPeriod, ...]:
        """A week that was paid before the span: a table of rewards is never empty."""
        end = self._start // DAY_NS * DAY_NS - 14 * DAY_NS
        week = 7 * DAY_NS
        return tuple(RewardPeriod(token, end - week, end, end + DAY_NS, 0.15) for token in ("EIGEN", "ETHFI"))

    def _benchmark(self, column: Column) -> None:
        rows = np.flatnonzero(self._market.timestamps % DAY_NS == 0)
        days = [str(np.datetime64(int(t), "ns"))[:10] for t in self._market.timestamps[rows]]
        out = [
            [day, "ethena", "sUSDE", repr(100.0 * apy), repr(apy)]
            for day, apy in zip(days, column[rows].tolist(), strict=True)
        ]
        self._save(
            f"protocol_data/staking/benchmark_yields/ethena_susde_apr_benchmark_{self._span}",
            ["date", "protocol", "symbol", "apy_percent", "apy_decimal"],
            out,
        )

    def _spoil(self, rows: Rows, kinds: dict[str, Defect], name: str) -> Rows:
        for kind in self._defects:
            if kind in kinds:
                rows = kinds[kind](rows, stream(self._seed, f"{kind} {name}"))
        return rows

    def _save(
        self, name: str, header: list[str], rows: Rows, *, comments: Iterable[str] = (), plain: bool = False
    ) -> None:
        path = self._root / f"{name}.{'csv' if plain else self._suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [*comments, ",".join(header), *(",".join(row) for row in rows)]
        text = "\n".join(lines) + "\n"
        if "comments" in self._defects and not comments:
            text = "\ufeff# Source: synthetic, with defects\n" + text
        data = text.encode()
        path.write_bytes(data if plain or self._suffix == "csv" else gzip.compress(data, 6, mtime=0))
        self._files.append(path.relative_to(self._root))

    def _stamps(self) -> list[str]:
        return _iso(self._market.timestamps)

    def _open_stamps(self) -> list[str]:
        return _iso(self._market.timestamps - self._step)

    def _with_midnights(self, column: Column) -> tuple[Stamps, Column]:
        """Stamps and values with every midnight of the span among them, held from the row before where none is one."""
        rows = self._market.timestamps
        first = self._start // DAY_NS
        midnights = DAY_NS * (first + np.arange(int(rows[-1]) // DAY_NS - first + 1, dtype=np.int64))
        added = np.setdiff1d(midnights, rows)
        held = column[np.maximum(np.searchsorted(rows, added, side="right") - 1, 0)]
        order = np.argsort(at := np.concatenate([rows, added]), kind="stable")
        return at[order], np.concatenate([column, held])[order]

    def _from_midnights(self, column: Column) -> tuple[list[str], list[float]]:
        at, values = self._with_midnights(column)
        return _iso(at), values.tolist()


def _iso(stamps: Stamps) -> list[str]:
    """`2024-01-01T00:00:00Z`; milliseconds are left to the defects."""
    return [f"{text}Z" for text in np.datetime_as_string(stamps.astype("datetime64[ns]"), unit="s").tolist()]
