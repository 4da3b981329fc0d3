"""Where the files of each series lie in a data folder: the folders, the names in them, and what they hold."""

from __future__ import annotations

import msgspec

from components.model.requirements import LST_PROTOCOL
from venues.history.files.schema import BENCHMARK, FUNDING, GAS, LST_MARKET, ORACLE, PERP, POOL, RESERVE, SPOT, Schema

VENUE_ORDER = ("binance", "bybit", "okx", "uniswap")
# Volumes of these files count contracts of so many coins.
CONTRACT_SIZE = {"okx.perp.BTC": 0.01, "okx.perp.ETH": 0.1}

EIGEN_DISTRIBUTIONS = "manual_sources/etherfi_distributions/eigen_distributions_raw"
ETHFI_TOPUPS = "manual_sources/etherfi_distributions/ethfi_topups_raw"
SEASONAL_DROPS = "manual_sources/etherfi_distributions/seasonal_drops"
REWARD_STEMS = (EIGEN_DISTRIBUTIONS, ETHFI_TOPUPS, SEASONAL_DROPS)
REWARD_SUFFIXES = (".csv", ".csv.gz", ".zip", ".parquet", ".CSV")
REWARD_FILES = {"etherfi.reward.EIGEN": EIGEN_DISTRIBUTIONS, "etherfi.reward.ETHFI": ETHFI_TOPUPS}

SPOT_FOLDER = "market_data/spot_prices"
PERP_FOLDER = "market_data/derivatives/futures_ohlcv"
FUNDING_FOLDER = "market_data/derivatives/funding_rates"
NO_FORM = "not a form that is read: CSV (plain, gzipped or one in a zip) or Parquet"
KIND_OF = {SPOT_FOLDER: "spot", PERP_FOLDER: "perp", FUNDING_FOLDER: "funding"}
SCHEMA_OF = {"spot": SPOT, "perp": PERP, "funding": FUNDING}
TOKEN_FOLDERS = ("lst_eth_ratios", "protocol_tokens")

_STEP = r"_(?P<step>\d+[smhd]|daily|hourly)(?=[_.])"
_POOL = r"(?P<pool>(?P<venue>[a-z]+)v\d)"


class Rule(msgspec.Struct, frozen=True):
    """Files of `folder` whose name matches `pattern` hold `series`: name template → field of the schema. `example` is a
    name that matches."""

    folder: str
    pattern: str
    schema: Schema
    series: tuple[tuple[str, str], ...]
    example: str


RULES = (
    Rule(
        f"{SPOT_FOLDER}/*_usd",
        rf"(?P<venue>[a-z]+)_(?P<symbol>[A-Z0-9]+)USDT_spot{_STEP}",
        SPOT,
        (("{venue}.spot.{symbol}", "close"),),
        "{venue}_{symbol}USDT_spot_1h.csv",
    ),
    Rule(
        f"{SPOT_FOLDER}/*_usd",
        rf"{_POOL}_W(?P<symbol>[A-Z]+)USDT{_STEP}",
        POOL,
        (("{venue}.spot.{symbol}", "close"),),
        "uniswapv3_W{symbol}USDT_1h.csv",
    ),
    Rule(
        PERP_FOLDER,
        rf"(?P<venue>[a-z]+)_(?P<symbol>[A-Z0-9]+)USDT_(?:futures|perp){_STEP}",
        PERP,
        (
            ("{venue}.perp.{symbol}", "close"),
            ("{venue}.perp_high.{symbol}", "high"),
            ("{venue}.perp_low.{symbol}", "low"),
        ),
        "{venue}_{symbol}USDT_futures_1h.csv",
    ),
    Rule(
        FUNDING_FOLDER,
        r"(?P<venue>[a-z]+)_(?P<symbol>[A-Z0-9]+)USDT_funding_rates(?=[_.])",
        FUNDING,
        (("{venue}.funding.{symbol}", "rate"),),
        "{venue}_{symbol}USDT_funding_rates.csv",
    ),
    Rule(
        "protocol_data/aave/rates",
        rf"(?P<venue>aave_v3)_.*_(?P<symbol>[A-Za-z]+)_rates{_STEP}",
        RESERVE,
        (("{venue}.supply_index.{symbol}", "supply_index"), ("{venue}.borrow_index.{symbol}", "borrow_index")),
        "aave_v3_ethereum_{symbol}_rates_daily.csv",
    ),
    Rule(
        "protocol_data/aave/oracle",
        r"(?P<symbol>weETH|wstETH)_ETH_oracle(?=[_.])",
        ORACLE,
        (("{protocol}.ratio.{symbol}", "ratio"),),
        "{symbol}_ETH_oracle.csv",
    ),
    Rule(
        "market_data/spot_prices/lst_eth_ratios",
        rf"(?P<pool>[a-z0-9]+)_(?P<symbol>weETH|wstETH)WETH{_STEP}",
        LST_MARKET,
        (("dex.ratio.{symbol}", "close"),),
        "curve_{symbol}WETH_1h.csv",
    ),
    Rule(
        "market_data/spot_prices/protocol_tokens",
        rf"{_POOL}_(?P<symbol>[A-Z]+?)WETH{_STEP}",
        POOL,
        (("{venue}.eth_price.{symbol}", "close"),),
        "uniswapv3_{symbol}WETH_1h.csv",
    ),
    Rule(
        "blockchain_data/gas_prices",
        r"(?P<venue>ethereum)_gas_prices(?=[_.])",
        GAS,
        (("{venue}.gas_price.gwei", "gwei"),),
        "ethereum_gas_prices.csv",
    ),
    Rule(
        "protocol_data/staking/benchmark_yields",
        r"(?P<venue>ethena)_susde_apr_benchmark(?=[_.])",
        BENCHMARK,
        (("{venue}.apy.sUSDe", "apy"),),
        "ethena_susde_apr_benchmark.csv",
    ),
)


def expected_place(series: str) -> str:
    """The folder in which a missing series would lie, and a name it could have; for messages."""
    venue, kind, symbol = series.split(".")
    if series in REWARD_FILES:
        return f"{REWARD_FILES[series]}.csv"
    for rule in RULES:
        for template, _ in rule.series:
            if template.format(venue=venue, symbol=symbol, protocol=LST_PROTOCOL.get(symbol, "")) == series:
                place = rule.folder.replace("*", symbol.lower())
                return f"{place}/{rule.example.format(venue=venue, symbol=symbol)}"
    return f"any file holding {kind}"
