from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from components.model.errors import DAT_NOT_COVERED, InvalidInput
from components.model.market import Market
from components.model.requirements import Grid
from tests.venues.history.modes import mode_of
from tests.venues.history.trees import DAY_NS, HOUR_NS, Tree, at, grid, grown, hourly
from venues.history import UnusableData, coverage, load

PERP = ("okx.perp.BTC", "okx.funding.BTC")
ALL = (
    "binance.spot.BTC",
    "okx.perp.BTC",
    "okx.funding.BTC",
    "aave_v3.supply_index.USDT",
    "aave_v3.borrow_index.USDT",
    "etherfi.ratio.weETH",
    "dex.ratio.weETH",
    "uniswap.eth_price.EIGEN",
    "etherfi.reward.EIGEN",
    "ethereum.gas_price.gwei",
)


def closes(count: int, first: float = 100.0) -> list[float | None]:
    return [first + i for i in range(count)]


def test_a_row_holds_the_close_of_the_bar_opened_one_step_earlier(tree: Tree) -> None:
    tree.spot("binance", "BTC", closes(9))
    market = load(tree.folder, mode_of("binance.spot.BTC"), grid("2024-06-01T01", "2024-06-01T05"))

    assert market.timestamps.tolist() == [at(f"2024-06-01T0{hour}") for hour in range(1, 6)]
    assert market.column("binance.spot.BTC").tolist() == [100.0, 101.0, 102.0, 103.0, 104.0]
    assert market.stale == {}
    assert market.provenance.filled_rows == {}


def test_a_start_before_the_first_bar_is_known_is_refused_before_anything_is_returned(tree: Tree) -> None:
    tree.spot("binance", "BTC", closes(9))

    with pytest.raises(UnusableData) as refused:
        load(tree.folder, mode_of("binance.spot.BTC"), grid("2024-06-01T00", "2024-06-02T00"))
    assert refused.value.code == DAT_NOT_COVERED
    assert "earliest valid start 2024-06-01T01:00Z" in str(refused.value)
    assert "latest valid end 2024-06-01T09:00Z" in str(refused.value)
    assert "All series are known from 2024-06-01T01:00Z to 2024-06-01T09:00Z" in str(refused.value)
    assert not refused.value.report.covered


def test_stale_rows_are_valued_flagged_counted_and_listed(tree: Tree) -> None:
    tree.spot("binance", "BTC", closes(12))
    tree.perp("okx", "BTC", [200.0, 202.0, None, None, None, None, 212.0, 214.0, 216.0, 218.0, 220.0, 222.0])
    market = load(tree.folder, mode_of("okx.perp.BTC"), grid("2024-06-01T01", "2024-06-01T10"))

    assert market.column("okx.perp.BTC").tolist() == [200, 202, 204, 206, 208, 210, 212, 214, 216, 218]
    assert np.flatnonzero(market.stale["okx.perp.BTC"]).tolist() == [2, 3, 4, 5]
    assert market.stale["okx.perp_low.BTC"][4]
    assert market.provenance.filled_rows == {"okx.perp.BTC": 4}
    assert "filled: okx.perp.BTC 4 rows: 2024-06-01T03:00Z…2024-06-01T06:00Z (4)" in market.provenance.notes


def test_a_coarse_perp_beside_an_hourly_spot_is_noted_and_traded_at_its_own_bars_only(tree: Tree) -> None:
    tree.spot("binance", "BTC", closes(60))
    tree.perp("okx", "BTC", [2.0 * (107.0 + 8 * i) for i in range(5)], step="8h")
    market = load(tree.folder, mode_of("binance.spot.BTC", "okx.perp.BTC"), grid("2024-06-01T08", "2024-06-02T12"))

    assert np.flatnonzero(~market.stale["okx.perp.BTC"]).tolist() == [0, 8, 16, 24]
    assert any(note.startswith("coarse: okx.perp.BTC has bars of 480 minutes") for note in market.provenance.notes)
    ratio = market.column("okx.perp.BTC") / market.column("binance.spot.BTC")
    assert np.ptp(ratio) < 1e-12  # no basis is made of hours that nobody has seen


def test_extremes_stand_only_in_the_row_in_which_their_bar_closed(tree: Tree) -> None:
    tree.perp("okx", "BTC", [100.0, 101.0, None, 103.0])
    market = load(tree.folder, mode_of("okx.perp.BTC"), grid("2024-06-01T01", "2024-06-01T04"))

    assert market.column("okx.perp_high.BTC").tolist() == [102.0, 103.0, 101.0, 105.0]
    assert market.column("okx.perp_low.BTC").tolist() == [97.0, 98.0, 101.0, 100.0]


