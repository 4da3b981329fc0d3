"""A reader reads in a task of its own; what it does with that is its own affair."""

from __future__ import annotations

import structlog
import trio
from trio.testing import MockClock

from daemon.monitoring.readers import AT_A_TIME, Reader


async def test_facts_come_in_order_and_not_in_the_call_that_tells_them(autojump_clock: MockClock) -> None:
    heard: list[int] = []
    reader = Reader("narrator")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader.run)
        for i in range(3 * AT_A_TIME):
            reader.tell(heard.append, i)
        assert heard == []
        await trio.sleep(0.001)
        assert heard == list(range(3 * AT_A_TIME))
        nursery.cancel_scope.cancel()


def test_what_a_reader_raises_is_counted_named_once_and_shown_until_it_reads_again() -> None:
    heard: list[object] = []

    def read(text: str) -> None:
        heard.append(float(text))

    reader = Reader("narrator")
    with structlog.testing.capture_logs() as lines:
        for text in ("1", "binance first", "binance first", "2"):
            reader.tell(read, text)
        reader.drain(3)
        assert reader.error == "ValueError: could not convert string to float: 'binance first'"
        reader.drain()
    assert (heard, reader.errors, reader.error) == ([1.0, 2.0], 2, "")
    assert [(line["event"], line["reader"]) for line in lines] == [("reader.failed", "narrator")]


def test_a_tray_that_runs_over_keeps_the_newest_and_counts() -> None:
    heard: list[int] = []
    reader = Reader("metrics", tray=2)
    for i in range(5):
        reader.tell(heard.append, i)
    reader.drain()
    assert (heard, reader.dropped) == ([3, 4], 3)
