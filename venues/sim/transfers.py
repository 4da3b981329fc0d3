"""Simulated transfers between venues: what they cost, how long they take, and what a coin is worth where it arrives."""

from __future__ import annotations

from collections.abc import Mapping

from components.model.keys import GAS, RESERVE, TRANSIT, WALLET, PositionKey, base_token
from components.model.market import Row
from components.model.orders import Cost, CostKind, InFlight, Order, RejectKind, Trade, TradeStatus
from components.model.requirements import reference_price
from venues.sim.chain import GAS_KEY
from venues.sim.costs import CostModel
from venues.sim.exchange import rejected

OWN = frozenset({WALLET, RESERVE, GAS})
MINUTE_NS = 60_000_000_000


class SimTransfers:
    def __init__(self, costs: CostModel, share_class: str) -> None:
        self._costs = costs
        self._share_class = share_class

    def execute(self, order: Order, row: Row, balances: Mapping[PositionKey, float]) -> Trade:
        """The trade of one order; what takes time arrives later and is in transit until then."""
        source, target = order.source, order.target
        if source is None or target is None:
            return rejected(order, row, "a transfer names where it comes from and where it goes")
        held = balances.get(source, 0.0)
        amount = order.amount
        if amount < 0.0 or amount > held * (1.0 + 1e-9):
            return rejected(order, row, f"sends {amount!r} {order.token}, has {held!r}", RejectKind.MONEY)
        amount = min(amount, held)
        changes, costs = {source: -amount}, []
        arrives, fee, minutes = amount, 0.0, 0.0
        if not (source.venue in OWN and target.venue in OWN):
            terms = self._costs.transfer(source.venue, order.token)
            fee, minutes = terms.fee, terms.delay_minutes
            if fee >= amount:
                return rejected(order, row, f"fee {fee} {order.token} is all of {amount!r}", RejectKind.SIZE)
            arrives = amount - fee
            if fee:
                costs.append(Cost(CostKind.TRANSFER_FEE, order.token, fee))
            if source.venue == WALLET:
                gas = self._costs.gas(row, "transfer")
                for cost in gas:
                    changes[GAS_KEY] = changes.get(GAS_KEY, 0.0) - cost.amount
                costs += gas
        flight = None
        key = target
        if minutes > 0.0:
            key = base_token(TRANSIT, order.token)
            flight = InFlight(
                id=order.id,
                token=order.token,
                amount=arrives,
                source=source,
                target=target,
                arrives_at=row.timestamp + int(minutes * MINUTE_NS),
            )
        changes[key] = changes.get(key, 0.0) + arrives
        costs += self._revaluation(row, source, key, order.token, amount)
        return Trade(
            order_id=order.id,
            status=TradeStatus.FILLED,
            verb=order.verb,
            venue=order.venue,
            token=order.token,
            quantity=-amount,
            changes=changes,
            at=row.timestamp,
            costs=tuple(costs),
            in_flight=flight,
        )

    def _revaluation(self, row: Row, source: PositionKey, target: PositionKey, token: str, amount: float) -> list[Cost]:
        """A coin leaves an exchange at its price there and arrives at another: the difference, USDT."""
        if token == "USDT" or self._share_class != "USDT":
            return []
        change = amount * (_price(row, source, token) - _price(row, target, token))
        return [Cost(CostKind.REVALUATION, "USDT", change)] if change else []


def _price(row: Row, key: PositionKey, token: str) -> float:
    """USDT per coin where it is: an exchange's own price, or the reference."""
    own = f"{key.venue}.spot.{token}"
    return row.value(own if own in row.market.columns else reference_price(token))
