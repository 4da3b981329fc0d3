"""Where paper keeps its venues: each account goes on where it stopped, and the market with it."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest
from msgspec import structs

from components.model.errors import CFG_TOO_SMALL, InvalidInput
from daemon.config.daemon_file import DaemonSlice
from daemon.exits import Exit
from daemon.process.daemon import Daemon
from daemon.replica import CellState
from daemon.world.paper_places import RowFile, judge_capital, last_row, open_world
from tests.daemon.house import BTC, LENDING, House, ask, in_state, replica_of, ticked, until
from venues.paper.store import NAME


def test_the_row_file_is_a_hint_that_may_be_missing_or_half(tmp_path: Path) -> None:
    told = RowFile(tmp_path / "market.row")
    assert told.read() == -1
    told.write(41)
    assert told.read() == 41
    (tmp_path / "market.row").write_text("4x")
    assert told.read() == -1
    RowFile(tmp_path / "no folder" / "market.row").write(5)  # a full disk does not stop the market


def test_a_damaged_row_does_not_move_the_market(tmp_path: Path) -> None:
    file = tmp_path / "market.row"
    told = RowFile(file)
    told.write(41)
    whole = file.read_bytes()
    for at in range(len(whole) - 1):
        for bit in range(7):
            file.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
            assert told.read() in (-1, 41), file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        assert told.read() in (-1, 4, 41), "never later than it was"
    file.write_text("41\n")
    assert told.read() == 41, "as the version before wrote it"
    file.write_text("99999999999\n")
    assert told.read() == -1


def test_a_new_account_has_lived_through_nothing(tmp_path: Path) -> None:
    assert last_row(tmp_path) == -1


def test_accounts_and_market_go_on_where_they_stopped(tmp_path: Path) -> None:
    house = House(tmp_path, LENDING, BTC, persistent=True)
    seen: list[tuple[int, dict[str, float]]] = []

    async def lives(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 3)
        await ask(daemon, "deposit", BTC, key="k", amount="5000")
        await ticked(daemon, BTC, 3)
        control = daemon.world.places[BTC].control
        seen.append((daemon.world.row, dict(control.account.balances)))  # type: ignore[attr-defined]

    house.live(lives)
    row, _ = seen[0]
    again = open_world(house.config)
    assert again.row >= row
    kept = again.places[BTC].control.account  # type: ignore[attr-defined]
    assert kept.row == again.row - 1
    assert [item.amount for item in kept.settled("chain", 0).items if item.event_type.value == "deposit"] == [5000.0]
    again.close()

    async def goes_on(daemon: Daemon) -> None:
        assert daemon.world.row >= row
        await ticked(daemon, BTC, 2)
        picture = replica_of(daemon, BTC)
        assert not any(venue.mismatches for venue in picture.venues)
        assert picture.external_flows == 5000.0

    house.live(goes_on)


def test_a_damaged_ledger_keeps_its_strategy_down_and_no_other(tmp_path: Path) -> None:
    house = House(tmp_path, LENDING, BTC, persistent=True)

    async def lives(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 4)

    house.live(lives)
    path = tmp_path / "strategies" / BTC / "venues" / NAME
    data = bytearray(path.read_bytes())
    data[14] ^= 0x40  # in the length of the first change
    path.write_bytes(bytes(data))

    async def again(daemon: Daemon) -> None:
        await in_state(daemon, CellState.FAILED, BTC)
        await ticked(daemon, LENDING, 5)
        assert "SIM-002" in replica_of(daemon, BTC).reason

    house.live(again)
    assert house.ended is not None
    assert house.ended.broken == {BTC: Exit.DAMAGED}
    assert path.read_bytes() == bytes(data), "the file is as it was found"


SETTLEMENT = 1_704_096_000_000_000_000  # 2024-01-01T08:00Z


def before_a_settlement(config: DaemonSlice) -> DaemonSlice:
    return structs.replace(config, market=structs.replace(config.market, start=SETTLEMENT - 15 * 60 * 10**9))


def test_a_full_disk_under_the_accounts_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(tmp_path, BTC, persistent=True, changed=before_a_settlement)
    plain, is_full = os.write, [False]

    def write(file: int, data: bytes) -> int:
        if is_full[0] and str(tmp_path) in os.readlink(f"/proc/self/fd/{file}"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return plain(file, data)

    monkeypatch.setattr(os, "write", write)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 4)
        is_full[0] = True
        row = daemon.world.row
        await until(lambda: daemon.world.row > row + 14)
        assert daemon.clock.now() > SETTLEMENT
        assert daemon.world.trouble() == BTC
        is_full[0] = False
        await until(lambda: daemon.world.trouble() == "")
        await ticked(daemon, BTC, 3)
        assert not any(venue.mismatches for venue in replica_of(daemon, BTC).venues)

    house.live(play)
    kept = open_world(house.config).places[BTC].control.account  # type: ignore[attr-defined]
    assert kept.timestamp > SETTLEMENT


def test_what_would_begin_with_too_little_is_refused_by_name_before_anything_is_opened(tmp_path: Path) -> None:
    config = House(tmp_path, LENDING, BTC).config
    judge_capital(config)
    small = structs.replace(
        config, strategies=tuple(structs.replace(entry, capital=50.0) for entry in config.strategies)
    )

    with pytest.raises(InvalidInput) as caught:
        judge_capital(small)

    assert caught.value.code == CFG_TOO_SMALL
    assert [fault.where for fault in caught.value.faults] == [
        f"strategies.{entry.id}.capital" for entry in small.strategies
    ]
    assert all("found 50 USDT, expected at least" in str(fault) for fault in caught.value.faults)
    assert not list(tmp_path.rglob("venues"))


def test_what_has_begun_is_not_judged_again(tmp_path: Path) -> None:
    house = House(tmp_path, LENDING, persistent=True)

    async def lives(daemon: Daemon) -> None:
        await ticked(daemon, LENDING, 2)

    house.live(lives)
    entries = tuple(structs.replace(entry, capital=50.0) for entry in house.config.strategies)
    judge_capital(structs.replace(house.config, strategies=entries))


def test_no_account_is_begun_for_a_strategy_that_has_lived_and_is_gone(tmp_path: Path) -> None:
    """Or a backup would be put back beside what was begun, and a closing would find an account that is flat."""
    house = House(tmp_path, LENDING, BTC, persistent=True)

    async def lives(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 2)

    house.live(lives)
    home = tmp_path / "strategies" / BTC
    shutil.rmtree(home)
    world = open_world(house.config, remembered={BTC: 7})
    assert world.failed[BTC].code == "SIM-005"
    assert set(world.places) == {LENDING}
    assert not home.exists()
    world.close()
    home.mkdir()
    (home / "epoch").write_text("anew")
    again = open_world(house.config, remembered={BTC: 7})
    assert set(again.places) == {LENDING, BTC}, "asked for on purpose"
    again.close()
