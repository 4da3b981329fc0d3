"""Level 1: names, types and ranges of the files."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from components.config import schema
from components.config.schema import VENUE_KINDS
from tests.builders import STAKING_MODES, TREE, build, faults


@pytest.mark.parametrize("mode", STAKING_MODES)
@pytest.mark.parametrize(("lst", "key"), [("weETH", "weETH"), ("wsteth", "wstETH")])
def test_staked_token_may_be_chosen_in_any_case(mode: str, lst: str, key: str) -> None:
    run = build(mode, {"lst_type": lst})
    assert run.mode.lst_type == key
    assert f"wallet:BaseToken:{key}" in run.mode.position_subscriptions


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("risk.delta.warning", float("nan"), "found nan, expected a number ≥ 0 (finite)"),
        ("dust_threshold", float("inf"), "found inf, expected a number ≥ 0 (finite)"),
        ("reserve_ratio", 1.0, "found 1.0, expected a number ≥ 0 and < 1"),
        ("reserve_ratio", "0.05", "found '0.05', expected a number ≥ 0 and < 1"),
        ("reserve_ratio", True, "found true, expected a number"),
        ("break_even_days", 1.5, "found 1.5, expected a whole number ≥ 1"),
        ("costs", "nnoe", "expected one of default, none (did you mean 'none'?)"),
        (
            "hedge_allocation",
            {"binance": 0.0, "bybit": 1.0},
            "hedge_allocation.binance: found 0.0, expected a number > 0",
        ),
        ("risk", None, "risk: found null, expected a map of keys"),
        ("pnl.parts", "funding", "found 'funding', expected a list of"),
        ("lst_type", "steth", "lst_type: found 'steth', expected one of weETH, wstETH or null"),
    ],
)
def test_wrong_value_is_quoted_with_what_was_expected(path: str, value: object, expected: str) -> None:
    assert any(expected in line for line in faults("btc_basis", {path: value}))


def test_target_ltv_and_leverage_are_those_of_the_spec() -> None:
    mode = build("eth_leveraged").mode
    assert mode.target_ltv == pytest.approx(0.9094, abs=1e-5)
    assert mode.leverage == pytest.approx(11.04, abs=0.01)


def test_every_key_has_a_meaning() -> None:
    """The descriptions are the configuration reference."""
    models = [item for item in vars(schema).values() if isinstance(item, type) and issubclass(item, BaseModel)]
    assert len(models) > 20
    nameless = [
        f"{m.__name__}.{name}" for m in models for name, field in m.model_fields.items() if not field.description
    ]
    assert nameless == []


def test_no_key_has_a_default() -> None:
    models = [item for item in vars(schema).values() if isinstance(item, type) and issubclass(item, BaseModel)]
    assert [m.__name__ for m in models for field in m.model_fields.values() if not field.is_required()] == []


def test_every_kind_of_venue_is_packaged() -> None:
    assert {file["kind"] for file in TREE["venues"].values()} == set(VENUE_KINDS)
