"""The configuration a state directory last ran with, kept in it for the safety program and the next start."""

from __future__ import annotations

from pathlib import Path

import msgspec

from daemon.config.daemon_file import DaemonSlice
from daemon.journal.codec import decode, encode
from daemon.state.latch import replace_durably

RUNNING_CONFIG = "config.msgpack"


def last_configuration(state: Path) -> DaemonSlice | None:
    """What the daemon of a state directory last ran with; None when it never ran, or another version did."""
    try:
        return decode((state / RUNNING_CONFIG).read_bytes(), DaemonSlice)
    except (OSError, msgspec.DecodeError):
        return None


def keep_configuration(config: DaemonSlice) -> None:
    """What runs now. OSError when the disk does not take it."""
    replace_durably(config.state_dir / RUNNING_CONFIG, encode(config))
