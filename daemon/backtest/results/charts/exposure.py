"""Charts of what was held and what it risked: delta, margin, loan to value, funding, balance sheet, exchanges."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from components.model.market import Column
from daemon.backtest.results.charts import style
from daemon.backtest.results.charts.profit import heat_layout, money_axis, money_layout
from daemon.backtest.results.charts.traces import Chart, Periods, area, bars, heat_map, line, thin
from daemon.backtest.results.summary import FinishedRun


def exposure_charts(finished: FinishedRun) -> Iterator[Chart]:
    """Only the charts whose data this run has."""
    columns = finished.result.columns
    if "net_delta" in columns and not np.isnan(columns["net_delta"]).all():
        yield _delta(finished)
    if ratios := by_venue(finished, "margin_ratio"):
        yield _margin(finished, ratios)
    if "ltv" in columns and not np.isnan(columns["ltv"]).all():
        yield _leverage(finished)
    if funding := by_venue(finished, "funding"):
        yield _funding(finished, funding)
        yield _funding_calendar(finished, funding)
    if finished.holdings:
        yield _balance_sheet(finished)
    if equity := by_venue(finished, "venue_equity"):
        yield _by_exchange(
            finished,
            equity,
            "Equity",
            name="venue-equity",
            title="Equity by exchange",
            lead="What lies at each exchange, unrealised profit included.",
        )
    if profits := by_venue(finished, "venue_pnl"):
        yield _by_exchange(
            finished,
            {venue: np.cumsum(np.nan_to_num(values)) for venue, values in profits.items()},
            "Profit since start",
            name="venue-pnl",
            title="Profit by exchange",
            lead="Transfers are not profit. What a short loses here, the coin it hedges may gain elsewhere.",
        )


def by_venue(finished: FinishedRun, kind: str) -> dict[str, Column]:
    """Columns `kind.<venue>` that ever hold anything."""
    columns = finished.result.columns
    found = {name.removeprefix(f"{kind}."): columns[name] for name in columns if name.startswith(f"{kind}.")}
    return {venue: values for venue, values in found.items() if np.any(np.nan_to_num(values))}


def _delta(finished: FinishedRun) -> Chart:
    delta = 100.0 * finished.result.columns["net_delta"]
    rows = thin([delta])
    limit = finished.run.mode.risk.delta
    layout = style.layout("Net coin ÷ hedged coin (%)", ticks=".3~g", hover=".4~f", showlegend=False)
    layout = style.with_level(layout, 100.0 * limit.warning, "warning", style.WARNING)
    return Chart(
        name="delta-neutrality",
        title="Delta neutrality",
        lead="How far the hedge is off, over all that moves with the coin: staked, owed, in flight, gas debt.",
        traces=[area("Net delta", delta[rows], style.ACCENT, fill="tozeroy")],
        layout=style.with_level(layout, 100.0 * limit.critical, "critical", style.CRITICAL),
        rows=rows,
    )


def _margin(finished: FinishedRun, ratios: dict[str, Column]) -> Chart:
    rows = thin(list(ratios.values()))
    limit = finished.run.mode.risk.margin
    layout = style.layout("Equity ÷ notional", ticks=".2~f", hover=".3f")
    layout["yaxis"]["rangemode"] = "tozero"
    layout = style.with_level(layout, limit.warning, "warning", style.WARNING)
    return Chart(
        name="margin-ratios",
        title="Margin ratio by exchange",
        lead="Falls while the price rises against the shorts; a rebalance lifts it back to its target.",
        traces=_lines(ratios, rows, width=1.2),
        layout=style.with_level(layout, limit.critical, "critical", style.CRITICAL),
        rows=rows,
    )


def _leverage(finished: FinishedRun) -> Chart:
    columns, mode = finished.result.columns, finished.run.mode
    ltv, health = columns["ltv"], columns["health_factor"]
    rows = thin([ltv, health])
    layout = style.stacked(
        style.layout("", showlegend=False),
        style.value_axis("Loan to value", ticks=".3~f", hover=".4f"),
        style.value_axis("Health factor", ticks=".3~f", hover=".4f"),
        split=0.54,
    )
    layout = style.with_level(layout, mode.target_ltv, "target", style.MUTED)
    layout = style.with_level(layout, mode.risk.ltv.warning, "warning", style.WARNING)
    layout = style.with_level(layout, mode.risk.ltv.critical, "critical", style.CRITICAL)
    layout = style.with_level(layout, 1.0 + mode.risk.liquidation.warning, "warning", style.WARNING, "y2")
    return Chart(
        name="ltv-health-factor",
        title="Loan to value and health factor",
        lead="Aave liquidates below a health factor of 1.",
        traces=[
            line("Loan to value", ltv[rows], style.ACCENT),
            line("Health factor", health[rows], style.GOOD, yaxis="y2"),
        ],
        layout=style.with_level(layout, 1.0, "liquidation", style.CRITICAL, "y2"),
        rows=rows,
    )


def _funding(finished: FinishedRun, funding: dict[str, Column]) -> Chart:
    sums = {venue: np.cumsum(values) for venue, values in funding.items()}
    months = Periods(finished.result.timestamps, "M")
    rows = thin(list(sums.values()))
    traces = _lines(sums, rows, width=1.8)
    for i, (venue, values) in enumerate(funding.items()):
        colour = style.colour_of(venue, i)
        monthly = bars(style.title_of(venue), months.labels, months.sums(values), colour, yaxis="y2", showlegend=False)
        traces.append({**monthly, "xperiod": "M1", "xperiodalignment": "middle"})
    return Chart(
        name="funding-by-venue",
        title="Funding by exchange",
        lead="Received by the shorts (above zero) or paid, at the times each exchange publishes.",
        traces=traces,
        layout=style.stacked(
            style.layout("", barmode="relative", bargap=0.3),
            money_axis(finished, "Since start"),
            money_axis(finished, "By month"),
            split=0.46,
        ),
        rows=rows,
    )


def _funding_calendar(finished: FinishedRun, funding: dict[str, Column]) -> Chart:
    days = Periods(finished.result.timestamps, "D")
    total = np.zeros(len(finished.result.timestamps))
    for values in funding.values():
        total += np.nan_to_num(values)
    months = sorted({label[:7] for label in days.labels})
    cells = {
        (months.index(label[:7]), int(label[8:10]) - 1): value
        for label, value in zip(days.labels, days.sums(total).tolist(), strict=True)
    }
    return Chart(
        name="funding-calendar",
        title="Funding calendar",
        lead="Funding of all exchanges per day: green was received, red was paid.",
        traces=[heat_map([str(day) for day in range(1, 32)], months, cells, finished.summary.share_class)],
        layout=heat_layout(),
    )


def _balance_sheet(finished: FinishedRun) -> Chart:
    held, equity = finished.holdings, finished.result.columns["equity"]
    rows = thin([*held.values(), equity])
    traces = []
    for i, (place, values) in enumerate(held.items()):
        side = "owed" if np.nansum(values) < 0.0 else "held"
        name, colour = style.title_of(place), style.colour_of(place, i)
        traces.append(area(name, values[rows], colour, stackgroup=side, width=0.8, opacity=0.5))
    traces.append(line("Equity", equity[rows], style.INK, width=2.2))
    return Chart(
        name="balance-sheet",
        title="Balance sheet",
        lead="What is held lies above zero, what is owed below; an exchange counts with its equity.",
        traces=traces,
        layout=money_layout(finished, "Value"),
        rows=rows,
    )


def _by_exchange(
    finished: FinishedRun, columns: dict[str, Column], what: str, *, name: str, title: str, lead: str
) -> Chart:
    rows = thin(list(columns.values()))
    return Chart(
        name=name, title=title, lead=lead, traces=_lines(columns, rows), layout=money_layout(finished, what), rows=rows
    )


def _lines(columns: dict[str, Column], rows: np.ndarray, *, width: float = 1.6) -> list[dict[str, object]]:
    return [
        line(style.title_of(venue), values[rows], style.colour_of(venue, i), width=width)
        for i, (venue, values) in enumerate(columns.items())
    ]
