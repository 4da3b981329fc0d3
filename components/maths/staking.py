"""Liquid staking: units and rewards. Amounts in ETH unless the name says otherwise."""

from __future__ import annotations


def lst_units(amount_eth: float, ratio: float) -> float:
    """LST units that `amount_eth` is at `ratio` ETH per LST."""
    return amount_eth / ratio


def reward_units(per_eeth: float, eeth_seconds: float, period_seconds: float) -> float:
    """Tokens credited for a period: `per_eeth × ∫ eETH dt ÷ period`; part periods count pro rata."""
    return per_eeth * eeth_seconds / period_seconds
