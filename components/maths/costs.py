"""What trading costs: size-aware price impact, fees, gas. Fractions of notional unless the name says otherwise."""

from __future__ import annotations

import math

from components.model.slices import Impact

GWEI_PER_ETH = 1e9
BP = 1e-4  # a basis point


def impact_fraction(notional_usdt: float, impact: Impact) -> float:
    """`base + slope × √(notional ÷ 1e6)`, at most `ceiling`."""
    return min(impact.ceiling, impact.base + impact.slope * math.sqrt(abs(notional_usdt) / 1e6))


def notional_within(fraction: float, impact: Impact) -> float:
    """The largest notional (USDT) whose impact is no more than `fraction`; 0 when none is, inf when any is."""
    if fraction >= impact.ceiling or (impact.slope == 0.0 and fraction >= impact.base):
        return math.inf
    if fraction < impact.base or impact.slope == 0.0:
        return 0.0
    root = (fraction - impact.base) / impact.slope
    return root * root * 1e6  # inf where the slope is next to nothing


def fill_price(price: float, signed_quantity: float, impact: float) -> float:
    """The price a taker gets: above the known price when buying, below when selling."""
    return price * (1.0 + impact) if signed_quantity > 0.0 else price * (1.0 - impact)


def gas_eth(units: float, price_gwei: float) -> float:
    """ETH paid for `units` of gas."""
    return units * price_gwei / GWEI_PER_ETH


def round_to_lot(quantity: float, lot: float) -> float:
    """`quantity` towards zero on the venue's grid; a lot of 0 leaves it as it is.

    The guard, a nano of a lot and a pico of the quantity, keeps one that already is a multiple from losing a lot to
    rounding.
    """
    if lot <= 0.0:
        return quantity
    lots = math.floor(abs(quantity) / lot * (1.0 + 1e-12) + 1e-9)
    return math.copysign(lots * lot, quantity)
