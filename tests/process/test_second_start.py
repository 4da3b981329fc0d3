"""A second start on one state directory, while the first lives and after it: refused before anything is touched."""

from __future__ import annotations

import signal
from hashlib import sha256
from pathlib import Path

from daemon.exits import Exit
from tests.process.real import Daemon, basis, daemon_file


def prints(state: Path) -> dict[str, tuple[int, str]]:
    """Inode and hash of what a start would replace or go on with."""
    found = [*state.rglob("paper.ledger"), *state.rglob("*.journal"), *state.rglob("anchor"), state / "config.msgpack"]
    return {str(each): (each.stat().st_ino, sha256(each.read_bytes()).hexdigest()) for each in found}


def test_another_start_touches_nothing(tmp_path: Path) -> None:
    config = daemon_file(tmp_path)
    run = ("run", "--config", str(config), "--state", str(tmp_path / "state"))
    with Daemon(tmp_path, config) as daemon:
        daemon.ready()
        daemon.wait_for(lambda all: all["btc-basis"]["trades"] >= 6)
        ledgers = {each: each.stat().st_ino for each in daemon.state.rglob("paper.ledger")}
        (daemon.state / "lock").unlink()
        second = basis(*run)
        assert (second.returncode, "OPS-007" in second.stderr) == (Exit.TEMPFAIL, True), second.stderr
        assert str(daemon.process.pid) in second.stderr
        assert {each: each.stat().st_ino for each in daemon.state.rglob("paper.ledger")} == ledgers
        ticks = daemon.ask("status")[0]["ticks"]
        daemon.wait_for(lambda all: all["btc-basis"]["ticks"] > ticks)
        daemon.signal(signal.SIGTERM)
        assert daemon.end() == 0
    before = prints(daemon.state)
    for changes, said in (
        ({"strategies__1__capital": 120000}, "basis deposit btc-basis 20000"),
        ({"strategies__1__mode": "eth_basis"}, "btc_basis, as in its journal"),
        ({"strategies__1__id": "btc-2"}, "basis stop btc-basis --positions close"),
        ({"market__step_s": 30}, "another one needs another state directory"),
    ):
        daemon_file(tmp_path, **changes)
        refused = basis(*run)
        assert refused.returncode == Exit.CONFIG, refused.stderr
        assert said in refused.stderr
        assert "CFG-020" in refused.stderr
        assert prints(daemon.state) == before
    with Daemon(tmp_path, daemon_file(tmp_path)) as daemon:
        daemon.ready()
        daemon.wait_for(lambda all: all["btc-basis"]["ticks"] >= 1 and not all["btc-basis"]["missed"])
