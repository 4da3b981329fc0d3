"""`basis replay`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec import structs

from daemon.journal.records import StepEnd
from tests.daemon.cli.calls import call
from tests.daemon.house import BTC
from tests.daemon.recordings import eventful, journal_with


def test_a_run_that_repeats_ends_with_zero(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal_with(eventful()[1], tmp_path / "strategies")
    capsys.readouterr()
    assert call("replay", BTC, "--state", str(tmp_path)) == 0
    assert capsys.readouterr().out.startswith("identical: 34 steps in 3 epoch(s)")


def test_a_journal_folder_may_be_named_instead(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = journal_with(eventful()[1], tmp_path)
    assert call("replay", str(folder), "-o", "json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["identical"], told["epochs"], told["aborted"]) == (True, 3, 1)


def test_a_run_that_differs_ends_with_one_and_shows_both_sides(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = list(eventful()[1])
    i = next(i for i, record in enumerate(records) if isinstance(record, StepEnd) and record.tick >= 0)
    records[i] = structs.replace(records[i], state_hash="0" * 64)  # type: ignore[type-var]
    folder = journal_with(records, tmp_path)
    assert call("replay", str(folder)) == 1
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith("different: ")
    assert shown[1].endswith(": the state after the step")
    assert shown[2].strip() == "recorded " + "0" * 64


def test_a_damaged_journal_ends_with_65(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = journal_with(eventful()[1], tmp_path)
    path = folder / "000001.journal"
    data = bytearray(path.read_bytes())
    data[2000] ^= 1
    path.write_bytes(data)
    assert call("replay", str(folder)) == 65
    assert "breaks" in capsys.readouterr().err


def test_a_strategy_that_never_ran_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("replay", "nobody", "--state", str(tmp_path)) == 4
    assert "EVT-023" in capsys.readouterr().err
