"""Liquid staking: leverage sizing and rewards. Amounts in ETH unless the name says otherwise."""

from __future__ import annotations


def leverage_of(target_ltv: float) -> float:
    """`1 ÷ (1 − target_ltv)`."""
    return 1.0 / (1.0 - target_ltv)


def lst_units(amount_eth: float, ratio: float) -> float:
    """LST units that `amount_eth` is at `ratio` ETH per LST."""
    return amount_eth / ratio


def reward_units(per_eeth: float, eeth_seconds: float, period_seconds: float) -> float:
    """Tokens credited for a period: `per_eeth × ∫ eETH dt ÷ period`; part periods count pro rata."""
    return per_eeth * eeth_seconds / period_seconds


def carry_per_year(staking: float, supply: float, borrow: float, leverage: float) -> float:
    """Yearly return on equity of a leveraged staker: `L × (staking + supply) − (L − 1) × borrow`."""
    return leverage * (staking + supply) - (leverage - 1.0) * borrow
