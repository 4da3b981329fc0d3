from __future__ import annotations

from pathlib import Path

import pytest

from components.model.errors import InvalidInput
from venues.history.parameters import reserve_terms, validate_margin_parameters


def terms(initial: object, maintenance: object) -> bytes:
    return f'{{"initial_margin_requirement": {initial}, "maintenance_margin_requirement": {maintenance}}}'.encode()


def test_maintenance_below_initial_is_believable() -> None:
    assert validate_margin_parameters("okx.json", terms(0.05, 0.005)) == ()


def test_maintenance_above_initial_is_a_fault() -> None:
    (fault,) = validate_margin_parameters("okx.json", terms(0.05, 0.10))

    assert fault.where == "okx.json maintenance_margin_requirement"
    assert (fault.found, fault.expected) == ("0.1", "at most the initial requirement 0.05")


@pytest.mark.parametrize("content", [terms(5, 0.1), terms('"x"', 0.1), terms("true", 0.1), b"{}", b"[]", b"{"])
def test_what_is_no_fraction_is_a_fault(content: bytes) -> None:
    assert validate_margin_parameters("okx.json", content)


def test_a_reserve_table_with_mark_percent_and_suffixes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "params.csv"
    path.write_bytes(b"\xef\xbb\xbf,WETH,weETH\nFrozen,FALSE,TRUE\nReserve Factor,15%,45%\nSupply Cap,0.0022B,N/A\n")

    assert reserve_terms(path) == {
        "WETH": {"Reserve Factor": 0.15, "Supply Cap": pytest.approx(2.2e6)},
        "weETH": {"Reserve Factor": 0.45},
    }


def test_an_empty_reserve_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "params.csv"
    path.write_text("")

    with pytest.raises(InvalidInput, match=r"params\.csv"):
        reserve_terms(path)
