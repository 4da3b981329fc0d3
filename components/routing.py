"""Routing: from what is held to a target, as order groups, one stage at a time.

Theory of operation. A route is a generator. It yields a group; the tight loop executes it; the route then looks at the
book afresh and goes on. One pass goes: pay withdrawals → free capital on chain → trade on exchanges together → put
capital to work on chain → move cash and coins. Passes repeat until nothing is left to do now; what is still on its way
is picked up when it arrives. The route trades no stale leg and never leaves the two sides of a hedge apart: coins are
bought only against margin that is there, and sold together with the shorts that hedge them.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

import msgspec

from components.maths.costs import gas_eth, round_to_lot
from components.model.keys import (
    GAS,
    KING,
    RESERVE,
    WALLET,
    PositionKey,
    a_token,
    base_token,
    debt_token,
    perp,
)
from components.model.orders import Action, GroupKind, Order, OrderGroup, Verb
from components.model.requirements import reward_tokens
from components.situation import Situation
from components.strategies.strategy import Target

PASSES = 6
GAS_KEY = base_token(GAS, "ETH")
GAS_SERIES = "ethereum.gas_price.gwei"
FULL, REDUCE, HEDGE = "full", "reduce", "hedge"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Where to and how far: `scope` full, reduce (nothing grows) or hedge (perps only); `venues` None = all.

    `careful` keeps minimum trade sizes; a critical reduction and a full exit ignore them. `pay_out` is owed to the
    owner, share-class currency. `sell_dust` sells reward tokens on the way.
    """

    action: Action
    reason: str
    target: Target
    step: int
    scope: str = FULL
    venues: tuple[str, ...] | None = None
    careful: bool = True
    reserve: float = 0.0
    pay_out: float = 0.0
    from_reserve: bool = False
    sell_dust: bool = False
    repay_gas: bool = False


