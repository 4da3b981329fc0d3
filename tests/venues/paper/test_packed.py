"""What is kept small says what it said: any item, any slice, by any way of asking."""

from __future__ import annotations

import tracemalloc

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.model.keys import PositionKey, base_token
from components.model.orders import Trade, TradeStatus, Verb
from tests.venues.paper.stage import Desk, basis_market, basis_run, group, order
from venues.paper.account import PaperAccount
from venues.paper.packed import PackedList, PackedMap
from venues.paper.registry import OrderRecord
from venues.paper.store import open_account


class Item(msgspec.Struct, frozen=True):
    name: str
    amount: float
    changes: dict[PositionKey, float]


def item(i: int) -> Item:
    return Item(f"i{i}", i / 3.0, {base_token("okx", "BTC"): -i * 0.1})


def items(count: int) -> list[Item]:
    return [item(i) for i in range(count)]


@given(st.integers(0, 40), st.integers(-45, 45), st.integers(-45, 45), st.sampled_from([1, 2, 7, -1, -3]))
def test_a_list_reads_as_a_list_would(count: int, start: int, stop: int, step: int) -> None:
    packed, plain = PackedList(Item, items(count), block=4), items(count)
    assert packed[start:stop:step] == plain[start:stop:step]
    assert (len(packed), list(packed), packed == plain) == (count, plain, True)
    if -count <= start < count:
        assert packed[start] == plain[start]
    else:
        with pytest.raises(IndexError):
            packed[start]
    packed.append(item(99))
    assert packed[-1] == item(99)
    assert packed != plain


def test_a_map_keeps_its_order_and_what_is_still_open_as_it_is() -> None:
    still: dict[str, None] = {"i0": None}
    packed = PackedMap(Item, still, newest=2)
    for i in range(20):
        packed[f"i{i}"] = item(i)
    first = packed["i0"]
    assert packed["i0"] is first, "as it is"
    assert packed["i3"] is not packed["i3"], "unpacked anew"
    assert dict(packed) == {f"i{i}": item(i) for i in range(20)}
    packed["i3"] = item(33)
    still.clear()
    for i in range(20, 30):
        packed[f"i{i}"] = item(i)
    assert list(packed) == [f"i{i}" for i in range(30)]
    assert (packed["i0"], packed["i3"], packed.get("none")) == (item(0), item(33), None)
    assert packed["i0"] is not packed["i0"]
    for taken_back in ("i3", "i29"):
        del packed[taken_back]
        assert taken_back not in packed
    assert len(packed) == 28 and packed["i28"] == item(28)


def test_old_items_take_a_small_part_of_what_they_took() -> None:
    def taken(make: object) -> int:
        tracemalloc.start()
        made = make()  # type: ignore[operator]
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert made
        return size

    plain = taken(lambda: items(20_000))
    assert taken(lambda: PackedList(Item, items(20_000))) < plain / 8


async def test_an_old_id_is_answered_as_at_first_and_done_once(autojump_clock: object, tmp_path: object) -> None:
    """However many orders came after it, and after a restart: the first answer, and nothing is done again."""
    desk = Desk()
    first = await desk.binance.submit(group(order("o-first", Verb.SPOT, 0.01)))
    for i in range(900):
        await desk.binance.submit(group(order(f"o{i}", Verb.SPOT, 1e-3)))
    account = desk.account
    held = dict(account.balances)
    assert isinstance(account.registry.orders._items["o-first"], bytes), "it has been put away"
    assert await desk.binance.submit(group(order("o-first", Verb.SPOT, 0.01))) == first
    assert await desk.binance.submit(group(order("o700", Verb.SPOT, 1e-3)))
    assert account.balances == held
    assert account.registry.duplicates == {"o-first": 1, "o700": 1}
    assert account.registry.conflicts == {}
    assert len(account.registry.fills) == 901
    assert account.query("binance", "o-first", 5).trade == first[0]
    other = order("o-first", Verb.SPOT, 0.02)
    await desk.binance.submit(group(other))
    assert account.registry.conflicts == {"o-first": 1}, "asking for something else under an old id is noticed"
    assert account.balances == held


def test_a_restored_account_knows_its_old_orders(tmp_path: object) -> None:
    run = basis_run()
    market = basis_market(run)
    account = open_account(tmp_path, run, market, {base_token("binance", "USDT"): 1e6})  # type: ignore[arg-type]
    account.advance_to(0)
    for i in range(600):
        (trade,) = account.submit("binance", group(order(f"o{i}", Verb.SPOT, 1e-3)), account.timestamp)
        assert trade.status is TradeStatus.FILLED
    truth = account.truth()
    account.close()
    again = open_account(tmp_path, run, market, {})  # type: ignore[arg-type]
    assert again.truth() == truth
    held = dict(again.balances)
    assert again.submit("binance", group(order("o3", Verb.SPOT, 1e-3)), 9) == (truth.orders["o3"].trade,)
    assert dict(again.balances) == held


def test_records_and_trades_come_back_whole() -> None:
    run = basis_run()
    account = PaperAccount(run, basis_market(run), {base_token("binance", "USDT"): 1e6})
    account.advance_to(0)
    account.submit("binance", group(order("a", Verb.PERP, -0.5)), 1)
    record = account.registry.orders["a"]
    packed = PackedMap(OrderRecord, {}, newest=0)
    packed["a"] = record
    assert isinstance(packed._items["a"], bytes)
    assert packed["a"] == record
    fills = PackedList(Trade, [record.trade] * 3, block=1)  # type: ignore[list-item]
    assert list(fills) == [record.trade] * 3
