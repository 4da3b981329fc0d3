"""Ratios of an account as its venues report it, while its core rests: net delta, margin, loan to value.

Under a latch the core's columns are those of its last step, and closing moves positions every second. What is shown
then is measured here, by the same monitors, from what the venues say is held at the prices of the last row.
"""

from __future__ import annotations

from collections.abc import Mapping

from components.exposure_monitor import ExposureMonitor
from components.maths.perps import maintenance_usdt
from components.model.keys import PositionKey
from components.model.slices import RunSlice
from components.ports import Settlements
from components.position_monitor import PositionMonitor
from components.risk_monitor import RiskMonitor
from components.utility_manager import UtilityManager
from daemon.safety.flat import flatness
from daemon.world.rows import MarketRow, window_of

NOTHING = Settlements(rows=1, cash=(), happenings=())
PER_VENUE = ("margin_ratio", "mm_ratio")
RATIOS = ("net_delta", "ltv", "health_factor")


def observed_columns(run: RunSlice, row: MarketRow, held: Mapping[PositionKey, float]) -> dict[str, float]:
    """The ratios that can be measured, named as the core names them; MissingData where a price is not there."""
    # Of a hedged account that is flat nothing is open: there is no quotient but that of dust, and it is not unknown.
    found: dict[str, float] = {"net_delta": 0.0} if run.mode.hedge_allocation else {}
    held = {key: amount for key, amount in held.items() if amount}
    if not held:
        return found
    window = window_of(row, None)
    is_flat = flatness(run, window.row(0), held, now=row.timestamp).is_flat
    positions = PositionMonitor()
    positions.place(held)
    book = positions.project(window, NOTHING)
    exposure = ExposureMonitor(run.mode, run.exchanges, UtilityManager.of(run.mode)).measure(book)
    risk = RiskMonitor(run.mode, run.chain).assess(exposure, 1.0)
    for name, column in (("net_delta", risk.delta), ("ltv", exposure.ltv), ("health_factor", risk.health_factor)):
        if column is not None and not (name == "net_delta" and is_flat):
            found[name] = column if isinstance(column, float) else float(column[-1])
    for venue, account in exposure.accounts.items():
        if account.margin_ratio is not None and account.notional_usdt is not None:
            tiers = run.exchanges[venue].instruments[f"perp.{run.mode.asset}"].tiers
            needed = maintenance_usdt(account.notional_usdt, tiers)
            found[f"margin_ratio.{venue}"] = float(account.margin_ratio[-1])
            found[f"mm_ratio.{venue}"] = float(needed[-1] / account.equity_usdt[-1])
    return found


def without_ratios(columns: Mapping[str, float]) -> dict[str, float]:
    """Columns of a step less those that trading outside of it makes wrong."""
    return {
        name: value for name, value in columns.items() if name not in RATIOS and name.partition(".")[0] not in PER_VENUE
    }
