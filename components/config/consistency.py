"""Level 5: files against each other. Venues are there, trade what the mode needs, and lend what it borrows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from components.config.availability import PUBLIC_SOURCES, expanded
from components.config.documents import Document, Problem, shown
from components.config.reading import is_known
from components.config.rules import borrows, stakes, target_ltv
from components.config.schema import (
    ChainFile,
    DexFile,
    ExchangeFile,
    FlashLoanFile,
    LendingFile,
    ModeFile,
    StakingFile,
    VenueFile,
)
from components.model.errors import nearest_name
from components.model.requirements import LST_PROTOCOL
from components.model.slices import filler_of


class Venues(msgspec.Struct, frozen=True):
    """The venue files by name, drafts included, with their documents."""

    files: Mapping[str, VenueFile]
    documents: Mapping[str, Document]

    @property
    def kinds(self) -> dict[str, str]:
        return {name: getattr(file, "kind", "") for name, file in self.files.items()}

    @property
    def exchanges(self) -> dict[str, ExchangeFile]:
        return {name: file for name, file in sorted(self.files.items()) if isinstance(file, ExchangeFile)}

    @property
    def lending(self) -> LendingFile | None:
        return next((file for file in self.files.values() if isinstance(file, LendingFile)), None)

    @property
    def chain(self) -> ChainFile | None:
        return next((file for file in self.files.values() if isinstance(file, ChainFile)), None)

    @property
    def dex(self) -> DexFile | None:
        return next((file for file in self.files.values() if isinstance(file, DexFile)), None)


def mode_problems(mode: ModeFile, venues: Venues) -> Iterator[Problem]:
    """Faults of the mode file that only show beside the venue files."""
    for keys, check in _CHECKS:
        if all(is_known(mode, key) for key in keys):
            yield from check(mode, venues)


def venue_problems(venues: Venues) -> Iterator[tuple[Document, Problem]]:
    """Faults between venue files: the flash loan source exists, each kind that there is one of is there."""
    for name, what in (("lending", venues.lending), ("chain", venues.chain), ("dex", venues.dex)):
        if what is None and venues.documents:
            some = next(iter(venues.documents.values()))
            yield some, Problem("", f"no venue file of kind {name}", f"one venue file with kind: {name}")
    sources = [name for name, file in venues.files.items() if isinstance(file, FlashLoanFile)]
    for name, file in venues.files.items():
        if isinstance(file, ChainFile) and is_known(file, "flash_venue") and file.flash_venue not in sources:
            yield (
                venues.documents[name],
                Problem(
                    "flash_venue",
                    shown(file.flash_venue),
                    f"one of {', '.join(sources)}",
                    nearest_name(file.flash_venue, sources),
                ),
            )


def _hedge_venues(mode: ModeFile, venues: Venues) -> Iterator[Problem]:
    for name in mode.hedge_allocation:
        exchange = venues.exchanges.get(name)
        if exchange is None:
            yield Problem(
                f"hedge_allocation.{name}",
                "no such exchange",
                f"one of {', '.join(venues.exchanges)}",
                nearest_name(name, venues.exchanges),
            )
        elif is_known(exchange, "instruments"):
            perps, spots = exchange.instruments.perp, exchange.instruments.spot
            traded = {"perp": mode.asset in perps, "spot": stakes(mode) or mode.asset in spots}
            for side, is_traded in traded.items():
                if not is_traded:
                    yield Problem(
                        f"hedge_allocation.{name}",
                        f"no {side} of {mode.asset} at {name}",
                        f"instruments.{side}.{mode.asset} in the file of {name}",
                    )


def _transfers(mode: ModeFile, venues: Venues) -> Iterator[Problem]:
    senders = {name: {"USDT"} for name in mode.hedge_allocation}
    if mode.spot_venue is not None:
        senders.setdefault(mode.spot_venue, set()).update({"USDT", mode.asset})
    for name, tokens in senders.items():
        exchange = venues.exchanges.get(name)
        if exchange is not None and is_known(exchange, "transfers"):
            for token in sorted(tokens - exchange.transfers.keys()):
                yield Problem(
                    "hedge_allocation", f"no transfers.{token} at {name}", f"transfers.{token} in the file of {name}"
                )


def _spot_venue(mode: ModeFile, venues: Venues) -> Iterator[Problem]:
    if mode.spot_venue is None:
        return
    able = [*venues.exchanges, *(name for name, kind in venues.kinds.items() if kind == "dex")]
    if mode.spot_venue not in able:
        yield Problem(
            "spot_venue", shown(mode.spot_venue), f"one of {', '.join(able)}", nearest_name(mode.spot_venue, able)
        )


def _staking(mode: ModeFile, venues: Venues) -> Iterator[Problem]:
    if mode.lst_type is None:
        return
    protocol = LST_PROTOCOL[mode.lst_type]
    file = venues.files.get(protocol)
    if not isinstance(file, StakingFile) or (is_known(file, "lst") and file.lst != mode.lst_type):
        yield Problem(
            "lst_type", shown(mode.lst_type), f"a venue file {protocol} with kind: staking, lst: {mode.lst_type}"
        )
    if venues.dex is not None and is_known(venues.dex, "pairs") and f"{mode.lst_type}/ETH" not in venues.dex.pairs:
        yield Problem("lst_type", shown(mode.lst_type), f"a pair {mode.lst_type}/ETH in the file of {venues.dex.venue}")


def _reserves(mode: ModeFile, venues: Venues) -> Iterator[Problem]:
    lending = venues.lending
    if lending is None or not is_known(lending, "reserves"):
        return
    for i, template in enumerate(mode.data_requirements):
        for name in expanded(template, mode) if "_index." in template else ():
            token = name.rsplit(".", 1)[-1]
            if token and token not in lending.reserves:
                yield Problem(
                    f"data_requirements.{i}",
                    shown(name),
                    f"a reserve of {', '.join(lending.reserves)}",
                    nearest_name(token, lending.reserves),
                )


def _leverage(mode: ModeFile, venues: Venues) -> Iterator[Problem]:
    lending = venues.lending
    if not borrows(mode) or mode.max_ltv is None or lending is None or not is_known(lending, "e_mode"):
        return
    limit, threshold, target = lending.e_mode.ltv, lending.e_mode.liquidation_threshold, target_ltv(mode)
    if not mode.max_ltv <= limit:
        yield Problem("max_ltv", f"{mode.max_ltv:g}", f"at most {limit:g}, e_mode.ltv of {lending.venue}")
    elif not target <= limit:
        yield Problem("max_stake_spread_move", shown(mode.max_stake_spread_move), f"a target LTV of at most {limit:g}")
    if not mode.risk.ltv.critical < threshold:
        yield Problem(
            "risk.ltv.critical",
            f"{mode.risk.ltv.critical:g}",
            f"less than {threshold:g}, e_mode.liquidation_threshold of {lending.venue}",
        )
    if mode.rebalance == "never":
        return
    if not mode.risk.ltv.warning > target:
        yield Problem(
            "risk.ltv.warning",
            f"{mode.risk.ltv.warning:g}",
            f"more than the target LTV {target:.4f}, or it fires at once",
        )
    distance = threshold / target - 1.0 if target > 0.0 else 1.0
    if not mode.risk.liquidation.warning < distance:
        yield Problem(
            "risk.liquidation.warning",
            f"{mode.risk.liquidation.warning:g}",
            f"less than {distance:.4f}, the distance at the target LTV, or it fires at once",
        )


def _fallback_venues(mode: ModeFile, venues: Venues) -> Iterator[Problem]:
    sources = {**venues.kinds, **PUBLIC_SOURCES}
    for wanted, instead in mode.price_fallback.items():
        for name in (wanted, instead):
            venue = name.split(".")[0]
            if venue not in sources:
                yield Problem(
                    f"price_fallback.{wanted}",
                    shown(name),
                    f"a venue of {', '.join(sources)}",
                    nearest_name(venue, sources),
                )
    substitute = filler_of(mode.funding_gap)
    if substitute and substitute not in venues.exchanges:
        yield Problem(
            "funding_gap",
            shown(mode.funding_gap),
            f"venue:<one of {', '.join(venues.exchanges)}>",
            nearest_name(substitute, venues.exchanges),
        )


_CHECKS = (
    (("hedge_allocation", "asset", "data_requirements"), _hedge_venues),
    (("hedge_allocation", "asset", "spot_venue"), _transfers),
    (("spot_venue",), _spot_venue),
    (("lst_type",), _staking),
    (("data_requirements", "lst_type", "asset", "hedge_allocation"), _reserves),
    (("max_ltv", "max_stake_spread_move", "risk.ltv", "risk.liquidation", "rebalance", "data_requirements"), _leverage),
    (("price_fallback", "funding_gap"), _fallback_venues),
)
