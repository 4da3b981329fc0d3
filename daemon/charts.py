"""Charts of a run: interactive Plotly pages that open offline, and an index that shows them all.

plotly.js is written once beside the pages. Traces are thinned by keeping the lowest and the highest point of each
bucket, so no extreme is lost. Only charts whose data exist are made.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from components.model.market import Column, Stamps
from components.model.requirements import DAY_NS
from components.pnl_monitor import PARTS
from daemon.results_summary import FinishedRun, Summary

POINTS = 4000
COLOURS = ("#2563eb", "#d97706", "#059669", "#dc2626", "#7c3aed", "#0891b2", "#be185d", "#65a30d", "#78716c", "#1e3a8a")
LABELS = {part: part.replace("_", " ") for part in PARTS}
INDEX = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body{{font:15px/1.5 system-ui,sans-serif;margin:0;background:#f5f5f4;color:#1c1917}}
main{{max-width:1180px;margin:0 auto;padding:28px 20px}}
h1{{font-size:24px;margin:0}} p.sub{{margin:2px 0 22px;color:#57534e}}
.tiles{{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin-bottom:22px}}
.tile{{background:#fff;border-radius:10px;padding:12px 16px;box-shadow:0 1px 2px #0002}}
.tile b{{display:block;font-size:20px;font-variant-numeric:tabular-nums}} .tile span{{color:#57534e;font-size:13px}}
section{{background:#fff;border-radius:10px;margin-bottom:16px;padding:8px;box-shadow:0 1px 2px #0002}}
section a{{font-size:13px;color:#2563eb;text-decoration:none;padding-left:8px}}
</style><script src="plotly.min.js"></script></head>
<body><main><h1>{title}</h1><p class="sub">{subtitle}</p><div class="tiles">{tiles}</div>{sections}</main></body></html>
"""


