"""`basis safety`."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner, Result

from daemon.cli.safety import safety
from daemon.process.safety import Finding
from daemon.state.disk import RealDisk
from daemon.state.lock import Holder, held, state_lock
from tests.daemon.house import LENDING, House, ticked
from tests.daemon.process.test_safety import found  # the findings by strategy


@pytest.fixture(autouse=True)
def the_log_of_before() -> Iterator[None]:
    """The command takes the log of its process: here it is given back."""
    root = logging.getLogger()
    before = (root.handlers, root.level, sys.excepthook, threading.excepthook)
    yield
    root.handlers, level, sys.excepthook, threading.excepthook = before
    root.setLevel(level)
    structlog.reset_defaults()


def ran(state: Path, *words: str) -> Result:
    return CliRunner().invoke(safety, [*words, "--state", str(state)], catch_exceptions=False)


@pytest.fixture(name="house")
def a_house_whose_daemon_has_gone(tmp_path: Path) -> House:
    house = House(tmp_path, persistent=True, disk=RealDisk())

    async def lives(daemon: object) -> None:
        await ticked(daemon, more=2)  # type: ignore[arg-type]

    house.live(lives)
    return house


def test_a_check_says_what_it_did_at_each_strategy(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    result = ran(house.state, "check", "-o", "json")
    assert result.exit_code == 0
    told = {each["strategy"]: each["action"] for each in json.loads(result.stdout)}
    assert "safety.finding" in result.stderr
    assert told[LENDING] == "held"


@pytest.mark.parametrize(
    ("action", "code"), [("held", 0), ("closed", 0), ("paged", 0), ("closing", 6), ("not closed", 3), ("unknown", 3)]
)
def test_it_fails_when_somebody_has_to_look(
    action: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding = Finding(strategy=LENDING, action=action, reason="a reason")  # type: ignore[arg-type]
    monkeypatch.setattr("daemon.process.safety.check", lambda config, *, wait_s: [finding])
    result = ran(tmp_path, "check")
    assert result.exit_code == code
    assert "a reason" in result.stdout
    assert found([finding]) == {LENDING: action}


def test_flatten_asks_first(house: House) -> None:
    result = ran(house.state, "flatten", LENDING)
    assert result.exit_code == 5
    assert house.latches.of(LENDING) is None


def test_flatten_closes_and_leaves_a_latch(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []

    def flat(config: object, strategies: tuple[str, ...], *, wait_s: float) -> list[Finding]:
        asked.append(strategies)
        return [Finding(strategy=name, action="closed", reason="asked for") for name in strategies]

    monkeypatch.setattr("daemon.process.safety.flatten", flat)
    result = ran(house.state, "flatten", LENDING, "--yes")
    assert result.exit_code == 0
    assert asked == [(LENDING,)]


def test_finish_does_nothing_when_nothing_is_awaited(house: House) -> None:
    result = ran(house.state, "finish", "-o", "json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == []
    assert house.latches.of(LENDING) is None


def test_an_emergency_signal_does_not_end_it(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def signalled(config: object, *, wait_s: float) -> list[Finding]:
        os.kill(os.getpid(), signal.SIGUSR1)
        return [Finding(strategy=LENDING, action="closed", reason="a reason")]

    monkeypatch.setattr("daemon.process.safety.check", signalled)
    assert ran(house.state, "check").exit_code == 0
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL, "and afterwards it means what it meant"


def test_beside_a_running_daemon_it_refuses(house: House) -> None:
    with held(state_lock(house.state), Holder(pid=4711, started="now"), "a test"):
        result = ran(house.state, "check")
    assert result.exit_code != 0
    assert "4711" in result.stderr
