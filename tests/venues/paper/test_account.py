"""The account: it lives on by itself, does an order once, and tells the same story as a replay."""

from __future__ import annotations

import numpy as np
import pytest

from components.core import Core, Ports
from components.model.errors import Refuse
from components.model.events import EventType
from components.model.keys import CHAIN_VENUES, PositionKey, base_token
from components.model.market import Market, Window
from components.model.orders import GroupKind, Order, OrderGroup, Trade, TradeStatus, Verb
from components.model.positions import Book
from components.model.requirements import HOUR_NS, Grid, requirements
from components.model.slices import RunSlice
from components.ports import Approved, CashFlows, Flow, Happening, Settlements
from daemon.backtest.replay import MemorySink, Replay, ReplayRequest
from daemon.config.settings import load_run
from daemon.orders.dispatch import legs_of
from tests.acceptance.runs import capital_of, embedded, slice_of, stamp
from tests.builders import START as BEGIN
from tests.venues.paper.stage import (
    BTC,
    END,
    GAS,
    RICH,
    START,
    USDT,
    WALLET_USDT,
    account_of,
    basis_market,
    basis_run,
    group,
    order,
)
from venues.embedded import Continued, generate
from venues.interfaces import ReportStatus, Settled
from venues.paper.account import PaperAccount
from venues.paper.codec import encode

LONG = "2024-05-20"


class Told:
    """The core's ports over an account: what it lists goes in, orders go out leg by leg."""

    def __init__(self, account: PaperAccount) -> None:
        self._account = account
        self._cursors = dict.fromkeys(account.doors, 0)

    def settle(self, window: Window, book: Book) -> Settlements:
        items: list[Settled] = []
        for door, cursor in self._cursors.items():
            page = self._account.settled(door, cursor)
            items += page.items
            self._cursors[door] = page.cursor
        items.sort(key=lambda item: (item.known_at, item.venue, item.id))
        return Settlements(
            rows=1,
            cash=tuple(_paid(i) for i in items if i.cash),
            happenings=tuple(_happening(i) for i in items if not i.cash),
        )

    def accept(self, window: Window, settlements: Settlements, rows: int) -> None:
        pass

    def positions(self, venues: frozenset[str]) -> dict[PositionKey, float]:
        return {key: amount for key, amount in self._account.balances.items() if key.venue in venues}

    def execute(self, approved: Approved) -> tuple[Trade, ...]:
        trades: list[Trade] = []
        for leg in legs_of(approved.group):
            trades += self._account.submit(self._account.door_of(leg.orders[0].venue), leg, self._account.timestamp)
        return tuple(trades)


def _paid(item: Settled) -> CashFlows:
    ((key, amount),) = item.changes.items()
    return CashFlows(
        key=key,
        part=item.part or "",
        event_type=item.event_type,
        token=item.token,
        row=np.zeros(1, dtype=np.int64),
        at=np.array([item.at]),
        amount=np.array([amount]),
        detail=item.detail,
    )


def _happening(item: Settled) -> Happening:
    names = ("event_type", "at", "venue", "token", "amount", "changes", "part", "detail", "arrived")
    return Happening(**{name: getattr(item, name) for name in names})


def driven(run: RunSlice, market: Market, flows: tuple[Flow, ...]) -> tuple[Core, PaperAccount]:
    """A core, row by row, over an account that lives on by itself."""
    account = PaperAccount(run, market, {}, flows)
    told = Told(account)
    venues = (*run.exchanges, *CHAIN_VENUES)
    ports = Ports(market_data=market, observation=told, execution=dict.fromkeys(venues, told), sink=MemorySink())
    core = Core(run, ports, strategy_id=run.mode.mode, run_id="test")
    gas = 0.0 if run.mode.costs == "none" else run.mode.gas_reserve
    balances = core.strategy.initial(capital_of(run), gas)
    account.world.place(balances)
    core.start(balances, capital_of(run), int(market.timestamps[0]))
    for row in range(len(market)):
        account.advance_to(row)
        core.advance(market.window(row, row + 1))
    return core, account


