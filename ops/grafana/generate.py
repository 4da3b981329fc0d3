"""Draws the dashboards of `boards.py` as Grafana JSON: `python -m ops.grafana.generate`; `--check` compares only.

Import `dashboards/*.json` into Grafana and choose the Prometheus data source. `expressions()` lists every query with
its variables filled in, so that it can be put to a Prometheus.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import BigValueColorMode, LegendDisplayMode, LegendPlacement
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    GridPos,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
    VariableRefresh,
)

from ops.grafana.boards import BOARDS, Board, Panel, Query

FOLDER = Path(__file__).parent / "dashboards"
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
INSTANCE = 'instance=~"$instance"'
VARIABLES = ["datasource", "instance", "strategy"]
_SERIES = re.compile(r"\b(?P<name>basis_\w+|process_\w+|up)\b(?!\w)(?P<brace>\{)?")
STAT_HEIGHT, GRAPH_HEIGHT, ACROSS = 4, 8, 24


@dataclass(frozen=True)
class Expression:
    """One query as Prometheus takes it; `needs` as in `boards.Query`."""

    board: str
    panel: str
    expr: str
    needs: str


def expressions(rate_interval: str = "1m", strategy: str = ".+", instance: str = ".+") -> list[Expression]:
    """Every query of every dashboard, each once, with its variables filled in."""
    found: dict[str, Expression] = {}
    for board in BOARDS:
        for row in board.rows:
            for panel in row.panels:
                for query in panel.queries:
                    expr = of_instances(query.expr).replace("$__rate_interval", rate_interval)
                    expr = expr.replace("$strategy", strategy).replace("$instance", instance)
                    found.setdefault(expr, Expression(board.uid, panel.title, expr, query.needs))
    return list(found.values())


def of_instances(expr: str) -> str:
    """The query, of the daemons chosen only: several may run on one machine, and be scraped by one Prometheus."""
    return _SERIES.sub(lambda found: f"{found['name']}{{{INSTANCE}{',' if found['brace'] else '}'}", expr)


def files() -> dict[str, str]:
    """Each dashboard's JSON by file name."""
    return {f"{board.uid}.json": _drawn(board) for board in BOARDS}


def faults(document: dict[str, Any]) -> list[str]:
    """What is wrong with a dashboard by our own rules; empty = nothing."""
    found = [f"{document.get('uid')}: no {key}" for key in ("uid", "title", "description") if not document.get(key)]
    names = [variable["name"] for variable in document["templating"]["list"]]
    if names != VARIABLES:
        found.append(f"{document['uid']}: variables are {names}")
    panels = [panel for panel in document["panels"] if panel["type"] != "row"]
    for panel in panels:
        where = f"{document['uid']}/{panel.get('title')}"
        found += [f"{where}: no {key}" for key in ("title", "description", "targets") if not panel.get(key)]
        if not panel.get("fieldConfig", {}).get("defaults", {}).get("unit"):
            found.append(f"{where}: no unit")
        for used in (panel, *panel.get("targets", [])):
            if (used.get("datasource") or {}).get("uid") != "${datasource}":
                found.append(f"{where}: does not use the data source variable")
        found += [
            f"{where}: a query of every instance"
            for target in panel.get("targets", [])
            if target["expr"].count(INSTANCE) != len(_SERIES.findall(target["expr"]))
        ]
        found += [f"{where}: a query without legend" for t in panel.get("targets", []) if not t.get("legendFormat")]
    ids = [panel["id"] for panel in document["panels"]]
    if len(set(ids)) != len(ids):
        found.append(f"{document['uid']}: panel ids are not unique")
    return found


def _drawn(board: Board) -> str:
    built = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags(list(board.tags))
        .timezone("utc")
        .refresh("10s")
        .time("now-6h", "now")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .variables([_datasource(), _instance(), _strategy()])
        .link(dashboard.DashboardLink("basisd").type("dashboards").tags(["basisd"]).as_dropdown(True).keep_time(True))
    )
    number, top = 0, 0
    for row in board.rows:
        number += 1
        built.with_row(dashboard.Row(row.title).id(number).grid_pos(GridPos(h=1, w=ACROSS, x=0, y=top)))
        top += 1
        for panel, place, top_after in _placed(row.panels, top):
            number += 1
            built.with_panel(_panel(panel).id(number).grid_pos(place))
            top = max(top, top_after)
    return json.dumps(built.build(), cls=JSONEncoder, sort_keys=True, indent=2) + "\n"


def _placed(panels: Sequence[Panel], top: int) -> Iterator[tuple[Panel, GridPos, int]]:
    """Panels from left to right, a new line where one does not fit; with where the next row may begin."""
    left, y, line_height = 0, top, 0
    for panel in panels:
        height = STAT_HEIGHT if panel.kind == "stat" and panel.width <= 6 else GRAPH_HEIGHT
        if left + panel.width > ACROSS:
            left, y, line_height = 0, y + line_height, 0
        line_height = max(line_height, height)
        yield panel, GridPos(h=height, w=panel.width, x=left, y=y), y + line_height
        left += panel.width


def _panel(panel: Panel) -> Any:
    if panel.kind == "stat":
        last = common.ReduceDataOptions().calcs(["lastNotNull"])
        drawn: Any = stat.Panel().color_mode(BigValueColorMode.BACKGROUND).reduce_options(last)
    else:
        legend = (
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.TABLE)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["lastNotNull", "min", "max"])
        )
        drawn = timeseries.Panel().legend(legend).line_width(1).fill_opacity(8)
    drawn = drawn.title(panel.title).description(panel.description).unit(panel.unit).datasource(SOURCE)
    steps = [Threshold(value=value, color=color) for value, color in panel.steps]
    drawn = drawn.thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
    if panel.decimals is not None:
        drawn = drawn.decimals(panel.decimals)
    if panel.texts:
        options = {value: ValueMappingResult(text=text, index=n) for n, (value, text) in enumerate(panel.texts)}
        drawn = drawn.mappings([ValueMap(options=options)])
    for letter, query in zip("ABCDEFGH", panel.queries, strict=False):
        drawn = drawn.with_target(_target(letter, query))
    return drawn


def _target(letter: str, query: Query) -> Any:
    return (
        prometheus.Dataquery()
        .ref_id(letter)
        .datasource(SOURCE)
        .expr(of_instances(query.expr))
        .legend_format(query.legend)
        .range()
    )


def _datasource() -> Any:
    return dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")


def _instance() -> Any:
    return _choice("instance", "Daemon", "label_values(basis_build_info, instance)")


def _strategy() -> Any:
    return _choice("strategy", "Strategy", f"label_values(basis_strategy_state{{{INSTANCE}}}, strategy)")


def _choice(name: str, label: str, query: str) -> Any:
    """A variable of which some or all can be chosen."""
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .all_value(".+")
    )


def main(arguments: Sequence[str]) -> int:
    stale = [name for name, text in files().items() if _written(name) != text]
    if "--check" in arguments:
        print("\n".join(f"{name} is out of date: python -m ops.grafana.generate" for name in stale))
        return 1 if stale else 0
    FOLDER.mkdir(exist_ok=True)
    for name, text in files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


def _written(name: str) -> str | None:
    path = FOLDER / name
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
