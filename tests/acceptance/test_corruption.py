"""The parts are no catch-all: corrupting any one formula by 1e-6 trips the check, and clean runs stay far below it."""

from __future__ import annotations

import msgspec
import pytest

from components import pnl_monitor
from components.utility_manager import Unit, UtilityManager
from tests.acceptance.runs import MODES, TWO, embedded, hedged, needs_data, play, real, slice_of

FACTOR = 1.0 + 1e-6
REWARDS = ("lst_type=weETH", "rewards_mode=base_eigen_seasonal", "dust_threshold=1000000")
UNIT_CASES = [
    ("supply_yield", "pure_lending", ()),
    ("borrow_costs", "eth_leveraged", ()),
    ("staking_yield_oracle", "eth_staking_only", ()),
    ("basis", "btc_basis", ()),
    ("delta", "usdt_market_neutral", ("risk.max_drawdown.critical=0.99",)),
    ("dust", "eth_leveraged", REWARDS),
]


@pytest.mark.parametrize(("part", "mode", "overrides"), UNIT_CASES)
def test_a_formula_off_by_a_millionth_is_found(
    part: str, mode: str, overrides: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = slice_of(mode, *overrides)
    market = embedded(run, "2024-01-01", "2025-01-01", scenario="rally")
    assert play(run, market).residual_max <= 1e-12
    build = UtilityManager._build

    def corrupted(self: UtilityManager, *args: object) -> Unit:
        unit = build(self, *args)  # type: ignore[arg-type]
        return msgspec.structs.replace(
            unit, terms=tuple((name, column * FACTOR if name == part else column) for name, column in unit.terms)
        )

    monkeypatch.setattr(UtilityManager, "_build", corrupted)
    assert play(run, market).residual_max > 1e-9


@pytest.mark.parametrize(
    ("part", "mode", "scenario"),
    [("funding", "btc_basis", "calm"), ("staking_yield_rewards", "eth_leveraged", "calm"),
     ("liquidation", "eth_leveraged", "oracle_drop")],
)  # fmt: skip
def test_a_settlement_booked_off_by_a_millionth_is_found(
    part: str, mode: str, scenario: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = slice_of(mode, *(REWARDS if mode == "eth_leveraged" else ()))
    market = embedded(run, "2024-01-01", "2025-01-01", scenario=scenario)
    clean = play(run, market)
    assert clean.residual_max <= 1e-12
    assert abs(clean.parts[part]) > 1e-3 * clean.initial_equity * 1e-2
    honest = pnl_monitor.PnlMonitor.attribute

    def off(self: pnl_monitor.PnlMonitor, *args: object) -> pnl_monitor.Steps:
        steps = honest(self, *args)  # type: ignore[arg-type]
        if part in steps.parts:
            steps.parts[part] = steps.parts[part] * FACTOR
        return steps

    monkeypatch.setattr(pnl_monitor.PnlMonitor, "attribute", off)
    assert play(run, market).residual_max > 1e-9


@pytest.mark.parametrize("scenario", ["calm", "rally", "crash", "squeeze", "oracle_drop", "borrow_spike", "depeg"])
@pytest.mark.parametrize("mode", MODES)
def test_parts_add_up_at_every_row(mode: str, scenario: str) -> None:
    run = slice_of(mode)
    assert (
        play(run, embedded(run, "2024-01-01", "2024-07-01", scenario=scenario), close_at_end=True).residual_max <= 1e-9
    )


@needs_data
@pytest.mark.parametrize("mode", MODES)
def test_parts_add_up_on_real_history(mode: str) -> None:
    run = slice_of(mode, *([TWO] if hedged(mode) else []))
    assert play(run, real(run, "2024-06-01", "2025-09-01")).residual_max <= 1e-9
