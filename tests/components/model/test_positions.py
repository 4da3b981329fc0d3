"""A book: balances in key order, changed by changes, compared with a tolerance."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.model.positions import Book, Difference
from tests.builders import key, keyed

BTC, USDT, PERP = key("binance:BaseToken:BTC"), key("binance:BaseToken:USDT"), key("binance:Perp:BTCUSDT")
BINANCE = frozenset({"binance"})


def test_an_absent_key_is_a_balance_of_zero() -> None:
    assert Book().of(BTC) == 0.0
    with pytest.raises(KeyError):
        Book()[BTC]


def test_a_balance_is_found_after_a_key_has_come_before_it() -> None:
    book = Book({BTC: 0.5})
    reader = book.items()
    book.apply({key("aave_v3:aToken:aUSDT"): 7.0, BTC: 0.25})
    assert list(book) == ["aave_v3:aToken:aUSDT", BTC]
    assert (book.of(BTC), book[BTC], book.of(USDT)) == (0.75, 0.75, 0.0)
    assert dict(reader)[BTC] == 0.75  # the view that somebody holds has no gap
    with pytest.raises(KeyError):
        book[USDT]


@given(st.permutations([BTC, USDT, PERP, key("aave_v3:aToken:aUSDT")]))
def test_a_book_iterates_in_key_order_however_it_was_filled(keys: list[str]) -> None:
    by_changes, by_sets = Book(), Book()
    for one in keys:
        by_changes.apply({one: 1.0})  # type: ignore[dict-item]
        by_sets.set(one, 1.0)  # type: ignore[arg-type]
    at_once = Book(dict.fromkeys(keys, 1.0))  # type: ignore[arg-type]
    assert list(by_changes) == list(by_sets) == list(at_once) == sorted(keys)


def test_changes_are_added_and_a_balance_that_comes_to_zero_is_kept_but_not_shown() -> None:
    book = Book(keyed({"binance:BaseToken:BTC": 0.5}))
    book.apply(keyed({"binance:BaseToken:BTC": -0.5, "binance:BaseToken:USDT": 10.0}))
    assert len(book) == 2
    assert book.snapshot() == {USDT: 10.0}
    assert repr(book) == "<Book {'binance:BaseToken:BTC': 0.0, 'binance:BaseToken:USDT': 10.0}>"


def test_a_book_does_not_share_what_it_was_made_from() -> None:
    balances = keyed({"binance:BaseToken:BTC": 0.5})
    book = Book(balances)
    balances[BTC] = 9.0
    assert book.of(BTC) == 0.5


def differences(expected: float, observed: dict[str, float]) -> tuple[Difference, ...]:
    book = Book({BTC: expected})
    return book.differences(keyed(observed), absolute=1e-8, relative=1e-9, venues=BINANCE)


def test_a_difference_within_tolerance_is_none() -> None:
    assert differences(1.0, {BTC: 1.0 + 1.05e-8}) == ()
    assert differences(1_000.0, {BTC: 1_000.0 + 1.0e-6}) == ()


def test_a_difference_beyond_tolerance_names_both_sides() -> None:
    assert differences(1.0, {BTC: 1.0 + 1.2e-8}) == (Difference(BTC, 1.0, 1.0 + 1.2e-8),)


def test_what_only_one_side_knows_differs() -> None:
    assert differences(1.0, {}) == (Difference(BTC, 1.0, 0.0),)
    assert differences(0.0, {USDT: 5.0}) == (Difference(USDT, 0.0, 5.0),)


def test_other_venues_are_not_looked_at() -> None:
    assert differences(1.0, {BTC: 1.0, "okx:BaseToken:BTC": 4.0}) == ()


def test_a_report_that_is_no_number_never_agrees() -> None:
    (found,) = differences(1.0, {BTC: float("nan")})
    assert found.key == BTC


def test_differences_come_in_key_order() -> None:
    found = differences(1.0, {PERP: 1.0, USDT: 1.0})
    assert [one.key for one in found] == [BTC, USDT, PERP]
