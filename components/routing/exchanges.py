"""Exchange stages: pairs of spot and perp on one exchange, or shorts that hedge what is long on chain."""

from collections.abc import Callable, Iterator
from math import inf
from typing import TypeAlias

from components.hedge_room import easy, held, least_ratio, margin_usdt, utmost
from components.maths.costs import BP
from components.model.keys import (
    base_token,
)
from components.model.orders import GroupKind, Order, OrderGroup, Verb
from components.routing.plan import CASH_KEPT, FULL, HEDGE, REDUCE, Stage

NOTHING = 1e-6  # USDT: what rounding leaves of a position that was closed

Width: TypeAlias = Callable[[str, float], float]  # coins that may be short at a venue after some of its USDT is spent


class ExchangeStage(Stage):
    """Legs that leave together."""

    def _trade(self) -> Iterator[OrderGroup]:
        if not self._mode.hedge_allocation:
            return
        orders = self._pair_orders() if self._is_pairs() else self._hedge_orders()
        if orders:
            kind = GroupKind.TOGETHER if len(orders) > 1 else GroupKind.ONE
            yield self._group(kind, orders)

    def _pair_orders(self) -> list[Order]:
        orders: list[Order] = []
        for venue in self._mode.hedge_allocation:
            if (self._plan.venues is None or venue in self._plan.venues) and not self._waits(venue):
                orders += self._pair(venue)
        return orders

    def _waits(self, venue: str) -> bool:
        """Whether an order of the pair has an outcome that nobody knows yet: neither leg is touched until it has one,
        and the pairs of other venues are not held up."""
        coin, waiting = self._now.coin, self._now.open_legs()
        legs = [leg for verb in (Verb.SPOT, Verb.PERP) if (leg := f"{venue} {verb.value} {coin}") in waiting]
        if legs:
            self._wait(legs[0])
        return bool(legs)

    def _pair(self, venue: str) -> list[Order]:
        now, coin = self._now, self._now.coin
        coins, size = now.coins(venue), now.size(venue)
        wanted = self._target.of(base_token(venue, coin))
        price, mark = now.spot_price(venue), now.mark(venue)
        everything = wanted == 0.0
        if self._plan.scope == HEDGE:
            wanted, everything = coins, False
        elif self._plan.scope == REDUCE or self._refusals.refuses_short(venue, now):
            wanted = min(wanted, coins)
        elif wanted > coins:
            wanted = max(coins, min(wanted, self._affordable(venue, price)))
        hedged = wanted
        if wanted <= coins and (room := self._pair_room(venue)) < wanted:
            # Its short is not to be had yet: coins are sold first, for the margin of what stays.
            wanted = min(wanted, self._hedged_by_sale(venue, price, mark))
            hedged = min(wanted, room)
        change = -size if everything else self._round(venue, -hedged - size)
        if abs(change) * mark <= (NOTHING if everything else self._smallest(venue, "perp", size * change < 0.0)):
            change = 0.0
        after = -(size + change) if hedged == wanted else -self._round(venue, -wanted)
        spot_change = -coins if everything else after - coins
        small = NOTHING if everything else self._smallest(venue, "spot", False)
        if self._plan.scope == HEDGE or abs(spot_change) * price <= small:
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

    def _pair_room(self, venue: str) -> float:
        """Coins that may be short at a venue with the margin that is there now."""
        now = self._now
        return held(now, venue) if self._refusals.refuses_short(venue, now) else utmost(now, venue)

    def _hedged_by_sale(self, venue: str, price: float, mark: float) -> float:
        """Coins that can be hedged when the others are sold for margin."""
        now = self._now
        if self._refusals.refuses_short(venue, now):
            return held(now, venue)
        ratio = least_ratio(now, venue)
        worth = margin_usdt(now, venue)
        if self._mode.collateral == "usdt":
            worth += now.coins(venue) * price
        return max(worth, 0.0) / (ratio * mark + (price if self._mode.collateral == "usdt" else 0.0))

    def _affordable(self, venue: str, price: float) -> float:
        """Coins the account carries, spot and margin together; in a unified account its cash buys spot."""
        now = self._now
        cash = max(now.cash(venue), 0.0)
        costs = self._buying_costs(venue, cash)
        if self._mode.collateral == "unified":
            return now.coins(venue) + cash / price
        worth = now.account(venue) + now.coins(venue) * price
        carried = worth / (price * (1.0 + self._mode.margin_ratio_target))
        return min(carried, now.coins(venue) + cash / (price * (1.0 + costs)))

    def _hedge_orders(self) -> list[Order]:
        """Coins at the spot venue and shorts everywhere, so that the shorts equal what is long afterwards."""
        now, coin, plan = self._now, self._now.coin, self._plan
        wanted, total = self._shorts_wanted, self._short_wanted
        long = now.long_coins()
        spot_venue = self._mode.spot_venue or ""
        dex = spot_venue == "uniswap"
        pool = now.has_price(spot_venue)
        price = now.spot_price(spot_venue) if pool or not dex else now.reference()
        change, everything = 0.0, total == 0.0
        if plan.scope != HEDGE:
            available = now.wallet("ETH") if dex else now.coins(spot_venue)
            if everything:
                change = -max(available, 0.0)
            elif long - total > self._minimum / price:
                change = -min(long - total, max(available, 0.0))
            elif total - long > self._minimum / price and plan.scope == FULL:
                change = self._buyable(total, long, wanted, price, spot_venue, dex)
        small = self._minimum if dex else self._smallest(spot_venue, "spot", False)
        if change > 0.0 and not dex:  # coins that could not be sent on from there are of no use
            small = max(small, (self._least_sent(spot_venue) - now.coins(spot_venue)) * price)
        if abs(change) * price <= (NOTHING if everything else small):
            change = 0.0
        spent = {spot_venue: change * price} if change > 0.0 and not dex else {}
        perps = self._shorts(long + change, wanted, everything, spent)
        if not perps and change == 0.0:
            return []
        names = [f"{order.venue}.perp.{coin}" for order in perps]
        if change:
            names.append(f"{spot_venue if pool else 'binance'}.spot.{coin}")
        if stale := now.stale(*names):
            self._block(f"stale {', '.join(stale)}")
            return []
        if not change:
            return perps
        if dex:
            token, into = ("ETH", "USDT") if change < 0.0 else ("USDT", "ETH")
            amount = -change if change < 0.0 else self._swap_needs(change * price)
            return [self._order(Verb.SWAP, "uniswap", token, amount, "uniswap_spot", into=into), *perps]
        return [self._order(Verb.SPOT, spot_venue, coin, change, f"{spot_venue}_spot", everything=everything), *perps]

    def _least_sent(self, venue: str) -> float:
        """Coins of which the fee of sending them from an exchange is just within its bound; 0 where there is none."""
        bound, exchange = self._bound([Verb.TRANSFER]), self._now.run.exchanges.get(venue)
        if bound is None or exchange is None or self._mode.costs == "none":
            return 0.0
        return exchange.transfers[self._now.coin].fee / (bound * BP)

    def _buyable(
        self, total: float, long: float, wanted: dict[str, float], price: float, spot_venue: str, dex: bool
    ) -> float:
        """Coins to buy now: no more than the venues whose margin is there can hedge, and the cash can pay."""
        now = self._now
        calm = self._widths(long)[0]
        capacity = sum(min(amount, calm(venue, 0.0)) for venue, amount in wanted.items())
        margin = self._target.of(base_token(spot_venue, "USDT"))
        if dex:
            payable = now.wallet("USDT") * self._swap_keeps(now.wallet("USDT"))
        else:
            unrealised = now.account(spot_venue) - now.cash(spot_venue)
            kept = CASH_KEPT * wanted.get(spot_venue, 0.0) * price
            cash = now.cash(spot_venue) - max(margin - unrealised, kept)
            payable = cash / (1.0 + self._buying_costs(spot_venue, cash))
        return max(0.0, min(min(total, capacity) - long, payable / price))

    def _shares(self, long: float, wanted: dict[str, float], spent: dict[str, float]) -> dict[str, float]:
        """Coins to be short at each venue, in the proportions wanted as far as each carries its part. What a venue does
        not carry yet stays where it is short already, so that no hedge goes to a third venue in between. What nobody
        carries is hedged nowhere: it is said, and the long leg must shrink."""
        weights = wanted if sum(wanted.values()) > 0.0 else dict(self._mode.hedge_allocation)
        shares, left = dict.fromkeys(weights, 0.0), max(long, 0.0)
        if self._plan.scope != REDUCE:
            calm = self._widths(long)[0]
            parts = {venue: left * weight / sum(weights.values()) for venue, weight in weights.items()}
            room = {v: min(parts[v], max(calm(v, spent.get(v, 0.0)), 0.0)) for v in weights}
            left = _filled(shares, weights, room, left)
            stays = {v: max(min(held(self._now, v), calm(v, spent.get(v, 0.0))) - shares[v], 0.0) for v in weights}
            left = _filled(shares, stays, stays.copy(), left)
        for width in self._widths(long):
            room = {venue: max(width(venue, spent.get(venue, 0.0)) - shares[venue], 0.0) for venue in weights}
            left = _filled(shares, weights, room, left)
            if left <= 1e-12 * long:
                return shares
        if left > self._mode.max_delta_drift * long:
            self._skip(f"no venue has margin for the hedge of {left / long:.1%} of what is long")
        return shares

    def _widths(self, long: float) -> list[Width]:
        """How far shorts may go, narrow first. On the way out they stay what they are as long as that hedges what is
        left, and grow only where it is easy."""
        now = self._now

        def kept(venue: str, spent: float) -> float:
            return held(now, venue)

        def in_calm(venue: str, spent: float) -> float:
            return held(now, venue) if self._refusals.refuses_short(venue, now) else easy(now, venue, spent)

        def in_need(venue: str, spent: float) -> float:
            return held(now, venue) if self._refusals.refuses_short(venue, now) else utmost(now, venue, spent)

        if self._plan.scope != REDUCE:
            return [in_calm, in_need]
        short = sum(held(now, venue) for venue in self._mode.hedge_allocation)
        return [kept, in_calm] if long - short > self._mode.max_delta_drift * max(long, short) else [kept]

    def _shorts(self, long: float, wanted: dict[str, float], everything: bool, spent: dict[str, float]) -> list[Order]:
        now, coin = self._now, self._now.coin
        orders = []
        for venue, share in self._shares(long, wanted, spent).items():
            size, mark = now.size(venue), now.mark(venue)
            share = min(share, self._plan.cuts.get(venue, inf))
            close = everything and abs(long) * mark <= max(self._mode.minimum_trade_usdt, 1.0)
            change = -size if close else self._round(venue, -share - size)
            notional = abs(change) * mark
            if notional == 0.0:
                continue
            grows = abs(size + change) > abs(size)
            if notional <= (NOTHING if close else self._smallest(venue, "perp", not grows)):
                continue
            orders.append(
                self._order(Verb.PERP, venue, coin, change, f"{venue}_perp", reduce_only=not grows, everything=close)
            )
        return orders


def _filled(shares: dict[str, float], weights: dict[str, float], room: dict[str, float], left: float) -> float:
    """Adds to `shares` by weight as far as there is room; what is left over."""
    while left > 0.0 and (open_to := {v: weight for v, weight in weights.items() if weight > 0.0 and room[v] > 0.0}):
        whole, given = sum(open_to.values()), 0.0
        for venue, weight in open_to.items():
            part = min(left * weight / whole, room[venue])
            shares[venue] += part
            room[venue] -= part
            given += part
        if given >= left * (1.0 - 1e-12):
            return 0.0
        left -= given
    return left
