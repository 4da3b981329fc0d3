"""Rules between the keys of the daemon file, one change of a good file at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from daemon.config.rules import start_ns
from daemon.config.settings import PACKAGED
from tests.daemon.config.test_daemon_file import faults, load, written

ALLOWED = {"BASIS_LIVE_TRADING__ENABLED": "true"}
VENUES = {"source": "venues", "seed": None, "scenario": None, "start": None, "step_s": None}


def only_fault(path: Path, **environ: str) -> str:
    found = faults(path, **environ)
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"strategies__1__id": "lending"}, "strategies.1.id: found 'lending', as strategies.0"),
        ({"strategies__1__id": "../x"}, "lower-case letters"),
        ({"strategies__1__id": "daemon"}, "the name of the daemon's own journal"),
        ({"strategies__1__account": "A"}, "strategies.1.account"),
        ({"strategies": []}, "strategies: found nothing"),
        ({"market__source": "venues"}, "null: the venues have their own market"),
        ({"market__step_s": None}, "market.step_s: found null, expected a value"),
        ({"market__start": "soon"}, "a date like 2024-01-01"),
        ({"market__start": "2024-01-01T00:00:30Z"}, "a multiple of step_s (60)"),
        ({"market__start": "1969-01-01"}, "a date like"),
        ({"market__step_s": 3600}, "time_throttle_interval 60, expected a multiple of market.step_s (3600)"),
        ({"market__step_s": 45}, "a multiple of"),
        ({"metrics__host": "::"}, "can be reached from outside"),
        ({"metrics__host": "metrics.example"}, "can be reached from outside"),
        ({"speed": 0}, "speed: found 0"),
    ],
)
def test_broken_rule(tmp_path: Path, change: dict[str, object], told: str) -> None:
    assert told in "\n".join(faults(written(tmp_path, **change)))


@pytest.mark.parametrize(
    "change",
    [
        {"metrics__host": "::1"},
        {"metrics__host": "localhost"},
        {"metrics__host": "0.0.0.0", "metrics__token_file": "/etc/token"},
        {"market__step_s": 20},
        {"market__start": "2024-01-01T08:00Z"},
        {"speed": 600},
        {"strategies__1__account": "lending"},
        {"market": VENUES},
    ],
)
def test_what_is_allowed(tmp_path: Path, change: dict[str, object]) -> None:
    assert load(written(tmp_path, **change)).strategies


def test_real_prices_cannot_be_hurried(tmp_path: Path) -> None:
    assert "speed: found 2" in only_fault(written(tmp_path, market=VENUES, speed=2))


def test_live_takes_no_embedded_market(tmp_path: Path) -> None:
    assert "market.source: found embedded" in only_fault(written(tmp_path, execution_mode="live"), **ALLOWED)


def test_live_takes_one_strategy_per_account(tmp_path: Path) -> None:
    content = yaml.safe_load((PACKAGED / "live.example.yaml").read_bytes())
    content["strategies"].append({**content["strategies"][0], "id": "second"})
    path = tmp_path / "live.yaml"
    path.write_text(yaml.safe_dump(content))
    assert "live: one strategy per account" in only_fault(path, **ALLOWED)


def test_a_date_and_a_time_are_utc() -> None:
    assert start_ns("2024-01-01") == start_ns("2024-01-01T00:00:00Z") == start_ns("2024-01-01T02:00+02:00")
