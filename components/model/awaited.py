"""What closing waits for, by kind, and what is held without a price: vocabulary only."""

from __future__ import annotations

from enum import StrEnum

import msgspec

DUST_USDT = 1.0  # what rounding and fees may leave of something that was sold


class AwaitedKind(StrEnum):
    """Why something is still there."""

    QUEUE = "queue"  # an unstaking claim
    TRANSFER = "transfer"  # tokens on their way
    ORDER = "order"  # the outcome of an order is not known
    PRICE = "price"  # its price is too old to trade on
    REFUSED = "refused"  # its venue refused to take it
    POSITION = "position"  # it has not been closed yet: a perp, a debt, something supplied, coins
    SILENT = "silent"  # a venue does not say what it holds


class Awaited(msgspec.Struct, frozen=True, kw_only=True):
    """One thing. `what` is a position key, an order id or a venue, `amount` native units of it (0 = unknown), `until`
    when it is due, UTC ns (None when nobody knows). `overdue`: it should have come long ago, and counts as uncertain,
    not as arriving. `value_usdt` is None where there is no price.
    """

    kind: AwaitedKind
    what: str
    amount: float = 0.0
    until: int | None = None
    overdue: bool = False
    value_usdt: float | None = None
    detail: str = ""

    @property
    def arrives(self) -> bool:
        """Whether time alone ends it."""
        return self.kind in (AwaitedKind.TRANSFER, AwaitedKind.QUEUE) and not self.overdue

    def __str__(self) -> str:
        late = " overdue" if self.overdue else ""
        amount = f" {self.amount:g}" if self.amount else ""
        return f"{self.kind.value}{late} {self.what}{amount}" + (f" ({self.detail})" if self.detail else "")


class Unvalued(msgspec.Struct, frozen=True, kw_only=True):
    """A token without a price: an airdrop, a fee in a third asset. Left out of equity, shown beside it."""

    key: str
    amount: float


class Unsellable(msgspec.Struct, frozen=True, kw_only=True):
    """Coins with a price that the mode has no way to sell: somebody sent them to a place where it holds none. In
    equity, and left to a person when everything else is closed."""

    key: str
    amount: float
    value_usdt: float
