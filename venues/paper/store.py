"""The ledger of a simulated account on disk, so that paper survives a restart. The core never reads it.

One file of changes: a header, and frames of magic, length, checksum of the payload, checksum of the three, msgpack. A
durable change is synced before its answer leaves. At the end of the file a frame that is cut short, or of which
nothing but zeros came after some sector, was never answered for and is cut off; anything else that does not add up is
damage, and refuses to open. Opening puts one whole change in the place of many, under a new name that is renamed over
the old. After a failed write the next change tries that again, so that free space is enough to go on.

Ledgers of before had no magic and no checksum of the length; they are read as they are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from struct import Struct
from zlib import crc32

import msgspec

from components.model.errors import Severity, Stop, catalogued
from components.model.keys import PositionKey
from components.model.market import Market
from components.model.slices import RunSlice
from components.ports import Flow
from venues.paper.account import PaperAccount
from venues.paper.codec import decode, encode
from venues.paper.truth import Change

SIM_LEDGER_BROKEN = catalogued(
    "SIM-002",
    Severity.CRITICAL,
    "The ledger of a simulated account is damaged",
    "Restore the venues directory of the strategy from a backup, or remove it together with the strategy's journal",
)
SIM_LEDGER_FAILED = catalogued(
    "SIM-003",
    Severity.CRITICAL,
    "The ledger of a simulated account cannot be written",
    "Free space or replace the disk; it is written again by itself as soon as that works",
)
SIM_LEDGER_GONE = catalogued(
    "SIM-005",
    Severity.CRITICAL,
    "The ledger of a simulated account is gone, though its strategy has traded on it",
    "Restore the venues directory of the strategy from a backup. To begin anew on purpose, with the initial balances, "
    "move its whole folder away, make the folder anew, empty, and write the word anew into the file epoch in it",
)
FILE_MAGIC = b"BASISL\x00\x02"
FRAME_MAGIC = b"\xb5LF\x02"
HEAD = Struct("<4sII")  # magic, length and crc32 of the payload
CRC = Struct("<I")  # of HEAD
HEAD_BYTES = HEAD.size + CRC.size
OLD_HEAD = Struct("<II")  # length and crc32 of the payload
OLD_MARK = b"\xa3row"  # near the beginning of every payload
SECTOR = 512
NAME = "paper.ledger"


class LedgerBroken(Stop):
    """Opening stopped; the file is untouched."""


class LedgerGone(Stop):
    """There is no ledger where there must be one; nothing was written."""


class LedgerFailed(Stop):
    """A write failed; this account takes no request before it could be written whole."""


class PaperStore:
    """The open ledger of one account. Only this file writes it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._file: int | None = None
        self.failed = False
        self.appended = 0

    def __repr__(self) -> str:
        return f"<PaperStore {self._path}, {self.appended} appended>"

    def read(self) -> list[Change]:
        """All changes that are whole; [] when there is no ledger yet. LedgerBroken when it is damaged."""
        return read_ledger(self._path)

    def begin(self, whole: Change) -> None:
        """A new file with `whole` in it takes the place of the old one."""
        fresh = self._path.with_suffix(".new")
        try:
            if not self._path.parent.is_dir():  # asking takes no writing, where the disk around it hangs
                self._path.parent.mkdir(parents=True)
            self._leave()
            self._file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o640)
            self._put(FILE_MAGIC + framed(whole))
            os.fsync(self._file)
            os.replace(fresh, self._path)
            folder = os.open(self._path.parent, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            self._fail(error)
        self.failed = False

    def append(self, change: Change, *, durable: bool) -> None:
        if self._file is None or self.failed:
            raise LedgerFailed(SIM_LEDGER_FAILED, "the ledger is not open", path=str(self._path))
        try:
            self._put(framed(change))
            if durable:
                os.fdatasync(self._file)
        except OSError as error:
            self._fail(error)
        self.appended += 1

    def close(self) -> None:
        """Syncs and closes."""
        if self._file is not None:
            os.fdatasync(self._file)
            self._leave()

    def _put(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(self._file or 0, left) :]

    def _leave(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):
                os.close(file)

    def _fail(self, error: OSError) -> None:
        """No second try on a descriptor that failed: only a new file heals it."""
        self.failed = True
        self._leave()
        raise LedgerFailed(SIM_LEDGER_FAILED, error.strerror or "", path=str(self._path)) from error


def open_account(
    folder: Path,
    run: RunSlice,
    market: Market,
    balances: Mapping[PositionKey, float],
    flows: tuple[Flow, ...] = (),
    *,
    lived: bool = False,
) -> PaperAccount:
    """The account kept in `folder` as it was, or a new one with `balances`; `market` reaches at least as far.

    LedgerGone when there is none though the account has `lived`: it would begin with its initial balances, and its
    strategy with a book of something else.
    """
    store = PaperStore(folder)
    changes = store.read()
    if lived and not changes:
        raise LedgerGone(SIM_LEDGER_GONE, "no such file", path=str(folder / NAME))
    account = PaperAccount(run, market, balances, flows)
    account.restore(changes)
    store.begin(account.whole())
    account.ledger = store
    return account


def framed(change: Change) -> bytes:
    """A change as it lies in the file."""
    payload = encode(change)
    head = HEAD.pack(FRAME_MAGIC, len(payload), crc32(payload))
    return head + CRC.pack(crc32(head)) + payload


def read_ledger(path: Path) -> list[Change]:
    """The whole changes of a ledger file; a torn end counts as never written, and LedgerBroken says what is damaged."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _broken(path, f"it cannot be read: {error.strerror or error}") from error
    is_old = len(data) >= OLD_HEAD.size and OLD_MARK in data[OLD_HEAD.size : OLD_HEAD.size + 8]
    payloads = _old_payloads(path, data) if is_old else _payloads(path, data)
    changes: list[Change] = []
    for payload in payloads:
        try:
            changes.append(decode(payload, Change))
        except msgspec.DecodeError as error:
            raise _broken(path, f"change {len(changes)}: {error}") from error
    return changes


def _payloads(path: Path, data: bytes) -> Iterator[bytes]:
    """Nothing in it is nothing lived through: the first change is written before the file has its name."""
    if not data.startswith(FILE_MAGIC):
        raise _broken(path, "it does not begin like a ledger")
    at, number = len(FILE_MAGIC), 0
    while at < len(data):
        head = data[at : at + HEAD_BYTES]
        if len(head) < HEAD_BYTES:
            if number and _may_begin(head):
                return
            raise _broken(path, f"change {number} is cut short")
        magic, length, checksum = HEAD.unpack(head[: HEAD.size])
        payload = data[at + HEAD_BYTES : at + HEAD_BYTES + length]
        is_head = magic == FRAME_MAGIC and CRC.pack(crc32(head[: HEAD.size])) == head[HEAD.size :]
        if not is_head or len(payload) < length or crc32(payload) != checksum:
            if number and ((is_head and len(payload) < length) or _is_torn(data, at)):
                return
            raise _broken(path, f"change {number} does not match its checksum")
        yield payload
        at, number = at + HEAD_BYTES + length, number + 1
    if not number:
        raise _broken(path, "it holds no change")


def _may_begin(head: bytes) -> bool:
    """Whether these few bytes can be the beginning of a frame, or of nothing at all."""
    return not head.strip(b"\0") or head[:4] == FRAME_MAGIC[: len(head[:4])]


def _is_torn(data: bytes, at: int) -> bool:
    """Whether the rest of a file, from `at` on, is a write of which only the first sectors arrived: zeros from some
    sector on to the end of the file."""
    tail = len(data.rstrip(b"\0"))
    sector = max(at, -(-tail // SECTOR) * SECTOR)
    return sector < len(data) and data.find(FRAME_MAGIC, at + 1) < 0


def _old_payloads(path: Path, data: bytes) -> Iterator[bytes]:
    at, number = 0, 0
    while at < len(data):
        head = data[at : at + OLD_HEAD.size]
        if len(head) < OLD_HEAD.size:
            return
        length, checksum = OLD_HEAD.unpack(head)
        begin = at + OLD_HEAD.size
        payload = data[begin : begin + length]
        if len(payload) < length or crc32(payload) != checksum:
            if not number or begin + length < len(data) or _goes_on(data, begin, checksum):
                raise _broken(path, f"change {number} does not match its checksum")
            return
        yield payload
        at, number = begin + length, number + 1


def _goes_on(data: bytes, begin: int, checksum: int) -> bool:
    """Whether behind a length that leads past the end there is something whole: this very change, or a later one."""
    if crc32(data[begin:]) == checksum:
        return True
    mark = data.find(OLD_MARK, begin + 8)
    while mark >= 0:
        for payload_at in (mark - 1, mark - 3):  # behind the head of a small or a large map
            head_at = payload_at - OLD_HEAD.size
            if head_at >= begin:
                length, expected = OLD_HEAD.unpack_from(data, head_at)
                if crc32(data[begin:head_at]) == checksum:
                    return True
                if (
                    length
                    and payload_at + length <= len(data)
                    and crc32(data[payload_at : payload_at + length]) == expected
                ):
                    return True
        mark = data.find(OLD_MARK, mark + 1)
    return False


def _broken(path: Path, reason: str) -> LedgerBroken:
    return LedgerBroken(SIM_LEDGER_BROKEN, reason, path=str(path))
