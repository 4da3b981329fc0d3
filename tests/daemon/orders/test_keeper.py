"""What a wallet has signed is on disk before anybody sees it, and is there after a restart."""

from __future__ import annotations

import pytest
import trio

from components.model.errors import Stop
from components.model.orders import OrderGroup, Verb
from components.model.transactions import Transaction, kept_after
from daemon.journal.codec import decode, encode
from daemon.journal.records import NonceClosed, Record, Signed, Snapshot
from daemon.orders.keeper import JournalKeeper, bind, kept_by
from daemon.recorded.recovery import recover
from tests.builders import run_of
from tests.venues.paper.stage import Desk, group, order, played, sent
from venues.interfaces import KeepsTransactions, NotSent

RUN = run_of("usdt_market_neutral")


def tx(nonce: int, hash: str = "") -> Transaction:
    return Transaction(
        wallet="wallet", nonce=nonce, hash=hash or f"h{nonce}", raw=b"raw", orders=("o",), max_fee_gwei=9.0, at=5
    )


class Log:
    """A journal that says when it was made durable."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.durable = 0
        self.broken = False

    def append(self, record: Record) -> int:
        if self.broken:
            raise Stop("EVT-002", "no space left")
        self.records.append(record)
        return len(self.records)

    async def commit(self) -> None:
        self.durable = len(self.records)


async def test_it_is_durable_when_it_is_kept() -> None:
    log = Log()
    keeper = JournalKeeper(log, lambda: 7)
    await keeper.keep(tx(0))
    await keeper.keep(tx(1))
    await keeper.drop(tx(1))
    keeper.close(0)
    assert log.records == [
        Signed(transaction=tx(0)),
        Signed(transaction=tx(1)),
        NonceClosed(at=7, nonce=1, hash="h1"),
        NonceClosed(at=7, nonce=0),
    ]
    assert log.durable == 3 and keeper.kept() == ()  # what is final is found final again


async def test_what_cannot_be_kept_is_not_kept() -> None:
    log = Log()
    log.broken = True
    keeper = JournalKeeper(log, lambda: 7)
    with pytest.raises(Stop):
        await keeper.keep(tx(0))
    assert keeper.kept() == ()


def test_a_journal_brings_back_what_is_not_final() -> None:
    records = [Signed(transaction=tx(0)), Signed(transaction=tx(1)), Signed(transaction=tx(1, "bump"))]
    found = recover([*records, NonceClosed(at=9, nonce=0)], RUN, "s")
    assert list(found.signed) == ["h1", "bump"]
    found = recover([*records, NonceClosed(at=9, nonce=1, hash="bump")], RUN, "s")
    assert list(found.signed) == ["h0", "h1"]


def test_a_snapshot_carries_what_is_not_final_and_one_of_before_has_none() -> None:
    snapshot = Snapshot(
        at=1, last_tick=None, previous=b"", late={}, commands=(), cursors={}, booked=(), signed=(tx(4),)
    )
    assert list(recover([snapshot], RUN, "s").signed) == ["h4"]
    assert decode(encode({"type": "snapshot"} | _without_signed()), Snapshot).signed == ()


def _without_signed() -> dict[str, object]:
    return {"at": 1, "last_tick": None, "previous": b"", "late": {}, "commands": [], "cursors": {}, "booked": []}


def test_a_nonce_is_closed_whole_or_by_hash() -> None:
    kept = {each.hash: each for each in (tx(0), tx(1), tx(1, "bump"))}
    assert list(kept_after(kept, 1)) == ["h0"]
    assert list(kept_after(kept, 1, "bump")) == ["h0", "h1"]


def swap(id: str) -> OrderGroup:
    return group(order(id, Verb.SWAP, 1.0, venue="uniswap", token="ETH", into_token="USDT"))


def test_nothing_is_broadcast_that_is_not_durable() -> None:
    desk, log = Desk(mode="usdt_market_neutral"), Log()
    seen: list[tuple[int, int]] = []
    broadcast = desk.account.chain.broadcast

    def watched(transaction: Transaction, at: int) -> None:
        seen.append((log.durable, sum(isinstance(record, Signed) for record in log.records)))
        broadcast(transaction, at)

    desk.account.chain.broadcast = watched  # type: ignore[method-assign]
    bind(desk.doors.values(), log, desk.clock.now)

    played(lambda: desk.chain.submit(swap("s1")))

    assert seen and seen[0] == (1, 1)


def test_a_journal_that_takes_nothing_lets_nothing_out() -> None:
    desk, log = Desk(mode="usdt_market_neutral"), Log()
    log.broken = True
    bind(desk.doors.values(), log, desk.clock.now)

    async def play() -> None:
        with pytest.raises(Stop):
            await desk.chain.submit(swap("s1"))

    played(play)
    assert desk.account.chain.pool == [] and desk.account.chain.included == []


def test_what_did_not_leave_gives_its_nonce_back() -> None:
    desk, log = Desk(mode="usdt_market_neutral"), Log()
    bind(desk.doors.values(), log, desk.clock.now)
    desk.faulty("connect_refused", venue="chain", endpoint="submit", times=1)

    async def play() -> None:
        with pytest.raises(NotSent):
            await desk.chain.submit(swap("s1"))
        assert kept_by(desk.doors.values()) == ()
        await desk.chain.submit(swap("s2"))

    played(play)
    assert [each.nonce for each in kept_by(desk.doors.values())] == [0] and desk.account.chain.nonce == 1


def test_after_a_crash_between_keeping_and_sending_it_is_sent_by_whoever_asks() -> None:
    desk, log = Desk(mode="usdt_market_neutral"), Log()
    bind(desk.doors.values(), log, desk.clock.now)
    chain = desk.chain
    assert isinstance(chain, KeepsTransactions)

    async def play() -> None:
        kept = await chain._sign(swap("s1"))  # type: ignore[attr-defined]
        fresh = Desk(mode="usdt_market_neutral")
        bind(fresh.doors.values(), Log(), fresh.clock.now, [kept])
        assert (await fresh.chain.query(sent("s1"))).status == "open"
        assert [each.hash for each in fresh.account.chain.pool] == [kept.hash]

    played(play)


def signing(desk: Desk, id: str) -> Transaction:
    """Signed and kept; no node has seen it."""
    return played(lambda: desk.chain._sign(swap(id)))  # type: ignore[attr-defined, no-any-return]


def test_what_nobody_has_any_more_is_broadcast_before_what_waits_behind_it() -> None:
    desk = Desk(mode="usdt_market_neutral")
    bind(desk.doors.values(), Log(), desk.clock.now)
    signing(desk, "s1")

    async def play() -> None:
        (trade,) = await desk.chain.submit(swap("s2"))
        assert trade.status == "filled"

    played(play)
    assert desk.account.chain.nonce == 2
    assert desk.account.registry.find("chain", "s1") is not None


def test_what_is_signed_and_not_mined_rests_whether_a_node_has_it_or_not() -> None:
    desk = Desk(mode="usdt_market_neutral")
    bind(desk.doors.values(), Log(), desk.clock.now)
    kept = signing(desk, "s1")
    desk.faulty("tx_dropped", venue="chain", endpoint="submit", times=1)

    async def play() -> None:
        assert [each.order_id for each in await desk.chain.open_orders()] == ["s1"]
        assert desk.account.chain.pool == []
        assert [each.order_id for each in await desk.chain.open_orders()] == ["s1"]
        assert [each.hash for each in desk.account.chain.pool] == [kept.hash], "and whoever looks broadcasts it again"

    played(play)


def test_who_looks_broadcasts_nothing_that_is_just_found_not_to_have_left() -> None:
    desk = Desk(mode="usdt_market_neutral")
    bind(desk.doors.values(), Log(), desk.clock.now)
    desk.faulty("connect_refused", venue="chain", endpoint="submit", times=1)

    async def submit() -> None:
        with pytest.raises(NotSent):
            await desk.chain.submit(swap("s1"))

    async def play() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(submit)
            for _ in range(40):
                nursery.start_soon(desk.chain.open_orders)
                await trio.sleep(0.005)

    played(play)
    assert desk.account.chain.pool == [] and kept_by(desk.doors.values()) == ()


def test_of_two_orders_with_one_nonce_the_one_that_came_too_late_is_told_so() -> None:
    desk = Desk(mode="usdt_market_neutral")
    first = signing(desk, "s1")
    bind(desk.doors.values(), Log(), desk.clock.now)
    desk.chain.bind(JournalKeeper(Log(), desk.clock.now))  # type: ignore[attr-defined]
    played(lambda: desk.chain.submit(swap("s2")))
    bind(desk.doors.values(), Log(), desk.clock.now, [first])
    assert [each.nonce for each in kept_by(desk.doors.values())] == [0, 0]

    report = played(lambda: desk.chain.query(sent("s1")))

    assert report.status == "done" and report.trade is not None and report.trade.status == "rejected"