@pytest.mark.parametrize("mode", ["btc_basis", "eth_leveraged", "usdt_market_neutral"])
@pytest.mark.parametrize("wealth", ["steady", "flows"])
def test_a_core_over_the_account_ends_as_a_replay_does(mode: str, wealth: str) -> None:
    overrides = ("lst_type=weETH", "rewards_mode=base_eigen") if mode == "usdt_market_neutral" else ()
    run = slice_of(mode, *overrides)
    market = embedded(run, START, LONG)
    capital = capital_of(run)
    flows = (
        Flow(stamp("2024-05-06T03:10"), capital / 5, "in"),
        Flow(stamp("2024-05-11T17:00"), -capital / 4, "out"),
    )
    flows = flows if wealth == "flows" else ()
    job = Replay(run, market, ReplayRequest(run_id="test", capital=capital, flows=flows))
    job.run()

    core, account = driven(run, market, flows)

    assert core.trades == job.core.trades > 0
    assert dict(account.balances) == job.world.balances
    assert core.positions.snapshot() == job.core.positions.snapshot()
    assert core.pnl.equity == job.core.pnl.equity
    assert core.pnl.sums == job.core.pnl.sums
    assert not any(account.registry.duplicates.values())


def test_the_world_lives_the_same_however_far_it_is_advanced_at_a_time() -> None:
    one, other = short(), short()
    for row in range(72):
        one.advance_to(row)

    other.advance_to(71)

    assert encode(one.whole()) == encode(other.whole())
    assert one.settled("binance", 0).items


def test_funding_is_listed_with_the_venues_own_id_and_a_growing_cursor() -> None:
    account = short()

    account.advance_to(9)
    first = account.settled("binance", 0)
    account.advance_to(24)
    second = account.settled("binance", first.cursor)

    assert [item.id for item in first.items] == [f"binance/funding/BTCUSDT/{stamp('2024-05-01T08:00')}"]
    assert len(second.items) == 2 and second.cursor == first.cursor + 2
    item = first.items[0]
    assert item.cash and item.part == "funding" and item.event_type is EventType.FUNDING
    assert list(item.changes) == [USDT] and item.changes[USDT] == item.amount != 0.0
    assert item.known_at == item.at == stamp("2024-05-01T08:00")
    assert account.settled("chain", 0).items == ()


def test_a_deposit_is_credited_on_the_next_row_and_once() -> None:
    account = account_of(row=3)
    at = account.timestamp + 5

    account.deposit("d1", 1_000.0, at)
    account.deposit("d1", 1_000.0, at)
    before = account.balances[WALLET_USDT]
    account.advance_to(4)
    account.deposit("d1", 1_000.0, at)
    account.advance_to(5)

    (item,) = account.settled("chain", 0).items
    assert before == RICH[WALLET_USDT] and account.balances[WALLET_USDT] == before + 1_000.0
    assert (item.event_type, item.part, item.venue, item.at) == (EventType.DEPOSIT, "flow", "wallet", at)
    assert item.known_at == account.timestamp - 3_600_000_000_000


def test_a_withdrawal_that_is_asked_for_moves_nothing() -> None:
    account = account_of(row=3)

    account.withdrawal("w1", 500.0, account.timestamp + 1)
    account.advance_to(6)
    account.withdrawal("w1", 500.0, account.timestamp)
    account.advance_to(8)

    (item,) = account.settled("chain", 0).items
    assert (item.event_type, item.part, item.amount) == (EventType.WITHDRAWAL_REQUESTED, None, 500.0)
    assert item.changes == {} and account.balances[WALLET_USDT] == RICH[WALLET_USDT]


def test_an_order_id_is_done_once() -> None:
    account = account_of()

    first = account.submit("binance", group(), 1)
    held = dict(account.balances)
    account.advance_to(2)
    again = account.submit("binance", group(), 2)

    assert again == first and first[0].status is TradeStatus.FILLED
    assert account.balances[BTC] == held[BTC] == 1.0
    assert account.registry.duplicates == {"o1": 1} and account.registry.conflicts == {}
    assert len(account.registry.fills) == 1


def test_the_same_id_with_another_content_is_a_conflict_and_does_nothing() -> None:
    account = account_of()
    first = account.submit("binance", group(), 1)

    again = account.submit("binance", group(order(amount=2.0)), 2)

    assert again == first and account.balances[BTC] == 1.0
    assert account.registry.conflicts == {"o1": 1}


def test_an_atomic_group_is_done_once_and_any_of_its_orders_can_be_asked_for() -> None:
    account = account_of("eth_leveraged")
    atomic = leveraged()

    trades = account.submit("chain", atomic, 1)
    held = dict(account.balances)
    again = account.submit("chain", atomic, 2)

    assert {trade.status for trade in trades} == {TradeStatus.FILLED} and again == trades
    assert dict(account.balances) == held
    assert [account.query("chain", each.id, 3).trade for each in atomic.orders] == list(trades)


def test_a_door_does_not_know_the_orders_of_another() -> None:
    account = account_of()
    account.submit("binance", group(), 1)

    assert account.query("binance", "o1", 2).status is ReportStatus.DONE
    assert account.query("bybit", "o1", 2).status is ReportStatus.ABSENT
    assert account.query("binance", "o2", 2).status is ReportStatus.ABSENT


