"""A backtest as somebody asks for it: texts in, one checked request out, or every fault of the texts at once.

Nothing is read or computed here; what the configuration or the data do not allow is found later (`backtests.py`).
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from components.model.errors import CFG_REQUEST, Fault, InvalidInput, nearest_name
from components.model.requirements import Grid
from components.ports import Flow
from daemon.config.settings import MODES, PACKAGED
from venues.embedded.stress import SCENARIOS

DEFAULT_SEED = 7
CALM = "calm"
MAX_ROWS = 50_000_000
_STEP = re.compile(r"(\d+)\s*(s|m|min|h|d)")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class EmbeddedMarket(msgspec.Struct, frozen=True):
    """The synthetic market of the product."""

    seed: int = DEFAULT_SEED
    scenario: str = CALM


class HistoryFolder(msgspec.Struct, frozen=True):
    """Files of real history; `timezone` is that of stamps that name none."""

    path: Path
    timezone: str | None = None


class BacktestRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to replay. `capital` and flows in share-class currency; rows are `grid`, both ends included."""

    mode: str
    grid: Grid
    capital: float
    source: EmbeddedMarket | HistoryFolder = EmbeddedMarket()
    flows: tuple[Flow, ...] = ()
    overrides: tuple[str, ...] = ()
    close_at_end: bool = False
    configs: Path = PACKAGED
    window_rows: int | None = None  # how rows are cut; the result does not depend on it


class RequestTexts(msgspec.Struct, frozen=True, kw_only=True):
    """A request as typed; None is what was not said."""

    mode: str
    start: str | None
    end: str | None
    capital: str | None
    step: str = "1h"
    data: str | None = None
    timezone: str | None = None
    market: str | None = None
    seed: str | None = None
    scenario: str | None = None
    flows: Sequence[str] = ()
    overrides: Sequence[str] = ()
    close_at_end: bool = False
    configs: Path = PACKAGED
    window_rows: int | None = None


def parse_request(texts: RequestTexts, environ: Mapping[str, str] = os.environ) -> BacktestRequest:
    """The request in `texts`; InvalidInput CFG-003 with all of their faults."""
    reading = Reading()
    reading.mode(texts.mode, texts.configs)
    grid = reading.grid(texts.start, texts.end, texts.step)
    if grid is not None:
        reading.bounds(grid, environ)
    capital = reading.capital(texts.capital)
    flows = reading.flows(texts.flows, grid)
    source = reading.source(texts)
    if texts.window_rows is not None and texts.window_rows < 1:
        reading.fault("--window-rows", str(texts.window_rows), "1 or more")
    reading.finish()
    if grid is None:
        raise AssertionError("a grid that cannot be read is a fault")
    return BacktestRequest(
        mode=texts.mode,
        grid=grid,
        capital=capital,
        source=source,
        flows=flows,
        overrides=tuple(texts.overrides),
        close_at_end=texts.close_at_end,
        configs=texts.configs,
        window_rows=texts.window_rows,
    )


