"""What a door tells under faults: the truth, or something near it, and only then does a fault count."""

from __future__ import annotations

import pytest

from components.model.orders import Verb
from tests.venues.paper.stage import BTC, RICH, USDT, Desk, group, order
from venues.paper.door.answers import Answers
from venues.paper.filling import Handling


def funded(*, row: int = 30) -> tuple[Desk, Answers, int]:
    """A desk with a short perp at binance and three funding payments."""
    desk = Desk()
    desk.account.submit("binance", group(order("p", Verb.PERP, -1.0)), desk.start)
    desk.account.advance_to(row)
    desk.start = desk.account.timestamp + 60_000_000_000
    return desk, Answers("binance", desk.account, desk.plan), desk.start


def test_without_faults_it_is_the_truth() -> None:
    desk, answers, now = funded()

    assert answers.positions(now) == desk.account.positions("binance")
    assert answers.settled(0, now) == desk.account.settled("binance", 0)
    assert len(answers.settled(0, now).items) == 3
    assert desk.plan.fired == {}


def test_a_frame_may_come_twice() -> None:
    desk, answers, now = funded()
    desk.faulty("duplicate_frame")

    page, truth = answers.settled(0, now), desk.account.settled("binance", 0)

    assert page.items == tuple(item for item in truth.items for _ in range(2)) and page.cursor == truth.cursor


def test_frames_may_come_out_of_order() -> None:
    desk, answers, now = funded()
    desk.faulty("reordered_frame")

    assert answers.settled(0, now).items == desk.account.settled("binance", 0).items[::-1]
    assert answers.settled(2, now).items == desk.account.settled("binance", 2).items
    assert desk.plan.fired == {"reordered_frame": 1}


def test_a_dropped_frame_comes_with_the_next_resync() -> None:
    desk, answers, now = funded()
    desk.faulty("dropped_frame")

    page = answers.settled(1, now)
    resync = answers.settled(1, now)

    assert page.items == () and page.cursor == 3
    assert resync == desk.account.settled("binance", 1)
    assert desk.plan.fired == {"dropped_frame": 1}


def test_a_mute_stream_says_nothing_and_loses_nothing() -> None:
    desk, answers, now = funded()
    desk.faulty("mute_stream", duration_s=10.0)

    muted = answers.settled(1, now)
    later = answers.settled(muted.cursor, now + 10_000_000_000)

    assert muted.items == () and muted.cursor == 1
    assert later == desk.account.settled("binance", 1)


@pytest.mark.parametrize("kind", ["balance_lag", "rpc_behind"])
def test_balances_may_be_older_than_the_last_fill(kind: str) -> None:
    desk, answers, now = funded()
    desk.faulty(kind, lag_s=20.0)
    before = answers.positions(now)
    desk.account.submit("binance", group(order("late")), now + 5_000_000_000)

    lagging = answers.positions(now + 6_000_000_000)
    caught_up = answers.positions(now + 26_000_000_000)

    assert lagging == before and BTC not in before
    assert caught_up == desk.account.positions("binance") and caught_up[BTC] == 1.0
    assert desk.plan.fired == {kind: 1}


def test_a_position_may_be_wrong_but_plausible() -> None:
    desk = Desk()
    desk.faulty("wrong_position", factor=1.01)
    answers = Answers("binance", desk.account, desk.plan)

    assert answers.positions(desk.start) == {USDT: RICH[USDT] * 1.01}


def test_a_page_of_open_orders_may_be_cut() -> None:
    desk = Desk()
    answers = Answers("binance", desk.account, desk.plan)
    for each in ("a", "b"):
        desk.account.submit("binance", group(order(each)), 1, Handling(fraction=0.0, fills_at=desk.start * 2))

    assert [each.order_id for each in answers.open_orders(desk.start, ())] == ["a", "b"]
    desk.faulty("open_orders_truncated")
    assert [each.order_id for each in answers.open_orders(desk.start, ())] == ["a"]


def test_the_venues_stamp_is_the_clock_unless_it_is_skewed() -> None:
    desk = Desk()
    answers = Answers("binance", desk.account, desk.plan)
    assert answers.stamp(desk.start) == desk.start
    desk.faulty("clock_skew", skew_s=2.0)
    assert answers.stamp(desk.start) == desk.start + 2_000_000_000
