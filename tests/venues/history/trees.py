"""Small data folders written for one test, in the layout and with the formats of the published files."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from components.model.requirements import DAY_NS, HOUR_NS, Grid
from venues.history.files.stamps import parse_stamp

START = datetime(2024, 6, 1, tzinfo=UTC)
BARS = "timestamp,open,high,low,close,volume,source,symbol,data_type"


def at(text: str) -> int:
    """`2024-06-01T05` as UTC nanoseconds."""
    return parse_stamp(f"{text}:00Z")


def grid(start: str, end: str, step: int = HOUR_NS) -> Grid:
    return Grid(at(start), at(end), step)


def day(number: int) -> str:
    return f"{START + timedelta(days=number):%Y-%m-%d}"


class Tree:
    """A data folder; every method adds one file and answers its path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = text.encode()
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return path

    def rows(self, name: str, header: str, rows: Iterable[str]) -> Path:
        return self.write(name, "\n".join([header, *rows]) + "\n")

    def spot(self, venue: str, coin: str, closes: Sequence[float | None], *, step: str = "1h", name: str = "a") -> Path:
        """Bars opened from 2024-06-01T00:00Z on; None leaves one out."""
        folder = f"market_data/spot_prices/{coin.lower()}_usd"
        return self.rows(f"{folder}/{venue}_{coin}USDT_spot_{step}_{name}.csv", BARS, _bars(coin, closes, step))

    def perp(self, venue: str, coin: str, closes: Sequence[float | None], *, step: str = "1h", name: str = "a") -> Path:
        folder = "market_data/derivatives/futures_ohlcv"
        return self.rows(f"{folder}/{venue}_{coin}USDT_futures_{step}_{name}.csv", BARS, _bars(coin, closes, step))

    def funding(self, venue: str, coin: str, rates: Sequence[float | None], *, hours: int = 8, first: int = 0) -> Path:
        """Settlements every `hours` from hour `first` of 2024-06-01 on; None leaves one out."""
        rows = [
            f"{START + timedelta(hours=first + i * hours):%Y-%m-%dT%H:%M:%SZ},{rate},{coin}USDT,{venue}"
            for i, rate in enumerate(rates)
            if rate is not None
        ]
        return self.settlements(venue, coin, rows)

    def settlements(self, venue: str, coin: str, rows: Iterable[str]) -> Path:
        folder = "market_data/derivatives/funding_rates"
        header = "funding_timestamp,funding_rate,symbol,source"
        return self.rows(f"{folder}/{venue}_{coin}USDT_funding_rates_a.csv", header, rows)

    def reserve(self, token: str, indices: Sequence[float]) -> Path:
        """Daily snapshots from 2024-06-01 on; the borrow index is the supply index + 1."""
        rows = [f"{day(i)}T00:00:00Z,{token},{value},{value + 1.0}" for i, value in enumerate(indices)]
        header = "timestamp,symbol,liquidityIndex,variableBorrowIndex"
        return self.rows(f"protocol_data/aave/rates/aave_v3_x_{token}_rates_daily_a.csv", header, rows)

    def hourly_reserve(self, token: str, indices: Sequence[float]) -> Path:
        rows = [f"{START + timedelta(hours=i):%Y-%m-%d %H:%M:%S}+00:00,{v},{v + 1.0}" for i, v in enumerate(indices)]
        header = "timestamp,liquidityIndex,variableBorrowIndex"
        return self.rows(f"protocol_data/aave/rates/aave_v3_x_{token}_rates_hourly_a.csv", header, rows)

    def oracle(self, lst: str, ratios: Sequence[float]) -> Path:
        """Hourly ratios from 2024-06-01T00:00Z on, below comment lines."""
        rows = [f"{START + timedelta(hours=i):%Y-%m-%d %H:%M:%S}+00:00,{v},{lst},x,ETH" for i, v in enumerate(ratios)]
        header = "# Source: x\n# Records: many, of course\ntimestamp,oracle_price_eth,asset,source,quote_currency"
        return self.rows(f"protocol_data/aave/oracle/{lst}_ETH_oracle_a.csv", header, rows)

    def lst_market(self, pool: str, lst: str, prices: Sequence[float]) -> Path:
        rows = [f"{START + timedelta(hours=i):%Y-%m-%dT%H:%M:%SZ},{v},{pool},{lst},WETH" for i, v in enumerate(prices)]
        header = "timestamp,price,source,base_token,quote_token"
        return self.rows(f"market_data/spot_prices/lst_eth_ratios/{pool}_{lst}WETH_1h_a.csv", header, rows)

    def token(self, token: str, prices: Sequence[float], *, first_day: int = 0) -> Path:
        """A Uniswap pool against WETH, hourly candles in epoch seconds."""
        epoch = int(START.timestamp()) + first_day * 86_400
        rows = [f"{epoch + i * 3600},{v},{v},{v},{v},{i % 2},{token},WETH" for i, v in enumerate(prices)]
        header = "timestamp,open,high,low,close,volume,base_token,quote_token"
        return self.rows(f"market_data/spot_prices/protocol_tokens/uniswapv3_{token}WETH_1h_a.csv", header, rows)

    def gas(self, gwei: Sequence[float]) -> Path:
        rows = [f"{START + timedelta(hours=i):%Y-%m-%dT%H:%M:%SZ},ethereum,{v}" for i, v in enumerate(gwei)]
        return self.rows("blockchain_data/gas_prices/ethereum_gas_prices_a.csv", "timestamp,chain,gas_price_gwei", rows)

    def benchmark(self, apys: Sequence[float]) -> Path:
        rows = [f"{day(i)},{v}" for i, v in enumerate(apys)]
        name = "protocol_data/staking/benchmark_yields/ethena_susde_apr_benchmark_a.csv"
        return self.rows(name, "date,apy_decimal", rows)

    def eigen(self, rows: Sequence[str]) -> Path:
        header = (
            "staking_period_start,staking_period_end,eigen_earned,eth_restaked,eth_not_restaked,eigen_per_eeth_weekly"
        )
        return self.rows("manual_sources/etherfi_distributions/eigen_distributions_raw.csv", header, rows)

    def ethfi(self, rows: Sequence[str]) -> Path:
        header = "top_up_date,staking_period_start,staking_period_end,ethfi_amount,ethfi_per_eeth_distributed"
        return self.rows("manual_sources/etherfi_distributions/ethfi_topups_raw.csv", header, rows)

    def seasons(self, rows: Sequence[str]) -> Path:
        header = "start_date,end_date,payout_date,event,reward_token,reward_per_eeth,extra_yield_pct,source_url,notes"
        return self.rows("manual_sources/etherfi_distributions/seasonal_drops.csv", header, rows)


def grown(first: float, days: int, per_day: float) -> list[float]:
    """A value at each midnight."""
    return [first * (1.0 + per_day) ** i for i in range(days)]


def hourly(first: float, hours: int, per_hour: float) -> list[float]:
    return [first + i * per_hour for i in range(hours)]


def _bars(coin: str, closes: Sequence[float | None], step: str) -> list[str]:
    width = {"1m": timedelta(minutes=1), "1h": timedelta(hours=1), "8h": timedelta(hours=8)}[step]
    return [
        f"{START + i * width:%Y-%m-%dT%H:%M:%SZ},{close},{close + 2.0},{close - 3.0},{close},10,x,{coin}USDT,x"
        for i, close in enumerate(closes)
        if close is not None
    ]


__all__ = ["DAY_NS", "HOUR_NS", "Tree", "at", "day", "grid", "grown", "hourly"]
