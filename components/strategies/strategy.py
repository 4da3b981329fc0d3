"""What a mode may see and say: it sees prices and equity, it names a destination.

A target holds *underlying* amounts: LST units with interest, debt in ETH. For an exchange's USDT it is the account
equity wanted there (cash + unrealised), because that is what margin is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import msgspec

from components.maths.staking import lst_units
from components.model.keys import RESERVE, WALLET, PositionKey, a_token, base_token, debt_token, perp
from components.model.slices import ModeSlice


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Prices of one row. `reference` is USDT per coin of the asset, `ratio` ETH per LST by the protocol."""

    spot: Mapping[str, float]
    mark: Mapping[str, float]
    reference: float
    ratio: float


class Target(msgspec.Struct, frozen=True):
    """The holdings wanted, underlying units by key; what is not named is wanted at 0."""

    holdings: Mapping[PositionKey, float]

    def of(self, key: PositionKey) -> float:
        return self.holdings.get(key, 0.0)

    def scaled(self, share: float) -> Target:
        return Target({key: amount * share for key, amount in self.holdings.items()})


NOTHING = Target({})


class Strategy(ABC):
    """One mode's idea. Target minus current, thresholds, splitting and routes belong to the strategy manager."""

    def __init__(self, mode: ModeSlice) -> None:
        self.mode = mode

    @abstractmethod
    def target(self, equity: float, view: View) -> Target:
        """The holdings for `equity` (share-class currency, reserve already taken off) at the prices of `view`."""

    @abstractmethod
    def places(self, equity: float) -> Mapping[PositionKey, float]:
        """Where the cash for `equity` is needed before the entry."""

    def initial(self, capital: float, gas_reserve: float) -> dict[PositionKey, float]:
        """Balances a run starts from: reserve, gas (ETH class) and the rest where `initial_location` says."""
        currency = self.mode.share_class
        gas = gas_reserve if currency == "ETH" else 0.0
        reserve = (capital - gas) * self.mode.reserve_ratio
        rest = capital - gas - reserve
        balances: dict[PositionKey, float] = {}
        if reserve:
            balances[base_token(RESERVE, currency)] = reserve
        if gas:
            balances[base_token("gas", "ETH")] = gas
        if self.mode.initial_location == "wallet":
            balances[base_token(WALLET, currency)] = rest
        else:
            balances.update(self.places(rest))
        return balances


def staked_leg(mode: ModeSlice, equity_eth: float, ratio: float) -> dict[PositionKey, float]:
    """LST (and debt, when the mode borrows) that `equity_eth` supports: `E·L` collateral, `E·(L − 1)` debt."""
    lst = mode.lst_type or ""
    if mode.max_ltv is None:
        return {base_token(WALLET, lst): lst_units(equity_eth, ratio)}
    return {
        a_token(lst): lst_units(equity_eth * mode.leverage, ratio),
        debt_token("WETH"): equity_eth * (mode.leverage - 1.0),
    }


def hedge_leg(mode: ModeSlice, coin: float) -> dict[PositionKey, float]:
    """Shorts of `coin` coins split by `hedge_allocation`."""
    return {perp(venue, mode.asset): -coin * weight for venue, weight in mode.hedge_allocation.items()}