class Pages:
    """Makes figures from one result; a builder returns None when its data are not there."""

    def __init__(self, finished: FinishedRun) -> None:
        import plotly.graph_objects as go

        self._go = go
        self._run = finished.run
        self._result = finished.result
        self._columns = finished.result.columns
        self._holdings = finished.holdings
        self._benchmarks = finished.benchmarks
        self._money = finished.run.mode.share_class
        self._venues = tuple(finished.run.mode.hedge_allocation)

    def builders(self) -> dict[str, Callable[[], Any]]:
        return {
            "cumulative_pnl": self.cumulative_pnl,
            "pnl_parts": self.pnl_parts,
            "pnl_waterfall": self.waterfall,
            "equity_drawdown": self.equity_drawdown,
            "delta_neutrality": self.delta,
            "margin_ratios": self.margins,
            "ltv_health_factor": self.ltv,
            "funding_by_venue": self.funding,
            "funding_calendar": self.funding_calendar,
            "venue_equity": self.venue_equity,
            "balance_sheet": self.balance_sheet,
            "monthly_returns": self.monthly,
            "rolling_sharpe": self.rolling_sharpe,
        }

    def cumulative_pnl(self) -> Any:
        total = np.zeros(len(self._result.timestamps))
        for part in self._result.parts:
            total = total + np.cumsum(self._columns[part])
        total = total + np.cumsum(self._columns["residual"])
        return self._figure("Cumulative P&L", f"P&L ({self._money})", [("P&L", total)])

    def pnl_parts(self) -> Any:
        series = [
            (LABELS[part], np.cumsum(self._columns[part]))
            for part in self._result.parts
            if np.any(self._columns[part] != 0.0)
        ]
        if np.any(self._columns["residual"] != 0.0):
            series.append(("residual (parts the mode does not enable)", np.cumsum(self._columns["residual"])))
        return self._figure("P&L by part, cumulative", f"P&L ({self._money})", series) if series else None

    def waterfall(self) -> Any:
        parts = {LABELS[part]: amount for part, amount in self._result.parts.items() if amount}
        parts["residual"] = self._result.residual
        figure = self._go.Figure(
            self._go.Waterfall(
                x=[*parts, "total"],
                y=[*parts.values(), 0.0],
                measure=["relative"] * len(parts) + ["total"],
                increasing={"marker": {"color": COLOURS[2]}},
                decreasing={"marker": {"color": COLOURS[3]}},
                totals={"marker": {"color": COLOURS[0]}},
                hovertemplate="%{x}: %{y:,.6~f}<extra></extra>",
            )
        )
        return self._styled(figure, "Where the P&L came from", f"P&L ({self._money})")

    def equity_drawdown(self) -> Any:
        series = [("equity", self._columns["equity"]), *self._benchmarks.items()]
        figure = self._figure("Equity, benchmarks and drawdown", f"equity ({self._money})", series)
        x, y = thin(self._result.timestamps, -100.0 * self._columns["drawdown"])
        figure.add_trace(
            self._go.Scatter(
                x=x, y=y, name="drawdown (%)", yaxis="y2", fill="tozeroy", line={"color": COLOURS[3], "width": 1},
                opacity=0.5,
            )
        )  # fmt: skip
        worst = min(-1.0, float(np.nanmin(y)))
        figure.update_layout(
            yaxis2={
                "overlaying": "y",
                "side": "right",
                "title": "drawdown (%)",
                "range": [4 * worst, 0],
                "showgrid": False,
            }
        )
        return figure

    def delta(self) -> Any:
        if "net_delta" not in self._columns or not self._venues:
            return None
        figure = self._figure(
            "Delta neutrality", "net coin ÷ hedged coin (%)", [("net delta", 100.0 * self._columns["net_delta"])]
        )
        self._limit(figure, 100.0 * self._run.mode.max_delta_drift, "rebalance")
        return figure

    def margins(self) -> Any:
        series = [
            (venue, self._columns[f"margin_ratio.{venue}"])
            for venue in self._venues
            if f"margin_ratio.{venue}" in self._columns
        ]
        if not series:
            return None
        figure = self._figure("Margin ratio by exchange", "equity ÷ notional", series)
        band, limits = self._run.mode.margin_ratio_band, self._run.mode.risk.margin
        for value, label in (
            (band.high, "rebalance above"),
            (band.low, "rebalance below"),
            (limits.warning, "warning"),
            (limits.critical, "critical"),
        ):
            self._limit(figure, value, label)
        return figure

    def ltv(self) -> Any:
        if "ltv" not in self._columns:
            return None
        figure = self._figure("LTV and health factor", "loan to value", [("LTV", self._columns["ltv"])])
        x, y = thin(self._result.timestamps, self._columns["health_factor"])
        figure.add_trace(
            self._go.Scatter(x=x, y=y, name="health factor", yaxis="y2", line={"color": COLOURS[1], "width": 1.5})
        )
        figure.update_layout(yaxis2={"overlaying": "y", "side": "right", "title": "health factor", "showgrid": False})
        self._limit(figure, self._run.mode.risk.ltv.warning, "warning")
        self._limit(figure, self._run.chain.e_mode.liquidation_threshold, "liquidation")
        return figure

    def funding(self) -> Any:
        series = [
            (venue, np.cumsum(self._columns[f"funding.{venue}"]))
            for venue in self._venues
            if f"funding.{venue}" in self._columns
        ]
        return self._figure("Funding received by exchange", f"cumulative ({self._money})", series) if series else None

    def funding_calendar(self) -> Any:
        if not self._venues:
            return None
        total = np.zeros(len(self._result.timestamps))
        for venue in self._venues:
            if f"funding.{venue}" in self._columns:
                total = total + np.nan_to_num(self._columns[f"funding.{venue}"])
        days = (self._result.timestamps - 1) // DAY_NS
        dates = np.unique(days)
        sums = np.add.reduceat(total, np.searchsorted(days, dates))
        stamps = dates.astype("datetime64[D]")
        months = stamps.astype("datetime64[M]")
        rows = np.unique(months)
        grid = np.full((len(rows), 31), np.nan)
        grid[np.searchsorted(rows, months), (stamps - months.astype("datetime64[D]")).astype(int)] = sums
        return self._heat(
            "Funding calendar", grid, [str(day) for day in range(1, 32)], rows.astype(str).tolist(),
            f"{self._money} a day", "day of month",
        )  # fmt: skip

    def venue_equity(self) -> Any:
        series = [(venue, self._columns[f"venue_equity.{venue}"]) for venue in self._venues]
        return self._figure("Equity by exchange", f"equity ({self._money})", series) if series else None

    def balance_sheet(self) -> Any:
        figure = self._go.Figure()
        for i, (place, column) in enumerate(self._holdings.items()):
            x, y = thin(self._result.timestamps, column)
            group = "owed" if float(column.min()) < 0.0 else "held"
            line = {"width": 0.5, "color": COLOURS[i % len(COLOURS)]}
            figure.add_trace(self._go.Scatter(x=x, y=y, name=place, stackgroup=group, line=line))
        return self._styled(figure, "Balance sheet: what is held, and owed", f"value ({self._money})")

    def monthly(self) -> Any:
        unit = self._columns["unit_value"]
        months = (self._result.timestamps - 1).astype("datetime64[ns]").astype("datetime64[M]")
        ends = np.flatnonzero(np.concatenate((months[1:] != months[:-1], (True,))))
        values = np.concatenate(((1.0,), unit[ends]))
        years = np.unique(months[ends].astype("datetime64[Y]"))
        grid = np.full((len(years), 12), np.nan)
        rows = np.searchsorted(years, months[ends].astype("datetime64[Y]"))
        grid[rows, months[ends].astype(int) % 12] = 100.0 * (values[1:] / values[:-1] - 1.0)
        names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        return self._heat("Monthly returns", grid, names, years.astype(str).tolist(), "%", "")

    def rolling_sharpe(self) -> Any:
        daily = daily_values(self._result.timestamps, self._columns["unit_value"])
        window = 30
        if len(daily) < 2 * window:
            return None
        returns = daily[1:] / daily[:-1] - 1.0
        views = np.lib.stride_tricks.sliding_window_view(returns, window)
        with np.errstate(divide="ignore", invalid="ignore"):
            values = views.mean(axis=1) / views.std(axis=1, ddof=1) * np.sqrt(365.0)
        stamps = self._result.timestamps[day_ends(self._result.timestamps)][window:]
        return self._figure("Rolling Sharpe ratio, 30 days", "Sharpe", [("Sharpe", values)], stamps)

    def _figure(self, title: str, axis: str, series: list[tuple[str, Column]], timestamps: Stamps | None = None) -> Any:
        figure = self._go.Figure()
        for i, (name, column) in enumerate(series):
            x, y = thin(self._result.timestamps if timestamps is None else timestamps, column)
            colour = COLOURS[i % len(COLOURS)]
            figure.add_trace(self._go.Scatter(x=x, y=y, name=name, line={"width": 1.6, "color": colour}))
        return self._styled(figure, title, axis)

    def _heat(self, title: str, grid: Column, x: list[str], y: list[str], unit: str, axis: str) -> Any:
        reach = float(np.nanmax(np.abs(grid))) or 1.0
        scale = [[0.0, "#dc2626"], [0.5, "#fafaf9"], [1.0, "#059669"]]
        figure = self._go.Figure(
            self._go.Heatmap(
                z=[[None if np.isnan(v) else float(f"{v:.6g}") for v in row] for row in grid],
                x=x, y=y, zmin=-reach, zmax=reach, colorscale=scale, colorbar={"title": unit}, xgap=1, ygap=1,
                hovertemplate="%{y} %{x}: %{z:,.4~f} " + unit + "<extra></extra>",
            )
        )  # fmt: skip
        self._styled(figure, title, "")
        figure.update_layout(hovermode="closest")
        figure.update_xaxes(title=axis, type="category")
        figure.update_yaxes(type="category", autorange="reversed")
        return figure

    def _limit(self, figure: Any, value: float, label: str) -> None:
        figure.add_hline(y=value, line={"dash": "dot", "color": "#78716c", "width": 1}, annotation_text=label,
                         annotation_font_size=11)  # fmt: skip

    def _styled(self, figure: Any, title: str, axis: str) -> Any:
        figure.update_layout(
            title={"text": title, "font": {"size": 17}},
            template="plotly_white",
            hovermode="x unified",
            height=430,
            margin={"l": 70, "r": 70, "t": 56, "b": 44},
            font={"family": "system-ui, sans-serif", "size": 13, "color": "#1c1917"},
            legend={"orientation": "h", "y": -0.14},
        )
        figure.update_yaxes(title=axis)
        return figure


