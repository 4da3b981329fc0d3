"""Replicas by hand, for everything that watches cells."""

from __future__ import annotations

import msgspec

from daemon.replica import CellState, Contract, Replica, UncertainOrder, VenueState

SECOND = 1_000_000_000
AT = 1_704_067_200 * SECOND
HASH = "0123456789ab" + "c" * 52


def running(strategy: str = "btc", **changes: object) -> Replica:
    """A hedged BTC strategy in good order, with a long history behind it."""
    replica = Replica(
        strategy=strategy,
        mode="btc_basis",
        share_class="USDT",
        account="main",
        state=CellState.RUNNING,
        epoch=2,
        tick=40,
        timestamp=AT,
        step=40,
        ticks=40,
        interval_s=60.0,
        equity=101_000.0,
        initial=100_000.0,
        external_flows=500.0,
        pnl={"funding": 700.0, "basis": -150.0, "transaction_costs": -50.0, "residual": 0.0, "adjustment": 0.5},
        columns={
            "net_delta": 0.01, "drawdown": 0.002, "margin_ratio.binance": 0.95, "mm_ratio.binance": 0.01,
            "margin_ratio.okx": 0.97, "mm_ratio.okx": 0.02,
        },
        risk_levels={"cex_margin:binance": "ok", "cex_margin:okx": "ok", "delta": "ok", "drawdown": "ok"},
        positions={
            "binance:BaseToken:BTC": 1.0, "binance:Perp:BTCUSDT": -1.0, "binance:PerpQuote:BTCUSDT": 40_000.0,
            "reserve:BaseToken:USDT": 5000.0,
        },
        prices={"binance.spot.ETH": 2300.0},
        ages_s={"binance.spot.BTC": 0.0, "okx.perp.BTC": 1.5},
        contracts=(
            Contract(name="quote age", holds=True, blocks="risk"),
            Contract(name="second source", holds=True, blocks=""),
        ),
        venues=(
            VenueState(name="binance", reachable=True, last_answer_at=AT - 3 * SECOND, requests=9, errors=0),
            VenueState(name="okx", reachable=True, last_answer_at=AT, requests=9, errors=0),
        ),
        journal_sequence=1234,
        journal_hash=HASH,
        heartbeat=1000.0,
        mailboxes={"market": 0, "results": 2},
    )  # fmt: skip
    return msgspec.structs.replace(replica, **changes)


def lost(venue: str = "okx", notional_usdt: float | None = 12_000.0, order_id: str = "o1") -> UncertainOrder:
    return UncertainOrder(
        id=order_id, venue=venue, verb="perp", token="BTC", amount=-0.3, notional_usdt=notional_usdt, sent_at=AT,
        reason="timeout",
    )  # fmt: skip


class HandClock:
    """Moves when told."""

    def __init__(self, at: float = 1000.0) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at

    def advance(self, seconds: float) -> None:
        self.at += seconds
