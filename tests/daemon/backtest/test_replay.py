"""The replay itself: what it hands back, that two runs never meet, that windows do not matter, that errors say so."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.model.errors import MissingData
from components.model.events import Event, EventType, PaymentBatch, canonical_bytes
from components.model.market import Market
from components.ports import Flow, RowBlock
from daemon.backtest.replay import Replay, ReplayRequest, ReplayResult, Rows, replay
from daemon.config.settings import load_run
from tests.scenarios import sketch

MODES = (
    "pure_lending",
    "btc_basis",
    "eth_basis",
    "eth_staking_only",
    "eth_leveraged",
    "usdt_market_neutral_no_leverage",
    "usdt_market_neutral",
)


def run(mode: str = "btc_basis", market: Market | None = None, *overrides: str, **request: object) -> ReplayResult:
    slice_ = load_run(mode, overrides=list(overrides), environ={})
    capital = 1_000_000.0 if slice_.mode.share_class == "USDT" else 100.0
    wanted = ReplayRequest(**{"run_id": "r", "capital": capital, **request})  # type: ignore[arg-type]
    return replay(slice_, market or sketch.btc(48).market(), wanted)


def told(result: ReplayResult) -> list[bytes]:
    out: list[Event] = []
    for item in result.events:
        out.extend(item.events() if isinstance(item, PaymentBatch) else (item,))
    return [canonical_bytes(event) for event in out]


def same(one: ReplayResult, other: ReplayResult) -> None:
    assert told(one) == told(other)
    assert sorted(one.columns) == sorted(other.columns)
    for name in one.columns:
        assert one.columns[name].tobytes() == other.columns[name].tobytes(), name


def test_a_result_has_a_row_for_each_row_of_the_market() -> None:
    result = run()

    assert (result.timestamps == sketch.btc(48).timestamps).all()
    assert {len(result.columns[name]) for name in result.columns} == {48}


def test_a_result_has_the_columns_it_promises() -> None:
    result = run()

    named = {"equity", "external_flow", "residual", "unexplained", "unit_value", "drawdown", "net_delta", "stale"}
    named |= {"funding", "basis", "delta", "liquidation", "transaction_costs", "reference_price"}
    for venue in sketch.VENUES:
        named |= {f"{kind}.{venue}" for kind in ("venue_equity", "venue_pnl", "margin_ratio", "mm_ratio", "funding")}
        named |= {f"balance.{venue}:{key}" for key in ("BaseToken:BTC", "BaseToken:USDT", "Perp:BTCUSDT")}
    assert named <= set(result.columns)
    debt = run("eth_leveraged", sketch.staked(24).market())
    assert {"ltv", "health_factor"} <= set(debt.columns)


def test_a_margin_ratio_is_not_there_without_a_position() -> None:
    result = run("btc_basis", sketch.btc(24).market(), close_at_end=True)

    ratio = result.columns["margin_ratio.binance"]
    assert np.isnan(ratio[-1])
    assert np.isfinite(ratio[1:-1]).all()


def test_the_mm_ratio_is_maintenance_over_equity() -> None:
    """Binance's BTC table up to 600,000 USDT: 0.5 % − 50."""
    result = run()

    notional = -result.columns["balance.binance:Perp:BTCUSDT"][5] * 60_030.0
    equity = result.columns["margin_ratio.binance"][5] * notional
    assert result.columns["mm_ratio.binance"][5] == pytest.approx((0.005 * notional - 50.0) / equity, rel=1e-9)


def test_profit_by_venue_adds_up_to_the_profit_of_the_run_but_for_the_chain() -> None:
    result = run(market=sketch.btc(48, {0: 60_000.0, 47: 65_000.0}).market())

    by_venue = sum(result.columns[f"venue_pnl.{venue}"][1:] for venue in sketch.VENUES)
    assert np.allclose(by_venue, np.diff(result.columns["equity"]), rtol=0.0, atol=1e-6)


def test_the_same_inputs_give_the_same_bytes() -> None:
    market = sketch.btc(48).market()

    same(run(market=market), run(market=market))


