"""Clients of venues in another process: what they say when that does not answer."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from components.model.keys import CHAIN_VENUES, TRANSIT
from daemon.world.clocks import MarketClock
from tests.venues.paper.stage import group, sent
from venues.interfaces import NotSent, OutcomeUnknown, Unavailable
from venues.paper.remote.client import RemoteAccount, RemoteVenue, remote_doors


def test_a_remote_door_is_named_and_answers_for_what_the_door_does() -> None:
    clients = remote_doors("nowhere", "a", ("okx", "chain"), MarketClock(0))

    assert [client.name for client in clients.values()] == ["okx", "chain"]
    assert clients["okx"].venues == {"okx"} and clients["chain"].venues == {*CHAIN_VENUES, TRANSIT}


async def test_nobody_at_the_other_end(tmp_path: Path) -> None:
    venue = RemoteVenue(str(tmp_path / "none.sock"), "a", "binance", MarketClock(0))
    with pytest.raises(NotSent):
        await venue.submit(group())
    with pytest.raises(Unavailable):
        await venue.query(sent("o1"))
    with pytest.raises(Unavailable):
        await RemoteAccount(str(tmp_path / "none.sock"), "a", MarketClock(0)).truth()


async def test_an_end_that_breaks_off_leaves_the_outcome_unknown(tmp_path: Path) -> None:
    path = str(tmp_path / "rude.sock")
    venue = RemoteVenue(path, "a", "binance", MarketClock(0))

    async def rude(stream: trio.SocketStream) -> None:
        await stream.receive_some(4)
        await stream.aclose()

    socket = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
    await socket.bind(path)
    socket.listen()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, rude, [trio.SocketListener(socket)])
        with pytest.raises(OutcomeUnknown):
            await venue.submit(group())
        with pytest.raises(Unavailable):
            await venue.positions()
        nursery.cancel_scope.cancel()
