"""Figures for metrics that are read off journal records and replicas."""

from __future__ import annotations

from components.model.orders import CostKind
from daemon.journal.records import Outcome
from daemon.metrics import Metrics
from daemon.replica import Replica


def count_costs(metrics: Metrics, outcome: Outcome) -> None:
    """Fees in USDT by kind, and slippage as a share of the notional."""
    trade = outcome.trade
    if trade is None:
        return
    for cost in trade.costs:
        if cost.kind is CostKind.SLIPPAGE:
            if trade.price and trade.quantity:
                metrics.slippage(trade.venue, cost.amount / (abs(trade.quantity) * trade.price))
        elif cost.token == "USDT":
            metrics.fees(trade.venue, cost.kind.value, cost.amount)


def unhedged_usd(replica: Replica) -> float:
    """Net exposure of a hedged strategy in USDT; 0 where nothing is hedged."""
    gross = sum(
        abs(amount) * replica.prices.get(f"{key.split(':')[0]}.perp.{key.split(':')[2].removesuffix('USDT')}", 0.0)
        for key, amount in replica.positions.items()
        if ":Perp:" in key
    )
    return abs(replica.columns.get("net_delta", 0.0)) * gross
