"""The daemon file: which strategies run, on which market and account, within which limits. File and variables in, one
frozen `DaemonSlice` or every fault at once out.

Variables stand above the file: BASIS_EXECUTION_MODE, BASIS_ENVIRONMENT, BASIS_STATE_DIR, BASIS_DAEMON__SECTION__KEY.
Configurations of the strategies are read and judged by `settings`; what a reload may change is in `daemon_reload`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import msgspec

from components.config.documents import Document, shown
from components.config.overrides import Override, from_variables, overridden
from components.config.reading import read
from components.model.errors import CFG_FILE_MISSING, CFG_INVALID, Fault, InvalidInput, nearest_name
from components.model.slices import RunSlice
from daemon.config.live_guard import PAPER, LiveGuard, read_guard
from daemon.config.rules import daemon_faults, interval_faults, start_ns
from daemon.config.schema import DaemonFile, StrategyKeys
from daemon.config.settings import PACKAGED, load_run, modes, parse_value

SECTION = "BASIS_DAEMON__"
VARIABLES = {
    "BASIS_EXECUTION_MODE": "execution_mode",
    "BASIS_ENVIRONMENT": "environment",
    "BASIS_STATE_DIR": "state",
}


class MarketFeed(msgspec.Struct, frozen=True, kw_only=True):
    """Where prices come from; all but `source` is None with the feeds of the venues. `start` in UTC ns."""

    source: Literal["embedded", "venues"]
    seed: int | None
    scenario: str | None
    start: int | None
    step_s: float | None


class Restart(msgspec.Struct, frozen=True, kw_only=True):
    max_restarts: int
    window_s: float
    backoff_s: float


class DaemonLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Meanings and units: `daemon_schema.LimitKeys`."""

    max_adjustment_per_day: float
    clock_offset_ms: float
    order_grace_s: float
    leg_deadline_s: float
    leg_cost_bps: float
    order_failures: int
    orders_per_minute: int
    unknown_budget_s: float
    poll_interval_s: float
    step_budget_s: float
    stop_within_s: float


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    host: str
    port: int
    token_file: str | None


class Log(msgspec.Struct, frozen=True, kw_only=True):
    level: Literal["debug", "info", "warning", "error"]
    format: Literal["json", "text"]


class StrategyEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One strategy: its place in the daemon, and `run`, its whole validated configuration (overrides are in it)."""

    id: str
    mode: str
    capital: float
    account: str
    restart: Restart
    on_failure: Literal["hold", "flatten", "default"]
    run: RunSlice


class DaemonSlice(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the daemon is configured by. Paths are texts, so that it can be hashed and journaled."""

    execution_mode: Literal["paper", "live"]
    environment: Literal["dev", "staging", "production"]
    strategies: tuple[StrategyEntry, ...]
    market: MarketFeed
    speed: float
    limits: DaemonLimits
    metrics: Metrics
    state: str
    log: Log
    guard: LiveGuard
    config_hash: str

    @property
    def state_dir(self) -> Path:
        return Path(self.state)


def load_daemon(path: Path, *, configs: Path = PACKAGED, environ: Mapping[str, str] = os.environ) -> DaemonSlice:
    """The validated configuration of the daemon; InvalidInput CFG-001 (CFG-002: no such file) with every fault."""
    name = f"configs/{path.name}" if path.resolve().parent == PACKAGED else str(path)
    content, faults = _with_variables(_content(path, name), environ)
    document = Document(name=name, content=content.tree, overridden=content.changed)
    entries, found = _entries(document)
    faults += found
    top = content.tree
    if isinstance(top, dict) and isinstance(top.get("strategies"), list):
        top = {**top, "strategies": []}  # each entry was read on its own, so that one fault does not hide the others
    file, read_faults = read(DaemonFile, msgspec.structs.replace(document, content=top))
    faults += [*read_faults, *daemon_faults(document, file, entries)]
    guard = PAPER
    if getattr(file, "execution_mode", None) == "live":
        guard, guard_faults = read_guard(environ)
        faults += guard_faults
    runs = _runs(document, entries, configs, environ, faults)
    faults += interval_faults(document, file, runs)
    if faults:
        raise InvalidInput(CFG_INVALID, dict.fromkeys(faults))
    return _assembled(file, [entry for entry in entries if entry is not None], runs, guard)


class _Content(msgspec.Struct, frozen=True):
    tree: Any
    changed: Mapping[str, str]


