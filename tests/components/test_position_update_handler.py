"""Position Update Handler: the tight loop, one group after the other, and everything that ends it early."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from components.model.events import EventType
from components.model.orders import Action, GroupKind, Order, OrderGroup, Trade, TradeStatus, Verb
from components.ports import Standing
from components.position_update_handler import PositionUpdateHandler, TightLoopResult
from components.venue_manager import Uncertainty
from tests.builders import START, group, keyed, order, rejected, run_of, trade, unknown
from tests.scenarios.sketch import btc, staked
from tests.stage import Stage, agrees, fills, loses, observes, rejects, stays_silent

BTC, USDT = "binance:BaseToken:BTC", "binance:BaseToken:USDT"
BUY_SPOT = order(Verb.SPOT, "binance", "BTC", 0.5, leg="BUY_SPOT")
SHORT_PERP = order(Verb.PERP, "binance", "BTC", -0.5, leg="SHORT_PERP")
SHORT_OKX = order(Verb.PERP, "okx", "BTC", -0.5, leg="SHORT_OKX")
TO_OKX = order(
    Verb.TRANSFER, "binance", "USDT", 1_000.0, leg="TO_OKX", source=USDT, target="okx:BaseToken:USDT"
)  # fmt: skip


@pytest.fixture(name="stage")
def one_row_without_costs() -> Iterator[Stage]:
    stage = Stage(run_of("btc_basis", "costs=none"), btc(2).market())
    stage.starts(100_000.0, keyed({USDT: 60_000.0, "okx:BaseToken:USDT": 40_000.0}))
    stage.forget()
    yield stage
    assert stage.cues == (), "cues that nobody took"


def run(stage: Stage, *groups: OrderGroup, handler: PositionUpdateHandler | None = None) -> TightLoopResult:
    return (handler or stage.handler()).run(groups, START, lambda group: {})


def each(*orders: Order) -> tuple[OrderGroup, ...]:
    return tuple(group(one, id=one.leg) for one in orders)


def test_next_order_waits_for_reconciliation(stage: Stage) -> None:
    stage.plays(fills(BUY_SPOT), observes(BTC, 0.49), agrees(), fills(SHORT_PERP))

    result = run(stage, *each(BUY_SPOT, SHORT_PERP))

    assert stage.script == [
        "intend BUY_SPOT", "send BUY_SPOT", "observe", f"mismatch {BTC}", "observe", "agree",
        "intend SHORT_PERP", "send SHORT_PERP", "observe", "agree",
    ]  # fmt: skip
    assert result.stopped is None
    assert [one.order_id for one in result.trades] == ["BUY_SPOT", "SHORT_PERP"]


def test_the_intent_of_all_legs_comes_before_any_of_them_is_sent(stage: Stage) -> None:
    run(stage, group(BUY_SPOT, SHORT_PERP))
    assert stage.script == ["intend BUY_SPOT + SHORT_PERP", "send BUY_SPOT + SHORT_PERP", "observe", "agree"]


def test_positions_that_never_agree_end_the_list(stage: Stage) -> None:
    stage.plays(fills(BUY_SPOT), *[observes(BTC, 0.4)] * 3)

    result = run(stage, *each(BUY_SPOT, SHORT_PERP))

    assert stage.script == ["intend BUY_SPOT", "send BUY_SPOT", *["observe", f"mismatch {BTC}"] * 3]
    assert (result.stopped, result.unreconciled, result.disturbed) == ("positions do not reconcile", True, True)
    assert [(e.event_type, e.status, e.amount) for e in stage.told(*RECONCILED)] == [
        (EventType.RECONCILIATION_MISMATCH, "retry", pytest.approx(-0.1)),
        (EventType.RECONCILIATION_MISMATCH, "retry", pytest.approx(-0.1)),
        (EventType.RECONCILIATION_FAILED, "stopped", pytest.approx(-0.1)),
    ]
    assert stage.told(EventType.RECONCILIATION_FAILED)[0].detail == f"{BTC} expected 0.5 observed 0.4"


RECONCILED = (EventType.RECONCILIATION_MISMATCH, EventType.RECONCILIATION_FAILED)


def test_a_venue_that_is_silent_once_is_asked_again(stage: Stage) -> None:
    stage.plays(fills(BUY_SPOT), stays_silent(), agrees())
    assert run(stage, *each(BUY_SPOT)).stopped is None
    assert stage.script == ["intend BUY_SPOT", "send BUY_SPOT", "no answer", "observe", "agree"]
    assert stage.told(*RECONCILED) == []


def test_a_venue_that_stays_silent_ends_the_list(stage: Stage) -> None:
    stage.plays(fills(BUY_SPOT), observes(BTC, 0.4), stays_silent(), stays_silent())

    result = run(stage, *each(BUY_SPOT, SHORT_PERP))

    assert stage.script == [
        "intend BUY_SPOT", "send BUY_SPOT", "observe", f"mismatch {BTC}", "no answer", "no answer",
    ]  # fmt: skip
    assert (result.stopped, result.disturbed) == ("venues do not say what we hold", True)
    (failed,) = stage.told(EventType.RECONCILIATION_FAILED)
    assert failed.detail == "venues do not say what we hold: the venue does not answer"


def test_the_number_of_questions_is_that_of_reconciliation(stage: Stage) -> None:
    stage.plays(fills(BUY_SPOT), stays_silent())
    assert run(stage, *each(BUY_SPOT), handler=stage.handler(attempts=1)).stopped == "venues do not say what we hold"


def test_only_the_venues_that_changed_are_compared(stage: Stage) -> None:
    stage.world.adjust(keyed({"okx:BaseToken:USDT": -5.0}))
    assert run(stage, *each(BUY_SPOT)).stopped is None
    assert run(stage, *each(SHORT_OKX)).stopped == "positions do not reconcile"


def test_a_rejection_ends_the_list_and_is_no_disturbance(stage: Stage) -> None:
    stage.plays(rejects(BUY_SPOT, "too small"))

    result = run(stage, *each(BUY_SPOT, SHORT_PERP))

    assert stage.script == ["intend BUY_SPOT", "send BUY_SPOT", "reject BUY_SPOT"]
    assert (result.stopped, result.disturbed) == ("spot on binance rejected: too small", False)
    (event,) = stage.told(EventType.ORDER_REJECTED)
    assert (event.amount, event.status, event.detail) == (0.0, "rejected", "spot BUY_SPOT (too small)")


def test_a_rejection_of_the_way_is_a_disturbance(stage: Stage) -> None:
    stage.plays(rejects(BUY_SPOT, "not sent", transient=True))
    assert run(stage, *each(BUY_SPOT)).disturbed


def test_an_unknown_outcome_ends_the_list_and_leaves_the_order_uncertain(stage: Stage) -> None:
    stage.plays(loses(SHORT_PERP))

    result = run(stage, group(BUY_SPOT, SHORT_PERP), *each(SHORT_OKX))

    assert (result.stopped, result.disturbed) == ("perp on binance unknown: no answer", True)
    assert list(stage.core.positions.uncertain.values()) == [SHORT_PERP]
    assert stage.balance(BTC) == 0.5
    assert stage.balance("binance:Perp:BTCUSDT") == 0.0  # expected counts what is known
    assert [e.event_type for e in stage.told(EventType.TRADE, EventType.ORDER_UNKNOWN)] == [
        EventType.TRADE, EventType.ORDER_UNKNOWN,
    ]  # fmt: skip


def test_a_partial_fill_goes_on(stage: Stage) -> None:
    stage.plays(fills(BUY_SPOT, share=0.4))
    result = run(stage, *each(BUY_SPOT, SHORT_PERP))
    assert result.stopped is None
    assert stage.balance(BTC) == 0.2
    assert stage.told(EventType.TRADE)[0].status == "partial"


def test_each_event_carries_the_balances_after_its_own_trade(stage: Stage) -> None:
    run(stage, group(BUY_SPOT, SHORT_PERP))
    bought, shorted = stage.told(EventType.TRADE)
    assert bought.balances[BTC] == shorted.balances[BTC] == 0.5  # type: ignore[index]
    assert "binance:Perp:BTCUSDT" not in bought.balances
    assert shorted.balances["binance:Perp:BTCUSDT"] == -0.5  # type: ignore[index]
    assert bought.detail == "spot BUY_SPOT at 60000.0"


def test_a_transfer_is_told_as_sent_and_a_payment_as_paid() -> None:
    stage = Stage(run_of("btc_basis"), btc(2).market())
    stage.starts(100_000.0, keyed({USDT: 60_000.0, "wallet:BaseToken:USDT": 100.0}))
    pay = order(Verb.PAY_OUT, "wallet", "USDT", 50.0, leg="PAY", source="wallet:BaseToken:USDT")

    assert run(stage, *each(TO_OKX, pay)).stopped is None

    (sent,), (paid,) = stage.told(EventType.TRANSFER_SENT), stage.told(EventType.WITHDRAWAL_PAID)
    assert sent.balances["transit:BaseToken:USDT"] == 999.0  # type: ignore[index]
    assert (paid.amount, paid.balances.get("wallet:BaseToken:USDT")) == (-50.0, 50.0)  # type: ignore[call-overload]
    assert stage.core.positions.travelling("USDT") == 999.0


def test_an_atomic_group_is_told_whole_and_step_by_step() -> None:
    stage = Stage(run_of("eth_leveraged"), staked(2).market())
    stage.starts(100.0)
    stake = order(Verb.STAKE, "lido", "ETH", 5.0, leg="stake", into_token="wstETH")
    supply = order(Verb.SUPPLY, "aave_v3", "wstETH", 5.0 / 1.17, leg="supply", everything=True)

    run(stage, group(stake, supply, kind=GroupKind.ATOMIC))

    (whole,) = stage.told(EventType.ATOMIC_GROUP)
    assert (whole.status, whole.detail) == ("filled", "entry_full: a test; 2 steps")
    assert [step.detail.split()[:2] for step in stage.told(EventType.ATOMIC_STEP)] == [
        ["stake", "stake"], ["supply", "supply"],
    ]  # fmt: skip
    assert "aave_v3:aToken:awstETH" not in whole.balances  # told first, it has changed nothing yet
    assert "aave_v3:aToken:awstETH" in stage.told(EventType.ATOMIC_STEP)[-1].balances


def test_what_has_no_authority_is_told_once_and_sent_never(stage: Stage) -> None:
    handler, standing = stage.handler(), Standing(no_trade=("read only",))
    for _ in range(3):
        result = handler.run(each(BUY_SPOT, SHORT_PERP), START, lambda group: {}, standing)
        assert (result.trades, result.stopped, result.withheld, result.disturbed) == ((), "read only", True, True)
    assert stage.script == []
    (event,) = stage.told(EventType.ORDER_WITHHELD)
    assert (event.token, event.amount, event.status, event.detail) == ("BTC", 0.5, "withheld", "read only")


def test_reasons_are_told_again_when_they_change_and_after_something_left(stage: Stage) -> None:
    handler = stage.handler()
    handler.run(each(BUY_SPOT), START, lambda group: {}, Standing(no_trade=("a",)))
    handler.run(each(BUY_SPOT), START, lambda group: {}, Standing(no_trade=("b",)))
    handler.run(each(BUY_SPOT), START, lambda group: {})
    assert handler.told == ()
    handler.run(each(BUY_SPOT), START, lambda group: {}, Standing(no_trade=("b",)))
    assert [event.detail for event in stage.told(EventType.ORDER_WITHHELD)] == ["a", "b", "b"]


def test_every_leg_of_a_withheld_group_is_told(stage: Stage) -> None:
    stage.handler().run((group(BUY_SPOT, SHORT_PERP),), START, lambda group: {}, Standing(no_trade=("a",)))
    assert [event.amount for event in stage.told(EventType.ORDER_WITHHELD)] == [0.5, -0.5]


def test_what_was_done_before_a_group_was_withheld_is_in_the_result(stage: Stage) -> None:
    wrong = order(Verb.SPOT, "kraken", "BTC", 1.0)
    result = run(stage, *each(BUY_SPOT, wrong))
    assert [one.order_id for one in result.trades] == ["BUY_SPOT"]
    assert result.stopped == "kraken_spot: no interface for venue 'kraken'"


def test_what_is_uncertain_is_looked_at_afresh_for_every_group(stage: Stage) -> None:
    found = iter([Uncertainty("BTC", 60_000.0, 0.0, 0.0), Uncertainty("BTC", 60_000.0, 0.0, 0.5, ("lost",))])
    result = stage.handler().run(each(BUY_SPOT, SHORT_PERP), START, lambda group: {}, uncertainty=lambda: next(found))
    assert result.stopped == "the outcome of order lost is not known"
    assert [one.order_id for one in result.trades] == ["BUY_SPOT"]


def test_groups_are_made_from_what_the_earlier_ones_did(stage: Stage) -> None:
    def plan() -> Iterator[OrderGroup]:
        yield group(BUY_SPOT)
        held = stage.balance(BTC)
        yield group(order(Verb.PERP, "binance", "BTC", -held, leg="HEDGE"))

    stage.plays(fills(BUY_SPOT, share=0.5))
    stage.handler().run(plan(), START, lambda group: {})
    assert stage.balance("binance:Perp:BTCUSDT") == -0.25


def test_a_large_reduction_leaves_in_pieces_each_reconciled(stage: Stage) -> None:
    stage.handler().run(each(BUY_SPOT), START, lambda group: {})
    stage.forget()
    sell = order(Verb.SPOT, "binance", "BTC", -0.5, leg="SELL")
    stage.handler().run(
        (group(sell, action=Action.EXIT_FULL),), START, lambda group: {one.id: 60_000.0 for one in group.orders},
        Standing(max_trade_usdt=15_000.0),
    )  # fmt: skip
    assert stage.script == ["intend SELL", "send SELL", "observe", "agree"] * 2
    assert stage.balance(BTC) == 0.0


# Legs that parted


def back(group_: OrderGroup, trades: tuple[Trade, ...]) -> OrderGroup:
    """Sells what was bought."""
    (bought,) = [one for one in trades if one.verb is Verb.SPOT]
    sell = order(Verb.SPOT, "binance", "BTC", -bought.quantity, leg="BACK")
    return group(sell, action=Action.EXIT_PARTIAL, id=f"{group_.id}/unwind")


def test_legs_that_parted_are_taken_back_before_the_list_stops(stage: Stage) -> None:
    stage.plays(rejects(SHORT_PERP, "margin"))

    result = stage.handler().run((group(BUY_SPOT, SHORT_PERP), *each(SHORT_OKX)), START, lambda group: {}, repair=back)

    assert stage.script == [
        "intend BUY_SPOT + SHORT_PERP", "send BUY_SPOT + SHORT_PERP", "reject SHORT_PERP", "intend BACK", "send BACK",
    ]  # fmt: skip
    assert stage.balance(BTC) == 0.0
    assert result.stopped == "perp on binance rejected: margin"
    assert [one.order_id for one in result.trades] == ["BUY_SPOT", "SHORT_PERP", "BACK"]


def test_a_repair_needs_authority_like_anything_else(stage: Stage) -> None:
    stage.plays(rejects(SHORT_PERP, "margin"))

    def wrong(group_: OrderGroup, trades: tuple[Trade, ...]) -> OrderGroup:
        return group(order(Verb.SPOT, "kraken", "BTC", -0.5, leg="BACK"))

    result = stage.handler().run((group(BUY_SPOT, SHORT_PERP),), START, lambda group: {}, repair=wrong)
    assert stage.script[-1] == "reject SHORT_PERP"
    assert len(result.trades) == 2


# The verdict on a list


@pytest.mark.parametrize(
    ("result", "disturbed"),
    [
        (TightLoopResult((), None), False),
        (TightLoopResult((), "why", withheld=True), True),
        (TightLoopResult((), "why", unreconciled=True), True),
        (TightLoopResult((rejected(BUY_SPOT),), "no"), False),
        (TightLoopResult((trade(BUY_SPOT), unknown(SHORT_PERP)), "no answer"), True),
        (TightLoopResult((rejected(BUY_SPOT, transient=True),), "not sent"), True),
        (TightLoopResult((trade(BUY_SPOT, status=TradeStatus.PARTIAL),), None), False),
    ],
)
def test_a_list_is_disturbed_when_trying_again_may_help(result: TightLoopResult, disturbed: bool) -> None:
    assert result.disturbed is disturbed