def test_an_index_that_is_stale_is_carried_and_flagged(tree: Tree) -> None:
    days = grown(1.0, 9, 0.001)
    path = tree.reserve("USDT", days)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:3], *lines[6:]]))
    market = load(
        tree.folder, mode_of("aave_v3.supply_index.USDT"), grid("2024-06-01T00", "2024-06-08T00", 12 * HOUR_NS)
    )
    column, stale = market.column("aave_v3.supply_index.USDT"), market.stale["aave_v3.supply_index.USDT"]

    assert np.flatnonzero(stale).tolist() == [7, 8, 9]
    assert (np.diff(column[:10]) >= 0.0).all()
    assert len(set(column[4:10].tolist())) == 1
    assert column[0] == days[0]
    assert column[2] == days[1]
    assert column[10] == days[5]


def test_settlements_carry_their_own_mark_also_on_a_coarse_grid(tree: Tree) -> None:
    tree.perp("okx", "BTC", closes(60))
    tree.funding("okx", "BTC", [0.0001 * i for i in range(8)])
    fine = load(tree.folder, mode_of(*PERP), grid("2024-06-01T08", "2024-06-02T08"))
    coarse = load(tree.folder, mode_of(*PERP), grid("2024-06-01T08", "2024-06-02T08", DAY_NS))
    funding, daily = fine.funding["okx.funding.BTC"], coarse.funding["okx.funding.BTC"]

    assert funding.at.tolist() == [at(text) for text in ("2024-06-01T16", "2024-06-02T00", "2024-06-02T08")]
    assert funding.row.tolist() == [8, 16, 24]
    assert daily.row.tolist() == [1, 1, 1]
    assert funding.rate.tolist() == pytest.approx([0.0002, 0.0003, 0.0004])
    assert funding.mark_usdt.tolist() == daily.mark_usdt.tolist() == [115.0, 123.0, 131.0]


def test_a_settlement_in_a_gap_is_paid_at_the_valued_mark(tree: Tree) -> None:
    tree.spot("binance", "BTC", closes(20))
    tree.perp("okx", "BTC", [200.0, 202.0, *[None] * 10, 224.0])
    tree.funding("okx", "BTC", [0.0001, 0.0001])
    market = load(tree.folder, mode_of(*PERP), grid("2024-06-01T01", "2024-06-01T12"))

    assert market.funding["okx.funding.BTC"].mark_usdt.tolist() == [107.0 * 202.0 / 101.0]


def test_jittered_settlements_fall_into_the_row_of_their_hour(tree: Tree) -> None:
    tree.perp("okx", "BTC", closes(20))
    tree.settlements(
        "okx", "BTC", ["2024-06-01T00:00:00.016000Z,1e-4,BTCUSDT,x", "2024-06-01T08:00:00.047000Z,1e-4,BTCUSDT,x"]
    )
    funding = load(tree.folder, mode_of(*PERP), grid("2024-06-01T01", "2024-06-01T12")).funding["okx.funding.BTC"]

    assert (funding.at.tolist(), funding.row.tolist()) == ([at("2024-06-01T08")], [7])


def test_a_written_fallback_fills_the_column_under_its_own_name_and_is_noted(tree: Tree) -> None:
    tree.spot("binance", "BTC", closes(9))
    mode = mode_of("okx.spot.BTC", price_fallback={"okx.spot": "binance.spot"})
    market = load(tree.folder, mode, grid("2024-06-01T01", "2024-06-01T05"))

    assert market.column("okx.spot.BTC").tolist() == [100.0, 101.0, 102.0, 103.0, 104.0]
    assert "price_fallback: okx.spot.BTC ← binance.spot.BTC" in market.provenance.notes


def test_a_fallback_for_a_perp_brings_its_extremes(tree: Tree) -> None:
    tree.perp("binance", "BTC", closes(9))
    mode = mode_of("okx.perp.BTC", price_fallback={"okx.perp": "binance.perp"})
    market = load(tree.folder, mode, grid("2024-06-01T01", "2024-06-01T02"))

    assert market.column("okx.perp_high.BTC").tolist() == [102.0, 103.0]


