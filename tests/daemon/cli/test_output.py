"""What commands print, and what they say when they refuse."""

from __future__ import annotations

import pytest

from components.model.errors import (
    CFG_INVALID,
    DAT_LOOK_AHEAD,
    Fault,
    InvalidInput,
    Stop,
)
from daemon.cli.output import csv_of, flattened, message_of, progress_bar, readable, refusals, table_of, text_of


def test_numbers_stand_to_the_right_and_words_to_the_left() -> None:
    assert table_of(("name", "n"), [["a", "1"], ["long", "1,000"]]) == "name      n\na         1\nlong  1,000"


def test_an_empty_table_says_so() -> None:
    assert table_of(("a",), []) == "nothing there"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (True, "yes"), (1234, "1,234"), (1234.567, "1,234.57"), (0.123456789, "0.123457"), ("x", "x")],
)
def test_values_are_shown_as_people_read_them(value: object, text: str) -> None:
    assert text_of(value) == text


def test_nested_records_become_dotted_columns() -> None:
    assert flattened({"a": 1, "b": {"c": {"d": 2}}, "e": ["x", "y"]}) == {"a": 1, "b.c.d": 2, "e": "x; y"}
    assert csv_of([{"a": 1}, {"b": "x,y"}]) == 'a,b\n1,\n,"x,y"\n'


def test_a_refusal_lists_its_faults_and_ends_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    fault = Fault(where="file.yaml: key", found="2", expected="at most 1")

    with pytest.raises(SystemExit), refusals():
        raise InvalidInput(CFG_INVALID, [fault, fault])

    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith("(CFG-001):")
    assert lines[1:3] == ["  - file.yaml: key: found 2, expected at most 1"] * 2
    assert lines[3] == "Correct every fault listed; nothing was started."


def test_other_errors_keep_their_facts() -> None:
    message = message_of(Stop(DAT_LOOK_AHEAD, row=5))

    assert message.startswith("DAT-004: ")
    assert "row=5" in message


def test_there_is_no_bar_where_nobody_watches() -> None:
    with progress_bar("x") as progress:
        assert progress is None


@pytest.mark.parametrize(
    ("journal", "shown"),
    [
        ("spot binance_spot at 42505.71445882443", "spot binance_spot at 42,505.71"),
        ("expected -0.44700000000000006 observed 0.447.", "expected -0.447 observed 0.447."),
        ("0.0031415926535 EIGEN per eETH, 1e-09 left", "0.00314159 EIGEN per eETH, 1e-09 left"),
        ("at 12:00:00.123456 of 1.2.3456, a/0.12345/b, k-0.123456, x0.12345, 0.123456x, 7 of 12, 2.5 bp", None),
        ("", ""),
    ],
)
def test_figures_in_a_sentence_are_shown_as_people_read_them(journal: str, shown: str | None) -> None:
    assert readable(journal) == (journal if shown is None else shown)
    assert readable(None) == ""
