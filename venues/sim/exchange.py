"""The simulated exchange: spot and USDT perps of one venue, fills by the cost model, margin, liquidation.

It computes what an order or a row does to balances; the world that owns the balances applies it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from msgspec.structs import replace

from components.maths.columns import first_of, highest, lowest
from components.maths.costs import fill_price, round_to_lot
from components.maths.perps import equity_after_liquidation, maintenance_usdt, realised_on_reduce, unrealised_usdt
from components.model.events import EventType
from components.model.keys import PositionKey, base_token, perp, perp_quote
from components.model.market import Column, Row, Window
from components.model.orders import Cost, CostKind, Order, RejectKind, Trade, TradeStatus, Verb, nothing, part_of
from components.model.slices import CexSlice, ModeSlice
from components.ports import Happening
from venues.sim.costs import CostModel

ROUNDING = 1e-9
SLIGHTLY_LESS = 1.0 - 1e-6  # than the most: rounding leaves it within


class SimExchange:
    def __init__(self, config: CexSlice, mode: ModeSlice, costs: CostModel) -> None:
        self.name = config.name
        self._config = config
        self._mode = mode
        self._costs = costs
        self._coin = mode.asset
        self._unified = mode.collateral == "unified"
        instrument = config.instruments.get(f"perp.{mode.asset}")
        self._tiers = () if instrument is None else instrument.tiers
        self._size, self._quote = perp(self.name, mode.asset), perp_quote(self.name, mode.asset)
        self._marks = f"{self.name}.perp.{mode.asset}"
        self._highest_rate = max((tier.maintenance_rate for tier in self._tiers), default=0.0)

    def execute(self, order: Order, row: Row, balances: Mapping[PositionKey, float]) -> Trade:
        """Fills at the row's price ± cost, or a rejection with its reason."""
        if order.verb is Verb.SPOT:
            return self._spot(order, row, balances)
        if order.verb is Verb.PERP:
            return self._perp(order, row, balances)
        return rejected(order, row, f"{self.name} does not do {order.verb.value}", RejectKind.PERMISSION)

    def is_safe(self, window: Window, balances: Mapping[PositionKey, float], least_cash: float) -> bool:
        """Whether margin is kept on every row even if the cash were `least_cash`, all else at its worst, all along."""
        size = balances.get(self._size, 0.0)
        if size == 0.0:
            return True
        adverse = self._adverse(window, size)
        high = highest(adverse)
        worst = high if size < 0.0 else lowest(adverse)
        equity = least_cash + unrealised_usdt(size, balances.get(self._quote, 0.0), worst)
        if self._unified:
            equity += float(np.min(self._counted_spot(window, balances)))
        needed = abs(size) * high * (self._highest_rate + self._costs.liquidation_fee(self.name))
        return equity > needed * (1.0 + ROUNDING)

    def liquidation_row(
        self, window: Window, balances: Mapping[PositionKey, float], cash: Column | float
    ) -> int | None:
        """The first row on which equity at the bar's adverse extreme no longer carries maintenance margin and the fee
        to close; None when there is none."""
        size = balances.get(self._size, 0.0)
        if size == 0.0:
            return None
        adverse = self._adverse(window, size)
        equity = cash + unrealised_usdt(size, balances.get(self._quote, 0.0), adverse)
        if self._unified:
            equity = equity + self._counted_spot(window, balances)
        notional = abs(size) * adverse
        fee = self._costs.liquidation_fee(self.name)
        dead = equity <= maintenance_usdt(notional, self._tiers) + fee * notional
        row = first_of(dead)
        return row if row < len(dead) else None

    def liquidate(self, row: Row, balances: Mapping[PositionKey, float]) -> Happening:
        """The whole position closed at mark; what the account lacks is written off."""
        size_key, quote_key, cash_key = self._size, self._quote, base_token(self.name, "USDT")
        size, quote, cash = balances[size_key], balances.get(quote_key, 0.0), balances.get(cash_key, 0.0)
        mark = row.value(self._marks)
        fee = self._costs.liquidation_fee(self.name)
        spot_usdt = 0.0
        if self._unified:
            held = balances.get(base_token(self.name, self._coin), 0.0)
            spot_usdt = held * row.value(f"{self.name}.spot.{self._coin}")
        left = equity_after_liquidation(cash + spot_usdt, size, quote, mark, fee) - spot_usdt
        return Happening(
            event_type=EventType.LIQUIDATION,
            at=row.timestamp,
            venue=self.name,
            token=self._coin,
            amount=-size,
            changes={size_key: -size, quote_key: -quote, cash_key: left - cash},
            part="liquidation",
            detail=f"{self.name} closed {-size!r} {self._coin} at mark {mark!r}, fee rate {fee}",
        )

    def overdrawn_row(self, window: Window, balances: Mapping[PositionKey, float], cash: Column | float) -> int | None:
        """The first row on which payments take the cash below zero while a position is held; None when there is none,
        or where USDT may be owed."""
        if self._unified or balances.get(self._size, 0.0) == 0.0:
            return None
        if isinstance(cash, float):
            return 0 if cash < 0.0 else None
        row = first_of(cash < 0.0)
        return row if row < len(cash) else None

    def settle_profit(self, row: Row, balances: Mapping[PositionKey, float]) -> Happening:
        """The position settled at mark: what was unrealised is cash, and what it is worth is what it was."""
        size, quote = balances[self._size], balances.get(self._quote, 0.0)
        mark = row.value(self._marks)
        profit = unrealised_usdt(size, quote, mark)
        return Happening(
            event_type=EventType.SETTLED_PROFIT,
            at=row.timestamp,
            venue=self.name,
            token="USDT",
            amount=profit,
            changes={self._quote: -profit, base_token(self.name, "USDT"): profit},
            part=None,
            detail=f"{self.name} settled {size!r} {self._coin} at mark {mark!r}: its cash was used up",
        )

    @property
    def lends(self) -> bool:
        """Whether USDT may be owed here, at interest."""
        return self._unified and self._mode.usdt_borrow_rate != 0.0

    def funded_interest(self, window: Window, cash: float, flows: Column | None) -> Column | None:
        """Interest on negative USDT of a unified account, per row, on the balance the row began with; None without."""
        if not self.lends:
            return None
        lowest = cash if flows is None else min(cash, float((cash + np.cumsum(flows)).min()))
        if lowest >= 0.0:
            return None
        timestamps = window.market.timestamps
        out = np.zeros(len(window))
        balance = cash
        per_ns = self._mode.usdt_borrow_rate / (365 * 86_400e9)
        for i in range(len(window)):
            j = window.start + i
            if balance < 0.0 and j > 0:
                out[i] = balance * per_ns * float(timestamps[j] - timestamps[j - 1])
            balance = balance + (out[i] + (0.0 if flows is None else float(flows[i])))
        return out

    def _adverse(self, window: Window, size: float) -> Column:
        if self._mode.liquidation_price == "extreme":
            name = f"{self.name}.perp_{'high' if size < 0.0 else 'low'}.{self._coin}"
            if name in window.market.columns:
                return window.column(name)
        return window.column(self._marks)

    def _counted_spot(self, window: Window, balances: Mapping[PositionKey, float]) -> Column | float:
        held = balances.get(base_token(self.name, self._coin), 0.0)
        if held == 0.0:
            return 0.0
        return held * self._config.haircuts.get(self._coin, 0.0) * window.column(f"{self.name}.spot.{self._coin}")

    def _spot(self, order: Order, row: Row, balances: Mapping[PositionKey, float]) -> Trade:
        coin_key, cash_key = base_token(self.name, order.token), base_token(self.name, "USDT")
        quantity, price = order.amount, row.value(f"{self.name}.spot.{order.token}")
        notional = abs(quantity) * price
        minimum = self._config.instruments[f"spot.{order.token}"].minimum_notional_usdt
        if notional < minimum and not order.everything and not self._costs.free:
            why = f"notional {notional:.2f} USDT below the venue's minimum {minimum:g}"
            return rejected(order, row, why, RejectKind.SIZE)
        if quantity < 0.0 and balances.get(coin_key, 0.0) + quantity < -ROUNDING * abs(quantity):
            has = balances.get(coin_key, 0.0)
            return rejected(order, row, f"sells {-quantity!r} {order.token}, has {has!r}", RejectKind.MONEY)
        fill = self._fill(order.verb, price, quantity)
        if is_beyond(order, quantity, fill):
            return self._within(order, row, quantity, price, minimum, balances)
        fee = abs(quantity) * fill * self._costs.spot_fee(self.name)
        received, cash_fee = quantity, fee
        cost = Cost(CostKind.FEE, "USDT", fee)
        if self._mode.spot_fee_asset == "base" and quantity > 0.0:
            taken = quantity * self._costs.spot_fee(self.name)
            received, cash_fee = quantity - taken, 0.0
            cost = Cost(CostKind.FEE, "USDT", taken * price)
        cash = -quantity * fill - cash_fee
        after = balances.get(cash_key, 0.0) + cash
        if quantity > 0.0 and not self._unified and after < -ROUNDING * notional:
            has = balances.get(cash_key, 0.0)
            return rejected(order, row, f"costs {-cash:.2f} USDT, has {has:.2f}", RejectKind.MONEY)
        return Trade(
            order_id=order.id,
            status=TradeStatus.FILLED,
            verb=order.verb,
            venue=self.name,
            token=order.token,
            quantity=received,
            changes={coin_key: received, cash_key: cash},
            at=row.timestamp,
            price=fill,
            costs=(cost, Cost(CostKind.SLIPPAGE, "USDT", abs(fill - price) * abs(quantity))),
        )

    def _perp(self, order: Order, row: Row, balances: Mapping[PositionKey, float]) -> Trade:
        size_key, quote_key = perp(self.name, order.token), perp_quote(self.name, order.token)
        cash_key = base_token(self.name, "USDT")
        size, quote = balances.get(size_key, 0.0), balances.get(quote_key, 0.0)
        change, mark = order.amount, row.value(f"{self.name}.perp.{order.token}")
        if order.everything:
            change = -size
        if order.reduce_only:
            if size * change >= 0.0:
                why = "reduce-only order would not reduce the position"
                return rejected(order, row, why, RejectKind.REDUCE_ONLY)
            change = -size if abs(change) > abs(size) else change
        notional = abs(change) * mark
        minimum = self._config.instruments[f"perp.{order.token}"].minimum_notional_usdt
        if notional < minimum and not order.reduce_only and not self._costs.free:
            why = f"notional {notional:.2f} USDT below the venue's minimum {minimum:g}"
            return rejected(order, row, why, RejectKind.SIZE)
        fill = self._fill(order.verb, mark, change)
        if is_beyond(order, change, fill):
            return self._within(order, row, change, mark, 0.0 if order.reduce_only else minimum, balances)
        fee = abs(change) * fill * self._costs.perp_fee(self.name)
        if size + change == 0.0:
            realised = quote - change * fill
            quote_change = -quote
        else:
            realised = realised_on_reduce(size, quote, change, fill)
            quote_change = -change * fill - realised
        after = (size + change, quote + quote_change, realised - fee)
        if abs(after[0]) > abs(size) and not self._carries(row, balances, *after):
            return rejected(order, row, "insufficient margin", RejectKind.MONEY)
        return Trade(
            order_id=order.id,
            status=TradeStatus.FILLED,
            verb=order.verb,
            venue=self.name,
            token=order.token,
            quantity=change,
            changes={size_key: change, quote_key: quote_change, cash_key: realised - fee},
            at=row.timestamp,
            price=fill,
            costs=(Cost(CostKind.FEE, "USDT", fee), Cost(CostKind.SLIPPAGE, "USDT", abs(fill - mark) * abs(change))),
        )

    def _fill(self, verb: Verb, price: float, quantity: float) -> float:
        impact = self._costs.spot_impact if verb is Verb.SPOT else self._costs.perp_impact
        return fill_price(price, quantity, impact(self.name, abs(quantity) * price))

    def _within(
        self,
        order: Order,
        row: Row,
        quantity: float,
        price: float,
        minimum: float,
        balances: Mapping[PositionKey, float],
    ) -> Trade:
        """As much of an order as the market takes within its limit price; the rest expires. `quantity` (signed) is what
        would be done without one, less than `minimum` USDT is nothing."""
        limit = order.limit_price or 0.0
        allowed = limit / price - 1.0 if quantity > 0.0 else 1.0 - limit / price
        lot = 0.0 if self._costs.free else self._config.instruments[f"{order.verb.value}.{order.token}"].lot
        most = min(self._costs.notional_within(self.name, order.verb, allowed) / price, abs(quantity))
        done = round_to_lot(most * SLIGHTLY_LESS, lot)
        signed = -done if quantity < 0.0 else done
        if done * price <= minimum or is_beyond(order, signed, self._fill(order.verb, price, signed)):
            return rejected(order, row, f"nothing to be had within the limit price {limit:.8g}", expired=True)
        part = part_of(order, signed)
        trade = self._spot(part, row, balances) if order.verb is Verb.SPOT else self._perp(part, row, balances)
        if trade.status is not TradeStatus.FILLED:
            return trade
        reason = f"no more to be had within the limit price {limit:.8g}"
        return replace(trade, status=TradeStatus.PARTIAL, reason=reason, expired=True)

    def _carries(
        self, row: Row, balances: Mapping[PositionKey, float], size: float, quote: float, cash_change: float
    ) -> bool:
        """Whether the account after the fill covers initial margin."""
        mark = row.value(self._marks)
        equity = balances.get(base_token(self.name, "USDT"), 0.0) + cash_change + size * mark + quote
        if self._unified:
            held = balances.get(base_token(self.name, self._coin), 0.0)
            equity += held * self._config.haircuts.get(self._coin, 0.0) * row.value(f"{self.name}.spot.{self._coin}")
        return equity >= self._config.initial_margin_rate * abs(size) * mark


def is_beyond(order: Order, quantity: float, fill: float) -> bool:
    """Whether a fill of so much (signed) would be worse than the limit of an order."""
    if order.limit_price is None:
        return False
    return fill > order.limit_price if quantity > 0.0 else fill < order.limit_price


def rejected(
    order: Order, row: Row, reason: str, kind: RejectKind = RejectKind.OTHER, *, expired: bool = False
) -> Trade:
    """A trade that did nothing; `expired` when the market gives nothing within the limit of its order."""
    refusal = RejectKind.PRICE if expired else kind
    return nothing(order, TradeStatus.REJECTED, row.timestamp, reason, expired=expired, refusal=refusal)
