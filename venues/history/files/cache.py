"""Parsed files kept as plain arrays, so that a second run neither parses text nor imports a data frame library.

An entry is keyed by the content of its file, by what was read into it (schema, symbol, step, zone) and by the version
of the reader: a changed file, another option or another reader is simply another key.
The cache is a convenience: a missing, read-only or damaged one costs time and nothing else.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np

from components.model.market import Column, Stamps

READER_VERSION = "2"
_MAGIC = b"basisd columns 2"
_WORD = 8


class Parsed(msgspec.Struct, frozen=True):
    """Columns of one file: `at` of shape (rows,) UTC ns, `values` of shape (fields, rows); `facts` is JSON on them."""

    at: Stamps
    values: Column
    facts: bytes


class ColumnCache:
    """Parsed columns of one file each; None as folder keeps nothing.

    One file: a mark, three words of int64 (rows, fields, length of the facts), the facts filled up to whole words, the
    stamps and the values as they lie in memory.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def get(self, key: str, fields: int) -> Parsed | None:
        """What was kept, or None."""
        if self._folder is None:
            return None
        try:
            raw = (self._folder / f"{key}.columns").read_bytes()
        except OSError:
            return None
        head = len(_MAGIC) + 3 * _WORD
        if not raw.startswith(_MAGIC) or len(raw) < head:
            return None
        rows, kept, facts = np.frombuffer(raw, np.int64, 3, len(_MAGIC)).tolist()
        begin = head + -(-facts // _WORD) * _WORD
        if kept != fields or min(rows, facts) < 0 or len(raw) != begin + (fields + 1) * rows * _WORD:
            return None
        packed = np.frombuffer(raw, np.int64, (fields + 1) * rows, begin).reshape(fields + 1, rows)
        return Parsed(packed[0], packed[1:].view(np.float64), raw[head : head + facts])

    def put(self, key: str, parsed: Parsed) -> None:
        if self._folder is None:
            return
        sizes = np.array([len(parsed.at), len(parsed.values), len(parsed.facts)], np.int64)
        filler = b" " * (-len(parsed.facts) % _WORD)
        columns = (parsed.at.astype(np.int64, copy=False), np.ascontiguousarray(parsed.values))
        content = b"".join((_MAGIC, sizes.tobytes(), parsed.facts, filler, *(column.tobytes() for column in columns)))
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._folder, suffix=".part")
            try:
                with os.fdopen(handle, "wb") as part:
                    part.write(content)
                os.replace(name, self._folder / f"{key}.columns")
            except OSError:
                os.unlink(name)
                raise


def content_hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def combined_hash(hashes: set[str]) -> str:
    """One hash for all files used, whatever their names and order."""
    return hashlib.sha256("\n".join([READER_VERSION, *sorted(hashes)]).encode()).hexdigest()
