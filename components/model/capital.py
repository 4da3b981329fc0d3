"""Words on capital that the core, the daemon and the command line share."""

from __future__ import annotations


def above_equity(asked: float, equity: float, currency: str) -> str:
    """Why a withdrawal is refused, share-class currency."""
    return f"A withdrawal of {asked:,.2f} {currency} is more than the equity of {equity:,.2f} {currency}."
