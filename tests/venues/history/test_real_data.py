"""The loader on the published files: the seven modes, and each trap of NOTES-data §2 that is in a file."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from components.model.errors import DAT_CONFLICT, InvalidInput
from components.model.market import Market
from components.model.requirements import DAY_NS
from tests.venues.history.modes import SEVEN, mode_of, seven
from tests.venues.history.trees import HOUR_NS, at, grid
from venues.history import UnusableData, available, coverage, load, validate_margin_parameters
from venues.history.files import tables
from venues.history.files.cache import ColumnCache
from venues.history.files.catalogue import SourceFile
from venues.history.files.schema import FUNDING, ORACLE, SPOT
from venues.history.files.tables import joined, read_table
from venues.history.library import Library
from venues.history.parameters import reserve_terms

YEAR = grid("2024-06-01T00", "2025-09-01T00")
THREE = {"binance": 0.4, "bybit": 0.3, "okx": 0.3}


@pytest.mark.parametrize("name", SEVEN)
def test_each_of_the_seven_modes_loads_with_two_hedge_venues(real_data: Path, warm: Path, name: str) -> None:
    market = load(real_data, seven(name), YEAR, cache=warm)

    assert len(market) == len(YEAR) == 10_969
    assert all(not np.isnan(column).any() for key, column in market.columns.items() if not key.startswith("ethena"))
    assert market.provenance.source == real_data.name
    for series in market.funding.values():
        assert len(series.at) == 457 * 3
        assert (market.timestamps[series.row] == series.at).all()


def test_a_warm_load_of_the_largest_mode_parses_no_file(
    real_data: Path, warm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cold = load(real_data, seven("usdt_market_neutral"), YEAR, cache=warm)
    monkeypatch.setattr(tables, "_parse", lambda *_: pytest.fail("a file is parsed though its columns are kept"))
    again = load(real_data, seven("usdt_market_neutral"), YEAR, cache=warm)

    assert all(again.columns[name].tobytes() == column.tobytes() for name, column in cold.columns.items())


def test_hourly_closes_equal_the_minute_closes_of_another_source(real_data: Path, warm: Path) -> None:
    """Traps 1 and 11: open times against close times in local time; only the right shift makes them agree."""
    library = Library(real_data, warm, "rebuild")
    minutes = library.samples("binance.spot.BTC", HOUR_NS // 60)
    hours = library.samples("binance.spot.BTC", HOUR_NS)
    _, in_minutes, in_hours = np.intersect1d(minutes.at, hours.at, return_indices=True)

    assert len(in_minutes) == 696
    assert (minutes.value[in_minutes] == hours.value[in_hours]).all()


def test_the_gaps_of_binance_are_found_and_valued_not_carried(real_data: Path, warm: Path) -> None:
    """Trap 7."""
    market = load(real_data, seven("btc_basis"), grid("2024-01-02T00", "2025-09-27T00"), cache=warm)
    (entry,) = [e for e in coverage(real_data, mode_of("binance.spot.BTC"), None, cache=warm).series if not e.optional]
    spot, bybit = market.column("binance.spot.BTC"), market.column("bybit.spot.BTC")
    stale = market.stale["binance.spot.BTC"]

    assert (len(entry.gaps), sum(gap.missing for gap in entry.gaps)) == (15, 345)
    assert market.provenance.filled_rows["binance.spot.BTC"] == 345
    assert np.abs(spot[stale] / bybit[stale] - 1.0).max() < 10e-4
    assert np.abs(market.column("binance.perp.BTC")[stale] / spot[stale] - 1.0).max() < 20e-4


def test_repeated_bybit_rows_are_dropped(real_data: Path, warm: Path) -> None:
    """Trap 9."""
    (entry,) = [e for e in coverage(real_data, mode_of("bybit.spot.ETH"), None, cache=warm).series if not e.optional]

    assert (entry.duplicates, entry.rows, entry.gaps) == (15, 15_216, ())


def test_okx_is_refused_with_its_first_date_its_gaps_and_what_to_write(real_data: Path, warm: Path) -> None:
    """Traps 6, 8, 20 and 28: one refusal says it all."""
    mode = seven("usdt_market_neutral", hedge_allocation=THREE)
    with pytest.raises(UnusableData) as refused:
        load(real_data, mode, grid("2024-07-01T00", "2025-09-29T00"), cache=warm)
    text = str(refused.value)

    assert "okx_ETHUSDT_futures_1h" in text
    assert "earliest valid start 2024-08-01T01:00Z" in text
    assert "2024-08-01T00:00Z…2024-08-31T16:00Z (93)" in text
    assert "All series are known from 2024-08-01T01:00Z to 2025-09-01T00:00Z" in text


@pytest.mark.parametrize("policy", ["skip", "venue:binance"])
def test_okx_loads_when_the_missing_settlements_are_dealt_with(real_data: Path, warm: Path, policy: str) -> None:
    mode = seven("usdt_market_neutral", hedge_allocation=THREE, funding_gap=policy)
    market = load(real_data, mode, grid("2024-08-02T00", "2025-08-31T00"), cache=warm)
    paid = len(market.funding["okx.funding.ETH"].at)

    assert paid == len(market.funding["binance.funding.ETH"].at) - (128 if policy == "skip" else 0)
    assert [note for note in market.provenance.notes if note.startswith(f"funding_gap: {policy}")]


def test_a_long_gap_of_okx_books_no_fake_basis(real_data: Path, warm: Path) -> None:
    """Trap 8: at the end of a gap of a month the price is where the market is, not where it was."""
    mode = seven("usdt_market_neutral", hedge_allocation=THREE, funding_gap="skip")
    market = load(real_data, mode, grid("2024-08-02T00", "2025-08-31T00"), cache=warm)
    basis = market.column("okx.perp.ETH") / market.column("binance.spot.ETH") - 1.0

    assert np.abs(basis[market.stale["okx.perp.ETH"]]).max() < 35e-4
    assert market.provenance.filled_rows["okx.perp.ETH"] == 1440


def test_a_real_divergence_is_not_discarded(real_data: Path, warm: Path) -> None:
    """Trap 17."""
    market = load(real_data, seven("eth_basis"), YEAR, cache=warm)
    row = int(np.flatnonzero(market.timestamps == at("2024-10-28T22"))[0])
    basis = market.column("binance.perp.ETH")[row] / market.column("binance.spot.ETH")[row] - 1.0

    assert basis == pytest.approx(-99.5e-4, abs=1e-5)


def test_indices_are_exact_at_midnight_and_blind_to_the_next(real_data: Path, warm: Path) -> None:
    """Traps 2, 3 and 26: the spike of 2024-07-05 is kept, and no hour before it knows of it."""
    rebuilt = _column(load(real_data, seven("eth_leveraged"), YEAR, cache=warm))
    published_mode = seven("eth_leveraged", interpolated="as_published")
    published = load(real_data, published_mode, YEAR, cache=warm)
    midnights = np.arange(0, len(YEAR), 24)
    column = _column(published)

    assert (np.diff(rebuilt) >= 0.0).all()  # interest is never negative
    assert (rebuilt[midnights] >= column[midnights] * (1.0 - 1e-12)).all()
    assert np.allclose(rebuilt[midnights], column[midnights], rtol=1e-4)
    assert np.isclose(rebuilt[midnights], column[midnights], rtol=1e-12).mean() > 0.97
    assert np.abs(rebuilt / column - 1.0).max() < 10e-4
    assert (rebuilt != column).sum() > 10_000
    assert sum(note.startswith("lookahead") for note in published.provenance.notes) == 3


def test_every_start_the_requirements_name_is_the_known_one(real_data: Path, warm: Path) -> None:
    """Traps 14, 20 and 28: what the files hold, not what their names say."""
    report = coverage(real_data, seven("usdt_market_neutral"), None, cache=warm)
    starts = {entry.name: entry.valid_start for entry in report.series}

    assert starts["etherfi.ratio.weETH"] == at("2024-05-13T00")
    assert starts["dex.ratio.weETH"] == at("2024-05-13T05")
    assert starts["aave_v3.supply_index.weETH"] == at("2024-05-12T00")
    assert (report.earliest_start, report.latest_end) == (at("2024-05-13T05"), at("2025-09-25T23") + 59 * 60 * 10**9)
    assert {entry.name: entry.flat for entry in report.series}["uniswap.eth_price.ETHFI"] == 242


def test_gas_is_two_hourly(real_data: Path, warm: Path) -> None:
    """Trap 15."""
    report = coverage(real_data, mode_of("ethereum.gas_price.gwei"), None, cache=warm)

    assert [entry.step for entry in report.series if not entry.optional] == [2 * HOUR_NS]


def test_reward_tokens_are_priced_by_the_pool_and_never_by_a_placeholder(real_data: Path, warm: Path) -> None:
    """Traps 21 and 22."""
    market = load(real_data, seven("eth_staking_only"), YEAR, cache=warm)
    first = next(reward for reward in market.rewards if reward.token == "EIGEN")
    usd = market.column("uniswap.eth_price.EIGEN") * market.column("binance.spot.ETH")

    assert first.per_eeth == pytest.approx(2_478_088 / (1_480_684 + 532_110))
    assert (first.paid_at, first.end - first.start) == (at("2024-10-06T00"), 52 * DAY_NS)
    assert not (usd == 3.5).any()
    assert market.provenance.rewards_known_until == at("2024-12-09T00")


def test_what_is_listed_is_what_can_be_loaded(real_data: Path) -> None:
    names = {holding.series for holding in available(real_data)}

    assert {"uniswap.spot.ETH", "ethena.apy.sUSDe", "etherfi.reward.ETHFI", "okx.perp_low.BTC"} <= names
    assert "okx.spot.BTC" not in names
    assert not any("defects" in file or "stress" in file for holding in available(real_data) for file in holding.files)


def test_the_swapped_okx_funding_is_refused_for_its_210_contradictions(real_data: Path) -> None:
    """Traps 4 and 5."""
    path = real_data / "defects/okx_BTCUSDT_funding_wrong_column_and_duplicates.csv.gz"
    with pytest.raises(InvalidInput, match="210 stamps with two different values, first 2025-03-29") as refused:
        joined([read_table(SourceFile(path, path.name, "BTC", None, None), FUNDING, ColumnCache(None))])

    assert refused.value.code == DAT_CONFLICT


def test_the_archive_of_okx_is_read_by_its_settled_rate(real_data: Path, warm: Path) -> None:
    """Trap 4: the forecast column differs, the settled one equals the main file."""
    path = real_data / "defects/okx_BTC-USDT-SWAP_funding_archive_rows.csv.gz"
    archive = joined([read_table(SourceFile(path, path.name, "BTC", None, None), FUNDING, ColumnCache(None))])
    main = Library(real_data, warm, "rebuild").samples("okx.funding.BTC", None)
    _, mine, theirs = np.intersect1d(archive.at, main.at, return_indices=True)

    assert len(mine) == len(archive.at)
    assert np.abs(archive.values["rate"][mine] - main.value[theirs]).max() < 1e-12


def test_late_stamps_lose_no_settlement(real_data: Path, warm: Path) -> None:
    """Trap 10."""
    path = real_data / "defects/binance_BTCUSDT_funding_millisecond_stamps.csv.gz"
    late = joined([read_table(SourceFile(path, path.name, "BTC", None, None), FUNDING, ColumnCache(None))])
    main = Library(real_data, warm, "rebuild").samples("binance.funding.BTC", None)

    assert late.at.tolist() == main.at.tolist()


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("USDT_ETH_oracle_header_only.csv", "no rows"),
        ("ETH_USDT_5m_unsorted_duplicate_bars.csv", "zone"),
    ],
)
def test_a_defective_file_is_refused_by_name(real_data: Path, file: str, said: str) -> None:
    """Traps 11 and 12."""
    schema = ORACLE if "oracle" in file else SPOT
    with pytest.raises(InvalidInput, match=said):
        read_table(SourceFile(real_data / "defects" / file, file, "ETH", None, None), schema, ColumnCache(None))


def test_a_placeholder_covers_only_the_day_it_holds(real_data: Path, tmp_path: Path) -> None:
    """Trap 13: the name promises 16 months, the file holds 24 invented rows."""
    folder = tmp_path / "market_data/spot_prices/lst_eth_ratios"
    folder.mkdir(parents=True)
    shutil.copy(
        real_data / "defects/curve_weETHWETH_1h_placeholder.csv",
        folder / "curve_weETHWETH_1h_2024-05-12_2025-09-27.csv",
    )

    with pytest.raises(UnusableData, match="latest valid end 2024-05-13T00:00Z"):
        load(tmp_path, mode_of("dex.ratio.weETH"), YEAR)


def test_the_margin_files_of_all_venues_are_refused(real_data: Path) -> None:
    """Trap 18."""
    files = sorted((real_data / "market_data/derivatives/risk_params").glob("*.json"))

    assert len(files) == 3
    for file in files:
        (fault,) = validate_margin_parameters(file.name, file.read_bytes())
        assert "maintenance_margin_requirement" in fault.where


def test_the_reserve_snapshot_knows_the_real_reserve_factors(real_data: Path) -> None:
    """Traps 12 and 19."""
    (path,) = (real_data / "manual_sources/aave_params").glob("*.csv")
    terms = reserve_terms(path)
    factors = {token: terms[token]["Reserve Factor"] for token in ("WETH", "weETH", "wstETH", "USDT")}

    assert factors == pytest.approx({"WETH": 0.15, "weETH": 0.45, "wstETH": 0.35, "USDT": 0.10})


def test_a_folder_without_the_benchmark_loads(real_data: Path, tmp_path: Path) -> None:
    """Trap 24."""
    part = "protocol_data/aave/rates"
    shutil.copytree(real_data / part, tmp_path / part)
    market = load(tmp_path, mode_of("aave_v3.supply_index.USDT"), YEAR)

    assert list(market.columns) == ["aave_v3.supply_index.USDT"]


def _column(market: Market) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return market.column("aave_v3.borrow_index.WETH")
