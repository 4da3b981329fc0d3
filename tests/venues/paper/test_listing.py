"""Lists of what venues did on their own."""

from __future__ import annotations

from components.model.events import EventType
from components.model.keys import base_token
from components.model.orders import Verb
from components.model.positions import Book
from components.ports import Flow, Settlements
from tests.venues.paper.stage import RICH, USDT, basis_market, basis_run, order
from venues.paper.listing import Listing, foreign_item, items_of
from venues.sim.world import SimWorld

BYBIT = base_token("bybit", "USDT")


def settled() -> tuple[SimWorld, Settlements]:
    """Two short perps over the first day, with a deposit on the first row."""
    run = basis_run()
    market = basis_market(run)
    world = SimWorld(run, market, (Flow(int(market.timestamps[0]), 10.0, "d"),))
    world.place(RICH)
    for venue in ("binance", "bybit"):
        world.execute_one(order(f"p-{venue}", Verb.PERP, -1.0, venue=venue))
    settlements = world.settle(market.window(0, 1), Book(world.balances))
    world.accept(market.window(0, 1), settlements, 1)
    return world, settlements


def test_items_come_row_by_row_with_ids_of_their_venue() -> None:
    world, first = settled()
    market = basis_market()
    window = market.window(1, 25)

    items = items_of(window, world.settle(window, Book(world.balances)), "BTC")

    assert [item.known_at for item in items] == sorted(item.known_at for item in items)
    assert [item.venue for item in items] == ["binance", "bybit"] * 3
    assert len({item.id for item in items}) == 6
    assert all(item.id == f"{item.venue}/funding/BTCUSDT/{item.at}" and item.cash for item in items)
    (deposit,) = items_of(market.window(0, 1), first, "BTC")
    assert deposit.id == "wallet/deposit/d" and not deposit.cash


def test_pages_follow_each_other() -> None:
    listing = Listing(("binance", "chain"))
    for i in range(5):
        listing.add("binance", item(i))

    first = listing.page("binance", 0, foreign=False, limit=2)
    rest = listing.page("binance", first.cursor, foreign=False)

    assert [each.id for each in (*first.items, *rest.items)] == [item(i).id for i in range(5)]
    assert rest.cursor == 5 and listing.page("binance", 5, foreign=False).items == ()
    assert listing.page("binance", 9, foreign=False).cursor == 9


def test_foreign_items_have_a_list_of_their_own() -> None:
    listing = Listing(("binance",))

    listing.add("binance", item(1), foreign=True)

    assert listing.page("binance", 0, foreign=False).items == ()
    assert listing.has("binance", item(1).id, foreign=True) and not listing.has("binance", item(1).id)


def test_what_came_since_brings_another_list_up_to_date() -> None:
    one, other = Listing(("binance", "chain")), Listing(("binance", "chain"))
    one.add("binance", item(1))
    for listed in one.since(()):
        other.take(listed)
    marks = one.marks()
    one.add("chain", item(2))
    one.add("binance", item(3), foreign=True)

    news = one.since(marks)
    for listed in news:
        other.take(listed)

    assert len(news) == 2 and other.since(()) == one.since(()) and other.marks() == one.marks()


def item(i: int):  # type: ignore[no-untyped-def]
    return foreign_item(str(i), EventType.TRANSFER_SENT, "binance", "USDT", -1.0, {USDT: -1.0}, i)
