"""Charts as HTML: one page each, and `index.html` with all of them under the figures of the run.

`plotly.min.js` lies beside the pages, once, and nothing is loaded from anywhere else. Figures are written as data for
it, so the chart library of Python is not imported.
"""

from __future__ import annotations

from html import escape
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from components.model.market import Stamps
from daemon.backtest.results.charts import style
from daemon.backtest.results.charts.exposure import exposure_charts
from daemon.backtest.results.charts.profit import profit_charts
from daemon.backtest.results.charts.traces import Chart
from daemon.backtest.results.headline import return_if_sold, told_of
from daemon.backtest.results.summary import FinishedRun, Summary

PLOTLY = "plotly.min.js"

CSS = f"""
:root {{ color-scheme: light dark; --back: #f3f5f8; --card: {style.PAPER}; --edge: #e3e8ee; --ink: {style.INK};
  --muted: {style.MUTED}; --accent: {style.ACCENT}; --good: #15815a; --bad: {style.CRITICAL}; }}
@media (prefers-color-scheme: dark) {{ :root {{ --back: #0e1319; --card: {style.DARK[style.PAPER]}; --edge: #27313d;
  --ink: {style.DARK[style.INK]}; --muted: {style.DARK[style.MUTED]}; --accent: #6ea8fe; --good: #4cc38a;
  --bad: #ff7b8a; }} }}
* {{ box-sizing: border-box; }}
body {{ margin: 0; background: var(--back); color: var(--ink); font: 14px/1.5 {style.FONT}; }}
main {{ max-width: 1440px; margin: 0 auto; padding: 28px 28px 48px; }}
header {{ display: flex; flex-wrap: wrap; align-items: baseline; gap: 4px 16px; margin-bottom: 18px; }}
h1 {{ font-size: 26px; line-height: 1.2; margin: 0; letter-spacing: -0.01em; overflow-wrap: anywhere; min-width: 0; }}
header p {{ margin: 0; color: var(--muted); overflow-wrap: anywhere; min-width: 0; }}
.tiles {{ display: flex; flex-wrap: wrap; gap: 12px; margin-bottom: 16px; }}
.tile, .card {{ background: var(--card); border: 1px solid var(--edge); border-radius: 10px; }}
.tile {{ padding: 12px 14px; flex: 1 1 auto; max-width: 240px; white-space: nowrap; }}
.tile b {{ display: block; font-size: 18px; font-variant-numeric: tabular-nums; }}
.tile span {{ color: var(--muted); font-size: 12px; }}
p.told {{ margin: 0 0 12px; padding: 10px 14px; border-left: 4px solid var(--bad); }}
.good b {{ color: var(--good); }} .bad b {{ color: var(--bad); }}
.grid {{ display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 16px; grid-auto-flow: dense; }}
.card {{ padding: 16px 16px 8px; min-width: 0; }}
.card.wide {{ grid-column: 1 / -1; }}
.card h2 {{ font-size: 16px; margin: 0; }}
.card h2 a {{ color: inherit; text-decoration: none; }} .card h2 a:hover {{ text-decoration: underline; }}
.card p {{ margin: 0 0 4px; color: var(--muted); font-size: 13px; }}
.chart {{ width: 100%; height: 360px; }}
.wide .chart {{ height: 400px; }}
.alone .chart {{ height: calc(100vh - 210px); min-height: 420px; }}
.notes {{ margin-top: 16px; padding: 14px 18px; font-size: 13px; overflow-wrap: anywhere; }}
.notes h2 {{ margin-bottom: 6px; }}
.notes ul {{ margin: 0; padding-left: 18px; }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 0; overflow-wrap: anywhere; }}
dt {{ color: var(--muted); }} dd {{ margin: 0; font-variant-numeric: tabular-nums; }}
a {{ color: var(--accent); }}
@media (max-width: 900px) {{ .grid {{ grid-template-columns: 1fr; }} main {{ padding: 16px; }} }}
@media (max-width: {style.NARROW}px) {{ main {{ padding: 10px; }} .card {{ padding: 12px 8px 6px; }}
  .tiles {{ display: grid; grid-template-columns: 1fr 1fr; gap: 8px; }}
  .tile {{ max-width: none; white-space: normal; }}
  dl {{ grid-template-columns: 1fr; }} dd {{ margin-bottom: 6px; }} }}
"""

# Rows are stored as differences; times are start + row × step (milliseconds, UTC). A chart is drawn again when the
# scheme of colours or the kind of screen changes.
SCRIPT = (
    f"const DARK = {msgspec.json.encode(style.DARK).decode()};\n"
    f"const dark = matchMedia('(prefers-color-scheme: dark)'), narrow = matchMedia('(max-width: {style.NARROW}px)');\n"
    + files("daemon.backtest.results.charts").joinpath("page.js").read_text("utf-8")
)


