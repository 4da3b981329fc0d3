"""Every input contract fails, says what it blocks and since when, and clears by itself."""

from __future__ import annotations

from math import inf, nan

import pytest
from msgspec.structs import replace

from components.model.keys import perp
from components.ports import Standing
from daemon.cells.authority import Authority, Circumstances, Limits
from daemon.cells.observer import View
from daemon.cells.venue_clock import VenueClock
from daemon.replica import Contract
from daemon.world.rows import MarketRow
from tests.daemon.fakes import SECOND_NS, HandVenue, settled
from venues.interfaces import RestingOrder

PRICES = {"binance.spot.BTC": 100.0, "binance.perp.BTC": 101.0, "binance.funding.BTC": 0.0001}
LIMITS = Limits(
    max_data_age_s=60.0,
    silent_venue_s=30.0,
    failures_in_a_row=3,
    min_free_bytes=1000,
    clock_offset_ms=500.0,
    max_adjustment_per_day=0.001,
)


def row(tick: int = 1, **values: float) -> MarketRow:
    """A row of market time `tick` minutes; `spot=1` replaces the spot price."""
    replaced = {f"binance.{name}.BTC": value for name, value in values.items()}
    return MarketRow(tick=tick, timestamp=tick * 60 * SECOND_NS, values={**PRICES, **replaced})


def view(**changes: object) -> View:
    """A venue in good order."""
    made = View(client=HandVenue("binance"), answered=0.0)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def now(at: MarketRow, late_s: float = 0.0, **changes: object) -> Circumstances:
    return Circumstances(
        market_now=at.timestamp + int(late_s * SECOND_NS), process_now=10.0, **changes  # type: ignore[arg-type]
    )  # fmt: skip


class Judge:
    """An authority that is asked minute after minute."""

    def __init__(self) -> None:
        self.authority = Authority(LIMITS)
        self.tick = 0

    def __call__(
        self, views: list[View] | None = None, *, late_s: float = 0.0, of: MarketRow | None = None, **changes: object
    ) -> Standing:
        self.tick += 1
        at = of or row(self.tick)
        return self.authority.judge(at, [view()] if views is None else views, now(at, late_s, **changes))

    def contract(self, name: str) -> Contract:
        (found,) = (each for each in self.authority.contracts if each.name == name)
        return found


@pytest.fixture
def judge() -> Judge:
    return Judge()


def test_all_contracts_hold_when_nothing_is_wrong(judge: Judge) -> None:
    assert judge(free_bytes=5000, clock_offset_ms=20.0) == Standing()
    assert all(
        contract.holds and contract.since is None and not contract.reason for contract in judge.authority.contracts
    )
    assert [contract.name for contract in judge.authority.contracts] == [
        "market.age", "market.range", "venue.binance.answers", "venue.binance.agrees", "venue.binance.ours_alone",
        "venue.binance.clock", "venue.binance.no_strangers", "host.disk", "host.clock", "book.adjustments",
    ]  # fmt: skip


BAD_VENUES = {
    "venue.binance.answers": [view(answered=None), view(failures=3, error="down"), view(answered=-21.0)],
    "venue.binance.agrees": [view(mismatched=2, mismatches=("BTC expected 1 observed 2",))],
    "venue.binance.ours_alone": [view(foreign={"1": settled("1", detail="somebody sold")})],
}


@pytest.mark.parametrize(
    ("name", "bad"),
    [(name, bad) for name, views in BAD_VENUES.items() for bad in views],
    ids=lambda each: str(each)[:24],
)
def test_a_venue_that_fails_its_contract_stops_what_adds_risk_only(judge: Judge, name: str, bad: View) -> None:
    judge()
    standing = judge([bad])
    contract = judge.contract(name)
    assert not contract.holds and contract.blocks == "risk"
    assert standing.no_trade == () and standing.no_risk == (contract.reason,)
    assert "binance" in contract.reason
    assert judge() == Standing()
    assert judge.contract(name).holds


@pytest.mark.parametrize("good", [view(failures=2), view(answered=-20.0), view(mismatched=1, mismatches=("x",))])
def test_a_venue_just_inside_its_limits_holds(judge: Judge, good: View) -> None:
    assert judge([good]) == Standing()


def test_each_venue_is_judged_by_itself(judge: Judge) -> None:
    okx = View(client=HandVenue("okx"), answered=0.0, failures=9, error="down")
    standing = judge([view(), okx])
    assert standing.no_risk == ("okx does not answer: down",)
    assert judge.contract("venue.binance.answers").holds


