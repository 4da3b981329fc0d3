"""The simulated chain: Aave v3, Lido, EtherFi, flash loans, Uniswap, the wallet and gas.

WETH and ETH are one token here. An atomic group works on a draft of the balances: every step sees what the steps before
it did, the flash loan must be paid back inside, and if any step fails nothing happened. Like the exchange it computes
changes; the world applies them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from components.maths.aave import liquidation_call
from components.maths.columns import lowest
from components.model.events import EventType
from components.model.keys import GAS, KING, TRANSIT, WALLET, PositionKey, a_token, base_token, debt_token
from components.model.market import Column, Market, Row, Window
from components.model.orders import Cost, CostKind, InFlight, Order, OrderGroup, RejectKind, Trade, TradeStatus, Verb
from components.model.requirements import DAY_NS, LST_PROTOCOL
from components.model.slices import RunSlice
from components.ports import Happening
from venues.sim.costs import CostModel
from venues.sim.exchange import rejected

GAS_KEY = base_token(GAS, "ETH")
ETH_KEY = base_token(WALLET, "ETH")
ROUNDING = 1e-9

Balances = Mapping[PositionKey, float]


class Failure(Exception):
    """One step cannot be done; the message says why. `expired`: not within the limit of its order."""

    def __init__(self, message: str, kind: RejectKind = RejectKind.OTHER, *, expired: bool = False) -> None:
        super().__init__(message)
        self.kind = kind
        self.expired = expired


class Done(msgspec.Struct, frozen=True):
    """What one step did."""

    changes: Mapping[PositionKey, float]
    quantity: float
    price: float | None = None
    costs: tuple[Cost, ...] = ()
    in_flight: InFlight | None = None


class SimChain:
    def __init__(self, run: RunSlice, costs: CostModel) -> None:
        self._chain = run.chain
        self._mode = run.mode
        self._costs = costs
        self._lst = run.mode.lst_type
        self._steps: dict[Verb, Callable[[Order, Row, Balances], Done]] = {
            Verb.STAKE: self._stake,
            Verb.REQUEST_UNSTAKE: self._request_unstake,
            Verb.SWAP: self._swap,
            Verb.SUPPLY: self._supply,
            Verb.WITHDRAW: self._withdraw,
            Verb.BORROW: self._borrow,
            Verb.REPAY: self._repay,
            Verb.FLASH_BORROW: self._flash_borrow,
            Verb.FLASH_REPAY: self._flash_repay,
            Verb.UNWRAP: self._unwrap,
            Verb.PAY_OUT: self._pay_out,
        }

    def execute(self, order: Order, row: Row, balances: Balances) -> Trade:
        """One transaction: the step and its gas, or a rejection that costs nothing (it fails in simulation)."""
        try:
            done = self._step(order, row, balances)
        except Failure as failure:
            return rejected(order, row, str(failure), failure.kind, expired=failure.expired)
        draft = dict(balances)
        for key, change in done.changes.items():
            draft[key] = draft.get(key, 0.0) + change
        if fault := self._fault_after((order,), row, draft):
            return rejected(order, row, fault, RejectKind.MONEY)
        gas = self._costs.gas(row, self._operation(order, balances))
        if order.verb is Verb.PAY_OUT and self._mode.hedge_allocation:
            gas = ()  # an exchange withdrawal already paid for the way out
        return self._trade(order, row, done, gas)

    def execute_atomic(self, group: OrderGroup, row: Row, balances: Balances) -> tuple[Trade, ...]:
        """All steps or none, in one transaction whose gas is paid by the first step."""
        draft = dict(balances)
        enters = any(order.verb is Verb.SUPPLY for order in group.orders)
        gas = self._costs.gas(row, "atomic_enter" if enters else "atomic_exit")
        trades: list[Trade] = []
        for order in group.orders:
            try:
                done = self._step(order, row, draft)
            except Failure as failure:
                why = f"{order.leg}: {failure}"
                return tuple(rejected(o, row, why, failure.kind, expired=failure.expired) for o in group.orders)
            trade = self._trade(order, row, done, () if trades else gas)
            for key, change in trade.changes.items():
                draft[key] = draft.get(key, 0.0) + change
            trades.append(trade)
        fault = self._fault_after(group.orders, row, draft)
        if fault:
            return tuple(rejected(o, row, fault, RejectKind.MONEY) for o in group.orders)
        return tuple(trades)

    def is_safe(self, window: Window, balances: Balances) -> bool:
        """Whether the health factor is above 1 on every row: what a unit of collateral carries of debt is known for
        the whole market."""
        debt = balances.get(debt_token("WETH"), 0.0)
        if debt <= 0.0 or self._lst is None:
            return True
        carried = window.market.derived(f"carried({self._lst})", lambda: self._carried(window.market))
        least = lowest(window.cut(carried))
        return balances.get(a_token(self._lst), 0.0) * least > debt * (1.0 + ROUNDING)

    def liquidation_row(self, window: Window, balances: Balances) -> int | None:
        """The first row with a health factor below 1; None when there is none or no debt."""
        hf = self._health(window, balances)
        if hf is None or lowest(hf) >= 1.0:
            return None
        return int((hf < 1.0).argmax())

    def liquidate(self, row: Row, balances: Balances) -> Happening:
        """One liquidation call at oracle value; debt without collateral is written off as deficit."""
        lst = self._lst or ""
        held, owed = a_token(lst), debt_token("WETH")
        per_unit, per_debt = self._eth_per_unit(row), row.value("aave_v3.borrow_index.WETH")
        collateral, debt = balances[held] * per_unit, balances[owed] * per_debt
        call = liquidation_call(
            collateral,
            debt,
            collateral * self._chain.e_mode.liquidation_threshold / debt,
            bonus=self._chain.e_mode.liquidation_bonus,
            close_factor_hf=self._chain.close_factor_hf,
            unit_usd=self._costs.eth_usdt(row),
            full_close_below_usd=self._chain.full_close_below_usd,
        )
        gone = call.repaid + call.deficit
        changes = {
            held: -balances[held] if call.seized == collateral else -call.seized / per_unit,
            owed: -balances[owed] if gone >= debt else -gone / per_debt,
        }
        deficit = f", deficit {call.deficit!r} WETH written off" if call.deficit else ""
        return Happening(
            event_type=EventType.LIQUIDATION,
            at=row.timestamp,
            venue="aave_v3",
            token=lst,
            amount=changes[held],
            changes=changes,
            part="liquidation",
            detail=f"repaid {call.repaid!r} WETH, seized {call.seized!r} ETH of {lst}{deficit}",
        )

    # Steps

    def _step(self, order: Order, row: Row, balances: Balances) -> Done:
        step = self._steps.get(order.verb)
        if step is None:
            raise Failure(f"{order.venue} does not do {order.verb.value}", RejectKind.PERMISSION)
        return step(order, row, balances)

    def _stake(self, order: Order, row: Row, balances: Balances) -> Done:
        amount = self._spend(balances, ETH_KEY, order.amount)
        units = amount / self._ratio(row)
        return Done({ETH_KEY: -amount, base_token(WALLET, self._lst or ""): units}, units, self._ratio(row))

    def _request_unstake(self, order: Order, row: Row, balances: Balances) -> Done:
        key = base_token(WALLET, order.token)
        units = self._spend(balances, key, order.amount, everything=order.everything)
        amount = units * self._ratio(row)
        days = self._costs.queue_days()
        if days == 0.0:
            return Done({key: -units, ETH_KEY: amount}, -units, self._ratio(row))
        transit = base_token(TRANSIT, "ETH")
        flight = InFlight(
            id=order.id,
            token="ETH",
            amount=amount,
            source=key,
            target=ETH_KEY,
            arrives_at=row.timestamp + int(days * DAY_NS),
        )
        return Done({key: -units, transit: amount}, -units, self._ratio(row), in_flight=flight)

    def _swap(self, order: Order, row: Row, balances: Balances) -> Done:
        source = order.source or base_token(WALLET, order.token)
        target = order.target or base_token(WALLET, order.into_token or "")
        amount = self._spend(balances, source, order.amount, everything=order.everything)
        known, got, pair = self._quote(order, row, amount)
        eth_usdt = self._costs.eth_usdt(row)
        notional = amount * known * (1.0 if order.into_token == "USDT" else eth_usdt)
        received = amount * got * self._costs.swap_keeps(pair, notional)
        if order.at_least is not None and received < order.at_least:
            raise Failure(f"gives {received:.8g} {order.into_token}, less than {order.at_least:.8g}", expired=True)
        cost = Cost(CostKind.SLIPPAGE, order.into_token or "", amount * known - received)
        return Done({source: -amount, target: received}, -amount, received / amount, (cost,))

    def _quote(self, order: Order, row: Row, amount: float) -> tuple[float, float, str]:
        """(value of one token in the other by our books, what the pool gives before fee and impact, its pair)."""
        token, into = order.token, order.into_token
        eth_usdt = self._costs.eth_usdt(row)
        if token == self._lst:
            ratio = self._ratio(row)
            return ratio, self._costs.lst_market_rate(row, token, ratio), f"{token}/ETH"
        if {token, into} == {"USDT", "ETH"}:
            name = "uniswap.spot.ETH"
            pool = row.value(name) if not self._costs.free and name in row.market.columns else eth_usdt
            return (1.0 / eth_usdt, 1.0 / pool, "USDT/ETH") if token == "USDT" else (eth_usdt, pool, "USDT/ETH")
        price = row.value(f"uniswap.eth_price.{token}") * (eth_usdt if into == "USDT" else 1.0)
        return price, price, f"{token}/ETH"

    def _supply(self, order: Order, row: Row, balances: Balances) -> Done:
        key = base_token(WALLET, order.token)
        amount = self._spend(balances, key, order.amount, everything=order.everything)
        scaled = amount / row.value(f"aave_v3.supply_index.{order.token}")
        return Done({key: -amount, a_token(order.token): scaled}, amount)

    def _withdraw(self, order: Order, row: Row, balances: Balances) -> Done:
        key = a_token(order.token)
        scaled = order.amount / row.value(f"aave_v3.supply_index.{order.token}")
        scaled = self._spend(balances, key, scaled, everything=order.everything)
        amount = scaled * row.value(f"aave_v3.supply_index.{order.token}")
        return Done({key: -scaled, base_token(WALLET, order.token): amount}, -amount)

    def _borrow(self, order: Order, row: Row, balances: Balances) -> Done:
        scaled = order.amount / row.value("aave_v3.borrow_index.WETH")
        return Done({debt_token("WETH"): scaled, ETH_KEY: order.amount}, order.amount)

    def _repay(self, order: Order, row: Row, balances: Balances) -> Done:
        key, index = debt_token("WETH"), row.value("aave_v3.borrow_index.WETH")
        scaled = self._spend(balances, key, order.amount / index, everything=order.everything)
        return Done({key: -scaled, ETH_KEY: -scaled * index}, -scaled * index)

    def _flash_borrow(self, order: Order, row: Row, balances: Balances) -> Done:
        return Done({ETH_KEY: order.amount}, order.amount)

    def _flash_repay(self, order: Order, row: Row, balances: Balances) -> Done:
        premium = self._costs.flash_premium(order.venue)
        cost = Cost(CostKind.FLASH_PREMIUM, "ETH", order.amount * premium / (1.0 + premium))
        return Done({ETH_KEY: -order.amount}, -order.amount, None, (cost,) if premium else ())

    def _unwrap(self, order: Order, row: Row, balances: Balances) -> Done:
        amount = self._spend(balances, base_token(KING, order.token), order.amount)
        return Done({base_token(KING, order.token): -amount, base_token(WALLET, order.token): amount}, amount)

    def _pay_out(self, order: Order, row: Row, balances: Balances) -> Done:
        key = order.source or base_token(WALLET, order.token)
        amount = self._spend(balances, key, order.amount)
        return Done({key: -amount}, -amount)

    # Checks and prices

    def _fault_after(self, orders: tuple[Order, ...], row: Row, draft: Balances) -> str | None:
        """Why a finished transaction must be undone, if it must: flash loan, ETH, and what Aave asks of a borrower (the
        e-mode LTV) and of one who takes collateral out (a health factor of 1)."""
        verbs = {order.verb for order in orders}
        due = sum(o.amount * (1.0 + self._costs.flash_premium(o.venue)) for o in orders if o.verb is Verb.FLASH_BORROW)
        repaid = sum(o.amount for o in orders if o.verb is Verb.FLASH_REPAY)
        if repaid < due * (1.0 - ROUNDING):
            return f"the flash loan is not paid back: {repaid!r} of {due!r}"
        debt = draft.get(debt_token("WETH"), 0.0)
        debt = debt * row.value("aave_v3.borrow_index.WETH") if debt else 0.0
        if draft.get(ETH_KEY, 0.0) < -ROUNDING * max(1.0, debt):
            return f"{-draft[ETH_KEY]!r} ETH short" + (" of paying the flash loan back" if due else "")
        if debt > ROUNDING and verbs & {Verb.BORROW, Verb.WITHDRAW}:
            collateral = draft.get(a_token(self._lst or ""), 0.0) * self._eth_per_unit(row)
            terms = self._chain.e_mode
            limit = terms.ltv if Verb.BORROW in verbs else terms.liquidation_threshold
            if debt > collateral * limit * (1.0 + ROUNDING):
                return f"LTV {debt / collateral if collateral else float('inf'):.4f} above {limit}"
        return None

    @staticmethod
    def _spend(balances: Balances, key: PositionKey, amount: float, *, everything: bool = False) -> float:
        """The amount that can be taken: all of it when asked or when rounding alone is missing; Failure when short."""
        held = balances.get(key, 0.0)
        if everything or (amount > held and amount - held <= ROUNDING * max(1.0, amount)):
            return held
        if amount > held:
            raise Failure(f"needs {amount!r} of {key}, has {held!r}", RejectKind.MONEY)
        return amount

    def _trade(self, order: Order, row: Row, done: Done, gas: tuple[Cost, ...]) -> Trade:
        changes = dict(done.changes)
        for cost in gas:
            changes[GAS_KEY] = changes.get(GAS_KEY, 0.0) - cost.amount
        return Trade(
            order_id=order.id,
            status=TradeStatus.FILLED,
            verb=order.verb,
            venue=order.venue,
            token=order.token,
            quantity=done.quantity,
            changes=changes,
            at=row.timestamp,
            price=done.price,
            costs=(*done.costs, *gas),
            in_flight=done.in_flight,
        )

    def _operation(self, order: Order, balances: Balances) -> str:
        """The gas table's name of a single step."""
        if order.verb is Verb.SUPPLY:
            return "supply" if balances.get(a_token(order.token), 0.0) else "supply_first"
        return order.verb.value

    def _ratio(self, row: Row) -> float:
        return row.value(f"{LST_PROTOCOL[self._lst or '']}.ratio.{self._lst}")

    def _eth_per_unit(self, row: Row) -> float:
        return row.value(f"aave_v3.supply_index.{self._lst}") * self._ratio(row)

    def _health(self, window: Window, balances: Balances) -> Column | None:
        debt = balances.get(debt_token("WETH"), 0.0)
        if debt <= 0.0 or self._lst is None:
            return None
        units = balances.get(a_token(self._lst), 0.0)
        lst = self._lst
        ratio = window.column(f"{LST_PROTOCOL[lst]}.ratio.{lst}")
        collateral = units * (window.column(f"aave_v3.supply_index.{lst}") * ratio)
        owed = debt * window.column("aave_v3.borrow_index.WETH")
        return collateral * self._chain.e_mode.liquidation_threshold / owed

    def _carried(self, market: Market) -> Column:
        """Scaled debt that one scaled unit of collateral carries at a health factor of 1."""
        lst, threshold = self._lst, self._chain.e_mode.liquidation_threshold
        collateral = market.column(f"aave_v3.supply_index.{lst}") * market.column(
            f"{LST_PROTOCOL[lst or '']}.ratio.{lst}"
        )
        return collateral * threshold / market.column("aave_v3.borrow_index.WETH")
