"""What may change between two starts: it fits, it is refused with what to do, and it is never a crash or silence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from components.model.errors import CFG_STATE, InvalidInput
from daemon.config.daemon_file import DaemonSlice
from daemon.config.settings import load_run
from daemon.process.daemon import Daemon
from daemon.process.restart import check_restart
from daemon.replica import CellState
from tests.daemon.house import BTC, LENDING, House, ask, cell_of, in_state, replica_of, ticked, until


@pytest.fixture(scope="module")
def entered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Both strategies hold positions, and the daemon has stopped in order."""
    house = House(tmp_path_factory.mktemp("entered"), LENDING, BTC)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, LENDING, 5)
        await ticked(daemon, BTC, 5)

    house.live(play)
    yield house


def only(config: DaemonSlice, *ids: str) -> DaemonSlice:
    return structs.replace(config, strategies=tuple(entry for entry in config.strategies if entry.id in ids))


def with_entry(config: DaemonSlice, strategy: str, **changes: Any) -> DaemonSlice:
    entries = tuple(structs.replace(each, **changes) if each.id == strategy else each for each in config.strategies)
    return structs.replace(config, strategies=entries)


def with_mode(config: DaemonSlice, strategy: str, **changes: Any) -> DaemonSlice:
    (entry,) = (each for each in config.strategies if each.id == strategy)
    mode = structs.replace(entry.run.mode, **changes)
    return with_entry(config, strategy, run=structs.replace(entry.run, mode=mode))


def faults(house: House, new: DaemonSlice, *, old: DaemonSlice | None = None) -> dict[str, str]:
    try:
        check_restart(old, new, house.disk)
    except InvalidInput as invalid:
        assert invalid.code == CFG_STATE
        return {fault.where: f"{fault.found}, expected {fault.expected}" for fault in invalid.faults}
    return {}


def test_the_same_configuration_fits(entered: House) -> None:
    assert faults(entered, entered.config, old=entered.config) == {}
    assert faults(entered, entered.config, old=None) == {}
    harmless = with_mode(entered.config, BTC, dust_threshold=1.0, time_throttle_interval=120.0, reserve_ratio=0.1)
    assert faults(entered, harmless, old=entered.config) == {}


def test_a_strategy_that_holds_something_is_not_taken_out_of_the_file(entered: House) -> None:
    found = faults(entered, only(entered.config, LENDING), old=entered.config)
    assert list(found) == [f"strategies.{BTC}"]
    assert "Perp:BTCUSDT" in found[f"strategies.{BTC}"]
    assert f"basis stop {BTC} --positions close" in found[f"strategies.{BTC}"]
    renamed = with_entry(entered.config, LENDING, id="lending-2")
    assert "aave_v3:aToken:aUSDT" in faults(entered, renamed, old=entered.config)[f"strategies.{LENDING}"]
    assert list(faults(entered, only(entered.config, BTC), old=None)) == [f"strategies.{LENDING}"], "config lost"


@pytest.mark.parametrize("known", [True, False])
def test_mode_and_capital_are_those_of_the_journal(entered: House, known: bool) -> None:
    old = entered.config if known else None
    other = load_run("eth_basis", environ={})
    found = faults(entered, with_entry(entered.config, BTC, mode="eth_basis", run=other), old=old)
    assert found[f"strategies.{BTC}.mode"].startswith("eth_basis, expected btc_basis")
    found = faults(entered, with_entry(entered.config, BTC, capital=150_000.0), old=old)
    assert f"basis deposit {BTC} 50000" in found[f"strategies.{BTC}.capital"]
    found = faults(entered, with_entry(entered.config, LENDING, capital=90_000.0), old=old)
    assert f"basis withdraw {LENDING} 10000" in found[f"strategies.{LENDING}.capital"]


def test_what_it_is_made_of_stays_while_it_holds_something(entered: House) -> None:
    found = faults(entered, with_mode(entered.config, BTC, hedge_allocation={"binance": 1.0}), old=entered.config)
    assert "while it holds" in found[f"strategies.{BTC}.hedge_allocation"]
    other = with_mode(entered.config, BTC, hedge_allocation={"binance": 0.5, "bybit": 0.3, "okx": 0.2})
    assert faults(entered, other, old=entered.config) == {}, "other weights are a matter of rebalancing"


def test_the_market_of_the_accounts_is_part_of_the_state(entered: House) -> None:
    for name, value in (("step_s", 30.0), ("seed", 8), ("scenario", "crash"), ("start", 1_600_000_000_000_000_000)):
        new = structs.replace(entered.config, market=structs.replace(entered.config.market, **{name: value}))
        assert list(faults(entered, new, old=entered.config)) == [f"market.{name}"]
    new = with_entry(entered.config, BTC, account="another")
    assert list(faults(entered, new, old=entered.config)) == [f"strategies.{BTC}.account"]


def test_a_journal_that_cannot_be_read_counts_as_holding(tmp_path: Path) -> None:
    house = House(tmp_path, LENDING, BTC)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 1)

    house.live(play)
    path = tmp_path / "strategies" / BTC / "journal" / "000001.journal"
    node = house.crash_disk.seen[path]
    assert node is not None
    node.seen[200] ^= 1
    found = faults(house, only(house.config, LENDING), old=house.config)
    assert "nobody can tell what it holds" in found[f"strategies.{BTC}"]
    assert faults(house, house.config, old=house.config) == {}, "kept, it fails alone"


def test_a_flat_strategy_may_go(tmp_path: Path) -> None:
    house = House(tmp_path, LENDING, BTC)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 4)
        await ask(daemon, "stop", BTC, positions="close")
        await until(lambda: cell_of(daemon, BTC).core.manager.halted)
        await ticked(daemon, BTC, 2)

    house.live(play)
    assert faults(house, only(house.config, LENDING), old=house.config) == {}


def test_another_mode_is_one_failure_and_no_crash_loop(tmp_path: Path) -> None:
    house = House(tmp_path, LENDING, BTC)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 3)

    house.live(play)
    before = house.records(BTC)
    house.config = with_entry(house.config, BTC, mode="eth_basis", run=load_run("eth_basis", environ={}))

    async def again(daemon: Daemon) -> None:
        await in_state(daemon, CellState.FAILED, BTC)
        await ticked(daemon, LENDING, 20)
        assert "btc_basis, as in its journal" in replica_of(daemon, BTC).reason
        assert daemon.supervisor.restarts[BTC] == 0

    house.live(again)
    assert len(house.crashes.seen) == 1
    assert house.records(BTC) == before, "its journal is as it was"
