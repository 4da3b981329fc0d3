"""Same seed, same journals: in every process, with every hash seed, and on a busy machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context

import pytest

from tests.simulation.campaign import host_plan
from tests.simulation.harness import THREE, Run, operator, simulate
from tests.simulation.oracles import judged

SIX = 6.0
PROGRAM = "from tests.simulation.test_determinism import run; print(sorted(run({seed}, {hours}).heads.items()))"


def run(seed: int, hours: float, schedule: int | None = None) -> Run:
    """Three strategies, ten faults an hour and account, fifteen of the host in six hours, and an operator."""
    host = host_plan(seed, hours, int(hours * 2.5), THREE)
    return simulate(
        seed, hours, faults=int(hours * 10.0), host=host, script=operator(seed), schedule=schedule
    )  # fmt: skip


def heads(seed: int, hours: float) -> str:
    return str(sorted(run(seed, hours).heads.items()))


def started(seed: int, hours: float, hash_seed: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(seed=seed, hours=hours)],
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        stdout=subprocess.PIPE,
        text=True,
    )


def in_processes(seed: int, hours: float, count: int) -> set[str]:
    """What `count` processes find, two at a time, each with another hash seed."""
    found = set()
    for first in range(0, count, 2):
        pair = [started(seed, hours, number) for number in range(first, min(first + 2, count))]
        for process in pair:
            told, _ = process.communicate(timeout=300)
            assert process.returncode == 0
            found.add(told.strip())
    return found


def burn() -> None:
    while True:
        sum(range(10_000))


@contextmanager
def busy() -> Iterator[None]:
    """A machine with two processes that take all the time they get."""
    context = get_context("spawn")
    burners = [context.Process(target=burn, daemon=True) for _ in range(2)]
    for burner in burners:
        burner.start()
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.join()


def test_six_runs_of_six_hours_are_one_in_every_process() -> None:
    assert len(in_processes(15, SIX, 6)) == 1


def test_a_busy_machine_changes_nothing() -> None:
    quiet = heads(12, 1.5)
    with busy():
        assert heads(12, 1.5) == quiet


def test_another_order_of_tasks_is_another_run_and_every_oracle_holds() -> None:
    runs = [run(13, 1.5, schedule) for schedule in (1, 2, 3)]
    assert [judged(each) for each in runs] == [[], [], []]
    assert len({each.heads["btc-basis"] for each in runs}) > 1


@pytest.mark.slow
def test_forty_runs_of_six_hours_are_one() -> None:
    found = in_processes(15, SIX, 20) | {heads(15, SIX) for _ in range(5)}
    with busy():
        found |= {heads(15, SIX) for _ in range(15)}
    assert len(found) == 1


@pytest.mark.slow
@pytest.mark.parametrize("schedule", range(100, 110))
def test_every_order_of_tasks_satisfies_the_oracles(schedule: int) -> None:
    assert judged(run(16, SIX, schedule)) == []
