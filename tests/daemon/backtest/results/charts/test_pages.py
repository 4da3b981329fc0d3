"""The pages of a run: they open without a network, show what there is, and are figures the chart library accepts."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path

import msgspec
import numpy as np
import pytest

from daemon.backtest.results.charts import style
from daemon.backtest.results.charts.exposure import exposure_charts
from daemon.backtest.results.charts.pages import figure_json, write_pages
from daemon.backtest.results.charts.profit import profit_charts
from daemon.backtest.results.summary import FinishedRun
from tests.daemon.handmade import columns_of, finished

ALWAYS = {"cumulative-pnl", "pnl-parts", "pnl-waterfall", "pnl-by-month", "equity-drawdown", "monthly-returns", "costs"}
HEDGED = {"delta-neutrality", "margin-ratios", "funding-by-venue", "funding-calendar", "venue-equity", "venue-pnl"}


def names(run: FinishedRun) -> set[str]:
    return {chart.name for chart in chain(profit_charts(run), exposure_charts(run))}


def without(*prefixes: str) -> FinishedRun:
    """The handmade run of a mode that has no such columns."""
    run = finished()
    kept = {name: column for name, column in columns_of(97).items() if not name.startswith(prefixes)}
    return msgspec.structs.replace(run, result=msgspec.structs.replace(run.result, columns=kept), holdings={})


def test_every_chart_has_its_page_and_the_index_shows_all(tmp_path: Path) -> None:
    index, *pages = write_pages(finished(), tmp_path / "plots")

    assert {page.stem for page in pages} == ALWAYS | HEDGED | {"balance-sheet"}
    text = index.read_text()
    for page in pages:
        assert f'href="{page.name}"' in text
        assert f'id="{page.stem}"' in page.read_text()


def test_pages_load_nothing_from_elsewhere(tmp_path: Path) -> None:
    pages = write_pages(finished(), tmp_path)

    for page in pages:
        text = page.read_text()
        assert re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", text) == []
        assert re.findall(r'<script src="([^"]*)"', text) == ["plotly.min.js"]
        assert "@import" not in text
    assert (tmp_path / "plotly.min.js").stat().st_size > 1_000_000


def test_text_of_the_run_cannot_break_out_of_the_page(tmp_path: Path) -> None:
    index, *_ = write_pages(finished(), tmp_path)

    assert "filled: &lt;/script&gt; 3 rows" in index.read_text()


def test_a_chart_without_data_is_not_drawn() -> None:
    lending = without("margin_ratio", "mm_ratio", "funding.", "venue_", "net_delta")

    assert names(lending) == ALWAYS


def test_leverage_is_drawn_when_there_is_debt() -> None:
    indebted = finished(ltv=np.full(97, 0.91), health_factor=np.full(97, 1.044))

    assert "ltv-health-factor" in names(indebted)
    assert "ltv-health-factor" not in names(finished(ltv=np.full(97, np.nan), health_factor=np.full(97, np.nan)))


def test_a_long_run_also_shows_its_rolling_sharpe() -> None:
    assert "rolling-sharpe" in names(finished(24 * 120))


def test_the_rows_of_a_chart_come_back_from_their_differences() -> None:
    run = finished(20_000)
    chart = next(iter(profit_charts(run)))

    figure = msgspec.json.decode(figure_json(chart, run.result.timestamps))

    assert np.cumsum(figure["rows"]).tolist() == chart.rows.tolist()
    assert figure["start"] * 1_000_000 == run.result.timestamps[0]
    assert figure["step"] == 3_600_000
    assert len(figure["data"][0]["y"]) == len(figure["rows"])


@pytest.mark.filterwarnings("ignore")
def test_the_chart_library_accepts_every_figure() -> None:
    from plotly.graph_objects import Figure

    run = finished(24 * 120, ltv=np.full(24 * 120, 0.91), health_factor=np.full(24 * 120, 1.044))

    for chart in chain(profit_charts(run), exposure_charts(run)):
        Figure(data=list(chart.traces), layout=dict(chart.layout))


def test_money_axes_name_the_currency() -> None:
    for chart in profit_charts(finished(24 * 120)):
        if chart.name not in ("monthly-returns", "rolling-sharpe"):
            assert "(USDT)" in chart.layout["yaxis"]["title"]["text"]


def test_a_page_is_drawn_for_dark_screens_and_for_narrow_ones(tmp_path: Path) -> None:
    index, *pages = write_pages(finished(), tmp_path)

    for page in (index, *pages):
        text = page.read_text()
        assert "prefers-color-scheme: dark" in text and f"max-width: {style.NARROW}px" in text
        assert "color-scheme: light dark" in text
    assert style.DARK.keys() >= {style.INK, style.MUTED, style.GRID, style.ZERO, style.PAPER, style.COLOURS["okx"]}


def test_the_page_says_what_selling_leaves_beside_book_value(tmp_path: Path) -> None:
    run = finished()
    summary = msgspec.structs.replace(
        run.summary,
        final_equity=105_000.0,
        liquidation_value=103_000.0,
        total_return=0.05,
        too_short=True,
        overrides=("max_ltv=0.9",),
    )
    index, *_ = write_pages(msgspec.structs.replace(run, summary=summary), tmp_path)

    text = index.read_text()
    for tile in ("105,000.00", "103,000.00", "+5.00 %", "+3.00 %", "max_ltv=0.9", "too short"):
        assert tile in text, tile


def test_a_stopped_run_says_so_above_its_charts(tmp_path: Path) -> None:
    run = finished()
    summary = msgspec.structs.replace(
        run.summary, stopped_at="2024-06-02T00:00:00Z", stopped_because="drawdown <10 %>", left_open=("a:Perp:b",)
    )
    index, *_ = write_pages(msgspec.structs.replace(run, summary=summary), tmp_path)

    text = index.read_text()
    stop = text.index("STOPPED at 2024-06-02 00:00: drawdown &lt;10 %&gt;")
    assert stop < text.index('class="grid"')
    assert text.index("a:Perp:b") < text.index('class="grid"')
