"""A service beside trading fails as often as it likes."""

from __future__ import annotations

import structlog
import trio
from trio.testing import MockClock

from components.model.errors import Retry
from daemon.monitoring.beside import beside
from daemon.monitoring.server import OPS_METRICS


async def test_a_service_beside_trading_is_started_again_and_reported(autojump_clock: MockClock) -> None:
    begun: list[float] = []
    reported: list[str] = []

    async def serve() -> None:
        begun.append(trio.current_time())
        if len(begun) < 3:
            raise OSError("the port is taken")
        await trio.sleep_forever()

    with trio.move_on_after(60.0):
        await beside("metrics", serve, lambda name, error: reported.append(f"{name}: {error}"), pause_s=5.0)
    assert [round(at - begun[0]) for at in begun] == [0, 5, 15]
    assert reported == ["metrics: the port is taken"] * 2


async def test_a_service_that_keeps_failing_is_told_once_in_full_and_tried_less_and_less_often(
    autojump_clock: MockClock,
) -> None:
    begun: list[float] = []

    async def serve() -> None:
        begun.append(trio.current_time())
        raise OSError("the port is taken")

    with structlog.testing.capture_logs() as lines:
        with trio.move_on_after(24 * 3600.0):
            await beside("metrics", serve, lambda name, error: None, pause_s=5.0)
    assert [round(at - begun[0]) for at in begun[:6]] == [0, 5, 15, 35, 75, 135]
    assert [line["event"] for line in lines].count("service.crashed") == 1
    assert 5 < len(lines) < 15, "a day of it"


async def test_a_service_that_fails_in_another_way_is_told_anew(autojump_clock: MockClock) -> None:
    reasons = iter(("one", "one", "two"))

    async def serve() -> None:
        if (reason := next(reasons, None)) is None:
            await trio.sleep_forever()
        raise OSError(reason)

    with structlog.testing.capture_logs() as lines:
        with trio.move_on_after(100.0):
            await beside("index", serve, lambda name, error: None)
    assert [(line["event"], line["error"]) for line in lines] == [
        ("service.crashed", "OSError: one"),
        ("service.still_crashes", "OSError: one"),
        ("service.crashed", "OSError: two"),
    ]


async def test_what_says_itself_what_to_do_is_told_without_a_traceback_and_a_failing_listener_ends_nothing(
    autojump_clock: MockClock,
) -> None:
    begun: list[float] = []

    async def serve() -> None:
        begun.append(trio.current_time())
        raise ExceptionGroup("a nursery", [Retry(OPS_METRICS, "127.0.0.1:9464: taken")])

    def listens(name: str, error: Exception) -> None:
        raise ValueError("nobody wants to know")

    with structlog.testing.capture_logs() as lines:
        with trio.move_on_after(30.0):
            await beside("metrics", serve, listens)
    assert len(begun) == 3
    crashed = lines[0]
    assert (
        crashed["event"] == "service.crashed" and crashed["exc_info"] is None and "127.0.0.1:9464" in crashed["error"]
    )
    assert [line["event"] for line in lines].count("report.failed") == 3
