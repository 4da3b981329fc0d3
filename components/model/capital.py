"""Words on capital that the core, the daemon and the command line share."""

from __future__ import annotations


def above_equity(asked: float, equity: float, currency: str) -> str:
    """Why a withdrawal is refused, share-class currency."""
    return f"A withdrawal of {asked:,.2f} {currency} is more than the equity of {equity:,.2f} {currency}."


def cost_of_freeing(amount: float, equity: float, exit_value: float | None, at_hand: float) -> float | None:
    """What selling for a payment would cost now, about: as much of everything is sold as leaves the money, after what
    that takes; the cost of a full exit where even that does not leave it. 0 where the cash at hand covers it, None
    while it is not known. Share-class currency."""
    if amount <= at_hand:
        return 0.0
    if exit_value is None or equity <= 0.0:
        return None
    missing, sold_for = amount - at_hand, max(exit_value - at_hand, 0.0)
    share = missing / sold_for if missing < sold_for else 1.0
    return max(equity - exit_value, 0.0) * share


def costs_to_free(amount: float, cost: float, currency: str) -> str:
    """What freeing a payment would cost who leaves, share-class currency."""
    return f"Freeing {amount:,.6g} {currency} would cost about {cost:,.6g} {currency} now, {cost / amount:.1%} of it"
