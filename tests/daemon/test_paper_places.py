"""Where paper keeps its venues: each account goes on where it stopped, and the market with it."""

from __future__ import annotations

from pathlib import Path

from daemon.daemon import Daemon
from daemon.paper_places import RowFile, last_row, open_world
from tests.daemon.house import BTC, LENDING, House, ask, replica_of, ticked


def test_the_row_file_is_a_hint_that_may_be_missing_or_half(tmp_path: Path) -> None:
    told = RowFile(tmp_path / "market.row")
    assert told.read() == -1
    told.write(41)
    assert told.read() == 41
    (tmp_path / "market.row").write_text("4x")
    assert told.read() == -1
    RowFile(tmp_path / "no folder" / "market.row").write(5)  # a full disk does not stop the market


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
