"""How the daemon is: per component, alive or not, ready or not, and whether the watchdog may be fed.

Everything is judged from replicas and from what components report; nothing is asked of a cell. Times are process time
in seconds (`trio.current_time`). A cell that is not running on purpose is as healthy as one that runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from math import inf

import msgspec

from daemon.replica import CellState, Replica

LAG_LIMIT_S = 1.0
STEP_BUDGET_S = 30.0
RESCUE_S = 15.0

UP = frozenset({CellState.RUNNING, CellState.PAUSED, CellState.LATCHED, CellState.HALTED})
SETTLED = UP | {CellState.BACKING_OFF, CellState.FAILED, CellState.STOPPED}


class Level(StrEnum):
    OK = "ok"
    DEGRADED = "degraded"
    FAILED = "failed"


class Component(msgspec.Struct, frozen=True, kw_only=True):
    """One component: how it stands, why, and since when (process time, s)."""

    name: str
    level: Level
    reason: str
    since: float


class Verdict(msgspec.Struct, frozen=True):
    """Yes when there is no reason against it."""

    reasons: tuple[str, ...]

    def __bool__(self) -> bool:
        return not self.reasons


def progress_limit_s(
    replica: Replica, *, speed: float = 1.0, step_budget_s: float = STEP_BUDGET_S, heartbeat_timeout_s: float = inf
) -> float:
    """Seconds of process time that a running cell may go without progress; its interval is divided by `speed`, and a
    heartbeat timeout may ask for more haste."""
    return min(2 * replica.interval_s / speed + step_budget_s, heartbeat_timeout_s)


def freshness(
    replica: Replica,
    now: float,
    *,
    running_since: float = 0.0,
    speed: float = 1.0,
    step_budget_s: float = STEP_BUDGET_S,
    heartbeat_timeout_s: float = inf,
) -> float:
    """Seconds (process time) by which a cell is overdue; 0 or less = fresh.

    Only a running cell can be overdue. Paused, latched, halted, backing-off and failed ones wait for somebody or
    something; starting, recovering and stopping ones have deadlines of their own at the supervisor.
    """
    if replica.state is not CellState.RUNNING:
        return 0.0
    progress = max(replica.heartbeat, running_since)
    return (
        now
        - progress
        - progress_limit_s(replica, speed=speed, step_budget_s=step_budget_s, heartbeat_timeout_s=heartbeat_timeout_s)
    )


class Health:
    """The register. `now` returns process time, `speed` is how much faster than it market time runs."""

    def __init__(
        self,
        now: Callable[[], float],
        *,
        speed: float = 1.0,
        step_budget_s: float = STEP_BUDGET_S,
        heartbeat_timeout_s: float = inf,
        lag_limit_s: float = LAG_LIMIT_S,
        rescue_s: float = RESCUE_S,
    ) -> None:
        self._now = now
        self._speed = speed
        self.step_budget_s = step_budget_s
        self._heartbeat_timeout_s = heartbeat_timeout_s
        self._lag_limit_s = lag_limit_s
        self._rescue_s = rescue_s
        self._lag_s = 0.0
        self._components: dict[str, Component] = {}
        self._beats: dict[str, tuple[float, float]] = {}  # name → last beat, allowed silence
        self._cells: dict[str, Replica | None] = {}
        self._judged: dict[str, Component] = {}
        self._running_since: dict[str, float] = {}
        self._nobody_acted_since: Callable[[float], float] = lambda at: 0.0

    def statistics(self) -> Mapping[str, object]:
        return {"cells": len(self._cells), "components": len(self._components), "lag_s": self._lag_s}

    # What is told

    def enlist(self, strategy: str) -> None:
        """A cell that ought to be there; until its first replica the daemon is not ready."""
        self._cells.setdefault(strategy, None)

    def forget(self, strategy: str) -> None:
        for known in (self._cells, self._running_since, self._judged):
            known.pop(strategy, None)

    def publish(self, replica: Replica) -> None:
        before = self._cells.get(replica.strategy)
        self._cells[replica.strategy] = replica
        if replica.state is CellState.RUNNING and (before is None or before.state is not CellState.RUNNING):
            self._running_since[replica.strategy] = self._now()

    def report(self, name: str, level: Level, reason: str = "") -> None:
        """How a component stands; `since` moves only when the level changes."""
        known = self._components.get(name)
        since = known.since if known and known.level is level else self._now()
        self._components[name] = Component(name=name, level=level, reason=reason, since=since)

    def beat(self, name: str, *, within_s: float) -> None:
        """`name` (the committer) is alive; it will say so again within that time or count as dead."""
        self._beats[name] = (self._now(), within_s)

    def loop_lag(self, seconds: float) -> None:
        self._lag_s = seconds

    def forgive(self, since: Callable[[float], float]) -> None:
        """`since(at)` = seconds after `at` in which the process could not act: nobody is late for those."""
        self._nobody_acted_since = since

    # What is asked

    def components(self) -> tuple[Component, ...]:
        """All components by name: what was reported, what went silent, and each cell as `cell:<strategy>`."""
        found = {each.name: each for each in self.around()}
        for strategy, replica in self._cells.items():
            level, reason = self._judge(strategy, replica)
            name = f"cell:{strategy}"
            known = self._judged.get(strategy)
            since = known.since if known and known.level is level else self._now()
            found[name] = self._judged[strategy] = Component(name=name, level=level, reason=reason, since=since)
        return tuple(found[name] for name in sorted(found))

    def around(self) -> tuple[Component, ...]:
        """All components that are not strategies."""
        found = dict(self._components)
        now = self._now()
        for name, (last, within_s) in self._beats.items():
            if now - last > within_s:
                reason = f"silent for {now - last:.0f} s"
                found[name] = Component(name=name, level=Level.FAILED, reason=reason, since=last + within_s)
            else:
                found.setdefault(name, Component(name=name, level=Level.OK, reason="", since=last))
        return tuple(found[name] for name in sorted(found))

    def liveness(self) -> Verdict:
        """Does the process itself work: small loop lag, nothing silent that has to beat."""
        now = self._now()
        reasons = [
            f"{name} silent for {now - last:.0f} s"
            for name, (last, within_s) in sorted(self._beats.items())
            if now - last > within_s
        ]
        if self._lag_s > self._lag_limit_s:
            reasons.insert(0, f"event loop lags {self._lag_s:.2f} s")
        return Verdict(tuple(reasons))

    def readiness(self) -> Verdict:
        """Is every cell running, or deliberately paused, latched or halted?"""
        return Verdict(tuple(_not_in(self._cells, UP)))

    def started(self) -> Verdict:
        """May systemd be told READY: every cell has found its state, be it failed. One bad cell holds up no other."""
        return Verdict(tuple(_not_in(self._cells, SETTLED)))

    def stuck(self) -> Mapping[str, str]:
        """Running cells that make no progress, with the reason: the supervisor gates them and brings them to safety."""
        return {strategy: reason for strategy, reason in self._overdue(0.0)}

    def starving(self) -> Verdict:
        """Why the watchdog must not be fed: the process does not work, or a cell is still stuck after its rescue."""
        overdue = [f"{strategy}: {reason}" for strategy, reason in self._overdue(self._rescue_s)]
        return Verdict((*self.liveness().reasons, *overdue))

    def _overdue(self, grace_s: float) -> list[tuple[str, str]]:
        now = self._now()
        found = []
        for strategy, replica in sorted(self._cells.items()):
            if replica is not None and self._late_s(strategy, replica) > grace_s:
                progress = max(replica.heartbeat, self._running_since.get(strategy, 0.0))
                silent = now - progress - self._nobody_acted_since(progress)
                found.append((strategy, f"no progress for {silent:.0f} s"))
        return found

    def _late_s(self, strategy: str, replica: Replica) -> float:
        running_since = self._running_since.get(strategy, 0.0)
        return freshness(
            replica,
            self._now() - self._nobody_acted_since(max(replica.heartbeat, running_since)),
            running_since=running_since,
            speed=self._speed,
            step_budget_s=self.step_budget_s,
            heartbeat_timeout_s=self._heartbeat_timeout_s,
        )

    def _judge(self, strategy: str, replica: Replica | None) -> tuple[Level, str]:
        if replica is None:
            return Level.DEGRADED, "has not reported yet"
        if replica.state is CellState.FAILED:
            return Level.FAILED, replica.reason or "failed"
        if self._late_s(strategy, replica) > 0:
            return Level.FAILED, "no progress"
        if replica.state is not CellState.RUNNING:
            return Level.DEGRADED, replica.reason or replica.state.value
        broken = [contract.name for contract in replica.contracts if not contract.holds and contract.blocks]
        return (Level.DEGRADED, f"withheld by {', '.join(broken)}") if broken else (Level.OK, "")


def _not_in(cells: Mapping[str, Replica | None], states: frozenset[CellState]) -> list[str]:
    reasons = []
    for strategy, replica in sorted(cells.items()):
        if replica is None:
            reasons.append(f"{strategy}: has not reported yet")
        elif replica.state not in states:
            reasons.append(f"{strategy}: {replica.state.value}" + (f" ({replica.reason})" if replica.reason else ""))
    return reasons


__all__ = ["Component", "Health", "Level", "Verdict", "freshness", "progress_limit_s"]
