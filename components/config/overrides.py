"""Values that replace those of the files: `BASIS_SECTION__KEY` variables, and `a.b=value` requests, in that order.

Paths start at the keys of the mode file, or at `venues.<name>`. An override replaces a leaf or a whole subtree that
is there; it never adds a key. Variables match in any case. The caller's parser decides what the text of a value means.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from components.model.errors import CFG_REQUEST, Fault, InvalidInput, nearest_name

PREFIX = "BASIS_"
RESERVED = (
    "BASIS_DATA_MODE",
    "BASIS_EXECUTION_MODE",
    "BASIS_ENVIRONMENT",
    "BASIS_DATA_START_DATE",
    "BASIS_DATA_END_DATE",
    "BASIS_STATE_DIR",
    "BASIS_SENTRY_DSN",
)
RESERVED_PREFIXES = ("BASIS_DAEMON__", "BASIS_LIVE_TRADING__", "BASIS_DEV__", "BASIS_STAGING__", "BASIS_PROD__")
_PATH = re.compile(r"[\w/-]+(\.[\w/-]+)*")

Parser = Callable[[str], object]
Tree = dict[str, Any]


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """One value and where it goes. `source` is what a fault calls it; `any_case` if its path is spelled in capitals."""

    path: tuple[str, ...]
    value: object
    source: str
    any_case: bool = False


def run_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables meant for a run, sorted: `BASIS_…` without those of the daemon and the credentials."""
    return {
        name: value
        for name, value in sorted(environ.items())
        if name.startswith(PREFIX) and name not in RESERVED and not name.startswith(RESERVED_PREFIXES)
    }


def from_variables(variables: Mapping[str, str], parse: Parser) -> list[Override]:
    """Overrides of `run_variables`; a value that does not parse is a fault."""
    faults: list[Fault] = []
    overrides = []
    for name, text in variables.items():
        value = _value(text, name, parse, faults)
        overrides.append(
            Override(path=tuple(name.removeprefix(PREFIX).lower().split("__")), value=value, source=name, any_case=True)
        )
    if faults:
        raise InvalidInput(CFG_REQUEST, faults)
    return overrides


def from_requests(texts: Sequence[str], parse: Parser) -> list[Override]:
    """Overrides of `a.b=value` texts; InvalidInput CFG-003 with every malformed one."""
    faults: list[Fault] = []
    overrides = []
    for text in texts:
        path, equals, value = text.partition("=")
        path = path.strip()
        if not equals or not value.strip() or not _PATH.fullmatch(path):
            faults.append(
                Fault(where=f"--set {text}", found=repr(text), expected="a.b=value, e.g. risk.delta.warning=0.02")
            )
            continue
        overrides.append(
            Override(
                path=tuple(path.split(".")), value=_value(value, f"--set {path}", parse, faults), source=f"--set {path}"
            )
        )
    if faults:
        raise InvalidInput(CFG_REQUEST, faults)
    return overrides


def overridden(tree: Tree, overrides: Sequence[Override]) -> tuple[Tree, dict[str, str], list[Fault]]:
    """A copy of `tree` with the overrides on it, which dotted paths they changed and by whom, and faults."""
    changed: dict[str, str] = {}
    faults: list[Fault] = []
    for override in overrides:
        path = _spelled(tree, override)
        if path is None:
            faults.append(_unknown(tree, override))
        else:
            tree = _replaced(tree, path, override.value)
            changed[".".join(path)] = override.source
    return tree, changed, faults


def _value(text: str, source: str, parse: Parser, faults: list[Fault]) -> object:
    try:
        return parse(text)
    except ValueError as exc:
        faults.append(Fault(where=source, found=repr(text), expected=f"a value in YAML ({exc})"))
        return None


def _spelled(tree: Tree, override: Override) -> tuple[str, ...] | None:
    """The path as the tree spells it, or None when it leads nowhere."""
    node: object = tree
    spelled: list[str] = []
    for part in override.path:
        if not isinstance(node, dict):
            return None
        key = (
            part
            if part in node
            else next((str(name) for name in node if override.any_case and str(name).lower() == part), None)
        )
        if key is None:
            return None
        spelled.append(key)
        node = node[key]
    return tuple(spelled)


def _replaced(tree: Tree, path: tuple[str, ...], value: object) -> Tree:
    head, *rest = path
    return {**tree, head: _replaced(tree[head], tuple(rest), value) if rest else value}


def _unknown(tree: Tree, override: Override) -> Fault:
    known = list(_paths(tree))
    wanted = ".".join(override.path)
    if override.any_case:
        known = [*(PREFIX + path.upper().replace(".", "__") for path in known), *RESERVED]
        wanted = override.source
    return Fault(
        where=override.source,
        found="no such key",
        expected="a key of the merged configuration",
        nearest=nearest_name(wanted, known),
    )


def _paths(tree: Tree, before: str = "") -> Iterator[str]:
    for name, value in tree.items():
        yield f"{before}{name}"
        if isinstance(value, dict):
            yield from _paths(value, f"{before}{name}.")
