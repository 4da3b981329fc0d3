"""The matrix of emergency stops on real processes: one row in every test run, all of them in the slow part.

By hand: `python -m tests.process.matrix`, with words to choose rows by.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from components.model.keys import PositionKey
from tests.process.matrix.ground import why_not
from tests.process.matrix.play import play
from tests.process.matrix.rows import DISKS, ROWS, Moment, Row, Trouble, Way, chosen
from tests.process.matrix.truth import left_open, net_delta

SAMPLE = Row(Moment.STEADY, 600.0, Trouble.HUNG)
ALL = [pytest.param(row, id=str(row), marks=() if row == SAMPLE else pytest.mark.slow) for row in ROWS]


@pytest.mark.parametrize("row", ALL)
def test_an_emergency_stop_ends_flat_or_names_what_it_waits_for_and_closes_when_it_arrives(
    row: Row, tmp_path: Path
) -> None:
    if row.trouble in DISKS and why_not():
        pytest.skip(why_not())
    verdicts = play(row, tmp_path)
    assert not [fault for verdict in verdicts for fault in verdict.faults], verdicts


def test_every_moment_trouble_and_speed_is_in_the_matrix() -> None:
    assert len(set(ROWS)) == len(ROWS)
    assert {row.moment for row in ROWS} == set(Moment)
    for speed in (1.0, 60.0, 600.0):
        assert {row.trouble for row in ROWS if row.speed == speed} == set(Trouble)
        assert {row.moment for row in ROWS if row.speed == speed} == set(Moment)


def test_words_choose_rows() -> None:
    assert chosen(("steady", "1", "hung")) == (Row(Moment.STEADY, 1.0, Trouble.HUNG),)
    assert chosen(("stop", "read-only", "600")) == (
        Row(Moment.STEADY, 600.0, Trouble.READ_ONLY),
        Row(Moment.TRANSFER, 600.0, Trouble.READ_ONLY),
    )
    assert chosen(("flatten", "60")) == (Row(Moment.ENTRY, 60.0, way=Way.FLATTEN),)
    assert chosen(()) == ROWS


@pytest.mark.parametrize(
    ("key", "amount", "is_open"),
    [
        ("okx:Perp:ETHUSDT", -1e-6, True),
        ("okx:PerpQuote:ETHUSDT", 5.0, False),
        ("aave_v3:debtToken:variableDebtWETH", 0.1, True),
        ("aave_v3:aToken:awstETH", 0.1, True),
        ("transit:BaseToken:USDT", 100.0, True),
        ("transit:BaseToken:ETH", 1e-12, False),
        ("wallet:BaseToken:USDT", 100.0, False),
        ("wallet:BaseToken:PEPE", 1000.0, False),
        ("binance:BaseToken:ETH", 0.2, True),
        ("gas:BaseToken:ETH", -0.2, False),
    ],
)
def test_the_judge_sees_what_is_open(key: str, amount: float, is_open: bool) -> None:
    assert bool(left_open({PositionKey(key): amount}, "USDT")) is is_open


def test_the_judge_sees_what_is_naked() -> None:
    prices = {"lido.ratio.wstETH": 1.2, "aave_v3.supply_index.wstETH": 1.0, "aave_v3.borrow_index.WETH": 1.1}
    held = {
        PositionKey("aave_v3:aToken:awstETH"): 100.0,
        PositionKey("aave_v3:debtToken:variableDebtWETH"): 100.0,
        PositionKey("transit:BaseToken:ETH"): 5.0,
        PositionKey("okx:Perp:ETHUSDT"): -15.0,
    }
    assert net_delta(held, "ETH", prices) == pytest.approx(0.0, abs=1e-12)
    assert net_delta({**held, PositionKey("okx:Perp:ETHUSDT"): -7.5}, "ETH", prices) == pytest.approx(0.5)
    assert net_delta({}, "ETH", prices) is None
