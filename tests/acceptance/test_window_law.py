"""The result does not depend on how rows are cut into windows, on the process, or on hash seeds: the same bytes."""

from __future__ import annotations

import os
import subprocess
import sys
from hashlib import sha256

import pytest

from components.model.requirements import HOUR_NS
from components.ports import Flow
from tests.acceptance.runs import (
    MODES,
    TWO,
    as_bytes,
    capital_of,
    embedded,
    hedged,
    needs_data,
    play,
    real,
    slice_of,
    stamp,
)  # fmt: skip

SCENARIOS = ("calm", "squeeze", "oracle_drop", "crash")


def rewarded(mode: str) -> tuple[str, ...]:
    """weETH with all its rewards where the mode stakes."""
    if mode in ("eth_staking_only", "eth_leveraged", "usdt_market_neutral_no_leverage", "usdt_market_neutral"):
        return ("lst_type=weETH", "rewards_mode=base_eigen_seasonal")
    return ()


def flows(capital: float) -> tuple[Flow, ...]:
    """A deposit, a fast and a slow withdrawal."""
    return (
        Flow(stamp("2024-02-01T12:30"), 0.2 * capital, "in"),
        Flow(stamp("2024-02-20"), -0.01 * capital, "fast"),
        Flow(stamp("2024-03-10T05:00"), -0.3 * capital, "slow"),
    )


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("mode", MODES)
def test_cuts_of_1_7_and_4096_rows_give_the_same_bytes(mode: str, scenario: str) -> None:
    run = slice_of(mode, *rewarded(mode))
    market = embedded(run, "2024-01-01", "2024-04-10", scenario=scenario)
    whole = play(run, market, flows=flows(capital_of(run)))
    expected = as_bytes(whole)
    assert whole.residual_max <= 1e-9
    for rows in (1, 7, 4096):
        assert as_bytes(play(run, market, flows=flows(capital_of(run)), window_rows=rows)) == expected


@needs_data
@pytest.mark.parametrize("mode", MODES)
def test_cuts_of_real_history_give_the_same_bytes(mode: str) -> None:
    run = slice_of(mode, *([TWO] if hedged(mode) else []))
    market = real(run, "2024-06-01", "2024-12-01")
    expected = as_bytes(play(run, market))
    for rows in (1, 7, 4096):
        assert as_bytes(play(run, market, window_rows=rows)) == expected


@pytest.mark.parametrize("mode", MODES)
def test_a_trigger_on_a_cut_boundary_changes_nothing(mode: str) -> None:
    """Windows that end on the row before, on, and after each decision of the run."""
    run = slice_of(mode, *rewarded(mode))
    market = embedded(run, "2024-01-01", "2024-03-01", scenario="crash")
    whole = play(run, market)
    expected = as_bytes(whole)
    decided = {
        (event.timestamp - int(market.timestamps[0])) // HOUR_NS
        for event in whole.events
        if getattr(event, "event_type", None) == "decision"
    }
    for row in sorted(decided)[:6]:
        for rows in (row, row + 1, row + 2):
            if rows > 1:
                assert as_bytes(play(run, market, window_rows=int(rows))) == expected


CODE = """
from hashlib import sha256
from tests.acceptance.runs import as_bytes, embedded, play, slice_of
run = slice_of("usdt_market_neutral", "lst_type=weETH", "rewards_mode=base_eigen_seasonal")
print(sha256(b"".join(as_bytes(play(run, embedded(run, "2024-01-01", "2024-03-01"))))).hexdigest())
"""


def test_two_processes_with_different_hash_seeds_give_the_same_bytes() -> None:
    run = slice_of("usdt_market_neutral", "lst_type=weETH", "rewards_mode=base_eigen_seasonal")
    here = sha256(b"".join(as_bytes(play(run, embedded(run, "2024-01-01", "2024-03-01"))))).hexdigest()
    for seed in ("0", "4242"):
        answer = subprocess.run(
            [sys.executable, "-c", CODE], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.getcwd()},
        )  # fmt: skip
        assert answer.stdout.strip() == here