def test_a_foreign_hand_is_named_and_the_way_out_is_told(judge: Judge) -> None:
    judge([view(foreign={"1": settled("1", detail="somebody sold"), "2": settled("t/2")})])
    reason = judge.contract("venue.binance.ours_alone").reason
    assert "somebody sold, t/2" in reason and "basis adopt" in reason


def test_a_strangers_resting_order_withholds_risk_until_it_is_gone(judge: Judge) -> None:
    key = perp("binance", "BTC")
    ours = RestingOrder(reference="1", order_id="btc/1", key=key, left=1.0)
    judge([view(resting=(ours,))])
    assert judge.contract("venue.binance.no_strangers").holds
    standing = judge([view(resting=(ours, replace(ours, reference="77", order_id=None, left=-0.5)))])
    assert standing.no_trade == ()
    assert "binance:Perp:BTCUSDT -0.5 (77)" in standing.no_risk[0] and "take it back" in standing.no_risk[0]
    assert judge() == Standing()


def test_a_venue_whose_clock_is_off_gets_nothing_that_adds_risk(judge: Judge) -> None:
    off = VenueClock()
    off.heard(0, 2_000 * 1_000_000, 100 * 1_000_000)
    standing = judge([view(clock=off)])
    assert standing.no_trade == () and "+1900 ms from ours, limit 500 ms" in standing.no_risk[0]


def test_a_row_that_is_too_old_stops_everything(judge: Judge) -> None:
    assert judge(late_s=60.0) == Standing()
    standing = judge(late_s=61.0)
    assert standing.no_trade == ("the last market row is 61 s old, limit 60 s",)
    assert judge().no_trade == ()


@pytest.mark.parametrize("price", [nan, inf, 0.0, -5.0, 126.0, 74.0])
def test_an_implausible_price_stops_everything(judge: Judge, price: float) -> None:
    judge()
    standing = judge(of=row(2, spot=price))
    assert standing.no_trade == ("implausible: binance.spot.BTC",)


def test_a_price_that_jumped_is_believed_when_the_next_row_says_it_again(judge: Judge) -> None:
    judge()
    assert judge(of=row(2, spot=150.0)).no_trade
    assert judge(of=row(3, spot=151.0)) == Standing()


def test_a_price_that_jumps_to_and_fro_is_never_believed(judge: Judge) -> None:
    judge()
    for tick, price in ((2, 150.0), (3, 100.0), (4, 150.0)):
        assert judge(of=row(tick, spot=price)).no_trade


def test_a_price_that_was_missing_for_a_row_comes_back_at_any_level(judge: Judge) -> None:
    judge()
    assert judge(of=row(2, spot=nan)).no_trade
    assert judge(of=row(3, spot=100.0)) == Standing()


def test_rates_may_be_negative_and_move_as_they_like(judge: Judge) -> None:
    judge()
    assert judge(of=row(2, funding=-0.5)) == Standing()
    assert judge(of=row(3, funding=nan)).no_trade == ("implausible: binance.funding.BTC",)


def test_a_full_disk_stops_risk_and_a_wrong_clock_everything(judge: Judge) -> None:
    assert "left for the journal" in judge(free_bytes=999).no_risk[0]
    assert judge(free_bytes=1000) == Standing()
    for offset in (501.0, -501.0):
        assert judge(clock_offset_ms=offset).no_trade == (f"the clock is {offset:.0f} ms off, limit 500 ms",)
    assert judge(clock_offset_ms=-500.0) == Standing()


def test_what_the_host_does_not_tell_is_no_contract(judge: Judge) -> None:
    judge()
    assert not [each for each in judge.authority.contracts if each.name.startswith("host.")]


def test_too_many_adjustments_in_a_day_stop_risk(judge: Judge) -> None:
    assert judge(adjusted_share=0.001) == Standing()
    assert judge(adjusted_share=0.0011).no_risk == ("adjustments of today are 0.110% of equity",)


def test_reasons_given_outright_come_first_and_bounds_go_through(judge: Judge) -> None:
    standing = judge([view(failures=9)], blocks_all=("paused: by hand",), blocks_risk=("one",), max_trade_usdt=5000.0)
    assert standing.no_trade == ("paused: by hand",)
    assert standing.no_risk[0] == "one" and len(standing.no_risk) == 2
    assert standing.max_trade_usdt == 5000.0


def test_since_is_the_first_failure_and_starts_anew_after_a_recovery(judge: Judge) -> None:
    judge()
    bad = [view(failures=9)]
    for _ in range(3):
        judge(bad)
        assert judge.contract("venue.binance.answers").since == row(2).timestamp
    judge()
    assert judge.contract("venue.binance.answers").since is None
    judge(bad)
    assert judge.contract("venue.binance.answers").since == row(6).timestamp
