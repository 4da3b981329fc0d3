"""Reward periods of weETH: weekly EIGEN and seasonal ETHFI, as tokens per eETH and period.

EIGEN is recomputed from totals, `earned / (restaked + not restaked)`, because the published column is off by −11..+22 %
and divides the 52 days of its first row by six. A date in the files is a whole day: a period ends the midnight after
its last day, which is when EIGEN is credited; ETHFI is credited at its top-up date (DESIGN-replay, Rewards).
Ranges such as `~5–15` are estimates and used only when the mode asks for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from components.model.errors import DAT_CONFLICT, DAT_NOT_COVERED, DAT_UNREADABLE, Fault, InvalidInput
from components.model.market import Column, RewardPeriod, Stamps
from components.model.requirements import DAY_NS
from venues.history.files.cache import content_hash
from venues.history.files.catalogue import reward_file
from venues.history.files.cells import BadCell, numbers, span
from venues.history.files.places import EIGEN_DISTRIBUTIONS, ETHFI_TOPUPS, SEASONAL_DROPS
from venues.history.files.read import Sheet, read_sheet, unreadable
from venues.history.files.stamps import iso, parse_stamps

Estimates = Literal["none", "low", "mid", "high"]


class Rewards(msgspec.Struct, frozen=True):
    """Every period known of one token, in the order paid; `files` relative to the folder."""

    token: str
    periods: tuple[RewardPeriod, ...]
    files: tuple[str, ...]
    hashes: tuple[str, ...]

    @property
    def known_until(self) -> int:
        """End of the last period: rewards of later days are missing, not zero."""
        return max(period.end for period in self.periods)

    def within(self, start: int, last: int) -> tuple[RewardPeriod, ...]:
        """Periods in which something may be held after `start` and that are credited by `last`."""
        return tuple(period for period in self.periods if period.end > start and period.paid_at <= last)


class _Page(msgspec.Struct, frozen=True):
    """One reward table with its name for messages."""

    file: str
    sheet: Sheet
    digest: str

    def text(self, column: str) -> list[str]:
        if column not in self.sheet.columns:
            raise unreadable(f"{self.file} column {column}", "no such column", f"one of the columns to be {column}")
        return [str(cell) for cell in self.sheet.columns[column]]

    def dates(self, column: str) -> Stamps:
        """Midnight at which each date begins; the tables are kept in UTC."""
        try:
            return parse_stamps(self.text(column), zone="UTC") // DAY_NS * DAY_NS
        except BadCell as bad:
            raise unreadable(f"{self.file} column {column} row {bad.row}", repr(bad.text), "a date") from bad

    def amounts(self, column: str) -> Column:
        try:
            values = numbers(self.text(column))
        except BadCell as bad:
            raise unreadable(f"{self.file} column {column} row {bad.row}", repr(bad.text), bad.expected) from bad
        wrong = np.flatnonzero(~(np.isfinite(values) & (values >= 0.0)))
        if len(wrong):
            found = f"{values[wrong[0]]:g}"
            raise unreadable(f"{self.file} column {column} row {wrong[0] + 1}", found, "a number not below 0")
        return values


def eigen_rewards(folder: Path) -> Rewards:
    """Weekly EIGEN periods; InvalidInput when the file is absent, unreadable or its periods overlap."""
    page = _page(folder, EIGEN_DISTRIBUTIONS)
    starts, ends = page.dates("staking_period_start"), page.dates("staking_period_end") + DAY_NS
    per_eeth = page.amounts("eigen_earned") / _positive(page, _eeth(page))
    rows = zip(starts.tolist(), ends.tolist(), ends.tolist(), per_eeth.tolist(), strict=True)
    periods = _ordered(page, [RewardPeriod("EIGEN", *row) for row in rows])
    for before, after in pairwise(periods):
        if after.start < before.end:
            found = f"a period from {iso(after.start)} while the one before ends {iso(before.end)}"
            where = f"{page.file} column staking_period_start"
            fault = Fault(where=where, found=found, expected="periods that do not overlap")
            raise InvalidInput(DAT_CONFLICT, [fault])
    return Rewards("EIGEN", periods, (page.file,), (page.digest,))


def ethfi_rewards(folder: Path, estimates: Estimates) -> Rewards:
    """ETHFI top-ups, and season estimates if asked for.

    The eETH of a top-up's period comes from the EIGEN table when that has the same dates; else the published amount per
    eETH is used. InvalidInput as for EIGEN.
    """
    page = _page(folder, ETHFI_TOPUPS)
    eeth = _eeth_by_period(folder)
    starts, ends = page.dates("staking_period_start"), page.dates("staking_period_end") + DAY_NS
    paid, amounts = page.dates("top_up_date"), page.amounts("ethfi_amount")
    published = page.amounts("ethfi_per_eeth_distributed")
    periods = []
    for start, end, paid_at, amount, stated in zip(
        starts.tolist(), ends.tolist(), paid.tolist(), amounts.tolist(), published.tolist(), strict=True
    ):
        held = eeth.get((start, end))
        periods.append(RewardPeriod("ETHFI", start, end, paid_at, stated if held is None else amount / held))
    files, hashes = [page.file], [page.digest]
    if estimates != "none":
        seasons = _page(folder, SEASONAL_DROPS)
        periods += _season_estimates(seasons, estimates)
        files.append(seasons.file)
        hashes.append(seasons.digest)
    return Rewards("ETHFI", _ordered(page, periods), tuple(files), tuple(hashes))


def _season_estimates(page: _Page, estimates: Estimates) -> list[RewardPeriod]:
    """Seasons published as a range. Exact rows of the table repeat top-ups and are left out."""
    tokens, ranges = page.text("reward_token"), [span(text) for text in page.text("reward_per_eeth")]
    starts, ends, paid = page.dates("start_date"), page.dates("end_date") + DAY_NS, page.dates("payout_date")
    periods = []
    for i, ends_of_range in enumerate(ranges):
        if tokens[i] == "ETHFI" and ends_of_range is not None:
            low, high = ends_of_range
            amount = {"low": low, "mid": (low + high) / 2.0, "high": high}[estimates]
            periods.append(RewardPeriod("ETHFI", int(starts[i]), int(ends[i]), int(paid[i]), amount))
    return periods


def _eeth_by_period(folder: Path) -> Mapping[tuple[int, int], float]:
    if reward_file(folder, EIGEN_DISTRIBUTIONS) is None:
        return {}
    page = _page(folder, EIGEN_DISTRIBUTIONS)
    starts, ends = page.dates("staking_period_start"), page.dates("staking_period_end") + DAY_NS
    eeth = _positive(page, _eeth(page))
    return {
        (start, end): total for start, end, total in zip(starts.tolist(), ends.tolist(), eeth.tolist(), strict=True)
    }


def _eeth(page: _Page) -> Column:
    return page.amounts("eth_restaked") + page.amounts("eth_not_restaked")


def _positive(page: _Page, eeth: Column) -> Column:
    if (empty := np.flatnonzero(eeth <= 0.0)).size:
        raise unreadable(f"{page.file} column eth_restaked row {empty[0] + 1}", "no eETH at all", "a total above 0")
    return eeth


def _ordered(page: _Page, periods: list[RewardPeriod]) -> tuple[RewardPeriod, ...]:
    """Periods by payment; one that ends before it begins or is paid before it ends cannot be real."""
    if not periods:
        raise InvalidInput(DAT_NOT_COVERED, [Fault(where=page.file, found="a header and no rows", expected="periods")])
    wrong = [period for period in periods if not period.start < period.end <= period.paid_at]
    faults = [
        Fault(
            where=page.file,
            found=f"{period.token} from {iso(period.start)} to {iso(period.end)} paid {iso(period.paid_at)}",
            expected="a start before the end, and no payment before it",
        )
        for period in wrong
    ]
    if faults:
        raise InvalidInput(DAT_UNREADABLE, faults)
    return tuple(sorted(periods, key=lambda period: (period.paid_at, period.start)))


def _page(folder: Path, stem: str) -> _Page:
    path = reward_file(folder, stem)
    if path is None:
        fault = Fault(where=f"{stem}.csv", found="no file", expected="the reward table, or rewards_mode: base_only")
        raise InvalidInput(DAT_NOT_COVERED, [fault])
    file = path.relative_to(folder).as_posix()
    try:
        content = path.read_bytes()
    except OSError as exc:
        raise unreadable(file, exc.strerror or "not readable", "a readable file") from exc
    return _Page(file, read_sheet(file, content), content_hash(content))
