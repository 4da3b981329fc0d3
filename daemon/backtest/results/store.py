"""The results folder: one folder per run, whole or not there at all.

A run is written into a hidden sibling and renamed at the end. A run that is done again replaces the older folder: it is
the same run. Only this file writes below the results folder.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

import msgspec

from components.model.errors import CFG_REQUEST, Fault, InvalidInput, nearest_name
from daemon.backtest.results.events import write_events
from daemon.backtest.results.summary import FinishedRun, Summary
from daemon.backtest.results.tables import balance_table, pnl_table
from daemon.config.settings import merged_yaml

SUMMARY = "summary.json"


class ResultsStore:
    def __init__(self, root: Path) -> None:
        self._root = root

    def folder(self, run_id: str) -> Path:
        return self._root / run_id

    def check_writable(self) -> None:
        """Refuses before the work is done, rather than after it: InvalidInput when no folder can be made here."""
        place = next(path for path in (self._root, *self._root.absolute().parents) if path.exists())
        if not place.is_dir():
            raise self._unwritable(f"{place} is a file")
        if not os.access(place, os.W_OK | os.X_OK):
            raise self._unwritable(f"{place} may not be written to")

    def write(self, finished: FinishedRun, *, charts: bool) -> Summary:
        """Writes the whole folder of a run; returns the summary as written. After an error nothing is left behind."""
        draft = self._root / f".{finished.summary.run_id}.{os.getpid()}.part"
        try:
            draft.mkdir(parents=True)
            summary = _fill(draft, finished, charts=charts)
            _put_in_place(draft, self.folder(summary.run_id))
        except OSError as exc:
            raise self._unwritable(f"{exc.strerror}: {exc.filename}") from exc
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return summary

    def run_ids(self) -> list[str]:
        """The runs there are, by name."""
        if not self._root.is_dir():
            return []
        return sorted(path.parent.name for path in self._root.glob(f"[!.]*/{SUMMARY}"))

    def summary(self, run_id: str) -> Summary:
        """The summary of one run; InvalidInput names the nearest run when there is none of that name."""
        known = self.run_ids()
        try:
            if run_id not in known:
                raise FileNotFoundError
            return msgspec.json.decode((self._root / run_id / SUMMARY).read_bytes(), type=Summary)
        except FileNotFoundError:
            expected = f"a run in {self._root}" if known else f"a run, but {self._root} has none"
            nearest = nearest_name(run_id, known)
            raise InvalidInput(
                CFG_REQUEST, [Fault(where="run", found=run_id, expected=expected, nearest=nearest, absent=True)]
            ) from None
        except (OSError, msgspec.DecodeError) as exc:
            where = str(self._root / run_id / SUMMARY)
            raise InvalidInput(
                CFG_REQUEST, [Fault(where=where, found=str(exc), expected="the summary of a run")]
            ) from exc

    def summaries(self) -> tuple[list[Summary], list[Fault]]:
        """The summaries that can be read, by name of the run, and what is wrong with the others."""
        found: list[Summary] = []
        faults: list[Fault] = []
        for run_id in self.run_ids():
            try:
                found.append(self.summary(run_id))
            except InvalidInput as refused:
                faults += refused.faults
        return found, faults

    def _unwritable(self, found: str) -> InvalidInput:
        fault = Fault(where=f"results folder {self._root}", found=found, expected="a folder that can be written to")
        return InvalidInput(CFG_REQUEST, [fault])


def _fill(draft: Path, finished: FinishedRun, *, charts: bool) -> Summary:
    suffix = finished.run.share_class.column_suffix
    pnl_table(finished.result, finished.benchmarks, suffix).write(draft / "pnl.csv")
    balance_table(finished.result, suffix).write(draft / "balance_sheet.csv")
    log = write_events(draft / "event_log.csv", finished.result.events)
    (draft / "config.yaml").write_text(merged_yaml(finished.run, finished.asked), encoding="utf-8")
    summary = msgspec.structs.replace(finished.summary, events=log.events, last_event_hash=log.last_hash)
    (draft / SUMMARY).write_bytes(msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n")
    if charts:
        from daemon.backtest.results.charts.pages import (
            write_pages,  # the chart library is 4 MB that a run without charts does not touch
        )

        write_pages(msgspec.structs.replace(finished, summary=summary), draft / "plots")
    return summary


def _put_in_place(draft: Path, folder: Path) -> None:
    """Swaps the draft in; the older folder is put back when that fails."""
    older = draft.with_suffix(".old")
    had = folder.exists()
    if had:
        folder.rename(older)
    try:
        draft.rename(folder)
    except OSError:
        if had:
            with suppress(OSError):
                older.rename(folder)
        raise
    shutil.rmtree(older, ignore_errors=True)
