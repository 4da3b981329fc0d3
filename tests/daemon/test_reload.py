"""A reload: taken between two steps, wholly or not at all, and written down."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from components.model.errors import CFG_INVALID, Fault, InvalidInput
from daemon.daemon import Daemon
from daemon.daemon_config import DaemonSlice
from daemon.journal.records import ConfigChanged
from tests.daemon.house import BTC, LENDING, House, cell_of, ticked
from tests.daemon.recordings import with_other_threshold


def test_new_limits_are_taken_by_the_next_step_and_journaled(tmp_path: Path) -> None:
    house = House(tmp_path, LENDING, BTC)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 2)
        before = cell_of(daemon, BTC).run_slice.mode.dust_threshold
        told = await daemon.reload()
        assert "strategies.btc-basis.dust_threshold" in told
        assert cell_of(daemon, BTC).run_slice.mode.dust_threshold == before, "not within a step"
        await ticked(daemon, BTC, 1)
        assert cell_of(daemon, BTC).run_slice.mode.dust_threshold == 2.0 * before
        assert cell_of(daemon, BTC).core.run.mode.dust_threshold == 2.0 * before

    house.live(play, reload=lambda: with_other_threshold(house.config))
    (change,) = [record for record in house.records(BTC) if isinstance(record, ConfigChanged)]
    assert change.changes == {"strategies.btc-basis.dust_threshold": ("50.0", "100.0")}
    audited = [record for record in house.records("daemon") if isinstance(record, ConfigChanged)]
    assert [sorted(record.changes) for record in audited] == [
        ["strategies.btc-basis.dust_threshold", "strategies.lending.dust_threshold"]
    ]


def test_the_same_configuration_changes_nothing(tmp_path: Path) -> None:
    house = House(tmp_path)

    async def play(daemon: Daemon) -> None:
        assert await daemon.reload() == "configuration reloaded: nothing has changed"

    house.live(play, reload=lambda: house.config)
    assert not [record for record in house.records("daemon") if isinstance(record, ConfigChanged)]


def broken() -> DaemonSlice:
    raise InvalidInput(CFG_INVALID, [Fault(where="limits.poll_interval_s", found="-1", expected="above 0")])


def other_account(house: House) -> DaemonSlice:
    entries = tuple(structs.replace(entry, account="another") for entry in house.config.strategies)
    return with_other_threshold(structs.replace(house.config, strategies=entries))


@pytest.mark.parametrize("what", ["faults", "identity"])
def test_a_bad_one_keeps_everything_as_it_was(what: str, tmp_path: Path) -> None:
    house = House(tmp_path)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, LENDING, 2)
        before = daemon.supervisor.config
        told = await daemon.reload()
        assert "poll_interval_s" in told if what == "faults" else "account" in told
        await ticked(daemon, LENDING, 2)
        assert daemon.supervisor.config is before
        assert cell_of(daemon).run_slice is before.strategies[0].run

    house.live(play, reload=broken if what == "faults" else lambda: other_account(house))
    assert not [record for record in house.records(LENDING) if isinstance(record, ConfigChanged)]
