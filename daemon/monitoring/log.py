"""Log lines: one JSON object per line with UTC time, level, event, strategy and correlation id; text on a terminal.

What changes money is an event in the journal; a log line helps to understand it. Every line passes the register of
secrets last, exception texts included. A log that cannot be written is counted, never an error of its caller.

    log = structlog.get_logger()
    with log_context(strategy="btc", correlation_id="btc-3/17"):
        log.info("order.sent", order=order.id, venue=order.venue)
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Collection, Mapping, MutableMapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal, TextIO, TypeAlias

import msgspec
import structlog

from components.model.errors import BasisError
from daemon.config.secrets import Secrets
from daemon.monitoring.output import LineStream

Style: TypeAlias = Literal["auto", "json", "console"]
Line: TypeAlias = MutableMapping[str, Any]

LEVELS: Mapping[str, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_FIRST = ("time", "level", "event", "strategy", "correlation_id")
_ENCODER = msgspec.json.Encoder()

log_context = structlog.contextvars.bound_contextvars


class Logs:
    """Where log lines go and from which level on. `install` makes it the log of the whole process.

    `now` returns UTC nanoseconds. `style` auto = text when the stream is a terminal, JSON otherwise; colours only on a
    terminal, and never with NO_COLOR. Events in `told` that are no warnings are left out: the reader hears of them
    another way.
    """

    def __init__(
        self,
        stream: TextIO,
        secrets: Secrets,
        *,
        now: Callable[[], int],
        level: str = "info",
        style: Style = "auto",
        told: Collection[str] = (),
    ) -> None:
        self._lines = _Lines(stream)
        self._secrets = secrets
        self._now = now
        self._threshold = LEVELS[level]
        self._told = told
        text = stream.isatty() if style == "auto" else style == "console"
        self._render: Callable[[Line], str] = (
            _Console(stream.isatty() and not os.environ.get("NO_COLOR")) if text else _in_json
        )

    def statistics(self) -> Mapping[str, int]:
        return {"lost": self._lines.lost, "threshold": self._threshold}

    def set_level(self, level: str) -> None:
        """From the next line on; KeyError for a level that is none of `LEVELS`."""
        self._threshold = LEVELS[level]

    def install(self) -> None:
        """Takes structlog, the standard library's logging and the hooks for uncaught exceptions."""
        structlog.configure(
            processors=[
                self._drop_below_threshold,
                structlog.contextvars.merge_contextvars,
                self._stamp,
                _with_error_code,
                structlog.processors.format_exc_info,
                self._scrub,
                self._rendered,
            ],
            wrapper_class=_careful(self._lines),
            logger_factory=lambda *_: self._lines,
            cache_logger_on_first_use=False,
        )
        root = logging.getLogger()
        root.handlers = [_Foreign()]
        root.setLevel(logging.WARNING)
        sys.excepthook = _uncaught
        threading.excepthook = lambda args: _uncaught(
            args.exc_type, args.exc_value or args.exc_type(), args.exc_traceback
        )

    def _drop_below_threshold(self, _: Any, method: str, line: Line) -> Line:
        level = LEVELS.get(method, LEVELS["error"])
        if level < self._threshold or (line.get("event") in self._told and level < LEVELS["warning"]):
            raise structlog.DropEvent
        return line

    def _stamp(self, _: Any, method: str, line: Line) -> Line:
        at = self._now()
        second = datetime.fromtimestamp(at // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        line["time"] = f"{second}.{at % 10**9 // 1000:06d}Z"
        line["level"] = method if method in LEVELS else "error"
        if method == "exception":
            line.setdefault("exc_info", True)
        return line

    def _scrub(self, _: Any, __: str, line: Line) -> Line:
        ordered = {name: line.pop(name) for name in _FIRST if name in line} | dict(line)
        scrubbed: Line = self._secrets.scrub_tree(ordered)
        return scrubbed

    def _rendered(self, _: Any, __: str, line: Line) -> str:
        return self._render(line)


def _careful(lines: _Lines) -> type[structlog.BoundLogger]:
    """Loggers that cannot hurt who logs: a line that cannot be made is counted, and said without its fields."""

    class Careful(structlog.BoundLogger):
        def _proxy_to_logger(self, method_name: str, event: str | None = None, *args: Any, **fields: Any) -> Any:
            try:
                return super()._proxy_to_logger(method_name, event, *args, **fields)
            except Exception as error:  # the edge around a log line
                lines.lost += 1
                lines.error(f"{event} could not be logged: {type(error).__name__}")
                return None

    return Careful


class _Lines:
    """Writes one line per call; a full disk or a closed pipe loses the line and is counted."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.lost = 0

    def write(self, line: str) -> None:
        self._write(line, urgent=False)

    def urge(self, line: str) -> None:
        """For what there must be room for: see `output`."""
        self._write(line, urgent=True)

    debug = info = warning = write
    error = critical = exception = urge

    def _write(self, line: str, *, urgent: bool) -> None:
        try:
            if isinstance(self._stream, LineStream):
                self._stream.writer.write(line, urgent=urgent)
            else:
                self._stream.write(line + "\n")
                self._stream.flush()
        except (OSError, ValueError):
            self.lost += 1


class _Console:
    """Text for people: event, then fields, then a plain traceback (a rich one would show locals)."""

    def __init__(self, colors: bool) -> None:
        self._renderer = structlog.dev.ConsoleRenderer(
            colors=colors, timestamp_key="time", exception_formatter=structlog.dev.plain_traceback, sort_keys=False
        )

    def __call__(self, line: Line) -> str:
        return str(self._renderer(None, str(line["level"]), line))


class _Foreign(logging.Handler):
    """Log records of libraries as lines of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        level = logging.getLevelName(record.levelno).lower()
        method = getattr(log, level if level in LEVELS else "error")
        method("library.logged", library=record.name, message=record.getMessage(), exc_info=record.exc_info)


def _in_json(line: Line) -> str:
    return _ENCODER.encode(line).decode()


def _with_error_code(_: Any, __: str, line: Line) -> Line:
    """Names the code of one of our errors in a field of its own."""
    given = line.get("exc_info")
    error = given if isinstance(given, BaseException) else sys.exc_info()[1] if given is True else None
    if isinstance(given, tuple):
        error = given[1]
    if isinstance(error, BasisError):
        line.setdefault("code", error.code)
    return line


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    structlog.get_logger().critical("daemon.crashed", exc_info=(kind, error, trace))


__all__ = ["LEVELS", "Logs", "Style", "log_context"]
