"""Which file of a data folder holds which series, by folder and name, and which files are ignored and why.

Dates in names are never read. A step in a name says which file to try first, and the rows have to keep it. A folder may
hold several files of one series; CSV, gzipped CSV, zipped CSV and Parquet are equal. The folders of exchange data take
the exchanges' own file names too (`names.py`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from components.model.errors import DAT_NOT_COVERED, Fault, InvalidInput
from components.model.requirements import LST_PROTOCOL
from venues.history.files.instruments import expected_instrument
from venues.history.files.names import read_file_name, stem_of, step_ns
from venues.history.files.places import (
    FUNDING_FOLDER,
    KIND_OF,
    NO_FORM,
    PERP_FOLDER,
    REWARD_FILES,
    REWARD_STEMS,
    REWARD_SUFFIXES,
    RULES,
    SCHEMA_OF,
    SPOT_FOLDER,
    TOKEN_FOLDERS,
    Rule,
)
from venues.history.files.schema import Schema
from venues.history.files.sidecar import SIDECAR, Zones, declared_zones


class SourceFile(msgspec.Struct, frozen=True):
    """One file; `name` is relative to the folder, `step_hint` what its name promises, `pool` its DEX if it has one,
    `venue` the exchange it is about if it is one's, `zone` that of stamps that name none."""

    path: Path
    name: str
    symbol: str
    step_hint: int | None
    pool: str | None
    venue: str | None = None
    zone: str | None = None


class Shelf(msgspec.Struct, frozen=True):
    """Everything the folder holds of one series."""

    series: str
    schema: Schema
    field: str
    files: tuple[SourceFile, ...]


class Ignored(msgspec.Struct, frozen=True):
    """A file (or a folder of them, ending in `/`) that is not read, and why."""

    file: str
    reason: str


class Holding(msgspec.Struct, frozen=True):
    """One line of the list of what a folder holds; files relative to it."""

    series: str
    files: tuple[str, ...]


def shelves(folder: Path) -> dict[str, Shelf]:
    """Series name → its files, in name order; InvalidInput (DAT-002) when there is no such folder."""
    return dict(stock(folder).shelves)


def stock(folder: Path, zone: str | None = None) -> Stock:
    """Everything in `folder`; `zone` is that of stamps that name none. InvalidInput as for `shelves`, and DAT-005 for a
    `data.yaml` that cannot be understood."""
    if not folder.is_dir():
        fault = Fault(where=folder.name, found="no such folder", expected="a data folder (see 'basis data coverage')")
        raise InvalidInput(DAT_NOT_COVERED, [fault])
    taking = Stock(folder, declared_zones(folder, zone))
    for rule in RULES:
        taking.by_rule(rule)
    for place in (SPOT_FOLDER, PERP_FOLDER, FUNDING_FOLDER):
        taking.by_name(place)
    return taking


