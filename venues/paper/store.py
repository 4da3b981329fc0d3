"""The ledger of a simulated account on disk, so that paper survives a restart. The core never reads it.

One file of framed changes: length, checksum, msgpack. A durable change is synced before its answer leaves; what was not
durable has not happened: a torn end is cut off, a break inside refuses to open. Opening puts one whole change in the
place of many, under a new name that is renamed over the old.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from struct import Struct
from typing import Any, TypeVar
from zlib import crc32

import msgspec

from components.model.errors import Severity, Stop, catalogued
from components.model.keys import PositionKey
from components.model.market import Market
from components.model.slices import RunSlice
from components.ports import Flow
from venues.paper.account import PaperAccount
from venues.paper.truth import Change

T = TypeVar("T")
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
    "Free space or replace the disk, then restart; what was not written has not happened",
)
HEAD = Struct("<II")  # length and crc32 of the payload
NAME = "paper.ledger"


class LedgerBroken(Stop):
    """Opening stopped; the file is untouched."""


class LedgerFailed(Stop):
    """A write failed; this account takes no more requests until it is opened again."""


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
        """All changes that are whole; [] when there is no ledger yet. LedgerBroken when one in the middle is not."""
        return read_ledger(self._path)

    def begin(self, whole: Change) -> None:
        """A new file with `whole` in it takes the place of the old one."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        try:
            self._file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o640)
            self._put(whole)
            os.fsync(self._file)
            os.replace(fresh, self._path)
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            self._fail(error)

    def append(self, change: Change, *, durable: bool) -> None:
        if self._file is None or self.failed:
            raise LedgerFailed(SIM_LEDGER_FAILED, "the ledger is not open", path=str(self._path))
        try:
            self._put(change)
            if durable:
                os.fdatasync(self._file)
        except OSError as error:
            self._fail(error)
        self.appended += 1

    def close(self) -> None:
        """Syncs and closes."""
        if self._file is not None:
            os.fdatasync(self._file)
            os.close(self._file)
            self._file = None

    def _put(self, change: Change) -> None:
        payload = encode(change)
        frame = memoryview(HEAD.pack(len(payload), crc32(payload)) + payload)
        while frame:
            frame = frame[os.write(self._file or 0, frame) :]

    def _fail(self, error: OSError) -> None:
        """No second try on a descriptor that failed."""
        self.failed = True
        raise LedgerFailed(SIM_LEDGER_FAILED, error.strerror or "", path=str(self._path)) from error


def open_account(
    folder: Path,
    run: RunSlice,
    market: Market,
    balances: Mapping[PositionKey, float],
    flows: tuple[Flow, ...] = (),
) -> PaperAccount:
    """The account kept in `folder` as it was, or a new one with `balances`; `market` reaches at least as far."""
    store = PaperStore(folder)
    changes = store.read()
    account = PaperAccount(run, market, balances, flows)
    account.restore(changes)
    store.begin(account.whole())
    account.ledger = store
    return account


def read_ledger(path: Path) -> list[Change]:
    """The whole changes of a ledger file; a torn end counts as never written."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    changes: list[Change] = []
    at = 0
    while at + HEAD.size <= len(data):
        length, checksum = HEAD.unpack_from(data, at)
        payload = data[at + HEAD.size : at + HEAD.size + length]
        stop = at + HEAD.size + length
        if len(payload) < length:
            break
        if crc32(payload) != checksum:
            if stop >= len(data):
                break
            raise LedgerBroken(SIM_LEDGER_BROKEN, f"change {len(changes)} does not match its checksum", path=str(path))
        try:
            changes.append(decode(payload, Change))
        except msgspec.ValidationError as error:
            raise LedgerBroken(SIM_LEDGER_BROKEN, f"change {len(changes)}: {error}", path=str(path)) from error
        at = stop
    return changes


def encode(value: object) -> bytes:
    """msgpack; position keys as strings. The same value gives the same bytes."""
    return _ENCODER.encode(value)


def decode(data: bytes, kind: type[T]) -> T:
    """The value back, bit for bit; msgspec.ValidationError names the field that does not fit."""
    return msgspec.msgpack.decode(data, type=kind, dec_hook=_from_plain)


def _to_plain(value: Any) -> Any:
    if isinstance(value, PositionKey):
        return str(value)
    raise NotImplementedError(f"{type(value)} cannot be written")


def _from_plain(kind: type, value: Any) -> Any:
    if kind is PositionKey:
        return PositionKey(value)
    raise NotImplementedError(f"{kind} cannot be read")


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_to_plain)
