"""Oracles about what is written down: the parts of P&L, the order of steps, the chain of bytes, and planted secrets.

The chain is read from the bytes on the simulated disk by code of its own, from the description in `frames`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from hashlib import sha256

from components.model.slices import RunSlice
from daemon.journal.codec import decode, encode
from daemon.journal.records import ConfigChanged, StepAborted, StepBegin, StepEnd
from daemon.recorded.steps import shown
from tests.simulation.harness import CANARY, Run

FIGURES = frozenset(
    {"equity", "residual", "unexplained", "unit_value", "drawdown", "net_delta", "ltv", "health_factor"}
)  # columns that are no part of the change of equity
STEP_BUDGET = "limits.step_budget_s"
DISK_FAULTS = frozenset({"disk_full", "sync_error", "write_error"})


def ledger_is_equity(run: Run) -> Iterator[str]:
    """7: what the parts leave unexplained is nothing."""
    for strategy, records in run.records.items():
        for record in records:
            if isinstance(record, StepEnd) and record.row:
                equity = max(abs(record.row["equity"]), 1.0)
                if abs(record.row["unexplained"]) > 1e-9 * _scale(equity):
                    yield f"{strategy}: {record.row['unexplained']!r} of {equity} unexplained at tick {record.tick}"
                    break


def rows_add_up(run: Run) -> Iterator[str]:
    """7: the change of equity from row to row is the sum of its parts, added up here."""
    for strategy, records in run.records.items():
        before: float | None = None
        for record in records:
            if not isinstance(record, StepEnd) or not record.row:
                continue
            parts = sum(value for name, value in record.row.items() if name not in FIGURES and "." not in name)
            equity = record.row["equity"]
            if before is not None and abs(equity - before - parts) > 1e-9 * _scale(equity):
                yield f"{strategy}: equity moved by {equity - before!r} at tick {record.tick}, its parts by {parts!r}"
                break
            before = equity


def steps_are_in_order(run: Run) -> Iterator[str]:
    """10: a step is begun once and ended or aborted; steps never go back."""
    for strategy, records in run.records.items():
        last, begun = -1, None
        for record in records:
            match record:
                case StepBegin():
                    if record.tick <= last:
                        yield f"{strategy}: tick {record.tick} after {last}"
                    begun = record.tick
                case StepEnd(state=state) if begun is None and not state:
                    yield f"{strategy}: a step ended that had not begun ({record.tick})"
                case StepEnd() if begun is not None:
                    last, begun = record.tick, None
                case StepAborted():
                    begun = None
                case _:
                    pass


def bytes_are_chained(run: Run) -> Iterator[str]:
    """10: every journal on the disk is one unbroken chain up to its head."""
    for name, head in run.heads.items():
        chain, fault = chain_of(run, name)
        if fault:
            yield f"{name}: {fault}"
        elif (chain[max(chain)] if chain else "") != head:
            yield f"{name}: the chain ends at record {max(chain, default=0)}, which is not the head"


def nothing_shown_is_taken_back(run: Run) -> Iterator[str]:
    """10: a head that was ever shown is in the chain for good (a failing disk may take back what was not durable)."""
    struck = {fault.strategy for fault in run.struck if fault.kind in DISK_FAULTS}
    if any(fault.kind == "disk_full" for fault in run.struck):
        struck = set(run.samples)
    for strategy, samples in run.samples.items():
        chain, _ = chain_of(run, strategy)
        for sample in samples if strategy not in struck else ():
            if sample.sequence and chain.get(sample.sequence) != sample.hash:
                yield f"{strategy}: record {sample.sequence} was shown as {sample.hash[:12]} and is not"
                break


def journals_take_records(run: Run) -> Iterator[str]:
    """10: some time after the last fault of a disk every journal takes records again, the daemon's own as well."""
    for name in run.poisoned:
        yield f"{name}: takes nothing at the end"


def what_was_reloaded_is_in_force(run: Run) -> Iterator[str]:
    """10: a change that is journaled as reloaded is one that those who run go by."""
    changes: dict[str, str] = {}
    wanted: list[RunSlice] = []
    for record in run.records["daemon"]:
        if isinstance(record, ConfigChanged):
            changes |= {key: new for key, (_, new) in record.changes.items()}
            wanted = decode(record.config, list[RunSlice])
    if STEP_BUDGET in changes and float(changes[STEP_BUDGET]) != run.step_budget_s:
        yield f"{STEP_BUDGET} was reloaded as {changes[STEP_BUDGET]}, and {run.step_budget_s} is in force"
    written = {encode(each) for each in wanted}
    for strategy, found in run.in_force.items():
        if written and strategy not in run.latched and found not in written:
            yield f"{strategy}: goes by another configuration than was reloaded"


def no_secret_leaks(run: Run) -> Iterator[str]:
    """11: what was planted where secrets come from is nowhere in what the daemon writes or shows."""
    for path, data in run.disk.contents().items():
        if CANARY.encode() in data:
            yield f"a canary in {path}"
    for strategy, replica in run.replicas.items():
        if CANARY in shown(replica):
            yield f"{strategy}: a canary in the replica"
    for name, text in (("log", run.logged), ("metrics", run.metrics), ("dump", run.shown)):
        if CANARY in text:
            yield f"a canary in the {name}"
        if name != "log" and not text:
            yield f"there is no {name} to look at"


def chain_of(run: Run, name: str) -> tuple[Mapping[int, str], str]:
    """Hash (hex) by sequence of one journal, and where it breaks."""
    folder = f"/{name}/journal" if name != "daemon" else "/journal/daemon"
    files = sorted(
        (path, data)
        for path, data in run.disk.contents().items()
        if path.stem.isdigit() and path.suffix == ".journal" and str(path.parent).endswith(folder)
    )
    digest = sha256(b"basisd journal\n" + name.encode()).digest()
    sequence, chain = 0, {}
    for path, data in files:
        if data[16:48] != digest:
            return chain, f"{path.name} does not go on where the one before ended"
        at = 80
        while at < len(data):
            version, length, found = struct.unpack_from("<4xHxxIQ", data, at)
            sequence += 1
            payload = data[at + 64 : at + 64 + length]
            digest = sha256(digest + struct.pack("<HIQ", version, length, sequence) + payload).digest()
            if found != sequence or data[at + 32 : at + 64] != digest:
                return chain, f"{path.name} breaks at record {sequence}"
            chain[sequence] = digest.hex()
            at += 64 + length
    return chain, ""


def _scale(equity: float) -> float:
    """Capital of a strategy in its currency, as far as a tolerance needs it."""
    return max(abs(equity), 200_000.0 if abs(equity) > 1000.0 else 30.0)
