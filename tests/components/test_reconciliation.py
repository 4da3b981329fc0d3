"""Reconciliation: expected against reported."""

from __future__ import annotations

from components.model.positions import Book
from components.reconciliation import Reconciliation
from tests.builders import keyed

HELD = keyed({"okx:BaseToken:BTC": 1.5, "okx:Perp:BTCUSDT": -1.5, "wallet:BaseToken:USDT": 100.0})
OKX = frozenset({"okx"})


def test_books_that_agree_leave_nothing_to_say() -> None:
    reconciliation = Reconciliation()
    assert reconciliation.compare(Book(HELD), {**HELD}, OKX | {"wallet"}) == ()
    assert reconciliation.mismatches == 0


def test_a_comparison_that_differs_counts_once_however_many_keys_do() -> None:
    reconciliation = Reconciliation()
    found = reconciliation.compare(Book(HELD), {}, OKX)
    assert [one.key for one in found] == ["okx:BaseToken:BTC", "okx:Perp:BTCUSDT"]
    assert reconciliation.mismatches == 1


def test_venues_that_were_not_touched_are_not_compared() -> None:
    assert Reconciliation().compare(Book(HELD), {**HELD, **keyed({"wallet:BaseToken:USDT": 0.0})}, OKX) == ()


def test_the_tolerance_is_absolute_for_little_and_relative_for_much() -> None:
    def differs(held: float, seen: float) -> bool:
        book, report = Book(keyed({"okx:BaseToken:BTC": held})), keyed({"okx:BaseToken:BTC": seen})
        return bool(Reconciliation().compare(book, report, OKX))

    assert not differs(0.0, 1e-8)
    assert differs(0.0, 1.1e-8)
    assert not differs(1e6, 1e6 + 1e-3)
    assert differs(1e6, 1e6 + 1.1e-3)


def test_the_number_of_attempts_is_given() -> None:
    assert Reconciliation().max_attempts == 3
    assert Reconciliation(max_attempts=1).max_attempts == 1
