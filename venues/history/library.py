"""An opened data folder: series by name, each file read and judged at most once.

Where a series lies in files of several steps, `choices` says in which order to try them; joining different steps would
mix resolutions, so one choice is one step.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from components.model.errors import DAT_CONFLICT, DAT_NOT_COVERED, Fault, InvalidInput, nearest_name
from components.model.requirements import DAY_NS, HOUR_NS, SeriesName
from venues.history.align import Samples
from venues.history.cache import ColumnCache
from venues.history.catalogue import CONTRACT_SIZE, Shelf, SourceFile, expected_place, shelves
from venues.history.rebuild import completed_days, refuse_implausible
from venues.history.schema import ORACLE, RESERVE
from venues.history.tables import Table, joined, read_table

_PLACEHOLDER_ROWS = 24
Choice = int | None


class Library:
    """The series of one folder. Every method raises InvalidInput listing all that is wrong with the files touched."""

    def __init__(self, folder: Path, cache: Path | None, interpolated: Literal["rebuild", "as_published"]) -> None:
        self.folder = folder
        self.shelves = shelves(folder)
        self._cache = ColumnCache(cache)
        self._interpolated = interpolated
        self._tables: dict[tuple[str, ...], Table] = {}

    def choices(self, name: str, grid_step: int | None) -> list[Choice]:
        """Steps in which the folder holds `name`, best first: 1 h for grids of an hour and more, else the finest.

        Interpolated sources are rebuilt from daily files and taken as published from hourly ones.
        """
        shelf = self._shelf(name)
        steps = sorted({file.step_hint or 0 for file in shelf.files})
        preferred = HOUR_NS if grid_step is None or grid_step >= HOUR_NS else steps[0]
        if shelf.schema is RESERVE:
            preferred = DAY_NS if self._interpolated == "rebuild" else HOUR_NS
        return [step or None for step in sorted(steps, key=lambda step: (step != preferred, step))]

    def table(self, name: str, choice: Choice) -> Table:
        """All columns of the files behind `name`; volumes in coins, also where the file counts contracts."""
        shelf = self._shelf(name)
        files = tuple(file for file in shelf.files if file.step_hint == choice)
        key = tuple(file.name for file in files)
        if key not in self._tables:
            self._tables[key] = self._read(shelf, files)
        return self._tables[key]

    def samples(self, name: str, choice: Choice) -> Samples:
        """One series at the times its values became known; interpolated sources rebuilt if the mode says so."""
        shelf = self._shelf(name)
        table = self.table(name, choice)
        samples = Samples(
            name=name,
            files=table.files,
            hashes=table.hashes,
            column=next(field.title for field in shelf.schema.fields if field.name == shelf.field),
            step=table.step,
            at=table.at,
            value=table.values[shelf.field],
            duplicates=table.duplicates,
            flat=_flat_rows(table, shelf.field),
        )
        if shelf.schema is RESERVE or shelf.schema is ORACLE:
            refuse_implausible(samples, "index" if shelf.schema is RESERVE else "ratio")
            return completed_days(samples) if self._interpolated == "rebuild" else samples
        if SeriesName.parse(name).kind in ("spot", "perp", "eth_price", "ratio"):
            _refuse_placeholder(samples)
        if SeriesName.parse(name).kind == "apy":
            return _without_zeros(samples)
        return samples

    def is_interpolated(self, samples: Samples) -> bool:
        """Whether these values know up to a day of future: an interpolated source used as published."""
        schema = self._shelf(samples.name).schema
        return schema in (RESERVE, ORACLE) and self._interpolated == "as_published" and samples.step < DAY_NS

    def _shelf(self, name: str) -> Shelf:
        shelf = self.shelves.get(name)
        if shelf is None:
            fault = Fault(
                where=f"{self.folder.name}/{expected_place(name)}",
                found="no file",
                expected=f"a file holding {name}",
                nearest=nearest_name(name, self.shelves),
            )
            raise InvalidInput(DAT_NOT_COVERED, [fault])
        return shelf

    def _read(self, shelf: Shelf, files: tuple[SourceFile, ...]) -> Table:
        names = ", ".join(file.name for file in files)
        if len(pools := sorted({file.pool for file in files if file.pool})) > 1:
            raise InvalidInput(
                DAT_CONFLICT, [Fault(where=names, found=f"pools {', '.join(pools)}", expected="one pool per series")]
            )
        tables: list[Table] = []
        refused: list[InvalidInput] = []
        for file in files:
            try:
                tables.append(read_table(file, shelf.schema, self._cache))
            except InvalidInput as exc:
                refused.append(exc)
        if refused:
            raise InvalidInput(refused[0].code, [fault for exc in refused for fault in exc.faults])
        if len(steps := {table.step for table in tables}) > 1:
            found = f"rows {' and '.join(f'{step // 60_000_000_000} min' for step in sorted(steps))} apart"
            raise InvalidInput(DAT_CONFLICT, [Fault(where=names, found=found, expected="files of one step")])
        table = joined(tables)
        series = SeriesName.parse(shelf.series)
        size = CONTRACT_SIZE.get(f"{series.venue}.{series.kind.split('_')[0]}.{series.symbol}")
        if size is None:
            return table
        return msgspec.structs.replace(table, values={**table.values, "volume": table.values["volume"] * size})


def _flat_rows(table: Table, field: str) -> int:
    """Bars without trades; where there is no volume, values equal to the one before."""
    volume = table.values.get("volume")
    if volume is not None and not np.isnan(volume).all():
        return int((volume == 0.0).sum())
    if volume is None:
        return 0
    column = table.values[field]
    return int((column[1:] == column[:-1]).sum())


def _refuse_placeholder(samples: Samples) -> None:
    if len(samples.value) >= _PLACEHOLDER_ROWS and (samples.value == samples.value[0]).all():
        raise InvalidInput(
            DAT_NOT_COVERED,
            [
                Fault(
                    where=f"{', '.join(samples.files)} column {samples.column}",
                    found=f"the same value {samples.value[0]:g} in all {len(samples.value)} rows",
                    expected="prices, not a placeholder",
                )
            ],
        )


def _without_zeros(samples: Samples) -> Samples:
    """A benchmark that is empty or exactly zero is a hole in its source, not a yield."""
    known = np.isfinite(samples.value) & (samples.value != 0.0)
    return msgspec.structs.replace(samples, at=samples.at[known], value=samples.value[known])