def test_two_replays_of_one_market_do_not_touch_each_other() -> None:
    """The second is built before the first has run, and they share the market and its derived columns."""
    market = sketch.staked(60).market()
    request = ReplayRequest(run_id="r", capital=1_000_000.0)
    slice_ = load_run("usdt_market_neutral", environ={})
    alone = replay(slice_, sketch.staked(60).market(), request)
    one, two = Replay(slice_, market, request), Replay(slice_, market, request)

    two.run()
    one.run()

    same(one.result(), alone)
    same(two.result(), alone)


def test_a_replay_leaves_its_market_as_it_was() -> None:
    market = sketch.staked(60).market()
    before = {name: column.tobytes() for name, column in market.columns.items()}

    run("usdt_market_neutral", market)

    assert {name: column.tobytes() for name, column in market.columns.items()} == before


def test_the_future_does_not_reach_into_the_past() -> None:
    """Prices, funding and rewards after row 40 are other ones: rows 0 … 40 are the same to the byte."""
    calm, wild = sketch.staked(80), sketch.staked(80)
    for name, column in wild.columns.items():
        wild.columns[name] = np.concatenate((column[:41], column[41:] * 1.3))

    one, other = run("usdt_market_neutral", calm.market()), run("usdt_market_neutral", wild.market())

    for name in one.columns:
        assert one.columns[name][:41].tobytes() == other.columns[name][:41].tobytes(), name
    assert one.columns["equity"][-1] != other.columns["equity"][-1]


def test_a_run_over_the_first_rows_is_the_beginning_of_a_longer_run() -> None:
    short, long = run(market=sketch.btc(30).market()), run(market=sketch.btc(48).market())

    for name in short.columns:
        assert short.columns[name].tobytes() == long.columns[name][:30].tobytes(), name


def test_one_row_is_a_run() -> None:
    result = run(market=sketch.btc(1).market())

    assert len(result.timestamps) == 1
    assert result.trades == 6


def test_closing_a_run_of_one_row_never_enters() -> None:
    result = run(market=sketch.btc(1).market(), close_at_end=True)

    assert result.final_equity == pytest.approx(1_000_000.0)


def test_progress_is_told_up_to_the_last_row() -> None:
    heard: list[tuple[int, int]] = []
    slice_ = load_run("btc_basis", environ={})

    replay(slice_, sketch.btc(300).market(), ReplayRequest(run_id="r", capital=1e6), lambda *at: heard.append(at))

    assert heard[-1] == (300, 300)
    assert [row for row, _ in heard] == sorted({row for row, _ in heard})


def test_a_market_without_a_needed_column_is_refused_by_name() -> None:
    drawn = sketch.btc(24)
    del drawn.columns["okx.perp.BTC"]

    with pytest.raises(MissingData, match=r"okx\.perp\.BTC"):
        run(market=drawn.market())


def test_the_first_event_is_the_capital_and_ids_name_run_and_step() -> None:
    first, *rest = [e for e in run().events if isinstance(e, Event)]

    assert (first.event_type, first.amount, first.token) == (EventType.CAPITAL_PLACED, 1_000_000.0, "USDT")
    assert {event.strategy for event in rest} == {"btc_basis"}
    assert {event.correlation_id for event in rest} == {"r/1"}


def test_the_liquidation_value_asks_what_if_and_changes_nothing() -> None:
    job = Replay(
        load_run("usdt_market_neutral", environ={}), sketch.staked(48).market(), ReplayRequest(run_id="r", capital=1e6)
    )
    job.run()
    held, world = job.core.positions.snapshot(), dict(job.world.balances)

    assert job.liquidation_value() == job.liquidation_value()
    assert job.core.positions.snapshot() == held
    assert job.world.balances == world


def test_what_is_still_on_its_way_counts_in_the_liquidation_value() -> None:
    result = run("btc_basis", sketch.btc(1).market(), "initial_location=wallet")

    assert result.columns["balance.transit:BaseToken:USDT"][-1] == 950_000.0
    assert result.liquidation_value == pytest.approx(1_000_000.0, abs=20.0)


