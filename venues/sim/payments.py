"""Payments that simulated exchanges make on their own: funding of perps, and interest on cash that is owed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from components.maths.columns import accumulate, lowest, on_rows
from components.maths.perps import funding_usdt
from components.model.events import EventType
from components.model.keys import PositionKey, base_token, perp
from components.model.market import Column, Window
from components.ports import CashFlows
from venues.sim.exchange import SimExchange


class SimPayments:
    """Of the exchanges that carry a hedge in `coin`."""

    def __init__(self, exchanges: Sequence[SimExchange], coin: str) -> None:
        self._exchanges = exchanges
        self._coin = coin

    def of(
        self, window: Window, before: Mapping[PositionKey, float], held: Mapping[PositionKey, float]
    ) -> list[CashFlows]:
        """Funding and interest of the window: funding on what was held `before`, interest on what is `held` now."""
        flows: list[CashFlows] = []
        for exchange in self._exchanges:
            funding = self._funding(exchange.name, window, before)
            if funding is not None:
                flows.append(funding)
            if exchange.lends:
                amounts = None if funding is None else on_rows(funding.row, funding.amount, len(window))
                cash = held.get(base_token(exchange.name, "USDT"), 0.0)
                interest = exchange.funded_interest(window, cash, amounts)
                if interest is not None:
                    flows.append(_interest(exchange.name, window, interest))
        return flows

    def _funding(self, venue: str, window: Window, held: Mapping[PositionKey, float]) -> CashFlows | None:
        coin = self._coin
        size = held.get(perp(venue, coin), 0.0)
        series = window.market.funding.get(f"{venue}.funding.{coin}")
        if size == 0.0 or series is None:
            return None
        first, last = series.row.searchsorted((window.start, window.stop)).tolist()
        if first == last:
            return None
        return CashFlows(
            key=base_token(venue, "USDT"),
            part="funding",
            event_type=EventType.FUNDING,
            token="USDT",
            row=series.row[first:last] - window.start,
            at=series.at[first:last],
            amount=funding_usdt(size, series.mark_usdt[first:last], series.rate[first:last]),
            detail=f"{venue} {coin}USDT",
        )


def _interest(venue: str, window: Window, amounts: Column) -> CashFlows:
    charged = np.flatnonzero(amounts)
    return CashFlows(
        key=base_token(venue, "USDT"),
        part="borrow_costs",
        event_type=EventType.INTEREST,
        token="USDT",
        row=charged,
        at=window.timestamps[charged],
        amount=amounts[charged],
        detail=f"{venue} interest on negative USDT",
    )


def by_row(cash: Sequence[CashFlows], rows: int) -> dict[PositionKey, Column]:
    """Cash flows of the first `rows` rows per key and row: what falls on one row is added up first, as in the book."""
    out: dict[PositionKey, Column] = {}
    for flow in cash:
        column, known = on_rows(flow.row, flow.amount, rows), out.get(flow.key)
        out[flow.key] = column if known is None else known + column
    return out


def balances_by_row(
    cash: Sequence[CashFlows], held: Mapping[PositionKey, float], rows: int
) -> dict[PositionKey, Column]:
    """The balances that payments lead to, from what was `held`."""
    return {key: accumulate(held.get(key, 0.0), amounts, rows) for key, amounts in by_row(cash, rows).items()}


def least_balance(cash: Sequence[CashFlows], key: PositionKey, held: float) -> float:
    """A balance that `key` does not fall below: as if each payment were the worst of its kind."""
    for flow in cash:
        if flow.key == key and len(flow.amount):
            held += len(flow.amount) * min(lowest(flow.amount), 0.0)
    return held


def first_rows(flows: list[CashFlows], rows: int) -> list[CashFlows]:
    """The flows of the first `rows` rows."""
    out = []
    for flow in flows:
        count = int(np.searchsorted(flow.row, rows, side="left"))
        if count:
            out.append(
                CashFlows(
                    key=flow.key,
                    part=flow.part,
                    event_type=flow.event_type,
                    token=flow.token,
                    row=flow.row[:count],
                    at=flow.at[:count],
                    amount=flow.amount[:count],
                    detail=flow.detail,
                )
            )
    return out