def write_pages(finished: FinishedRun, folder: Path) -> tuple[Path, ...]:
    """Writes `plots/`: every chart this run has data for, and the index; returns the pages, the index first."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PLOTLY).write_bytes(files("plotly").joinpath("package_data", PLOTLY).read_bytes())
    summary = finished.summary
    pages, cards = [], []
    for chart in chain(profit_charts(finished), exposure_charts(finished)):
        figure = figure_json(chart, finished.result.timestamps)
        page = folder / f"{chart.name}.html"
        back = f'<header><p><a href="index.html">{escape(summary.mode)}</a> · {escape(_span(summary))}</p></header>'
        page.write_text(_page(f"{chart.title} · {summary.mode}", back + _card(chart, figure, alone=True)), "utf-8")
        pages.append(page)
        cards.append(_card(chart, figure))
    index = folder / "index.html"
    grid = f'<div class="grid">{"".join(cards)}</div>'
    index.write_text(_page(f"{summary.mode} · {_span(summary)}", _head(summary) + grid + _notes(summary)), "utf-8")
    return (index, *pages)


def figure_json(chart: Chart, timestamps: Stamps) -> str:
    """The chart as `draw` takes it; safe inside a script element."""
    figure: dict[str, Any] = {"data": list(chart.traces), "layout": chart.layout}
    if chart.rows is not None:
        start, step = int(timestamps[0]), int(timestamps[1] - timestamps[0]) if len(timestamps) > 1 else 0
        figure |= {"rows": np.diff(chart.rows, prepend=0).tolist(), "start": start // 1e6, "step": step / 1e6}
    return msgspec.json.encode(figure).decode().replace("</", "<\\/")


def _page(title: str, body: str) -> str:
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{CSS}</style>'
        f'<script src="{PLOTLY}"></script><script>{SCRIPT}</script></head>\n<body><main>{body}</main></body></html>\n'
    )


def _card(chart: Chart, figure: str, *, alone: bool = False) -> str:
    title = escape(chart.title)
    heading = title if alone else f'<a href="{chart.name}.html" title="open alone">{title}</a>'
    tools = "true" if alone else "false"
    kind = "card alone" if alone else "card wide" if chart.wide else "card"
    return (
        f'<section class="{kind}"><h2>{heading}</h2><p>{escape(chart.lead)}</p>'
        f'<div class="chart" id="{chart.name}"></div>'
        f'<script>draw("{chart.name}", {figure}, {tools})</script></section>\n'
    )


def _head(summary: Summary) -> str:
    tiles = "".join(
        f'<div class="tile {kind}"><b>{escape(figure)}</b><span>{escape(name)}</span></div>'
        for name, figure, kind in _tiles(summary)
    )
    told = "".join(f'<p class="card told">{escape(line)}</p>' for line in told_of(summary))
    about = f"{_span(summary)} · {_money(summary.initial_capital, summary)} at the start · {summary.market}"
    return (
        f"<header><h1>{escape(summary.mode)}</h1><p>{escape(about)}</p></header>"
        f'<section class="tiles">{tiles}</section>{told}\n'
    )


def _tiles(summary: Summary) -> list[tuple[str, str, str]]:
    """Name, figure, and whether it is good or bad news."""
    tone = "good" if summary.total_return >= 0.0 else "bad"
    sold = return_if_sold(summary)
    yearly = "too short" if summary.too_short else _percent(summary.annualised_return, "+")
    tiles = [
        (f"at book value, {summary.share_class}", _amount(summary.final_equity, summary), ""),
        (f"if sold at the end, {summary.share_class}", _amount(summary.liquidation_value, summary), ""),
        ("return at book value", _percent(summary.total_return, "+"), tone),
        ("return if sold", _percent(sold, "+"), "bad" if sold is not None and sold < 0.0 else "good"),
        ("return a year, book value", yearly, "" if summary.too_short else tone),
        ("largest drawdown", _percent(summary.max_drawdown), ""),
        ("Sharpe ratio", "–" if summary.sharpe is None else f"{summary.sharpe:.2f}", ""),
    ]
    if summary.min_margin_ratio is not None:
        tiles.append(("lowest margin ratio", f"{summary.min_margin_ratio:.2f}", ""))
    if summary.min_health_factor is not None:
        tiles.append(("lowest health factor", f"{summary.min_health_factor:.3f}", ""))
    if summary.external_flows:
        tiles.append(("paid in, less paid out", _amount(summary.external_flows, summary), ""))
    tiles.append(("trades", f"{summary.trades:,}", ""))
    tiles.append(("liquidations", f"{summary.liquidations}", "bad" if summary.liquidations else ""))
    return tiles


def _notes(summary: Summary) -> str:
    """What a reader should know: where the data are patched, what was left out, and how to make the same run."""
    facts = {
        "Run": summary.run_id,
        "Settings": "; ".join(summary.overrides) or "as in the mode file",
        **{style.title_of(name): _money(value, summary) for name, value in summary.benchmarks.items()},
        "Unexplained": f"{summary.residual_max:.1e} of equity at most, on any row",
        "Rows": f"{summary.rows:,}, every {summary.step_seconds / 60:g} minutes",
        "Events": f"{summary.events:,}, last hash {summary.last_event_hash}",
        "Configuration": summary.hashes.config,
        "Data": summary.hashes.data,
        "Code": summary.hashes.code,
    }
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(fact)}</dd>" for name, fact in facts.items())
    out = f'<section class="card notes"><h2>About this run</h2><dl>{listed}</dl></section>'
    remarks = [*summary.notes, *(f"left out: {reason}" for reason in summary.skipped)]
    if remarks:
        items = "".join(f"<li>{escape(remark)}</li>" for remark in remarks)
        out += f'<section class="card notes"><h2>Notes</h2><ul>{items}</ul></section>'
    return out


def _span(summary: Summary) -> str:
    return f"{summary.start[:10]} to {summary.end[:10]}"


def _money(amount: float, summary: Summary) -> str:
    return f"{_amount(amount, summary)} {summary.share_class}"


def _amount(amount: float, summary: Summary) -> str:
    return f"{amount:,.4f}" if summary.share_class == "ETH" else f"{amount:,.2f}"


def _percent(fraction: float | None, sign: str = "") -> str:
    return "–" if fraction is None else f"{100 * fraction:{sign}.2f} %"
