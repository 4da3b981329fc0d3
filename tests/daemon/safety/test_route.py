"""The exit of an emergency: what hedges a silent venue is kept, what cannot be reached is left out."""

from __future__ import annotations

import pytest

from components.model.orders import GroupKind, OrderGroup, Verb
from components.position_monitor import PositionMonitor
from daemon.safety.doors import Doors, Reading
from daemon.safety.marks import Marked, marked_row
from daemon.safety.route import exit_route, reachable, situation, worst_delta
from tests.builders import group, keyed, order, run_of
from tests.daemon.fakes import HandVenue
from tests.venues.paper.stage import account_of

RUN = run_of("usdt_market_neutral")
SHORTS = {"binance:Perp:ETHUSDT": -16.0, "bybit:Perp:ETHUSDT": -12.0, "okx:Perp:ETHUSDT": -12.0}


def marked(mode: str = "usdt_market_neutral", missing: frozenset[str] = frozenset()) -> Marked:
    account = account_of(mode)
    marks = {name: value for door in account.doors for name, value in account.marks(door).items()}
    row = marked_row(run_of(mode), 0, marks, None, {})
    return Marked(row.row, missing)


def exits(balances: dict[str, float], **reading: object) -> list[OrderGroup]:
    positions = PositionMonitor()
    positions.place(keyed(balances))
    now = situation(RUN, marked(), positions)
    told = Reading(**reading)  # type: ignore[arg-type]
    return [each for each in exit_route(RUN, now, positions, told, "run") if each]


def perps(groups: list[OrderGroup]) -> dict[str, float]:
    found: dict[str, float] = {}
    for each in groups:
        for one in each.orders:
            if one.verb is Verb.PERP:
                found[one.venue] = found.get(one.venue, 0.0) + one.amount
    return found


def test_coins_that_hedge_a_silent_venue_are_kept_and_the_rest_is_sold() -> None:
    groups = exits({**SHORTS, "binance:BaseToken:ETH": 40.0}, silent={"okx": "dead"})[:1]
    assert perps(groups) == pytest.approx({"binance": 16.0, "bybit": 12.0})
    sold = [one.amount for each in groups for one in each.orders if one.verb is Verb.SPOT]
    assert sold == [pytest.approx(-28.0)]


def test_a_venue_that_never_said_anything_holds_what_nobody_else_hedges() -> None:
    known = {key: amount for key, amount in SHORTS.items() if not key.startswith("okx")}
    groups = exits({**known, "binance:BaseToken:ETH": 40.0}, silent={"okx": "dead"}, unknown=frozenset({"okx"}))[:1]
    assert [one.amount for each in groups for one in each.orders if one.verb is Verb.SPOT] == [pytest.approx(-28.0)]


def test_without_the_spot_venue_the_shorts_stay_with_the_coins() -> None:
    assert perps(exits({**SHORTS, "wallet:BaseToken:wstETH": 36.0}, silent={"binance": "dead"})) == {}


def test_what_a_silent_door_would_have_to_do_is_left_out() -> None:
    doors = Doors([HandVenue("okx"), HandVenue("bybit")], 1.0)
    pair = group(order(Verb.PERP, "okx", "BTC", 1.0), order(Verb.PERP, "bybit", "BTC", 1.0))
    (left,) = reachable(pair, doors, Reading(silent={"okx": "dead"}), marked())
    assert [one.venue for one in left.orders] == ["bybit"]
    atomic = OrderGroup(id="a", kind=GroupKind.ATOMIC, action=pair.action, reason="", orders=pair.orders)
    assert reachable(atomic, doors, Reading(silent={"okx": "dead"}), marked()) == []


def test_legs_without_a_price_leave_after_the_others() -> None:
    doors = Doors([HandVenue("okx"), HandVenue("bybit")], 1.0)
    legs = [order(verb, venue, "BTC", 1.0) for venue in ("okx", "bybit") for verb in (Verb.SPOT, Verb.PERP)]
    unpriced = marked("btc_basis", frozenset({"okx.spot.BTC", "okx.perp.BTC"}))
    first, last = reachable(group(*legs), doors, Reading(), unpriced)
    assert ({one.venue for one in first.orders}, {one.venue for one in last.orders}) == ({"bybit"}, {"okx"})
    assert first.id != last.id


def test_the_worst_delta_of_nothing_held_is_none_and_of_one_side_all() -> None:
    assert worst_delta(RUN, marked(), {}) == 0.0
    assert worst_delta(RUN, marked(), keyed({"binance:BaseToken:ETH": 2.0})) == 1.0
    assert worst_delta(RUN, marked(), keyed({"binance:BaseToken:ETH": 40.0, **SHORTS})) == pytest.approx(0.0)


def test_what_selling_left_over_is_no_exposure_and_what_is_uncertain_is() -> None:
    dust = keyed({"binance:BaseToken:ETH": 1e-9, "okx:Perp:ETHUSDT": -1e-5, "binance:BaseToken:USDT": 90_000.0})
    assert worst_delta(RUN, marked(), dust) == 0.0
    uncertain = order(Verb.SPOT, "binance", "ETH", 2.0)
    assert worst_delta(RUN, marked(), dust, [uncertain]) > 0.9
