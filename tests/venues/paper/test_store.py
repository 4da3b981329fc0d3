"""The ledger on disk: what was answered is there again, a torn end never happened, a break inside refuses."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from zlib import crc32

import pytest
from trio.testing import MockClock

from components.model.keys import PositionKey
from components.model.orders import Trade
from tests.venues.paper.stage import BTC, RICH, USDT, Desk, basis_market, basis_run, group, order, sent
from venues.interfaces import NotSent, OutcomeUnknown, ReportStatus, Unavailable
from venues.paper.account import PaperAccount
from venues.paper.codec import decode, encode
from venues.paper.door.doors import doors
from venues.paper.filling import Handling
from venues.paper.store import (
    FILE_MAGIC,
    HEAD,
    HEAD_BYTES,
    NAME,
    OLD_HEAD,
    LedgerBroken,
    LedgerFailed,
    PaperStore,
    open_account,
    read_ledger,
)
from venues.paper.truth import Change


def opened(folder: Path) -> PaperAccount:
    run = basis_run()
    return open_account(folder, run, basis_market(run), RICH)


def busy(folder: Path) -> PaperAccount:
    """An account with a bit of everything."""
    account = opened(folder)
    account.advance_to(2)
    account.submit("binance", group(), account.timestamp)
    account.submit(
        "binance", group(order("open")), account.timestamp, Handling(fraction=0.5, fills_at=account.timestamp * 2)
    )
    account.deposit("d1", 10.0, account.timestamp)
    account.foreign_transfer("f1", None, USDT, 5.0, account.timestamp)
    account.advance_to(20)
    account.submit("binance", group(), account.timestamp)
    return account


def test_an_account_is_opened_again_as_it_was(tmp_path: Path) -> None:
    account = busy(tmp_path)

    again = opened(tmp_path)

    assert encode(again.whole()) == encode(account.whole())
    assert encode(again.truth()) == encode(account.truth())
    assert [each.order_id for each in again.open_orders("binance")] == ["open"]
    assert again.settled("binance", 0) == account.settled("binance", 0)
    assert encode(opened(tmp_path).whole()) == encode(account.whole())


def test_what_was_done_before_is_not_done_after_opening(tmp_path: Path) -> None:
    busy(tmp_path)

    again = opened(tmp_path)
    (trade,) = again.submit("binance", group(), 5)

    assert trade == again.registry.orders["o1"].trade and again.registry.duplicates == {"o1": 2}
    assert again.balances[BTC] == 1.5


def test_quiet_rows_that_were_lost_are_lived_again_to_the_same_bytes(tmp_path: Path) -> None:
    account = busy(tmp_path)
    account.advance_to(50)

    again = opened(tmp_path)
    assert again.row < 50
    again.advance_to(50)

    assert encode(again.whole()) == encode(account.whole())


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_torn_end_has_not_happened(tmp_path: Path, cut: int) -> None:
    account = opened(tmp_path)
    account.submit("binance", group(order("kept")), 1)
    before = encode(account.whole())
    account.submit("binance", group(order("torn")), 2)
    path = tmp_path / NAME
    path.write_bytes(path.read_bytes()[:-cut])

    again = opened(tmp_path)

    assert encode(again.whole()) == before
    assert again.query("binance", "torn", 3).status is ReportStatus.ABSENT


def test_a_write_of_which_only_the_first_sectors_arrived_has_not_happened(tmp_path: Path) -> None:
    account = opened(tmp_path)
    account.submit("binance", group(order("kept")), 1)
    before, path = encode(account.whole()), tmp_path / NAME
    size = path.stat().st_size
    account.submit("binance", group(order("torn")), 2)
    whole = path.read_bytes()
    for arrived in range(-(-size // 512) * 512, len(whole) - 1, 512):
        path.write_bytes(whole[:arrived] + bytes(len(whole) - arrived))
        again = PaperAccount(basis_run(), basis_market(basis_run()), RICH)
        again.restore(read_ledger(path))
        assert encode(again.whole()) == before


@pytest.mark.parametrize("layout", ["today's", "old"])
def test_no_flipped_bit_drops_a_change(tmp_path: Path, layout: str) -> None:
    busy(tmp_path)
    path = tmp_path / NAME
    changes = read_ledger(path)
    if layout == "old":
        path.write_bytes(b"".join(old_frame(change) for change in changes))
    data = path.read_bytes()
    told = [encode(change) for change in changes]
    assert [encode(change) for change in read_ledger(path)] == told
    heads = [len(data) - len(rest) for rest in tails(data, layout)]
    watched = {at + i for at in heads[:3] + heads[-2:] for i in range(20)} | set(range(0, len(data), 331))
    silent = []
    for at in sorted(each for each in watched if each < len(data)):
        for bit in range(8):
            path.write_bytes(data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :])
            try:
                found = [encode(change) for change in read_ledger(path)]
            except LedgerBroken:
                continue
            if found != told:
                silent.append((at, bit, len(found)))
    assert layout == "old" or not silent
    # Of the last change, the old layout cannot tell damage from a write that was cut short.
    assert all(at >= heads[-1] and count == len(told) - 1 for at, _, count in silent)


def tails(data: bytes, layout: str) -> list[bytes]:
    """What the file holds from each change on."""
    found = []
    at = 0 if layout == "old" else len(FILE_MAGIC)
    while at < len(data):
        found.append(data[at:])
        if layout == "old":
            at += OLD_HEAD.size + OLD_HEAD.unpack_from(data, at)[0]
        else:
            at += HEAD_BYTES + HEAD.unpack_from(data, at)[1]
    return found


def old_frame(change: Change) -> bytes:
    payload = encode(change)
    return OLD_HEAD.pack(len(payload), crc32(payload)) + payload


def test_space_again_is_enough_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    account = opened(tmp_path)

    def full(file: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(LedgerFailed):
            account.submit("binance", group(), 1)
        with pytest.raises(LedgerFailed):
            account.advance_to(3)  # asked on every row
    account.advance_to(4)

    assert account.ledger is not None and not account.ledger.failed
    account.submit("binance", group(order("o2")), account.timestamp)
    assert encode(opened(tmp_path).whole()) == encode(account.whole())
    held = [
        os.readlink(f"/proc/self/fd/{each}")
        for each in os.listdir("/proc/self/fd")
        if os.path.exists(f"/proc/self/fd/{each}")
    ]
    assert sum(name == str(tmp_path / NAME) for name in held) <= 2, "the file that failed is closed"


def test_a_break_inside_refuses_and_leaves_the_file_alone(tmp_path: Path) -> None:
    busy(tmp_path)
    flip(tmp_path / NAME, len(FILE_MAGIC) + HEAD.size + 10)
    bytes_before = (tmp_path / NAME).read_bytes()

    with pytest.raises(LedgerBroken, match="SIM-002"):
        opened(tmp_path)

    assert (tmp_path / NAME).read_bytes() == bytes_before


def test_an_execution_is_on_disk_before_its_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    account = opened(tmp_path)
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", lambda file: synced.append(os.fstat(file).st_size))

    account.submit("binance", group(), 1)

    assert synced == [(tmp_path / NAME).stat().st_size]
    assert [record.order.id for record in read_ledger(tmp_path / NAME)[-1].orders] == ["o1"]


async def test_a_failing_disk_ends_the_account_until_it_is_written_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: MockClock,
) -> None:
    account = opened(tmp_path)
    desk = Desk()
    venue = doors(account, desk.clock)["binance"]

    def full(file: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    # trio itself writes no files here, so only the ledger meets the full disk
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OutcomeUnknown, match="No space left"):
            await venue.submit(group())
    with pytest.raises(NotSent):
        await venue.submit(group(order("o2")))
    with pytest.raises(Unavailable):
        await venue.query(sent("o1"))
    assert opened(tmp_path).registry.orders == {}, "nothing that was not written has happened for who comes next"
    account.advance_to(account.row + 1)
    assert list(opened(tmp_path).registry.orders) == ["o1"], "whose outcome was unknown"


def test_a_clean_stop_keeps_quiet_rows_too(tmp_path: Path) -> None:
    account = opened(tmp_path)
    account.advance_to(5)

    account.close()

    assert opened(tmp_path).row == 5


def test_a_store_that_was_closed_takes_nothing(tmp_path: Path) -> None:
    account = opened(tmp_path)
    store = account.ledger
    assert isinstance(store, PaperStore) and store.appended == 0

    store.close()

    with pytest.raises(LedgerFailed):
        store.append(account.whole(), durable=True)


def test_the_ledger_is_small_again_after_opening(tmp_path: Path) -> None:
    account = opened(tmp_path)
    for i in range(50):
        account.query("binance", "nothing", i)
        account.submit("binance", group(order("o1")), i)
    long = (tmp_path / NAME).stat().st_size

    opened(tmp_path)

    assert (tmp_path / NAME).stat().st_size < long / 2
    assert [each.name for each in tmp_path.iterdir()] == [NAME]


def test_keys_and_numbers_come_back_bit_for_bit() -> None:
    held = {PositionKey("binance:Perp:BTCUSDT"): 0.1 + 0.2, PositionKey("a:BaseToken:X"): float("inf")}

    back = decode(encode(held), dict[PositionKey, float])

    assert back == held and all(isinstance(key, PositionKey) for key in back)
    assert decode(encode(()), tuple[Trade, ...]) == ()


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.write_bytes(bytes(data))


def test_no_ledger_is_an_empty_one(tmp_path: Path) -> None:
    assert read_ledger(tmp_path / "none") == []
