"""The figures of whole years per mode and capital: what decisions cost, how many there were, what is left when sold."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from components.model.orders import TradeStatus
from components.model.requirements import DAY_NS
from tests.acceptance.runs import DATA, MODES
from tests.decisions.campaigns import TWO, hedged, own_capital
from tests.decisions.cases import Case
from tests.decisions.costs import cost_usdt, usdt_per_unit
from tests.decisions.hedges import beyond_limit
from tests.decisions.judging import is_asked
from tests.decisions.oracles import judged
from tests.decisions.playing import Played, Refused, play

CAPITALS = (20_000.0, 100_000.0, 1_000_000.0, 100_000_000.0)
HEADER = ("mode", "capital", "span", "cost a year", "groups", "made", "if sold", "naked rows", "offences")


class Figures(msgspec.Struct, frozen=True):
    """Costs as a share of the capital per year, order groups that left, return at book value and if sold, rows with net
    delta above critical, and what the oracles object to."""

    cost_per_year: float
    groups: int
    made: float
    sold: float
    naked: int
    offences: int


def years() -> Iterator[Case]:
    """One embedded year and all that the real history allows, per mode and capital."""
    for mode in MODES:
        for capital in CAPITALS if hedged(mode) else (own_capital(mode),):
            yield Case(mode=mode, start="2024-01-01", end="2024-12-31", capital=capital)
            if DATA.is_dir():
                given = (TWO,) if hedged(mode) else ()
                yield Case(mode=mode, start="2024-05-15", end="2025-09-01", capital=capital, seed=None, overrides=given)


def figures_of(played: Played) -> Figures:
    stamps, capital = played.result.timestamps, played.result.initial_equity
    span = float(stamps[-1] - stamps[0]) / (365 * DAY_NS)
    paid = sum(cost_usdt(played, done) / usdt_per_unit(played, done.row) for done in played.done if not is_asked(done))
    left = {d.parent for d in played.done if any(t.status is not TradeStatus.REJECTED for t in d.trades)}
    naked = beyond_limit(played)[0].sum() if played.run.mode.hedge_allocation else 0
    return Figures(
        cost_per_year=paid / capital / span,
        groups=len(left),
        made=played.result.final_equity / capital - 1.0,
        sold=played.result.liquidation_value / capital - 1.0,
        naked=int(naked),
        offences=sum(map(len, judged(played).values())),
    )


def table() -> Iterator[str]:
    """The lines of the table, each as soon as it is known."""
    yield _line(HEADER)
    for case in years():
        played = play(case)
        span = "embedded 2024" if case.seed is not None else "real 05/24-09/25"
        about = (case.mode, f"{case.capital:,.0f}", span)
        if isinstance(played, Refused):
            yield _line((*about, "refused", *[""] * 5))
            continue
        f = figures_of(played)
        shown = (f"{f.cost_per_year:.2%}", f"{f.groups}", f"{f.made:+.2%}", f"{f.sold:+.2%}", f"{f.naked}")
        yield _line((*about, *shown, f"{f.offences}"))


def _line(cells: tuple[str, ...]) -> str:
    wide = (32, 13, 17, 12, 8, 9, 9, 11, 9)
    return "".join(
        f"{cell:<{w}}" if i in (0, 2) else f"{cell:>{w}} " for i, (cell, w) in enumerate(zip(cells, wide, strict=True))
    )


if __name__ == "__main__":
    for text in table():
        print(text, flush=True)
