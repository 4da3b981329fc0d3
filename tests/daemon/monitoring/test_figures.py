"""What one replica says, and what it keeps to itself because it is not known."""

from __future__ import annotations

import math

from daemon.monitoring.families import FAMILIES, Source
from daemon.monitoring.figures import RISK_LEVELS, readings, usd_per_unit
from daemon.replica import CellState, Contract, Replica
from tests.daemon.one_cell import lost, running


def said(replica: Replica, *, speed: float = 1.0) -> dict[tuple[str, ...], float]:
    return {(r.family, *r.labels): r.value for r in readings(replica, speed=speed)}


def test_every_reading_fits_its_family() -> None:
    everything = running(
        uncertain=(lost(),),
        positions={**running().positions, "aave_v3:debtToken:variableDebtWETH": 3.0},
        columns={**running().columns, "ltv": 0.9, "health_factor": 1.05},
    )
    seen = set()
    for reading in readings(everything, speed=1.0):
        family = FAMILIES[reading.family]
        assert family.source is Source.STATE and len(reading.labels) == len(family.labels), reading
        seen.add((reading.family, reading.labels))
    assert len(seen) == len(list(readings(everything, speed=1.0)))


def test_money_of_an_eth_share_class_is_valued_at_the_reference_price_or_not_at_all() -> None:
    eth = running("lst", share_class="ETH", equity=10.0, initial=9.0, external_flows=0.0, pnl={"dust": 2.0})
    values = said(eth)
    assert values["equity_usd", "lst", "ETH"] == 23_000.0 and values["pnl_usd", "lst", "ETH", "dust"] == 4600.0
    assert values["equity_native", "lst", "ETH"] == 10.0 and values["net_deposits_native", "lst", "ETH"] == 9.0
    blind = said(running("lst", share_class="ETH", prices={}))
    assert not [key for key in blind if key[0].endswith("_usd") and key[0] != "uncertain_notional_usd"]
    assert ("equity_native", "lst", "ETH") in blind and usd_per_unit(running(prices={})) == 1.0


def test_what_is_not_known_is_not_said() -> None:
    empty = said(Replica(strategy="s", mode="m", share_class="USDT", account="a", state=CellState.STARTING))
    assert {key[0] for key in empty} == {
        "strategy_state",
        "emergency_stop_active",
        "paused",
        "full_loop_interval_seconds",
        "uncertain_notional_usd",
    }
    columns = {"health_factor": math.inf, "net_delta": math.nan, "ltv": 0.0}
    odd = said(running(columns=columns))
    assert "health_factor" not in {key[0] for key in odd} and "net_delta_ratio" not in {key[0] for key in odd}
    assert odd["ltv_ratio", "btc", "aave_v3"] == 0.0


def test_an_order_without_a_price_counts_with_all_there_is() -> None:
    assert said(running())["uncertain_notional_usd", "btc"] == 0.0
    assert said(running(uncertain=(lost(), lost(notional_usdt=-5.0))))["uncertain_notional_usd", "btc"] == 12_005.0
    values = said(running(uncertain=(lost(), lost(notional_usdt=None))))
    equity = running().equity
    assert equity is not None and values["uncertain_notional_usd", "btc"] == 12_000.0 + equity
    assert values["orders_unknown", "btc", "okx"] == 2 and values["orders_unknown", "btc", "binance"] == 0


def test_positions_and_ratios_are_named_by_venue() -> None:
    values = said(running())
    assert values["position_quantity", "btc", "binance", "Perp:BTCUSDT"] == -1.0
    assert not [key for key in values if "PerpQuote" in key[-1]]
    assert values["margin_ratio", "btc", "okx", "main"] == 0.97
    assert values["liquidation_distance_ratio", "btc", "okx"] == 0.98
    assert values["venue_last_answer_age_seconds", "btc", "binance"] == 3.0
    assert values["reserve_usd", "btc"] == 5000.0


def test_risk_levels_are_ordered_and_carry_the_venue_apart() -> None:
    values = said(running(risk_levels={"cex_margin:okx": "critical", "delta": "warning"}))
    assert values["risk_level", "btc", "cex_margin", "okx"] == 2 == RISK_LEVELS["critical"]
    assert values["risk_level", "btc", "delta", ""] == 1


def test_a_measure_that_every_mode_has_is_ok_until_it_crosses_a_limit() -> None:
    values = said(running(risk_levels={"drawdown": "warning"}))
    assert {key[2:]: v for key, v in values.items() if key[0] == "risk_level"} == {
        ("drawdown", ""): 1,
        ("daily_loss", ""): 0,
    }
    assert not [key for key in said(running(equity=None, risk_levels={})) if key[0] == "risk_level"]


def test_only_a_blocking_contract_withholds_authority() -> None:
    broken = Contract(name="second source", holds=False, blocks="", reason="gone")
    values = said(running(contracts=(*running().contracts[:1], broken)))
    assert values["authority_withheld", "btc", "quote age"] == 0.0
    assert ("authority_withheld", "btc", "second source") not in values
    assert values["contract_broken", "btc", "second source"] == 1.0


def test_exactly_one_state_is_on_and_the_interval_is_real_time() -> None:
    values = said(running(state=CellState.LATCHED), speed=60.0)
    assert [key[-1] for key, value in values.items() if key[0] == "strategy_state" and value] == ["latched"]
    assert values["emergency_stop_active", "btc"] == 1 and values["paused", "btc"] == 0
    assert values["full_loop_interval_seconds", "btc"] == 1.0


def test_the_head_of_the_journal_is_a_number_that_a_double_holds() -> None:
    values = said(running())
    assert values["event_chain_head_sequence", "btc"] == 1234
    assert values["event_chain_head_fingerprint", "btc"] == 0x0123456789AB
    assert int(float(0xFFFFFFFFFFFF)) == 0xFFFFFFFFFFFF
