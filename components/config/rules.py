"""Levels 2 and 3 for mode files: rules between keys, and what a mode must and must not be.

A rule is a function from a file to problems, with the keys it looks at; it is skipped while one of them is faulty. No
rule names a mode: what a mode is follows from its keys. It *stakes* when its data requirements ask for `{lst}`,
*borrows* when they ask for a `borrow_index`, *hedges* when `hedge_allocation` is not empty.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, TypeVar

from pydantic import BaseModel

from components.config.documents import Problem, shown
from components.config.reading import is_known
from components.config.schema import LimitKeys, ModeFile, ShareClassFile
from components.model.requirements import LST_PROTOCOL, REWARD_TOKENS
from components.model.slices import filler_of

File = TypeVar("File", bound=BaseModel)
Rule = tuple[tuple[str, ...], Callable[[File], Iterator[Problem]]]

WEIGHT_TOLERANCE = 1e-9
RISING_LIMITS = ("risk.ltv", "risk.delta", "risk.max_drawdown", "risk.max_daily_loss", "divergence_alarm")
FALLING_LIMITS = ("risk.margin", "risk.liquidation")
_ACCEPTED = re.compile(r"[a-z0-9_]+\.[a-z_]+\.[A-Za-z0-9]+(?:@(\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?Z))?")
_VENUE_KIND = re.compile(r"[a-z0-9_]+\.[a-z_]+")


def broken(rules: tuple[Rule[File], ...], file: File) -> Iterator[Problem]:
    """Problems of all rules whose keys are known."""
    for keys, check in rules:
        if all(is_known(file, key) for key in keys):
            yield from check(file)


def stakes(mode: ModeFile) -> bool:
    return any("{lst" in template for template in mode.data_requirements)


def borrows(mode: ModeFile) -> bool:
    return any(".borrow_index." in template for template in mode.data_requirements)


def hedges(mode: ModeFile) -> bool:
    return bool(mode.hedge_allocation)


def target_ltv(mode: ModeFile) -> float:
    return (mode.max_ltv or 0.0) * (1.0 - (mode.max_stake_spread_move or 0.0))


# Level 2: business rules


def _weights_sum_to_one(mode: ModeFile) -> Iterator[Problem]:
    total = sum(mode.hedge_allocation.values())
    if mode.hedge_allocation and not abs(total - 1.0) <= WEIGHT_TOLERANCE:
        weights = ", ".join(f"{venue} {weight:g}" for venue, weight in mode.hedge_allocation.items())
        yield Problem("hedge_allocation", f"weights that sum to {total:.12g} ({weights})", "weights that sum to 1")


def _limits_in_order(path: str, *, rising: bool) -> Callable[[ModeFile], Iterator[Problem]]:
    def check(mode: ModeFile) -> Iterator[Problem]:
        limit: LimitKeys = _at(mode, path)
        if not (limit.warning < limit.critical if rising else limit.warning > limit.critical):
            way = "below critical: the measure rises" if rising else "above critical: the measure falls"
            found = f"warning {limit.warning:g}, critical {limit.critical:g}"
            yield Problem(path, found, f"warning {way} towards danger")

    return check


def _target_inside_band(mode: ModeFile) -> Iterator[Problem]:
    band, target = mode.margin_ratio_band, mode.margin_ratio_target
    if not band.low < target < band.high:
        yield Problem(
            "margin_ratio_band",
            f"low {band.low:g}, high {band.high:g}",
            f"low < margin_ratio_target ({target:g}) < high",
        )


def _margin_warning_below_target(mode: ModeFile) -> Iterator[Problem]:
    warning = mode.risk.margin.warning
    if hedges(mode) and not warning < mode.margin_ratio_target:
        yield Problem(
            "risk.margin.warning",
            f"{warning:g}",
            f"less than margin_ratio_target ({mode.margin_ratio_target:g}), or it fires right after entry",
        )


def _cost_bounds_in_order(mode: ModeFile) -> Iterator[Problem]:
    bounds = mode.cost_bounds
    if not bounds.unwind <= bounds.warning:
        yield Problem(
            "cost_bounds.unwind",
            f"{bounds.unwind:g}",
            f"no more than warning ({bounds.warning:g}): in danger it may cost more",
        )
    if not bounds.routine <= bounds.warning:
        yield Problem(
            "cost_bounds.warning",
            f"{bounds.warning:g}",
            f"at least routine ({bounds.routine:g}): a warning may cost more",
        )


def _price_caps_widen(mode: ModeFile) -> Iterator[Problem]:
    steps = mode.price_caps.emergency
    if any(after <= before for before, after in itertools.pairwise(steps)):
        yield Problem("price_caps.emergency", shown(steps), "steps that widen: each more than the one before")


def _funding_gap_grammar(mode: ModeFile) -> Iterator[Problem]:
    if mode.funding_gap not in ("refuse", "skip") and not re.fullmatch(r"venue:[a-z0-9_]+", mode.funding_gap):
        yield Problem("funding_gap", shown(mode.funding_gap), "refuse, skip or venue:<name>")


def _funding_bounds_of_hedges(mode: ModeFile) -> Iterator[Problem]:
    for key in ("funding_largest", "funding_median"):
        bounds: dict[str, float] = getattr(mode.plausible, key)
        filling = filler_of(mode.funding_gap)
        venues = dict.fromkeys([*mode.hedge_allocation, *([filling] if filling else [])])
        if missing := [venue for venue in venues if venue not in bounds]:
            yield Problem(f"plausible.{key}", f"nothing for {', '.join(missing)}", "a bound for every venue of funding")


def _accepted_grammar(mode: ModeFile) -> Iterator[Problem]:
    for name in mode.plausible.accepted:
        match = _ACCEPTED.fullmatch(name)
        if match is None or not _is_moment(match[1]):
            expected = "a series like okx.perp.ETH, or one row of it like okx.perp.ETH@2024-10-28T21:00Z"
            yield Problem("plausible.accepted", repr(name), expected)


def _is_moment(text: str | None) -> bool:
    if text is None:
        return True
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _price_fallback_grammar(mode: ModeFile) -> Iterator[Problem]:
    for wanted, instead in mode.price_fallback.items():
        path = f"price_fallback.{wanted}"
        if not (_VENUE_KIND.fullmatch(wanted) and _VENUE_KIND.fullmatch(instead)):
            yield Problem(path, shown(instead), "venue.kind: venue.kind, e.g. okx.spot: binance.spot")
        elif wanted == instead or wanted.split(".")[1] != instead.split(".")[1]:
            # A perp priced as spot would have no basis at all, and nobody would notice.
            yield Problem(path, shown(instead), "the same kind of price at another venue")


def _named_once(path: str) -> Callable[[ModeFile], Iterator[Problem]]:
    def check(mode: ModeFile) -> Iterator[Problem]:
        names: list[str] = _at(mode, path)
        for name in dict.fromkeys(name for name in names if names.count(name) > 1):
            yield Problem(path, f"{name!r} {names.count(name)} times", "each name once")

    return check


# Level 3: mode rules


def _lst_where_staked(mode: ModeFile) -> Iterator[Problem]:
    if stakes(mode) and mode.lst_type is None:
        yield Problem("lst_type", "null", f"one of {', '.join(LST_PROTOCOL)}: this mode stakes")
    if not stakes(mode) and mode.lst_type is not None:
        yield Problem("lst_type", shown(mode.lst_type), "null: this mode stakes nothing")


def _stake_share(mode: ModeFile) -> Iterator[Problem]:
    share = mode.stake_allocation
    if not stakes(mode) and share != 0.0:
        yield Problem("stake_allocation", f"{share:g}", "0: this mode stakes nothing")
    elif stakes(mode) and not hedges(mode) and share != 1.0:
        yield Problem("stake_allocation", f"{share:g}", "1: without a hedge there is no margin to keep")
    elif stakes(mode) and hedges(mode) and not 0.0 < share < 1.0:
        yield Problem("stake_allocation", f"{share:g}", "more than 0 and less than 1: the rest is margin")


def _leverage_keys(mode: ModeFile) -> Iterator[Problem]:
    for key in ("max_ltv", "max_stake_spread_move"):
        value = getattr(mode, key)
        if borrows(mode) and value is None:
            yield Problem(key, "null", "a number: this mode borrows")
        if not borrows(mode) and value is not None:
            yield Problem(key, shown(value), "null: this mode does not borrow")


def _rewards_of_the_lst(mode: ModeFile) -> Iterator[Problem]:
    if REWARD_TOKENS[mode.rewards_mode] and mode.lst_type != "weETH":
        yield Problem(
            "rewards_mode",
            shown(mode.rewards_mode),
            f"base_only: {mode.lst_type or 'a mode without staking'} receives no EIGEN or ETHFI, only weETH does",
        )


def _spot_venue(mode: ModeFile) -> Iterator[Problem]:
    if stakes(mode) and hedges(mode) and mode.spot_venue is None:
        yield Problem("spot_venue", "null", "an exchange or uniswap: this mode buys coin and takes it on-chain")
    if not (stakes(mode) and hedges(mode)) and mode.spot_venue is not None:
        why = "a basis leg buys where its perp is" if hedges(mode) else "this mode buys no coin"
        yield Problem("spot_venue", shown(mode.spot_venue), f"null: {why}")


def _collateral(mode: ModeFile) -> Iterator[Problem]:
    if mode.collateral == "unified" and (stakes(mode) or not hedges(mode)):
        yield Problem("collateral", "'unified'", "usdt: no coin of this mode stays at the exchange")


def _enabled_risks(mode: ModeFile) -> Iterator[Problem]:
    meaningless = {
        "cex_margin": not hedges(mode),
        "delta": not hedges(mode),
        "ltv": not borrows(mode),
        "liquidation": not borrows(mode),
    }
    for name in mode.risk.enabled:
        if meaningless[name]:
            yield Problem("risk.enabled", repr(name), f"not {name}: this mode {_lacks(name)}")


def _lacks(risk: str) -> str:
    return "has no perp" if risk in ("cex_margin", "delta") else "borrows nothing"


def _parts_are_enabled(mode: ModeFile) -> Iterator[Problem]:
    reasons = {"transaction_costs": "every mode trades"}
    if mode.share_class == "USDT":
        reasons["delta"] = "a USDT share class carries a gas debt in ETH"
    if hedges(mode):
        reasons |= {"funding": "it holds perps", "basis": "it holds perps", "liquidation": "perps can be liquidated"}
    if mode.collateral == "unified":
        reasons["borrow_costs"] = "a unified account pays interest on negative USDT"
    if stakes(mode):
        reasons["staking_yield_oracle"] = "it stakes"
    if REWARD_TOKENS[mode.rewards_mode]:
        reasons |= {"staking_yield_rewards": f"rewards_mode is {mode.rewards_mode}", "dust": "rewards arrive as dust"}
    if borrows(mode):
        reasons |= {
            "supply_yield": "its collateral is supplied",
            "borrow_costs": "it borrows",
            "liquidation": "its collateral can be liquidated",
        }
    if any(".supply_index." in template for template in mode.data_requirements):
        reasons["supply_yield"] = "it supplies to a lending protocol"
    for part, reason in reasons.items():
        if part not in mode.pnl.parts:
            yield Problem("pnl.parts", f"no {part}", f"{part} among them: {reason}")


def share_class_problems(mode: ModeFile, share_class: ShareClassFile) -> Iterator[Problem]:
    """What the share class demands of a mode that uses it."""
    if not all(is_known(mode, key) for key in ("hedge_allocation", "asset", "pnl.reporting_currency")):
        return
    weights = ", ".join(f"{venue} {weight:g}" for venue, weight in mode.hedge_allocation.items())
    if share_class.hedged == "forbidden" and hedges(mode):
        yield Problem(
            "hedge_allocation", weights, f"{{}}: a mode of the {share_class.currency} share class is never hedged"
        )
    if share_class.hedged == "required" and mode.asset != share_class.currency and not hedges(mode):
        yield Problem(
            "hedge_allocation",
            "{}",
            f"weights per exchange: {mode.asset} in a {share_class.currency} share class is always hedged",
        )
    if mode.asset == share_class.currency and share_class.hedged == "required" and hedges(mode):
        yield Problem("hedge_allocation", weights, f"{{}}: {mode.asset} needs no hedge in its own currency")
    if mode.asset not in share_class.assets:
        yield Problem(
            "asset", shown(mode.asset), f"one of {', '.join(share_class.assets)} (share class {share_class.name})"
        )
    if mode.pnl.reporting_currency != share_class.currency:
        yield Problem(
            "pnl.reporting_currency",
            shown(mode.pnl.reporting_currency),
            f"{share_class.currency}, the currency of share class {share_class.name}",
        )


def _at(model: BaseModel, path: str) -> Any:
    value: Any = model
    for name in path.split("."):
        value = getattr(value, name)
    return value


_KIND = ("hedge_allocation", "data_requirements")

BUSINESS_RULES: tuple[Rule[ModeFile], ...] = (
    (("hedge_allocation",), _weights_sum_to_one),
    *(((path,), _limits_in_order(path, rising=True)) for path in RISING_LIMITS),
    *(((path,), _limits_in_order(path, rising=False)) for path in FALLING_LIMITS),
    (("margin_ratio_band", "margin_ratio_target"), _target_inside_band),
    (("risk.margin", "margin_ratio_target", "hedge_allocation"), _margin_warning_below_target),
    (("cost_bounds",), _cost_bounds_in_order),
    (("price_caps",), _price_caps_widen),
    (("funding_gap",), _funding_gap_grammar),
    (
        ("plausible.funding_largest", "plausible.funding_median", "hedge_allocation", "funding_gap"),
        _funding_bounds_of_hedges,
    ),
    (("plausible.accepted",), _accepted_grammar),
    (("price_fallback",), _price_fallback_grammar),
    *(
        ((path,), _named_once(path))
        for path in ("pnl.parts", "risk.enabled", "data_requirements", "position_subscriptions")
    ),
)
MODE_RULES: tuple[Rule[ModeFile], ...] = (
    (("lst_type", "data_requirements"), _lst_where_staked),
    (("stake_allocation", *_KIND), _stake_share),
    (("max_ltv", "max_stake_spread_move", *_KIND), _leverage_keys),
    (("rewards_mode", "lst_type"), _rewards_of_the_lst),
    (("spot_venue", *_KIND), _spot_venue),
    (("collateral", *_KIND), _collateral),
    (("risk.enabled", *_KIND), _enabled_risks),
    (("share_class", "collateral", "rewards_mode", "pnl.parts", *_KIND), _parts_are_enabled),
)
