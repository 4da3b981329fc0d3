"""Positions in underlying units and money: what is supplied with its interest, a perp as one row, nothing made up."""

from __future__ import annotations

import pytest

from daemon.control.holdings import Holding, holdings
from daemon.replica import Replica
from tests.daemon.one_cell import running

PRICES = {
    "binance.spot.ETH": 2_000.0,
    "binance.perp.ETH": 1_990.0,
    "aave_v3.supply_index.USDT": 1.04,
    "aave_v3.supply_index.wstETH": 1.01,
    "aave_v3.borrow_index.WETH": 1.02,
    "lido.ratio.wstETH": 1.2,
}


def held(positions: dict[str, float], observed: dict[str, float] | None = None, **more: object) -> dict[str, Holding]:
    words: dict[str, object] = {"prices": PRICES, "timestamp": 1, **more}
    replica: Replica = running("a", positions=positions, observed=positions if observed is None else observed, **words)
    return {row.key: row for row in holdings([replica])}


def test_what_is_supplied_is_shown_with_its_interest() -> None:
    row = held({"aave_v3:aToken:aUSDT": 100.0})["aave_v3:aToken:aUSDT"]
    assert (row.venue, row.holding, row.side, row.unit) == ("aave_v3", "supplied", "long", "USDT")
    assert (row.amount, row.price, row.value) == pytest.approx((104.0, 1.0, 104.0))


def test_a_staked_token_has_the_price_of_one_of_it_and_a_debt_is_negative() -> None:
    rows = held({"aave_v3:aToken:awstETH": 10.0, "aave_v3:debtToken:variableDebtWETH": 5.0})
    supplied, owed = rows["aave_v3:aToken:awstETH"], rows["aave_v3:debtToken:variableDebtWETH"]
    assert (supplied.amount, supplied.price, supplied.value) == pytest.approx((10.1, 2_400.0, 24_240.0))
    assert (owed.amount, owed.price, owed.value) == pytest.approx((5.1, 2_000.0, -10_200.0))
    assert (owed.holding, owed.side) == ("owed", "short")


def test_a_perp_is_one_row_with_entry_and_unrealised_profit() -> None:
    rows = held({"binance:Perp:ETHUSDT": -2.0, "binance:PerpQuote:ETHUSDT": 4_010.0})
    perp = rows["binance:Perp:ETHUSDT"]
    assert (perp.holding, perp.side, perp.unit) == ("short perp", "short", "ETH")
    assert (perp.amount, perp.price, perp.entry, perp.value) == pytest.approx((-2.0, 1_990.0, 2_005.0, 30.0))
    quote = rows["binance:PerpQuote:ETHUSDT"]
    assert (quote.part_of, quote.value) == ("binance:Perp:ETHUSDT", None)


def test_the_values_add_up_to_equity_at_book_value() -> None:
    positions = {
        "binance:BaseToken:USDT": 500.0, "binance:BaseToken:ETH": 1.0, "binance:Perp:ETHUSDT": -2.0,
        "binance:PerpQuote:ETHUSDT": 4_010.0, "transit:BaseToken:ETH": 1.0, "gas:BaseToken:ETH": -0.01,
    }  # fmt: skip
    values = [row.value for row in held(positions).values() if row.part_of is None]
    assert None not in values
    assert sum(value or 0.0 for value in values) == pytest.approx(500 + 2_000 + 30 + 2_000 - 20)


def test_what_is_not_known_is_none() -> None:
    row = held({"aave_v3:aToken:aUSDT": 100.0}, {}, prices={})["aave_v3:aToken:aUSDT"]
    assert (row.expected, row.observed, row.amount, row.price, row.value) == (100.0, None, None, None, None)
    spam = held({}, {"wallet:BaseToken:SPAM": 7.0, "nonsense": 1.0})
    assert (spam["wallet:BaseToken:SPAM"].amount, spam["wallet:BaseToken:SPAM"].value) == (0.0, None)
    assert spam["nonsense"].observed == 1.0


def test_a_venue_that_says_otherwise_is_marked() -> None:
    rows = held({"binance:BaseToken:ETH": 1.0, "aave_v3:aToken:aUSDT": 1.0}, {"binance:BaseToken:ETH": 0.9})
    assert (rows["binance:BaseToken:ETH"].differs, rows["binance:BaseToken:ETH"].observed_amount) == (True, 0.9)
    assert not rows["aave_v3:aToken:aUSDT"].differs


def test_under_an_emergency_stop_what_is_shown_is_what_the_venues_report() -> None:
    book = {"binance:BaseToken:USDT": 500.0, "binance:Perp:ETHUSDT": -2.0, "binance:PerpQuote:ETHUSDT": 4_010.0}
    sold = {"binance:BaseToken:USDT": 530.0, "binance:Perp:ETHUSDT": 0.0, "binance:PerpQuote:ETHUSDT": 0.0}
    rows = held(book, sold, equity_is_observed=True)
    perp, cash = rows["binance:Perp:ETHUSDT"], rows["binance:BaseToken:USDT"]
    assert (perp.expected, perp.observed, perp.amount, perp.entry, perp.value) == (-2.0, 0.0, 0.0, None, 0.0)
    assert (cash.amount, cash.value) == (530.0, 530.0)
    assert sum(row.value or 0.0 for row in rows.values() if row.part_of is None) == pytest.approx(530.0)
    assert all(row.as_reported for row in rows.values())
