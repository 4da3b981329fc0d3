"""Position Monitor: expected from trades and settlements, observed from reports, and uncertain orders."""

from __future__ import annotations

import msgspec
import pytest

from components.model.events import EventType
from components.model.market import Market
from components.model.orders import InFlight, Verb
from components.position_monitor import PositionMonitor, PositionState
from daemon.journal.codec import decode, encode
from tests.builders import START, cash, deposit, happening, key, keyed, late, market, order, settled, trade

USDT, BTC, WALLET = key("okx:BaseToken:USDT"), key("okx:BaseToken:BTC"), key("wallet:BaseToken:USDT")
SHORT = order(Verb.PERP, "okx", "BTC", -1.0)
FLIGHT = InFlight(id="t1", token="USDT", amount=99.0, source=USDT, target=WALLET, arrives_at=START)


@pytest.fixture
def monitor() -> PositionMonitor:
    monitor = PositionMonitor()
    monitor.place(keyed({USDT: 100.0, BTC: 1.0}))
    return monitor


@pytest.fixture
def four() -> Market:
    return market({"binance.spot.BTC": 60_000.0}, rows=4)


def test_a_projection_changes_nothing(monitor: PositionMonitor, four: Market) -> None:
    before = monitor.state()
    monitor.project(four.window(0, 4), settled(4, deposit(50.0), flows=(cash(USDT, [1], [5.0]),)))
    assert monitor.state() == before


def test_what_was_held_and_what_is_held_differ_by_the_happenings_of_the_first_row(
    monitor: PositionMonitor, four: Market
) -> None:
    book = monitor.project(four.window(0, 4), settled(1, deposit(50.0)))
    assert WALLET not in book.held
    assert book.quantities[WALLET] == 50.0
    assert book.native(WALLET) == 50.0
    assert book.native(key("nowhere:BaseToken:USDT")) == 0.0


def test_cash_flows_accumulate_from_the_balance_held(monitor: PositionMonitor, four: Market) -> None:
    funding = cash(USDT, [0, 2, 2], [1.0, 2.0, 3.0])
    interest = cash(USDT, [2], [-0.5], part="borrow_costs")
    book = monitor.project(four.window(0, 4), settled(4, flows=(funding, interest)))
    assert book.native(USDT).tolist() == [101.0, 101.0, 105.5, 105.5]  # type: ignore[union-attr]
    assert [book.at(USDT, row) for row in (0, 3)] == [101.0, 105.5]
    assert book.at(BTC, 3) == 1.0


def test_only_the_rows_that_happened_are_booked(monitor: PositionMonitor, four: Market) -> None:
    settlements = settled(4, deposit(50.0), flows=(cash(USDT, [0, 2], [1.0, 2.0]),))
    book = monitor.project(four.window(0, 4), settlements)
    monitor.happened(book, settlements, 2)
    assert monitor.snapshot() == {BTC: 1.0, USDT: 101.0, WALLET: 50.0}


def test_trades_are_expected_at_once(monitor: PositionMonitor) -> None:
    monitor.expect([trade(SHORT, {"okx:Perp:BTCUSDT": -1.0, USDT: -3.0}), trade(SHORT, {USDT: -2.0})])
    assert monitor.expected.of(USDT) == 95.0
    assert monitor.expected.of(key("okx:Perp:BTCUSDT")) == -1.0


def test_a_transfer_travels_until_it_arrives(monitor: PositionMonitor, four: Market) -> None:
    transit = "transit:BaseToken:USDT"
    send = order(Verb.TRANSFER, "okx", "USDT", 100.0)
    monitor.expect([trade(send, {USDT: -100.0, transit: 99.0}, in_flight=FLIGHT)])
    assert monitor.travelling("USDT") == 99.0
    assert monitor.statistics() == {"positions": 3, "in_flight": 1, "uncertain": 0, "unfinal": 0}

    arrived = happening(EventType.TRANSFER_ARRIVED, {transit: -99.0, WALLET: 99.0}, arrived=FLIGHT)
    monitor.happened(monitor.project(four.window(0, 1), settled(1, arrived)), settled(1, arrived), 1)
    assert monitor.in_flight == {}
    assert monitor.snapshot() == {BTC: 1.0, WALLET: 99.0}