def test_a_door_refuses_what_belongs_to_another_or_is_not_one_request() -> None:
    account = account_of()

    (stray,) = account.submit("bybit", group(), 1)
    both = account.submit("binance", group(order("a"), order("b"), kind=GroupKind.TOGETHER), 1)

    assert stray.status is TradeStatus.REJECTED and "does not serve" in stray.reason
    assert [trade.status for trade in both] == [TradeStatus.REJECTED] * 2
    assert account.balances.get(BTC, 0.0) == 0.0


def test_a_transfer_leaves_at_its_source_and_arrives_at_its_target() -> None:
    account = account_of()
    target = base_token("bybit", "USDT")
    move = order("t1", Verb.TRANSFER, 1_000.0, token="USDT", source=USDT, target=target)

    (trade,) = account.submit("binance", group(move), 1)
    account.advance_to(6)

    (item,) = account.settled("bybit", 0).items
    assert trade.in_flight is not None and item.arrived == trade.in_flight
    assert item.id == "bybit/arrival/t1" and item.changes[target] == trade.in_flight.amount
    assert account.balances[target] == RICH[target] + trade.in_flight.amount


def test_positions_are_split_among_doors_without_a_rest() -> None:
    account = account_of(row=5)

    parts = [account.positions(door) for door in account.doors]

    assert {key: amount for part in parts for key, amount in part.items()} == dict(account.balances)
    assert sum(len(part) for part in parts) == len(account.balances)


def test_positions_of_the_past_are_those_before_the_last_fill() -> None:
    account = account_of()
    account.submit("binance", group(), 10)
    account.submit("binance", group(order("o2")), 20)

    assert account.positions("binance", until=5) == {USDT: RICH[USDT]}
    assert account.positions("binance", until=15)[BTC] == 1.0
    assert account.positions("binance")[BTC] == 2.0


def test_a_foreign_trade_shows_in_balances_and_among_foreign_items_only() -> None:
    account = account_of()

    trade = account.foreign_trade("f1", "binance", Verb.SPOT, "BTC", 0.5, 7)
    account.foreign_trade("f1", "binance", Verb.SPOT, "BTC", 0.5, 8)

    (item,) = account.foreign("binance", 0).items
    assert account.balances[BTC] == 0.5 and item.changes == trade.changes and item.at == 7
    assert account.registry.orders == {} and account.settled("binance", 0).items == ()
    assert account.foreign("binance", 1).items == ()


def test_a_foreign_transfer_out_of_the_account_is_seen_where_it_left() -> None:
    account = account_of()

    account.foreign_transfer("f1", WALLET_USDT, None, 100.0, 7)
    account.foreign_transfer("f1", WALLET_USDT, None, 100.0, 7)
    account.foreign_transfer("f2", None, USDT, 50.0, 8)

    assert account.balances[WALLET_USDT] == RICH[WALLET_USDT] - 100.0
    assert account.balances[USDT] == RICH[USDT] + 50.0
    assert [item.amount for item in account.foreign("chain", 0).items] == [-100.0]
    assert [item.amount for item in account.foreign("binance", 0).items] == [50.0]


def test_a_request_on_its_way_arrives_when_it_does() -> None:
    account = account_of()
    at = account.timestamp + 90 * 60_000_000_000
    account.pending.add(at, ("o1",), lambda: account.submit("binance", group(), at))

    account.advance_to(1)
    assert account.pending.holds("o1") and account.balances.get(BTC, 0.0) == 0.0

    account.advance_to(9)
    assert not account.pending.holds("o1")
    trade = account.registry.orders["o1"].trade
    assert trade is not None and trade.at == stamp("2024-05-01T02:00")


def test_a_longer_market_goes_on_as_if_it_had_been_there_from_the_beginning() -> None:
    run = slice_of("usdt_market_neutral", "lst_type=weETH", "rewards_mode=base_eigen")
    short_market, long_market = embedded(run, START, "2024-05-10"), embedded(run, START, LONG)
    held = {**RICH, base_token("wallet", "weETH"): 50.0}
    one, other = PaperAccount(run, short_market, held), PaperAccount(run, long_market, held)
    swap = order("s1", Verb.SWAP, 10.0, venue="uniswap", token="ETH", into_token="USDT")
    for account in (one, other):
        account.advance_to(100)
        account.submit("chain", group(swap), account.timestamp)

    one.extend(long_market)
    for account in (one, other):
        account.advance_to(len(long_market) - 1)

    assert encode(one.whole()) == encode(other.whole())
    assert any(item.event_type is EventType.REWARD and item.amount for item in one.settled("chain", 0).items)


