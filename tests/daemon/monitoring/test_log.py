"""One line per fact, in UTC, with its strategy; no secret, and no error for who logs."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from components.model.errors import CFG_INVALID, Refuse
from daemon.config.secrets import Secret, Secrets
from daemon.monitoring.log import Logs, log_context
from daemon.monitoring.output import LineStream, Writer

CANARY = "canary-5f2e9b"
AT = 1_704_067_200_000_000_000 + 123_456_789


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class FullDisk(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Puts back what `install` takes."""
    root = logging.getLogger()
    before = (root.handlers, root.level, sys.excepthook, threading.excepthook)
    yield
    root.handlers, level, sys.excepthook, threading.excepthook = before
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def installed(stream: io.StringIO) -> Callable[..., Logs]:
    def install(**settings: Any) -> Logs:
        logs = Logs(settings.pop("stream", stream), Secrets([CANARY]), now=lambda: AT, **settings)
        logs.install()
        return logs

    return install


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_time_level_event_and_context_first(
    stream: io.StringIO, installed: Callable[..., Logs]
) -> None:
    installed()
    with log_context(strategy="btc", correlation_id="btc-3/17"):
        structlog.get_logger().info("order.sent", venue="okx", notional_usdt=12.5)
    structlog.get_logger().warning("feed.stale")
    first, second = lines(stream)
    assert list(first.items()) == [
        ("time", "2024-01-01T00:00:00.123456Z"),
        ("level", "info"),
        ("event", "order.sent"),
        ("strategy", "btc"),
        ("correlation_id", "btc-3/17"),
        ("venue", "okx"),
        ("notional_usdt", 12.5),
    ]
    assert second == {"time": "2024-01-01T00:00:00.123456Z", "level": "warning", "event": "feed.stale"}


def test_a_level_can_change_while_loggers_are_in_use(stream: io.StringIO, installed: Callable[..., Logs]) -> None:
    logs = installed(level="warning")
    log = structlog.get_logger().bind(strategy="btc")
    log.info("a")
    logs.set_level("debug")
    log.debug("b")
    assert [line["event"] for line in lines(stream)] == ["b"]
    with pytest.raises(KeyError):
        logs.set_level("loud")


def test_no_planted_secret_reaches_a_line(stream: io.StringIO, installed: Callable[..., Logs]) -> None:
    installed()
    log = structlog.get_logger()
    log.info(f"event {CANARY}", key=CANARY, nested={"a": [CANARY]}, body=CANARY.encode(), secret=Secret(CANARY))
    log.info("named", **{CANARY: 1})
    with log_context(strategy=CANARY):
        try:
            try:
                raise ValueError(f"url https://x/?apiKey={CANARY}")
            except ValueError as exc:
                raise RuntimeError("outer") from exc
        except RuntimeError:
            log.exception("failed")
    logging.getLogger("urllib3").error("connecting to %s", CANARY)
    assert CANARY not in stream.getvalue() and stream.getvalue().count("***") >= 7
    assert "ValueError: url https://x/?apiKey=***" in lines(stream)[2]["exception"]


def test_locals_of_a_frame_do_not_reach_the_console() -> None:
    terminal = Terminal()
    Logs(terminal, Secrets(), now=lambda: AT).install()
    hidden = "hidden" * 3
    try:
        raise ValueError("shown")
    except ValueError:
        structlog.get_logger().exception("failed", venue="okx")
    assert "shown" in terminal.getvalue() and "okx" in terminal.getvalue() and hidden not in terminal.getvalue()


def test_a_terminal_gets_text_and_a_pipe_gets_json(installed: Callable[..., Logs]) -> None:
    terminal, pipe = Terminal(), io.StringIO()
    installed(stream=terminal)
    structlog.get_logger().info("order.sent", key=CANARY)
    installed(stream=pipe)
    structlog.get_logger().info("order.sent")
    assert "order.sent" in terminal.getvalue() and not terminal.getvalue().startswith("{")
    assert CANARY not in terminal.getvalue() and "***" in terminal.getvalue()
    assert lines(pipe)[0]["event"] == "order.sent"


