"""Errors: a code stands for one thing, and the text tells the operator what to do."""

from __future__ import annotations

import pytest

from components.model.errors import (
    CATALOGUE,
    CFG_INVALID,
    DAT_COLUMN_MISSING,
    DAT_NOT_COVERED,
    BasisError,
    Fault,
    InvalidInput,
    MissingData,
    Refuse,
    Retry,
    Severity,
    Stop,
    catalogued,
    nearest_name,
)


def test_an_error_says_code_message_facts_and_what_to_do() -> None:
    error = Refuse(DAT_NOT_COVERED, "no prices in May", first="2024-06-01")
    assert str(error) == (
        "DAT-002: no prices in May (first=2024-06-01). Choose dates inside the coverage shown by 'basis data coverage'"
    )
    assert error.severity is Severity.ERROR
    assert error.facts == {"first": "2024-06-01"}


def test_an_error_without_words_takes_those_of_the_catalogue() -> None:
    error = Stop(DAT_NOT_COVERED)
    assert error.message == CATALOGUE[DAT_NOT_COVERED].title
    assert error.hint == CATALOGUE[DAT_NOT_COVERED].action


def test_a_hint_of_its_own_stands_instead_of_the_catalogue() -> None:
    assert str(Retry(DAT_NOT_COVERED, "odd", hint="Wait")) == "DAT-002: odd. Wait"


def test_a_code_that_is_not_catalogued_cannot_be_raised() -> None:
    with pytest.raises(KeyError, match="XXX-999"):
        raise BasisError("XXX-999")


def test_a_code_stands_for_one_thing() -> None:
    with pytest.raises(ValueError, match="DAT-001 is catalogued twice"):
        catalogued(DAT_COLUMN_MISSING, Severity.INFO, "another", "thing")


def test_the_families_decide_what_happens_next() -> None:
    assert not issubclass(Retry, Refuse | Stop)
    assert issubclass(MissingData, Refuse)
    assert issubclass(InvalidInput, Refuse)


def test_a_missing_column_names_the_nearest_there_is() -> None:
    error = MissingData.column("binance.spto.BTC", {"binance.spot.BTC": 1, "okx.perp.ETH": 2})
    assert error.code == DAT_COLUMN_MISSING
    assert error.facts == {"nearest": "binance.spot.BTC"}
    assert MissingData.column("x", {}).facts == {"nearest": "none"}


def test_a_fault_says_where_what_and_the_right_word() -> None:
    fault = Fault(where="a.yaml: mode", found="'btc'", expected="a mode", nearest="btc_basis")
    assert str(fault) == "a.yaml: mode: found 'btc', expected a mode (did you mean 'btc_basis'?)"
    assert str(Fault(where="x", found="1", expected="2")) == "x: found 1, expected 2"


def test_invalid_input_lists_every_fault() -> None:
    error = InvalidInput(CFG_INVALID, [Fault(where=where, found="a", expected="b") for where in "xy"])
    assert len(error.faults) == 2
    assert "2 fault(s)\n  - x: found a, expected b\n  - y: found a, expected b\n" in str(error)


def test_a_word_that_is_like_nothing_has_no_nearest() -> None:
    assert nearest_name("zzz", ["binance", "bybit"]) is None
    assert nearest_name("bibyt", ["binance", "bybit"]) == "bybit"


def test_every_entry_of_the_catalogue_tells_what_to_do() -> None:
    for code, entry in CATALOGUE.items():
        assert entry.code == code
        assert entry.title and entry.action


def test_a_message_that_is_a_sentence_ends_with_one_stop() -> None:
    code = next(iter(CATALOGUE))
    for message in ("More than there is.", "More than there is"):
        assert str(BasisError(code, message, hint="Ask for less")) == f"{code}: More than there is. Ask for less"
