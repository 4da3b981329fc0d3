"""The smallest capital with which a mode can trade at its venues: below it legs would be left out, or nothing is done.

It follows from what venues and the mode ask of single orders (minimum notional, lots, `minimum_trade_usdt`), from what
the cost bounds of the mode let a step cost (gas, transfer fees), and from the gas and the reserve that are kept aside.
Prices are those of one row; the figure moves with them. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, floor

import msgspec

from components.maths.costs import BP, gas_eth, impact_fraction
from components.model.errors import Fault
from components.model.market import Row
from components.model.requirements import reference_price
from components.model.slices import RunSlice

GAS_SERIES = "ethereum.gas_price.gwei"
SPARE = 1.01  # over what is needed: room for costs on the way, and for the first move of prices


class Need(msgspec.Struct, frozen=True):
    """What one thing asks for, share-class currency, and what it is."""

    capital: float
    why: str


def smallest_capital(run: RunSlice, row: Row) -> Need:
    """The largest of all needs at the prices of `row`; 0 where trading costs nothing and takes any size."""
    if run.mode.costs == "none":
        return Need(0.0, "nothing has a minimum")
    return max(_needs(run, row), key=lambda need: need.capital)


def least_worth_holding(run: RunSlice, row: Row) -> Need:
    """The same for what is held already: gas and transfer fees of getting in are paid, and one dear hour of gas says
    nothing about what is held. Orders and lots still ask for as much."""
    if run.mode.costs == "none":
        return Need(0.0, "nothing has a minimum")
    return max(_needs(run, row, entering=False), key=lambda need: need.capital)


def too_small(run: RunSlice, row: Row, capital: float, where: str) -> Fault | None:
    """What is wrong with a capital that is too small, None when it is not."""
    least, currency = smallest_capital(run, row), run.mode.share_class
    if capital >= least.capital:
        return None
    venues = ", ".join(run.mode.hedge_allocation)
    at = f"{run.mode.mode} at {venues}" if venues else run.mode.mode
    return Fault(
        where=where,
        found=f"{capital:g} {currency}",
        expected=f"at least {_rounded_up(least.capital, currency)} {currency} for {at}: {least.why}",
    )


def _rounded_up(capital: float, currency: str) -> str:
    return f"{ceil(capital):,}" if currency == "USDT" else f"{ceil(capital * 1e4) / 1e4:g}"


def _needs(run: RunSlice, row: Row, *, entering: bool = True) -> Iterator[Need]:
    mode = run.mode
    free = 1.0 - mode.reserve_ratio
    if mode.share_class == "ETH":
        price = row.value(reference_price("ETH"))
        work, why = _chain_work(run, row, price, entering)
        kept = f"beside a gas_reserve of {mode.gas_reserve:g} ETH"
        yield Need(mode.gas_reserve + SPARE * work / price / free, f"{why}, {kept}")
        return
    if not mode.hedge_allocation:
        price = row.value(reference_price("ETH")) if reference_price("ETH") in row.market.columns else 1.0
        work, why = _chain_work(run, row, price, entering)
        yield Need(SPARE * work / free, why)
        return
    for need in _pairs(run, row, entering) if mode.lst_type is None else _staked(run, row, entering):
        yield Need(SPARE * need.capital / free, need.why)


def _pairs(run: RunSlice, row: Row, entering: bool) -> Iterator[Need]:
    """Per venue its share of the capital must carry one pair that the venue takes, margin included."""
    mode = run.mode
    for venue, weight in mode.hedge_allocation.items():
        spot, mark = row.value(f"{venue}.spot.{mode.asset}"), row.value(f"{venue}.perp.{mode.asset}")
        coins = max(_coins(run, venue, "perp", mark), _coins(run, venue, "spot", spot))
        margin = 0.0 if mode.collateral == "unified" else mode.margin_ratio_target
        capital = coins * spot * (1.0 + margin + _buying(run, venue))
        if entering and mode.initial_location == "wallet":
            capital = max(capital, _sending(run, row))
        yield Need(capital / weight, f"{weight:.1%} of it are a pair of {coins:g} {mode.asset} at {venue}")


def _staked(run: RunSlice, row: Row, entering: bool) -> Iterator[Need]:
    """The coins bought must make an order, a transfer and a stake that are worth it, and a short at every venue."""
    mode, coin = run.mode, run.mode.asset
    price = row.value(reference_price(coin))
    lots = 0.0
    for venue, weight in mode.hedge_allocation.items():
        mark = row.value(f"{venue}.perp.{coin}")
        coins = _coins(run, venue, "perp", mark)
        lots += run.exchanges[venue].instruments[f"perp.{coin}"].lot
        why = f"{weight:.1%} of the short are {coins:g} {coin} at {venue}"
        yield Need(coins * mark / weight / mode.stake_allocation, why)
        if entering and mode.initial_location == "wallet":
            margin = _sending(run, row) / weight / (1.0 - mode.stake_allocation)
            yield Need(margin, f"gas of sending its margin to {venue}")
    drift = lots * price / mode.max_delta_drift
    yield Need(drift / mode.stake_allocation, f"lots of {lots:g} {coin} must stay within max_delta_drift")
    exchange = run.exchanges.get(mode.spot_venue or "")
    if exchange is not None:
        spot = row.value(f"{exchange.name}.spot.{coin}")
        coins = _coins(run, exchange.name, "spot", spot)
        costs = 1.0 + _buying(run, exchange.name)
        yield Need(coins * spot * costs / mode.stake_allocation, f"a purchase of {coins:g} {coin} at {exchange.name}")
    if not entering:
        yield Need(
            mode.minimum_trade_usdt / mode.stake_allocation, f"minimum_trade_usdt is {mode.minimum_trade_usdt:g}"
        )
        return
    if exchange is not None:
        fee = exchange.transfers[coin].fee * price
        yield Need(
            fee / (mode.cost_bounds.transfer * BP) / mode.stake_allocation,
            f"a transfer from {exchange.name} costs {fee:.2f} USDT",
        )
    else:
        gas = _gas(run, row, "swap") * price
        least = gas / (mode.cost_bounds.routine * BP)
        yield Need(least / mode.stake_allocation, f"the gas of a swap is {gas:.2f} USDT")
    work, why = _chain_work(run, row, price, entering)
    yield Need(work / mode.stake_allocation, why)


def _chain_work(run: RunSlice, row: Row, price: float, entering: bool) -> tuple[float, str]:
    """USDT that must be put to work on chain so that its gas is within the bound and it is a trade at all, and why."""
    mode = run.mode
    if mode.lst_type is None:
        operation, times = "supply_first", 1.0
    else:
        operation, times = ("stake", 1.0) if mode.max_ltv is None else ("atomic_enter", mode.leverage)
    gas = _gas(run, row, operation) * price
    bound = gas / (mode.cost_bounds.routine * BP) / times
    if bound <= mode.minimum_trade_usdt or not entering:
        return mode.minimum_trade_usdt, f"minimum_trade_usdt is {mode.minimum_trade_usdt:g}"
    return bound, f"the gas of {operation} is {gas:.2f} USDT, at most {mode.cost_bounds.routine:g} bp of what it moves"


def _coins(run: RunSlice, venue: str, product: str, price: float) -> float:
    """The smallest whole lots above the minimum of the mode and of the venue."""
    instrument = run.exchanges[venue].instruments[f"{product}.{run.mode.asset}"]
    least = max(run.mode.minimum_trade_usdt, instrument.minimum_notional_usdt)
    return (floor(least / (instrument.lot * price) + 1e-9) + 1) * instrument.lot


def _buying(run: RunSlice, venue: str) -> float:
    """Fee and impact of a small purchase, fraction of its notional."""
    exchange = run.exchanges[venue]
    return exchange.spot_fees.taker + impact_fraction(1e4, exchange.spot_impact)


def _sending(run: RunSlice, row: Row) -> float:
    """USDT to send from the wallet so that the gas is within the bound of a transfer."""
    gas = _gas(run, row, "transfer") * row.value(reference_price("ETH"))
    return gas / (run.mode.cost_bounds.transfer * BP)


def _gas(run: RunSlice, row: Row, operation: str) -> float:
    """ETH of one operation at the gas price of the row."""
    return gas_eth(run.chain.gas_units[operation], row.value(GAS_SERIES) * run.chain.gas_price_buffer)
