"""Charts of what was earned: profit in total, by part and by month, returns, and what it cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from components.model.events import Event, EventType
from components.model.market import Column
from components.pnl_monitor import PARTS
from daemon.backtest.results.charts import style
from daemon.backtest.results.charts.traces import Chart, Periods, Trace, area, bars, heat_map, line, rounded, thin
from daemon.backtest.results.summary import DAYS_PER_YEAR, FinishedRun, drawdown

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
COSTS = ("transaction_costs", "borrow_costs", "liquidation")
MARKED = {
    EventType.DECISION: ("Decisions", style.INK, "circle-open"),
    EventType.LIQUIDATION: ("Liquidations", style.CRITICAL, "x"),
    EventType.EMERGENCY_STOP: ("Emergency stops", style.CRITICAL, "triangle-down"),
}
MAX_MARKS = 1_000
SHARPE_DAYS = (30, 90)


def profit_charts(finished: FinishedRun) -> Iterator[Chart]:
    yield _cumulative(finished)
    yield _parts(finished)
    yield _waterfall(finished)
    yield _by_month(finished)
    yield _equity(finished)
    yield _monthly_returns(finished)
    days = Periods(finished.result.timestamps, "D")
    if len(days) > SHARPE_DAYS[0]:
        yield _rolling_sharpe(finished, days)
    if any(np.any(finished.result.columns[name]) for name in COSTS if name in finished.result.columns):
        yield _costs(finished)


def money_layout(finished: FinishedRun, what: str, **more: Any) -> style.Layout:
    return style.layout("", **more) | {"yaxis": money_axis(finished, what)}


def money_axis(finished: FinishedRun, what: str) -> style.Layout:
    """A value axis in share-class currency; ETH is shown with more decimals."""
    eth = finished.summary.share_class == "ETH"
    title = f"{what} ({finished.summary.share_class})"
    return style.value_axis(title, ticks=",.4~f" if eth else ",.6~g", hover=",.5~f" if eth else ",.2f")


def profit(finished: FinishedRun) -> Column:
    """Since the start, without deposits and withdrawals."""
    columns = finished.result.columns
    total: Column = columns["equity"] - finished.result.initial_equity - np.cumsum(columns["external_flow"])
    return total


def parts_of(finished: FinishedRun) -> dict[str, Column]:
    """The parts that were ever other than zero, and the residual if it was."""
    columns = finished.result.columns
    parts = {name: columns[name] for name in (*PARTS, "residual") if name in columns}
    return {name: values for name, values in parts.items() if np.any(values)}


def _cumulative(finished: FinishedRun) -> Chart:
    result, summary = finished.result, finished.summary
    paid_in = summary.initial_capital + np.cumsum(result.columns["external_flow"])
    total = profit(finished)
    # Coins held outright would dwarf everything else; the summary has them.
    others = {name: value - paid_in for name, value in finished.benchmarks.items() if name == "susde"}
    rows = thin([total, *others.values()])
    traces = [area("Strategy", total[rows], style.ACCENT, fill="tozeroy", width=2.2)]
    for i, (name, values) in enumerate(others.items()):
        traces.append(line(style.title_of(name), values[rows], style.colour_of(name, i), width=1.4, dash="dot"))
    return Chart(
        name="cumulative-pnl",
        title="Cumulative profit",
        lead="Equity less what was paid in. Deposits and withdrawals are not profit.",
        traces=traces,
        layout=money_layout(finished, "Profit since start", showlegend=bool(others)),
        rows=rows,
        wide=True,
    )


def _parts(finished: FinishedRun) -> Chart:
    sums = {name: np.cumsum(values) for name, values in parts_of(finished).items()}
    total = profit(finished)
    rows = thin([*sums.values(), total])
    traces = [
        line(style.title_of(name), values[rows], style.colour_of(name, i))
        for i, (name, values) in enumerate(sums.items())
    ]
    traces.append(line("Sum", total[rows], style.INK, width=2.4))
    return Chart(
        name="pnl-parts",
        title="Where the profit came from",
        lead="Each part has its own formula; together they are the change of equity to the last digit.",
        traces=traces,
        layout=money_layout(finished, "Profit since start"),
        rows=rows,
        wide=True,
    )


def _waterfall(finished: FinishedRun) -> Chart:
    summary = finished.summary
    steps = {name: value for name, value in summary.parts.items() if value}
    ordered = dict(sorted(steps.items(), key=lambda item: -item[1])) | {"residual": summary.residual}
    values = np.array([*ordered.values(), summary.pnl])
    trace: Trace = {
        "type": "waterfall",
        "x": [*(style.title_of(name).replace(" ", "<br>") for name in ordered), "Profit"],
        "y": rounded(values),
        "measure": [*("relative" for _ in ordered), "total"],
        "text": [f"{value:+,.4g}" if abs(value) < 1_000 else f"{value:+,.0f}" for value in values.tolist()],
        "textposition": "outside",
        "textfont": {"size": 11},
        "cliponaxis": False,
        "connector": {"line": {"color": style.ZERO, "width": 1}},
        "increasing": {"marker": {"color": style.GOOD}},
        "decreasing": {"marker": {"color": style.CRITICAL}},
        "totals": {"marker": {"color": style.ACCENT}},
        "hovertemplate": "%{x}: %{delta:,.4f}<extra></extra>",
    }
    layout = money_layout(finished, "Profit of the run", showlegend=False, hovermode="closest")
    layout["xaxis"] = {"type": "category", "linecolor": style.ZERO, "tickangle": 0, "tickfont": {"size": 11}}
    layout["margin"] = layout["margin"] | {"b": 60, "t": 28}
    return Chart(
        name="pnl-waterfall",
        title="Profit by part",
        lead=f"Residual: parts this mode does not report. Unexplained: {summary.residual_max:.0e} of equity at most.",
        traces=[trace],
        layout=layout,
    )


def _by_month(finished: FinishedRun) -> Chart:
    months = Periods(finished.result.timestamps, "M")
    traces = [
        bars(style.title_of(name), months.labels, months.sums(values), style.colour_of(name, i))
        for i, (name, values) in enumerate(parts_of(finished).items())
    ]
    total = months.sums(np.diff(profit(finished), prepend=0.0))
    traces.append(
        {
            "type": "scatter", "mode": "markers", "name": "Sum", "x": months.labels, "y": rounded(total),
            "marker": {"color": style.INK, "size": 7, "symbol": "diamond"},
        }
    )  # fmt: skip
    return Chart(
        name="pnl-by-month",
        title="Earned and paid by month",
        lead="What each part brought or cost in a month; the diamond is their sum.",
        traces=traces,
        layout=money_layout(finished, "Profit in the month", barmode="relative", bargap=0.25, xaxis=style.month_axis()),
    )


def _equity(finished: FinishedRun) -> Chart:
    columns = finished.result.columns
    equity, fall = columns["equity"], -100.0 * drawdown(columns["unit_value"])
    rows = thin([equity, fall])
    traces = [
        line("Equity", equity[rows], style.ACCENT, width=2),
        area("Drawdown", fall[rows], style.CRITICAL, fill="tozeroy", yaxis="y2", width=1.2),
        *_marks(finished, equity),
    ]
    below = style.value_axis("Drawdown (%)", ticks=".3~g", hover=".3f", rangemode="tozero", nticks=4)
    return Chart(
        name="equity-drawdown",
        title="Equity and drawdown",
        lead="Drawdown is measured on the value of one unit, so a withdrawal does not look like a loss.",
        traces=traces,
        layout=style.stacked(style.layout(""), money_axis(finished, "Equity"), below),
        rows=rows,
    )


def _marks(finished: FinishedRun, equity: Column) -> list[Trace]:
    """Decisions and mishaps as points on the equity line; the latest when there are very many."""
    stamps = finished.result.timestamps
    found: dict[EventType, list[Event]] = {}
    for event in finished.result.events:
        if isinstance(event, Event) and event.event_type in MARKED:
            found.setdefault(event.event_type, []).append(event)
    traces: list[Trace] = []
    for event_type, events in found.items():
        name, colour, symbol = MARKED[event_type]
        events = events[-MAX_MARKS:]
        at = np.minimum(np.searchsorted(stamps, [event.timestamp for event in events]), len(stamps) - 1)
        traces.append(
            {
                "type": "scatter", "mode": "markers", "name": name, "x": (stamps[at] // 1_000_000).tolist(),
                "y": rounded(equity[at]), "text": [event.detail for event in events],
                "hovertemplate": "%{text}<extra></extra>",
                "marker": {"color": colour, "size": 6, "symbol": symbol, "opacity": 0.8},
            }
        )  # fmt: skip
    return traces


def _monthly_returns(finished: FinishedRun) -> Chart:
    months = Periods(finished.result.timestamps, "M")
    growth = 100.0 * months.growth(finished.result.columns["unit_value"])
    years = sorted({label[:4] for label in months.labels})
    cells = {
        (years.index(label[:4]), int(label[5:7]) - 1): value
        for label, value in zip(months.labels, growth.tolist(), strict=True)
    }
    trace = heat_map(MONTHS, years, cells, "%")
    text = [["" if value is None else f"{value:+.2f}" for value in row] for row in trace["z"]]
    return Chart(
        name="monthly-returns",
        title="Returns by month",
        lead="Per cent of the value of one unit, after all costs.",
        traces=[trace | {"text": text, "texttemplate": "%{text}", "textfont": {"size": 12}}],
        layout=heat_layout(),
    )


def heat_layout() -> style.Layout:
    plain = {"type": "category", "showgrid": False, "zeroline": False, "tickfont": {"size": 11}}
    layout = style.layout("", hovermode="closest", showlegend=False)
    layout["margin"] = {"l": 62, "r": 10, "t": 14, "b": 32}
    return layout | {"xaxis": plain, "yaxis": {**plain, "autorange": "reversed"}}


def _rolling_sharpe(finished: FinishedRun, days: Periods) -> Chart:
    returns = days.growth(finished.result.columns["unit_value"])
    traces = []
    for length, colour in zip(SHARPE_DAYS, (style.SERIES[1], style.ACCENT), strict=True):
        if len(returns) < length:
            continue
        windows = np.lib.stride_tricks.sliding_window_view(returns, length)
        spread = windows.std(axis=1, ddof=1)
        ratio = windows.mean(axis=1) / np.where(spread > 1e-15, spread, np.nan) * np.sqrt(DAYS_PER_YEAR)
        traces.append(line(f"Last {length} days", ratio, colour, x=days.labels[length - 1 :]))
    return Chart(
        name="rolling-sharpe",
        title="Rolling Sharpe ratio",
        lead="Mean over spread of daily returns, times √365.",
        traces=traces,
        layout=style.layout("Sharpe ratio", ticks=".3~g", hover=".2f"),
    )


def _costs(finished: FinishedRun) -> Chart:
    months = Periods(finished.result.timestamps, "M")
    parts = parts_of(finished)
    traces = [
        bars(style.title_of(name), months.labels, -months.sums(parts[name]), style.colour_of(name, i))
        for i, name in enumerate(COSTS)
        if name in parts
    ]
    return Chart(
        name="costs",
        title="What it cost",
        lead="Fees, slippage, gas and transfers are transaction costs; interest on debt is borrow costs.",
        traces=traces,
        layout=money_layout(finished, "Paid in the month", barmode="stack", bargap=0.25, xaxis=style.month_axis()),
    )
