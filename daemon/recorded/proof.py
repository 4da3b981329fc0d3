"""The proof behind `basis replay`: every finished step of a journal, repeated by the core that is installed now."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from components.core import CoreState
from components.model.errors import Refuse, Severity, catalogued
from components.model.slices import RunSlice
from daemon.config.settings import load_run
from daemon.journal.codec import decode
from daemon.journal.journal import record_of
from daemon.journal.records import ConfigChanged, Manifest, Record, StepBegin, StepEnd, is_tagged
from daemon.journal.walk import Walk
from daemon.provenance import provenance
from daemon.recorded.core import Difference, Diverged, RecordedCore
from daemon.recorded.steps import Step, hash_of, steps_of
from daemon.state.disk import RealDisk

EVT_OTHER_CODE = catalogued(
    "EVT-022",
    Severity.ERROR,
    "The run was recorded by other code",
    "Check out the version named in the manifest, or ask what would change: basis replay STRATEGY --what-if",
)
EVT_NO_RUN = catalogued(
    "EVT-023",
    Severity.ERROR,
    "There is no recorded run here",
    "Name a strategy of this state directory, or a journal folder",
)


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it; `differences` holds the first one (with --what-if: all, one per step at most)."""

    steps: int
    aborted: int
    epochs: int
    reloads: int
    orders: int
    identical: bool
    state_hash: str
    differences: tuple[Difference, ...] = ()
    before: int = 0  # records that were pruned, or end an epoch that was: nobody repeats them
    what_if: bool = False

    def in_words(self) -> str:
        counted = (
            f"{self.steps} steps in {self.epochs} epoch(s), {self.orders} orders, {self.reloads} reload(s), "
            f"{self.aborted} step(s) cut short and left out"
        )
        if self.identical:
            return f"identical: {counted}; state {self.state_hash[:16]}{self._left_out()}"
        lines = [f"different: {counted}{self._left_out()}"]
        for each in self.differences:
            at = datetime.fromtimestamp(each.timestamp / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S")
            lines += [
                f"tick {each.tick} at {at} UTC: {each.what}",
                f"  recorded {each.recorded}",
                f"  replayed {each.replayed}",
            ]
        return "\n".join(lines)

    def _left_out(self) -> str:
        return f"; records 1 to {self.before:,} were pruned and are not part of this" if self.before else ""


def prove(folder: Path) -> Result:
    """Repeats every step; Refuse(EVT-022) when other code made the record."""
    counts = _Counts()
    core: RecordedCore | None = None
    run: RunSlice | None = None
    strategy, state_hash = "", ""
    epoch = 0
    for item in steps_of(counts.over(_records(folder, counts))):
        match item:
            case Manifest():
                mine = provenance()
                if item.code_hash and item.code_hash != mine["code_hash"]:
                    raise Refuse(EVT_OTHER_CODE, f"recorded by version {item.version}, code {item.code_hash[:12]}")
                run, strategy, epoch = decode(item.config, RunSlice), item.strategy, item.epoch
            case ConfigChanged():
                run = decode(item.config, RunSlice)
                if core is not None:
                    core = RecordedCore(run, strategy, epoch, core.core.state())
            case StepEnd():
                assert run is not None
                if state_hash and hash_of(item.state) != state_hash:
                    gone = Difference(
                        tick=item.tick,
                        timestamp=item.timestamp,
                        what="the state an epoch starts from",
                        recorded=hash_of(item.state),
                        replayed=state_hash,
                    )
                    return counts.result(state_hash, (gone,))
                core = RecordedCore(run, strategy, epoch, decode(item.state, CoreState))
                state_hash = hash_of(item.state)
            case Step():
                assert core is not None
                try:
                    state_hash = core.advance(item)
                except Diverged as diverged:
                    return counts.result(state_hash, (diverged.difference,))
    if run is None:
        raise Refuse(EVT_NO_RUN, f"the journal in {folder} holds no run")
    return counts.result(state_hash, ())


def what_would_change(folder: Path, config_path: Path | None) -> Result:
    """The decisions that code and configuration of today would make differently, each step from its recorded state.

    Every step starts from the state that was recorded before it, so one difference does not hide the next.
    """
    counts = _Counts()
    differences: list[Difference] = []
    run: RunSlice | None = None
    recorded: RunSlice | None = None
    strategy, epoch, state_hash = "", 0, ""
    core: RecordedCore | None = None
    for item in steps_of(counts.over(_records(folder, counts))):
        match item:
            case Manifest():
                recorded, strategy, epoch = decode(item.config, RunSlice), item.strategy, item.epoch
                run = _run_of(strategy, recorded, config_path)
            case StepEnd():
                assert run is not None
                core = RecordedCore(run, strategy, epoch, decode(item.state, CoreState))
            case Step():
                assert core is not None and run is not None
                before = core.core.state()
                try:
                    state_hash = core.advance(item)
                except Diverged as diverged:
                    if diverged.difference.what != "the state after the step":
                        differences.append(diverged.difference)
                        core = RecordedCore(run, strategy, epoch, before)
                if item.end.state:
                    core = RecordedCore(run, strategy, epoch, decode(item.end.state, CoreState))
            case _:
                pass
    if run is None:
        raise Refuse(EVT_NO_RUN, f"the journal in {folder} holds no run")
    return counts.result(state_hash, tuple(differences), what_if=True)


def _run_of(strategy: str, recorded: RunSlice, config_path: Path | None) -> RunSlice:
    if config_path is None:
        return load_run(recorded.mode.mode)
    from daemon.config.daemon_file import load_daemon

    for entry in load_daemon(config_path).strategies:
        if entry.id == strategy:
            return entry.run
    raise Refuse(EVT_NO_RUN, f"{config_path} has no strategy {strategy!r}")


def _records(folder: Path, counts: _Counts) -> Iterator[Record]:
    if not folder.is_dir():
        raise Refuse(EVT_NO_RUN, f"there is no journal folder {folder}")
    name = folder.parent.name
    walk = Walk(RealDisk(), folder, name)
    begun = walk.anchor is None or not walk.anchor.first
    counts.before = 0 if walk.anchor is None else walk.anchor.first
    for frame in walk:
        begun = begun or is_tagged(frame.payload, "manifest")  # what was pruned may have ended inside an epoch
        if begun:
            yield record_of(name, frame)
        else:
            counts.before = frame.sequence


class _Counts:
    """Counts records as they pass."""

    def __init__(self) -> None:
        self.begun = self.ended = self.epochs = self.reloads = self.orders = self.before = 0
        self._is_open = False

    def over(self, records: Iterator[Record]) -> Iterator[Record]:
        for record in records:
            match record:
                case StepBegin():
                    self.begun += 1
                    self._is_open = True
                case StepEnd():  # a checkpoint ends no step
                    self.ended += self._is_open
                    self._is_open = False
                case Manifest():
                    self.epochs += 1
                    self._is_open = False
                case ConfigChanged():
                    self.reloads += 1
                case _:
                    self.orders += len(record.group.orders) if hasattr(record, "group") else 0
            yield record

    def result(self, state_hash: str, differences: tuple[Difference, ...], *, what_if: bool = False) -> Result:
        return Result(
            steps=self.ended,
            aborted=self.begun - self.ended,
            epochs=self.epochs,
            reloads=self.reloads,
            orders=self.orders,
            identical=not differences,
            state_hash=state_hash,
            differences=differences,
            before=self.before,
            what_if=what_if,
        )
