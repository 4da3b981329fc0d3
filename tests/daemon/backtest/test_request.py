"""Texts of a request: what they mean, and every fault of them at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.model.errors import CFG_REQUEST, Fault, InvalidInput
from components.model.requirements import HOUR_NS
from daemon.backtest.request import BacktestRequest, EmbeddedMarket, HistoryFolder, RequestTexts, parse_request
from tests.daemon.handmade import START

GOOD: dict[str, Any] = {"mode": "btc_basis", "start": "2024-06-01", "end": "2024-06-30", "capital": "100000"}


def parsed(environ: dict[str, str] | None = None, **texts: Any) -> BacktestRequest:
    return parse_request(RequestTexts(**(GOOD | texts)), environ or {})


def faults(environ: dict[str, str] | None = None, **texts: Any) -> tuple[Fault, ...]:
    with pytest.raises(InvalidInput) as refused:
        parsed(environ, **texts)
    assert refused.value.code == CFG_REQUEST
    return refused.value.faults


def test_a_date_is_its_midnight_and_the_grid_holds_both_ends() -> None:
    request = parsed()

    assert request.grid.start == START
    assert len(request.grid) == 29 * 24 + 1
    assert request.source == EmbeddedMarket(7, "calm")


@pytest.mark.parametrize(
    "text", ["2024-06-01T02:00Z", "2024-06-01T02:00", "2024-06-01 02:00:00+00:00", "2024-06-01T04:00+02:00"]
)
def test_times_are_utc_unless_they_say_otherwise(text: str) -> None:
    assert parsed(start=text).grid.start == START + 2 * HOUR_NS


@pytest.mark.parametrize(
    ("text", "hours"), [("1h", 1.0), ("15m", 0.25), ("90min", 1.5), ("1d", 24.0), ("30s", 1 / 120)]
)
def test_steps_have_a_unit(text: str, hours: float) -> None:
    assert parsed(step=text).grid.step == hours * HOUR_NS


def test_flows_are_put_in_order_of_time() -> None:
    request = parsed(flows=("2024-06-20:-5000", "2024-06-10T12:00:+2e4", "2024-06-30:1"))

    assert [(flow.amount, flow.id) for flow in request.flows] == [(2e4, "flow-1"), (-5e3, "flow-2"), (1.0, "flow-3")]
    assert request.flows[0].at == START + (9 * 24 + 12) * HOUR_NS


def test_a_folder_takes_the_place_of_the_embedded_market() -> None:
    assert parsed(data="some/folder").source == HistoryFolder(Path("some/folder"))
    assert parsed(market="embedded", seed="11", scenario="crash").source == EmbeddedMarket(11, "crash")


@pytest.mark.parametrize(
    ("texts", "where", "words"),
    [
        ({"mode": "btc_bassis"}, "mode", "did you mean 'btc_basis'?"),
        ({"mode": "../modes/btc_basis"}, "mode", "one of btc_basis"),
        ({"start": "2024-13-01"}, "--start", "a date like"),
        ({"start": None}, "--start", "found nothing"),
        ({"start": "1960-01-01"}, "--start", "after 1970"),
        ({"end": "2024-05-01"}, "--end", "after --start 2024-06-01"),
        ({"end": "2024-06-01"}, "--end", "after --start 2024-06-01"),
        ({"capital": "nan"}, "--capital", "above 0"),
        ({"capital": "-5"}, "--capital", "above 0"),
        ({"capital": "0"}, "--capital", "above 0"),
        ({"capital": "inf"}, "--capital", "above 0"),
        ({"capital": "much"}, "--capital", "above 0"),
        ({"capital": None}, "--capital", "found nothing"),
        ({"step": "0h"}, "--step", "like 1h"),
        ({"step": "hourly"}, "--step", "like 1h"),
        ({"step": "60d"}, "--step", "not longer than the run"),
        ({"start": "1990-01-01", "step": "1s"}, "--step", "50,000,000 rows"),
        ({"flows": ("2024-06-10",)}, "--flow 2024-06-10", "like 2024-07-01:+20000"),
        ({"flows": ("2024-06-10:0",)}, "--flow 2024-06-10:0", "like 2024-07-01:+20000"),
        ({"flows": ("2024-06-10:nan",)}, "--flow 2024-06-10:nan", "like 2024-07-01:+20000"),
        ({"flows": ("soon:5",)}, "--flow soon:5", "a date like"),
        ({"flows": ("2024-06-01:5",)}, "--flow 2024-06-01:5", "after the start"),
        ({"flows": ("2024-07-01:5",)}, "--flow 2024-07-01:5", "not after the end"),
        ({"data": "d", "market": "embedded"}, "--market", "one source of prices"),
        ({"data": "d", "seed": "1"}, "--seed", "one source of prices"),
        ({"data": "d", "scenario": "crash"}, "--scenario", "one source of prices"),
        ({"market": "embeded"}, "--market", "did you mean 'embedded'?"),
        ({"seed": "-1"}, "--seed", "a whole number"),
        ({"seed": "1.5"}, "--seed", "a whole number"),
        ({"scenario": "crush"}, "--scenario", "did you mean 'crash'?"),
        ({"window_rows": 0}, "--window-rows", "1 or more"),
    ],
)
def test_a_fault_names_its_place_and_what_was_expected(texts: dict[str, Any], where: str, words: str) -> None:
    (fault,) = faults(**texts)

    assert fault.where == where
    assert words in str(fault)


def test_all_faults_are_told_at_once() -> None:
    found = faults(mode="x", start="y", end="z", capital="nan", step="?", flows=("a", "b"), seed="s", scenario="none")

    assert len(found) == 9


def test_the_environment_bounds_every_request() -> None:
    environ = {"BASIS_DATA_START_DATE": "2024-06-02", "BASIS_DATA_END_DATE": "2024-06-29"}

    assert [fault.where for fault in faults(environ)] == ["--start", "--end"]
    assert parsed(environ, start="2024-06-02", end="2024-06-29").mode == "btc_basis"
    assert [fault.where for fault in faults({"BASIS_DATA_END_DATE": "soon"})] == ["BASIS_DATA_END_DATE"]
