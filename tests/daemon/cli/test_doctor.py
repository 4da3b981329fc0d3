"""`basis doctor`: one line per check, and an exit code for scripts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from daemon.config.settings import PACKAGED
from tests.daemon.cli.calls import call
from tests.daemon.control.daemons import running

CHECKS = [
    "python", "packages", "config", "state", "disk", "fsync", "lock", "socket", "latch", "journal", "watchdog", "clock",
]  # fmt: skip


def test_beside_a_running_daemon_all_is_looked_at_and_nothing_left_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(tmp_path) as daemon:
        before = sorted(path.name for path in tmp_path.iterdir())
        words = ["doctor", "--config", str(PACKAGED / "paper.yaml"), "--state", str(tmp_path), "-o", "json"]
        assert call(*words) == 0
        assert sorted(path.name for path in tmp_path.iterdir()) == before
    found = json.loads(capsys.readouterr().out)
    assert [one["check"] for one in found] == [*CHECKS[:8], "metrics", *CHECKS[8:]]
    assert [request.kind for request in daemon.asked] == ["ping"]


def test_a_failed_check_is_named_and_ends_with_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["doctor", "--config", str(tmp_path / "no.yaml"), "--state", str(tmp_path / "file")]
    (tmp_path / "file").write_text("")
    assert call(*words) == 3
    told = capsys.readouterr()
    assert told.err == "failed: config, state\n"
    assert "no such file" in told.out
