"""The results folder: everything or nothing, and the same bytes again."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from components.model.errors import InvalidInput
from daemon.backtest.results import store as results_store
from daemon.backtest.results.store import ResultsStore
from daemon.backtest.results.summary import Summary
from tests.daemon.handmade import finished

FILES = {"summary.json", "pnl.csv", "event_log.csv", "balance_sheet.csv", "config.yaml"}
KEYS = [
    "run_id",
    "mode",
    "share_class",
    "start",
    "end",
    "initial_capital",
    "final_equity",
    "total_return",
    "annualised_return",
    "parts",
    "external_flows",
    "residual_max",
    "max_drawdown",
    "sharpe",
    "trades",
    "liquidations",
    "min_health_factor",
    "min_margin_ratio",
    "rows",
    "rows_per_second",
    "hashes",
    "out",
]


def test_a_run_is_one_folder_with_all_its_files(tmp_path: Path) -> None:
    summary = ResultsStore(tmp_path / "results").write(finished(), charts=False)

    folder = tmp_path / "results" / summary.run_id
    assert {path.name for path in folder.iterdir()} == FILES
    assert summary.events == 5
    assert os.listdir(tmp_path / "results") == [summary.run_id]


def test_summary_json_has_the_promised_keys_in_order(tmp_path: Path) -> None:
    summary = ResultsStore(tmp_path).write(finished(), charts=False)

    found = msgspec.json.decode((tmp_path / summary.run_id / "summary.json").read_bytes())
    assert list(found)[: len(KEYS)] == KEYS
    assert set(found["hashes"]) == {"config", "data", "code"}
    assert found["min_health_factor"] is None


def test_the_same_run_gives_the_same_bytes_and_replaces_its_folder(tmp_path: Path) -> None:
    store = ResultsStore(tmp_path)
    folder = store.folder(store.write(finished(), charts=True).run_id)
    before = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    (folder / "left over").touch()

    store.write(finished(), charts=True)

    after = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert after == before


def test_a_run_that_fails_half_way_leaves_the_older_one_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ResultsStore(tmp_path)
    summary = store.write(finished(), charts=False)
    before = (tmp_path / summary.run_id / "pnl.csv").read_bytes()

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device", "event_log.csv")

    monkeypatch.setattr(results_store, "write_events", full_disk)
    with pytest.raises(InvalidInput, match="No space left on device"):
        store.write(finished(50), charts=False)

    assert os.listdir(tmp_path) == [summary.run_id]
    assert (tmp_path / summary.run_id / "pnl.csv").read_bytes() == before


def test_a_results_folder_that_is_a_file_is_refused_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "results").touch()

    with pytest.raises(InvalidInput, match="is a file"):
        ResultsStore(tmp_path / "results" / "deeper").check_writable()


def test_runs_are_listed_by_name_and_drafts_are_not_runs(tmp_path: Path) -> None:
    store = ResultsStore(tmp_path)
    assert ResultsStore(tmp_path / "absent").run_ids() == []
    store.write(finished(), charts=False)
    (tmp_path / ".other.part").mkdir()
    (tmp_path / ".other.part" / "summary.json").touch()
    (tmp_path / "no run").mkdir()

    assert store.run_ids() == ["btc_basis-by-hand"]
    assert isinstance(store.summary("btc_basis-by-hand"), Summary)


@pytest.mark.parametrize("run_id", ["btc_basis-by-hnd", "../results/btc_basis-by-hand", "", "."])
def test_an_unknown_run_is_refused(tmp_path: Path, run_id: str) -> None:
    store = ResultsStore(tmp_path / "results")
    store.write(finished(), charts=False)

    with pytest.raises(InvalidInput, match="expected a run in"):
        store.summary(run_id)


def test_a_torn_summary_is_named(tmp_path: Path) -> None:
    store = ResultsStore(tmp_path)
    run_id = store.write(finished(), charts=False).run_id
    (tmp_path / run_id / "summary.json").write_text("{")

    with pytest.raises(InvalidInput, match="summary.json"):
        store.summary(run_id)


def test_a_torn_summary_hides_no_other_run(tmp_path: Path) -> None:
    store = ResultsStore(tmp_path)
    run_id = store.write(finished(), charts=False).run_id
    for name, text in {"torn": "{", "empty": "", "other": "[]", "a-first": "\x00"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "summary.json").write_text(text)
    summaries, faults = store.summaries()

    assert [summary.run_id for summary in summaries] == [run_id]
    assert len(faults) == 4
    assert all("summary.json" in fault.where for fault in faults)