class Stock:
    """What a folder holds: `shelves` by series, and what of it is not read.

    Goes over the folder once by rules, then over the exchange folders by the names exchanges write.
    """

    def __init__(self, folder: Path, zones: Zones) -> None:
        self.shelves: dict[str, Shelf] = {}
        self._folder = folder
        self._zones = zones
        self._taken: set[str] = set()
        self._reasons: dict[str, str] = {}

    def by_rule(self, rule: Rule) -> None:
        for path in sorted(self._folder.glob(f"{rule.folder}/*")):
            match = re.match(rule.pattern, path.name)
            name = path.relative_to(self._folder).as_posix()
            if match is None or stem_of(path.name) is None:
                continue
            words = match.groupdict()
            symbol, step = words.get("symbol") or "", words.get("step")
            if other := _other_coin(path, symbol):
                self._reasons[name] = other
                continue
            venue = words.get("venue") if rule.schema.market else None
            hint = step_ns(step) if step else None
            file = SourceFile(path, name, symbol, hint, words.get("pool"), venue, self._zones.of(name))
            for template, field in rule.series:
                series = template.format(**{**words, "protocol": LST_PROTOCOL.get(symbol, "")})
                self._take(series, rule.schema, field, file)

    def by_name(self, place: str) -> None:
        for path in _files_below(self._folder / place):
            name = path.relative_to(self._folder).as_posix()
            if name in self._taken or name in self._reasons or path.parent.name in TOKEN_FOLDERS:
                continue
            stem = stem_of(path.name)
            said = None if stem is None else read_file_name(stem, path.relative_to(self._folder / place).parts[:-1])
            if stem is None:
                self._reasons[name] = NO_FORM
                continue
            if said is None:
                self._reasons[name] = "the name says no instrument; like binance_BTCUSDT_spot_1h.csv"
                continue
            kind = KIND_OF[place]
            wanted = expected_instrument("spot" if kind == "spot" else "perp", said.instrument.coin or "", None)
            if said.instrument.contradicts(wanted):
                self._reasons[name] = f"it is about {said.instrument}, and here lie {wanted}"
            elif said.use is not None and (said.use == "funding") != (kind == "funding"):
                self._reasons[name] = f"it holds {said.use} by its name, and here lie files of {kind}"
            elif said.venue is None:
                self._reasons[name] = "no exchange in its name; put it in a folder named binance, bybit or okx"
            elif said.folder_venue not in (None, said.venue):
                self._reasons[name] = f"its name says {said.venue}, and a folder above it {said.folder_venue}"
            elif other := _other_coin(path, said.instrument.coin or ""):
                self._reasons[name] = other
            else:
                rule = next(rule for rule in RULES if rule.schema is SCHEMA_OF[kind])
                coin, zone = said.instrument.coin or "", self._zones.of(name)
                file = SourceFile(path, name, coin, said.step, None, said.venue, zone)
                for template, field in rule.series:
                    self._take(template.format(venue=said.venue, symbol=coin), rule.schema, field, file)

    def ignored(self) -> list[Ignored]:
        """Every file that is not read: one by one where files are read, by folder elsewhere."""
        return sorted(self._ignored(), key=lambda one: one.file)

    def _ignored(self) -> Iterator[Ignored]:
        elsewhere: dict[str, int] = {}
        for path in _files_below(self._folder):
            name = path.relative_to(self._folder).as_posix()
            if name in self._taken or name == SIDECAR or any(name.startswith(stem) for stem in REWARD_STEMS):
                continue
            if name in self._reasons:
                yield Ignored(name, self._reasons[name])
            elif any(path.parent.match(rule.folder) for rule in RULES):
                form = stem_of(path.name) is not None
                yield Ignored(name, "its name is of none of the files read here" if form else NO_FORM)
            elif path.parent == self._folder:
                yield Ignored(name, "it lies at the top, outside the folders that are read (docs/own-data.md)")
            else:
                top = path.parent.relative_to(self._folder).as_posix()
                elsewhere[top] = elsewhere.get(top, 0) + 1
        for place, count in elsewhere.items():
            files = "1 file" if count == 1 else f"{count} files"
            yield Ignored(f"{place}/", f"{files} outside the folders that are read")

    def _take(self, series: str, schema: Schema, field: str, file: SourceFile) -> None:
        shelf = self.shelves.get(series)
        self.shelves[series] = Shelf(series, schema, field, (*(shelf.files if shelf else ()), file))
        self._taken.add(file.name)


def _files_below(folder: Path) -> list[Path]:
    """Files of the folder and of those in it, by name; hidden ones are nobody's data."""
    found: list[Path] = []
    for base, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(base, name) for name in sorted(names) if not name.startswith(".")]
    return found


def _other_coin(path: Path, coin: str) -> str | None:
    """Why a file of one coin does not belong where it lies, in the folder of another."""
    place = next((part for part in reversed(path.parts[:-1]) if part.endswith("_usd")), None)
    if place is None or place == f"{coin.lower()}_usd":
        return None
    return f"its name says {coin}, and its folder {place}"


def reward_file(folder: Path, stem: str) -> Path | None:
    """The file of a reward table, in any of the formats."""
    return next((path for suffix in REWARD_SUFFIXES if (path := folder / f"{stem}{suffix}").is_file()), None)


def available(folder: Path) -> list[Holding]:
    """What the folder holds, by series name."""
    holdings = [Holding(shelf.series, tuple(file.name for file in shelf.files)) for shelf in shelves(folder).values()]
    for series, stem in REWARD_FILES.items():
        if path := reward_file(folder, stem):
            holdings.append(Holding(series, (path.relative_to(folder).as_posix(),)))
    return sorted(holdings, key=lambda holding: holding.series)
