"""The stress runs: both neutral modes, four scenarios, ten seeds, stakes from 0.5 to 0.8, market and queue exits.

`STRESS` names all 400. `watch` plays one and says what must never be: a strategy that ended halted with something left
that nothing is awaited for, net delta that stayed critical for longer than named transfers take, the same rejection
three times in a row, a balance below zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec
import numpy as np

from components.model.awaited import AwaitedKind
from components.model.events import Event, EventType
from components.model.keys import GAS, PositionKey, PositionType
from components.model.requirements import DAY_NS, HOUR_NS, requirements
from components.model.slices import RunSlice
from daemon.backtest.replay import Replay, ReplayRequest, ReplayResult
from daemon.config.settings import load_run
from tests.acceptance.runs import grid
from tests.scenarios.play import events_of
from venues.embedded import generate

MODES = ("usdt_market_neutral_no_leverage", "usdt_market_neutral")
SCENARIOS = ("squeeze", "rally", "crash", "depeg")
SEEDS = range(1, 11)
STAKES = (0.5, 0.575, 0.6, 0.7, 0.8)
PATHS = ("market", "queue")
START, END = "2024-10-05", "2024-12-25"
ROWS_ALLOWED = 3  # hourly rows on which |net delta| may be above critical
ROWS_AFTER_TRANSFER = 2  # or so many more than the longest named transfer takes
ALWAYS = (AwaitedKind.QUEUE, AwaitedKind.TRANSFER, AwaitedKind.ORDER, AwaitedKind.PRICE)  # good reasons to wait
ROUNDING = 1e-6  # of a balance, native units


class Stress(msgspec.Struct, frozen=True):
    """One run of the campaign."""

    mode: str
    scenario: str
    seed: int
    stake: float
    path: str
    capital: float = 100_000.0

    def __str__(self) -> str:
        return f"{self.mode} {self.scenario} seed={self.seed} stake={self.stake} {self.path}"

    def overrides(self) -> list[str]:
        """Margin follows from the stake, and its limits from the margin."""
        target = round((1.0 - self.stake) / self.stake, 2)
        warning = min(0.30, round(0.6 * target, 3))
        return [
            f"stake_allocation={self.stake}",
            f"margin_ratio_target={target}",
            f"margin_ratio_band={{low: {0.5 * target}, high: {2.0 * target}}}",
            f"risk.margin={{warning: {warning}, critical: {0.5 * warning}}}",
            f"exit_path={self.path}",
        ]


STRESS = tuple(
    Stress(mode, scenario, seed, stake, PATHS[(seed + i) % 2])
    for mode in MODES
    for scenario in SCENARIOS
    for seed in SEEDS
    for i, stake in enumerate(STAKES)
)


class Outcome(msgspec.Struct, frozen=True):
    """What a run did, and what it must not have done."""

    stress: Stress
    faults: tuple[str, ...]
    halted: bool
    gain: float
    critical_rows: int
    decisions: int
    costs: float


def watch(stress: Stress) -> Outcome:
    run = load_run(stress.mode, overrides=stress.overrides(), environ={})
    market = generate(grid(START, END), seed=stress.seed, names=requirements(run.mode), scenario=stress.scenario)
    job = Replay(run, market, ReplayRequest(run_id="stress", capital=stress.capital))
    job.run()
    result = job.result()
    events = events_of(result)
    faults = (
        *_naked(job),
        *_too_long_critical(run, result, events),
        *_same_rejection_again(events),
        *_overdrawn(result),
    )
    delta = np.abs(result.columns["net_delta"])
    return Outcome(
        stress=stress,
        faults=faults,
        halted=job.core.manager.halted,
        gain=result.final_equity / stress.capital - 1.0,
        critical_rows=int((delta > run.mode.risk.delta.critical).sum()),
        decisions=sum(event.event_type is EventType.DECISION for event in events),
        costs=-result.parts["transaction_costs"] / stress.capital,
    )


def _naked(job: Replay) -> Iterator[str]:
    """Halted means flat, or that what is left is waited for by name."""
    manager = job.core.manager
    if manager.halted:
        for one in manager.awaited:
            if one.kind not in ALWAYS:
                yield f"halted with {one}"


def _too_long_critical(run: RunSlice, result: ReplayResult, events: list[Event]) -> Iterator[str]:
    """Rows in a row with |net delta| above critical, measured after the trades of each row."""
    delta = np.nan_to_num(np.abs(result.columns["net_delta"]), nan=0.0)
    delta = np.where(result.columns["equity"] > 1.0, delta, 0.0)
    above = delta > run.mode.risk.delta.critical
    start = None
    for row, flag in enumerate([*above.tolist(), False]):
        if flag and start is None:
            start = row
        elif not flag and start is not None:
            allowed = max(ROWS_ALLOWED, _travelled(result, events, start, row) + ROWS_AFTER_TRANSFER)
            if row - start > allowed:
                worst = delta[start:row].max()
                yield f"net delta critical on {row - start} rows from row {start}, worst {worst:.2f}"
            start = None


def _travelled(result: ReplayResult, events: list[Event], start: int, stop: int) -> int:
    """Rows that the longest transfer sent on rows start … stop takes; a queue is one only when it was asked for before
    the delta parted."""
    stamps = result.timestamps
    longest = 0
    for event in events:
        if event.event_type is EventType.TRANSFER_ARRIVED and stamps[start] <= event.timestamp <= stamps[stop - 1]:
            longest = max(longest, 1)
    return longest


def _same_rejection_again(events: list[Event]) -> Iterator[str]:
    """The same order refused for the same kind of reason a third time, with nothing done at its venue in between."""
    seen: dict[tuple[str, str, bool], int] = {}
    for event in events:
        if event.event_type is EventType.TRADE:
            seen = {key: count for key, count in seen.items() if key[0] != event.venue}
        elif event.event_type is EventType.ORDER_REJECTED:
            key = (event.venue, event.token, (event.amount or 0.0) > 0.0)
            seen[key] = seen.get(key, 0) + 1
            if seen[key] == 3:
                yield f"refused three times in a row: {event.venue} {event.detail}"


def _overdrawn(result: ReplayResult) -> Iterator[str]:
    """Only gas, quotes and shorts are ever negative."""
    for name in result.columns:
        if not name.startswith("balance."):
            continue
        key = PositionKey.parse(name.removeprefix("balance."))
        if key.venue == GAS or key.position_type in (PositionType.PERP, PositionType.PERP_QUOTE):
            continue
        lowest = float(result.columns[name].min())
        if lowest < -ROUNDING:
            yield f"{key} fell to {lowest:.6g}"


def summary(outcomes: list[Outcome]) -> Mapping[str, float]:
    gains = [one.gain for one in outcomes]
    return {
        "runs": len(outcomes),
        "with faults": sum(bool(one.faults) for one in outcomes),
        "halted": sum(one.halted for one in outcomes),
        "lowest gain": min(gains),
        "highest gain": max(gains),
        "most critical rows": max(one.critical_rows for one in outcomes),
        "highest costs": max(one.costs for one in outcomes),
    }


__all__ = ["DAY_NS", "HOUR_NS", "STRESS", "Outcome", "Stress", "summary", "watch"]
