"""The mailbox of a core actor holds the newest row."""

from __future__ import annotations

from daemon.cells.mailbox import RowMailbox
from daemon.world.rows import MarketRow


def row(tick: int) -> MarketRow:
    return MarketRow(tick=tick, timestamp=tick * 60, values={})


async def test_a_newer_row_replaces_one_that_nobody_took_and_lets_its_waiter_go() -> None:
    box = RowMailbox()
    first, second = box.put(row(1)), box.put(row(2))
    assert first.is_set() and not second.is_set()
    assert (box.depth, box.replaced) == (1, 1)
    taken = await box.get()
    assert taken is not None and taken.tick == 2
    assert box.depth == 0 and not second.is_set()
    box.done()
    assert second.is_set()


async def test_closing_lets_everybody_go() -> None:
    box = RowMailbox()
    waiting = box.put(row(1))
    box.close()
    assert waiting.is_set()
    assert await box.get() is None
    assert box.put(row(2)).is_set()
