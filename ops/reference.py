"""Writes the reference pages of the docs from the code: configuration keys and error codes.

`python -m ops.reference` writes them, `--check` compares and exits 1 when a page is out of date. Meanings come
from the field descriptions of `components.config.schema`, values from the packaged files, errors from the catalogue.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from components.config.documents import shown
from components.config.overrides import RESERVED, RESERVED_PREFIXES
from components.config.reading import described, section_of
from components.config.schema import VENUE_KINDS, ModeFile, ShareClassFile
from components.model.errors import CATALOGUE
from components.model.events import EVENT_MEANINGS, EventType
from daemon.config.schema import DaemonFile, StrategyKeys
from daemon.config.settings import MODES, PACKAGED, SHARE_CLASSES, VENUES
from daemon.journal.records import Record
from daemon.monitoring.families import reference_table

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDER = REPOSITORY / "docs" / "reference"
_NOTE = "<!-- Written by `python -m ops.reference`; a test compares it with the code. -->\n"

_LONG_VALUE = 200

Contents = Mapping[str, Mapping[str, Any]]


def pages() -> dict[str, str]:
    """Each page by file name."""
    return {
        "configuration.md": configuration_page(),
        "daemon.md": daemon_page(),
        "errors.md": errors_page(),
        "events.md": events_page(),
        "metrics.md": metrics_page(),
    }


def configuration_page() -> str:
    modes, classes, venues = _contents(MODES), _contents(SHARE_CLASSES), _contents(VENUES)
    lines = [
        "# Configuration", "", _NOTE,
        "A run is configured by one mode file, the share class file of its currency and the venue files. Every key",
        "is required; an unknown or absent key is an error that names the nearest right one. On top of the files",
        "come variables and then requests, the later one wins:", "",
        "| source | example |",
        "| --- | --- |",
        "| file | `configs/modes/btc_basis.yaml` |",
        "| variable, `BASIS_SECTION__KEY` | `BASIS_RISK__DELTA__WARNING=0.02` |",
        "| request | `--set risk.delta.warning=0.02`, `--set 'hedge_allocation={binance: 0.5, bybit: 0.5}'` |", "",
        "A request replaces one key or a whole section; its value is YAML. Keys of venue files are reached as",
        "`venues.<name>.<key>` (`BASIS_VENUES__OKX__SPOT_FEES__TAKER`). Any other `BASIS_` variable is an error,",
        "except those of the daemon and its credentials, which a run ignores:", "",
        *(f"- `{name}`" for name in (*RESERVED, *(f"{prefix}…" for prefix in RESERVED_PREFIXES))), "",
        "`basis config validate` prints every fault at once; `basis config show MODE` prints what is in force.", "",
        "## Mode files", "", "`configs/modes/<mode>.yaml`. Where one value stands, all modes have it.", "",
        *_table(ModeFile, modes), "",
        "## Share class files", "", "`configs/share_classes/<name>.yaml`.", "", *_table(ShareClassFile, classes), "",
        "## Venue files", "", "`configs/venues/<name>.yaml`. The key `kind` decides which keys a file has.", "",
    ]  # fmt: skip
    for kind, model in VENUE_KINDS.items():
        files = {name: content for name, content in venues.items() if content["kind"] == kind}
        title = (model.__doc__ or "").partition(".")[0]
        lines += [f"### {kind}: {', '.join(files)}", "", f"{title}.", "", *_table(model, files), ""]
    return "\n".join(lines).rstrip() + "\n"


def daemon_page() -> str:
    """The keys of a daemon file, and the values of the packaged one."""
    content = yaml.load((PACKAGED / "paper.yaml").read_bytes(), Loader=yaml.CBaseLoader)
    first, *_ = content["strategies"]
    return "\n".join([
        "# The daemon file", "", _NOTE,
        "What `basis run --config FILE` reads; values are those of `configs/paper.yaml`. Every key is required.",
        "Variables `BASIS_EXECUTION_MODE`, `BASIS_ENVIRONMENT`, `BASIS_STATE_DIR` and `BASIS_DAEMON__SECTION__KEY`",
        "replace keys. Live trading is guarded by `BASIS_LIVE_TRADING__…` on top: [operating](../operating.md).", "",
        *_table(DaemonFile, {"paper": content}), "",
        "## Each of `strategies`", "", *_table(StrategyKeys, {"paper": first}), "",
    ])  # fmt: skip


def events_page() -> str:
    """Event types and journal records."""
    events = (f"| `{each.value}` | {EVENT_MEANINGS[each]} |" for each in EventType)
    records = (
        f"| `{record.__struct_config__.tag}` | {' '.join((record.__doc__ or '').split())} |"
        for record in get_args(Record)
    )
    return "\n".join([
        "# Events and records", "", _NOTE,
        "An event is a fact that changes or explains money, with the balances after it. `basis events` shows them,",
        "`event_log.csv` of a backtest has the same.", "",
        "| event | what happened |", "| --- | --- |", *events, "",
        "The journal of a strategy holds these records, each chained to the one before by its hash;",
        "`basis audit verify`, `tail` and `export` read them.", "",
        "| record | what it holds |", "| --- | --- |", *records, "",
    ])  # fmt: skip


def metrics_page() -> str:
    return "\n".join([
        "# Metrics", "", _NOTE,
        "`GET /metrics` in Prometheus' text format. A series that is not known is absent, never 0.", "",
        reference_table(),
    ])  # fmt: skip


def errors_page() -> str:
    _import_all_catalogued()
    rows = (
        f'| <a id="{entry.code.lower()}"></a>`{entry.code}` | {entry.severity} | {entry.title} | {entry.action} |'
        for _, entry in sorted(CATALOGUE.items())
    )
    return "\n".join([
        "# Errors", "", _NOTE,
        "Every error carries a code, what it means and what to do. `critical` stops a strategy or pages somebody,",
        "`error` refuses one thing, `warning` and `info` are told and lived with.", "",
        "| code | severity | what it means | what to do |",
        "| --- | --- | --- | --- |",
        *rows, "",
    ])  # fmt: skip


def main(arguments: list[str]) -> int:
    stale = []
    for name, text in pages().items():
        path = FOLDER / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if "--check" not in arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    for name in stale:
        print(f"docs/reference/{name}: " + ("out of date" if "--check" in arguments else "written"))
    return 1 if stale and "--check" in arguments else 0


def _contents(folder: str) -> dict[str, Any]:
    paths = sorted((PACKAGED / folder).glob("*.yaml"))
    return {path.stem: yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader) for path in paths}


def _table(model: type[BaseModel], files: Contents) -> list[str]:
    return ["| key | type | value | meaning |", "| --- | --- | --- | --- |", *_rows(model, files, "")]


def _rows(model: type[BaseModel], files: Contents, before: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        path = f"{before}{name}"
        section = section_of(field.annotation)
        values = {file: content[name] for file, content in files.items()}
        if section is None:
            yield _row(path, described(field.annotation, field.metadata), _values(values), field)
            continue
        yield _row(path, described(field.annotation), "", field)
        if get_origin(field.annotation) is None:
            yield from _rows(section, values, f"{path}.")
        else:
            # Entries of a map differ from file to file; the files show them, with comments.
            for key, inner in section.model_fields.items():
                if section_of(inner.annotation) is None:
                    yield _row(f"{path}.<…>.{key}", described(inner.annotation, inner.metadata), "", inner)
                else:
                    yield _row(f"{path}.<…>.{key}", described(inner.annotation), "", inner)
                    yield from _inner_rows(inner, f"{path}.<…>.{key}.")


def _inner_rows(field: FieldInfo, before: str) -> Iterator[str]:
    section = section_of(field.annotation)
    several = "<…>." if get_origin(field.annotation) is not None else ""
    for key, inner in section.model_fields.items() if section else ():
        yield _row(f"{before}{several}{key}", described(inner.annotation, inner.metadata), "", inner)


def _row(path: str, kind: str, value: str, field: FieldInfo) -> str:
    cells = (f"`{path}`", kind, value, field.description or "")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _values(values: Mapping[str, object]) -> str:
    """`0.05`, or the commonest value and then the files that differ."""
    written = {file: _written(value) for file, value in values.items()}
    texts = list(written.values())
    common = max(texts, key=texts.count, default="")
    if max(map(len, texts), default=0) > _LONG_VALUE:
        return "see the files"
    if len(texts) > 1 and texts.count(common) == 1:
        return "<br>".join(f"{file}: {text}" for file, text in written.items())
    others = [f"{file}: {text}" for file, text in written.items() if text != common]
    return "<br>".join([common, *others])


def _written(value: object) -> str:
    if isinstance(value, list):
        return "`[" + ", ".join(str(item) for item in value) + "]`"
    if isinstance(value, dict):
        return "`{" + ", ".join(f"{key}: {item}" for key, item in value.items()) + "}`"
    return f"`{value}`" if isinstance(value, str) else f"`{shown(value)}`"


def _import_all_catalogued() -> None:
    """Imports every module that adds to the catalogue: registering is done at import."""
    for package in ("components", "venues", "daemon"):
        for path in sorted((REPOSITORY / package).rglob("*.py")):
            if "= catalogued(" in path.read_text(encoding="utf-8"):
                importlib.import_module(".".join(path.relative_to(REPOSITORY).with_suffix("").parts))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
