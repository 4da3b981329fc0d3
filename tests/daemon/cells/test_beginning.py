"""How a cell begins: what it says it starts from, and what it tells of a step that was cut."""

from __future__ import annotations

from pathlib import Path

from daemon.journal.records import Manifest, Note, Snapshot, StepBegin, StepEnd
from daemon.process.daemon import Daemon
from tests.daemon.house import BTC, LENDING, House, ask, cell_of, ticked, until


async def few(daemon: Daemon) -> None:
    await ticked(daemon, more=5)


def test_a_start_says_what_it_starts_from_and_a_clean_stop_what_it_ends_with(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.live(few)
    ended = house.records(LENDING)[-1]
    assert isinstance(ended, StepEnd)
    assert ended.state
    house.live(few)
    records = house.records(LENDING)
    first, second = (record for record in records if isinstance(record, Manifest))
    assert (first.epoch, second.epoch) == (1, 2)
    assert first.state_hash == ""
    assert second.state_hash == ended.state_hash, "nothing happened in between"
    at = records.index(second)
    assert isinstance(records[at + 1], StepEnd)
    assert records[at + 1].state == ended.state  # type: ignore[union-attr]
    assert any(isinstance(record, Snapshot) for record in records[at:])


def test_a_step_that_was_cut_is_told_and_never_resumed(tmp_path: Path) -> None:
    house = House(tmp_path, BTC)

    async def first(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 3)
        await ask(daemon, "deposit", BTC, key="k", amount="20000")
        await until(lambda: cell_of(daemon, BTC).desk.dispatch.in_flight, every_s=0.01)
        house.cut_power()

    async def second(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 4)

    house.live(first)
    house.live(second)
    records = house.records(BTC)
    (told,) = [record for record in records if isinstance(record, Note) and record.kind == "step.cut"]
    begun = [record.tick for record in records if isinstance(record, StepBegin)]
    ended = [record.tick for record in records if isinstance(record, StepEnd) and record.row]
    (cut,) = set(begun) - set(ended)
    assert str(cut) in told.detail
    assert begun.count(cut) == 1
    held = {str(key): amount for key, amount in house.accounts[BTC].balances.items() if ":Perp:" in str(key)}
    assert sum(amount < -0.1 for amount in held.values()) == 3
