"""What accounts leave behind on disk that others ask about: whether they have traded, and which errors are theirs."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from components.model.errors import Stop
from venues.paper.store import NAME, SIM_LEDGER_BROKEN, SIM_LEDGER_GONE, read_ledger

ACCOUNT_BROKEN = frozenset({SIM_LEDGER_BROKEN, SIM_LEDGER_GONE})  # no account to trade with, whatever it holds


def has_traded(folder: Path) -> bool:
    """Whether the account of a strategy, whose folder this is, has seen an order; a damaged ledger is told by whoever
    opens it."""
    with suppress(Stop):
        return any(change.orders for change in read_ledger(folder / "venues" / NAME))
    return False
