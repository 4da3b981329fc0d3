"""The house as a whole: no module that nobody can read, no circle, one place that sends."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("components", "daemon", "venues")
LONGEST, MEDIAN = 400, 140
SENDERS = {"daemon/orders/dispatch.py"}  # the only module that submits to a venue client
CANCELLERS = SENDERS


@cache
def sources() -> dict[str, ast.Module]:
    """Modules by their path."""
    return {
        path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    }


def name_of(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@cache
def names() -> frozenset[str]:
    return frozenset(name_of(path) for path in sources())


def imports(tree: ast.Module) -> Iterator[str]:
    """Modules of ours that one imports anywhere, for types alone too; a name out of a module counts as the module."""
    known = names()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{each.name}" for each in node.names} & known
            yield from inside or {node.module} & known


def called(method: str) -> set[str]:
    """Modules of the daemon that call this method of a venue client."""
    return {
        path
        for path, tree in sources().items()
        if path.startswith("daemon/")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(f"client.{method}")
    }


def test_no_module_is_too_long_and_most_are_short() -> None:
    lines = {path: len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in sources()}
    assert {path: count for path, count in lines.items() if count > LONGEST} == {}
    assert median(count for path, count in lines.items() if not path.endswith("__init__.py")) <= MEDIAN


def test_a_cell_only_puts_its_parts_together() -> None:
    (cell,) = (each for each in ast.walk(sources()["daemon/cells/cell.py"]) if isinstance(each, ast.ClassDef))
    (made,) = (each for each in cell.body if isinstance(each, ast.FunctionDef) and each.name == "__init__")
    assert made.end_lineno is not None and made.end_lineno - made.lineno + 1 <= 25


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {name_of(path): set(imports(tree)) - {name_of(path)} for path, tree in sources().items()}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" imports ".join(error.args[1][::-1]))


def test_only_one_module_sends() -> None:
    assert called("submit") == SENDERS
    assert called("cancel") == CANCELLERS


def test_every_room_has_its_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    rooms = {path.parent.name for path in (ROOT / "daemon").glob("*/__init__.py")}
    assert rooms == {each["room"].removeprefix("daemon.") for each in contracts if each["type"] == "room"}
