"""Level 2 for venue files: margin tables, lots, lending thresholds."""

from __future__ import annotations

import pytest

from tests.builders import build, faults, only_fault


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("venues.aave_v3.reserves.USDT.ltv", 0.78, "less than liquidation_threshold (0.78)"),
        ("venues.aave_v3.e_mode.liquidation_bonus", 0.06, "threshold × (1 + bonus) of at most 1"),
        ("venues.binance.instruments.perp.BTC.tiers.5.maintenance_rate", 0.05,
         "less than initial_margin_rate (0.05)"),
        ("venues.binance.instruments.perp.BTC.tiers.2.deduction_usdt", 900, "expected 950, so that"),
        ("venues.binance.instruments.perp.BTC.tiers.1.notional_usdt", 40000, "notional above"),
        ("venues.bybit.instruments.spot.ETH.lot", 0.003, "a step that divides the perp's (0.01)"),
        ("venues.okx.instruments.perp.BTC.tiers.0.notional_usdt", -1.0, "expected a number > 0"),
    ],
)  # fmt: skip
def test_a_venue_file_that_makes_no_sense_is_refused(path: str, value: object, expected: str) -> None:
    assert any(expected in line for line in faults("pure_lending", {path: value}))


def test_maintenance_margin_above_initial_is_refused() -> None:
    """The defect of the margin tables in the data folder: maintenance 0.10 beside initial 0.05."""
    tiers = [{"notional_usdt": 1e6, "maintenance_rate": 0.10, "deduction_usdt": 0}]
    found = only_fault("btc_basis", {"venues.bybit.instruments.perp.ETH.tiers": tiers})
    assert found == (
        "configs/venues/bybit.yaml: instruments.perp.ETH.tiers.0.maintenance_rate: "
        "found 0.1, expected less than initial_margin_rate (0.05)"
    )


def test_a_perp_needs_its_spot_at_the_same_venue() -> None:
    found = faults("pure_lending", {"venues.okx.instruments.spot.ETH-": None})
    assert (
        "configs/venues/okx.yaml: instruments.spot.ETH: found no such key, expected the spot side of the ETH perp"
        in found
    )


def test_a_deduction_may_be_off_by_half_a_dollar_of_rounding() -> None:
    build("pure_lending", {"venues.binance.instruments.perp.BTC.tiers.1.deduction_usdt": 50.4,
                           "venues.binance.instruments.perp.BTC.tiers.2.deduction_usdt": 950.4})  # fmt: skip
