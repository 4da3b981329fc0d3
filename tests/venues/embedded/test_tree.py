"""A market written as files: whole or not at all, the same bytes, and read back as it was."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from components.model.errors import InvalidInput
from components.model.market import Market
from components.model.requirements import DAY_NS, HOUR_NS, Grid, SeriesName
from daemon.config.settings import load_run
from tests.builders import START
from venues import history
from venues.embedded import generate, write_tree

DAYS = 4


def made(days: int = DAYS, step: int = HOUR_NS) -> Market:
    return generate(Grid(START, START + days * DAY_NS, step), seed=11)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("mode", ["btc_basis", "usdt_market_neutral", "eth_leveraged"])
def test_what_was_written_is_read_back_to_the_last_bit(mode: str, tmp_path: Path) -> None:
    market = made()
    write_tree(market, tmp_path / "data")
    run = load_run(mode, environ={})
    grid = Grid(START, START + DAYS * DAY_NS, HOUR_NS)
    loaded = history.load(tmp_path / "data", run.mode, grid)
    assert np.array_equal(loaded.timestamps, market.timestamps)
    midnights = market.timestamps % DAY_NS == 0
    for name, column in loaded.columns.items():
        kind = SeriesName.parse(name)
        if kind.kind == "apy":
            continue  # of a day, known when it is over
        daily = kind.kind.endswith("index") or (kind.kind == "ratio" and kind.venue != "dex")
        rows = midnights if daily else slice(None)
        assert np.array_equal(column[rows], market.columns[name][rows]), name
    for name, series in loaded.funding.items():
        assert np.array_equal(series.rate, market.funding[name].rate), name
        assert np.array_equal(series.at, market.funding[name].at), name


def test_the_same_market_is_the_same_bytes(tmp_path: Path) -> None:
    files = write_tree(made(), tmp_path / "a")
    write_tree(made(), tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert {str(file) for file in files} == set(contents(tmp_path / "a"))


def test_plain_and_packed_files_say_the_same(tmp_path: Path) -> None:
    write_tree(made(), tmp_path / "plain", fmt="csv")
    write_tree(made(), tmp_path / "packed")
    plain = contents(tmp_path / "plain")
    packed = contents(tmp_path / "packed")
    assert {name.removesuffix(".gz") for name in packed} == set(plain)
    for name, data in packed.items():
        assert (gzip.decompress(data) if name.endswith(".gz") else data) == plain[name.removesuffix(".gz")]


@pytest.mark.parametrize(("words", "found"), [({"defects": ["gap"]}, "defects"), ({"fmt": "xlsx"}, "csv or csv.gz")])
def test_what_cannot_be_written_is_refused_before_anything_is(
    words: dict[str, object], found: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match=found):
        write_tree(made(), tmp_path / "data", **words)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.csv").write_text("mine")
    with pytest.raises(InvalidInput, match="not empty"):
        write_tree(made(), tmp_path / "data")
    assert contents(tmp_path / "data") == {"mine.csv": b"mine"}
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_disk_that_ends_in_the_middle_leaves_no_half_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, written = Path.write_bytes, []

    def full(self: Path, data: bytes) -> int:
        written.append(self)
        if len(written) > 3:
            raise OSError(28, "No space left on device", str(self))
        return whole(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InvalidInput, match="No space left"):
        write_tree(made(), tmp_path / "data")
    assert list(tmp_path.iterdir()) == []
