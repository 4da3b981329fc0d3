"""The doors: what a client sees under each kind of fault, and what is true."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from components.model.keys import CHAIN_VENUES, TRANSIT
from components.model.orders import CostKind, Trade, TradeStatus, Verb
from tests.venues.paper.stage import BTC, GAS, RICH, USDT, Desk, group, order, played, sent
from venues.interfaces import NotSent, OutcomeUnknown, ReportStatus, Unavailable, VenueClient
from venues.paper.door.faults import KINDS
from venues.paper.door.passage import Profile

Ask = Callable[[VenueClient], Awaitable[object]]
QUESTIONS: dict[str, Ask] = {
    "query": lambda venue: venue.query(sent("o1")),
    "open_orders": lambda venue: venue.open_orders(),
    "positions": lambda venue: venue.positions(),
    "settled": lambda venue: venue.settled(0),
    "foreign": lambda venue: venue.foreign(0),
}
# what a submit sees, and whether the order exists
SUBMITS: list[tuple[str, dict[str, Any], type[Exception], bool]] = [
    ("connect_refused", {}, NotSent, False),
    ("dns_failure", {}, NotSent, False),
    ("tls_failure", {}, NotSent, False),
    ("reset_before_send", {}, NotSent, False),
    ("reset_after_send", {}, OutcomeUnknown, True),
    ("reset_after_send", {"arrives": "no"}, OutcomeUnknown, False),
    ("black_hole", {}, OutcomeUnknown, True),
    ("black_hole", {"arrives": "never"}, OutcomeUnknown, False),
    ("half_open", {}, OutcomeUnknown, False),
    ("truncated_json", {}, OutcomeUnknown, True),
    ("rate_limited", {}, NotSent, False),
    ("banned", {}, NotSent, False),
    ("error_before_accept", {}, NotSent, False),
    ("error_after_accept", {}, OutcomeUnknown, True),
    ("unknown_status", {}, OutcomeUnknown, True),
    ("unknown_status", {"arrives": "no"}, OutcomeUnknown, False),
    ("duplicate_id", {}, OutcomeUnknown, True),
    ("maintenance", {}, NotSent, False),
    ("key_revoked", {}, NotSent, False),
]
SILENT = [kind for kind, parameters, _, _ in SUBMITS if not parameters and kind != "duplicate_id"]
TESTED: set[str] = {kind for kind, *_ in SUBMITS} | {
    "latency", "late_ack", "fill_before_ack", "late_fill", "partial_fill", "lot_change", "symbol_paused",
    "revert", "gas_spike",
    # in the contract of a VenueClient, on the chain
    "tx_dropped", "tx_replaced", "reorg",
    # in test_answers
    "duplicate_frame", "reordered_frame", "dropped_frame", "mute_stream", "balance_lag", "open_orders_truncated",
    "wrong_position", "rpc_behind", "clock_skew",
}  # fmt: skip


def test_every_kind_of_fault_is_tested() -> None:
    assert set(KINDS) == TESTED


def test_a_healthy_door_does_what_it_is_asked() -> None:
    desk = Desk()

    async def play() -> tuple[Trade, ...]:
        trades = await desk.spot()()
        report = await desk.binance.query(sent("o1"))
        assert (report.status, report.trade) == (ReportStatus.DONE, trades[0])
        assert (await desk.binance.positions()).balances[BTC] == 1.0
        assert await desk.binance.open_orders() == ()
        assert (await desk.binance.cancel(sent("o1"))) == report
        assert (await desk.binance.query(sent("o2"))).status is ReportStatus.ABSENT
        return trades

    (trade,) = played(play)
    assert trade.status is TradeStatus.FILLED
    assert desk.plan.fired == {}
    assert desk.binance.statistics() == {"submit": 1, "query": 2, "positions": 1, "open_orders": 1, "cancel": 1}


@pytest.mark.parametrize(("kind", "parameters", "error", "exists"), SUBMITS)
async def test_a_submit_under_a_fault(
    kind: str, parameters: dict[str, Any], error: type[Exception], exists: bool, autojump_clock: MockClock
) -> None:
    desk = Desk()
    desk.faulty(kind, times=1, **parameters)
    with pytest.raises(error):
        await desk.spot()()
    report = await desk.binance.query(sent("o1"))
    assert report.status is (ReportStatus.DONE if exists else ReportStatus.ABSENT)
    (trade,) = await desk.spot()()
    assert trade.status is TradeStatus.FILLED
    assert desk.account.balances[BTC] == 1.0
    assert desk.account.registry.duplicates == ({"o1": 1} if exists else {})
    assert desk.plan.fired == {kind: 1}
    assert desk.plan.hit_in_flight == (error is OutcomeUnknown)


@pytest.mark.parametrize("endpoint", list(QUESTIONS))
@pytest.mark.parametrize("kind", SILENT)
async def test_a_question_under_a_fault_is_not_answered(kind: str, endpoint: str, autojump_clock: MockClock) -> None:
    desk = Desk()
    desk.faulty(kind)
    with pytest.raises(Unavailable):
        await QUESTIONS[endpoint](desk.binance)
    await QUESTIONS[endpoint](desk.doors["bybit"])
    assert desk.plan.fired == {kind: 1} and desk.plan.hit_in_flight == 0


async def test_a_refusal_says_when_to_ask_again(autojump_clock: MockClock) -> None:
    desk = Desk()
    desk.faulty("rate_limited", retry_after_s=7.0)
    with pytest.raises(NotSent) as sent:
        await desk.spot()()
    with pytest.raises(Unavailable) as asked:
        await desk.binance.positions()
    assert sent.value.retry_after_s == asked.value.retry_after_s == 7.0


async def test_a_door_takes_no_more_requests_than_its_budget(autojump_clock: MockClock) -> None:
    desk = Desk(profile=Profile(latency_s=0.001, requests_per_minute=3))
    for _ in range(3):
        await desk.binance.positions()
    with pytest.raises(NotSent) as refused:
        await desk.spot()()
    assert refused.value.retry_after_s is not None and 59.0 < refused.value.retry_after_s <= 60.0
    await trio.sleep(refused.value.retry_after_s)
    await desk.spot()()
    assert desk.binance.statistics()["submit refused"] == 1


def test_a_black_hole_swallows_until_it_ends() -> None:
    desk = Desk()
    desk.faulty("black_hole", duration_s=40.0)

    async def play() -> float:
        with pytest.raises(Unavailable):
            await desk.binance.positions()
        return trio.current_time()

    began, ended = played(lambda: _timed(play))
    assert ended - began == pytest.approx(40.0, abs=1.0)


async def test_a_late_request_arrives_when_the_hole_ends_and_is_never_absent_before(autojump_clock: MockClock) -> None:
    desk = Desk()
    desk.faulty("black_hole", duration_s=30.0, arrives="late", endpoint="submit")
    with trio.move_on_after(5.0) as patience:
        await desk.spot()()
    assert patience.cancelled_caught
    assert desk.account.registry.orders == {}
    with pytest.raises(Unavailable, match="on its way"):
        await desk.binance.query(sent("o1"))
    with pytest.raises(OutcomeUnknown, match="on its way"):
        await desk.binance.cancel(sent("o1"))
    await trio.sleep(30.0)
    assert (await desk.binance.query(sent("o1"))).status is ReportStatus.DONE
    assert desk.account.balances[BTC] == 1.0


async def test_a_caller_that_gives_up_does_not_take_the_request_back(autojump_clock: MockClock) -> None:
    desk = Desk()
    desk.faulty("latency", factor=200.0)
    with trio.move_on_after(0.5) as patience:
        await desk.spot()()
    assert patience.cancelled_caught
    assert desk.account.balances[BTC] == 1.0
    desk.plan.heal()
    (trade,) = await desk.spot()()
    assert trade.status is TradeStatus.FILLED
    assert desk.account.balances[BTC] == 1.0 and desk.account.registry.duplicates == {"o1": 1}


async def test_an_order_that_travels_is_not_absent(autojump_clock: MockClock) -> None:
    desk = Desk()
    desk.faulty("latency", factor=200.0, endpoint="submit")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.spot())
        await trio.sleep(0.5)
        with pytest.raises(Unavailable, match="on its way"):
            await desk.binance.query(sent("o1"))
    assert (await desk.binance.query(sent("o1"))).status is ReportStatus.DONE


async def test_a_caller_that_is_cancelled_before_the_first_byte_sends_nothing(autojump_clock: MockClock) -> None:
    desk = Desk()
    with trio.CancelScope() as scope:
        scope.cancel()
        await desk.spot()()
    assert desk.account.registry.messages == [] and desk.binance.statistics() == {}


def test_an_answer_may_come_long_after_the_fill() -> None:
    desk = Desk()
    desk.faulty("late_ack", delay_s=12.0)

    async def play() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(desk.spot())
            await trio.sleep(1.0)
            assert (await desk.binance.query(sent("o1"))).status is ReportStatus.DONE
            assert trio.current_time() < 5.0

    _, ended = played(lambda: _timed(play))
    assert ended > 12.0 and desk.plan.hit_in_flight == 1


async def test_an_answer_may_say_accepted_when_the_order_is_filled_already(autojump_clock: MockClock) -> None:
    desk = Desk()
    desk.faulty("fill_before_ack")
    (trade,) = await desk.spot()()
    assert trade.status is TradeStatus.UNKNOWN and trade.changes == {}
    report = await desk.binance.query(sent("o1"))
    assert report.status is ReportStatus.DONE and report.trade is not None
    assert report.trade.status is TradeStatus.FILLED


async def test_an_accepted_order_is_open_until_it_fills(autojump_clock: MockClock) -> None:
    desk = Desk()
    desk.faulty("late_fill", fraction=0.25, after_s=1800.0)
    (trade,) = await desk.spot()()
    report = await desk.binance.query(sent("o1"))
    assert trade.status is TradeStatus.UNKNOWN
    assert report.status is ReportStatus.OPEN and report.trade is not None
    assert report.trade.quantity == 0.25 and [each.order_id for each in await desk.binance.open_orders()] == ["o1"]
    desk.account.advance_to(1)
    report = await desk.binance.query(sent("o1"))
    assert report.status is ReportStatus.DONE and report.trade is not None
    assert report.trade.quantity == pytest.approx(1.0) and await desk.binance.open_orders() == ()
    assert desk.account.balances[BTC] == pytest.approx(1.0)


async def test_an_open_order_can_be_cancelled_and_keeps_what_was_done(autojump_clock: MockClock) -> None:
    desk = Desk()
    desk.faulty("late_fill", fraction=0.25, after_s=1800.0)
    await desk.spot()()
    report = await desk.binance.cancel(sent("o1"))
    assert report.status is ReportStatus.DONE and report.trade is not None
    assert (report.trade.status, report.trade.quantity) == (TradeStatus.PARTIAL, 0.25)
    desk.account.advance_to(5)
    assert desk.account.balances[BTC] == 0.25


def test_the_venue_may_fill_a_part_and_cancel_the_rest() -> None:
    desk = Desk()
    desk.faulty("partial_fill", fraction=0.5)

    (trade,) = played(desk.spot())

    assert (trade.status, trade.quantity) == (TradeStatus.PARTIAL, 0.5)
    assert desk.account.balances[BTC] == 0.5 and desk.account.open_orders("binance") == ()


@pytest.mark.parametrize(("kind", "amount", "why"), [("lot_change", 0.123, "lot"), ("symbol_paused", 1.0, "paused")])
def test_the_rules_of_a_symbol_may_change(kind: str, amount: float, why: str) -> None:
    desk = Desk()
    desk.faulty(kind)

    (trade,) = played(desk.spot(amount=amount))

    assert trade.status is TradeStatus.REJECTED and why in trade.reason
    assert desk.account.balances.get(BTC, 0.0) == 0.0 and desk.plan.fired == {kind: 1}


def test_a_larger_lot_takes_orders_that_fit() -> None:
    desk = Desk()
    desk.faulty("lot_change", factor=1.0)

    (trade,) = played(desk.spot(amount=1.0))

    assert trade.status is TradeStatus.FILLED and desk.plan.fired == {}


def swap(id: str = "s1") -> Any:
    return group(order(id, Verb.SWAP, 1.0, venue="uniswap", token="ETH", into_token="USDT"))


def test_a_reverted_transaction_pays_gas_and_nothing_else() -> None:
    desk = Desk(mode="usdt_market_neutral")
    desk.faulty("revert", venue="chain")

    (trade,) = played(lambda: desk.chain.submit(swap()))

    assert trade.status is TradeStatus.REJECTED and "reverted" in trade.reason
    assert list(trade.changes) == [GAS]
    assert desk.account.balances[GAS] == RICH[GAS] + trade.changes[GAS] < RICH[GAS]
    assert {key: amount for key, amount in desk.account.balances.items() if key != GAS} == {
        key: amount for key, amount in RICH.items() if key != GAS
    }


def test_gas_may_cost_a_multiple() -> None:
    plain, dear = Desk(mode="usdt_market_neutral"), Desk(mode="usdt_market_neutral")
    dear.faulty("gas_spike", venue="chain", factor=20.0)

    (one,) = played(lambda: plain.chain.submit(swap()))
    (other,) = played(lambda: dear.chain.submit(swap()))

    assert other.changes[GAS] == pytest.approx(20.0 * one.changes[GAS])
    assert _gas(other) == pytest.approx(20.0 * _gas(one))
    assert dear.account.balances[GAS] == pytest.approx(RICH[GAS] + other.changes[GAS])


def test_a_transfer_is_sent_at_its_source() -> None:
    desk = Desk()
    target = next(key for key in RICH if key.venue == "bybit")
    move = order("t1", Verb.TRANSFER, 1_000.0, token="USDT", source=USDT, target=target)

    (trade,) = played(lambda: desk.binance.submit(group(move)))

    assert trade.in_flight is not None and desk.account.registry.orders["t1"].door == "binance"


def test_the_chain_answers_for_all_its_protocols() -> None:
    desk = Desk()

    assert desk.chain.venues == {*CHAIN_VENUES, TRANSIT} and desk.binance.venues == {"binance"}
    assert list(desk.doors) == ["binance", "bybit", "okx", "chain"]


def test_the_same_seed_takes_the_same_time() -> None:
    def once() -> float:
        desk = Desk()

        async def play() -> float:
            for i in range(5):
                await desk.spot(f"o{i}")()
            return trio.current_time()

        return _timed_of(play)

    assert once() == once() > 0.0


def _gas(trade: Trade) -> float:
    return sum(cost.amount for cost in trade.costs if cost.kind is CostKind.GAS)


async def _timed(play: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    began = trio.current_time()
    await play()
    return began, trio.current_time()


def _timed_of(play: Callable[[], Awaitable[object]]) -> float:
    began, ended = played(lambda: _timed(play))
    return round(ended - began, 9)