def test_an_error_of_ours_names_its_code(stream: io.StringIO, installed: Callable[..., Logs]) -> None:
    installed()
    try:
        raise Refuse(CFG_INVALID, "no such key")
    except Refuse as exc:
        structlog.get_logger().error("config.refused", exc_info=exc)
        structlog.get_logger().exception("config.refused")
    assert [line["code"] for line in lines(stream)] == [CFG_INVALID, CFG_INVALID]


def test_a_log_that_cannot_be_written_is_counted_and_nothing_else(installed: Callable[..., Logs]) -> None:
    logs = installed(stream=FullDisk())
    structlog.get_logger().critical("order.unknown")
    closed = io.StringIO()
    closed.close()
    logs_closed = installed(stream=closed, style="json")
    structlog.get_logger().critical("order.unknown")
    assert logs.statistics()["lost"] == 1 and logs_closed.statistics()["lost"] == 1


def test_odd_values_still_make_one_valid_line(stream: io.StringIO, installed: Callable[..., Logs]) -> None:
    installed()
    structlog.get_logger().info("odd", nan=float("nan"), lone="\udc80", newline="a\nb", keys={1: {2, 3}}, obj=object)
    [line] = lines(stream)
    assert line["nan"] is None and line["newline"] == "a\nb" and line["keys"] == {"1": "{2, 3}"}


def test_a_crash_of_the_process_or_of_a_thread_is_a_scrubbed_line(
    stream: io.StringIO, installed: Callable[..., Logs]
) -> None:
    installed()
    try:
        raise ValueError(CANARY)
    except ValueError as exc:
        sys.excepthook(type(exc), exc, exc.__traceback__)

    def crash() -> None:
        raise ValueError(f"in a thread {CANARY}")

    thread = threading.Thread(target=crash)
    thread.start()
    thread.join()
    assert [line["event"] for line in lines(stream)] == ["daemon.crashed"] * 2
    assert CANARY not in stream.getvalue() and "in a thread ***" in stream.getvalue()


def test_context_follows_into_a_thread_only_where_it_was_set(
    stream: io.StringIO, installed: Callable[..., Logs]
) -> None:
    installed()
    with log_context(strategy="btc"):
        pass
    structlog.get_logger().info("outside")
    assert "strategy" not in lines(stream)[0]


def test_no_colour_is_written_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    def written(value: str) -> str:
        monkeypatch.setenv("NO_COLOR", value)
        stream = Terminal()
        Logs(stream, Secrets(), now=lambda: 1).install()
        structlog.get_logger().info("order.sent")
        return stream.getvalue()

    assert "\x1b" not in written("1")
    assert "\x1b" in written("")


def test_what_the_reader_hears_otherwise_is_left_out_unless_it_warns() -> None:
    stream = io.StringIO()
    Logs(stream, Secrets(), now=lambda: 1, told={"cell.state"}).install()
    log = structlog.get_logger()
    log.info("cell.state")
    log.warning("cell.state")
    log.info("order.sent")
    assert stream.getvalue().count("cell.state") == 1
    assert "order.sent" in stream.getvalue()


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no words for it")

    __str__ = __repr__


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_line_that_cannot_be_made_hurts_nobody_and_is_said(
    style: str, stream: io.StringIO, installed: Callable[..., Logs]
) -> None:
    logs = installed(style=style)
    structlog.get_logger().error("cell.crashed", odd=Unprintable())
    structlog.get_logger().info("cell.state", state="running")
    first, second = stream.getvalue().splitlines()
    assert first == "cell.crashed could not be logged: RuntimeError"
    assert "cell.state" in second and logs.statistics()["lost"] == 1


def test_what_is_urgent_has_room_where_nothing_else_has(installed: Callable[..., Logs]) -> None:
    read, write = os.pipe()
    writer = Writer(write, "stderr", room=100)
    installed(stream=LineStream(writer, write), style="json")
    structlog.get_logger().info("tick", text="x" * 500)
    structlog.get_logger().critical("cell.stuck", text="x" * 500)
    writer.close()
    assert writer.join(5.0)
    assert writer.standing().dropped == 1
    assert b"cell.stuck" in os.read(read, 1 << 16)
    os.close(read)
    os.close(write)
