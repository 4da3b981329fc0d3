"""Authority to trade: computed from input contracts before every step, and the reasons why it is withheld.

A contract says what an input must be like. One that fails blocks everything or only what adds risk, and stays failed
until it holds again; nobody switches it off. What is decided here is journaled with the step.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite

import msgspec

from components.ports import Standing
from daemon.cells.observer import View
from daemon.replica import About, Contract
from daemon.world.rows import MarketRow

PLAUSIBLE_STEP = 0.25  # a price that moves further in one row is believed on the second row only
PRICE_KINDS = frozenset({"spot", "perp", "ratio", "eth_price"})
MISMATCHED_POLLS = 2


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Where contracts break. Seconds of market time for data, of process time for venues."""

    max_data_age_s: float = 60.0
    silent_venue_s: float = 30.0
    failures_in_a_row: int = 5
    min_free_bytes: int = 64 << 20
    clock_offset_ms: float = 500.0
    max_adjustment_per_day: float = 0.001  # of equity


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """A person's word that holds orders back until `resume`: what adds risk, or, of a stopped strategy, everything."""

    reason: str
    everything: bool = False

    def __str__(self) -> str:
        return f"paused: {self.reason}"


class Circumstances(msgspec.Struct, frozen=True, kw_only=True):
    """What the contracts look at beside rows and venues; `blocks_all` and `blocks_risk` are reasons given outright."""

    market_now: int
    process_now: float
    free_bytes: int | None = None
    clock_offset_ms: float | None = None
    adjusted_share: float = 0.0
    blocks_all: tuple[str, ...] = ()
    blocks_risk: tuple[str, ...] = ()
    contracts: tuple[Contract, ...] = ()  # judged elsewhere
    max_trade_usdt: float | None = None


class Authority:
    """Remembers since when each contract has failed."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._since: dict[str, int] = {}
        self._last: dict[str, float] = {}
        self.contracts: tuple[Contract, ...] = ()

    def judge(self, row: MarketRow, views: list[View], now: Circumstances) -> Standing:
        """The standing for a step at `row`."""
        judged = []
        for contract in (*self._market(row, now), *self._venues(views, now), *self._host(now), *now.contracts):
            since = None if contract.holds else self._since.setdefault(contract.name, now.market_now)
            if contract.holds:
                self._since.pop(contract.name, None)
            judged.append(msgspec.structs.replace(contract, since=since))
        self.contracts = tuple(judged)
        failed = [contract for contract in judged if not contract.holds]
        return Standing(
            no_trade=(*now.blocks_all, *(c.reason for c in failed if c.blocks == "all")),
            no_risk=(*now.blocks_risk, *(c.reason for c in failed if c.blocks == "risk")),
            max_trade_usdt=now.max_trade_usdt,
        )

    def _market(self, row: MarketRow, now: Circumstances) -> Iterator[Contract]:
        age = (now.market_now - row.timestamp) / 1e9
        limit = self.limits.max_data_age_s
        old = f"the last market row is {age:.0f} s old, limit {limit:g} s"
        yield _contract("market.age", age <= limit, "all", old, About.MARKET)
        bad = [name for name, value in row.values.items() if not isfinite(value) or not self._plausible(name, value)]
        self._last = {name: value for name, value in row.values.items() if isfinite(value)}
        odd = f"implausible: {', '.join(sorted(bad)[:5])}"
        yield _contract("market.range", not bad, "all", odd, About.MARKET)

    def _plausible(self, name: str, value: float) -> bool:
        if name.split(".")[1] not in PRICE_KINDS:
            return True
        last = self._last.get(name)
        return value > 0.0 and (last is None or abs(value / last - 1.0) <= PLAUSIBLE_STEP)

    def _venues(self, views: list[View], now: Circumstances) -> Iterator[Contract]:
        for view in views:
            name = view.client.name
            silent = None if view.answered is None else now.process_now - view.answered
            heard = silent is not None and silent <= self.limits.silent_venue_s
            yield _contract(
                f"venue.{name}.answers",
                heard and view.failures < self.limits.failures_in_a_row,
                "risk",
                f"{name} does not answer: {view.error or 'not asked yet'}",
            )
            yield _contract(
                f"venue.{name}.agrees",
                view.mismatched < MISMATCHED_POLLS,
                "risk",
                f"{name} does not agree with the book: {'; '.join(view.mismatches[:3])}",
            )
            seen = ", ".join(item.detail or item.id for item in list(view.foreign.values())[:3])
            yield _contract(
                f"venue.{name}.ours_alone",
                not view.foreign,
                "risk",
                f"a foreign hand at {name}: {seen}; look, then: basis adopt STRATEGY {name}",
            )
            off = view.clock.surely_off_ms() or 0.0
            yield _contract(
                f"venue.{name}.clock",
                abs(off) <= self.limits.clock_offset_ms,
                "risk",
                f"the clock of {name} is {off:+.0f} ms from ours, limit {self.limits.clock_offset_ms:g} ms: what is "
                "signed may be refused; compare both with a third",
            )
            rests = ", ".join(f"{each.key} {each.left:g} ({each.reference})" for each in view.strangers[:3])
            yield _contract(
                f"venue.{name}.no_strangers",
                not view.strangers,
                "risk",
                f"somebody else's order rests at {name}: {rests}; it may trade at any moment, take it back there",
            )

    def _host(self, now: Circumstances) -> Iterator[Contract]:
        free, offset = now.free_bytes, now.clock_offset_ms
        if free is not None:
            yield _contract(
                "host.disk",
                free >= self.limits.min_free_bytes,
                "risk",
                f"only {free / 1e6:.0f} MB left for the journal",
            )
        if offset is not None:
            yield _contract(
                "host.clock",
                abs(offset) <= self.limits.clock_offset_ms,
                "all",
                f"the clock is {offset:.0f} ms off, limit {self.limits.clock_offset_ms:g} ms",
            )
        yield _contract(
            "book.adjustments",
            now.adjusted_share <= self.limits.max_adjustment_per_day,
            "risk",
            f"adjustments of today are {now.adjusted_share:.3%} of equity",
        )


def _contract(name: str, holds: bool, blocks: str, reason: str, about: About = About.ACCOUNT) -> Contract:
    return Contract(name=name, holds=holds, blocks=blocks, reason="" if holds else reason, about=about)
