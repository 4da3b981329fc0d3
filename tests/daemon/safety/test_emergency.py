"""Closing an account by its own path: resting orders first, reduce-only, and flat only when it was read twice."""

from __future__ import annotations

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from components.model.errors import Stop
from components.model.keys import base_token, perp, perp_quote
from components.model.orders import OrderGroup, Trade, TradeStatus, Verb, reduces_risk
from components.model.slices import PriceCaps
from daemon.journal.best_effort import BestEffortLog
from daemon.journal.errors import ReserveSpent
from daemon.journal.records import Intent, Outcome, Record
from daemon.orders.dispatch import Dispatch, Line, by_venue
from daemon.orders.gate import Gate
from daemon.orders.patience import Patience
from daemon.safety.doors import Doors, Reading
from daemon.safety.emergency import Bounds, Emergency
from daemon.world.rows import EmbeddedMarket
from tests.daemon.fakes import HandVenue, Log, Quiet
from tests.venues.paper.stage import Desk, basis_market, group, order
from venues.interfaces import OrderReport, OutcomeUnknown, Unavailable
from venues.paper.door.passage import Profile

PATIENCE = Patience(order_grace_s=2.0, unknown_budget_s=3.0, legs_s=4.0)
GRACE_S = PATIENCE.order_grace_s + PATIENCE.unknown_budget_s
ETHER = base_token("wallet", "ETH")
BTC, SHORT, QUOTE = base_token("binance", "BTC"), perp("binance", "BTC"), perp_quote("binance", "BTC")


class Account:
    """An account with a hedge on it, and the program that closes it."""

    def __init__(self) -> None:
        self.desk = Desk(profile=Profile(latency_s=0.05, spread=0.0, requests_per_minute=1_000_000))
        self.desk.account.world.adjust({ETHER: -100.0})  # coins that this strategy has no use for are no flat account
        self.log = Log()
        self.row = EmbeddedMarket(basis_market(self.desk.account.run), {}).row(0, 0)
        self.program = self.fresh()

    def fresh(self, attempts: int = 40, log: Log | BestEffortLog | None = None) -> Emergency:
        desk, kept = self.desk, log or self.log
        clients = tuple(desk.doors.values())
        line = Line(strategy="btc", clients=by_venue(clients), clock=desk.clock, patience=PATIENCE, telemetry=Quiet())
        bounds = Bounds(attempts=attempts)
        self.program = Emergency(desk.account.run, clients, Dispatch(line, kept, Gate()), kept, bounds)
        return self.program

    async def hedge(self) -> None:
        await self.desk.binance.submit(group(order("long", Verb.SPOT, 2.0)))
        await self.desk.binance.submit(group(order("short", Verb.PERP, -2.0)))

    async def flatten(self, latch: str = "latch") -> bool:
        return await self.program.flatten(latch)

    @property
    def held(self) -> dict[str, float]:
        """Coins that are left anywhere."""
        balances = self.desk.account.balances
        return {str(key): balances[key] for key in (BTC, SHORT, QUOTE) if balances.get(key)}

    @property
    def fills(self) -> list[Trade]:
        return [trade for trade in self.desk.account.registry.fills if trade.order_id not in ("long", "short", "rest")]

    @property
    def groups(self) -> list[OrderGroup]:
        return [record.group for record in self.log.records if isinstance(record, Intent)]


@pytest.fixture
async def account() -> Account:
    """A hedged account."""
    account = Account()
    await account.hedge()
    return account


async def test_everything_is_sold_by_orders_that_can_only_reduce(account: Account, autojump_clock: MockClock) -> None:
    assert await account.flatten()
    assert account.held == {}
    assert sorted(trade.quantity for trade in account.fills) == [-2.0, 2.0]
    assert all(reduces_risk(each, closing.action) for closing in account.groups for each in closing.orders)
    assert account.program.progress.left == ()


async def test_every_order_is_in_the_journal_before_it_leaves_and_its_outcome_after(
    account: Account,
    autojump_clock: MockClock,
) -> None:
    await account.flatten()
    intent, *outcomes = account.log.records
    assert isinstance(intent, Intent) and intent.origin == "emergency"
    assert [(each.origin, each.state) for each in outcomes if isinstance(each, Outcome)] == [
        ("emergency", "filled")
    ] * 2
    assert account.log.durable == 3


