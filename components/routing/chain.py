"""Chain stages: capital freed from, and put to work in, lending, staking and leverage."""

from collections.abc import Iterator

from components.model.keys import (
    WALLET,
    a_token,
    base_token,
    debt_token,
)
from components.model.orders import GroupKind, OrderGroup, Verb
from components.routing.plan import Stage, Urgency

BELOW_THE_LIMIT = 1.0 - 1e-9  # of what is lent: a loan at the limit itself is refused for a last digit


class ChainStage(Stage):
    """Withdraw and supply, stake and unstake, enter and leave leverage atomically."""

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
        if self._mode.exit_path == "queue" and self._plan.urgency is not Urgency.CRITICAL:
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
        premium = self._flash_premium()
        ltv = min(self._mode.target_ltv, now.run.chain.e_mode.ltv * BELOW_THE_LIMIT)
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
