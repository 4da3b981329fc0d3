"""The margin of a hedge whose coins travel: cash first, then another venue, and the least that must be cut at last."""

from __future__ import annotations

import pytest

from components.model.keys import base_token
from components.model.orders import GroupKind, InFlight, Order, Verb
from components.position_monitor import PositionMonitor
from daemon.safety.rescue import Rescue, rescues
from daemon.safety.route import row_of, situation
from tests.builders import keyed, run_of
from tests.daemon.safety.test_route import marked

RUN = run_of("usdt_market_neutral")
MARK = row_of(marked()).value("okx.perp.ETH")
SIZE = 12.0
THIN_USDT = 0.10 * SIZE * MARK  # critical is below 15 %


def account(venue: str, usdt: float, size: float = SIZE) -> dict[str, float]:
    """A short that was opened at the price of now, and cash."""
    mark = row_of(marked()).value(f"{venue}.perp.ETH")
    quote = {f"{venue}:Perp:ETHUSDT": -size, f"{venue}:PerpQuote:ETHUSDT": size * mark} if size else {}
    return {f"{venue}:BaseToken:USDT": usdt, **quote}


def found(*held: dict[str, float], flights: tuple[InFlight, ...] = (), **more: object) -> list[Rescue]:
    positions = PositionMonitor()
    positions.place(keyed({"transit:BaseToken:ETH": 3 * SIZE}))
    for each in held:
        positions.place(keyed(each))
    return list(rescues(situation(RUN, marked(), positions), flights, "run", **more))  # type: ignore[arg-type]


def orders(rescue: Rescue, verb: Verb) -> list[Order]:
    return [order for group in rescue.groups for order in group.orders if order.verb is verb]


def test_nothing_is_done_for_margin_that_is_not_critical() -> None:
    assert found(*(account(venue, 0.16 * SIZE * MARK) for venue in ("binance", "bybit", "okx"))) == []


def test_cash_is_moved_first_from_the_wallet_the_reserve_and_other_venues() -> None:
    rich = [account(venue, 0.50 * SIZE * MARK) for venue in ("binance", "bybit")]
    cash = {"wallet:BaseToken:USDT": 1000.0, "reserve:BaseToken:USDT": 2000.0}
    (rescue,) = found(account("okx", 0.14 * SIZE * MARK), *rich, cash)
    sent = [(order.source, order.target) for order in orders(rescue, Verb.TRANSFER)]
    assert sent[:3] == [
        (base_token("wallet", "USDT"), base_token("okx", "USDT")),
        (base_token("reserve", "USDT"), base_token("wallet", "USDT")),
        (base_token("wallet", "USDT"), base_token("okx", "USDT")),
    ]
    assert sent[3] == (base_token("binance", "USDT"), base_token("okx", "USDT"))
    assert orders(rescue, Verb.PERP) == [], "its liquidation is further than the cash"
    assert "USDT of margin are on their way" in rescue.said


def test_cash_that_is_on_its_way_is_not_sent_again() -> None:
    coming = InFlight(
        id="t", token="USDT", amount=0.4 * SIZE * MARK, source=base_token("wallet", "USDT"),
        target=base_token("okx", "USDT"), arrives_at=10**9,
    )  # fmt: skip
    cash = {"wallet:BaseToken:USDT": 90_000.0}
    (rescue,) = found(account("okx", 0.14 * SIZE * MARK), cash, flights=(coming,))
    assert rescue.groups == ()
    assert "on their way" in rescue.said


def test_without_cash_the_hedge_is_shifted_to_a_venue_with_room_both_sides_together() -> None:
    (rescue,) = found(account("okx", THIN_USDT), account("bybit", 0.34 * SIZE * MARK), account("binance", 0.0, 0.0))
    assert orders(rescue, Verb.TRANSFER) == []
    (group,) = rescue.groups
    opened, closed = group.orders
    assert group.kind is GroupKind.TOGETHER
    assert (opened.venue, closed.venue, opened.amount) == ("bybit", "okx", -closed.amount)
    assert closed.reduce_only and closed.amount > 0.0 and not opened.reduce_only
    assert "hedged at bybit instead" in rescue.said


def test_what_no_venue_has_room_for_is_cut_by_the_least_that_is_not_critical() -> None:
    (rescue,) = found(account("okx", THIN_USDT))
    (order,) = orders(rescue, Verb.PERP)
    assert order.reduce_only
    assert THIN_USDT / ((SIZE - order.amount) * MARK) == pytest.approx(1.25 * 0.15, rel=1e-3)
    assert "no other venue has room" in rescue.said


def test_cash_that_would_come_too_late_waits_for_nothing() -> None:
    (rescue,) = found(account("okx", 0.02 * SIZE * MARK), {"wallet:BaseToken:USDT": 90_000.0})
    assert orders(rescue, Verb.TRANSFER) and orders(rescue, Verb.PERP)


def test_a_venue_that_says_nothing_is_neither_helped_nor_asked_for_help() -> None:
    thin, rich = account("okx", THIN_USDT), account("bybit", 0.9 * SIZE * MARK)
    assert found(thin, untouchable=("okx",)) == []
    (rescue,) = found(thin, rich, untouchable=("bybit",))
    assert {order.venue for group in rescue.groups for order in group.orders} == {"okx"}


def test_two_venues_in_need_do_not_spend_the_same_cash_or_room() -> None:
    cash = {"wallet:BaseToken:USDT": 0.2 * SIZE * MARK}
    both = found(account("okx", THIN_USDT), account("bybit", 0.12 * SIZE * MARK), cash)
    assert [each.venue for each in both] == ["okx", "bybit"]
    sent = sum(order.amount for each in both for order in orders(each, Verb.TRANSFER))
    assert sent <= 0.2 * SIZE * MARK


def test_what_was_refused_or_cannot_be_reached_is_not_counted_on() -> None:
    """Cash that does not leave, and a venue that opens nothing: the next way is taken, down to the least cut."""
    cash, rich = {"wallet:BaseToken:USDT": 90_000.0}, account("bybit", 0.34 * SIZE * MARK)
    thin = account("okx", THIN_USDT)
    for more in ({"untouchable": ("wallet",)}, {"refused": {"wallet_to_okx"}}):
        (rescue,) = found(thin, rich, cash, **more)
        assert [order.venue for order in orders(rescue, Verb.PERP)] == ["bybit", "okx"]
    (rescue,) = found(thin, rich, cash, refused={"wallet_to_okx", "bybit_perp"})
    (cut,) = orders(rescue, Verb.PERP)
    assert cut.venue == "okx" and cut.reduce_only


def test_what_a_venue_took_over_for_one_it_does_not_take_over_for_another() -> None:
    rich = account("binance", 0.34 * SIZE * MARK)
    both = found(account("okx", THIN_USDT), account("bybit", 0.08 * SIZE * MARK), rich)
    opened = [order.amount for each in both for order in orders(each, Verb.PERP) if order.venue == "binance"]
    room = (0.34 / (1.25 * 0.15) - 1.0) * SIZE
    assert len(opened) == 2 and -room <= sum(opened) < -0.9 * room
