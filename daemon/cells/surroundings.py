"""What a cell is given by the daemon, and what it asks of journal, metrics and account."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from daemon.cells.authority import Limits
from daemon.cells.bridge import NO_BATON, Baton
from daemon.cells.observer import VenueTelemetry
from daemon.journal.best_effort import ReserveLog
from daemon.journal.frames import Head
from daemon.journal.records import Record
from daemon.orders.breaker import BreakerLimits
from daemon.orders.dispatch import OrderLog, Telemetry
from daemon.orders.patience import Patience
from daemon.replica import Replica
from daemon.state.latch import Latches
from venues.clock import Clock


class CellLog(OrderLog, ReserveLog, Protocol):
    """The journal of a cell."""

    @property
    def head(self) -> Head:
        """The last record appended."""
        ...


class CellTelemetry(Telemetry, VenueTelemetry, Protocol):
    """All that a cell tells metrics as it happens."""

    def step(self, strategy: str, seconds: float, outcome: str) -> None: ...


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What a cell is given by the daemon."""

    clock: Clock
    patience: Patience
    limits: Limits
    latches: Latches
    telemetry: CellTelemetry
    publish: Callable[[Replica], None]
    shout: Callable[[str], None]
    owe: Callable[[str, Record, bool], None]  # whose it is, what no journal took, whether it was told already
    free_bytes: Callable[[], int | None]
    clock_offset_ms: Callable[[], float | None]
    breaker: BreakerLimits | None = None
    max_trade_usdt: float | None = None
    read_only: bool = False
    poll_steps: int = 1  # positions are asked for on every n-th row
    poll_interval_s: float = 10.0  # and this often in between, process time
    step_budget_s: float = 30.0
    baton: Baton = NO_BATON
    provenance: Mapping[str, str] = {}  # version, code_hash, data_hash, numpy, platform
