"""Aave v3 arithmetic in the float form the core works with: health, liquidation calls, the rate curves (v3.6).

Source: NOTES-chain §3. Floats take scalars or arrays of one length; rates are fractions per year. What a position has
grown to is read off the pool's indices.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

Number = TypeVar("Number", float, npt.NDArray[np.float64])


def health_factor(collateral: Number, liquidation_threshold: float, debt: Number) -> Number:
    """`collateral × threshold ÷ debt`, both in one unit; without debt infinite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return collateral * liquidation_threshold / debt


class Liquidation(msgspec.Struct, frozen=True):
    """One liquidation call, in the unit of its inputs: debt repaid, collateral seized (bonus included), debt that
    remains without collateral."""

    repaid: float
    seized: float
    deficit: float


def liquidation_call(
    collateral: float,
    debt: float,
    hf: float,
    *,
    bonus: float,
    close_factor_hf: float,
    unit_usd: float,
    full_close_below_usd: float,
) -> Liquidation:
    """One call on a position of one collateral and one debt, both valued at the oracle in one unit of `unit_usd` USD.

    Half of the debt may be repaid; all of it when HF < `close_factor_hf` or either side is below
    `full_close_below_usd`. What is seized is capped by the collateral; then the repayment shrinks to match, and debt
    left without collateral is the deficit. Source: NOTES-chain §3, SPEC §5.
    """
    small = collateral * unit_usd < full_close_below_usd or debt * unit_usd < full_close_below_usd
    repaid = debt if small or hf < close_factor_hf else debt * 0.5
    seized = repaid * (1.0 + bonus)
    if seized >= collateral:
        seized = collateral
        repaid = min(debt, collateral / (1.0 + bonus))
    left = debt - repaid
    deficit = left if seized == collateral else 0.0
    return Liquidation(repaid=repaid, seized=seized, deficit=deficit)


def borrow_rate(
    utilisation: npt.NDArray[np.float64], *, base: float, slope1: float, slope2: float, optimal: float
) -> npt.NDArray[np.float64]:
    """Variable borrow rate per year of the two-slope strategy."""
    below = base + slope1 * utilisation / optimal
    above = base + slope1 + slope2 * (utilisation - optimal) / (1.0 - optimal)
    return np.where(utilisation <= optimal, below, above)


def supply_rate(borrow: Number, utilisation: Number, reserve_factor: float) -> Number:
    """`borrow × utilisation × (1 − reserve factor)` per year."""
    return borrow * utilisation * (1.0 - reserve_factor)
