"""What simulated venues charge: one place, so that `costs: none` means none everywhere."""

from __future__ import annotations

from math import inf

from components.maths.costs import gas_eth, impact_fraction, notional_within
from components.model.keys import VenueName
from components.model.market import Row
from components.model.orders import Cost, CostKind, Verb
from components.model.requirements import reference_price
from components.model.slices import RunSlice, TransferTerms

FREE = TransferTerms(fee=0.0, delay_minutes=0.0)
GAS_SERIES = "ethereum.gas_price.gwei"


class CostModel:
    """Fees, impact, gas and delays of a run; `waive_delays` makes transfers arrive at once (a closing run)."""

    def __init__(self, run: RunSlice) -> None:
        self._run = run
        self.free = run.mode.costs == "none"
        self.waive_delays = False

    def spot_impact(self, venue: VenueName, notional_usdt: float) -> float:
        return 0.0 if self.free else impact_fraction(notional_usdt, self._run.exchanges[venue].spot_impact)

    def perp_impact(self, venue: VenueName, notional_usdt: float) -> float:
        return 0.0 if self.free else impact_fraction(notional_usdt, self._run.exchanges[venue].perp_impact)

    def notional_within(self, venue: VenueName, verb: Verb, fraction: float) -> float:
        """The largest notional, USDT, that trades within `fraction` of the known price."""
        if self.free:
            return inf if fraction >= 0.0 else 0.0
        exchange = self._run.exchanges[venue]
        return notional_within(fraction, exchange.spot_impact if verb is Verb.SPOT else exchange.perp_impact)

    def spot_fee(self, venue: VenueName) -> float:
        return 0.0 if self.free else self._run.exchanges[venue].spot_fees.taker

    def perp_fee(self, venue: VenueName) -> float:
        return 0.0 if self.free else self._run.exchanges[venue].perp_fees.taker

    def liquidation_fee(self, venue: VenueName) -> float:
        """Charged even when costs are none: a liquidation is an event of the venue, not a cost of trading."""
        return self._run.exchanges[venue].liquidation_fee

    def swap_keeps(self, pair: str, notional_usdt: float) -> float:
        """What is left of one unit after pool fee and impact."""
        if self.free:
            return 1.0
        chain = self._run.chain
        return (1.0 - chain.swap_fee[pair]) * (1.0 - impact_fraction(notional_usdt, chain.swap_impact[pair]))

    def lst_market_rate(self, row: Row, lst: str, protocol_rate: float) -> float:
        """ETH per LST on the market; the protocol rate when costs are none (no exit discount)."""
        return protocol_rate if self.free else row.value(f"dex.ratio.{lst}")

    def flash_premium(self, venue: VenueName) -> float:
        return 0.0 if self.free else self._run.chain.flash_premium[venue]

    def gas(self, row: Row, operation: str) -> tuple[Cost, ...]:
        """Gas of one operation in ETH."""
        if self.free:
            return ()
        units = self._run.chain.gas_units[operation]
        price = row.value(GAS_SERIES) * self._run.chain.gas_price_buffer
        return (Cost(CostKind.GAS, "ETH", gas_eth(units, price)),)

    def transfer(self, source: VenueName, token: str) -> TransferTerms:
        """Terms of sending `token` away from `source`; exchanges that list no terms for it refuse (KeyError)."""
        if self.free:
            return FREE
        exchange = self._run.exchanges.get(source)
        terms = (exchange.transfers if exchange is not None else self._run.chain.transfers)[token]
        return TransferTerms(terms.fee, 0.0) if self.waive_delays else terms

    def queue_days(self) -> float:
        return 0.0 if self.free or self.waive_delays else self._run.mode.exit_queue_days

    def eth_usdt(self, row: Row) -> float:
        """USDT per ETH; 1 when the market has no such series (nothing then depends on it)."""
        name = reference_price("ETH")
        return row.value(name) if name in row.market.columns else 1.0
