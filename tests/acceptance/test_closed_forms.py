"""Bare runs (no costs, entry on the first row, then hold) on real data, against forms worked out from the files alone.

This module reads the source files itself, with the csv module, so that nothing of the loader is trusted.
"""

from __future__ import annotations

import csv
import gzip
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest

from tests.acceptance.runs import BARE, DATA, TWO, needs_data, play, real, slice_of

pytestmark = needs_data
WINDOWS = (("2024-06-01", "2025-09-01"), ("2024-08-01", "2024-08-15"), ("2025-01-31", "2025-02-10"))
HOUR = timedelta(hours=1)


@cache
def rows(pattern: str) -> tuple[dict[str, str], ...]:
    """The rows of the one file that matches, comment lines left out."""
    (path,) = sorted(DATA.glob(pattern))
    with gzip.open(path, "rt", encoding="utf-8") as file:
        lines = [line for line in file if not line.startswith("#")]
    return tuple(csv.DictReader(lines))


def moment(text: str) -> datetime:
    text = text.replace("+00:00Z", "Z").replace("Z", "+00:00")
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


@cache
def series(pattern: str, stamp: str, value: str) -> dict[datetime, float]:
    return {moment(row[stamp]): float(row[value]) for row in rows(pattern)}


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def index(token: str, side: str, at: datetime) -> float:
    daily = series(f"protocol_data/aave/rates/*_{token}_rates_daily_*", "targetDate", side)
    return daily[at]


def supply(token: str, start: datetime, end: datetime) -> float:
    return index(token, "liquidityIndex", end) / index(token, "liquidityIndex", start)


def borrow(start: datetime, end: datetime) -> float:
    return index("WETH", "variableBorrowIndex", end) / index("WETH", "variableBorrowIndex", start)


def ratio(lst: str, at: datetime) -> float:
    return series(f"protocol_data/aave/oracle/{lst}_ETH_oracle_*", "timestamp", "oracle_price_eth")[at]


def closes(kind: str, venue: str, coin: str) -> dict[datetime, float]:
    """Closes by the time they are known."""
    folder = f"spot_prices/{coin.lower()}_usd" if kind == "spot" else "derivatives/futures_ohlcv"
    raw = series(f"market_data/{folder}/{venue}_{coin}USDT_{kind}_1h_*", "timestamp", "close")
    return {at + HOUR: price for at, price in raw.items()}


def spot(venue: str, coin: str, at: datetime) -> float:
    """A known close; in a gap, the other exchange's price at the last ratio both knew (DESIGN-replay)."""
    return filled(closes("spot", venue, coin), closes("spot", "bybit" if venue == "binance" else "binance", coin), at)


def perp(venue: str, coin: str, at: datetime) -> float:
    own = closes("futures", venue, coin)
    if at in own or at - HOUR in own or at - 2 * HOUR in own:
        return next(own[at - k * HOUR] for k in range(3) if at - k * HOUR in own)
    last = at
    while last not in own:
        last -= HOUR
    return spot("binance", coin, at) * own[last] / spot("binance", coin, last)


def filled(own: dict[datetime, float], other: dict[datetime, float], at: datetime) -> float:
    for k in range(3):
        if at - k * HOUR in own:
            return own[at - k * HOUR]
    last = at
    while last not in own:
        last -= HOUR
    return other[at] * own[last] / other[last]


def payments(venue: str, coin: str, start: datetime, end: datetime) -> list[tuple[datetime, float]]:
    raw = series(f"market_data/derivatives/funding_rates/{venue}_{coin}USDT_*", "funding_timestamp", "funding_rate")
    return [(at, rate) for at, rate in raw.items() if start < at <= end]


@pytest.mark.parametrize(("start", "end"), WINDOWS)
def test_lending_earns_the_index_ratio(start: str, end: str) -> None:
    run = slice_of("pure_lending", *BARE)
    result = play(run, real(run, start, end))
    expected = 1_000_000.0 * (supply("USDT", day(start), day(end)) - 1.0)
    assert result.final_equity - 1_000_000.0 == pytest.approx(expected, rel=1e-6)
    assert result.liquidations == 0


@pytest.mark.parametrize(("start", "end"), WINDOWS)
@pytest.mark.parametrize("lst", ["wstETH", "weETH"])
def test_staking_earns_the_oracle_ratio(lst: str, start: str, end: str) -> None:
    run = slice_of("eth_staking_only", *BARE, f"lst_type={lst}")
    result = play(run, real(run, start, end))
    expected = 100.0 * (ratio(lst, day(end)) / ratio(lst, day(start)) - 1.0)
    assert result.final_equity - 100.0 == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("start", "end"), WINDOWS)
@pytest.mark.parametrize("lst", ["wstETH", "weETH"])
def test_leveraged_staking_earns_collateral_less_debt(lst: str, start: str, end: str) -> None:
    run = slice_of("eth_leveraged", *BARE, f"lst_type={lst}")
    result = play(run, real(run, start, end))
    leverage = 1.0 / (1.0 - 0.93 * (1.0 - 0.02215))
    grown = supply(lst, day(start), day(end)) * ratio(lst, day(end)) / ratio(lst, day(start))
    expected = 100.0 * (leverage * grown - (leverage - 1.0) * borrow(day(start), day(end))) - 100.0
    assert result.final_equity - 100.0 == pytest.approx(expected, rel=1e-6)
    assert result.liquidations == 0


def margin_for(start: str) -> float:
    """ETH doubled between 2025-06-24 and 2025-08-24: a short with margin 1.0 that is never rebalanced is liquidated."""
    return 1.5 if start == "2025-06-24" else 1.0


