"""`basis backup | restore`: there and back, beside a running daemon, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from daemon.control.commands import answer
from daemon.state.copy import verify_copy
from tests.daemon.cli.calls import call
from tests.daemon.control.daemons import running


@pytest.fixture
def state(tmp_path: Path) -> Path:
    journal = tmp_path / "state" / "strategies" / "btc" / "journal"
    journal.mkdir(parents=True)
    (journal / "000001.journal").write_bytes(b"x" * 5000)
    (journal / "anchor").write_bytes(b"anchor")
    return tmp_path / "state"


def test_there_and_back(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy, new = tmp_path / "copy", tmp_path / "new"
    assert call("backup", str(copy), "--state", str(state), "-o", "json") == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["files"], told["bytes"]) == (2, 5006)
    assert call("restore", str(copy), "--state", str(new), "--yes") == 0
    assert (new / "strategies/btc/journal/000001.journal").read_bytes() == b"x" * 5000
    assert (new / "strategies/btc/journal/anchor").read_bytes() == b"anchor"


def test_a_running_daemon_makes_the_copy_itself(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with running(state, {"backup": answer({"files": 2}, message="copied")}) as daemon:
        assert call("backup", "copy", "--state", str(state)) == 0
    assert dict(daemon.asked[0].arguments) == {"folder": str(tmp_path / "copy")}
    assert not (tmp_path / "copy").exists()


def test_restore_asks_first_and_refuses_a_state_in_use(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy, new = tmp_path / "copy", tmp_path / "new"
    assert call("backup", str(copy), "--state", str(state)) == 0
    assert call("restore", str(copy), "--state", str(new)) == 5
    assert not new.exists()
    with running(new):
        assert call("restore", str(copy), "--state", str(new), "--yes") == 75
    assert "owned by process" in capsys.readouterr().err
    assert call("restore", str(copy), "--state", str(state), "--yes") == 1
    assert "not empty" in capsys.readouterr().err


def test_a_damaged_copy_is_not_restored(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy, new = tmp_path / "copy", tmp_path / "new"
    assert call("backup", str(copy), "--state", str(state)) == 0
    verify_copy(copy)
    (copy / "strategies/btc/journal/anchor").write_bytes(b"anch0r")
    assert call("restore", str(copy), "--state", str(new), "--yes") == 1
    assert "strategies/btc/journal/anchor" in capsys.readouterr().err
    assert not new.exists()


def test_no_state_no_copy(tmp_path: Path) -> None:
    assert call("backup", str(tmp_path / "copy"), "--state", str(tmp_path / "absent")) == 4
    assert list(tmp_path.iterdir()) == []
