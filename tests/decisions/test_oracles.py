"""Each oracle is shown a good run, which it lets pass, and the same run falsified, which it must not."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from components.model.events import Event, EventType
from components.model.keys import PositionKey
from components.model.market import Column
from components.model.orders import Action, GroupKind, Order, OrderGroup, Trade, TradeStatus, Verb
from components.model.requirements import HOUR_NS
from tests.decisions.cases import Case
from tests.decisions.oracles import ORACLES, judged
from tests.decisions.playing import Done, Played, play

replace = msgspec.structs.replace
ENTRY = "deviation made up"


def calm(mode: str, capital: float = 100_000.0) -> Played:
    played = play(Case(mode=mode, start="2024-03-01", end="2024-03-09", capital=capital))
    assert isinstance(played, Played)
    return played


@pytest.fixture(scope="module")
def basis() -> Played:
    return calm("btc_basis")


def with_balance(played: Played, key: str, change: Callable[[Column], Column]) -> Played:
    columns = dict(played.result.columns)
    before = columns.get(f"balance.{key}", np.zeros(len(played.result.timestamps)))
    return replace(played, result=replace(played.result, columns=columns | {f"balance.{key}": change(before.copy())}))


def with_events(played: Played, *events: Event) -> Played:
    return replace(played, result=replace(played.result, events=(*played.result.events, *events)))


def event(played: Played, row: int, event_type: EventType, detail: str = "", venue: str = "") -> Event:
    return Event(
        timestamp=int(played.result.timestamps[row]), sequence=10_000 + row, event_type=event_type, venue=venue,
        token="", amount=None, status="", strategy="", correlation_id="", detail=detail, balances={},
    )  # fmt: skip


def order_of(verb: Verb, venue: str, token: str, amount: float, **more: object) -> Order:
    return Order(id="x", verb=verb, venue=venue, token=token, amount=amount, leg=f"{venue}_leg", **more)  # type: ignore[arg-type]


def trade_of(order: Order, played: Played, row: int, changes: dict[str, float], **more: object) -> Trade:
    status = more.pop("status", TradeStatus.FILLED)
    return Trade(
        order_id=order.id, status=status, verb=order.verb, venue=order.venue, token=order.token,  # type: ignore[arg-type]
        quantity=order.amount, changes={PositionKey(key): amount for key, amount in changes.items()},
        at=int(played.result.timestamps[row]), **more,
    )  # type: ignore[arg-type]  # fmt: skip


def done(
    played: Played, row: int, order: Order, trade: Trade, step: int = 900, action: Action = Action.ENTRY_PARTIAL
) -> Done:
    group = OrderGroup(
        id=f"decisions/{step}/1", kind=GroupKind.ONE, action=action, reason=ENTRY, orders=(order,)
    )  # fmt: skip
    return Done(row, int(played.result.timestamps[row]), group, (trade,))


def also(played: Played, *more: Done) -> Played:
    return replace(played, done=(*played.done, *more))


def buy(played: Played, row: int, coins: float, *, extra_cost: float = 0.0, step: int = 900) -> Done:
    price = float(played.market.columns["binance.spot.BTC"][row])
    order = order_of(Verb.SPOT, "binance", "BTC", coins)
    changes = {"binance:BaseToken:BTC": coins, "binance:BaseToken:USDT": -coins * price - extra_cost}
    return done(played, row, order, trade_of(order, played, row, changes), step)


def refused(played: Played, row: int, reason: str = "costs 1,234.5 USDT, has 1,230") -> Done:
    order = order_of(Verb.SPOT, "binance", "BTC", 1.0)
    trade = replace(trade_of(order, played, row, {}, status=TradeStatus.REJECTED, reason=reason), quantity=0.0)
    return done(played, row, order, trade, step=900 + row)


@pytest.mark.parametrize("name", ORACLES)
def test_a_good_run_passes(name, basis):
    assert not judged(basis, (name,))


def test_too_many_order_groups_are_seen(basis):
    many = [buy(basis, 30 + i, 0.01, step=900 + i) for i in range(30)]

    assert judged(also(basis, *many), ("order_groups_are_few",))
    assert not judged(also(basis, *many[:15]), ("order_groups_are_few",))


def test_pieces_of_one_order_are_one_group(basis):
    one = buy(basis, 30, 0.01)
    pieces = [replace(one, group=replace(one.group, id=f"decisions/900/1/{i}")) for i in range(60)]

    assert not judged(also(basis, *pieces), ("order_groups_are_few",))


def test_a_trigger_that_fires_again_and_again_is_seen(basis):
    fired = [event(basis, 24 + 2 * i, EventType.DECISION, "deviation: idle") for i in range(9)]

    assert judged(with_events(basis, *fired), ("triggers_are_held_back",))
    assert not judged(with_events(basis, *fired[:8]), ("triggers_are_held_back",))


def test_what_is_bought_and_sold_again_at_once_is_seen(basis):
    name = ("nothing_is_done_and_undone",)

    assert judged(also(basis, buy(basis, 40, 0.5), buy(basis, 42, -0.5, step=901)), name)
    assert not judged(also(basis, buy(basis, 40, 0.5), buy(basis, 47, -0.5, step=901)), name)
    assert not judged(also(basis, buy(basis, 40, 0.5), buy(basis, 42, -0.01, step=901)), name)


def test_a_decision_that_costs_more_than_it_mends_is_seen(basis):
    name = "discretionary_costs_are_in_proportion"

    assert judged(also(basis, buy(basis, 40, 0.01, extra_cost=40.0)), (name,))
    assert not judged(also(basis, buy(basis, 40, 0.01, extra_cost=1.0)), (name,))


def test_a_critical_decision_may_cost_anything(basis):
    forced = buy(basis, 40, 0.01, extra_cost=40.0)
    forced = replace(forced, group=replace(forced.group, reason="ltv critical"))

    assert not judged(also(basis, forced), ("discretionary_costs_are_in_proportion",))


def test_a_dear_entry_is_seen(basis):
    assert judged(also(basis, buy(basis, 40, 10.0, extra_cost=500.0)), ("getting_in_is_cheap",))


def test_a_naked_leg_is_seen_after_three_hours_and_not_before(basis):
    def without(rows: slice) -> Played:
        def gone(column: Column) -> Column:
            column[rows] = 0.0
            return column

        return with_balance(basis, "binance:Perp:BTCUSDT", gone)

    assert judged(without(slice(50, 54)), ("what_is_long_is_hedged",))
    assert not judged(without(slice(50, 53)), ("what_is_long_is_hedged",))


def test_a_transfer_excuses_a_naked_leg_for_twice_its_delay_only(basis):
    def naked(column: Column) -> Column:
        column[50:120] = 0.0
        return column

    def on_its_way(until: int) -> Played:
        def put(column: Column) -> Column:
            column[50:until] = 1.0
            return column

        return with_balance(with_balance(basis, "binance:Perp:BTCUSDT", naked), "transit:BaseToken:USDT", put)

    assert judged(on_its_way(120), ("what_is_long_is_hedged",))
    assert judged(on_its_way(51), ("what_is_long_is_hedged",))


def test_a_stop_that_leaves_positions_is_seen(basis):
    stopped = with_events(basis, event(basis, 60, EventType.HALTED))

    assert judged(stopped, ("halted_is_flat",))


def test_a_stop_that_ends_flat_passes(basis):
    stopped = with_events(basis, event(basis, 60, EventType.HALTED))
    flat = stopped
    for name in basis.result.columns:
        if name.startswith("balance.") and not name.endswith(":USDT"):

            def sold(column: Column) -> Column:
                column[62:] = 0.0
                return column

            flat = with_balance(flat, name.removeprefix("balance."), sold)

    assert not judged(flat, ("halted_is_flat",))


def test_what_travels_for_ever_is_no_excuse(basis):
    def put(column: Column) -> Column:
        column[60:] = 1.0
        return column

    stopped = with_events(basis, event(basis, 60, EventType.EMERGENCY_STOP))

    assert judged(with_balance(stopped, "transit:BaseToken:BTC", put), ("halted_is_flat",))


def test_a_stop_that_leaves_positions_has_to_say_that_it_closes(basis):
    stopped = with_events(basis, event(basis, 60, EventType.HALTED))
    name = ("what_closes_says_so",)

    assert judged(stopped, name)
    assert judged(with_events(stopped, event(basis, 60, EventType.FLAT, "nothing is awaited")), name)
    assert judged(with_events(stopped, event(basis, 60, EventType.CLOSING, "awaits ")), name)
    assert not judged(with_events(stopped, event(basis, 60, EventType.CLOSING, "awaits position okx")), name)


def test_entering_after_a_stop_is_seen(basis):
    stopped = with_events(basis, event(basis, 60, EventType.HALTED))

    assert judged(also(stopped, buy(basis, 61, 0.01)), ("halted_enters_nothing",))


def test_the_same_refusal_three_times_is_seen_whatever_its_figures(basis):
    reasons = ("costs 1,234.5 USDT, has 1,230", "costs 1,235.5 USDT, has 1,230", "costs 1e3 USDT, has 7")
    thrice = [refused(basis, 40 + i, reason) for i, reason in enumerate(reasons)]

    assert judged(also(basis, *thrice), ("refusals_are_heeded",))
    assert not judged(also(basis, *thrice[:2]), ("refusals_are_heeded",))


def test_refusals_with_something_done_in_between_pass(basis):
    filled = buy(basis, 42, 0.01)
    again = [refused(basis, 40), refused(basis, 41), filled, refused(basis, 43), refused(basis, 44)]

    assert not judged(also(basis, *again), ("refusals_are_heeded",))


def test_an_order_withheld_every_hour_is_seen(basis):
    kept = [event(basis, 40 + i, EventType.ORDER_WITHHELD, f"notional {i}00 is above 50", "okx") for i in range(3)]

    assert judged(with_events(basis, *kept), ("withheld_orders_are_not_repeated",))
    assert not judged(with_events(basis, *kept[:2]), ("withheld_orders_are_not_repeated",))


def test_an_order_below_the_minimum_is_seen(basis):
    assert judged(also(basis, buy(basis, 40, 0.0001)), ("orders_are_worth_sending",))
    assert not judged(also(basis, buy(basis, 40, 0.01)), ("orders_are_worth_sending",))


def test_a_full_exit_may_sell_crumbs(basis):
    crumb = buy(basis, 40, 0.0001)
    crumb = replace(crumb, group=replace(crumb.group, action=Action.EXIT_FULL))

    assert not judged(also(basis, crumb), ("orders_are_worth_sending",))


def test_a_transfer_near_its_fee_is_seen(basis):
    fee = basis.run.exchanges["binance"].transfers["BTC"].fee
    keys = {"source": PositionKey("binance:BaseToken:BTC"), "target": PositionKey("bybit:BaseToken:BTC")}

    def sent(amount: float) -> Played:
        order = order_of(Verb.TRANSFER, "binance", "BTC", amount, **keys)
        return also(basis, done(basis, 40, order, trade_of(order, basis, 40, {})))

    assert judged(sent(19.0 * fee), ("orders_are_worth_sending",))
    assert not judged(sent(max(21.0 * fee, 0.01)), ("orders_are_worth_sending",))


def test_a_negative_balance_is_seen(basis):
    def owed(column: Column) -> Column:
        column[70] = -5.0
        return column

    assert judged(with_balance(basis, "okx:BaseToken:USDT", owed), ("nothing_is_below_zero",))


def test_gas_debt_is_allowed_up_to_its_limit(basis):
    limit = basis.run.mode.gas_debt_limit

    assert not judged(with_balance(basis, "gas:BaseToken:ETH", lambda c: c - limit), ("nothing_is_below_zero",))
    assert judged(with_balance(basis, "gas:BaseToken:ETH", lambda c: c - 4.0 * limit), ("nothing_is_below_zero",))


def test_an_equity_below_nothing_is_seen(basis):
    columns = dict(basis.result.columns)
    equity = columns["equity"].copy()
    equity[-1] = -1.0
    fallen = replace(basis, result=replace(basis.result, columns=columns | {"equity": equity}))

    assert judged(fallen, ("equity_stays_above_zero",))


def test_findings_name_a_row_of_the_run(basis):
    findings = judged(with_events(basis, event(basis, 60, EventType.HALTED)))["halted_is_flat"]

    assert 60 <= findings[0].row < len(basis.result.timestamps)
    assert basis.result.timestamps[findings[0].row] >= basis.result.timestamps[0] + 60 * HOUR_NS