def _content(path: Path, name: str) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as exc:
        siblings = [other.name for other in path.parent.glob("*.yaml")]
        expected = f"one of {', '.join(sorted(siblings))}" if siblings else "a daemon file"
        nearest = nearest_name(path.name, siblings)
        fault = Fault(where=name, found="no such file", expected=expected, nearest=nearest)
        raise InvalidInput(CFG_FILE_MISSING, [fault]) from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise InvalidInput(
            CFG_INVALID,
            [
                Fault(
                    where=name,
                    found=getattr(exc, "strerror", None) or "bytes that are no text",
                    expected="a readable text file",
                )
            ],
        ) from exc
    try:
        return parse_value(text)
    except ValueError as exc:
        raise InvalidInput(CFG_INVALID, [Fault(where=name, found=str(exc), expected="YAML")]) from exc


def _with_variables(content: Any, environ: Mapping[str, str]) -> tuple[_Content, list[Fault]]:
    if not isinstance(content, dict):
        return _Content(content, {}), []
    faults: list[Fault] = []
    overrides = [
        Override(path=("daemon", key), value=environ[name], source=name)
        for name, key in VARIABLES.items()
        if environ.get(name)
    ]
    try:
        sections = {name: text for name, text in sorted(environ.items()) if name.startswith(SECTION)}
        overrides += from_variables(sections, parse_value)
    except InvalidInput as invalid:
        faults += invalid.faults
    tree, changed, unknown = overridden({"daemon": content}, overrides)
    return _Content(tree["daemon"], {at.removeprefix("daemon."): by for at, by in changed.items()}), faults + unknown


def _entries(document: Document) -> tuple[list[StrategyKeys | None], list[Fault]]:
    """The entries of `strategies`, drafts included; None for one that is no map."""
    listed = document.content.get("strategies") if isinstance(document.content, dict) else None
    entries: list[StrategyKeys | None] = []
    faults: list[Fault] = []
    for i, content in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(content, dict) and isinstance(content.get("overrides"), dict):
            texts = {str(key): _yaml_text(value) for key, value in content["overrides"].items()}
            content = {**content, "overrides": texts}
        entry, found = read(StrategyKeys, Document(name=f"{document.name}: strategies.{i}", content=content))
        entries.append(entry if isinstance(content, dict) else None)
        faults += found
    return entries, faults


def _runs(
    document: Document,
    entries: list[StrategyKeys | None],
    configs: Path,
    environ: Mapping[str, str],
    faults: list[Fault],
) -> dict[int, RunSlice]:
    """The configuration of each entry that has one, by position."""
    known = [info.name for info in modes(configs)]
    variables = {name: text for name, text in environ.items() if name not in VARIABLES and not name.startswith(SECTION)}
    runs: dict[int, RunSlice] = {}
    for i, entry in enumerate(entries):
        if entry is None or "mode" not in entry.model_fields_set:
            continue
        if entry.mode not in known:
            nearest = nearest_name(entry.mode, known)
            faults.append(
                document.fault(f"strategies.{i}.mode", shown(entry.mode), f"one of {', '.join(known)}", nearest)
            )
            continue
        overrides = entry.overrides if "overrides" in entry.model_fields_set else {}
        requests = [f"{path}={text}" for path, text in overrides.items()]
        try:
            runs[i] = load_run(entry.mode, root=configs, overrides=requests, environ=variables)
        except InvalidInput as invalid:
            place = f"{document.name}: strategies.{i}.overrides "
            for fault in invalid.faults:
                faults.append(msgspec.structs.replace(fault, where=fault.where.replace("--set ", place)))
    return runs


def _yaml_text(value: object) -> str:
    """A value on one line of YAML, as a request would spell it."""
    import yaml

    return str(yaml.safe_dump(value, default_flow_style=True, width=1_000_000)).removesuffix("...\n").strip()


def _assembled(
    file: DaemonFile, entries: list[StrategyKeys], runs: Mapping[int, RunSlice], guard: LiveGuard
) -> DaemonSlice:
    plain = file.model_dump()
    plain["strategies"] = [{**entry.model_dump(), "run": runs[i]} for i, entry in enumerate(entries)]
    plain["market"]["start"] = None if file.market.start is None else start_ns(file.market.start)
    complete = msgspec.convert({**plain, "guard": guard, "config_hash": ""}, DaemonSlice)
    return msgspec.structs.replace(complete, config_hash=daemon_hash(complete))


def daemon_hash(config: DaemonSlice) -> str:
    """SHA-256 (hex) of the canonical merged configuration."""
    plain = msgspec.structs.replace(config, config_hash="")
    return sha256(msgspec.json.encode(plain, order="deterministic")).hexdigest()
