"""Scenarios: what happens to the calm market, from a given fraction of the span on.

A scenario is a set of paths over time added to the calm processes; all of it is a function of the hours since it began.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

BEGIN = 0.4  # scenarios begin after this fraction of the span

SCENARIOS = {
    "calm": "the calibrated market, with the rallies and falls its volatility brings",
    "rally": "a rise of 100 % over four weeks",
    "crash": "a fall of 45 % in two days, with hours of −12 %",
    "depeg": "ETH falls 10 % and LSTs trade 600 bp below the protocol rate within hours",
    "borrow_spike": "the WETH borrow rate is 80 % per year for ten days",
    "oracle_drop": "the protocol ratio of the LSTs is slashed by 6 %",
    "funding_negative": "perps trade far below spot for three weeks: shorts pay 0.05 to 0.3 % per interval",
    "venue_divergence": "one bar of Binance's ETH perp closes 99.5 bp below spot",
    "squeeze": "a rise of 60 % within three hours: thin shorts are liquidated",
}


def since(hours: npt.NDArray[Any], total_hours: float) -> npt.NDArray[Any]:
    """Hours since the scenario began; negative before."""
    passed: npt.NDArray[Any] = hours - np.floor(BEGIN * total_hours)
    return passed


def ramp(hours: npt.NDArray[Any], length: float) -> npt.NDArray[Any]:
    """0 before, rising to 1 over `length` hours, then 1."""
    risen: npt.NDArray[Any] = np.clip(hours / length, 0.0, 1.0)
    return risen


def log_price(scenario: str, hours: npt.NDArray[Any]) -> Any:
    """What the scenario adds to the log price of BTC and ETH."""
    match scenario:
        case "rally":
            return np.log(2.0) * ramp(hours, 28 * 24)
        case "crash":
            return np.log(0.55) * ramp(hours, 48) * 0.58 + np.log(0.88) * (ramp(hours - 12, 1) + ramp(hours - 30, 1))
        case "depeg":
            return np.log(0.90) * ramp(hours, 3)
        case "squeeze":
            return np.log(1.60) * ramp(hours, 3)
    return 0.0


def premium_bp(scenario: str, hours: npt.NDArray[Any]) -> Any:
    """What it adds to the premium of perps."""
    if scenario == "funding_negative":
        active = (hours >= 0) & (hours < 21 * 24)
        return np.where(active, -12.0 - 10.0 * np.sin(hours / 24.0) ** 2, 0.0)
    return 0.0


def discount_bp(scenario: str, hours: npt.NDArray[Any]) -> Any:
    """What it adds to the discount of LSTs on the market."""
    if scenario == "depeg":
        return 600.0 * ramp(hours, 4) * np.exp(-np.maximum(hours - 48, 0.0) / (14 * 24))
    return 0.0


def borrow_rate(scenario: str, hours: npt.NDArray[Any]) -> Any:
    """What it adds to the WETH borrow rate, per year."""
    if scenario == "borrow_spike":
        return np.where((hours >= 0) & (hours < 10 * 24), 0.80, 0.0)
    return 0.0


def slashed(scenario: str, hours: npt.NDArray[Any]) -> Any:
    """The factor on the protocol ratio of LSTs."""
    return 1.0 - 0.06 * (hours >= 0) if scenario == "oracle_drop" else 1.0


def divergence(scenario: str, venue: str, coin: str, hours: npt.NDArray[Any]) -> Any:
    """The factor on one venue's perp."""
    if scenario == "venue_divergence" and (venue, coin) == ("binance", "ETH"):
        return 1.0 - 0.00995 * ((hours >= 0) & (hours < 1))
    return 1.0
