"""Dashboards are what the code draws, follow our rules, and ask for metrics that exist."""

from __future__ import annotations

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from daemon.monitoring.families import FAMILIES, sample_names
from ops.grafana import generate
from ops.grafana.boards import BOARDS
from tests.ops.queries import metric_names

DOCUMENTS = {name: json.loads(text) for name, text in generate.files().items()}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_dashboard_follows_our_rules(name: str) -> None:
    assert generate.faults(DOCUMENTS[name]) == []
    assert DOCUMENTS[name]["schemaVersion"] >= 36


@pytest.mark.parametrize("name", DOCUMENTS)
def test_panels_do_not_overlap(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DOCUMENTS[name]["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in _lines(place)}
        assert not cells & taken and place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells


def _lines(place: dict[str, int]) -> range:
    return range(place["y"], place["y"] + place["h"])


def test_the_committed_files_are_what_the_code_draws() -> None:
    assert generate.main(["--check"]) == 0, "run: python -m ops.grafana.generate"
    assert {path.name for path in generate.FOLDER.glob("*.json")} == set(DOCUMENTS)


def test_a_stale_file_is_found_and_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "FOLDER", tmp_path / "dashboards")
    assert generate.main(["--check"]) == 1 and not (tmp_path / "dashboards").exists()
    assert generate.main([]) == 0 and generate.main(["--check"]) == 0


def test_the_rules_find_what_is_wrong() -> None:
    def wrong(change: str) -> list[str]:
        document: dict[str, Any] = copy.deepcopy(DOCUMENTS["basisd-overview.json"])
        panel = next(panel for panel in document["panels"] if panel["type"] != "row")
        match change:
            case "unit":
                panel["fieldConfig"]["defaults"].pop("unit")
            case "description":
                panel["description"] = ""
            case "datasource":
                panel["targets"][0]["datasource"] = {"uid": "prom-1"}
            case "variable":
                document["templating"]["list"].pop()
            case "instance":
                panel["targets"][0]["expr"] = panel["targets"][0]["expr"].replace(generate.INSTANCE, 'x=""')
            case "id":
                panel["id"] = document["panels"][0]["id"]
        return generate.faults(document)

    for change in ("unit", "description", "datasource", "variable", "instance", "id"):
        assert len(wrong(change)) == 1, change


def test_every_series_is_of_the_daemons_chosen() -> None:
    query = 'sum(rate(basis_x_total{a="b"}[1m])) / basis_y + up{job="basisd"}'
    chosen = 'instance=~"$instance"'
    assert generate.of_instances(query) == (
        f'sum(rate(basis_x_total{{{chosen},a="b"}}[1m])) / basis_y{{{chosen}}} + up{{{chosen},job="basisd"}}'
    )


def test_safety_comes_first_on_every_dashboard() -> None:
    for document in DOCUMENTS.values():
        assert document["panels"][0]["title"] == "Safety"


def test_every_query_is_about_metrics_that_exist() -> None:
    for expression in generate.expressions():
        names = metric_names(expression.expr)
        assert names and names <= sample_names(), expression


def test_every_query_is_valid_promql(promtool: str, tmp_path: Path) -> None:
    rules = [{"record": f"q{n}", "expr": e.expr} for n, e in enumerate(generate.expressions())]
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    done = subprocess.run([promtool, "check", "rules", str(path)], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and f"{len(rules)} rules found" in done.stdout, done.stdout + done.stderr


def test_filled_in_queries_have_no_variable_left_and_what_they_need_is_known() -> None:
    found = generate.expressions(rate_interval="10s", strategy="btc")
    assert not [e for e in found if "$" in e.expr] and any("[10s]" in e.expr for e in found)
    assert len({e.expr for e in found}) == len(found) > 60
    assert {e.needs for e in found} == {"", "hedge", "leverage", "orders", "requests", "reserve", "fault"}


def test_what_a_desk_watches_is_on_a_dashboard() -> None:
    shown = {name for e in generate.expressions() for name in metric_names(e.expr)}
    not_shown = {family.name for family in FAMILIES.values() if not shown & set(family.samples)}
    assert not_shown == {
        "build_info", "config_info", "instance_info", "ready",
        "paused", "full_loop_interval_seconds", "venue_last_answer_age_seconds",
        "market_data_age_limit_seconds", "contract_broken", "last_reconciliation_timestamp_seconds",
        "event_chain_head_fingerprint",
    }  # fmt: skip


def test_labels_in_legends_are_labels_of_the_metric() -> None:
    labels = {name: set(family.labels) for family in FAMILIES.values() for name in family.samples}
    for board in BOARDS:
        for row in board.rows:
            for panel in row.panels:
                for query in panel.queries:
                    wanted = {part.split("}}")[0] for part in query.legend.split("{{")[1:]}
                    known = set.union(*(labels.get(name, set()) for name in metric_names(query.expr)))
                    assert wanted <= known, f"{panel.title}: {wanted - known}"