def test_minute_files_serve_a_minute_grid(tree: Tree) -> None:
    tree.spot("binance", "BTC", closes(200, 500.0), step="1m")
    tree.spot("binance", "BTC", closes(9))
    fine = load(tree.folder, mode_of("binance.spot.BTC"), grid("2024-06-01T01", "2024-06-01T02", HOUR_NS // 60))
    hourly_rows = load(tree.folder, mode_of("binance.spot.BTC"), grid("2024-06-01T01", "2024-06-01T02"))

    assert len(fine) == 61
    assert fine.column("binance.spot.BTC")[[0, 60]].tolist() == [559.0, 619.0]
    assert hourly_rows.column("binance.spot.BTC").tolist() == [100.0, 101.0]


def test_gas_is_past_data_of_two_hours_resolution(tree: Tree) -> None:
    tree.gas([5.0, 5.1, 6.0])
    market = load(tree.folder, mode_of("ethereum.gas_price.gwei"), grid("2024-06-01T00", "2024-06-01T06"))

    assert market.column("ethereum.gas_price.gwei").tolist() == [5.0, 5.1, 6.0, 6.0, 6.0, 6.0, 6.0]
    assert market.stale == {}


def test_costs_none_needs_no_gas_and_no_market_ratio(tree: Tree) -> None:
    tree.spot("binance", "BTC", closes(9))
    mode = mode_of("binance.spot.BTC", "ethereum.gas_price.gwei", "dex.ratio.weETH", costs="none")

    assert list(load(tree.folder, mode, grid("2024-06-01T01", "2024-06-01T05")).columns) == ["binance.spot.BTC"]


def test_a_reward_token_without_a_price_yet_is_zero_and_stale_never_nan(tree: Tree) -> None:
    tree.eigen(["2024-05-25,2024-06-03,7,1,0,1"])
    tree.token("EIGEN", hourly(0.001, 100, 1e-6), first_day=1)
    mode = mode_of("etherfi.reward.EIGEN", "uniswap.eth_price.EIGEN", rewards_mode="base_eigen")
    market = load(tree.folder, mode, grid("2024-06-01T23", "2024-06-05T00"))

    assert market.column("uniswap.eth_price.EIGEN")[:3].tolist() == [0.0, 0.0, 0.001]
    assert market.stale["uniswap.eth_price.EIGEN"][:3].tolist() == [True, True, False]
    assert market.provenance.filled_rows == {}
    assert [(reward.token, reward.paid_at) for reward in market.rewards] == [("EIGEN", at("2024-06-04T00"))]
    assert market.provenance.rewards_known_until == at("2024-06-04T00")


def test_the_benchmark_is_known_one_day_later_and_nan_where_unknown(tree: Tree) -> None:
    tree.spot("binance", "BTC", closes(300))
    tree.benchmark([0.1, 0.11])
    market = load(tree.folder, mode_of("binance.spot.BTC"), grid("2024-06-01T12", "2024-06-06T12", DAY_NS))
    apy = market.column("ethena.apy.sUSDe")

    assert apy[1:4].tolist() == [0.1, 0.11, 0.11]
    assert np.isnan(apy[[0, 4, 5]]).all()
    assert "ethena.apy.sUSDe" not in market.stale


def test_published_interpolations_are_declared_as_look_ahead(tree: Tree) -> None:
    tree.oracle("weETH", hourly(1.03, 60, 3e-6))
    mode = mode_of("etherfi.ratio.weETH", interpolated="as_published")
    market = load(tree.folder, mode, grid("2024-06-01T00", "2024-06-01T05"))

    assert market.column("etherfi.ratio.weETH").tolist() == hourly(1.03, 60, 3e-6)[:6]
    assert market.provenance.notes == ("lookahead: interpolated ≤ 24 h: etherfi.ratio.weETH",)


def test_provenance_names_the_folder_without_its_path_and_hashes_what_was_used(tree: Tree, tmp_path: Path) -> None:
    tree.spot("binance", "BTC", closes(9))
    run = grid("2024-06-01T01", "2024-06-01T05")
    first = load(tree.folder, mode_of("binance.spot.BTC"), run).provenance
    tree.spot("bybit", "BTC", closes(9))
    same = load(tree.folder, mode_of("binance.spot.BTC"), run, cache=tmp_path / "cache").provenance
    tree.spot("binance", "BTC", closes(10))
    other = load(tree.folder, mode_of("binance.spot.BTC"), run, cache=tmp_path / "cache").provenance

    assert first.source == "folder"
    assert first.data_hash == same.data_hash != other.data_hash


def test_a_cache_that_cannot_be_written_changes_nothing(tree: Tree, tmp_path: Path) -> None:
    tree.spot("binance", "BTC", closes(9))
    (tmp_path / "blocked").write_text("in the way")
    run = grid("2024-06-01T01", "2024-06-01T05")

    assert len(load(tree.folder, mode_of("binance.spot.BTC"), run, cache=tmp_path / "blocked")) == 5


@pytest.mark.parametrize("run", [Grid(at("2024-06-02T00"), at("2024-06-01T00"), HOUR_NS), Grid(0, 1, 0)])
@pytest.mark.parametrize("ask", [load, coverage])
def test_an_empty_grid_is_refused(tree: Tree, run: Grid, ask: Callable[..., object]) -> None:
    with pytest.raises(InvalidInput, match="grid"):
        ask(tree.folder, mode_of("binance.spot.BTC"), run)


def test_coverage_reports_what_load_would_refuse_without_raising(tree: Tree) -> None:
    tree.spot("binance", "BTC", closes(9))
    report = coverage(tree.folder, mode_of("binance.spot.BTC", "okx.spot.BTC"), grid("2024-06-01T00", "2024-06-01T05"))

    assert not report.covered
    assert [entry.name for entry in report.series if entry.faults] == ["binance.spot.BTC", "okx.spot.BTC"]


def test_neither_reading_csv_nor_the_warm_path_imports_pandas_or_pyarrow(tree: Tree, tmp_path: Path) -> None:
    tree.spot("binance", "BTC", closes(9))
    script = f"""
import sys
from pathlib import Path
from tests.venues.history.modes import mode_of
from tests.venues.history.trees import grid
from venues.history import load
for _ in range(2):
    load(Path({str(tree.folder)!r}), mode_of("binance.spot.BTC"), grid("2024-06-01T01", "2024-06-01T05"),
         cache=Path({str(tmp_path / "cache")!r}))
print(sorted({{"pandas", "pyarrow", "pydantic"}} & set(sys.modules)))
"""
    root = Path(__file__).parents[3]
    env = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env, cwd=root, check=True)

    assert done.stdout.strip() == "[]"


CUT_ROW = 56  # 2024-06-03T20:00Z, in the middle of an interpolated day


def test_nothing_published_after_a_row_changes_it(tmp_path: Path) -> None:
    """Every kind of source is altered in all rows stamped after the cut, before any interpolation or alignment."""
    before = _market(Tree(tmp_path / "before"), factor=1.0)
    after = _market(Tree(tmp_path / "after"), factor=1.01)
    kept = slice(0, CUT_ROW + 1)

    assert sorted(before.columns) == sorted(after.columns)
    for name in before.columns:
        assert before.column(name)[kept].tobytes() == after.column(name)[kept].tobytes(), name
        assert before.column(name)[kept.stop :].tobytes() != after.column(name)[kept.stop :].tobytes(), name
    for name, series in before.funding.items():
        known = series.row <= CUT_ROW
        assert series.rate[known].tobytes() == after.funding[name].rate[known].tobytes()
        assert series.mark_usdt[known].tobytes() == after.funding[name].mark_usdt[known].tobytes()
        assert series.rate[~known].tobytes() != after.funding[name].rate[~known].tobytes()
    paid = [reward for reward in before.rewards if reward.paid_at <= before.timestamps[CUT_ROW]]
    assert paid
    assert paid == [reward for reward in after.rewards if reward.paid_at <= before.timestamps[CUT_ROW]]


def _market(tree: Tree, factor: float) -> Market:
    """A folder of every kind in which what becomes known after the cut is multiplied by `factor`."""
    hours, days, first_row = 120, 6, 12
    cut = first_row + CUT_ROW

    def altered(values: list[float], known_after: int, per_row: int = 1) -> list[float]:
        return [v * (factor if i * per_row + known_after > cut else 1.0) for i, v in enumerate(values)]

    gap = [*range(40, 50), *range(cut - 4, cut + 4)]
    perp = altered(hourly(200.0, hours, 1.0), 1)
    tree.spot("binance", "BTC", altered(hourly(100.0, hours, 1.0), 1))
    tree.perp("okx", "BTC", [None if i in gap else value for i, value in enumerate(perp)])
    tree.funding("okx", "BTC", altered([0.0001 + i * 1e-6 for i in range(hours // 8)], 0, 8))
    tree.reserve("USDT", altered(grown(1.0, days, 0.001), 0, 24))
    # The published hours between the midnights of 3 and 4 June already know the latter: the rule must not use them.
    tree.oracle("weETH", _ratio(hours, 1.0 if factor == 1.0 else 1.0 + 1e-5, cut // 24 * 24))
    tree.lst_market("curve", "weETH", altered(hourly(1.03, hours, 1e-6), 1))
    tree.token("EIGEN", altered(hourly(0.001, hours, 1e-6), 1))
    tree.gas(altered(hourly(5.0, hours, 0.1), 0))
    tree.benchmark(altered([0.1, 0.11, 0.12, 0.13, 0.14], 24, 24))
    late = 7.0 * factor
    tree.eigen(["2024-05-25,2024-06-01,7,1,0,1", f"2024-06-02,2024-06-04,{late},1,0,1"])
    run = grid("2024-06-01T12", "2024-06-05T20")
    mode = mode_of(*ALL, rewards_mode="base_eigen", lst_type="weETH")
    return load(tree.folder, mode, run)


def _ratio(hours: int, factor: float, last_exact: int) -> list[float]:
    exact = [1.03 * (1.0 + 7e-5) ** d * (factor if d * 24 > last_exact else 1.0) for d in range(hours // 24 + 2)]
    return [exact[h // 24] + (exact[h // 24 + 1] - exact[h // 24]) * (h % 24) / 24 for h in range(hours)]