class Route:
    """The groups of one plan at one row."""

    def __init__(self, plan: Plan, now: Situation, run_id: str, owed: float) -> None:
        self._plan = plan
        self._now = now
        self._target = plan.target
        self._mode = now.mode
        self._run_id = run_id
        self._owed = owed
        self._groups = 0
        self._gas_bought = False
        self.blocked = False  # a leg was left out because its price is stale
        self.paid = 0.0
        self.skipped: list[str] = []
        self._minimum = now.mode.minimum_trade_usdt if plan.careful and now.mode.costs == "default" else 1e-6

    def groups(self) -> Iterator[OrderGroup]:
        for _ in range(PASSES):
            before = self._groups
            if self._plan.sell_dust:
                yield from self._dust()
            if self._plan.repay_gas:
                yield from self._gas()
            if self._plan.scope != HEDGE:
                yield from self._pay()
                yield from self._free_on_chain()
            yield from self._trade()
            if self._plan.scope == FULL:
                yield from self._work_on_chain()
            if self._plan.scope != HEDGE:
                yield from self._move()
            if self._groups == before:
                return

    # Withdrawals and dust

    def _pay(self) -> Iterator[OrderGroup]:
        currency = self._mode.share_class
        for venue in (RESERVE, WALLET):
            key = base_token(venue, currency)
            spare = self._now.held(key)
            if venue == RESERVE and not self._plan.from_reserve:
                spare -= self._plan.reserve
            amount = min(self._owed - self.paid, spare)
            if amount > 1e-9:
                self.paid += amount
                yield self._one(Verb.PAY_OUT, WALLET, currency, amount, f"pay_out_{venue}", source=key)

    def _dust(self) -> Iterator[OrderGroup]:
        into = self._mode.share_class
        for token in reward_tokens(self._mode):
            wrapped = self._now.held(base_token(KING, token))
            if self._now.stale(f"uniswap.eth_price.{token}"):
                self._skip(f"{token}: price is stale")
                continue
            if wrapped > 0.0:
                yield self._one(Verb.UNWRAP, WALLET, token, wrapped, f"unwrap_{token}")
            amount = self._now.wallet(token)
            if amount > 0.0:
                yield self._one(Verb.SWAP, "uniswap", token, amount, f"sell_{token}", into=into)

    def _gas(self) -> Iterator[OrderGroup]:
        """Gas debt bought back with spare cash, once per plan, the swap's own gas included; a gas reserve (ETH class)
        topped up from ETH at hand."""
        now = self._now
        if self._mode.share_class == "USDT":
            if self._gas_bought or now.gas() >= 0.0:
                return
            self._gas_bought = True
            cost = (self._swap_gas() - now.gas()) * now.row.value("binance.spot.ETH") * 1.01
            for venue in (WALLET, RESERVE):
                source = base_token(venue, "USDT")
                if cost > 1e-6 and now.held(source) >= cost:
                    order = self._order(Verb.SWAP, "uniswap", "USDT", cost, "repay_gas", into="ETH", source=source)
                    yield self._group(GroupKind.ONE, [msgspec.structs.replace(order, target=GAS_KEY)])
                    return
            if cost > 1e-6:
                self._skip("no spare USDT to repay the gas debt")
            return
        missing = self._mode.gas_reserve - now.gas()
        if missing <= 1e-9:
            return
        for venue in (WALLET, RESERVE):
            if now.held(base_token(venue, "ETH")) >= missing:
                order = self._order(Verb.TRANSFER, venue, "ETH", missing, "refill_gas")
                keys = {"source": base_token(venue, "ETH"), "target": GAS_KEY}
                yield self._group(GroupKind.ONE, [msgspec.structs.replace(order, **keys)])
                return
        self._skip("no spare ETH to refill the gas reserve")

    # Chain

    def _free_on_chain(self) -> Iterator[OrderGroup]:
        now, target = self._now, self._target
        over = now.lent() - target.of(a_token("USDT"))
        if over > self._minimum:
            everything = target.of(a_token("USDT")) == 0.0
            yield self._one(Verb.WITHDRAW, "aave_v3", "USDT", over, "withdraw_usdt", everything=everything)
        if now.lst is None or self._venue_scope():
            return
        if now.debt() > 0.0 or now.collateral() > 0.0:
            yield from self._deleverage()
        else:
            yield from self._unstake()

    def _unstake(self) -> Iterator[OrderGroup]:
        now, lst = self._now, self._now.lst or ""
        wanted = self._target.of(base_token(WALLET, lst))
        over = now.lst_in_wallet() - wanted
        if over * now.ratio * self._eth_usdt() <= self._minimum:
            return
        everything = wanted == 0.0
        if self._mode.exit_path == "queue":
            protocol = "etherfi" if lst == "weETH" else "lido"
            yield self._one(Verb.REQUEST_UNSTAKE, protocol, lst, over, "unstake", into="ETH", everything=everything)
        elif not self._stale_exit():
            yield self._one(Verb.SWAP, "uniswap", lst, over, "unstake", into="ETH", everything=everything)

    def _deleverage(self) -> Iterator[OrderGroup]:
        """Less collateral or less debt: one atomic group, flash borrow → repay → withdraw → swap → repay flash."""
        now, lst = self._now, self._now.lst or ""
        units, owed = self._target.of(a_token(lst)), self._target.of(debt_token("WETH"))
        less_lst, less_debt = now.collateral() - units, now.debt() - owed
        if max(less_lst * now.ratio, less_debt) * self._eth_usdt() <= self._minimum or less_debt < 0.0:
            return
        if self._stale_exit():
            return
        premium = self._flash_premium()
        due = less_debt * (1.0 + premium)
        less_lst = max(less_lst, now.units_for(due))
        everything = units == 0.0 and owed == 0.0
        less_lst = min(less_lst, now.collateral())
        orders = []
        flash = self._mode_flash()
        if less_debt > 0.0:
            orders += [
                self._order(Verb.FLASH_BORROW, flash, "WETH", less_debt, "flash_borrow"),
                self._order(Verb.REPAY, "aave_v3", "WETH", less_debt, "repay", everything=everything),
            ]
        orders += [
            self._order(Verb.WITHDRAW, "aave_v3", lst, less_lst, "withdraw_lst", everything=everything),
            self._order(Verb.SWAP, "uniswap", lst, less_lst, "swap_lst", into="ETH", everything=everything),
        ]
        if less_debt > 0.0:
            orders.append(self._order(Verb.FLASH_REPAY, flash, "WETH", due, "flash_repay"))
        yield self._group(GroupKind.ATOMIC, orders)

    def _work_on_chain(self) -> Iterator[OrderGroup]:
        now, target = self._now, self._target
        short = min(target.of(a_token("USDT")) - now.lent(), now.wallet("USDT") - (self._owed - self.paid))
        if short > self._minimum:
            yield self._one(Verb.SUPPLY, "aave_v3", "USDT", short, "supply_usdt")
        if now.lst is None:
            return
        if self._stale_ratio():
            return
        if self._mode.max_ltv is None:
            need = (target.of(base_token(WALLET, now.lst)) - now.lst_in_wallet()) * now.ratio
            amount = min(need, now.wallet("ETH"))
            if amount * self._eth_usdt() > self._minimum:
                protocol = "etherfi" if now.lst == "weETH" else "lido"
                yield self._one(Verb.STAKE, protocol, "ETH", amount, "stake", into=now.lst)
        else:
            yield from self._leverage()

    def _leverage(self) -> Iterator[OrderGroup]:
        """More collateral: one atomic group, flash borrow → stake → supply → borrow → repay flash."""
        now, lst = self._now, self._now.lst or ""
        more_eth = (self._target.of(a_token(lst)) - now.collateral()) * now.ratio
        more_debt = self._target.of(debt_token("WETH")) - now.debt()
        need = more_eth - more_debt
        small = self._minimum / self._eth_usdt()
        if more_eth <= small or more_debt < -small:
            return
        own = min(max(need, 0.0), max(now.wallet("ETH"), 0.0))
        if need > small and own <= small:
            return
        premium, ltv = self._flash_premium(), self._mode.target_ltv
        carried = (ltv * (now.collateral() * now.ratio + own) - now.debt()) / (1.0 - ltv * (1.0 - premium))
        flash = max(min(more_debt, carried), 0.0)  # never above the target LTV, whatever has arrived by now
        if own <= small and flash <= max(self._mode.position_deviation_threshold * now.debt(), small):
            return
        fee = flash * premium
        stake = own + flash - fee
        venue = self._mode_flash()
        protocol = "etherfi" if lst == "weETH" else "lido"
        orders = []
        if flash > 0.0:
            orders.append(self._order(Verb.FLASH_BORROW, venue, "WETH", flash, "flash_borrow"))
        orders += [
            self._order(Verb.STAKE, protocol, "ETH", stake, "stake", into=lst),
            self._order(Verb.SUPPLY, "aave_v3", lst, stake / now.ratio, "supply_lst", everything=True),
        ]
        if flash > 0.0:
            orders += [
                self._order(Verb.BORROW, "aave_v3", "WETH", flash, "borrow"),
                self._order(Verb.FLASH_REPAY, venue, "WETH", flash + fee, "flash_repay"),
            ]
        yield self._group(GroupKind.ATOMIC, orders)

    # Exchanges

    def _trade(self) -> Iterator[OrderGroup]:
        if not self._mode.hedge_allocation:
            return
        orders = self._pair_orders() if self._is_pairs() else self._hedge_orders()
        if orders:
            kind = GroupKind.TOGETHER if len(orders) > 1 else GroupKind.ONE
            yield self._group(kind, orders)

    def _is_pairs(self) -> bool:
        """Spot and perp live on the same exchange (basis), not coins on chain against shorts."""
        return self._now.lst is None

    def _pair_orders(self) -> list[Order]:
        orders: list[Order] = []
        for venue in self._mode.hedge_allocation:
            if self._plan.venues is None or venue in self._plan.venues:
                orders += self._pair(venue)
        return orders

    def _pair(self, venue: str) -> list[Order]:
        now, coin = self._now, self._now.coin
        held, size = now.coins(venue), now.size(venue)
        wanted = self._target.of(base_token(venue, coin))
        price, mark = now.spot_price(venue), now.mark(venue)
        everything = wanted == 0.0
        if self._plan.scope == HEDGE:
            wanted, everything = held, False
        elif self._plan.scope == REDUCE:
            wanted = min(wanted, held)
        elif wanted > held:
            wanted = max(held, min(wanted, self._affordable(venue, price)))
        change = -size if everything else self._round(venue, -wanted - size)
        if abs(change) * mark <= self._smallest(venue, "perp", size * change < 0.0) and not (everything and change):
            change = 0.0
        spot_change = -held if everything else -(size + change) - held
        small = abs(spot_change) * price <= self._smallest(venue, "spot", False)
        if self._plan.scope == HEDGE or (small and not everything):
            spot_change = 0.0
        if change == 0.0 and spot_change == 0.0:
            return []
        series = (f"{venue}.spot.{coin}", f"{venue}.perp.{coin}")
        if stale := now.stale(*series):
            self._block(f"{venue}: stale {', '.join(stale)}")
            return []
        orders = []
        if spot_change:
            orders.append(self._order(Verb.SPOT, venue, coin, spot_change, f"{venue}_spot", everything=everything))
        if change:
            reduces = size * change < 0.0
            orders.append(
                self._order(Verb.PERP, venue, coin, change, f"{venue}_perp", reduce_only=reduces, everything=everything)
            )
        return orders

    def _affordable(self, venue: str, price: float) -> float:
        """Coins the account carries, spot and margin together; in a unified account its cash buys spot."""
        now = self._now
        if self._mode.collateral == "unified":
            return now.coins(venue) + max(now.cash(venue), 0.0) / price
        worth = now.account(venue) + now.coins(venue) * price
        return worth / (price * (1.0 + self._mode.margin_ratio_target))

    def _hedge_orders(self) -> list[Order]:
        """Coins at the spot venue and shorts everywhere, so that the shorts equal what is long afterwards."""
        now, coin, plan = self._now, self._now.coin, self._plan
        wanted = {venue: -self._target.of(perp(venue, coin)) for venue in self._mode.hedge_allocation}
        total = sum(wanted.values())
        long = now.long_coins()
        spot_venue = self._mode.spot_venue or ""
        dex = spot_venue == "uniswap"
        price = now.reference() if dex else now.spot_price(spot_venue)
        change = 0.0
        if plan.scope != HEDGE:
            available = now.wallet("ETH") if dex else now.coins(spot_venue)
            if long - total > self._minimum / price:
                change = -min(long - total, max(available, 0.0))
            elif total - long > self._minimum / price and plan.scope == FULL:
                change = self._buyable(total, long, wanted, price, spot_venue, dex)
        everything = total == 0.0
        small = self._minimum if dex else self._smallest(spot_venue, "spot", False)
        if abs(change) * price <= (1e-6 if everything else small):
            change = 0.0
        perps = self._shorts(long + change, wanted, everything)
        if not perps and change == 0.0:
            return []
        names = [f"{order.venue}.perp.{coin}" for order in perps]
        if change:
            names.append(f"{'binance' if dex else spot_venue}.spot.{coin}")
        if stale := now.stale(*names):
            self._block(f"stale {', '.join(stale)}")
            return []
        if not change:
            return perps
        if dex:
            token, into = ("ETH", "USDT") if change < 0.0 else ("USDT", "ETH")
            amount = -change if change < 0.0 else change * price
            return [self._order(Verb.SWAP, "uniswap", token, amount, "uniswap_spot", into=into), *perps]
        return [self._order(Verb.SPOT, spot_venue, coin, change, f"{spot_venue}_spot", everything=everything), *perps]

    def _buyable(
        self, total: float, long: float, wanted: dict[str, float], price: float, spot_venue: str, dex: bool
    ) -> float:
        """Coins to buy now: no more than the venues whose margin is there can hedge, and the cash can pay."""
        now = self._now
        capacity = sum(amount for venue, amount in wanted.items() if self._ready(venue, amount))
        margin = self._target.of(base_token(spot_venue, "USDT"))
        if dex:
            cash = now.wallet("USDT")
        else:
            unrealised = now.account(spot_venue) - now.cash(spot_venue)
            cash = now.cash(spot_venue) - max(margin - unrealised, 0.0)
        return max(0.0, min(min(total, capacity) - long, cash / price))

    def _ready(self, venue: str, coins: float) -> bool:
        """Its margin has arrived, or it already carries a short."""
        margin = self._target.of(base_token(venue, "USDT"))
        return self._now.size(venue) != 0.0 or self._now.account(venue) >= 0.5 * margin

    def _shorts(self, long: float, wanted: dict[str, float], everything: bool) -> list[Order]:
        now, coin = self._now, self._now.coin
        ready = {venue: amount for venue, amount in wanted.items() if everything or self._ready(venue, amount)}
        weights = ready if sum(ready.values()) > 0.0 else dict(self._mode.hedge_allocation)
        whole = sum(weights.values())
        orders = []
        for venue, weight in weights.items():
            size = now.size(venue)
            close = everything and abs(long) * now.mark(venue) <= max(self._mode.minimum_trade_usdt, 1.0)
            change = -size if close else self._round(venue, -max(long, 0.0) * weight / whole - size)
            small = self._smallest(venue, "perp", size * change < 0.0)
            if abs(change) * now.mark(venue) <= small and not (close and change):
                continue
            if self._plan.scope == REDUCE and size * change > 0.0:
                continue
            if change:
                orders.append(
                    self._order(
                        Verb.PERP,
                        venue,
                        coin,
                        change,
                        f"{venue}_perp",
                        reduce_only=size * change < 0.0,
                        everything=close,
                    )
                )
        return orders

    # Cash and coins on the move

    def _move(self) -> Iterator[OrderGroup]:
        if self._mode.hedge_allocation:
            if not self._is_pairs():
                yield from self._move_coins()
            yield from self._move_cash()
        yield from self._refill_reserve()

    def _move_coins(self) -> Iterator[OrderGroup]:
        now, spot_venue = self._now, self._mode.spot_venue or ""
        if spot_venue == "uniswap":
            return
        need = self._chain_need()
        small = max(self._minimum, 1e-6) / self._eth_usdt()
        at_venue, in_wallet = now.coins(spot_venue), now.wallet("ETH")
        if need > small:
            missing = need - max(in_wallet, 0.0) - now.on_its_way(base_token(WALLET, "ETH"))
            amount = min(missing, at_venue)
            if amount > small and self._plan.scope == FULL and self._arrives(spot_venue, "ETH", amount):
                yield self._transfer(spot_venue, WALLET, "ETH", amount)
        elif in_wallet > small and now.long_coins() > -sum(self._perp_targets()) + small:
            yield self._transfer(WALLET, spot_venue, "ETH", in_wallet)

    def _move_cash(self) -> Iterator[OrderGroup]:
        """Surplus to deficit, largest need first by venue order; at most one transfer per pair."""
        now = self._now
        wallet_need = self._owed - self.paid - now.on_its_way(base_token(WALLET, "USDT"))
        wallet_need -= max(now.wallet("USDT"), 0.0)
        deficits: dict[str, float] = {}
        surplus: dict[str, float] = {}
        spare = now.wallet("USDT") - (self._owed - self.paid)
        if self._plan.scope == FULL:
            missing = self._plan.reserve - now.reserve()
            wallet_need += missing if missing > self._mode.position_deviation_threshold * self._plan.reserve else 0.0
            spare -= max(missing, 0.0)
        if self._mode.spot_venue == "uniswap":
            spare -= max(0.0, -sum(self._perp_targets()) - now.long_coins()) * now.reference()
        if spare > 0.0:
            surplus[WALLET] = spare
        if wallet_need > 0.0:
            deficits[WALLET] = wallet_need
        for venue in self._mode.hedge_allocation:
            gap, wanted = self._cash_gap(venue)
            bound = max(self._minimum, self._mode.position_deviation_threshold * wanted)
            if gap > bound:
                deficits[venue] = gap
            elif -gap > (bound if self._owed - self.paid <= 0.0 else self._minimum):
                surplus[venue] = min(-gap, self._withdrawable(venue))
        for sink, need in deficits.items():
            for source in surplus:
                amount = min(need, surplus[source])
                if amount <= self._minimum or source == sink or not self._arrives(source, "USDT", amount):
                    continue
                surplus[source] -= amount
                need -= amount
                yield self._transfer(source, sink, "USDT", amount)

    def _cash_gap(self, venue: str) -> tuple[float, float]:
        """(USDT missing at a venue, USDT wanted there), spot and pending purchases counted."""
        now, coin = self._now, self._now.coin
        wanted = self._target.of(base_token(venue, "USDT"))
        have = now.account(venue) + now.on_its_way(base_token(venue, "USDT"))
        if self._is_pairs():
            price = now.spot_price(venue)
            wanted += self._target.of(base_token(venue, coin)) * price
            have += now.coins(venue) * price
        elif venue == self._mode.spot_venue and self._plan.scope == FULL:
            wanted += max(0.0, -sum(self._perp_targets()) - now.long_coins()) * now.spot_price(venue)
        return wanted - have, wanted

    def _withdrawable(self, venue: str) -> float:
        """Cash that may leave without taking the margin ratio below its target."""
        now = self._now
        margin = self._mode.margin_ratio_target * abs(now.size(venue)) * now.mark(venue) if now.size(venue) else 0.0
        if self._mode.collateral == "unified":
            margin = 0.0
        return max(0.0, min(now.cash(venue), now.account(venue) - margin))

    def _refill_reserve(self) -> Iterator[OrderGroup]:
        """A wallet's own cash into the reserve: no venue, no cost, no delay."""
        currency = self._mode.share_class
        missing = self._plan.reserve - self._now.reserve()
        spare = self._now.wallet(currency) - (self._owed - self.paid)
        if currency == "ETH":
            spare = spare if self._now.lst else 0.0
        amount = min(missing, spare)
        if amount * self._eth_or_one() > max(self._minimum, 0.01 * self._plan.reserve * self._eth_or_one()):
            yield self._transfer(WALLET, RESERVE, currency, amount)

    # Small things

    def _perp_targets(self) -> list[float]:
        return [self._target.of(perp(venue, self._now.coin)) for venue in self._mode.hedge_allocation]

    def _chain_need(self) -> float:
        """ETH the chain leg still wants."""
        now, target = self._now, self._target
        lst = now.lst or ""
        if self._mode.max_ltv is None:
            return (target.of(base_token(WALLET, lst)) - now.lst_in_wallet()) * now.ratio
        more = (target.of(a_token(lst)) - now.collateral()) * now.ratio
        return more - (target.of(debt_token("WETH")) - now.debt())

    def _venue_scope(self) -> bool:
        return self._plan.venues is not None and self._is_pairs()

    def _swap_gas(self) -> float:
        """ETH that one swap costs at the gas price of the row."""
        if self._mode.costs == "none":
            return 0.0
        chain = self._now.run.chain
        return gas_eth(chain.gas_units["swap"], self._now.row.value(GAS_SERIES) * chain.gas_price_buffer)

    def _eth_usdt(self) -> float:
        return self._now.row.value("binance.spot.ETH") if "binance.spot.ETH" in self._now.row.market.columns else 1.0

    def _eth_or_one(self) -> float:
        return self._eth_usdt() if self._mode.share_class == "ETH" else 1.0

    def _stale_exit(self) -> bool:
        if self._mode.costs == "none":
            return self._stale_ratio()
        stale = self._now.stale(f"dex.ratio.{self._now.lst}")
        if stale:
            self._block(f"stale {', '.join(stale)}")
        return bool(stale)

    def _stale_ratio(self) -> bool:
        protocol = "etherfi" if self._now.lst == "weETH" else "lido"
        stale = self._now.stale(f"{protocol}.ratio.{self._now.lst}")
        if stale:
            self._block(f"stale {', '.join(stale)}")
        return bool(stale)

    def _skip(self, reason: str) -> None:
        if reason not in self.skipped:
            self.skipped.append(reason)

    def _block(self, reason: str) -> None:
        """A leg that waits for a fresh price: the plan stays under way."""
        self.blocked = True
        self._skip(reason)

    def _smallest(self, venue: str, product: str, reduces: bool) -> float:
        """USDT that a trade must exceed: ours, and the venue's own minimum unless it only reduces."""
        if reduces or self._mode.costs == "none":
            return self._minimum
        instrument = self._now.run.exchanges[venue].instruments[f"{product}.{self._now.coin}"]
        return max(self._minimum, instrument.minimum_notional_usdt)

    def _flash_premium(self) -> float:
        chain = self._now.run.chain
        return 0.0 if self._mode.costs == "none" else chain.flash_premium[chain.flash_venue]

    def _mode_flash(self) -> str:
        return self._now.run.chain.flash_venue

    def _round(self, venue: str, change: float) -> float:
        if self._mode.costs == "none":
            return change
        return round_to_lot(change, self._now.run.exchanges[venue].instruments[f"perp.{self._now.coin}"].lot)

    def _arrives(self, source: str, token: str, amount: float) -> bool:
        """Whether anything is left of a transfer after its fee."""
        if self._mode.costs == "none":
            return True
        exchange = self._now.run.exchanges.get(source)
        terms = self._now.run.chain.transfers if exchange is None else exchange.transfers
        return amount > terms[token].fee

    def _transfer(self, source: str, sink: str, token: str, amount: float) -> OrderGroup:
        keys = {"source": base_token(source, token), "target": base_token(sink, token)}
        order = self._order(Verb.TRANSFER, source, token, amount, f"{source}_to_{sink}")
        return self._group(GroupKind.ONE, [msgspec.structs.replace(order, **keys)])

    def _one(
        self,
        verb: Verb,
        venue: str,
        token: str,
        amount: float,
        leg: str,
        *,
        into: str | None = None,
        everything: bool = False,
        source: PositionKey | None = None,
    ) -> OrderGroup:
        order = self._order(verb, venue, token, amount, leg, into=into, everything=everything, source=source)
        return self._group(GroupKind.ONE, [order])

    def _order(
        self,
        verb: Verb,
        venue: str,
        token: str,
        amount: float,
        leg: str,
        *,
        into: str | None = None,
        everything: bool = False,
        reduce_only: bool = False,
        source: PositionKey | None = None,
    ) -> Order:
        content = f"{self._run_id}/{self._plan.step}/{self._groups}/{leg}/0"
        return Order(
            id=sha256(content.encode()).hexdigest()[:28],
            verb=verb,
            venue=venue,
            token=token,
            amount=amount,
            leg=leg,
            into_token=into,
            everything=everything,
            reduce_only=reduce_only,
            source=source,
        )

    def _group(self, kind: GroupKind, orders: list[Order]) -> OrderGroup:
        self._groups += 1
        return OrderGroup(
            id=f"{self._run_id}/{self._plan.step}/{self._groups}",
            kind=kind,
            action=self._plan.action,
            reason=self._plan.reason,
            orders=tuple(orders),
        )
