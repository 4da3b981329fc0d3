"""The venues as a process of their own: they answer as the doors do, and outlive whoever asks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from components.model.errors import Refuse
from components.model.orders import TradeStatus, Verb
from components.model.requirements import HOUR_NS, Grid
from daemon.world.clocks import MarketClock
from tests.acceptance.runs import stamp
from tests.venues.paper.stage import BTC, END, RICH, START, USDT, basis_run, group, order, sent
from venues.interfaces import NotSent, OutcomeUnknown, ReportStatus, Unavailable
from venues.paper.door.faults import Fault
from venues.paper.door.passage import Profile
from venues.paper.remote.client import RemoteAccount, RemoteVenue, remote_doors
from venues.paper.remote.server import AccountConfig, Server, ServerConfig, ToldClock, write_config
from venues.paper.remote.wire import LENGTH

QUICK = dict.fromkeys(("binance", "bybit", "okx", "chain"), Profile(latency_s=0.0))


def config(**more: object) -> ServerConfig:
    grid = Grid(stamp(START), stamp(END), HOUR_NS)
    one = AccountConfig(id="a", run=basis_run(), balances=RICH, grid=grid, profiles=QUICK, **more)  # type: ignore[arg-type]
    return ServerConfig(accounts=(one,))


@asynccontextmanager
async def served(tmp_path: Path, **more: object) -> AsyncIterator[tuple[RemoteAccount, RemoteVenue, Server]]:
    """A server in the same process, with an account and a door at it."""
    server = Server(config(**more))
    path = str(tmp_path / "venues.sock")
    clock = MarketClock(stamp(START))
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: server.serve(Path(path), task_status=task_status))
        account = RemoteAccount(path, "a", clock)
        yield account, remote_doors(path, "a", await account.doors(), clock)["binance"], server
        nursery.cancel_scope.cancel()


async def test_a_remote_door_answers_as_the_door_does(tmp_path: Path) -> None:
    async with served(tmp_path) as (account, binance, server):
        assert await account.advance_to(3) == 3
        (trade,) = await binance.submit(group())
        assert trade.status is TradeStatus.FILLED and trade.changes[BTC] == 1.0
        assert (await binance.submit(group())) == (trade,)
        report = await binance.query(sent("o1"))
        assert (report.status, report.trade) == (ReportStatus.DONE, trade)
        assert (await binance.cancel(sent("nothing"))).status is ReportStatus.ABSENT
        assert await binance.open_orders() == ()
        assert (await binance.positions()).balances == server.served["a"].account.positions("binance")
        assert (binance.name, binance.venues) == ("binance", {"binance"})


async def test_the_account_is_driven_and_judged_from_afar(tmp_path: Path) -> None:
    async with served(tmp_path) as (account, binance, server):
        await binance.submit(group(order("p", Verb.PERP, -1.0)))
        await account.deposit("d", 10.0, stamp(START))
        await account.withdrawal("w", 5.0, stamp(START))
        await account.foreign_transfer("f", None, USDT, 1.0, stamp(START))
        await account.foreign_trade("t", "binance", Verb.SPOT, "BTC", 0.5, stamp(START))
        await account.advance_to(30)
        page = await binance.settled(0)
        truth = await account.truth()
        assert page == server.served["a"].account.settled("binance", 0) and len(page.items) == 3
        assert [item.amount for item in (await binance.foreign(0)).items] == [1.0, 0.5]
        assert truth == server.served["a"].account.truth()
        assert truth.cursors == {"binance": 3, "bybit": 0, "okx": 0, "chain": 2}


async def test_errors_come_through_as_themselves(tmp_path: Path) -> None:
    async with served(tmp_path) as (account, binance, server):
        for kind, error in (("rate_limited", NotSent), ("error_after_accept", OutcomeUnknown)):
            await account.add_fault(Fault(kind=kind, venue="binance", at=0, duration_s=1e10))
            with pytest.raises(error) as raised:
                await binance.submit(group())
            assert getattr(raised.value, "retry_after_s", 1.0) == 1.0
            with pytest.raises(Unavailable):
                await binance.positions()
            await account.heal()
        report = await account.fault_report()
        assert report.fired == {"error_after_accept": 2, "rate_limited": 2} and report.hit_in_flight == 1
        with pytest.raises(Refuse, match="SIM-001"):
            await account.advance_to(100_000)
        with pytest.raises(Refuse, match="SIM-004"):
            await RemoteAccount(str(tmp_path / "venues.sock"), "nobody", MarketClock(0)).advance_to(1)


async def test_nonsense_is_answered_and_harms_nobody(tmp_path: Path) -> None:
    async with served(tmp_path) as (account, binance, server):
        for frame in (b"", b"\xc1", b"\x80", b"x" * 100):
            async with await trio.open_unix_socket(str(tmp_path / "venues.sock")) as stream:
                await stream.send_all(LENGTH.pack(len(frame)) + frame)
                assert b"SIM-004" in await stream.receive_some()
        async with await trio.open_unix_socket(str(tmp_path / "venues.sock")) as stream:
            await stream.send_all(b"\x00\x00")
        assert await account.advance_to(1) == 1


async def test_a_client_that_gives_up_does_not_take_its_order_back(tmp_path: Path) -> None:
    async with served(tmp_path) as (account, binance, server):
        await account.add_fault(Fault(kind="late_ack", venue="binance", at=0, duration_s=1e10))
        with trio.move_on_after(0.1) as patience:
            await binance.submit(group())
        assert patience.cancelled_caught
        assert (await binance.query(sent("o1"))).status is ReportStatus.DONE
        assert [message.endpoint for message in (await account.truth()).messages] == ["submit", "query"]


async def test_time_is_what_callers_say_and_never_goes_back() -> None:
    clock = ToldClock(100)
    order: list[str] = []

    async def sleeper() -> None:
        await clock.sleep_until(200)
        order.append("awake")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sleeper)
        for now in (150, 50, 199):
            clock.tell(now)
            await trio.testing.wait_all_tasks_blocked()
        order.append("told")
        clock.tell(200)
    assert order == ["told", "awake"] and clock.now() == 200


def test_a_server_of_its_own_survives_a_killed_client(tmp_path: Path) -> None:
    path, file = str(tmp_path / "venues.sock"), tmp_path / "venues.config"
    write_config(file, config(folder=str(tmp_path / "kept")))
    command = [sys.executable, "-m", "venues.paper.remote.server", "--socket", path, "--config", str(file)]
    root = Path(__file__).resolve().parents[4]
    clock = MarketClock(stamp(START))
    account = RemoteAccount(path, "a", clock)
    venue = RemoteVenue(path, "a", "binance", clock)

    async def play(server: subprocess.Popen[bytes]) -> None:
        with trio.fail_after(15.0):
            while not Path(path).exists():
                assert server.poll() is None
                await trio.sleep(0.02)
            await account.add_fault(Fault(kind="late_ack", venue="binance", at=0, duration_s=1e10))
            client = subprocess.Popen([sys.executable, "-c", CLIENT, path], cwd=root)
            while "o1" not in (await account.truth()).orders:
                await trio.sleep(0.02)
            client.kill()
            await trio.to_thread.run_sync(client.wait)
            truth = await account.truth()
            assert [message.order_ids for message in truth.messages] == [("o1",)]
            assert (await venue.query(sent("o1"))).status is ReportStatus.DONE

    def run() -> None:
        server = subprocess.Popen(command, cwd=root)
        try:
            trio.run(play, server)
        finally:
            server.kill()
            server.wait()

    run()
    again = Server(config(folder=str(tmp_path / "kept")))
    assert again.served["a"].account.balances[BTC] == 1.0


CLIENT = f"""
import sys, trio
from components.model.orders import Action, GroupKind, Order, OrderGroup, Verb
from daemon.world.clocks import MarketClock
from venues.paper.remote.client import RemoteVenue
order = Order(id="o1", verb=Verb.SPOT, venue="binance", token="BTC", amount=1.0, leg="leg")
group = OrderGroup(id="g", kind=GroupKind.ONE, action=Action.ENTRY_FULL, reason="test", orders=(order,))
trio.run(RemoteVenue(sys.argv[1], "a", "binance", MarketClock({stamp(START)})).submit, group)
"""
