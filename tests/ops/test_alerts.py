"""Every alert is valid, tested, explained, and about metrics that exist."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.model.errors import CATALOGUE
from daemon.monitoring.families import sample_names
from daemon.replica import CellState
from tests.ops.queries import metric_names

REPOSITORY = Path(__file__).resolve().parents[2]
OPS = REPOSITORY / "ops"
RULES = sorted((OPS / "prometheus" / "rules").glob("*.yml"))
RULE_TESTS = sorted((OPS / "prometheus" / "tests").glob("*.yml"))
RUNBOOKS = REPOSITORY / "docs" / "runbooks"


def alerts() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for path in RULES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                assert rule["alert"] not in found, f"{rule['alert']} is written twice"
                found[rule["alert"]] = rule
    return found


ALERTS = alerts()


def run(*command: str, folder: Path = OPS / "prometheus") -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_takes_rules_and_configuration(promtool: str) -> None:
    run(promtool, "check", "rules", *map(str, RULES))
    run(promtool, "check", "config", "prometheus.yml")


@pytest.mark.parametrize("path", RULE_TESTS, ids=lambda path: path.stem)
def test_alerts_fire_and_keep_silent(promtool: str, path: Path) -> None:
    run(promtool, "test", "rules", path.name, folder=path.parent)


def test_alertmanager_takes_its_configuration(amtool: str) -> None:
    run(amtool, "check-config", "alertmanager.yml", folder=OPS / "alertmanager")


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_has_a_firing_and_a_silent_case(name: str) -> None:
    cases = [
        bool(check["exp_alerts"])
        for path in RULE_TESTS
        for test in yaml.safe_load(path.read_text())["tests"]
        for check in test["alert_rule_test"]
        if check["alertname"] == name
    ]
    assert True in cases and (False in cases or ALERTS[name]["expr"] == "vector(1)")


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_says_how_bad_it_is_and_what_to_read(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in ("page", "ticket", "none")
    assert "$value" in rule["annotations"]["summary"]
    assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_is_about_metrics_that_exist(name: str) -> None:
    assert metric_names(ALERTS[name]["expr"]) <= sample_names()


def test_alerts_name_states_that_exist() -> None:
    states = {
        state
        for rule in ALERTS.values()
        for text in re.findall(r'state=~?"([^"]*)"', rule["expr"])
        for state in text.split("|")
    }
    assert states and states <= set(CellState)


def test_inhibitions_name_alerts_that_exist() -> None:
    config = yaml.safe_load((OPS / "alertmanager" / "alertmanager.yml").read_text())
    matchers = [m for rule in config["inhibit_rules"] for m in (*rule["source_matchers"], *rule["target_matchers"])]
    matchers += [m for route in config["route"]["routes"] for m in route["matchers"]]
    named = {name for m in matchers if m.startswith("alertname") for name in m.split('"')[1].split("|")}
    assert named and named <= set(ALERTS)


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"} == set(ALERTS)


@pytest.mark.parametrize("name", ALERTS)
def test_a_runbook_can_be_used_at_three_in_the_morning(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")
    lines = text.splitlines()
    assert lines[0] == f"# {name}" and 15 <= len(lines) <= 40
    headings = [line for line in lines if line.startswith("## ")]
    assert headings == ["## What it means", "## What basisd has done", "## Look at", "## Do", "## It clears when"]
    for heading in headings:
        after = text.split(f"{heading}\n")[1].split("\n## ")[0].strip()
        assert len(after) > 30, f"{heading} says nothing"
    assert "`basis " in text or "```" in text or name == "Watchdog"
    for code in re.findall(r"\b[A-Z]{3}-\d{3}\b", text):
        assert code in CATALOGUE
    for other in re.findall(r"\]\((\w+)\.md\)", text):
        assert (RUNBOOKS / f"{other}.md").exists(), f"{name} points to {other}"


def test_the_list_of_runbooks_is_complete() -> None:
    listed = set(re.findall(r"\[(\w+)\]\(\1\.md\)", (RUNBOOKS / "README.md").read_text(encoding="utf-8")))
    assert listed == set(ALERTS)
