"""Real daemons for the matrix: `basis run` with venues of its own, or one whose venues live in another process.

Both can be started, stopped and killed again and again on one state directory, and both say what the venues hold
without asking the daemon.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Protocol

import msgspec
import trio

from components.model.errors import BasisError
from components.model.keys import PositionKey
from daemon.control.protocol import SOCKET
from daemon.state.latch import Latches
from tests.process.matrix.ground import Disk, unheard
from tests.process.matrix.rows import DISKS, OUTSIDE, Row, Trouble, Way
from tests.process.real import BASIS, ROOT, Daemon, basis, daemon_file
from tests.process.stand import Stand, Still
from venues.paper.door.faults import Fault
from venues.paper.remote.client import RemoteAccount
from venues.paper.store import NAME, read_ledger

ALL = ("lending", "btc-basis", "eth-leveraged", "market-neutral")
SHARE_CLASS = {"lending": "USDT", "btc-basis": "USDT", "eth-leveraged": "ETH", "market-neutral": "USDT"}
COIN = {"btc-basis": "BTC", "market-neutral": "ETH"}  # of strategies that are hedged
FAST = 600.0
ANSWERED_S = 20.0
FLATTENED_S = 90.0  # beside what it waits for what travels
DAMAGED = ALL[1:]  # journals: with all of them gone the daemon has nothing to run and ends
SPAM = PositionKey("wallet:BaseToken:PEPE")
ALWAYS = 1e10  # s of market time
Replicas = dict[str, dict[str, Any]]


class House(Protocol):
    """What a row needs of its daemon."""

    state: Path

    def start(self, speed: float, *, is_last: bool) -> None: ...

    def stop(self) -> None: ...

    def kill(self) -> None: ...

    def ask(self, kind: str, strategy: str | None = None, *, key: str = "", **words: str) -> Any: ...

    def break_it(self, trouble: Trouble) -> None: ...

    def heal(self) -> None: ...

    def balances(self, strategy: str) -> Mapping[PositionKey, float]: ...

    def flatten(self, speed: float, within_s: float) -> list[dict[str, Any]] | None:
        """The daemon is killed, things go wrong, and `basis safety flatten` closes: its findings, None where nobody can
        hear it."""
        ...

    def finish(self) -> list[str]:
        """The daemon is killed, what was wrong is over, and somebody else closes the rest; what went wrong."""
        ...


def wait_for(house: House, what: Callable[[Replicas], bool], within_s: float, why: str) -> Replicas:
    """Status by strategy, once it is as said. A daemon that does not answer just now is asked again."""
    until, replicas = time.monotonic() + within_s, Replicas()
    while True:
        with suppress(BasisError):
            replicas = {each["strategy"]: each for each in house.ask("status")}
            if set(replicas) == set(ALL) and what(replicas):
                return replicas
        shown = {name: (each["state"], each["phase"], each["ticks"]) for name, each in replicas.items()}
        assert time.monotonic() < until, f"{why}: {shown}"
        time.sleep(0.2)


def stopped_by_hand(state: Path) -> list[str]:
    """`basis emergency-stop` for all, as typed; what was wrong with its answer."""
    began = time.monotonic()
    try:
        done = basis("emergency-stop", "--reason", "matrix", "--state", str(state), timeout=60.0)
    except subprocess.TimeoutExpired:
        return ["emergency-stop did not come back for 60 s"]
    passed, text = time.monotonic() - began, " ".join((done.stdout + done.stderr).split())
    faults = [] if done.returncode == 0 else [f"emergency-stop ended with {done.returncode}: {text[-300:]}"]
    return faults + ([f"emergency-stop took {passed:.0f} s"] if passed > ANSWERED_S else [])


class RealHouse:
    """`basis run`; the disk of its state is made to fail where a row says so."""

    def __init__(self, folder: Path, row: Row, stack: ExitStack) -> None:
        self._stack = stack
        self._row = row
        self._folder = folder
        self.state = folder / "state"
        self._config = daemon_file(folder)
        (folder / "fast").mkdir()
        self._fast = daemon_file(folder / "fast", speed=FAST)
        self._venues = folder / "venues"
        self._disk: Disk | None = None
        self._daemon: Daemon | None = None
        self._program: subprocess.Popen[bytes] | None = None
        self._log = folder / "safety.log"
        self._crowd: list[socket.socket] = []
        if row.trouble in DISKS:
            apart = [(self.state / "strategies" / name / "venues", self._venues / name) for name in ALL]
            self._disk = stack.enter_context(Disk(self.state, folder / "image", apart))
        stack.callback(self.kill)

    def start(self, speed: float, *, is_last: bool) -> None:
        with ExitStack() as stack:
            out = err = None
            if is_last and self._row.trouble is Trouble.STREAMS:
                out, err = stack.enter_context(unheard())
            self._daemon = Daemon(self._folder, self._config, speed=speed, out=out, err=err)
        if out is None:
            self._daemon.ready(60.0)

    def stop(self) -> None:
        assert self._daemon is not None
        self._daemon.signal(signal.SIGTERM)
        assert self._daemon.end(30.0) == 0

    def kill(self) -> None:
        for idle in self._crowd:
            idle.close()
        self._crowd = []
        if self._disk is not None:
            self._disk.heal()
        if self._daemon is not None:
            self._daemon.__exit__()
            self._daemon = None
        if self._program is not None:
            self._program.kill()
            self._program.wait()
            self._program = None

    def ask(self, kind: str, strategy: str | None = None, *, key: str = "", **words: str) -> Any:
        assert self._daemon is not None
        assert self._daemon.process.poll() is None, "the daemon has ended"
        if self._crowd:
            return self._from_files()
        return self._daemon.ask(kind, strategy, key=key, **words)

    def _from_files(self) -> list[dict[str, Any]]:
        """Where nobody gets through: the latches say how far it is."""
        latches = Latches(self.state)
        found = []
        for name in ALL:
            latch = latches.of(name)
            awaited = [] if latch is None else [str(each) for each in latch.awaited]
            phase = "" if latch is None else latch.phase.value
            found.append({"strategy": name, "phase": phase, "awaited": awaited, "state": "?", "ticks": 0})
        return found

    def break_it(self, trouble: Trouble) -> None:
        disk = self._disk
        match trouble:
            case Trouble.CONNECTIONS:
                for _ in range(96):
                    idle = socket.socket(socket.AF_UNIX)
                    idle.settimeout(1.0)
                    self._crowd.append(idle)
                    with suppress(OSError):
                        idle.connect(str(self.state / SOCKET))
            case Trouble.JOURNAL:
                for name in DAMAGED:
                    for segment in sorted((self.state / "strategies" / name / "journal").glob("*.journal"))[:1]:
                        data = bytearray(segment.read_bytes())
                        data[len(data) // 3] ^= 0xFF
                        segment.write_bytes(data)
            case Trouble.FULL if disk is not None:
                disk.fill()
            case Trouble.INODES if disk is not None:
                disk.use_up_inodes()
            case Trouble.READ_ONLY if disk is not None:
                disk.turn_read_only()
            case Trouble.HUNG if disk is not None:
                disk.freeze()
            case _:
                pass

    def heal(self) -> None:
        for idle in self._crowd:
            idle.close()
        self._crowd = []
        if self._disk is not None:
            self._disk.heal()

    def balances(self, strategy: str) -> Mapping[PositionKey, float]:
        apart = self._venues / strategy / NAME
        path = apart if apart.exists() else self.state / "strategies" / strategy / "venues" / NAME
        return read_ledger(path)[-1].world.balances

    def flatten(self, speed: float, within_s: float) -> list[dict[str, Any]] | None:
        self.kill()
        self.break_it(self._row.trouble)
        (self._folder / "slow").mkdir()
        config, found = daemon_file(self._folder / "slow", speed=speed), self._folder / "findings"
        command = [*BASIS, "safety", "flatten", "--yes", "--config", str(config), "--state", str(self.state),
                   "--wait", f"{within_s:g}", "-o", "json"]  # fmt: skip
        with ExitStack() as stack:
            out, err = (
                stack.enter_context(found.open("wb")).fileno(),
                stack.enter_context(self._log.open("ab")).fileno(),
            )
            if self._row.trouble is Trouble.STREAMS:
                out, err = stack.enter_context(unheard())
            self._program = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=err)
        until = time.monotonic() + within_s + FLATTENED_S
        while time.monotonic() < until and self._program.poll() is None and not found.read_bytes().endswith(b"]\n"):
            time.sleep(0.2)
        text, told = found.read_bytes(), self._log.read_text()[-1000:]
        assert text or self._row.trouble is Trouble.STREAMS, f"flatten ended with {self._program.poll()}: {told}"
        return msgspec.json.decode(text) if text else None

    def finish(self) -> list[str]:
        if self._row.trouble is Trouble.READ_ONLY and self._disk is not None:
            self.kill()
            self._disk.repair()
            return self._safety("flatten", "--yes")  # no latch was ever written: only a person knows of it
        self.heal()
        if self._row.trouble in DISKS:
            time.sleep(6.0)  # the latch is written as soon as the disk takes it
        self.kill()
        is_forgotten = self._row.way is Way.FLATTEN and self._row.trouble in DISKS
        return self._safety("flatten", "--yes") if is_forgotten else self._safety("finish")

    def _safety(self, *words: str) -> list[str]:
        """The program that the timer unit runs, as it runs it: again until there is nothing to go on with."""
        place = ("--config", str(self._fast), "--state", str(self.state), "--wait", "100", "-o", "json")
        for _ in range(3):
            done = basis("safety", *words, *place, timeout=200.0)
            if done.returncode == 0:
                return []
            if done.returncode != 6:
                return [f"safety {words[0]} ended with {done.returncode}: {(done.stdout + done.stderr)[-400:]}"]
            words = ("finish",)
        return ["safety finish is still closing after 300 s"]


class StandHouse:
    """A daemon whose venues live in a process of their own, and fail there."""

    def __init__(self, folder: Path, row: Row, stack: ExitStack) -> None:
        self._stand = stack.enter_context(Stand(folder, ids=ALL, speed=FAST))
        self._row = row
        self.state = self._stand.state

    def start(self, speed: float, *, is_last: bool) -> None:
        self._stand.speed = speed
        assert self._stand.start(), self._stand.log.read_text()[-2000:]

    def stop(self) -> None:
        assert self._stand.stop(30.0)[0] == 0

    def kill(self) -> None:
        self._stand.kill()

    def ask(self, kind: str, strategy: str | None = None, *, key: str = "", **words: str) -> Any:
        assert self._stand.process is not None and self._stand.process.poll() is None, "the daemon has ended"
        return self._stand.ask(kind, strategy, key=key, **words)

    def break_it(self, trouble: Trouble) -> None:
        for name in ALL:
            if trouble is Trouble.TOKENS:
                self._do(name, "foreign_transfer", "spam", None, SPAM, 1000.0, self._stand.truth(name).timestamp)
            else:
                door = "okx" if trouble is Trouble.VENUE else "chain"
                self._do(name, "add_fault", Fault(kind="black_hole", venue=door, at=0, duration_s=ALWAYS))

    def heal(self) -> None:
        for name in ALL:
            self._do(name, "heal")

    def balances(self, strategy: str) -> Mapping[PositionKey, float]:
        return self._stand.truth(strategy).balances

    def flatten(self, speed: float, within_s: float) -> list[dict[str, Any]] | None:
        raise NotImplementedError("the safety program reaches no venues of another process")

    def finish(self) -> list[str]:
        """The next start of the daemon."""
        self.heal()
        self.kill()
        self.start(FAST, is_last=True)
        wait_for(self, lambda all: all_flat(all), 240.0, "the next life does not end flat")
        return []

    def _do(self, name: str, method: str, *arguments: Any) -> None:
        async def ask() -> None:
            await getattr(RemoteAccount(self._stand._socket, name, Still()), method)(*arguments)

        trio.run(ask)


def all_flat(replicas: Replicas) -> bool:
    return all(each["phase"] == "flat" for each in replicas.values())


def house_of(folder: Path, row: Row, stack: ExitStack) -> House:
    return StandHouse(folder, row, stack) if row.trouble in OUTSIDE else RealHouse(folder, row, stack)
