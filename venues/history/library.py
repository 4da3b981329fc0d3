"""An opened data folder: series by name, each file read and judged at most once.

Where a series lies in files of several steps, `choices` says in which order to try them; joining different steps would
mix resolutions, so one choice is one step.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from components.model.errors import DAT_CONFLICT, DAT_IMPLAUSIBLE, DAT_NOT_COVERED, DAT_UNREADABLE, Fault, InvalidInput
from components.model.requirements import DAY_NS, HOUR_NS, SeriesName
from components.model.slices import PlausibleSlice
from venues.history.files.cache import ColumnCache
from venues.history.files.catalogue import Ignored, Shelf, SourceFile, stock
from venues.history.files.places import CONTRACT_SIZE, expected_place
from venues.history.files.schema import FUNDING, ORACLE, RESERVE
from venues.history.files.stamps import length
from venues.history.files.tables import Table, joined, read_table
from venues.history.series.align import Samples
from venues.history.series.plausible import Verdict, judge, judge_extreme
from venues.history.series.rebuild import completed_days, refuse_implausible, slashings

_PLACEHOLDER_ROWS = 24
_SHOWN = 5
Choice = int | None


class Library:
    """The series of one folder. Every method raises InvalidInput listing all that is wrong with the files touched."""

    def __init__(
        self,
        folder: Path,
        cache: Path | None,
        interpolated: Literal["rebuild", "as_published"],
        *,
        plausible: PlausibleSlice | None = None,
        zone: str | None = None,
    ) -> None:
        """`plausible` are the bounds of values (None: any), `zone` that of stamps that name none."""
        self.folder = folder
        self._stock = stock(folder, zone)
        self.shelves = self._stock.shelves
        self.notes: dict[str, tuple[str, ...]] = {}
        self._cache = ColumnCache(cache)
        self._interpolated = interpolated
        self._plausible = plausible
        self._tables: dict[tuple[str, ...], Table] = {}
        self._samples: dict[tuple[str, Choice], Samples] = {}

    def ignored(self) -> list[Ignored]:
        """Files of the folder that are not read, and why."""
        return self._stock.ignored()

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
        """One series at the times its values became known; interpolated sources rebuilt if the mode says so. What was
        odd in it and accepted stands in `notes` under its name."""
        if (name, choice) not in self._samples:
            self._samples[name, choice] = self._judged(name, choice)
        return self._samples[name, choice]

    def _judged(self, name: str, choice: Choice) -> Samples:
        shelf = self._shelf(name)
        table = self.table(name, choice)
        if shelf.field in shelf.schema.one_of and np.isnan(table.values[shelf.field]).all():
            field = next(field for field in shelf.schema.fields if field.name == shelf.field)
            fault = Fault(
                where=f"{', '.join(table.files)} column {field.title}",
                found="no such column",
                expected=" or ".join(field.columns),
            )
            raise InvalidInput(DAT_UNREADABLE, [fault])
        samples = Samples(
            name=name,
            files=table.files,
            hashes=table.hashes,
            column=table.titles[shelf.field],
            step=table.step,
            at=table.at,
            value=table.values[shelf.field],
            duplicates=table.duplicates,
            flat=_flat_rows(table, shelf.field),
            lag=table.lag,
            parts=table.parts,
            interval=table.values.get("interval"),
        )
        if self._plausible is not None:
            self._believe(samples, table, self._plausible)
        if shelf.schema is RESERVE or shelf.schema is ORACLE:
            if self._plausible is None or name not in self._plausible.accepted:
                refuse_implausible(samples, "index" if shelf.schema is RESERVE else "ratio")
            if shelf.schema is ORACLE:
                self._note(name, slashings(samples))
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

    def _believe(self, samples: Samples, table: Table, bounds: PlausibleSlice) -> None:
        """InvalidInput (DAT-006) when values cannot be what they claim to be and the mode does not accept them."""
        kind = SeriesName.parse(samples.name).kind
        if kind in ("perp_high", "perp_low"):
            nearest = np.maximum if kind == "perp_high" else np.minimum
            verdict: Verdict = judge_extreme(samples, nearest(table.values["open"], table.values["close"]), bounds)
        else:
            verdict = judge(samples, bounds)
        if verdict.faults:
            raise InvalidInput(DAT_IMPLAUSIBLE, verdict.faults)
        self._note(samples.name, verdict.notes)

    def _note(self, name: str, notes: tuple[str, ...]) -> None:
        if notes:
            self.notes[name] = tuple(dict.fromkeys((*self.notes.get(name, ()), *notes)))

    def _shelf(self, name: str) -> Shelf:
        shelf = self.shelves.get(name)
        if shelf is None:
            fault = Fault(
                where=f"{self.folder.name}/{expected_place(name)}",
                found=f"no file{self._instead(name)}",
                expected=f"a file holding {name}",
            )
            raise InvalidInput(DAT_NOT_COVERED, [fault])
        return shelf

    def _instead(self, name: str) -> str:
        """What lies there instead of a series: files that were ignored, and the same price of other venues."""
        place, wanted = expected_place(name).rpartition("/")[0], SeriesName.parse(name)
        ignored = self.ignored()
        here = [one for one in ignored if one.file.startswith(f"{place}/") and not one.file.endswith("/")]
        said = [f"{one.file.removeprefix(place + '/')}: {one.reason}" for one in (here or ignored)[:_SHOWN]]
        if len(here or ignored) > _SHOWN:
            said.append(f"{len(here or ignored) - _SHOWN} more")
        text = f"; {'ignored there' if here else 'not read'}: {'; '.join(said)}" if said else ""
        alike = sorted(
            other
            for other in self.shelves
            if (series := SeriesName.parse(other)).kind == wanted.kind and series.symbol == wanted.symbol
        )
        return text + (f"; there is {', '.join(alike)}" if alike else "")

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
        # A single row shows no step; where a row is known at its stamp, none is needed of it.
        steps = {table.step for table in tables if table.lag or len(table.at) > 1 or shelf.schema.step_ns}
        if len(steps) > 1 and shelf.schema is not FUNDING:
            found = f"rows {' and '.join(map(length, sorted(steps)))} apart"
            raise InvalidInput(DAT_CONFLICT, [Fault(where=names, found=found, expected="files of one step")])
        table = joined(tables)
        if steps and table.step not in steps:
            table = msgspec.structs.replace(table, step=min(steps))
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
                    where=samples.where,
                    found=f"the same value {samples.value[0]:g} in all {len(samples.value)} rows",
                    expected="prices, not a placeholder",
                )
            ],
        )


def _without_zeros(samples: Samples) -> Samples:
    """A benchmark that is empty or exactly zero is a hole in its source, not a yield."""
    known = np.isfinite(samples.value) & (samples.value != 0.0)
    return msgspec.structs.replace(samples, at=samples.at[known], value=samples.value[known])
