"""Loss of the whole daemon against net deposits, in USDT: what EMERGENCY_STOP_LOSS_PCT is held against."""

from __future__ import annotations

from collections.abc import Iterable

from daemon.replica import Replica

ETH_PRICE = "binance.spot.ETH"


def loss_fraction(replicas: Iterable[Replica]) -> float | None:
    """Loss ÷ net deposits over all strategies; negative for a gain, None while nothing is known.

    A strategy in an ETH share class counts at the ETH price of its last row: what its owner lost is ETH, not its price.
    """
    lost, paid_in = 0.0, 0.0
    for replica in replicas:
        if replica.equity is None or replica.initial is None:
            continue
        price = replica.prices.get(ETH_PRICE, 0.0) if replica.share_class == "ETH" else 1.0
        deposits = replica.initial + replica.external_flows
        lost += (deposits - replica.equity) * price
        paid_in += deposits * price
    return lost / paid_in if paid_in > 0.0 else None
