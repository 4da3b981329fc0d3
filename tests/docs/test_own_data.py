"""The examples of docs/own-data.md do what the page says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from components.model.slices import MedianAndRow
from daemon.config.settings import load_run
from tests.daemon.cli.calls import call
from tests.venues.history.modes import PLAUSIBLE, mode_of
from tests.venues.history.trees import grid
from venues.history import UnusableData, load
from venues.history.files.sidecar import declared_zones

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "own-data.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?( refused)?\n(.*?)^```$", re.M | re.S)
REFUSED = re.compile(r"^```csv (\S+) refused\n(.*?)^```\n\n> (.*?)$", re.M | re.S)


def put(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_the_example_is_covered_and_replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    commands = []
    for kind, name, refused, body in BLOCK.findall(PAGE):
        if kind == "csv" and not refused:
            put(tmp_path, name, body)
        elif kind == "console":
            commands += [shlex.split(line)[1:] for line in body.splitlines()]

    assert [words[:2] for words in commands] == [["data", "coverage"], ["backtest", "run"]]
    for words in commands:
        assert call(*words) == 0


def test_the_sidecar_is_read_as_written(tmp_path: Path) -> None:
    ((name, body),) = [(name, body) for kind, name, _, body in BLOCK.findall(PAGE) if kind == "yaml"]
    zones = declared_zones(put(tmp_path, name, body).parent)

    assert (zones.of("a/b/c.csv"), zones.of("a/okx/c.csv")) == ("UTC", "Asia/Hong_Kong")


@pytest.mark.parametrize(("name", "body", "said"), REFUSED.findall(PAGE), ids=lambda text: str(text)[:12])
def test_what_is_refused_is_refused_in_these_words(tmp_path: Path, name: str, body: str, said: str) -> None:
    put(tmp_path, name, body)
    mode = mode_of("binance.spot.BTC", plausible=PLAUSIBLE)

    with pytest.raises(UnusableData) as refused:
        load(tmp_path / "mine", mode, grid("2024-06-01T01", "2024-06-01T03"))
    assert said in str(refused.value)


def test_four_refusals_are_shown() -> None:
    assert len(REFUSED.findall(PAGE)) == 4


def test_the_bounds_on_the_page_are_those_of_the_mode_files() -> None:
    for mode in ("btc_basis", "usdt_market_neutral", "pure_lending"):
        bounds = load_run(mode, environ={}).mode.plausible
        assert bounds == PLAUSIBLE
    assert PLAUSIBLE.perp_to_spot == MedianAndRow(0.02, 0.10)
    assert "0.005 and 0.002 per venue" in PAGE
    assert set(PLAUSIBLE.funding_largest.values()) == {0.005}
    assert set(PLAUSIBLE.funding_median.values()) == {0.002}


@pytest.mark.parametrize("page", ["README.md", "docs/core.md", "docs/add-a-mode.md"])
def test_other_pages_lead_here(page: str) -> None:
    assert "own-data.md)" in (ROOT / page).read_text(encoding="utf-8")
