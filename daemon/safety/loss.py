"""Loss of the whole daemon against net deposits, in USDT: what EMERGENCY_STOP_LOSS_PCT is held against.

What is not known now was known before: a strategy that says nothing (its venue is silent, its cell is gone) goes on
counting with what it said last, so that a loss does not vanish with whoever made it. One that has never said anything
is named.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from daemon.replica import Replica

ETH_PRICE = "binance.spot.ETH"


class Standing(msgspec.Struct, frozen=True):
    """What a strategy said last: net deposits and equity in its share class, and USDT per unit of that."""

    deposits: float
    equity: float
    price: float


class LossGuard:
    def __init__(self) -> None:
        self._last: dict[str, Standing] = {}
        self.unknown: tuple[str, ...] = ()  # strategies that have never said what they are worth

    def fraction(self, replicas: Iterable[Replica]) -> float | None:
        """Loss ÷ net deposits over all strategies; negative for a gain, None while nothing is known.

        A strategy in an ETH share class counts at the ETH price of its last row: what its owner lost is ETH, not its
        price.
        """
        lost, paid_in, unknown = 0.0, 0.0, []
        for replica in replicas:
            standing = self._standing(replica)
            if standing is None:
                unknown.append(replica.strategy)
                continue
            self._last[replica.strategy] = standing
            lost += (standing.deposits - standing.equity) * standing.price
            paid_in += standing.deposits * standing.price
        self.unknown = tuple(unknown)
        return lost / paid_in if paid_in > 0.0 else None

    def _standing(self, replica: Replica) -> Standing | None:
        """Each figure as it is now, else as it was last; None when one of them was never known."""
        before = self._last.get(replica.strategy)
        price = (
            1.0 if replica.share_class == "USDT" else replica.prices.get(ETH_PRICE, before.price if before else None)
        )
        equity = replica.equity if replica.equity is not None else before.equity if before else None
        deposits = before.deposits if before else None
        if replica.initial is not None:
            deposits = replica.initial + replica.external_flows
        if price is None or equity is None or deposits is None:
            return None
        return Standing(deposits, equity, price)
