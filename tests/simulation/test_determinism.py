"""Same seed, same journals: in this process, in others with another hash seed, and on a busy machine."""

from __future__ import annotations

import os
import subprocess
import sys
from multiprocessing import get_context

import pytest

from tests.simulation.harness import operator, simulate

HOURS = 1.5
PROGRAM = (
    "from tests.simulation.harness import operator, simulate;"
    "print(sorted(simulate({seed}, {hours}, faults={faults}, script=operator({seed})).heads.items()))"
)


def heads(seed: int, hours: float = HOURS, faults: int = 12) -> list[tuple[str, str]]:
    return sorted(simulate(seed, hours, faults=faults, script=operator(seed)).heads.items())


def in_a_process(seed: int, hash_seed: str, hours: float = HOURS, faults: int = 12) -> str:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(seed=seed, hours=hours, faults=faults)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    ).stdout.strip()


def burn() -> None:
    while True:
        sum(range(10_000))


def test_the_same_seed_gives_the_same_journals_in_every_process() -> None:
    first = str(heads(11))
    assert in_a_process(11, "1") == first
    assert in_a_process(11, "2") == first


def test_a_busy_machine_changes_nothing() -> None:
    quiet = heads(12)
    context = get_context("spawn")
    burners = [context.Process(target=burn, daemon=True) for _ in range(2)]
    for burner in burners:
        burner.start()
    try:
        assert heads(12) == quiet
    finally:
        for burner in burners:
            burner.kill()
            burner.join()


def test_another_seed_is_another_run() -> None:
    assert heads(13) != heads(14)


@pytest.mark.slow
def test_forty_runs_of_six_hours_are_one() -> None:
    found = {str(heads(15, 6.0, 40)) for _ in range(20)}
    found |= {in_a_process(15, str(i), 6.0, 40) for i in range(20)}
    assert len(found) == 1
