"""`basis run`, the real process: signals, the latch, reload, refusals, what a full disk and a damaged journal do."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.process.real import Daemon, basis, daemon_file
from tests.process.stand import Stand
from tests.systemd.notify_socket import NotifySocket

ALL = ("lending", "btc-basis", "eth-leveraged", "market-neutral")


def test_it_says_ready_and_ends_with_zero_on_sigterm(tmp_path: Path) -> None:
    with Daemon(tmp_path, daemon_file(tmp_path)) as daemon:
        assert set(daemon.ready().split()[1:]) == set(ALL)
        daemon.wait_for(lambda all: all["btc-basis"]["trades"] >= 6)
        began = time.monotonic()
        daemon.signal(signal.SIGTERM)
        assert daemon.end() == 0
        assert time.monotonic() - began < 5.0
        assert daemon.logged()[-1]["event"] == "daemon.stopped"
        assert daemon.logged()[-1]["uncertain"] == {}
    assert "starts with" in "".join(daemon.told)


def test_sigterm_in_the_middle_of_an_order_resolves_it(tmp_path: Path) -> None:
    """The venues take half a second for everything; the stop comes while the first orders are under way."""
    with Stand(tmp_path, latency=0.5) as stand:
        assert stand.start()
        time.sleep(1.2)
        began = time.monotonic()
        code, last = stand.stop(20.0)
        assert code == 0
        assert time.monotonic() - began < 20.0
        assert last.startswith("stopped")
        if "()" in last:  # nothing is uncertain: what the venue has done is in the journal
            truth = stand.truth("btc-basis")
            for order in truth.orders:
                assert order in (stand.state / "strategies/btc-basis/journal/000001.journal").read_bytes().decode(
                    "latin-1"
                )
        assert stand.start()
        stand.wait_for(lambda all: all["btc-basis"]["ticks"] > 1 and not all["btc-basis"]["uncertain"], 40.0)
        assert stand.stop()[0] == 0
        for proof in stand.proofs().values():
            assert proof.identical, proof.in_words()


def test_a_second_sigterm_is_quick(tmp_path: Path) -> None:
    with Daemon(tmp_path, daemon_file(tmp_path)) as daemon:
        daemon.ready()
        daemon.signal(signal.SIGTERM)
        time.sleep(0.05)
        daemon.signal(signal.SIGTERM)
        assert daemon.end(10.0) == 0


def test_sigusr1_flattens_and_the_latch_outlives_a_restart(tmp_path: Path) -> None:
    config = daemon_file(tmp_path)
    with Daemon(tmp_path, config) as daemon:
        daemon.ready()
        daemon.wait_for(lambda all: all["btc-basis"]["trades"] >= 6 and all["eth-leveraged"]["trades"] >= 5)
        daemon.signal(signal.SIGUSR1)
        daemon.wait_for(lambda all: all["btc-basis"]["state"] == "latched")
        flat = [each for each in ("btc-basis", "eth-leveraged", "lending")]
        until = time.monotonic() + 40.0
        while {line.get("strategy") for line in daemon.logged() if line["event"] == "emergency.flat"} < set(flat):
            assert time.monotonic() < until, daemon.log.read_text()[-2000:]
            time.sleep(0.2)
        held = {each["key"] for each in daemon.ask("positions", "btc-basis") if each["observed"]}
        assert not any("Perp" in key or key.endswith(":BTC") for key in held), held
        daemon.signal(signal.SIGTERM)
        assert daemon.end() == 0
    with Daemon(tmp_path, config) as daemon:
        daemon.ready()
        assert daemon.wait_for(lambda all: len(all) == 4)["btc-basis"]["state"] == "latched"
        daemon.ask("resume", "btc-basis")
        daemon.wait_for(lambda all: all["btc-basis"]["state"] == "running" and all["btc-basis"]["ticks"] > 1)
        daemon.signal(signal.SIGTERM)
        assert daemon.end() == 0
    shown = basis("replay", "btc-basis", "--state", str(tmp_path / "state"))
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert shown.stdout.startswith("identical")


def test_a_bad_reload_keeps_the_old_configuration_and_a_good_one_is_taken(tmp_path: Path) -> None:
    config = daemon_file(tmp_path)
    with NotifySocket() as socket, Daemon(tmp_path, config, environ=socket.environment()) as daemon:
        daemon.ready()
        socket.wait_for("READY", "1", within_s=10.0)
        daemon_file(tmp_path, strategies__1__mode="btc_bassis", limits__poll_interval_s=-1)
        daemon.signal(signal.SIGHUP)
        socket.wait_for("RELOADING", "1", within_s=10.0)
        status = socket.wait_for("READY", "1", within_s=10.0)
        assert status
        refused = next(line for line in daemon.logged() if line["event"] == "config.refused")
        assert "btc_bassis" in refused["error"] and "poll_interval_s" in refused["error"]
        daemon.wait_for(lambda all: all["btc-basis"]["state"] == "running")
        daemon_file(tmp_path, strategies__1__overrides={"risk.delta.warning": 0.015})
        daemon.signal(signal.SIGHUP)
        until = time.monotonic() + 10.0
        while not any(line["event"] == "config.changed" for line in daemon.logged()):
            assert time.monotonic() < until, daemon.log.read_text()[-2000:]
            time.sleep(0.1)
        ticks = daemon.ask("status", "btc-basis")[0]["ticks"]
        daemon.wait_for(lambda all: all["btc-basis"]["ticks"] > ticks + 2)
        daemon.signal(signal.SIGUSR2)
        until = time.monotonic() + 10.0
        while not any(line["event"] == "daemon.dump" for line in daemon.logged()):
            assert time.monotonic() < until
            time.sleep(0.1)
        daemon.signal(signal.SIGTERM)
        assert daemon.end() == 0
        socket.wait_for("STOPPING", "1", within_s=10.0)
    shown = basis("replay", "btc-basis", "--state", str(tmp_path / "state"))
    assert shown.returncode == 0, shown.stdout
    assert "1 reload(s)" in shown.stdout


def test_a_second_daemon_on_the_same_state_is_refused(tmp_path: Path) -> None:
    config = daemon_file(tmp_path)
    with Daemon(tmp_path, config) as daemon:
        daemon.ready()
        other = basis("run", "--config", str(config), "--state", str(tmp_path / "state"))
        assert other.returncode == 75
        assert str(daemon.process.pid) in other.stderr


def test_every_fault_of_a_configuration_is_listed_before_anything_starts(tmp_path: Path) -> None:
    config = daemon_file(tmp_path, strategies__0__mode="pure_landing", market__scenario="clam", speed=-3)
    shown = basis("run", "--config", str(config), "--state", str(tmp_path / "state"))
    assert shown.returncode == 78
    for word in ("pure_landing", "pure_lending", "clam", "calm", "speed"):
        assert word in shown.stderr
    assert not (tmp_path / "state").exists()


def test_live_is_refused_as_long_as_there_are_no_real_venues(tmp_path: Path) -> None:
    shown = basis("run", "--config", "configs/live.example.yaml", "--state", str(tmp_path / "state"))
    assert shown.returncode == 78
    assert not (tmp_path / "state").exists()


def test_a_damaged_journal_is_named_and_left_alone_and_the_others_run(tmp_path: Path) -> None:
    config = daemon_file(tmp_path)
    with Daemon(tmp_path, config) as daemon:
        daemon.ready()
        daemon.wait_for(lambda all: all["lending"]["ticks"] > 3)
        daemon.signal(signal.SIGTERM)
        assert daemon.end() == 0
    journal = tmp_path / "state/strategies/lending/journal/000001.journal"
    data = bytearray(journal.read_bytes())
    data[len(data) // 2] ^= 1
    journal.write_bytes(data)
    with Daemon(tmp_path, config) as daemon:
        assert "not up: lending" in daemon.ready()
        daemon.wait_for(lambda all: all["btc-basis"]["ticks"] > 2)
        crashed = next(line for line in daemon.logged() if line["event"] == "cell.crashed")
        assert "breaks at record" in crashed["error"]
        daemon.signal(signal.SIGTERM)
        assert daemon.end() == 0
    assert journal.read_bytes() == bytes(data)
    shown = basis("audit", "verify", "--state", str(tmp_path / "state"))
    assert shown.returncode == 65
    assert "lending breaks at record" in shown.stdout + shown.stderr


def test_it_ends_with_65_when_no_journal_can_be_used(tmp_path: Path) -> None:
    config = daemon_file(tmp_path)
    with Daemon(tmp_path, config) as daemon:
        daemon.ready()
        daemon.wait_for(lambda all: all["lending"]["ticks"] > 3)
        daemon.signal(signal.SIGTERM)
        assert daemon.end() == 0
    for journal in (tmp_path / "state/strategies").glob("*/journal/000001.journal"):
        data = bytearray(journal.read_bytes())
        data[len(data) // 2] ^= 1
        journal.write_bytes(data)
    with Daemon(tmp_path, config) as daemon:
        assert daemon.end(30.0) == 65


def test_a_disk_that_takes_no_more_stops_trading_and_keeps_the_books(tmp_path: Path) -> None:
    """Files may not grow beyond a limit: what a full disk does, without one."""
    import resource

    config = daemon_file(tmp_path)

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    daemon = Daemon.__new__(Daemon)
    daemon.state, daemon.log, daemon.told = tmp_path / "state", tmp_path / "log", []
    from tests.process.real import BASIS, ROOT

    command = [*BASIS, "run", "--config", str(config), "--state", str(daemon.state), "--speed", "3000"]
    with open(daemon.log, "ab") as log:
        daemon.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, preexec_fn=small)
    with daemon:
        daemon.ready()
        replicas = daemon.wait_for(lambda all: any(each["state"] == "backing_off" for each in all.values()), 60.0)
        assert any("can" in each["reason"] and "journal" in each["reason"] for each in replicas.values())
        daemon.signal(signal.SIGTERM)
        assert daemon.end() == 0
    shown = basis("audit", "verify", "--state", str(tmp_path / "state"))
    assert shown.returncode == 0, shown.stdout + shown.stderr


def test_while_it_reads_its_journals_systemd_is_asked_for_time(tmp_path: Path) -> None:
    with NotifySocket() as manager, Daemon(tmp_path, daemon_file(tmp_path), environ=manager.environment()) as daemon:
        daemon.ready()
        manager.wait_for("READY", "1", within_s=5.0)
        before = manager.messages[:-1]
        assert any(int(message.get("EXTEND_TIMEOUT_USEC", "0")) >= 20_000_000 for message in before)
        assert any("0 of 4 strategies have read their journals" in message.get("STATUS", "") for message in before)
        daemon.signal(signal.SIGTERM)
        assert daemon.end() == 0
        assert not any("EXTEND_TIMEOUT_USEC" in message for message in manager.collect(0.1))


def test_a_state_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    for place in (tmp_path / "file", tmp_path / "file" / "state", Path("/proc/state")):
        told = basis("run", "--config", str(daemon_file(tmp_path)), "--state", str(place))
        assert told.returncode == 75, told.stderr
        assert f"OPS-011: {place}" in told.stderr or f"OPS-011: {place.parent}" in told.stderr
        assert "Traceback" not in told.stderr
        assert "name another with --state" in told.stderr


def test_a_state_directory_on_a_read_only_disk_is_named_and_left_alone(tmp_path: Path) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"needs the right to mount: {mounted.stderr.strip()}")
    try:
        told = basis("run", "--config", str(daemon_file(tmp_path)), "--state", str(place))
    finally:
        subprocess.run(["umount", str(place)], check=True)
    assert told.returncode == 75
    assert "Read-only file system" in told.stderr
    assert "Traceback" not in told.stderr
