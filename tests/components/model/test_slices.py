"""The configuration as the core sees it."""

from __future__ import annotations

import pytest

from components.model.slices import filler_of
from tests.builders import mode_of


def test_the_target_ltv_keeps_the_buffer_off_the_limit() -> None:
    mode = mode_of("eth_leveraged", max_ltv=0.9, max_stake_spread_move=0.1)
    assert mode.target_ltv == pytest.approx(0.81)
    assert mode.leverage == pytest.approx(1.0 / 0.19)


@pytest.mark.parametrize("missing", ["max_ltv", "max_stake_spread_move"])
def test_a_mode_without_debt_has_no_leverage(missing: str) -> None:
    mode = mode_of("eth_leveraged", **{missing: None})
    assert mode.target_ltv == 0.0
    assert mode.leverage == 1.0


def test_a_slice_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        mode_of().reserve_ratio = 0.5  # type: ignore[misc]


@pytest.mark.parametrize(("policy", "venue"), [("refuse", None), ("skip", None), ("venue:okx", "okx")])
def test_a_gap_in_funding_is_filled_by_the_venue_that_is_named(policy: str, venue: str | None) -> None:
    assert filler_of(policy) == venue