def test_columns_are_put_together_when_they_are_asked_for() -> None:
    blocks = [
        RowBlock(timestamps=np.array([1, 2]), columns={"a": np.array([1.0, 2.0]), "balance.x": 7.0}),
        RowBlock(timestamps=np.array([3]), columns={"a": 3.0, "b": 4.0}),
    ]
    rows = Rows(blocks, {"c": lambda: np.zeros(3)})

    assert sorted(rows) == ["a", "b", "balance.x", "c"]
    assert rows["a"].tolist() == [1.0, 2.0, 3.0]
    assert np.isnan(rows["b"][:2]).all()
    assert rows["balance.x"].tolist() == [7.0, 7.0, 0.0]
    with pytest.raises(KeyError):
        rows["d"]


# The window law, on markets nobody drew


def wandering(mode: str, seed: int, rows: int) -> Market:
    """A market that wanders enough to trip bands, levels and liquidations."""
    rng = np.random.default_rng(seed)
    walk = np.cumprod(1.0 + rng.normal(0.0, 0.03, rows))
    drawn = (
        sketch.btc(rows, 60_000.0 * walk) if mode == "btc_basis" else sketch.staked(rows, 3_000.0 * walk, lst="weETH")
    )
    coin = "BTC" if mode == "btc_basis" else "ETH"
    for venue in sketch.VENUES:
        drawn.columns[f"{venue}.perp.{coin}"] *= 1.0 + rng.normal(0.0, 0.004, rows)
        close = drawn.columns[f"{venue}.perp.{coin}"]
        drawn.columns[f"{venue}.perp_high.{coin}"] = close * (1.0 + abs(rng.normal(0.0, 0.05, rows)))
        stamps = drawn.timestamps[::8]
        rates = rng.normal(0.0, 0.01, len(stamps))
        drawn.settlements(f"{venue}.funding.{coin}", stamps, rates, close[::8])
        first = int(rng.integers(0, rows))
        drawn.grows_stale(f"{venue}.perp.{coin}", first, first + int(rng.integers(0, 12)))
    if mode != "btc_basis":
        drawn.columns["aave_v3.borrow_index.WETH"] *= np.cumprod(1.0 + abs(rng.normal(0.0, 0.0004, rows)))
        drawn.reward("EIGEN", start=-10, end=30, paid=41, per_eeth=0.5).reward(
            "ETHFI", start=7, end=45, paid=60, per_eeth=0.5
        )
    return drawn.market()


def wandered(
    mode: str, market: Market, flows: Sequence[Flow], window_rows: int | None, *overrides: str
) -> ReplayResult:
    return run(mode, market, *overrides, flows=tuple(flows), window_rows=window_rows)


@pytest.mark.parametrize("mode", MODES)
@given(
    seed=st.integers(0, 10_000),
    cut=st.integers(1, 40),
    flows=st.lists(st.tuples(st.floats(0.1, 118.0), st.floats(-0.6, 0.6).filter(lambda x: abs(x) > 0.001)), max_size=5),
    wallet=st.booleans(),
    auto=st.booleans(),
)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
def test_results_do_not_depend_on_windows(
    mode: str, seed: int, cut: int, flows: list[tuple[float, float]], wallet: bool, auto: bool
) -> None:
    lst = mode not in ("pure_lending", "btc_basis", "eth_basis")
    overrides = [
        "rebalance=auto" if auto else "rebalance=never",
        f"initial_location={'wallet' if wallet else 'target'}",
    ]
    overrides += ["lst_type=weETH", "rewards_mode=base_eigen_seasonal"] if lst else []
    capital = 100.0 if mode in ("eth_staking_only", "eth_leveraged") else 1_000_000.0
    scheduled = [Flow(at=sketch.at(h), amount=share * capital, id=f"f{i}") for i, (h, share) in enumerate(flows)]
    market = wandering(mode, seed, 120)

    one = wandered(mode, market, scheduled, None, *overrides)

    assert one.residual_max <= 1e-9
    for rows in (1, cut):
        same(one, wandered(mode, market, scheduled, rows, *overrides))