async def test_an_empty_account_is_flat_only_after_a_second_look_later_than_any_order_may_arrive(
    autojump_clock: MockClock,
) -> None:
    account = Account()
    began = trio.current_time()
    assert await account.flatten()
    assert trio.current_time() - began >= GRACE_S
    assert account.groups == [] and account.program.progress.attempts == 2


async def test_what_fills_after_the_first_look_is_closed_as_well(account: Account, autojump_clock: MockClock) -> None:
    async def straggler() -> None:
        while account.held:
            await trio.sleep(0.1)
        await trio.sleep(GRACE_S - 1.0)
        account.desk.account.world.adjust({SHORT: -0.5, QUOTE: 20_000.0})

    async with trio.open_nursery() as nursery:
        nursery.start_soon(straggler)
        assert await account.flatten()
    assert account.held == {}
    assert sorted(trade.quantity for trade in account.fills) == [-2.0, 0.5, 2.0]


async def test_resting_orders_are_taken_back_before_anything_is_sold(
    account: Account,
    autojump_clock: MockClock,
) -> None:
    desk = account.desk
    desk.faulty("late_fill", endpoint="submit", times=1.0, after_s=30.0)
    (accepted,) = await desk.binance.submit(group(order("rest", Verb.SPOT, 1.0)))
    assert accepted.status is TradeStatus.UNKNOWN
    assert await account.flatten()
    asked = [message.endpoint for message in desk.account.registry.messages if message.order_ids == ("rest",)]
    assert asked == ["submit", "cancel"]
    assert desk.account.registry.messages[-1].endpoint == "submit", "the cancel came first"
    desk.account.advance_to(2)
    assert account.held == {}, "and it does not fill an hour later"


async def test_orders_of_somebody_else_are_taken_back_too(account: Account, autojump_clock: MockClock) -> None:
    account.desk.faulty("late_fill", endpoint="submit", times=1.0)
    await account.desk.binance.submit(group(order("rest", Verb.PERP, -1.0)))
    assert await account.flatten()
    assert account.desk.account.open_orders("binance") == ()


async def test_a_venue_that_is_down_for_a_while_is_asked_until_it_answers(
    account: Account,
    autojump_clock: MockClock,
) -> None:
    account.desk.faulty("connect_refused", duration_s=25.0)
    assert await account.flatten()
    assert 25.0 <= trio.current_time() < 40.0
    assert account.held == {}
    assert account.program.progress.attempts > 3


async def test_one_venue_that_does_not_say_what_it_holds_is_no_empty_venue(
    account: Account,
    autojump_clock: MockClock,
) -> None:
    account.desk.faulty("connect_refused", venue="okx", duration_s=10_000.0, endpoint="positions")
    account.fresh(attempts=5)
    assert not await account.flatten()
    assert "okx does not say what it holds" in account.program.progress.error


async def test_pairs_elsewhere_are_closed_while_one_venue_says_nothing(
    account: Account,
    autojump_clock: MockClock,
) -> None:
    account.desk.faulty("connect_refused", venue="okx", duration_s=10_000.0)
    account.fresh(attempts=8)
    assert not await account.flatten(), "nobody knows what okx holds"
    assert account.held == {}, "the pair at binance is gone"
    assert account.fills[0].at == account.fills[-1].at
    assert account.program.progress.left == ("silent okx (connection refused)",)


async def test_a_stretch_without_answers_between_two_flat_looks_starts_the_count_anew(
    autojump_clock: MockClock,
) -> None:
    account = Account()
    account.desk.faulty("maintenance", venue="bybit", duration_s=8.0, endpoint="positions")
    assert await account.flatten()
    assert trio.current_time() >= 8.0 + GRACE_S


@pytest.mark.parametrize("kind", ["reset_after_send", "error_after_accept", "truncated_json", "duplicate_id"])
async def test_a_lost_answer_never_sells_twice(kind: str, account: Account, autojump_clock: MockClock) -> None:
    account.desk.faulty(kind, endpoint="submit", times=2.0)
    assert await account.flatten()
    assert account.held == {}
    assert sorted(trade.quantity for trade in account.fills) == [-2.0, 2.0]
    assert account.desk.account.registry.conflicts == {}


