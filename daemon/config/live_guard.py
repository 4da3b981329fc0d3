"""The guards around live trading, `BASIS_LIVE_TRADING__…`: read once at start, and in force as long as the process.

Only variables set them, never a file: whoever may edit the configuration cannot by that alone let orders leave. Acting
on them is the duty of the gate, the dispatcher and the supervisor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from components.model.errors import Fault, nearest_name

PREFIX = "BASIS_LIVE_TRADING__"
ENABLED = f"{PREFIX}ENABLED"
NAMES = (
    "ENABLED",
    "READ_ONLY",
    "MAX_TRADE_SIZE_USD",
    "EMERGENCY_STOP_LOSS_PCT",
    "HEARTBEAT_TIMEOUT_SECONDS",
    "CIRCUIT_BREAKER_ENABLED",
)
NEEDED_TO_SEND = NAMES[2:5]
_FLAGS = {"true": True, "false": False}


class LiveGuard(msgspec.Struct, frozen=True, kw_only=True):
    """What live trading may do. None is no bound, which only paper and a read-only daemon may have.

    `emergency_stop_loss_pct` is a percentage (15 = 15 %) of net deposits, over all strategies; `max_trade_size_usd`
    cuts larger orders into pieces, and refuses what cannot be cut and adds risk; `heartbeat_timeout_seconds` is how
    long a cell may be silent.
    """

    enabled: bool
    read_only: bool
    max_trade_size_usd: float | None
    emergency_stop_loss_pct: float | None
    heartbeat_timeout_seconds: float | None
    circuit_breaker_enabled: bool

    @property
    def stop_loss_fraction(self) -> float | None:
        """`emergency_stop_loss_pct` as a fraction of net deposits."""
        return None if self.emergency_stop_loss_pct is None else self.emergency_stop_loss_pct / 100.0


PAPER = LiveGuard(
    enabled=False,
    read_only=False,
    max_trade_size_usd=None,
    emergency_stop_loss_pct=None,
    heartbeat_timeout_seconds=None,
    circuit_breaker_enabled=True,
)


def read_guard(environ: Mapping[str, str]) -> tuple[LiveGuard, tuple[Fault, ...]]:
    """The guard for live trading, and everything that is wrong with the variables.

    Without a word READ_ONLY and CIRCUIT_BREAKER_ENABLED are true; ENABLED has to be said. A daemon that may send
    orders (READ_ONLY=false) needs the three bounds as well.
    """
    reading = _Reading(environ)
    reading.unknown_names()
    guard = LiveGuard(
        enabled=reading.flag("ENABLED", absent=False),
        read_only=reading.flag("READ_ONLY", absent=True),
        max_trade_size_usd=reading.number("MAX_TRADE_SIZE_USD", "an amount in USD above 0", low=0.0),
        # 0.15 may have been meant as 15 %: as a percentage it would close everything at the first spread.
        emergency_stop_loss_pct=reading.number(
            "EMERGENCY_STOP_LOSS_PCT", "a percentage from 1 to 100, e.g. 15 for 15 %", low=1.0, high=100.0, closed=True
        ),
        heartbeat_timeout_seconds=reading.number("HEARTBEAT_TIMEOUT_SECONDS", "seconds above 0", low=0.0),
        circuit_breaker_enabled=reading.flag("CIRCUIT_BREAKER_ENABLED", absent=True),
    )
    if not guard.enabled and not reading.is_faulty("ENABLED"):
        reading.fault("ENABLED", f"{ENABLED}=true, said on purpose: execution_mode is live")
    if not guard.read_only and not reading.is_faulty("READ_ONLY"):
        for name in NEEDED_TO_SEND:
            if not environ.get(PREFIX + name):
                reading.fault(name, "a bound: READ_ONLY=false lets orders leave")
    return guard, reading.faults()


class _Reading:
    """Reads variables one by one and keeps what is wrong with them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._faults: dict[str, Fault] = {}

    def faults(self) -> tuple[Fault, ...]:
        return tuple(self._faults.values())

    def is_faulty(self, name: str) -> bool:
        return PREFIX + name in self._faults

    def fault(self, name: str, expected: str, nearest: str | None = None) -> None:
        text = self._environ.get(PREFIX + name)
        found = "nothing" if text is None else repr(text)
        self._faults[PREFIX + name] = Fault(where=PREFIX + name, found=found, expected=expected, nearest=nearest)

    def unknown_names(self) -> None:
        for name in sorted(self._environ):
            short = name.removeprefix(PREFIX)
            if name.startswith(PREFIX) and short not in NAMES:
                nearest = nearest_name(short, NAMES)
                expected = f"one of {', '.join(NAMES)} after {PREFIX}"
                self._faults[name] = Fault(
                    where=name, found="an unknown variable", expected=expected, nearest=nearest and PREFIX + nearest
                )

    def flag(self, name: str, *, absent: bool) -> bool:
        text = self._environ.get(PREFIX + name)
        if text is None:
            return absent
        value = _FLAGS.get(text.strip().lower())
        if value is None:
            self.fault(name, "true or false")
            return absent
        return value

    def number(
        self, name: str, expected: str, *, low: float, high: float = math.inf, closed: bool = False
    ) -> float | None:
        text = self._environ.get(PREFIX + name)
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        above = value >= low if closed else value > low
        if not (math.isfinite(value) and above and value <= high):
            self.fault(name, expected)
            return None
        return value
