"""`basis audit`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from daemon.cli.audit import audit
from daemon.journal.journal import Journal
from daemon.journal.reader import journal_folder
from daemon.state.disk import RealDisk
from daemon.state.lock import Holder, held, state_lock
from tests.daemon.journal.state import BTC, written
from tests.daemon.journal.test_pruning import epoch, filler


@pytest.fixture
def state(tmp_path: Path) -> Path:
    written(RealDisk(), tmp_path)
    return tmp_path


def ran(state: Path | None, *words: str, **environ: str) -> Result:
    where = ["--state", str(state)] if state is not None else []
    return CliRunner().invoke(audit, [*words, *where], catch_exceptions=False, env=environ)


def damage(state: Path) -> None:
    path = journal_folder(state, "btc") / "000001.journal"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_sound_journals_verify(state: Path) -> None:
    result = ran(state, "verify")
    assert result.exit_code == 0 and result.stderr == ""
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["journal", "daemon", "btc", "eth"]

    found = json.loads(ran(state, "verify", "-o", "json").stdout)
    assert [(each["journal"], each["ok"], each["records"]) for each in found] == [
        ("daemon", True, 3), ("btc", True, len(BTC)), ("eth", True, 3),
    ]  # fmt: skip


def test_a_break_is_named_and_ends_with_65(state: Path) -> None:
    damage(state)
    result = ran(state, "verify")
    assert result.exit_code == 65
    assert "btc breaks at record" in result.stderr
    assert "the hash does not match (000001.journal, byte" in result.stderr
    assert [line.split()[1] for line in result.stdout.splitlines()] == ["ok", "yes", "no", "yes"]
    assert ran(state, "verify", "--strategy", "eth").exit_code == 0


def test_the_state_directory_comes_from_the_environment_too(state: Path) -> None:
    assert ran(None, "verify", BASIS_STATE_DIR=str(state)).exit_code == 0


def test_without_a_journal_it_says_so(tmp_path: Path) -> None:
    result = ran(tmp_path, "verify")
    assert result.exit_code == 4 and "EVT-008" in result.stderr
    assert result.stdout == ""


def test_tail_shows_the_last_records(state: Path) -> None:
    result = ran(state, "tail", "-n", "2", "--strategy", "btc")
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["journal", "sequence", "at", "type", "what"]
    assert lines[1].split()[:4] == ["btc", str(len(BTC) - 1), "2024-06-01T00:00:00Z", "outcome"]
    assert "state=unknown" in lines[1] and "reason=stopped" in lines[2]
    assert len(lines) == 3

    records = json.loads(ran(state, "tail", "-n", "1", "-o", "json").stdout)
    assert [record["journal"] for record in records] == ["daemon", "btc", "eth"]


def test_export_writes_lines_to_stdout_or_to_a_file(state: Path, tmp_path: Path) -> None:
    printed = ran(state, "export").stdout.splitlines()
    assert len(printed) == len(BTC) + 6
    assert [json.loads(line)["journal"] for line in printed[:3]] == ["daemon"] * 3

    out = tmp_path / "out.jsonl"
    result = ran(state, "export", "--strategy", "btc", "--out", str(out))
    assert (result.exit_code, result.stdout) == (0, "")
    assert out.read_text().splitlines() == [line for line in printed if '"journal":"btc"' in line]


def test_an_export_of_a_broken_journal_ends_with_65_after_what_still_holds(state: Path) -> None:
    damage(state)
    result = ran(state, "export", "--strategy", "btc")
    assert result.exit_code == 65 and "EVT-001" in result.stderr
    assert 0 < len(result.stdout.splitlines()) < len(BTC)
    assert ran(state, "tail", "-n", "50", "--strategy", "btc").exit_code == 65


def test_prune_moves_what_no_start_needs_and_says_so(tmp_path: Path) -> None:
    state, export = tmp_path / "state", tmp_path / "old"
    folder = journal_folder(state, "one")
    journal = Journal.open(folder, RealDisk(), name="one", now=lambda: 7, rotate_bytes=1_500)
    for number in (1, 2):
        for record in (*epoch(number, 100.0 * number), *(filler(100.0 * number + i) for i in range(20))):
            journal.append(record)
            journal.flush(0.0, anchor=True)
    journal.shut()
    asked = ["prune", "--export", str(export), "--keep-days", "0"]
    dry = ran(state, *asked, "--dry-run", "-o", "json")
    (row,) = json.loads(dry.stdout)
    assert row["records"] > 10
    assert not export.exists()
    refused = ran(state, *asked)
    assert refused.exit_code == 5, "there is no terminal to ask on"
    done = ran(state, *asked, "--yes")
    assert done.exit_code == 0
    assert f"moved to {export}/one/000001.journal" in done.stderr
    checked = ran(state, "verify", "-o", "json")
    assert [(each["ok"], each["first"]) for each in json.loads(checked.stdout)] == [(True, row["records"] + 1)]
    again = ran(state, *asked, "--yes", "-o", "json")
    assert json.loads(again.stdout)[0]["segments"] == 0


def test_prune_refuses_while_the_daemon_runs(tmp_path: Path) -> None:
    state = tmp_path / "state"
    journal = Journal.open(journal_folder(state, "one"), RealDisk(), name="one", now=lambda: 7)
    journal.shut()
    holder = Holder(pid=4711, started="2026-01-01T00:00:00+00:00")
    with held(state_lock(state), holder, "a test"):
        told = ran(state, "prune", "--export", str(tmp_path / "old"), "--yes")
    assert told.exit_code == 75
    assert "4711" in told.stderr