def test_a_market_with_other_rows_is_refused_and_so_is_a_row_beyond_the_last() -> None:
    account = account_of(row=3)
    run = basis_run()

    with pytest.raises(Refuse, match="SIM-001"):
        account.extend(embedded(run, "2024-05-02", END))
    with pytest.raises(Refuse, match="SIM-001"):
        account.advance_to(10_000)
    assert account.row == 3


def test_a_venue_liquidates_by_itself() -> None:
    run = basis_run()
    market = basis_market(run)
    for name, column in market.columns.items():
        if ".perp" in name:
            column[10:] *= 3.0
    account = PaperAccount(run, market, {USDT: 60_000.0})
    account.advance_to(0)
    account.submit("binance", group(order("p", Verb.PERP, -2.0)), 1)

    account.advance_to(12)

    kinds = [item.event_type for item in account.settled("binance", 0).items]
    assert EventType.LIQUIDATION in kinds
    assert account.balances[PositionKey("binance:Perp:BTCUSDT")] == 0.0


def short() -> PaperAccount:
    """An account with a short perp at binance since row 0."""
    account = account_of()
    account.submit("binance", group(order("p", Verb.PERP, -3.0)), account.timestamp)
    return account


def leveraged() -> OrderGroup:
    lst = "wstETH"
    steps = (
        Order(id="a1", verb=Verb.FLASH_BORROW, venue="morpho", token="WETH", amount=10.0, leg="flash"),
        Order(id="a2", verb=Verb.STAKE, venue="lido", token="ETH", amount=15.0, leg="stake"),
        Order(id="a3", verb=Verb.SUPPLY, venue="aave_v3", token=lst, amount=1.0, leg="supply", everything=True),
        Order(id="a4", verb=Verb.BORROW, venue="aave_v3", token="WETH", amount=10.0, leg="borrow"),
        Order(id="a5", verb=Verb.FLASH_REPAY, venue="morpho", token="WETH", amount=10.0, leg="repay"),
    )
    return group(*steps, kind=GroupKind.ATOMIC)


def test_gas_of_an_atomic_group_is_paid_from_the_gas_position() -> None:
    account = account_of("eth_leveraged")

    account.submit("chain", leveraged(), 1)

    assert account.balances[GAS] < RICH[GAS]
    assert np.isfinite(account.balances[GAS])


def test_a_strangers_order_rests_until_somebody_takes_it_back() -> None:
    account = account_of()
    account.foreign_order("s1", USDT, -5.0)
    (resting,) = account.open_orders("binance")
    assert (resting.reference, resting.order_id, resting.left) == ("s1", None, -5.0)
    assert account.open_orders("okx") == ()
    again = account_of()
    again.restore([account.whole()])
    assert again.open_orders("binance") == (resting,)
    account.cancel_resting("binance", resting, 1)
    account.cancel_resting("binance", resting, 2)
    assert account.open_orders("binance") == () and account.truth().strangers == ()


def test_rewards_are_the_same_to_the_bit_however_much_of_the_market_is_left() -> None:
    """weETH that comes and goes over three months, on a market that is whole and on one that is let go of behind it;
    what a changed holding is remembered for is forgotten once it is paid."""
    run = load_run("eth_staking_only", overrides=["lst_type=weETH", "rewards_mode=base_eigen_seasonal"], environ={})
    names, hours = requirements(run.mode), 24
    whole = generate(Grid(BEGIN, BEGIN + 100 * 24 * HOUR_NS, HOUR_NS), seed=5, names=names)
    source = Continued(Grid(BEGIN, BEGIN, HOUR_NS), seed=5, names=names)
    weeth = base_token("wallet", "weETH")
    long, short = (PaperAccount(run, market, {}) for market in (whole, source.part(30 * hours)))
    for day in range(1, 100):
        if source.rows < (day + 2) * hours:
            short.extend(short._market.since((day - 20) * hours, source.part(30 * hours)))
        for account in (long, short):
            account.advance_to(day * hours + 5)
            if day % 3 == 0:
                account.world.adjust({weeth: 10.0 if day % 2 else -4.0})
    assert short._market.first > 60 * hours
    assert encode(short.world.state()) == encode(long.world.state())
    assert short.world.balances[base_token("king", "EIGEN")] > 0.0
    assert len(long.world.state().holdings) < 15, "not all thirty-three"
    again = PaperAccount(run, short._market, {})
    again.restore([short.whole()])
    assert encode(again.whole()) == encode(short.whole())
    more = short._market.since(90 * hours, source.part(30 * hours))
    for account in (again, short):
        account.extend(more)
        account.advance_to(118 * hours)
    assert encode(again.world.state()) == encode(short.world.state())
