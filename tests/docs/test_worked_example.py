"""The numbers of docs/pnl.md, both ways."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "pnl.md"
N, LI, R, D, BI, P, S, MARK = (
    10.0,
    (1.0, 1.000001),
    (1.2, 1.2001),
    6.0,
    (1.0, 1.00001),
    -6.0,
    (3000.0, 3030.0),
    (2999.0, 3029.5),
)


def parts() -> dict[str, float]:
    step = S[1] - S[0]
    return {
        "supply_yield": N * (LI[1] - LI[0]) * R[1] * S[1],
        "staking_yield_oracle": N * LI[0] * (R[1] - R[0]) * S[1],
        "borrow_costs": -D * (BI[1] - BI[0]) * S[1],
        "basis": P * ((MARK[1] - MARK[0]) - step),
        "delta": (P + N * LI[0] * R[0] - D * BI[0]) * step,
    }


def test_the_parts_are_the_change_of_the_balances() -> None:
    def worth(i: int) -> float:
        return N * LI[i] * R[i] * S[i] - D * BI[i] * S[i] + P * MARK[i]

    assert sum(parts().values()) == pytest.approx(worth(1) - worth(0), abs=1e-9)


def test_the_page_shows_these_numbers() -> None:
    page = PAGE.read_text(encoding="utf-8").replace("−", "-")
    for part, value in {**parts(), "sum": sum(parts().values())}.items():
        shown = re.search(rf"^\| {part} \|.*\| ([+-]?[\d.]+) \|$", page, re.M)
        assert shown is not None, part
        assert float(shown[1]) == pytest.approx(value, abs=5e-5), part
