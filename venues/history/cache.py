"""Parsed files kept as plain arrays, so that a second run neither parses text nor imports a data frame library.

An entry is keyed by the content of its file, the schema and the reader version: a changed file is simply another key.
The cache is a convenience: a missing, read-only or damaged one costs time and nothing else.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.model.market import Column, Stamps

READER_VERSION = "1"


class ColumnCache:
    """Stamps and value columns of one file each, as one `.npy` of int64; None as folder keeps nothing."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def get(self, key: str, fields: int) -> tuple[Stamps, Column] | None:
        """Stamps of shape (rows,) and values of shape (fields, rows), or None when not kept."""
        if self._folder is None:
            return None
        try:
            packed: npt.NDArray[np.int64] = np.load(self._folder / f"{key}.npy", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        if packed.dtype != np.int64 or packed.ndim != 2 or len(packed) != fields + 1:
            return None
        return packed[0], packed[1:].view(np.float64)

    def put(self, key: str, stamps: Stamps, values: Column) -> None:
        if self._folder is None:
            return
        packed = np.vstack([stamps[None, :], values.view(np.int64)])
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._folder, suffix=".part")
            try:
                with os.fdopen(handle, "wb") as part:
                    np.save(part, packed, allow_pickle=False)
                os.replace(name, self._folder / f"{key}.npy")
            except OSError:
                os.unlink(name)
                raise


def content_hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def combined_hash(hashes: set[str]) -> str:
    """One hash for all files used, whatever their names and order."""
    return hashlib.sha256("\n".join([READER_VERSION, *sorted(hashes)]).encode()).hexdigest()
