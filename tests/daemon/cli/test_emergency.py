"""`basis emergency-stop`: the latch is on disk before anybody is asked, whoever answers, and whatever they answer."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from components.model.errors import Refuse
from daemon.cli import emergency
from daemon.control.commands import Request, Response, answer, refusal
from daemon.errors import OPS_BUSY, OPS_FAILED, OPS_REFUSED
from daemon.state.latch import ALL, Latches, Phase
from tests.daemon.cli.calls import call
from tests.daemon.control.daemons import running

# Holds the lock, has no socket; on SIGUSR1 it begins to close `btc`, if it is told to.
DEAF = """
import os, signal, sys
from pathlib import Path
from daemon.state.latch import Latches, Phase
from daemon.state.lock import Holder, held, state_lock
state, hears = Path(sys.argv[1]), sys.argv[2] == "hears"
doing = "safety" if sys.argv[2] == "safety" else ""
def close(number, frame):
    if hears:
        Latches(state).advance("btc", Phase.CLOSING)
signal.signal(signal.SIGUSR1, close)
with held(state_lock(state), Holder(pid=os.getpid(), started="then", doing=doing), "state"):
    print("held", flush=True)
    while True:
        signal.pause()
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    for name in ("btc", "eth"):
        (tmp_path / "strategies" / name).mkdir(parents=True)
    return tmp_path


@contextmanager
def deaf_daemon(state: Path, *, hears: bool = False, is_safety: bool = False) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-c", DEAF, str(state), "safety" if is_safety else "hears" if hears else "hangs"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_the_latch_is_on_disk_when_the_daemon_hears_of_it(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen = []

    def handle(request: Request) -> Response:
        latch = Latches(state).of_all()
        assert latch is not None
        seen.append((latch.id, latch.reason, latch.uid, latch.phase))
        return answer(message="closing")

    with running(state, {"emergency_stop": handle}) as daemon:
        assert call("emergency-stop", "--reason", "depeg", "--state", str(state)) == 0
    (request,) = daemon.asked
    assert seen == [(request.arguments["latch"], "depeg", os.getuid(), Phase.REQUESTED)]
    assert request.strategy is None
    assert capsys.readouterr().out == "closing\n"


def test_one_strategy_latches_only_itself(state: Path) -> None:
    with running(state) as daemon:
        assert call("emergency-stop", "btc", "--state", str(state)) == 0
    assert daemon.asked[0].strategy == "btc"
    assert Latches(state).of("btc") is not None
    assert Latches(state).of("eth") is None


