"""What cannot be real is refused with its row; what is real on record passes; what the mode accepts is reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from components.model.errors import DAT_IMPLAUSIBLE, InvalidInput
from components.model.slices import MedianAndRow, ModeSlice
from tests.venues.history.modes import PLAUSIBLE, mode_of
from tests.venues.history.trees import HOUR_NS, Tree, grid, grown, hourly
from venues.history import UnusableData, load
from venues.history.files.places import FUNDING_FOLDER, PERP_FOLDER, SPOT_FOLDER
from venues.history.library import Library

RUN = grid("2024-06-01T10", "2024-06-03T00")


def calm(count: int = 60, level: float = 40_000.0) -> list[float | None]:
    draw = np.random.default_rng(3)
    return [round(level * (1.0 + 0.002 * shock), 2) for shock in draw.standard_normal(count)]


def mode(*needs: str, **bounds: Any) -> ModeSlice:
    return mode_of(*needs, plausible=msgspec.structs.replace(PLAUSIBLE, **bounds))


def refusal(tree: Tree, *needs: str, **bounds: Any) -> UnusableData:
    with pytest.raises(UnusableData) as refused:
        load(tree.folder, mode(*needs, **bounds), RUN)
    assert refused.value.code == DAT_IMPLAUSIBLE
    return refused.value


@pytest.mark.parametrize("per_bp", [0.01, 1.0], ids=["percent", "basis points"])
def test_rates_in_another_unit_are_refused_by_file_and_column(tree: Tree, per_bp: float) -> None:
    tree.perp("okx", "BTC", calm())
    tree.funding("okx", "BTC", [round(per_bp * bp, 6) for bp in (0.8, 1.0, 0.5, 0.9, 1.0, 0.7, 0.6, 1.1)])
    with pytest.raises(UnusableData) as refused:
        load(tree.folder, mode("okx.perp.BTC", "okx.funding.BTC"), RUN)

    assert "okx_BTCUSDT_funding_rates_a.csv column funding_rate" in str(refused.value)


def test_rates_in_percent_are_refused_although_each_is_below_five_percent(tree: Tree) -> None:
    tree.perp("okx", "BTC", calm())
    tree.funding("okx", "BTC", [0.0081, 0.01, 0.0052, 0.0009, 0.01, 0.0074, 0.0063, 0.011])
    refused = refusal(tree, "okx.perp.BTC", "okx.funding.BTC")

    assert "a median |rate| of 0.00775, expected at most 0.002 at okx" in str(refused)


def test_zeros_are_no_settlements(tree: Tree) -> None:
    tree.perp("okx", "BTC", calm())
    tree.funding("okx", "BTC", [0.0] * 24)

    assert "0 in all 24 settlements" in str(refusal(tree, "okx.perp.BTC", "okx.funding.BTC"))


def test_one_rate_beyond_the_cap_of_its_venue_is_named_with_its_row(tree: Tree) -> None:
    tree.perp("okx", "BTC", calm())
    tree.funding("okx", "BTC", [0.0001, 0.0001, 0.0001, 0.01, 0.0001, 0.0001, 0.0001])
    refused = refusal(tree, "okx.perp.BTC", "okx.funding.BTC")

    assert "column funding_rate row 4 (stamped 2024-06-02T00:00Z): found 0.01 after 0.0001" in str(refused)
    wide = mode("okx.perp.BTC", "okx.funding.BTC", funding_largest={"okx": 0.02})
    assert load(tree.folder, wide, RUN)


@pytest.mark.parametrize("factor", [10.0, 0.1, 100.0, 0.7])
@pytest.mark.parametrize("bar", [1, 30, 59], ids=["second", "middle", "last"])
def test_a_misplaced_decimal_point_is_refused_with_row_and_stamp(tree: Tree, factor: float, bar: int) -> None:
    closes = calm()
    closes[bar] = round((closes[bar] or 0.0) * factor, 2)
    tree.spot("binance", "BTC", closes)
    if factor == 0.7 and bar == 59:
        load(tree.folder, mode("binance.spot.BTC"), RUN)  # a fall of 30 % that stays is a crash
        return
    refused = refusal(tree, "binance.spot.BTC")

    assert f"binance_BTCUSDT_spot_1h_a.csv column close row {bar + 1} (stamped 2024-06-" in str(refused)
    assert len(refused.faults) == 1


def test_the_first_bar_is_judged_by_the_second(tree: Tree) -> None:
    closes = calm()
    closes[0] = 4_000.0
    tree.spot("binance", "BTC", closes)

    assert "row 2 (stamped 2024-06-01T01:00Z)" in str(refusal(tree, "binance.spot.BTC"))


@pytest.mark.parametrize("column", ["high", "low"])
def test_an_extreme_that_would_liquidate_is_judged_too(tree: Tree, column: str) -> None:
    path = tree.perp("okx", "BTC", calm())
    lines = path.read_text().splitlines()
    cells = lines[31].split(",")
    cells[{"high": 2, "low": 3}[column]] = {"high": "400000", "low": "4000"}[column]
    path.write_text("\n".join([*lines[:31], ",".join(cells), *lines[32:]]) + "\n")

    assert f"column {column} row 31 (stamped 2024-06-02T06:00Z)" in str(refusal(tree, "okx.perp.BTC"))


@pytest.mark.parametrize("fall", [0.30, 0.45])
def test_a_crash_is_no_misplaced_point(tree: Tree, fall: float) -> None:
    level = 40_000.0 * (1.0 - fall)
    tree.spot("binance", "BTC", [*calm(30), *calm(30, level)])
    tree.perp("okx", "BTC", [*calm(30), *calm(30, level * 0.97)])
    market = load(tree.folder, mode("binance.spot.BTC", "okx.perp.BTC"), RUN)

    assert market.column("binance.spot.BTC").min() < level * 1.01


def test_a_price_may_have_moved_over_a_hole(tree: Tree) -> None:
    tree.spot("binance", "BTC", [*calm(20), *[None] * 20, *calm(20, 90_000.0)])

    assert load(tree.folder, mode("binance.spot.BTC"), RUN)


def test_a_perp_far_from_its_spot_is_refused(tree: Tree) -> None:
    tree.spot("binance", "BTC", calm())
    tree.perp("okx", "BTC", calm(level=3_000.0))
    refused = refusal(tree, "binance.spot.BTC", "okx.perp.BTC")

    assert "okx_BTCUSDT_futures_1h_a.csv column close: found 92." in str(refused)
    assert "from binance.spot.BTC in the median" in str(refused)


def test_venues_far_from_each_other_are_refused(tree: Tree) -> None:
    tree.spot("binance", "BTC", calm())
    tree.spot("bybit", "BTC", calm(level=37_000.0))

    assert "bybit_BTCUSDT_spot_1h_a.csv" in str(refusal(tree, "binance.spot.BTC", "bybit.spot.BTC"))


def test_one_row_far_from_the_other_venue_is_named(tree: Tree) -> None:
    closes = calm()
    tree.perp("binance", "BTC", closes)
    closes[20] = (closes[20] or 0.0) * 1.15
    tree.perp("okx", "BTC", closes)
    refused = refusal(tree, "binance.perp.BTC", "okx.perp.BTC")

    assert "column close row 21 (stamped 2024-06-01T20:00Z)" in str(refused)
    assert "where binance.perp.BTC has" in str(refused)


def test_what_the_mode_accepts_is_taken_and_reported(tree: Tree) -> None:
    closes = calm()
    closes[30] = 12_000.0
    tree.spot("binance", "BTC", closes)
    refused = refusal(tree, "binance.spot.BTC")
    (name,) = ["binance.spot.BTC@2024-06-02T06:00Z"]
    assert f"plausible.accepted: [{name}]" in str(refused)

    for accepted in (name, "binance.spot.BTC"):
        market = load(tree.folder, mode("binance.spot.BTC", accepted=(accepted,)), RUN)
        assert 12_000.0 in market.column("binance.spot.BTC")
        assert any("plausible: binance.spot.BTC" in note and "accepted" in note for note in market.provenance.notes)
    other = "binance.spot.BTC@2024-06-02T07:00Z"
    assert name in str(refusal(tree, "binance.spot.BTC", accepted=(other,)))


def test_an_index_that_grows_a_thousandfold_is_refused(tree: Tree) -> None:
    tree.reserve("USDT", [*grown(1.0, 4, 0.0002), *grown(10.002, 3, 0.0002)])

    assert "row 5 (stamped 2024-06-05T00:00Z)" in str(refusal(tree, "aave_v3.supply_index.USDT"))


def test_gas_in_wei_is_refused(tree: Tree) -> None:
    tree.gas([5e9 + i for i in range(60)])

    assert "not wei" in str(refusal(tree, "ethereum.gas_price.gwei"))


def test_a_ratio_or_a_token_in_usd_is_refused(tree: Tree) -> None:
    tree.lst_market("curve", "weETH", [3_500.0 + i for i in range(60)])
    tree.token("EIGEN", [3.5 + i / 1000 for i in range(60)])
    library = Library(tree.folder, None, "rebuild", plausible=PLAUSIBLE)

    assert "0.5 to 3 ETH (not USD)" in str(refusal(tree, "dex.ratio.weETH"))
    with pytest.raises(InvalidInput, match="not USD"):
        library.samples("uniswap.eth_price.EIGEN", HOUR_NS)


def test_a_market_ratio_of_another_token_is_held_against_the_protocol(tree: Tree) -> None:
    tree.oracle("weETH", hourly(1.04, 60, 3e-6))
    tree.lst_market("curve", "weETH", hourly(1.18, 60, 3e-6))

    assert "from etherfi.ratio.weETH" in str(refusal(tree, "etherfi.ratio.weETH", "dex.ratio.weETH"))


def test_a_benchmark_in_percent_is_left_out_and_said(tree: Tree) -> None:
    tree.spot("binance", "BTC", calm())
    tree.benchmark([24.7, 24.1])
    market = load(tree.folder, mode("binance.spot.BTC"), RUN)

    assert list(market.columns) == ["binance.spot.BTC"]
    assert any("benchmark" in note and "as a fraction" in note for note in market.provenance.notes)


def test_a_venue_that_may_fill_holes_and_cannot_be_believed_says_why(tree: Tree) -> None:
    tree.perp("okx", "BTC", calm())
    tree.funding("okx", "BTC", [0.0001, 0.0001, None, None, 0.0001, 0.0001, 0.0001, 0.0001])
    tree.funding("binance", "BTC", [0.01] * 8)
    filled = msgspec.structs.replace(mode("okx.perp.BTC", "okx.funding.BTC"), funding_gap="venue:binance")
    with pytest.raises(UnusableData, match=r"binance_BTCUSDT_funding_rates_a\.csv.*a median"):
        load(tree.folder, filled, RUN)


def test_every_file_of_real_history_its_stress_included_is_plausible(real_data: Path, tmp_path: Path) -> None:
    """Each stress file stands in a folder of its own, as its series; everything else is judged where it lies."""
    judged = 0
    for path in sorted((real_data / "stress").glob("*.csv.gz")):
        coin = "btc" if "BTC" in path.name else "eth"
        place = {"spot": f"{SPOT_FOLDER}/{coin}_usd", "futures": PERP_FOLDER, "funding": FUNDING_FOLDER}
        folder = tmp_path / path.name.partition(".")[0]
        home = folder / next(place[word] for word in place if f"_{word}" in path.name)
        home.mkdir(parents=True)
        (home / path.name).symlink_to(path)
        judged += _judge_all(folder)
    assert judged > 20
    assert _judge_all(real_data) > 30


def _judge_all(folder: Path) -> int:
    library = Library(folder, None, "rebuild", plausible=PLAUSIBLE)
    count = 0
    for name in library.shelves:
        for choice in library.choices(name, None):
            library.samples(name, choice)
            count += 1
    assert library.notes == {}
    return count


def walk(count: int = 400, level: float = 40_000.0) -> list[float]:
    draw = np.random.default_rng(5)
    return [float(price) for price in np.round(level * np.exp(np.cumsum(0.004 * draw.standard_normal(count))), 2)]


@pytest.mark.parametrize(("late", "said"), [(6, "6 h after"), (-7, "7 h before"), (1, "1 h after")])
def test_bars_of_another_zone_are_refused_though_their_prices_are_near(tree: Tree, late: int, said: str) -> None:
    prices = walk()
    tree.spot("binance", "BTC", [*prices[20:380]])
    tree.spot("bybit", "BTC", [price + 3.0 for price in prices[20 - late : 380 - late]])
    refused = refusal(tree, "binance.spot.BTC", "bybit.spot.BTC", venue_to_venue=MedianAndRow(0.1, 0.5))

    assert f"its moves {said} those of binance.spot.BTC" in str(refused)
    assert "if it is real: plausible.accepted: [bybit.spot.BTC]" in str(refused)


def test_clocks_that_are_changed_within_a_file_are_seen_from_then_on(tree: Tree) -> None:
    prices = walk(1_000)
    tree.spot("binance", "BTC", prices[:900])
    tree.spot("bybit", "BTC", [price + 3.0 for price in [*prices[:450], *prices[451:901]]])
    refused = refusal(tree, "binance.spot.BTC", "bybit.spot.BTC", venue_to_venue=MedianAndRow(0.1, 0.5))

    assert "its moves 1 h before those of binance.spot.BTC, from 2024-06-" in str(refused)


def test_prices_that_part_on_their_own_are_not_taken_for_another_zone(tree: Tree) -> None:
    draw = np.random.default_rng(6)
    tree.spot("binance", "BTC", walk(360))
    apart = [price * (1.0 + 0.003 * shock) for price, shock in zip(walk(360), draw.standard_normal(360), strict=True)]
    tree.spot("bybit", "BTC", apart)

    assert load(tree.folder, mode("binance.spot.BTC", "bybit.spot.BTC"), RUN) is not None
