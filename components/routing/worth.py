"""Worth: what a group of orders would cost at the prices of a row, beside what it moves.

The figures are those that venues charge: fee, price impact, pool fee, the discount of a staked coin against its
protocol rate, gas, flash premium, transfer fee. The impact of an order above a venue's limit is that of one piece.
Nothing here decides; a bound is compared in the route.
"""

from __future__ import annotations

import msgspec

from components.maths.costs import gas_eth, impact_fraction
from components.model.keys import GAS, RESERVE, WALLET, a_token, base_token
from components.model.orders import ETH_TOKENS, GroupKind, Order, OrderGroup, Verb
from components.model.requirements import REWARD_TOKENS
from components.situation import Situation

GAS_SERIES = "ethereum.gas_price.gwei"
OWN = frozenset({WALLET, RESERVE, GAS})
FLASH = frozenset({Verb.FLASH_BORROW, Verb.FLASH_REPAY})
DUST = frozenset(token for tokens in REWARD_TOKENS.values() for token in tokens)


class Worth(msgspec.Struct, frozen=True):
    """USDT that a group costs and USDT that it moves; `gas_eth` of its cost is gas, ETH."""

    cost_usdt: float
    moved_usdt: float
    gas_eth: float = 0.0

    def within(self, bound_bp: float) -> bool:
        return self.cost_usdt <= bound_bp * 1e-4 * self.moved_usdt


def worth_of(group: OrderGroup, now: Situation) -> Worth:
    """What `group` costs and moves; nothing costs anything under `costs: none`."""
    if now.mode.costs == "none":
        return Worth(0.0, 0.0)
    eth = now.eth_usdt()
    if group.kind is GroupKind.ATOMIC:
        enters = any(order.verb is Verb.SUPPLY for order in group.orders)
        gas = gas_of("atomic_enter" if enters else "atomic_exit", now)
        swapped = [_traded(order, now) for order in group.orders if order.verb is Verb.SWAP]
        lent = sum(-o.amount if o.verb is Verb.FLASH_BORROW else o.amount for o in group.orders if o.verb in FLASH)
        largest = max(_value(order, now) for order in group.orders)
        return Worth(sum(cost for cost, _ in swapped) + (gas + lent) * eth, largest, gas)
    cost, moved, gas = 0.0, 0.0, 0.0
    for order in group.orders:
        used = _gas(order, now)
        paid, value = _traded(order, now)
        cost, moved, gas = cost + paid + used * eth, moved + value, gas + used
    return Worth(cost, moved, gas)


def gas_of(operation: str, now: Situation) -> float:
    """ETH that one operation costs at the gas price of the row."""
    chain = now.run.chain
    return gas_eth(chain.gas_units[operation], now.row.value(GAS_SERIES) * chain.gas_price_buffer)


def _gas(order: Order, now: Situation) -> float:
    """ETH of gas that a single transaction costs; none where an exchange sends or the wallet moves its own."""
    if order.venue in now.run.exchanges:
        return 0.0
    match order.verb:
        case Verb.TRANSFER:
            inside = order.source is not None and order.target is not None and order.target.venue in OWN
            return 0.0 if inside else gas_of("transfer", now)
        case Verb.PAY_OUT if now.mode.hedge_allocation:
            return 0.0
        case Verb.SUPPLY:
            return gas_of("supply" if now.held(a_token(order.token)) else "supply_first", now)
        case verb:
            return gas_of(verb.value, now)


def _traded(order: Order, now: Situation) -> tuple[float, float]:
    """(USDT paid in fees, impact and discount, USDT moved) of one order, its gas not among it."""
    value = _value(order, now)
    exchange = now.run.exchanges.get(order.venue)
    if exchange is not None and order.verb in (Verb.SPOT, Verb.PERP):
        spot = order.verb is Verb.SPOT
        fees, impact = (
            (exchange.spot_fees, exchange.spot_impact) if spot else (exchange.perp_fees, exchange.perp_impact)
        )
        return value * (fees.taker + impact_fraction(min(value, exchange.max_trade_usdt), impact)), value
    if order.verb is Verb.TRANSFER:
        terms = now.run.chain.transfers if exchange is None else exchange.transfers
        inside = order.source is not None and order.source.venue in OWN and order.target is not None
        inside = inside and order.target is not None and order.target.venue in OWN
        fee = 0.0 if inside else terms[order.token].fee
        return (fee * value / order.amount if order.amount else 0.0), value
    if order.verb is Verb.SWAP:
        if order.token == now.lst:
            return max(0.0, order.amount * (now.ratio - now.exit_rate(order.amount))) * now.eth_usdt(), value
        chain = now.run.chain
        pair = f"{order.token if order.token in DUST else 'USDT'}/ETH"
        return value * (chain.swap_fee[pair] + impact_fraction(value, chain.swap_impact[pair])), value
    return 0.0, value


def _value(order: Order, now: Situation) -> float:
    """USDT that an order moves, at the prices of the row."""
    amount, token = abs(order.amount), order.token
    if order.verb is Verb.PERP:
        return amount * now.mark(order.venue)
    if order.verb is Verb.SPOT:
        return amount * now.spot_price(order.venue)
    if token == "USDT":
        return amount
    if token == now.lst:
        return amount * now.ratio * now.eth_usdt()
    if token in ETH_TOKENS:
        return amount * now.eth_usdt()
    if token == now.coin:
        return amount * now.reference()
    return amount * now.value_usdt(base_token(WALLET, token))
