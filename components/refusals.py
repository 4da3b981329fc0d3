"""What venues refused: the same order is not sent again and again in the same circumstances.

After the first refusal a leg is left alone for an hour, and what it was for is done another way; what makes a
position smaller for a minute. So it is, however often, where no price was to be had within the limit of an order:
prices move. After the second in a row it is left alone until the circumstances have changed, another amount or other
means by a tenth; what makes a position smaller may also be tried once a day: getting out is never given up. A fill on
the leg wipes its slate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from components.model.keys import Token, VenueName
from components.model.orders import DONE, Order, Trade, TradeStatus, Verb
from components.model.requirements import DAY_NS, HOUR_NS
from components.situation import Situation

MINUTE_NS = HOUR_NS // 60
CHANGED = 0.1  # of an amount or of the means: as much as makes it another order


class Leg(msgspec.Struct, frozen=True):
    """One product at a venue and the direction, or one operation on chain: what a refusal speaks of."""

    venue: VenueName
    verb: Verb
    token: Token
    is_less: bool

    def __str__(self) -> str:
        return f"{self.venue} {self.verb.value} {self.token} {'less' if self.is_less else 'more'}"

    @classmethod
    def named(cls, text: str) -> Leg:
        """The leg that a state knows by this text."""
        venue, verb, token, way = text.split(" ")
        return cls(venue, Verb(verb), token, way == "less")

    @classmethod
    def of(cls, order: Order) -> Leg:
        return cls(order.venue, order.verb, order.token, _is_less(order))


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """The last of `count` refusals in a row: why, when (UTC ns), for how much (native units), at what means (USDT)."""

    count: int
    reason: str
    at: int
    amount: float
    means: float


class Refusals:
    def __init__(self) -> None:
        self._by_leg: dict[Leg, Refusal] = {}

    def state(self) -> dict[str, Refusal]:
        return {str(leg): refusal for leg, refusal in self._by_leg.items()}

    def restore(self, state: Mapping[str, Refusal]) -> None:
        self._by_leg = {Leg.named(text): refusal for text, refusal in state.items()}

    def forget(self) -> None:
        """An operator wants everything tried anew."""
        self._by_leg.clear()

    def note(self, orders: Iterable[Order], trades: Iterable[Trade], now: Situation) -> bool:
        """What became of orders; whether any of them was refused for what it asks."""
        refused = False
        for order, trade in zip(orders, trades, strict=True):
            if trade.status is TradeStatus.REJECTED and not trade.transient:
                leg = Leg.of(order)
                before = self._by_leg.get(leg)
                self._by_leg[leg] = Refusal(
                    count=1 if before is None or trade.expired else before.count + 1,
                    reason=trade.reason,
                    at=now.row.timestamp,
                    amount=abs(order.amount),
                    means=_means(order, now),
                )
                refused = True
            elif self._by_leg and trade.status in DONE:
                self._by_leg.pop(Leg.of(order), None)
        return refused

    def forbids(self, order: Order, now: Situation) -> bool:
        """Whether it would be the same order in the same circumstances."""
        last = self._by_leg.get(Leg.of(order)) if self._by_leg else None
        if last is None:
            return False
        passed = now.row.timestamp - last.at
        if last.count == 1:
            return passed < (MINUTE_NS if _is_less(order) else HOUR_NS)
        if abs(abs(order.amount) - last.amount) > CHANGED * last.amount and passed >= HOUR_NS:
            return False
        if abs(_means(order, now) - last.means) > CHANGED * abs(last.means) and passed >= HOUR_NS:
            return False
        return not (_is_less(order) and passed >= DAY_NS)

    def refuses_short(self, venue: VenueName, now: Situation) -> bool:
        """Whether a venue would not take a larger short now."""
        last = self._by_leg.get(Leg(venue, Verb.PERP, now.coin, False)) if self._by_leg else None
        if last is None:
            return False
        passed = now.row.timestamp - last.at
        moved = abs(now.account(venue) - last.means) > CHANGED * abs(last.means)
        return passed < HOUR_NS or (last.count > 1 and not moved)

    def speaks_of(self, venue: VenueName) -> bool:
        """Whether the last word of a venue on anything was a refusal."""
        return any(leg.venue == venue for leg in self._by_leg)

    def __bool__(self) -> bool:
        return bool(self._by_leg)


def _is_less(order: Order) -> bool:
    if order.verb is Verb.PERP:
        return order.reduce_only or order.everything
    return order.amount < 0.0 or order.verb not in (Verb.SPOT, Verb.STAKE, Verb.SUPPLY, Verb.BORROW)


def _means(order: Order, now: Situation) -> float:
    """What an order could draw on, USDT; 0 on chain, where amounts say it all."""
    return now.account(order.venue) if order.venue in now.mode.hedge_allocation else 0.0