async def test_what_is_filled_in_part_is_closed_in_a_further_attempt(
    account: Account,
    autojump_clock: MockClock,
) -> None:
    account.desk.faulty("partial_fill", endpoint="submit", times=2.0, fraction=0.25)
    assert await account.flatten()
    assert account.held == {}
    assert sorted(trade.quantity for trade in account.fills) == [-1.5, -0.5, 0.5, 1.5]


async def test_a_venue_that_rejects_everything_uses_up_the_attempts_and_says_why(
    account: Account,
    autojump_clock: MockClock,
) -> None:
    account.desk.faulty("symbol_paused", duration_s=10_000.0)
    account.fresh(attempts=4)
    assert not await account.flatten()
    assert account.program.progress.error == "trading in BTC is paused"
    assert account.program.progress.left != ()


async def test_the_same_latch_and_attempt_give_the_same_ids_and_another_latch_others(
    account: Account,
    autojump_clock: MockClock,
) -> None:
    account.desk.faulty("balance_lag", duration_s=10_000.0, lag_s=8.0)
    await trio.sleep(10.0)
    ids: list[list[str]] = []
    for latch in ("one", "one", "two"):
        before = len(account.groups)
        account.fresh(attempts=1)
        await account.flatten(latch)
        ids.append([each.id for closing in account.groups[before:] for each in closing.orders])
    first, again, other = ids
    assert first[:2] == again[:2], "the venue knew them"
    assert not set(first) & set(other)
    assert account.desk.account.registry.conflicts == {}
    assert sorted(trade.quantity for trade in account.fills) == [-2.0, 2.0]


