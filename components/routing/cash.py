"""Cash stages: withdrawals, dust, gas, and cash and coins on the move."""

from collections.abc import Iterator

import msgspec

from components.model.keys import (
    KING,
    RESERVE,
    WALLET,
    base_token,
)
from components.model.orders import Action, GroupKind, OrderGroup, Verb
from components.model.requirements import reward_tokens
from components.routing.plan import CASH_KEPT, FULL, GAS_KEY, Stage, Urgency

IDLE_CASH = "USDT in the wallet stay there: no venue lacks more of its cash than position_deviation_threshold"


class CashStage(Stage):
    """What is paid out, sold on the way, and sent from where it is to where it is wanted."""

    def _pay(self) -> Iterator[OrderGroup]:
        currency = self._mode.share_class
        if self._owed <= self.paid:
            return
        for venue in (WALLET, RESERVE):
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
        if refill := self._gas_refill(missing):
            yield refill
        else:
            self._skip("no spare ETH to refill the gas reserve")

    def _gas_refill(self, missing: float) -> OrderGroup | None:
        """ETH from the wallet or the reserve put by for gas; None when neither has it."""
        for venue in (WALLET, RESERVE):
            if self._now.held(base_token(venue, "ETH")) >= missing:
                order = self._order(Verb.TRANSFER, venue, "ETH", missing, "refill_gas")
                keys = {"source": base_token(venue, "ETH"), "target": GAS_KEY}
                return self._group(GroupKind.ONE, [msgspec.structs.replace(order, **keys)])
        return None

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
        owed = min(-now.gas(), now.wallet("ETH")) if self._plan.action is Action.EXIT_FULL else 0.0
        if owed * self._eth_usdt() > now.dust():  # leaving with nothing owed: coins that are here need not be bought
            order = self._order(Verb.TRANSFER, WALLET, "ETH", owed, "refill_gas")
            keys = {"source": base_token(WALLET, "ETH"), "target": GAS_KEY}
            yield self._group(GroupKind.ONE, [msgspec.structs.replace(order, **keys)])
        at_venue, in_wallet = now.coins(spot_venue), now.wallet("ETH")
        if need > small:
            missing = need - max(in_wallet, 0.0) - now.on_its_way(base_token(WALLET, "ETH"))
            amount = min(missing, at_venue)
            if amount > small and self._plan.scope == FULL and self._arrives(spot_venue, "ETH", amount):
                yield self._transfer(spot_venue, WALLET, "ETH", amount)
        elif in_wallet > small and now.long_coins() > self._short_wanted + small:
            yield self._transfer(WALLET, spot_venue, "ETH", in_wallet)

    def _move_cash(self) -> Iterator[OrderGroup]:
        """Surplus to deficit, largest need first by venue order; at most one transfer per pair."""
        now = self._now
        wallet_need = self._owed - self.paid - now.on_its_way(base_token(WALLET, "USDT"))
        wallet_need -= max(now.wallet("USDT"), 0.0)
        deficits: dict[str, float] = {}
        surplus: dict[str, float] = {}
        spare = now.wallet("USDT") - (self._owed - self.paid)
        missing = self._plan.reserve - now.reserve()
        wallet_need += missing if missing > self._mode.position_deviation_threshold * self._plan.reserve else 0.0
        spare -= max(missing, 0.0)
        if self._mode.spot_venue == "uniswap":
            spare -= max(0.0, self._short_wanted - now.long_coins()) * now.reference()
        if spare > 0.0:
            surplus[WALLET] = spare
        if wallet_need > 0.0:
            deficits[WALLET] = wallet_need
        buyer = now.buyer()
        for venue in (*self._mode.hedge_allocation, *(() if buyer is None else (buyer,))):
            gap, wanted = self._cash_gap(venue)
            bound = max(self._minimum, self._mode.position_deviation_threshold * wanted)
            if gap > bound:
                deficits[venue] = gap
            elif -gap > (bound if self._owed - self.paid <= 0.0 else self._minimum):
                surplus[venue] = min(-gap, self._withdrawable(venue))
        lack = sum(deficits.values()) - sum(surplus.values())
        if self._plan.urgency is Urgency.CRITICAL and self._mode.share_class == "USDT" and lack > 0.0 and deficits:
            lent = min(lack, now.reserve() - self._plan.reserve)
            if lent > self._minimum:
                yield self._transfer(RESERVE, WALLET, "USDT", lent)
                surplus[WALLET] = surplus.get(WALLET, 0.0) + lent
        for sink, need in deficits.items():
            for source in surplus:
                amount = min(need, surplus[source])
                if amount <= self._minimum or source == sink or not self._arrives(source, "USDT", amount):
                    continue
                surplus[source] -= amount
                need -= amount
                yield self._transfer(source, sink, "USDT", amount)
        idle = self._mode.costs == "default" and self._plan.careful and self._plan.scope == FULL and not deficits
        self.stays = [IDLE_CASH] if idle and surplus.get(WALLET, 0.0) > self._minimum else []

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
            wanted += max(0.0, self._short_wanted - now.long_coins()) * now.spot_price(venue)
        return wanted - have, wanted

    def _withdrawable(self, venue: str) -> float:
        """Cash that may leave without taking the margin ratio below what the plan aims at."""
        now = self._now
        if now.size(venue) == 0.0:
            return max(0.0, now.cash(venue))
        ratio = self._mode.margin_ratio_target if self._plan.margin_ratio is None else self._plan.margin_ratio
        margin = ratio * abs(now.size(venue)) * now.mark(venue)
        if self._mode.collateral == "unified":
            margin = 0.0
        kept = CASH_KEPT * abs(now.size(venue)) * now.mark(venue)
        return max(0.0, min(now.cash(venue) - kept, now.account(venue) - margin))

    def _refill_reserve(self) -> Iterator[OrderGroup]:
        """A wallet's own cash into the reserve: no venue, no cost, no delay."""
        currency = self._mode.share_class
        missing = self._plan.reserve - self._now.reserve()
        if missing <= 0.0:
            return
        spare = self._now.wallet(currency) - (self._owed - self.paid)
        if currency == "ETH":
            spare = spare if self._now.lst else 0.0
        amount = min(missing, spare)
        if amount * self._eth_or_one() > max(self._minimum, 0.01 * self._plan.reserve * self._eth_or_one()):
            yield self._transfer(WALLET, RESERVE, currency, amount)
