"""The suites of the tests, what each may take, and what a run says of both.

A suite is a folder of `tests/`, or a folder within one where the table of `docs/testing.md` has a line for it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

_ROW = re.compile(r"^\| `tests/(?P<suite>[\w/]+)` \|.*\| (?P<seconds>\d+) \|$")


@dataclass(frozen=True, slots=True)
class Allowance:
    """What each suite may take, in seconds of one process on an idle core."""

    seconds: Mapping[str, int]

    WORTH_A_TABLE_S = 60.0
    """Shorter runs are somebody's single file: no table."""

    @classmethod
    def of_page(cls, page: Path) -> Allowance:
        rows = (_ROW.match(line) for line in page.read_text().splitlines())
        return cls({row["suite"]: int(row["seconds"]) for row in rows if row})

    def suite(self, test: str) -> str:
        """The suite of a test id `tests/a/b/test_c.py::name`: the longest one in the table, else the top folder."""
        folders = test.split("::")[0].split("/")[1:-1]
        for depth in range(len(folders), 0, -1):
            if "/".join(folders[:depth]) in self.seconds:
                return "/".join(folders[:depth])
        return folders[0] if folders else "."


def agreed_skips(file: Path) -> tuple[str, ...]:
    """The patterns of a list of agreed skips: one per line, `#` begins a reason. Raises OSError without the file."""
    lines = (line.split("#")[0].strip() for line in file.read_text().splitlines())
    return tuple(line for line in lines if line)


@dataclass
class Overview:
    """What a run has taken and left out so far. `agreed` is None where every skip is allowed."""

    allowance: Allowance
    agreed: Sequence[str] | None
    taken: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    unexpected: list[str] = field(default_factory=list)

    @classmethod
    def reading(cls, root: Path, agreed: str | None) -> Overview:
        return cls(
            Allowance.of_page(root / "docs" / "testing.md"), None if agreed is None else agreed_skips(root / agreed)
        )

    def hear(self, test: str, seconds: float, *, skipped: bool) -> None:
        self.taken[self.allowance.suite(test)] += seconds
        if skipped and self.agreed is not None and not any(fnmatchcase(test, pattern) for pattern in self.agreed):
            self.unexpected.append(test)

    @property
    def seconds_in_all(self) -> float:
        return sum(self.taken.values())

    def table(self) -> list[str]:
        """A line per suite: seconds taken, seconds allowed, and a mark where it took more."""
        lines = []
        for suite, seconds in sorted(self.taken.items(), key=lambda each: -each[1]):
            allowed = self.allowance.seconds.get(suite)
            said = "no line in docs/testing.md" if allowed is None else f"of {allowed:>4} s"
            over = " <- more than allowed" if allowed is not None and seconds > allowed else ""
            lines.append(f"{suite:<22} {seconds:7.1f} s {said}{over}")
        return lines
