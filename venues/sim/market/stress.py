"""Scenarios: what happens to the calm market from `BEGIN` of the span on.

Each is a path over the hours since it began, laid over the calm processes of the same seed. It begins at the last
midnight-to-midnight multiple of the start before 0.4 of the span (of whole hours in spans below ten days), so it depends
on the length of the span; before that moment a scenario equals the calm market.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import numpy as np

from components.model.market import Column

Scenario: TypeAlias = Literal[
    "calm", "rally", "crash", "depeg", "borrow_spike", "oracle_drop", "funding_negative", "venue_divergence", "squeeze"
]

BEGIN = 0.4
DIVERGED = ("binance", "ETH")

SCENARIOS = {
    "calm": "the calibrated market, with the rallies and falls its volatility brings",
    "rally": "a rise of 100 % over four weeks",
    "crash": "a fall of 45 % in two days, with two hours of −12 %",
    "depeg": "ETH falls 10 % and LSTs trade 600 bp below the protocol rate within hours",
    "borrow_spike": "the WETH borrow rate climbs to 120 % per year and stays for two weeks: leverage is liquidated",
    "oracle_drop": "the protocol ratio of the LSTs is slashed by 6 %",
    "funding_negative": "perps trade far below spot for three weeks: shorts pay 0.05 to 0.3 % per interval",
    "venue_divergence": "for one hour Binance's ETH perp stands 99.5 bp below spot",
    "squeeze": "a rise of 35 % within three hours: thin shorts are liquidated",
}
assert tuple(SCENARIOS) == get_args(Scenario)


def begins_at(total_hours: float) -> float:
    """Hours from the start of a span of `total_hours` to where its scenario begins."""
    unit = 24.0 if total_hours >= 240.0 else 1.0
    return float(np.floor(BEGIN * total_hours / unit) * unit)


def ramp(hours: Column, length: float) -> Column:
    """0 before, rising to 1 over `length` hours, then 1."""
    return np.clip(hours / length, 0.0, 1.0)


def log_price(scenario: str, since: Column) -> Column:
    """What the scenario adds to the log price of BTC and ETH, `since` hours after it began."""
    match scenario:
        case "rally":
            return np.log(2.0) * ramp(since, 28 * 24)
        case "crash":
            hours_of_panic = np.log(0.88) * (ramp(since - 12, 1) + ramp(since - 30, 1))
            return (np.log(0.55) - 2.0 * np.log(0.88)) * ramp(since, 48) + hours_of_panic
        case "depeg":
            return np.log(0.90) * ramp(since, 3)
        case "squeeze":
            return np.log(1.35) * ramp(since, 3)
        case _:
            return np.zeros_like(since)


def premium_bp(scenario: str, since: Column, premium: Column) -> Column:
    """The premium of a perp: its own, or one far below zero that moves little with the venue."""
    if scenario != "funding_negative":
        return premium
    active = (since >= 0.0) & (since < 21 * 24)
    return np.where(active, -20.0 - 9.0 * np.sin(since / 36.0) ** 2 + 0.2 * premium, premium)


def discount_bp(scenario: str, since: Column) -> Column:
    """What it adds to the discount of LSTs on the market; half of it is gone ten days after two days of panic."""
    if scenario != "depeg":
        return np.zeros_like(since)
    return 600.0 * ramp(since, 4) * np.exp(-np.maximum(since - 48.0, 0.0) / (14 * 24))


def borrow_rate(scenario: str, since: Column) -> Column:
    """What it adds to the WETH borrow rate, per year: 40 % on the first day, 120 % from the fifth to the nineteenth."""
    if scenario != "borrow_spike":
        return np.zeros_like(since)
    return np.where((since >= 0.0) & (since < 19 * 24), 0.40 + 0.80 * ramp(since, 4 * 24), 0.0)


def slashed(scenario: str, since: Column) -> Column:
    """The factor on the protocol ratio of LSTs."""
    return np.where(since >= 0.0, 0.94, 1.0) if scenario == "oracle_drop" else np.ones_like(since)


def diverged(scenario: str, venue: str, coin: str, since: Column, mark: Column, spot: Column) -> Column:
    """The mark of a perp, for one hour of one venue 99.5 bp below spot."""
    if scenario != "venue_divergence" or (venue, coin) != DIVERGED:
        return mark
    return np.where((since >= 0.0) & (since < 1.0), spot * (1.0 - 0.00995), mark)
