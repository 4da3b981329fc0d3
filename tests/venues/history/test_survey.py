from __future__ import annotations

from components.model.errors import DAT_CONFLICT, DAT_NOT_COVERED, DAT_UNREADABLE
from components.model.requirements import Grid
from components.model.slices import ModeSlice
from tests.venues.history.modes import mode_of
from tests.venues.history.trees import Tree, at, day, grid
from venues.history.library import Library
from venues.history.survey import Survey, Surveyor, needed_series

RUN = grid("2024-06-01T02", "2024-06-01T08")
REWARDS = ("etherfi.reward.EIGEN", "uniswap.eth_price.EIGEN")
WEEKS = ["2024-05-25,2024-06-01,7,1,0,1", "2024-06-02,2024-06-03,7,1,0,1"]


def survey(tree: Tree, mode: ModeSlice, run: Grid | None = RUN) -> Survey:
    return Surveyor(Library(tree.folder, None, mode.interpolated), mode, run).survey()


def test_funding_and_extremes_need_their_perp_and_the_benchmark_is_no_need() -> None:
    needs = ("okx.funding.BTC", "okx.perp_low.BTC", "ethena.apy.sUSDe")

    assert needed_series(mode_of(*needs)) == ("okx.perp.BTC", "okx.funding.BTC")


def test_extremes_come_with_every_perp(tree: Tree) -> None:
    tree.perp("okx", "BTC", [100.0 + i for i in range(9)])

    assert list(survey(tree, mode_of("okx.perp.BTC")).columns) == [
        "okx.perp.BTC",
        "okx.perp_high.BTC",
        "okx.perp_low.BTC",
    ]


def test_every_fault_of_every_series_is_found_and_the_gravest_names_the_code(tree: Tree) -> None:
    tree.spot("binance", "BTC", [100.0, -1.0])
    tree.spot("bybit", "BTC", [100.0, 101.0])
    found = survey(tree, mode_of("binance.spot.BTC", "bybit.spot.BTC", "okx.spot.BTC"))

    assert [len(entry.faults) for entry in found.report.series] == [3, 1, 1]
    assert len(found.report.faults) == 5
    assert found.code == DAT_UNREADABLE
    assert survey(tree, mode_of("bybit.spot.BTC")).code == DAT_NOT_COVERED
    tree.settlements("x", "BTC", ["2024-06-01T08:00:00Z,0.1,BTCUSDT,x", "2024-06-01T08:00:00Z,0.01,BTCUSDT,x"])
    tree.settlements("okx", "BTC", [f"2024-06-01T08:00:00Z,{rate},BTCUSDT,x" for rate in (0.01, 0.02)])
    assert survey(tree, mode_of("bybit.spot.BTC", "okx.funding.BTC")).code == DAT_CONFLICT


def test_a_reward_paid_while_no_price_is_known_is_a_fault_with_its_date(tree: Tree) -> None:
    tree.eigen(WEEKS)
    tree.token("EIGEN", [0.001 + i / 1e6 for i in range(100)], first_day=2)
    mode = mode_of(*REWARDS, rewards_mode="base_eigen")
    run = grid("2024-06-01T00", "2024-06-06T00")
    (fault,) = survey(tree, mode, run).report.faults

    assert "known when the first EIGEN reward is paid 2024-06-02T00:00Z" in fault.expected
    assert survey(tree, mode, grid("2024-06-02T00", "2024-06-06T00")).code is None


def test_a_reward_token_needs_no_price_where_no_reward_is_paid(tree: Tree) -> None:
    tree.eigen(WEEKS)
    tree.token("EIGEN", [0.001, 0.002], first_day=90)

    assert (
        survey(tree, mode_of(*REWARDS, rewards_mode="base_eigen"), grid("2024-06-05T00", "2024-06-06T00")).code is None
    )


def test_rewards_after_the_last_period_are_reported_missing(tree: Tree) -> None:
    tree.eigen(WEEKS)
    tree.token("EIGEN", [0.001 + i / 1e6 for i in range(300)])
    mode = mode_of(*REWARDS, rewards_mode="base_eigen")
    late = survey(tree, mode, grid("2024-06-01T01", "2024-06-09T00"))

    assert late.rewards_known_until == at("2024-06-04T00")
    assert "EIGEN known until 2024-06-04T00:00Z; later ones are missing, not zero" in late.notes[0]
    assert survey(tree, mode, grid("2024-06-01T01", "2024-06-04T00")).rewards_known_until is None


def test_a_faulty_benchmark_is_noted_and_never_an_error(tree: Tree) -> None:
    tree.spot("binance", "BTC", [100.0 + i for i in range(9)])
    tree.rows("protocol_data/staking/benchmark_yields/ethena_susde_apr_benchmark_a.csv", "date,apr", [f"{day(0)},1"])
    found = survey(tree, mode_of("binance.spot.BTC"))

    assert found.code is None
    assert found.notes[0].startswith("benchmark: ethena.apy.sUSDe left out")


def test_without_a_grid_there_is_no_window_to_fall_short_of(tree: Tree) -> None:
    tree.perp("okx", "BTC", [100.0, 101.0, None, 103.0])
    tree.funding("okx", "BTC", [0.0001, None, 0.0001, 0.0001])
    report = survey(tree, mode_of("okx.funding.BTC"), None).report

    assert report.covered
    assert [[gap.missing for gap in entry.gaps] for entry in report.series] == [[1], [1]]


def test_another_venue_that_fills_the_edges_widens_the_valid_window(tree: Tree) -> None:
    for venue, rates in {"okx": [0.0001], "binance": [0.0001] * 30}.items():
        tree.funding(venue, "BTC", rates)
    tree.perp("okx", "BTC", [100.0 + i for i in range(300)])
    strict, filled = (
        survey(tree, mode_of("okx.funding.BTC", funding_gap=gap), None).report for gap in ("refuse", "venue:binance")
    )

    assert strict.latest_end == at("2024-06-01T07") + 59 * 60 * 10**9
    assert filled.latest_end == at("2024-06-10T23") + 59 * 60 * 10**9