BASIS_CASES = [
    *((mode, TWO, start, end) for mode in ("btc_basis", "eth_basis") for start, end in WINDOWS),
    ("btc_basis", None, "2025-03-17", "2025-05-22"),
    ("eth_basis", None, "2025-06-24", "2025-08-31"),
]


@pytest.mark.parametrize(("mode", "weights", "start", "end"), BASIS_CASES)
def test_basis_earns_funding_and_the_change_of_the_basis(mode: str, weights: str | None, start: str, end: str) -> None:
    margin = margin_for(start)
    run = slice_of(mode, *BARE, f"margin_ratio_target={margin}", *([weights] if weights else []))
    result = play(run, real(run, start, end))
    coin = run.mode.asset
    begin, finish = day(start), day(end)
    funding = basis = turnover = notional = 0.0
    for venue, weight in run.mode.hedge_allocation.items():
        spot_venue = "binance" if venue == "okx" else venue
        entry = spot(spot_venue, coin, begin)
        size = 1_000_000.0 * weight / (1.0 + margin) / entry
        paid = [size * perp(venue, coin, at) * rate for at, rate in payments(venue, coin, begin, finish)]
        funding += sum(paid)
        turnover += sum(map(abs, paid))
        basis += size * (spot(spot_venue, coin, finish) - entry)
        basis -= size * (perp(venue, coin, finish) - perp(venue, coin, begin))
        notional += size * entry
    assert result.parts["funding"] == pytest.approx(funding, abs=1e-9 * turnover)
    assert result.parts["basis"] == pytest.approx(basis, abs=1e-6 * notional)
    assert result.parts["delta"] == pytest.approx(0.0, abs=1e-6 * notional)
    assert result.final_equity - 1_000_000.0 == pytest.approx(funding + basis, abs=1e-6 * notional)
    assert result.liquidations == 0


NEUTRAL_CASES = [(TWO, start, end) for start, end in WINDOWS] + [(None, "2025-06-24", "2025-08-31")]


@pytest.mark.parametrize(("weights", "start", "end"), NEUTRAL_CASES)
@pytest.mark.parametrize("leveraged", [False, True])
def test_neutral_modes_agree_part_by_part(leveraged: bool, weights: str | None, start: str, end: str) -> None:
    mode = "usdt_market_neutral" if leveraged else "usdt_market_neutral_no_leverage"
    margin = margin_for(start)
    staked = 1.0 / (1.0 + margin)
    run = slice_of(
        mode, *BARE, f"margin_ratio_target={margin}", f"stake_allocation={staked}", *([weights] if weights else [])
    )
    market = real(run, start, end)
    result = play(run, market)
    begin, finish = day(start), day(end)
    eth = 1_000_000.0 * staked / spot("binance", "ETH", begin)
    leverage = 1.0 / (1.0 - 0.93 * (1.0 - 0.02215)) if leveraged else 1.0
    funding = turnover = short_pnl = 0.0
    for venue, weight in run.mode.hedge_allocation.items():
        size = eth * weight
        paid = [size * perp(venue, "ETH", at) * rate for at, rate in payments(venue, "ETH", begin, finish)]
        funding += sum(paid)
        turnover += sum(map(abs, paid))
        short_pnl -= size * (perp(venue, "ETH", finish) - perp(venue, "ETH", begin))
    assert result.parts["funding"] == pytest.approx(funding, abs=1e-9 * turnover)

    # The yield parts need the path of prices: the sum over hours, from the columns the run saw.
    prices, lst = market.columns["binance.spot.ETH"], market.columns["lido.ratio.wstETH"]
    index_s = market.columns["aave_v3.supply_index.wstETH"] if leveraged else lst * 0.0 + 1.0
    index_b = market.columns["aave_v3.borrow_index.WETH"] if leveraged else lst * 0.0 + 1.0
    units, debt = eth * leverage / lst[0] / index_s[0], eth * (leverage - 1.0) / index_b[0]
    staking = supplied = owed = delta = 0.0
    for i in range(1, len(prices)):
        staking += units * index_s[i - 1] * (lst[i] - lst[i - 1]) * prices[i]
        supplied += units * (index_s[i] - index_s[i - 1]) * lst[i] * prices[i]
        owed -= debt * (index_b[i] - index_b[i - 1]) * prices[i]
        net = units * index_s[i - 1] * lst[i - 1] - debt * index_b[i - 1] - eth
        delta += net * (prices[i] - prices[i - 1])
    scale = 1e-6 * eth * leverage * spot("binance", "ETH", begin)
    assert result.parts["staking_yield_oracle"] == pytest.approx(staking, rel=1e-6)
    assert result.parts["delta"] == pytest.approx(delta, rel=1e-6, abs=scale)
    if leveraged:
        assert result.parts["supply_yield"] == pytest.approx(supplied, rel=1e-6)
        assert result.parts["borrow_costs"] == pytest.approx(owed, rel=1e-6)
    moved = spot("binance", "ETH", finish) - spot("binance", "ETH", begin)
    assert result.parts["basis"] == pytest.approx(short_pnl + eth * moved, abs=1e-6 * 500_000.0)

    # And the whole, from the files at the two ends alone.
    grown = supply("wstETH", begin, finish) if leveraged else 1.0
    worth = eth * leverage * grown * ratio("wstETH", finish) / ratio("wstETH", begin)
    if leveraged:
        worth -= eth * (leverage - 1.0) * borrow(begin, finish)
    whole = worth * spot("binance", "ETH", finish) - 1_000_000.0 * staked + short_pnl + funding
    assert result.final_equity - 1_000_000.0 == pytest.approx(whole, abs=1e-6 * 500_000.0 * leverage)
    assert result.liquidations == 0
