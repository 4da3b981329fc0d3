"""Which file of a data folder holds which series, by folder and name pattern.

Dates in names are never read. Steps in names only say which file to try first; what a file really holds is measured.
A folder may hold several files of one series; CSV, gzipped CSV and Parquet are equal.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from components.model.errors import DAT_NOT_COVERED, Fault, InvalidInput
from components.model.requirements import DAY_NS, HOUR_NS, LST_PROTOCOL
from venues.history.schema import BENCHMARK, FUNDING, GAS, LST_MARKET, ORACLE, PERP, POOL, RESERVE, SPOT, Schema
from venues.history.stamps import MINUTE_NS, SECOND_NS

SUFFIXES = (".csv", ".csv.gz", ".parquet")
VENUE_ORDER = ("binance", "bybit", "okx", "uniswap")
# Volumes of these files count contracts of so many coins.
CONTRACT_SIZE = {"okx.perp.BTC": 0.01, "okx.perp.ETH": 0.1}

EIGEN_DISTRIBUTIONS = "manual_sources/etherfi_distributions/eigen_distributions_raw"
ETHFI_TOPUPS = "manual_sources/etherfi_distributions/ethfi_topups_raw"
SEASONAL_DROPS = "manual_sources/etherfi_distributions/seasonal_drops"
REWARD_FILES = {"etherfi.reward.EIGEN": EIGEN_DISTRIBUTIONS, "etherfi.reward.ETHFI": ETHFI_TOPUPS}

_STEP = r"_(?P<step>\d+[smhd]|daily|hourly)(?=[_.])"
_POOL = r"(?P<pool>(?P<venue>[a-z]+)v\d)"
_UNIT_NS = {"s": SECOND_NS, "m": MINUTE_NS, "h": HOUR_NS, "d": DAY_NS}


class Rule(msgspec.Struct, frozen=True):
    """Files of `folder` whose name matches `pattern` hold `series`: name template → field of the schema."""

    folder: str
    pattern: str
    schema: Schema
    series: tuple[tuple[str, str], ...]


class SourceFile(msgspec.Struct, frozen=True):
    """One file; `name` is relative to the folder, `step_hint` what its name promises, `pool` its DEX if it has one."""

    path: Path
    name: str
    symbol: str
    step_hint: int | None
    pool: str | None


class Shelf(msgspec.Struct, frozen=True):
    """Everything the folder holds of one series."""

    series: str
    schema: Schema
    field: str
    files: tuple[SourceFile, ...]


class Holding(msgspec.Struct, frozen=True):
    """One line of the list of what a folder holds; files relative to it."""

    series: str
    files: tuple[str, ...]


_RULES = (
    Rule(
        "market_data/spot_prices/*_usd",
        rf"(?P<venue>[a-z]+)_(?P<symbol>[A-Z0-9]+)USDT_spot{_STEP}",
        SPOT,
        (("{venue}.spot.{symbol}", "close"),),
    ),
    Rule(
        "market_data/spot_prices/*_usd",
        rf"{_POOL}_W(?P<symbol>[A-Z]+)USDT{_STEP}",
        POOL,
        (("{venue}.spot.{symbol}", "close"),),
    ),
    Rule(
        "market_data/derivatives/futures_ohlcv",
        rf"(?P<venue>[a-z]+)_(?P<symbol>[A-Z0-9]+)USDT_(?:futures|perp){_STEP}",
        PERP,
        (
            ("{venue}.perp.{symbol}", "close"),
            ("{venue}.perp_high.{symbol}", "high"),
            ("{venue}.perp_low.{symbol}", "low"),
        ),
    ),
    Rule(
        "market_data/derivatives/funding_rates",
        r"(?P<venue>[a-z]+)_(?P<symbol>[A-Z0-9]+)USDT_funding_rates(?=[_.])",
        FUNDING,
        (("{venue}.funding.{symbol}", "rate"),),
    ),
    Rule(
        "protocol_data/aave/rates",
        rf"(?P<venue>aave_v3)_.*_(?P<symbol>[A-Za-z]+)_rates{_STEP}",
        RESERVE,
        (("{venue}.supply_index.{symbol}", "supply_index"), ("{venue}.borrow_index.{symbol}", "borrow_index")),
    ),
    Rule(
        "protocol_data/aave/oracle",
        r"(?P<symbol>weETH|wstETH)_ETH_oracle(?=[_.])",
        ORACLE,
        (("{protocol}.ratio.{symbol}", "ratio"),),
    ),
    Rule(
        "market_data/spot_prices/lst_eth_ratios",
        rf"(?P<pool>[a-z0-9]+)_(?P<symbol>weETH|wstETH)WETH{_STEP}",
        LST_MARKET,
        (("dex.ratio.{symbol}", "close"),),
    ),
    Rule(
        "market_data/spot_prices/protocol_tokens",
        rf"{_POOL}_(?P<symbol>[A-Z]+?)WETH{_STEP}",
        POOL,
        (("{venue}.eth_price.{symbol}", "close"),),
    ),
    Rule(
        "blockchain_data/gas_prices",
        r"(?P<venue>ethereum)_gas_prices(?=[_.])",
        GAS,
        (("{venue}.gas_price.gwei", "gwei"),),
    ),
    Rule(
        "protocol_data/staking/benchmark_yields",
        r"(?P<venue>ethena)_susde_apr_benchmark(?=[_.])",
        BENCHMARK,
        (("{venue}.apy.sUSDe", "apy"),),
    ),
)


def shelves(folder: Path) -> dict[str, Shelf]:
    """Series name → its files, in name order; InvalidInput (DAT-002) when there is no such folder."""
    if not folder.is_dir():
        fault = Fault(where=folder.name, found="no such folder", expected="a data folder (see 'basis data coverage')")
        raise InvalidInput(DAT_NOT_COVERED, [fault])
    found: dict[str, Shelf] = {}
    for rule in _RULES:
        for path in sorted(folder.glob(f"{rule.folder}/*")):
            match = re.match(rule.pattern, path.name)
            if match is None or not path.name.endswith(SUFFIXES):
                continue
            words = match.groupdict()
            symbol = words.get("symbol") or ""
            step = words.get("step")
            name = path.relative_to(folder).as_posix()
            file = SourceFile(path, name, symbol, _step_ns(step) if step else None, words.get("pool"))
            for template, field in rule.series:
                series = template.format(**{**words, "protocol": LST_PROTOCOL.get(symbol, "")})
                shelf = found.get(series)
                found[series] = Shelf(series, rule.schema, field, (*(shelf.files if shelf else ()), file))
    return found


def reward_file(folder: Path, stem: str) -> Path | None:
    """The file of a reward table, in any of the formats."""
    return next((path for suffix in SUFFIXES if (path := folder / f"{stem}{suffix}").is_file()), None)


def available(folder: Path) -> list[Holding]:
    """What the folder holds, by series name."""
    holdings = [Holding(shelf.series, tuple(file.name for file in shelf.files)) for shelf in shelves(folder).values()]
    for series, stem in REWARD_FILES.items():
        if path := reward_file(folder, stem):
            holdings.append(Holding(series, (path.relative_to(folder).as_posix(),)))
    return sorted(holdings, key=lambda holding: holding.series)


def expected_place(series: str) -> str:
    """Where a missing series would lie; for messages."""
    venue, kind, symbol = series.split(".")
    if series in REWARD_FILES:
        return f"{REWARD_FILES[series]}.csv"
    for rule in _RULES:
        for template, _ in rule.series:
            if template.format(venue=venue, symbol=symbol, protocol=LST_PROTOCOL.get(symbol, "")) == series:
                return f"{rule.folder}/*{symbol}*"
    return f"any file holding {kind}"


def _step_ns(word: str) -> int:
    if word in ("daily", "hourly"):
        return DAY_NS if word == "daily" else HOUR_NS
    return int(word[:-1]) * _UNIT_NS[word[-1]]
