"""Aave v3 arithmetic: ray integers as the contracts do it (v3.6), and the float form the core works with.

Source: NOTES-chain §3 (each integer rule reproduced the contracts to the wei). Floats take scalars or arrays of one
length; indices are plain growth factors (1.0 = ray 1e27), rates are fractions per year.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

Number = TypeVar("Number", float, npt.NDArray[np.float64])

RAY = 10**27
WAD = 10**18
SECONDS_PER_YEAR = 31_536_000


def ray_mul(a: int, b: int) -> int:
    """Half-up product of two rays."""
    return (a * b + RAY // 2) // RAY


def ray_div(a: int, b: int) -> int:
    """Half-up quotient of two rays."""
    return (a * RAY + b // 2) // b


def ray_mul_floor(a: int, b: int) -> int:
    return a * b // RAY


def ray_mul_ceil(a: int, b: int) -> int:
    return -(-a * b // RAY)


def ray_div_floor(a: int, b: int) -> int:
    return a * RAY // b


def ray_div_ceil(a: int, b: int) -> int:
    return -(-a * RAY // b)


def linear_interest_ray(rate_ray: int, seconds: int) -> int:
    """Growth of a supply position over `seconds` at `rate_ray` per year."""
    return RAY + rate_ray * seconds // SECONDS_PER_YEAR


def compound_interest_ray(rate_ray: int, seconds: int) -> int:
    """Growth of a debt: three terms of the exponential, as the pool does since v3.4."""
    if seconds == 0:
        return RAY
    x = rate_ray * seconds // SECONDS_PER_YEAR
    return RAY + x + ray_mul(x, x // 2 + ray_mul(x, x // 6))


def linear_interest(rate_per_year: Number, seconds: float) -> Number:
    """Float form of `linear_interest_ray`."""
    return 1.0 + rate_per_year * (seconds / SECONDS_PER_YEAR)


def compound_interest(rate_per_year: Number, seconds: float) -> Number:
    """Float form of `compound_interest_ray`."""
    x = rate_per_year * (seconds / SECONDS_PER_YEAR)
    return 1.0 + x + x * (x / 2.0 + x * (x / 6.0))


def supplied_wei(scaled_wei: int, index_ray: int) -> int:
    """aToken balance, rounded down as the contract does."""
    return ray_mul_floor(scaled_wei, index_ray)


def owed_wei(scaled_wei: int, index_ray: int) -> int:
    """Debt token balance, rounded up as the contract does."""
    return ray_mul_ceil(scaled_wei, index_ray)


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
