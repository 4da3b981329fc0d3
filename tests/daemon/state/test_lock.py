"""Locks between real processes: the second owner is refused by name, and death is enough to let go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from components.model.errors import Stop
from daemon.state import lock
from daemon.state.lock import OPS_LOCKED, UNKNOWN, Holder, account_lock, accounts_held, held, holder_of, state_lock

ME = Holder(pid=1234, started="2024-05-01T00:00:00+00:00", socket="/run/c.sock")
OTHER = """
import os, sys, signal
from pathlib import Path
from daemon.state.lock import Holder, held
with held(Path(sys.argv[1]), Holder(pid=os.getpid(), started="then"), "state"):
    print("held", flush=True)
    signal.pause()
"""


def test_a_holder_is_named_while_it_holds(tmp_path: Path) -> None:
    path = state_lock(tmp_path / "new")
    assert holder_of(path) is None
    with held(path, ME, "state"):
        assert holder_of(path) == ME
    assert holder_of(path) is None
    assert path.exists()


def test_a_second_owner_is_told_who_and_since_when(tmp_path: Path) -> None:
    path = state_lock(tmp_path)
    with held(path, ME, "state directory"):
        with pytest.raises(Stop) as caught, held(path, Holder(pid=5, started="later"), "state directory"):
            raise AssertionError("entered")
        assert holder_of(path) == ME
    assert caught.value.code == OPS_LOCKED
    assert "process 1234" in str(caught.value)
    assert "started 2024-05-01T00:00:00+00:00" in str(caught.value)


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    path = state_lock(tmp_path)
    with subprocess.Popen([sys.executable, "-c", OTHER, str(path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        found = holder_of(path)
        assert found is not None
        assert found.pid == other.pid
        with pytest.raises(Stop), held(path, ME, "state"):
            raise AssertionError("entered")
        other.send_signal(signal.SIGKILL)
    assert holder_of(path) is None
    with held(path, ME, "state"):
        assert holder_of(path) == ME


def test_a_shorter_name_leaves_nothing_of_a_longer_one(tmp_path: Path) -> None:
    path = state_lock(tmp_path)
    with held(path, Holder(pid=1, started="x" * 200), "state"):
        pass
    with held(path, Holder(pid=2, started="y"), "state"):
        assert holder_of(path) == Holder(pid=2, started="y")


def test_a_holder_without_a_name_is_still_a_holder(tmp_path: Path) -> None:
    path = state_lock(tmp_path)
    with held(path, ME, "state"):
        path.write_bytes(b"")
        assert holder_of(path) == UNKNOWN


def test_an_account_is_the_same_for_every_state_directory() -> None:
    systemd = {"RUNTIME_DIRECTORY": "/run/basisd:/run/other", "XDG_RUNTIME_DIR": "/run/user/1"}
    assert account_lock(systemd, "production", "a") == Path("/run/basisd/accounts/production.a.lock")
    assert account_lock({"XDG_RUNTIME_DIR": "/run/user/1"}, "dev", "a") == Path(
        "/run/user/1/basisd/accounts/dev.a.lock"
    )
    assert account_lock({}, "dev", "a") != account_lock({}, "dev", "b")


def test_who_removes_the_lock_file_takes_nothing_from_its_holder(tmp_path: Path) -> None:
    path = state_lock(tmp_path)
    with subprocess.Popen([sys.executable, "-c", OTHER, str(path)], stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "held\n"
            path.unlink()
            for _ in range(2):  # the second finds what the first may have left
                with pytest.raises(Stop) as caught, held(path, ME, "state"):
                    raise AssertionError("entered")
                assert caught.value.code == OPS_LOCKED
                found = holder_of(path)
                assert found is not None
                assert found.pid in (other.pid, 0)
            path.write_text("")  # somebody makes a file of that name
            with pytest.raises(Stop), held(path, ME, "state"):
                raise AssertionError("entered")
        finally:
            other.kill()
    assert holder_of(path) is None


def test_a_disk_that_hangs_keeps_nobody_from_a_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is held without a name, and without a byte written: the file is there, and a lock takes no writing."""
    path, hangs = state_lock(tmp_path), threading.Event()
    with held(path, ME, "state"):
        pass
    monkeypatch.setattr(lock, "DISK_S", 0.1)
    monkeypatch.setattr(os, "ftruncate", lambda *_: hangs.wait(20.0))
    with held(path, Holder(pid=5, started="later"), "state"):
        with pytest.raises(Stop), held(path, ME, "state"):
            raise AssertionError("entered")
        assert holder_of(path) is not None
    hangs.set()


def test_a_lock_file_that_is_there_is_not_opened_for_writing_by_who_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, opened, open_it = state_lock(tmp_path), list[int](), os.open
    with held(path, ME, "state"):
        pass

    def watched(name: Path, flags: int, *more: int) -> int:
        if threading.current_thread() is threading.main_thread():
            opened.append(flags)
        return open_it(name, flags, *more)

    monkeypatch.setattr(os, "open", watched)
    with held(path, ME, "state"):
        assert holder_of(path) == ME
    assert opened and not any(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) for flags in opened)


def test_a_wallet_has_one_writer_whatever_the_state_directory(tmp_path: Path) -> None:
    environ = {"RUNTIME_DIRECTORY": str(tmp_path)}
    with accounts_held(environ, "production", ["b", "a", "b"], Holder(pid=1, started="first")):
        assert sorted(path.name for path in (tmp_path / "accounts").iterdir()) == [
            "production.a.lock",
            "production.b.lock",
        ]
        with (
            pytest.raises(Stop, match="the account b is owned by process 1"),
            accounts_held(environ, "production", ["b", "c"], Holder(pid=2, started="second")),
        ):
            pytest.fail("it has an owner")
        with accounts_held(environ, "staging", ["a"], Holder(pid=2, started="second")):
            pass
    with accounts_held(environ, "production", ["a", "b"], Holder(pid=2, started="second")):
        pass
