"""What a scenario does to the calm market, and when."""

from __future__ import annotations

import numpy as np
import pytest

from venues.embedded import stress

HOURS = np.arange(-50.0, 1000.0)


def effects(scenario: str, hours: np.ndarray) -> dict[str, np.ndarray]:
    found = {
        "log_price": stress.log_price(scenario, hours),
        "premium_bp": stress.premium_bp(scenario, hours),
        "discount_bp": stress.discount_bp(scenario, hours),
        "borrow_rate": stress.borrow_rate(scenario, hours),
        "slashed": stress.slashed(scenario, hours) - 1.0,
        "divergence": stress.divergence(scenario, "binance", "ETH", hours) - 1.0,
    }
    return {name: np.broadcast_to(values, hours.shape) for name, values in found.items()}


@pytest.mark.parametrize("scenario", stress.SCENARIOS)
def test_nothing_happens_before_it_begins_and_something_after(scenario: str) -> None:
    found = effects(scenario, HOURS)
    for name, values in found.items():
        assert not values[HOURS < 0].any(), name
    assert any(values.any() for values in found.values()) is (scenario != "calm")


@pytest.mark.parametrize(
    ("scenario", "effect", "hour", "value"),
    [
        ("crash", "log_price", 999.0, np.log(0.55) * 0.58 + 2 * np.log(0.88)),
        ("rally", "log_price", 28 * 24.0, np.log(2.0)),
        ("squeeze", "log_price", 3.0, np.log(1.6)),
        ("squeeze", "log_price", 1.5, np.log(1.6) / 2.0),
        ("depeg", "discount_bp", 4.0, 600.0),
        ("borrow_spike", "borrow_rate", 239.0, 0.80),
        ("borrow_spike", "borrow_rate", 240.0, 0.0),
        ("oracle_drop", "slashed", 0.0, -0.06),
        ("venue_divergence", "divergence", 0.0, -0.00995),
        ("venue_divergence", "divergence", 1.0, 0.0),
    ],
)
def test_each_is_as_deep_as_it_says(scenario: str, effect: str, hour: float, value: float) -> None:
    assert effects(scenario, np.array([hour]))[effect][0] == pytest.approx(value)


def test_one_venue_diverges_and_one_coin_of_it() -> None:
    for venue, coin in (("okx", "ETH"), ("binance", "BTC")):
        assert np.all(np.asarray(stress.divergence("venue_divergence", venue, coin, HOURS)) == 1.0)


def test_it_begins_at_a_fraction_of_the_span() -> None:
    assert stress.since(np.array([0.0, 40.0, 41.0]), 100.0).tolist() == [-40.0, 0.0, 1.0]
    assert stress.ramp(np.array([-1.0, 0.0, 2.0, 4.0, 9.0]), 4.0).tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]
