"""What differs between the real process and a simulation of the whole daemon; nothing else does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from daemon.cells.bridge import NO_BATON, Baton
from daemon.config.daemon_file import DaemonSlice
from daemon.monitoring.output import Stream, shout
from daemon.state.disk import Disk

LAG_EVERY_S = 0.25
LATCH_EVERY_S = 1.0


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What a simulation replaces."""

    disk: Disk
    wall_s: Callable[[], float]  # UTC seconds, for metrics that are compared with the scraper's clock
    threads: bool = True
    baton: Baton = NO_BATON
    sockets: bool = True
    socket: Path | None = None  # of the control socket; in the state directory when None
    poll_steps: int = 1
    lag_every_s: float = LAG_EVERY_S
    latch_every_s: float = LATCH_EVERY_S  # between two looks at the latch files
    provenance: Mapping[str, str] = {}
    shout: Callable[[str], None] = shout
    streams: Callable[[], Iterable[Stream]] = tuple  # how stdout and stderr stand
    clock_offset_ms: Callable[[], float | None] = lambda: None
    set_log_level: Callable[[str], None] = lambda level: None
    keep_config: Callable[[DaemonSlice], None] = lambda config: None  # for `basis safety`, which reads what runs now
