"""The same data in another form are the same columns, byte for byte: order, cut, stamps, packing and headings say
nothing. Each seed draws a form for every file of a small folder."""

from __future__ import annotations

import gzip
import io
import random
import zipfile
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.model.market import Market
from tests.venues.history.modes import PLAUSIBLE, mode_of
from tests.venues.history.trees import Tree, at, grid
from venues.history import UnusableData, load
from venues.history.files.places import FUNDING_FOLDER, PERP_FOLDER, SPOT_FOLDER
from venues.history.files.stamps import iso

START = at("2024-06-01T00")
HOUR = 3_600_000_000_000
MODE = mode_of("binance.spot.BTC", "okx.perp.BTC", "okx.funding.BTC", plausible=PLAUSIBLE)
RUN = grid("2024-06-01T05", "2024-06-04T20")
HOURS = 110
Rows = list[list[str]]


class Sheet(NamedTuple):
    """One file before it gets a form: folder, stem, headings with other words for them, rows with ns stamps first."""

    folder: str
    stem: str
    headings: tuple[tuple[str, ...], ...]
    headless: bool
    rows: Rows


def sheets() -> list[Sheet]:
    draw = np.random.default_rng(11)
    closes = np.round(40_000.0 * np.exp(np.cumsum(0.004 * draw.standard_normal(HOURS))), 2)

    def bars(values: list[float]) -> Rows:
        rows = []
        for hour, close in enumerate(values):
            start = values[hour - 1] if hour else close
            high, low = max(start, close) + 3.5, min(start, close) - 2.25
            rows.append([str(START + hour * HOUR), *map(repr, (start, high, low, close)), "5.5"])
        return rows

    names = (("timestamp", "open_time", "Open Time", "date"), ("open", "Open"), ("high", "HIGH"), ("low", "low"),
             ("close", "Close"), ("volume", "Volume"))  # fmt: skip
    rates = [repr(0.0001 + 0.00001 * i) for i in range(HOURS // 8 + 1)]
    funding = [[str(START + 8 * i * HOUR), "8", rate] for i, rate in enumerate(rates)]
    said = (("calc_time", "fundingTime", "funding_timestamp"), ("funding_interval_hours", "fundingIntervalHours"),
            ("last_funding_rate", "fundingRate", "funding_rate"))  # fmt: skip
    return [
        Sheet(f"{SPOT_FOLDER}/btc_usd", "binance_BTCUSDT_spot_1h", names, True, bars(closes.tolist())),
        Sheet(PERP_FOLDER, "okx_BTC-USDT-SWAP_1h", names, True, bars(np.round(closes * 1.0004, 1).tolist())),
        Sheet(FUNDING_FOLDER, "okx_BTC-USDT-SWAP_fundingrates", said, True, funding),
    ]


def offset(ns: int) -> str:
    zone = timezone(timedelta(hours=5, minutes=30))
    return datetime.fromtimestamp(ns / 1e9, zone).strftime("%Y-%m-%d %H:%M:%S%z")


STAMPS: dict[str, Callable[[int], str]] = {
    "seconds": lambda ns: str(ns // 10**9),
    "milliseconds": lambda ns: str(ns // 10**6),
    "microseconds": lambda ns: str(ns // 10**3),
    "nanoseconds": str,
    "fractions": lambda ns: f"{ns / 1e9:.3f}",
    "Z": lambda ns: iso(ns),
    "offset": offset,
    "naive": lambda ns: iso(ns).removesuffix("Z").replace("T", " "),
    "digits": lambda ns: iso(ns).removesuffix("Z").translate(str.maketrans("", "", "-T:")),
    "late": lambda ns: str(ns // 10**6 + 47),
}


def form(sheet: Sheet, draw: random.Random, tree: Tree) -> None:
    """Writes a sheet in a form drawn: one file or several that overlap, each of its own kind."""
    rows = [list(row) for row in sheet.rows]
    cuts = sorted(draw.sample(range(3, len(rows) - 3), draw.choice([0, 1, 2])))
    edges = [0, *cuts, len(rows)]
    for number, (first, stop) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        part = rows[max(0, first - draw.choice([0, 2])) : stop]
        stamp = STAMPS[draw.choice(list(STAMPS))]
        part = [[stamp(int(row[0])), *row[1:]] for row in part]
        part += part[: draw.choice([0, 1])]
        draw.choice([lambda rows: None, lambda rows: rows.reverse(), draw.shuffle])(part)
        write(tree.folder / sheet.folder, f"{sheet.stem}_{number}", sheet, part, draw)


def write(folder: Path, stem: str, sheet: Sheet, rows: Rows, draw: random.Random) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = [draw.choice(words) for words in sheet.headings]
    packing = draw.choice(["csv", "CSV", "gz", "zip", "parquet"])
    if packing == "parquet":
        columns = {name: [row[i] for row in rows] for i, name in enumerate(names)}
        typed = {name: cells if i == 0 else [float(cell) for cell in cells] for i, (name, cells) in
                 enumerate(columns.items())}  # fmt: skip
        pq.write_table(pa.table(typed), folder / f"{stem}.parquet")
        return
    headed = not sheet.headless or draw.random() < 0.6
    if headed:
        order = draw.sample(range(len(names)), len(names))
        names, rows = [names[i] for i in order], [[row[i] for i in order] for row in rows]
    mark = draw.choice([",", ",", ";", "\t"]) if headed else ","
    lines = [mark.join(row) for row in ([names] if headed else []) + rows]
    text = draw.choice(["", "\ufeff", "# a comment\n"]) + draw.choice(["\n", "\r\n"]).join(lines) + "\n"
    content = text.encode()
    match packing:
        case "gz":
            (folder / f"{stem}.csv.gz").write_bytes(gzip.compress(content))
        case "zip":
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w") as archive:
                archive.writestr(f"{stem}.csv", content)
            (folder / f"{stem}.zip").write_bytes(buffer.getvalue())
        case _:
            (folder / f"{stem}.{packing}").write_bytes(content)


def plain(tree: Tree) -> Market:
    for sheet in sheets():
        rows = [[iso(int(row[0])), *row[1:]] for row in sheet.rows]
        header = ",".join(words[0] for words in sheet.headings)
        tree.rows(f"{sheet.folder}/{sheet.stem}.csv", header, [",".join(row) for row in rows])
    return load(tree.folder, MODE, RUN)


@pytest.mark.parametrize("seed", range(40))
def test_the_form_of_the_files_does_not_change_a_byte_of_what_is_read(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    expected = plain(Tree(tmp_path / "plain"))
    other = Tree(tmp_path / "other")
    for sheet in sheets():
        form(sheet, draw, other)
    for cache in (None, tmp_path / "cache", tmp_path / "cache"):
        market = load(other.folder, MODE, RUN, zone="UTC", cache=cache)

        assert sorted(market.columns) == sorted(expected.columns)
        for name, column in expected.columns.items():
            assert market.column(name).tobytes() == column.tobytes(), name
        funding, wanted = market.funding["okx.funding.BTC"], expected.funding["okx.funding.BTC"]
        assert funding.at.tobytes() == wanted.at.tobytes()
        assert funding.rate.tobytes() == wanted.rate.tobytes()
        assert funding.mark_usdt.tobytes() == wanted.mark_usdt.tobytes()
        assert {name: flags.tobytes() for name, flags in market.stale.items()} == {}


def damage(content: bytes, draw: random.Random) -> bytes:
    """A few bytes changed, put in, repeated or taken out, or the end missing."""
    spoilt, place = bytearray(content), draw.randrange(len(content))
    stop = min(len(content), place + draw.randrange(1, 200))
    match draw.choice(["change", "cut", "put in", "take out", "repeat"]):
        case "change":
            for _ in range(draw.choice([1, 3, 20])):
                spoilt[draw.randrange(len(spoilt))] = draw.randrange(256)
        case "cut":
            del spoilt[place:]
        case "put in":
            spoilt[place:place] = draw.choice([b"\n", b",", b'"', b"\x00", b"nan", b"1e999", b"-", b"9" * 20, b"\xff"])
        case "take out":
            del spoilt[place:stop]
        case _:
            spoilt[place:place] = spoilt[place:stop]
    return bytes(spoilt)


@pytest.mark.parametrize("seed", range(30))
def test_damage_ends_in_a_refusal_that_names_the_file_or_in_a_whole_market(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    tree = Tree(tmp_path / "folder")
    for sheet in sheets():
        form(sheet, draw, tree)
    victim = draw.choice(sorted(path for path in tree.folder.rglob("*") if path.is_file()))
    victim.write_bytes(damage(victim.read_bytes(), draw))
    try:
        market = load(tree.folder, MODE, RUN, zone="UTC")
    except UnusableData as refused:
        assert victim.parent.name in str(refused)
        return
    assert all(np.isfinite(column).all() for column in market.columns.values())
