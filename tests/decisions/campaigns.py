"""What is played: every start the real history allows, seeds, scenarios under strain, capitals, and whole years."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from msgspec import structs

from components.model.requirements import DAY_NS
from tests.acceptance.runs import MODES
from tests.decisions.cases import Case
from tests.decisions.history import history_of
from tests.decisions.playing import smallest_of
from venues.embedded.stress import SCENARIOS

TWO = "hedge_allocation={binance: 0.6, bybit: 0.4}"
NEUTRAL = ("usdt_market_neutral", "usdt_market_neutral_no_leverage")
STRESS = ("crash", "squeeze", "depeg", "funding_negative")
DAYS = 5


def hedged(mode: str) -> bool:
    return mode in NEUTRAL or mode.endswith("_basis")


def own_capital(mode: str) -> float:
    """A middling capital in the currency of the mode."""
    return 30.0 if mode in ("eth_staking_only", "eth_leveraged") else 100_000.0


def capitals(mode: str) -> tuple[float, ...]:
    """From the smallest anybody tries to a billion."""
    if own_capital(mode) < 100.0:
        return (0.01, 0.1, 1.0, 30.0, 1_000.0, 100_000.0)
    return (50.0, 100.0, 1_000.0, 5_000.0, 20_000.0, 1e6, 1e7, 1e8, 1e9)


def _date(at: int) -> str:
    return str(np.datetime64(at, "ns"))[:10]


def starts(mode: str, capital: float, *overrides: str, every: int = 1) -> Iterator[Case]:
    """Five days from each midnight (or each `every`th) of the real history."""
    given = (TWO, *overrides) if hedged(mode) else overrides
    for at in history_of(mode, given).day_starts(DAYS)[::every]:
        yield Case(
            mode=mode, start=_date(at), end=_date(at + DAYS * DAY_NS), capital=capital, seed=None, overrides=given
        )


def day_starts(every: int = 1) -> Iterator[Case]:
    """Both neutral modes from everywhere, with 20,000 and 100,000, placed or in the wallet; the others placed."""
    for mode in MODES:
        if mode not in NEUTRAL:
            yield from starts(mode, own_capital(mode), every=every)
            continue
        for capital in (20_000.0, 100_000.0):
            for where in ("target", "wallet"):
                yield from starts(mode, capital, f"initial_location={where}", every=every)


def seeds(count: int = 40) -> Iterator[Case]:
    """Months of the embedded market in every mode."""
    for seed in range(count):
        for mode in MODES:
            yield Case(mode=mode, start="2024-03-01", end="2024-04-15", capital=own_capital(mode), seed=seed)


def minutes(count: int = 120) -> Iterator[Case]:
    """Half a day of minutes."""
    for seed in range(count):
        for mode in NEUTRAL:
            yield Case(mode=mode, start="2024-03-01", end="2024-03-01T12:00Z", capital=100_000.0, seed=seed, step="1m")


def stress(count: int = 10) -> Iterator[Case]:
    """Both neutral modes under strain: little margin, four scenarios, both ways out."""
    for seed in range(count):
        for scenario in STRESS:
            for share in (0.5, 0.6, 0.7, 0.8):
                margin = (1.0 - share) / share
                band = f"margin_ratio_band={{low: {margin / 2:.4f}, high: {2 * margin:.4f}}}"
                tight = (f"stake_allocation={share}", f"margin_ratio_target={margin:.4f}", band)
                if margin < 0.4:
                    tight += ("risk.margin={warning: 0.16, critical: 0.08}",)
                for mode in NEUTRAL:
                    path = "queue" if (seed + round(share * 10)) % 2 else "market"
                    yield Case(
                        mode=mode, start="2024-10-05", end="2024-12-25", capital=100_000.0, seed=seed,
                        scenario=scenario, overrides=(*(tight if share > 0.5 else ()), f"exit_path={path}"),
                    )  # fmt: skip


def scenarios(count: int = 4) -> Iterator[Case]:
    """Every mode through every scenario as it is configured."""
    for seed in range(count):
        for scenario in SCENARIOS:
            for mode in MODES:
                yield Case(
                    mode=mode, start="2024-10-05", end="2024-12-25", capital=own_capital(mode), seed=seed,
                    scenario=scenario,
                )  # fmt: skip


def sizes(count: int = 3) -> Iterator[Case]:
    """Every mode with every capital, the smallest that is let through among them, for ten days."""
    for seed in range(count):
        for mode in MODES:
            case = Case(mode=mode, start="2024-03-01", end="2024-03-11", capital=own_capital(mode), seed=seed)
            for capital in (1.0001 * smallest_of(case), *capitals(mode)):
                yield structs.replace(case, capital=capital)


def flows(count: int = 6) -> Iterator[Case]:
    """Deposits and withdrawals, also on one row, and one of more than there is."""
    for seed in range(count):
        for mode in MODES:
            capital = own_capital(mode)
            for shares in ((0.3,), (-0.3,), (0.5, -0.5), (-0.9, 0.5), (0.01, -0.02)):
                texts = tuple(f"2024-03-05:{capital * share:+g}" for share in shares)
                yield Case(mode=mode, start="2024-03-01", end="2024-03-15", capital=capital, seed=seed, flows=texts)


def years() -> Iterator[Case]:
    """Whole years, real and embedded."""
    for mode in MODES:
        for capital in (20_000.0, 100_000.0, 1e6) if hedged(mode) else (own_capital(mode),):
            yield Case(mode=mode, start="2024-01-01", end="2024-12-31", capital=capital)
            given = (TWO,) if hedged(mode) else ()
            yield Case(mode=mode, start="2024-06-01", end="2025-09-01", capital=capital, seed=None, overrides=given)


def known() -> Iterator[Case]:
    """Runs that once went wrong."""
    neutral, plain = NEUTRAL
    yield Case(mode=neutral, start="2024-01-01", end="2024-01-11", capital=100_000.0, seed=23)
    yield Case(mode=neutral, start="2024-12-31", end="2025-01-02", capital=100_000.0, seed=None, overrides=(TWO,))
    band = "margin_ratio_band={low: 0.33, high: 1.32}"
    yield Case(
        mode=plain, start="2024-10-05", end="2024-12-25", capital=100_000.0, seed=2, scenario="squeeze",
        overrides=("stake_allocation=0.6", "margin_ratio_target=0.66", band),
    )  # fmt: skip
    yield Case(
        mode=plain, start="2024-10-15", end="2025-03-31", capital=100_000.0, seed=None,
        overrides=("hedge_allocation={bybit: 1.0}",),
    )  # fmt: skip
    weeth = ("lst_type=weETH", "rewards_mode=base_eigen")
    yield Case(mode=neutral, start="2024-06-01", end="2025-09-01", capital=20_000.0, seed=None, overrides=(TWO, *weeth))
    lopsided = "hedge_allocation={binance: 0.999, bybit: 0.001}"
    yield Case(mode=neutral, start="2024-01-01", end="2024-07-01", capital=100_000.0, overrides=(lopsided,))
    yield Case(mode=neutral, start="2024-01-01", end="2024-07-01", capital=100_000.0, seed=3, scenario="depeg")
    for flow in (("2024-01-10:-30000",), ("2024-01-10:+50000", "2024-01-10:-50000")):
        yield Case(mode=neutral, start="2024-01-01", end="2024-01-20", capital=100_000.0, flows=flow)


CAMPAIGNS: Mapping[str, Callable[[], Iterator[Case]]] = {
    "known": known,
    "starts": day_starts,
    "seeds": seeds,
    "minutes": minutes,
    "stress": stress,
    "scenarios": scenarios,
    "sizes": sizes,
    "flows": flows,
    "years": years,
}
