"""The disk: everything that must survive a power cut is written through here, at places that have names.

Each name in `POINTS` is one place in the code. Tests cut the power before and after every one of them, so a durable
write without a name is an error. Operations that are more than one system call have moments inside, like
`anchor.replace.rename`. `os.fsync` and friends are called in this file only. Errors are OSError, as the system gives
them; who writes decides what they mean.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Protocol


class Kind(Enum):
    """What happens at a point; the value names the moments inside, in order."""

    WRITE = ()
    SYNC = ()  # type: ignore[assignment]
    TRUNCATE = ()  # type: ignore[assignment]
    OPEN = ("open", "folder")
    REPLACE = ("write", "sync", "rename", "folder")
    RENAME = ("rename", "folder")
    UNLINK = ("unlink", "folder")
    FOLDER = ("make", "folder")
    SYNC_FOLDER = ("folder",)
