from __future__ import annotations

from components.model.errors import DAT_NOT_COVERED, DAT_UNREADABLE, Fault
from components.model.requirements import HOUR_NS
from tests.venues.history.trees import Tree
from venues.history.choose import Chooser
from venues.history.files.stamps import MINUTE_NS
from venues.history.library import Library
from venues.history.series.align import Samples

FALLBACK = {"okx.spot": "binance.spot"}


def chooser(tree: Tree, *, rows: int = 0, fallback: dict[str, str] | None = None) -> Chooser:
    """Covered is what has at least `rows` rows."""

    def judge(samples: Samples) -> tuple[Fault, ...]:
        return () if len(samples.at) >= rows else (Fault(where=samples.name, found="too short", expected="more"),)

    return Chooser(Library(tree.folder, None, "rebuild"), HOUR_NS, fallback or {}, judge)


def test_the_first_step_that_covers_the_run_is_taken(tree: Tree) -> None:
    tree.spot("binance", "BTC", [100.0, 101.0])
    tree.spot("binance", "BTC", [100.0, 101.0, 102.0], step="1m")

    assert chooser(tree).choose("binance.spot.BTC").choice == HOUR_NS
    assert chooser(tree, rows=3).choose("binance.spot.BTC").choice == MINUTE_NS


def test_when_nothing_covers_the_best_step_is_answered_with_the_reason(tree: Tree) -> None:
    tree.spot("binance", "BTC", [100.0, 101.0])
    tree.spot("binance", "BTC", [100.0], step="1m")
    chosen = chooser(tree, rows=9).choose("binance.spot.BTC")

    assert (chosen.choice, chosen.code) == (HOUR_NS, DAT_NOT_COVERED)
    assert [fault.found for fault in chosen.faults] == ["too short"]


def test_a_defect_is_not_passed_over_for_another_step(tree: Tree) -> None:
    tree.spot("binance", "BTC", [100.0, -1.0])
    tree.spot("binance", "BTC", [100.0, 101.0], step="1m")

    assert chooser(tree).choose("binance.spot.BTC").code == DAT_UNREADABLE


def test_another_venue_is_used_only_when_it_is_written(tree: Tree) -> None:
    tree.spot("binance", "BTC", [100.0, 101.0])

    assert chooser(tree).choose("okx.spot.BTC").code == DAT_NOT_COVERED
    chosen = chooser(tree, fallback=FALLBACK).choose("okx.spot.BTC")
    assert chosen.code is None
    assert chosen.samples is not None
    assert chosen.samples.name == "binance.spot.BTC"


def test_a_series_that_covers_the_run_does_not_fall_back(tree: Tree) -> None:
    tree.spot("binance", "BTC", [100.0, 101.0])
    tree.spot("okx", "BTC", [100.5, 101.5])
    chosen = chooser(tree, fallback=FALLBACK).choose("okx.spot.BTC")

    assert chosen.samples is not None
    assert chosen.samples.name == "okx.spot.BTC"


def test_when_the_fallback_falls_short_too_both_reasons_are_given(tree: Tree) -> None:
    tree.spot("binance", "BTC", [100.0, 101.0])
    chosen = chooser(tree, rows=3, fallback=FALLBACK).choose("okx.spot.BTC")

    assert [fault.found for fault in chosen.faults] == ["no file; there is binance.spot.BTC", "too short"]