def test_a_plan_closes_nothing(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running(state, {"emergency_plan": answer([{"strategy": "btc", "verb": "perp", "amount": 1.5}])}) as daemon:
        assert call("emergency-stop", "--plan", "--state", str(state)) == 0
    assert [request.kind for request in daemon.asked] == ["emergency_plan"]
    assert Latches(state).of_all() is None
    assert "perp" in capsys.readouterr().out


def test_a_plan_fits_80_columns(
    state: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    row = {
        "strategy": "market-neutral", "step": 12, "after_s": 1200.0, "venue": "aave_v3", "verb": "flash_borrow",
        "token": "WETH", "amount": 414.5912, "leg": "a_leg_of_the_exit", "cost": 1250.25, "refused": "read only",
    }  # fmt: skip
    with running(state, {"emergency_plan": answer([row, row])}):
        assert call("emergency-stop", "--plan", "--state", str(state)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80 and len(lines) < 10
    assert "414.59 WETH" in lines[1] and "1,250.25" in lines[1] and "1,200 s" in lines[1]


def test_an_unknown_name_does_nothing_and_names_its_neighbour(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("emergency-stop", "bct", "--state", str(state)) == 4
    assert "Did you mean 'btc'?" in capsys.readouterr().err
    assert not list(state.rglob("EMERGENCY_STOP"))
    assert call("emergency-stop", "--state", str(state / "absent")) == 4
    assert not (state / "absent").exists()


def test_without_a_daemon_the_latch_stands_and_flatten_is_named(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("emergency-stop", "--state", str(state)) == 69
    told = capsys.readouterr().err
    assert "The latch is set" in told
    assert "basis safety flatten" in told
    latch = Latches(state).of_all()
    assert latch is not None
    assert latch.scope == ALL


def test_a_refusal_leaves_the_latch(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running(state, {"emergency_stop": refusal(Refuse(OPS_REFUSED, "not now"))}):
        assert call("emergency-stop", "--state", str(state)) == 5
    assert Latches(state).of_all() is not None
    assert "not now" in capsys.readouterr().err


def test_a_daemon_without_a_socket_is_signalled(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with deaf_daemon(state, hears=True):
        assert call("emergency-stop", "--state", str(state)) == 0
    assert "closing has begun" in capsys.readouterr().out
    standing = Latches(state).of("btc")
    assert standing is not None
    assert standing.phase is Phase.CLOSING


def test_a_daemon_that_does_nothing_is_not_waited_for(
    state: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emergency, "PATIENCE_S", 0.2)
    with deaf_daemon(state, hears=False) as process:
        assert call("emergency-stop", "--state", str(state)) == 75
        told = capsys.readouterr().err
        assert f"signalled process {process.pid}" in told
        assert f"kill -9 {process.pid} && basis safety flatten" in told, "as long as it lives, flatten would refuse"
        assert process.poll() is None


@pytest.mark.parametrize("code", [OPS_BUSY, OPS_FAILED])
def test_a_daemon_that_is_too_busy_finds_the_latch_all_the_same(
    code: str, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def busy(request: Request) -> Response:
        Latches(state).advance("btc", Phase.CLOSING)  # it looks at the disk every second
        return refusal(Refuse(code, "too many clients at once"))

    with running(state, {"emergency_stop": busy}):
        assert call("emergency-stop", "btc", "--state", state) == 0
    said = capsys.readouterr()
    assert "too many clients" in said.err and "closing has begun" in said.out


def test_the_safety_program_is_not_disturbed(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with deaf_daemon(state, is_safety=True) as process:
        assert call("emergency-stop", "--state", str(state)) == 0
        assert process.poll() is None
    told = capsys.readouterr().err
    assert "signalled" not in told
    assert "it is not disturbed" in told and "basis safety finish" in told
    assert Latches(state).of_all() is not None, "and what it leaves is gone on with"


def test_a_daemon_that_finds_the_latch_by_itself_needs_no_socket(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def finds() -> None:
        while (latch := Latches(state).of("eth")) is None:
            time.sleep(0.01)
        Latches(state).advance("eth", Phase.CLOSING)
        assert latch.reason == "operator"

    with deaf_daemon(state), ThreadPoolExecutor(1) as pool:
        found = pool.submit(finds)
        assert call("emergency-stop", "eth", "--state", str(state)) == 0
        found.result()
    assert "closing has begun" in capsys.readouterr().out


def test_who_interrupts_it_hears_that_the_latch_stands(
    state: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(emergency, "_told", interrupted)
    assert call("emergency-stop", "--state", str(state)) == 130
    told = capsys.readouterr().err
    assert "not undone" in told and "The latch is set" in told
    assert "nothing was written" not in told
    assert Latches(state).of_all() is not None


def test_a_disk_that_hangs_keeps_nobody_from_asking(
    state: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = threading.Event()
    monkeypatch.setattr(os, "fsync", lambda descriptor: let_go.wait(20.0))
    monkeypatch.setattr(emergency, "DISK_S", 0.1)
    with running(state) as daemon:
        assert call("emergency-stop", "--state", str(state)) == 0
    assert [request.kind for request in daemon.asked] == ["emergency_stop"]
    assert "the disk has not answered" in capsys.readouterr().err
    let_go.set()


def test_one_strategy_alone_is_never_signalled(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with deaf_daemon(state, hears=True) as process:
        assert call("emergency-stop", "eth", "--state", str(state)) == 75
        assert process.poll() is None
    assert "signalled" not in capsys.readouterr().err
    assert Latches(state).of("btc") is None
    assert Latches(state).of("eth") is not None


def test_a_disk_that_takes_nothing_stops_nobody_from_asking(
    state: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with running(state) as daemon:
        assert call("emergency-stop", "--state", str(state)) == 0
    assert [request.kind for request in daemon.asked] == ["emergency_stop"]
    assert "THE LATCH COULD NOT BE WRITTEN" in capsys.readouterr().err


def test_a_disk_that_hangs_keeps_the_command_from_nothing_not_even_from_its_end(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits for the disk is a process of its own, with nothing of the command in its hands."""
    held = "import os, time, daemon.cli.main as m; os.fsync = lambda fd: time.sleep(15.0); m.main()"
    words = [sys.executable, "-c", held, "emergency-stop", "--state", str(state)]
    with running(state):
        began = time.monotonic()
        done = subprocess.run(words, capture_output=True, text=True, timeout=30.0, check=False)
        assert time.monotonic() - began < 12.0
    assert done.returncode == 0, done.stderr
    assert "the disk has not answered" in done.stderr
