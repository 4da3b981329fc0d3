"""A campaign: one seed, so many days, so many faults; what it makes of them, and the list of them as data."""

from __future__ import annotations

import json

import msgspec

from tests.simulation import host_faults
from tests.simulation.harness import THREE, Run, operator, simulate
from tests.simulation.host_faults import HostFault
from tests.simulation.oracles import judged
from tests.simulation.score import Score, score
from venues.paper.door.faults import Fault

FIRST_S = 900.0
LONG_HOURS, LONG_POLL_S = 48.0, 300.0  # a long campaign asks its venues less often between rows,
SHORT_S, LONG_S = 120.0, 600.0  # and its faults last longer: they are far apart, and must meet orders
LAST_BEFORE_END_S = 2400.0  # of the host's: what lasts is over before the calm


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a seed; it counts only without `faults_found` and with enough in `score`."""

    seed: int
    hours: float
    strategies: tuple[str, ...]
    score: Score
    found: tuple[str, ...]
    heads: dict[str, str]
    refused: int
    restarts: int


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """All faults of a run, as they are written to a file and read back."""

    venues: dict[str, tuple[Fault, ...]]
    host: tuple[HostFault, ...]


def host_plan(seed: int, hours: float, count: int, ids: tuple[str, ...] = THREE) -> tuple[HostFault, ...]:
    return host_faults.campaign(seed, ids, FIRST_S, hours * 3600.0 - LAST_BEFORE_END_S, count)


def run_campaign(
    seed: int,
    hours: float,
    *,
    faults: int,
    host: int,
    ids: tuple[str, ...] = THREE,
    every_s: tuple[float, float] = (120.0, 480.0),
    plan: Plan | None = None,
) -> tuple[Run, Report]:
    """`faults` between us and the venues over all accounts, and `host` others; `plan` replaces both."""
    run = simulate(
        seed,
        hours,
        ids=ids,
        faults=0 if plan else -(-faults // len(ids)),
        planned=None if plan is None else (lambda strategy, _: plan.venues[strategy]),
        host=host_plan(seed, hours, host, ids) if plan is None else plan.host,
        script=operator(seed, least_s=every_s[0], most_s=every_s[1]),
        poll_s=30.0 if hours <= LONG_HOURS else LONG_POLL_S,
        longest_s=SHORT_S if hours <= LONG_HOURS else LONG_S,
    )
    report = Report(
        seed=seed,
        hours=hours,
        strategies=tuple(sorted(run.accounts)),
        score=score(run, hours),
        found=tuple(judged(run)),
        heads=dict(sorted(run.heads.items())),
        refused=len(run.refused),
        restarts=sum(replica.restarts for replica in run.replicas.values()),
    )
    return run, report


def plan_of(run: Run, host: tuple[HostFault, ...]) -> Plan:
    return Plan(venues={name: tuple(plan.planned) for name, plan in sorted(run.plans.items())}, host=host)


def written(plan: Plan | Report) -> str:
    """As JSON that people can read and change."""
    return json.dumps(msgspec.to_builtins(plan), indent=1, sort_keys=True)


def read(text: str) -> Plan:
    return msgspec.json.decode(text, type=Plan)