class Reading:
    """Reads texts one by one and collects what is wrong with them; `finish` raises it."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def fault(self, where: str, found: str, expected: str, nearest: str | None = None, *, absent: bool = False) -> None:
        self._faults.append(Fault(where=where, found=found, expected=expected, nearest=nearest, absent=absent))

    def finish(self) -> None:
        if self._faults:
            raise InvalidInput(CFG_REQUEST, self._faults)

    def known(self, where: str, text: str, words: Iterable[str], *, named: bool = False) -> None:
        """`text` has to be one of `words`; `named`: these are the names of things, and an unknown one is not there."""
        known = list(words)
        if text not in known:
            self.fault(where, repr(text), f"one of {', '.join(known)}", nearest_name(text, known), absent=named)

    def mode(self, text: str, configs: Path) -> None:
        self.known("mode", text, sorted(path.stem for path in (configs / MODES).glob("*.yaml")), named=True)

    def grid(self, start: str | None, end: str | None, step: str) -> Grid | None:
        """Rows from `start` to `end`; a date without time is its midnight, a time without zone is UTC."""
        first, last, width = self.stamp("--start", start), self.stamp("--end", end), self.step(step)
        if first is None or last is None or width is None:
            return None
        if last <= first:
            self.fault("--end", _found(end), f"after --start {start}")
        elif last - first < width:
            self.fault("--step", step, "not longer than the run")
        elif (last - first) // width >= MAX_ROWS:
            self.fault("--step", step, f"at most {MAX_ROWS:,} rows")
        else:
            return Grid(first, last, width)
        return None

    def stamp(self, where: str, text: str | None) -> int | None:
        """UTC nanoseconds."""
        try:
            moment = datetime.fromisoformat(text or "")
        except ValueError:
            self.fault(where, _found(text), "a date like 2024-06-01 or a time like 2024-06-01T08:00Z")
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        since = moment - _EPOCH
        seconds = since.days * 86_400 + since.seconds
        if not 0 < seconds < 2**63 // 10**9:
            self.fault(where, _found(text), "a date after 1970 and before 2262")
            return None
        return seconds * 1_000_000_000 + since.microseconds * 1_000

    def step(self, text: str) -> int | None:
        """Nanoseconds."""
        match = _STEP.fullmatch(text.strip().lower())
        seconds = int(match[1]) * _SECONDS[match[2]] if match else 0
        if seconds <= 0:
            self.fault("--step", repr(text), "a length like 1h, 15m or 1d")
            return None
        return seconds * 1_000_000_000

    def bounds(self, grid: Grid, environ: Mapping[str, str]) -> None:
        """BASIS_DATA_START_DATE and BASIS_DATA_END_DATE bound every request."""
        for name, where, at, sign in (
            ("BASIS_DATA_START_DATE", "--start", grid.start, 1),
            ("BASIS_DATA_END_DATE", "--end", grid.end, -1),
        ):
            limit = self.stamp(name, environ[name]) if environ.get(name) else None
            if limit is not None and sign * (at - limit) < 0:
                side = "not before" if sign > 0 else "not after"
                self.fault(where, _shown(at), f"{side} {environ[name]}, the bound set by {name}")

    def capital(self, text: str | None) -> float:
        amount = _number(text)
        if not math.isfinite(amount) or amount <= 0.0:
            self.fault("--capital", _found(text), "a number above 0, in share-class currency")
        return amount

    def flows(self, texts: Sequence[str], grid: Grid | None) -> tuple[Flow, ...]:
        """Scheduled deposits and withdrawals in order of time, each inside (start, end]."""
        found = []
        for text in texts:
            when, _, how_much = text.rpartition(":")
            where = f"--flow {text}"
            amount = _number(how_much)
            if not when or not math.isfinite(amount) or amount == 0.0:
                self.fault(where, repr(text), "a date, a colon and a signed amount, like 2024-07-01:+20000")
                continue
            at = self.stamp(where, when)
            if at is None or grid is None:
                continue
            if not grid.start < at <= grid.end:
                self.fault(
                    where, when, f"after the start {_shown(grid.start)} and not after the end {_shown(grid.end)}"
                )
                continue
            found.append((at, amount))
        ordered = sorted(found, key=lambda one: one[0])
        return tuple(Flow(at, amount, f"flow-{i}") for i, (at, amount) in enumerate(ordered, start=1))

    def source(self, texts: RequestTexts) -> EmbeddedMarket | HistoryFolder:
        if texts.data is not None:
            for option, value in (("--market", texts.market), ("--seed", texts.seed), ("--scenario", texts.scenario)):
                if value is not None:
                    self.fault(option, repr(value), "nothing beside --data: a run has one source of prices")
            if texts.timezone is not None:
                self.timezone(texts.timezone)
            return HistoryFolder(Path(texts.data), texts.timezone)
        if texts.timezone is not None:
            self.fault("--timezone", repr(texts.timezone), "--data: only stamps of files can lack a zone")
        if texts.market is not None:
            self.known("--market", texts.market, ["embedded"])
        return self.embedded(texts.seed, texts.scenario)

    def timezone(self, text: str) -> None:
        """The zone of stamps that name none, `UTC` or like `Europe/Berlin`."""
        try:
            ZoneInfo(text)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self.fault("--timezone", repr(text), "a zone like UTC or Europe/Berlin")

    def embedded(self, seed: str | None, scenario: str | None) -> EmbeddedMarket:
        if seed is not None and not (seed.isascii() and seed.isdigit()):
            self.fault("--seed", repr(seed), "a whole number, 0 or more")
            seed = None
        if scenario is not None:
            self.known("--scenario", scenario, SCENARIOS)
        return EmbeddedMarket(DEFAULT_SEED if seed is None else int(seed), scenario or CALM)


def _number(text: str | None) -> float:
    """NaN when `text` is no number."""
    try:
        return float(text or "")
    except ValueError:
        return math.nan


def _found(text: str | None) -> str:
    return "nothing" if text is None else repr(text)


def _shown(at: int) -> str:
    return datetime.fromtimestamp(at // 1_000_000_000, UTC).isoformat().replace("+00:00", "Z")
