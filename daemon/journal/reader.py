"""Reading the journals of a state directory without being their writer: to verify, to look at the end, to export.

Nothing is changed, and the daemon may be running: what it is writing at this moment shows as `unfinished_bytes`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from components.model.errors import Stop
from components.model.keys import PositionKey
from daemon.journal.errors import JournalBroken, no_journal
from daemon.journal.journal import record_of
from daemon.journal.records import Record
from daemon.journal.walk import Walk
from daemon.state.disk import Disk

DAEMON = "daemon"
_COLUMNS = ("values", "previous")  # float64 as raw bytes; other bytes are msgpack
_DTYPES = ("<f8", "<i8", "|b1")


class Located(msgspec.Struct, frozen=True):
    """A journal by name, and its folder."""

    name: str
    folder: Path


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What verifying one journal found. `first` is the oldest record kept; a broken one says where and why."""

    journal: str
    ok: bool
    records: int = 0
    first: int = 0
    sequence: int = 0
    hash: str = ""
    anchored: int = 0
    segments: int = 0
    unfinished_bytes: int = 0  # behind the last whole record: being written, or torn
    in_reserve: bool = False
    segment: str = ""
    record: int = 0
    offset: int = 0
    reason: str = ""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One record with its place in its journal."""

    journal: str
    sequence: int
    hash: str
    record: Record


def journal_folder(state: Path, name: str) -> Path:
    """Where a journal lies in a state directory; `daemon` is the daemon's own."""
    return state / "journal" / DAEMON if name == DAEMON else state / "strategies" / name / "journal"


def journals(disk: Disk, state: Path) -> tuple[Located, ...]:
    """The daemon's journal and those of all strategies that have one, by name."""
    names = [DAEMON, *disk.list(state / "strategies")]
    found = (Located(name, journal_folder(state, name)) for name in names)
    return tuple(located for located in found if disk.list(located.folder))


def located(disk: Disk, state: Path, name: str | None) -> tuple[Located, ...]:
    """The journal of that name, or all; Refuse EVT-008 when there is none."""
    found = tuple(each for each in journals(disk, state) if name in (None, each.name))
    if not found:
        raise no_journal(f"{state}" if name is None else f"{journal_folder(state, name)}")
    return found


def verify(disk: Disk, journal: Located) -> Verified:
    """Goes over every record; damage is a finding here, not an error."""
    try:
        walk = Walk(disk, journal.folder, journal.name)
        for frame in walk:
            record_of(journal.name, frame)
    except JournalBroken as broken:
        return Verified(
            journal=journal.name,
            ok=False,
            segment=broken.segment,
            record=broken.sequence,
            offset=broken.offset,
            reason=broken.reason,
        )
    except Stop as refusal:
        return Verified(journal=journal.name, ok=False, reason=refusal.message)
    return Verified(
        journal=journal.name,
        ok=True,
        records=walk.records,
        first=walk.first.sequence + 1 if walk.records else 0,
        sequence=walk.head.sequence,
        hash=walk.head.hash,
        anchored=walk.anchor.sequence if walk.anchor is not None else 0,
        segments=len(walk.segments),
        unfinished_bytes=sum(disk.size(journal.folder / torn.file) - torn.offset for torn in walk.torn),
        in_reserve=walk.fork is not None,
    )


def entries(disk: Disk, journal: Located, after: int = 0) -> Iterator[Entry]:
    """Records behind sequence `after`, verified on the way. Raises JournalBroken at damage."""
    for frame in Walk(disk, journal.folder, journal.name, after=after):
        record = record_of(journal.name, frame)
        yield Entry(journal=journal.name, sequence=frame.sequence, hash=frame.digest.hex(), record=record)


def tail(disk: Disk, journal: Located, count: int) -> tuple[Entry, ...]:
    """The last `count` records; older segments are read only when the newest do not hold so many."""
    found: deque[Entry] = deque(maxlen=max(count, 0))
    for after in Walk(disk, journal.folder, journal.name).starts():
        found = deque(entries(disk, journal, after), maxlen=max(count, 0))
        if len(found) == found.maxlen:
            break
    return tuple(found)


def exported(disk: Disk, journal: Located) -> Iterator[bytes]:
    """Each record as one line of JSON."""
    for entry in entries(disk, journal):
        yield msgspec.json.encode(readable(entry)) + b"\n"


def readable(entry: Entry) -> dict[str, Any]:
    """A record as JSON can say it: packed bytes opened, NaN and infinities as words."""
    place = {"journal": entry.journal, "sequence": entry.sequence, "hash": entry.hash}
    fields = msgspec.to_builtins(entry.record, builtin_types=(bytes,), str_keys=True, enc_hook=_as_text)
    return place | {name: _plain(name, value) for name, value in fields.items()}


def _as_text(value: Any) -> str:
    """Position keys are strings that know their parts; here they are strings."""
    if isinstance(value, PositionKey):
        return str(value)
    raise NotImplementedError(f"{type(value)} has no place in the journal")


def _plain(name: str, value: Any) -> Any:
    match value:
        case float():
            return value if math.isfinite(value) else str(value)
        case [str() as dtype, bytes() as data] if dtype in _DTYPES:
            return _plain(name, np.frombuffer(data, dtype).tolist())
        case bytes():
            return _plain(name, _opened(name, value))
        case Mapping():
            return {str(key): _plain(str(key), item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(name, item) for item in value]
        case None | bool() | int() | str():
            return value
        case _:  # what msgpack knows and JSON does not: stamps, extensions
            return str(value)


def _opened(name: str, data: bytes) -> Any:
    if not data:
        return None
    if name in _COLUMNS and len(data) % 8 == 0:
        return np.frombuffer(data, dtype="<f8").tolist()
    try:
        return msgspec.msgpack.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, TypeError, RecursionError):
        return data.hex()