class Reserve:
    """A journal that takes emergency records for a while."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.kept: list[Record] = []

    async def record_emergency(self, *records: Record) -> None:
        await trio.lowlevel.checkpoint()
        if self.room < len(records):
            raise ReserveSpent("btc", "no space left")
        self.room -= len(records)
        self.kept += records


async def test_a_journal_that_takes_nothing_does_not_stop_the_closing_and_everything_is_shouted(
    account: Account,
    autojump_clock: MockClock,
) -> None:
    shouted: list[str] = []
    reserve = Reserve(room=1)
    account.fresh(log=BestEffortLog(lambda: reserve, shouted.append))
    assert await account.flatten()
    assert account.held == {}
    assert [type(each) for each in reserve.kept] == [Intent], "as long as there is room, it is used"
    assert len(shouted) == 2
    assert all("not journaled" in text and "Outcome" in text for text in shouted)


async def test_a_journal_that_stops_in_the_middle_does_not_raise_out_of_the_closing(
    account: Account,
    autojump_clock: MockClock,
) -> None:
    class Broken(Reserve):
        async def record_emergency(self, *records: Record) -> None:
            await trio.lowlevel.checkpoint()
            raise Stop("EVT-002")

    broken = Broken(0)
    account.fresh(log=BestEffortLog(lambda: broken, lambda text: None))
    assert await account.flatten()


# Price limits


def caps(account: Account, *steps: float) -> Emergency:
    """A program whose limits are these, basis points; spot costs 1 bp and more, perps half of that."""
    run = account.desk.account.run
    mode = replace(run.mode, price_caps=PriceCaps(order=500.0, emergency=steps))
    account.desk.account.run = replace(run, mode=mode)
    return account.fresh()


def limits(account: Account, leg: str) -> list[float | None]:
    """Of the orders of a leg, basis points from the quote, as the journal has them."""
    quotes = account.desk.account.marks("binance")
    found = []
    for each in (each for closing in account.groups for each in closing.orders if each.leg == leg):
        quote = quotes[f"binance.{each.verb.value}.BTC"]
        found.append(None if each.limit_price is None else round(abs(each.limit_price / quote - 1.0) * 1e4, 6))
    return found


async def test_limits_come_from_the_quote_of_the_door_and_widen_with_every_try(
    account: Account, autojump_clock: MockClock
) -> None:
    caps(account, 0.1, 0.8, 60.0)
    assert await account.flatten()
    assert account.held == {}
    assert limits(account, "binance_perp")[:2] == limits(account, "binance_spot")[:2] == [0.1, 0.8]
    quotes = account.desk.account.marks("binance")
    for trade in account.fills:
        quote = quotes[f"binance.{trade.verb.value}.BTC"]
        assert trade.price is not None and abs(trade.price / quote - 1.0) * 1e4 <= 60.0


async def test_after_the_widest_limit_it_is_a_market_order_that_only_reduces(
    account: Account, autojump_clock: MockClock
) -> None:
    caps(account, 0.1, 0.2)
    assert await account.flatten()
    assert account.held == {}
    assert limits(account, "binance_spot") == [0.1, 0.2, None]
    assert limits(account, "binance_perp") == [0.1, 0.2, None]
    last = account.groups[-1]
    assert all(reduces_risk(each, last.action) for each in last.orders)


async def test_a_price_that_nobody_says_is_no_limit_and_stops_nothing(
    account: Account, autojump_clock: MockClock
) -> None:
    caps(account, 0.1)
    account.desk.faulty("connect_refused", duration_s=1e6, endpoint="marks")
    assert await account.flatten()
    assert account.held == {}
    assert limits(account, "binance_spot") == [None]


async def test_a_try_that_follows_goes_on_with_the_limit_it_had_come_to(
    account: Account, autojump_clock: MockClock
) -> None:
    before = caps(account, 0.1, 0.2, 60.0)
    before._bounds = Bounds(attempts=1)
    assert not await account.flatten()
    account.fresh().carry_on(before)
    assert await account.flatten("again")
    assert limits(account, "binance_spot")[:2] == [0.1, 0.2]


async def test_what_an_order_did_is_known_though_its_answer_was_lost_and_its_door_fell_silent(
    account: Account, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sold is sold: what is learned only by asking after the order is booked where the door tells nothing since."""
    binance, sent = account.desk.binance, trio.Event()
    submit, query = binance.submit, binance.query

    async def done_without_an_answer(group: OrderGroup) -> tuple[Trade, ...]:
        await submit(group)
        sent.set()
        raise OutcomeUnknown("no answer")

    async def after_a_while(order_id: str) -> OrderReport:
        if trio.current_time() < 20.0:
            raise Unavailable("not now")
        return await query(order_id)

    looks = binance.positions

    async def silent_from_then_on() -> object:
        if sent.is_set():
            raise Unavailable("too many requests")
        return await looks()

    monkeypatch.setattr(binance, "submit", done_without_an_answer)
    monkeypatch.setattr(binance, "query", after_a_while)
    monkeypatch.setattr(binance, "positions", silent_from_then_on)
    account.program = account.fresh(attempts=30)
    assert not await account.flatten(), "a venue that says nothing is no flat venue"
    assert trio.current_time() > 20.0
    sold = {key for trade in account.fills for key in trade.changes}
    assert sold
    for key in sold - {base_token("binance", "USDT")}:
        assert account.program.observed[key] == pytest.approx(account.desk.account.balances[key]), key
    assert account.program.uncertain == {}


def test_an_order_is_booked_once_whoever_learns_of_it_first() -> None:
    """A door that has told since the order left knows of it already."""
    doors = Doors([HandVenue("okx"), HandVenue("binance")], 1.0)
    doors.remember("okx", {perp("okx", "BTC"): -2.0})
    doors.remember("binance", {BTC: 2.0})
    sent = dict(doors.told)
    doors.told["okx"] += 1
    reading = Reading(positions={perp("okx", "BTC"): -2.0, BTC: 2.0})
    doors.booked({perp("okx", "BTC"): 2.0, BTC: -2.0}, sent=sent, reading=reading)
    assert reading.positions == {perp("okx", "BTC"): -2.0, BTC: 0.0}
    again = Doors([HandVenue("okx"), HandVenue("binance")], 1.0)
    again.inherit(doors)
    again.booked({perp("okx", "BTC"): 2.0}, sent=sent, reading=reading)
    assert reading.positions[perp("okx", "BTC")] == -2.0, "the next try knows who has told"


async def test_what_is_held_is_told_before_a_slow_door_has_answered(
    account: Account, autojump_clock: MockClock
) -> None:
    account.desk.faulty("black_hole", duration_s=1e6, endpoint="submit", times=1.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(account.flatten)
        while not account.groups:
            await trio.sleep(0.01)
        await trio.sleep(0.1)
        told = {each.what for each in account.program.progress.awaited}
        assert told == {str(BTC), str(SHORT)}
    assert account.held == {}