def test_an_uncertain_order_is_named_by_the_book_and_not_counted(monitor: PositionMonitor, four: Market) -> None:
    monitor.keep_uncertain(SHORT)
    book = monitor.project(four.window(0, 4), settled(4))
    assert book.uncertain == (SHORT,)
    assert book.quantities == {BTC: 1.0, USDT: 100.0}


def test_a_doubt_ends_on_the_row_on_which_it_is_resolved(monitor: PositionMonitor, four: Market) -> None:
    monitor.keep_uncertain(SHORT)
    settlements = settled(1, late(SHORT, {"okx:Perp:BTCUSDT": -1.0}))
    book = monitor.project(four.window(0, 1), settlements)
    assert book.uncertain == ()
    assert monitor.uncertain == {SHORT.id: SHORT}  # a preview

    monitor.happened(book, settlements, 1)
    assert monitor.uncertain == {}
    assert monitor.expected.of(key("okx:Perp:BTCUSDT")) == -1.0


def test_an_order_that_turns_out_not_done_ends_the_doubt_and_changes_nothing(
    monitor: PositionMonitor, four: Market
) -> None:
    monitor.keep_uncertain(SHORT)
    settlements = settled(1, late(SHORT, {}))
    monitor.happened(monitor.project(four.window(0, 1), settlements), settlements, 1)
    assert monitor.uncertain == {}
    assert monitor.snapshot() == {BTC: 1.0, USDT: 100.0}


def test_a_doubt_may_come_from_an_earlier_run(monitor: PositionMonitor, four: Market) -> None:
    settlements = settled(1, happening(EventType.ORDER_UNKNOWN, unknown=SHORT))
    book = monitor.project(four.window(0, 1), settlements)
    assert book.uncertain == (SHORT,)
    monitor.happened(book, settlements, 1)
    assert monitor.uncertain == {SHORT.id: SHORT}


def test_a_late_transfer_is_on_its_way_from_now_on(monitor: PositionMonitor, four: Market) -> None:
    send = order(Verb.TRANSFER, "okx", "USDT", 100.0)
    monitor.keep_uncertain(send)
    settlements = settled(
        1, happening(EventType.ORDER_RESOLVED, {USDT: -100.0, "transit:BaseToken:USDT": 99.0}, part="late",
                     resolves=send.id, departed=FLIGHT),
    )  # fmt: skip
    monitor.happened(monitor.project(four.window(0, 1), settlements), settlements, 1)
    assert monitor.in_flight == {"t1": FLIGHT}
    assert monitor.uncertain == {}


def test_the_resolution_of_an_order_nobody_doubts_is_booked_all_the_same(
    monitor: PositionMonitor, four: Market
) -> None:
    settlements = settled(1, late(SHORT, {"okx:Perp:BTCUSDT": -1.0}))
    monitor.happened(monitor.project(four.window(0, 1), settlements), settlements, 1)
    assert monitor.expected.of(key("okx:Perp:BTCUSDT")) == -1.0


def test_what_was_observed_is_kept_beside_what_is_expected(monitor: PositionMonitor) -> None:
    monitor.observe(keyed({USDT: 90.0}))
    monitor.observe(keyed({BTC: 1.0}))
    assert monitor.observed == {USDT: 90.0, BTC: 1.0}
    assert monitor.expected.of(USDT) == 100.0


def test_a_restored_monitor_holds_the_same_and_shares_nothing(monitor: PositionMonitor) -> None:
    monitor.keep_uncertain(SHORT)
    monitor.observe(keyed({USDT: 90.0}))
    monitor.in_flight["t1"] = FLIGHT
    state = monitor.state()
    frozen = encode(state)

    other = PositionMonitor()
    other.restore(decode(frozen, PositionState))
    assert other.state() == state
    assert type(next(iter(other.expected))) is type(USDT)
    for each in (monitor, other):
        each.place(keyed({USDT: 1.0}))
        each.uncertain.clear()
        each.in_flight.clear()
        each.observe(keyed({USDT: 1.0}))
    assert encode(state) == frozen


def test_states_keep_the_names_they_had_on_disk(monitor: PositionMonitor) -> None:
    """Hashes of states and snapshots of before stay what they were."""
    monitor.keep_uncertain(SHORT)
    assert b"doubts" in msgspec.msgpack.encode(monitor.state(), enc_hook=str)
