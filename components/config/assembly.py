"""Puts validated files together into the slices of a run. Nothing is checked here: `validation` has done that."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import msgspec

from components.config.availability import expanded
from components.config.consistency import Venues
from components.config.schema import (
    ChainFile,
    DexFile,
    ExchangeFile,
    FlashLoanFile,
    LendingFile,
    ModeFile,
    ShareClassFile,
    StakingFile,
)
from components.model.requirements import LST_PROTOCOL
from components.model.slices import CexSlice, ChainSlice, ModeSlice, RunSlice, ShareClassSlice


def assembled(mode: ModeFile, share_class: ShareClassFile, venues: Venues) -> RunSlice:
    """The run: only the exchanges it uses, its chain, and the hash of all that (where results go is no part of it)."""
    used = {*mode.hedge_allocation, mode.spot_venue}
    run = RunSlice(
        mode=mode_slice(mode),
        share_class=msgspec.convert(share_class.model_dump(), ShareClassSlice),
        exchanges={name: cex_slice(file) for name, file in venues.exchanges.items() if name in used},
        chain=chain_slice(mode, venues),
        config_hash="",
    )
    return msgspec.structs.replace(run, config_hash=config_hash(run))


def config_hash(run: RunSlice) -> str:
    """SHA-256 (hex) of the canonical merged configuration; order and spelling in the files do not matter."""
    return sha256(msgspec.json.encode(msgspec.structs.replace(run, config_hash=""), order="deterministic")).hexdigest()


def mode_slice(mode: ModeFile) -> ModeSlice:
    subscriptions = [key for template in mode.position_subscriptions for key in expanded(template, mode)]
    return msgspec.convert(
        mode.model_dump()
        | {
            # Venues are worked through in this order, so it must not depend on how the map was written.
            "hedge_allocation": dict(sorted(mode.hedge_allocation.items())),
            "position_subscriptions": list(dict.fromkeys(subscriptions)),
        },
        ModeSlice,
    )


def cex_slice(exchange: ExchangeFile) -> CexSlice:
    keys = exchange.model_dump()
    instruments = {
        f"{product}.{coin}": {"venue": exchange.venue, "product": product, "coin": coin, **terms}
        for product, coins in sorted(keys["instruments"].items())
        for coin, terms in sorted(coins.items())
    }
    return msgspec.convert(keys | {"name": exchange.venue, "instruments": instruments}, CexSlice)


def chain_slice(mode: ModeFile, venues: Venues) -> ChainSlice:
    """Terms of the protocols, with the gas of the staked token that the mode holds and of its flash loan source."""
    lending, chain, dex = _one(venues, LendingFile), _one(venues, ChainFile), _one(venues, DexFile)
    flash = {name: file for name, file in sorted(venues.files.items()) if isinstance(file, FlashLoanFile)}
    gas: dict[str, float] = {
        **chain.gas_units.model_dump(),
        **lending.gas_units.model_dump(),
        **dex.gas_units.model_dump(),
    }
    if mode.lst_type is not None:
        staking = venues.files[LST_PROTOCOL[mode.lst_type]]
        assert isinstance(staking, StakingFile)
        gas |= {name: units for name, units in staking.gas_units.model_dump().items() if units is not None}
        atomic = flash[chain.flash_venue].gas_units.model_dump()
        gas |= {name: by_lst[mode.lst_type] for name, by_lst in atomic.items()}
    terms: Mapping[str, Any] = {
        "e_mode": lending.e_mode.model_dump(),
        "reserves": {token: reserve.model_dump() for token, reserve in sorted(lending.reserves.items())},
        "reserve_factors": {token: reserve.reserve_factor for token, reserve in sorted(lending.reserves.items())},
        "liquidation_protocol_fee": lending.liquidation_protocol_fee,
        "close_factor_hf": lending.close_factor_hf,
        "full_close_below_usd": lending.full_close_below_usd,
        "flash_premium": {name: file.premium for name, file in flash.items()},
        "flash_venue": chain.flash_venue,
        "gas_units": dict(sorted(gas.items())),
        "gas_price_buffer": chain.gas_price_buffer,
        "swap_fee": {pair: terms.fee for pair, terms in sorted(dex.pairs.items())},
        "swap_impact": {pair: terms.impact.model_dump() for pair, terms in sorted(dex.pairs.items())},
        "transfers": {token: terms.model_dump() for token, terms in sorted(chain.transfers.items())},
    }
    return msgspec.convert(terms, ChainSlice)


def _one(venues: Venues, kind: type[Any]) -> Any:
    return next(file for file in venues.files.values() if isinstance(file, kind))
