"""Which class plays which mode: the only place that knows all seven names."""

from __future__ import annotations

from components.model.errors import CFG_INVALID, Fault, InvalidInput, nearest_name
from components.model.slices import ModeSlice
from components.strategies.basis import Basis
from components.strategies.lending import PureLending
from components.strategies.neutral import MarketNeutral
from components.strategies.staking import Staking
from components.strategies.strategy import Strategy

STRATEGIES: dict[str, type[Strategy]] = {
    "pure_lending": PureLending,
    "btc_basis": Basis,
    "eth_basis": Basis,
    "eth_staking_only": Staking,
    "eth_leveraged": Staking,
    "usdt_market_neutral_no_leverage": MarketNeutral,
    "usdt_market_neutral": MarketNeutral,
}


def make_strategy(mode: ModeSlice) -> Strategy:
    """A fresh strategy for `mode`; InvalidInput(CFG-001) names the nearest mode when there is none of that name."""
    try:
        return STRATEGIES[mode.mode](mode)
    except KeyError:
        fault = Fault(
            where="mode", found=mode.mode, expected=", ".join(STRATEGIES), nearest=nearest_name(mode.mode, STRATEGIES)
        )
        raise InvalidInput(CFG_INVALID, (fault,)) from None