def write_pages(finished: FinishedRun, folder: Path) -> tuple[Path, ...]:
    """Writes every chart there are data for, the index and plotly.js below `folder`; returns the pages."""
    from plotly.offline import get_plotlyjs

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plotly.min.js").write_text(get_plotlyjs(), encoding="utf-8")
    written, sections = [], []
    for name, build in Pages(finished).builders().items():
        figure = build()
        if figure is None:
            continue
        page = folder / f"{name}.html"
        config = {"displaylogo": False, "responsive": True}
        html = figure.to_html(include_plotlyjs="plotly.min.js", full_html=True, div_id=name, config=config)
        page.write_text(html, encoding="utf-8")
        inner = figure.to_html(include_plotlyjs=False, full_html=False, div_id=f"{name}_all", config=config)
        sections.append(f'<section>{inner}<a href="{name}.html">open on its own</a></section>')
        written.append(page)
    index = folder / "index.html"
    index.write_text(_index(finished.summary, "".join(sections)), encoding="utf-8")
    return (index, *written)


def thin(timestamps: Stamps, values: Column) -> tuple[list[str], list[float]]:
    """At most `POINTS` points: of each bucket the lowest and the highest, in order; absent values are left out."""
    present = np.flatnonzero(~np.isnan(values))
    if len(present) > POINTS:
        buckets = np.array_split(present, POINTS // 2)
        kept = {int(bucket[np.argmin(values[bucket])]) for bucket in buckets}
        kept |= {int(bucket[np.argmax(values[bucket])]) for bucket in buckets}
        kept |= {int(present[0]), int(present[-1])}
        present = np.array(sorted(kept))
    stamps = np.datetime_as_string(timestamps[present].astype("datetime64[ns]"), unit="m").tolist()
    return stamps, [float(f"{value:.8g}") for value in values[present].tolist()]


def _index(summary: Summary, sections: str) -> str:
    currency = summary.share_class

    def percent(value: float | None) -> str:
        return "—" if value is None else f"{value:.2%}"

    tiles = {
        f"final equity ({currency})": f"{summary.final_equity:,.2f}",
        "total return": percent(summary.total_return),
        "a year": percent(summary.annualised_return),
        "worst drawdown": percent(summary.max_drawdown),
        "Sharpe": "—" if summary.sharpe is None else f"{summary.sharpe:.2f}",
        "trades": f"{summary.trades:,}",
        "liquidations": f"{summary.liquidations:,}",
        "largest unexplained": f"{summary.residual_max:.0e}",
    }
    shown = "".join(f'<div class="tile"><b>{escape(v)}</b><span>{escape(k)}</span></div>' for k, v in tiles.items())
    subtitle = (
        f"{summary.start[:10]} to {summary.end[:10]} · {summary.initial_capital:,.0f} {currency} · "
        f"{summary.market} · {summary.run_id}"
    )
    return INDEX.format(title=escape(summary.mode), subtitle=escape(subtitle), tiles=shown, sections=sections)


def daily_values(timestamps: Stamps, values: Column) -> Column:
    """The last value of each UTC day."""
    return values[day_ends(timestamps)]


def day_ends(timestamps: Stamps) -> Stamps:
    """Rows that close a UTC day; 00:00 closes the day before."""
    days = (timestamps - 1) // DAY_NS
    return np.flatnonzero(np.concatenate((days[1:] != days[:-1], (True,))))
