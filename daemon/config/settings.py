"""From files, environment and `--set` to the configuration of a run, in this order: the later one wins.

Only this file reads `configs/`. Judging what was read is the duty of `components.config`. The last good result per mode
is remembered in the user's cache under a hash of every byte that went into it (files, overrides, code), so that a run
which changes nothing neither parses YAML nor imports pydantic.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from components.config.overrides import from_requests, from_variables, overridden, run_variables
from components.model.errors import CFG_FILE_MISSING, CFG_REQUEST, Fault, InvalidInput, nearest_name
from components.model.slices import RunSlice

if TYPE_CHECKING:
    from components.config.documents import Bundle

PACKAGED = Path(__file__).resolve().parents[2] / "configs"
MODES, VENUES, SHARE_CLASSES = "modes", "venues", "share_classes"
_MODE_NAME = re.compile(r"\w+")


class ModeInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the list of modes."""

    name: str
    share_class: str
    asset: str
    description: str


class File(msgspec.Struct, frozen=True, kw_only=True):
    """The bytes of one configuration file, None when it is not there; `shown` is its name in a fault."""

    folder: str
    name: str
    shown: str
    data: bytes | None
    siblings: tuple[str, ...] = ()


def load_run(
    mode: str,
    *,
    root: Path = PACKAGED,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] = os.environ,
) -> RunSlice:
    """The validated configuration of `mode`; InvalidInput with every fault of every file otherwise.

    `overrides` are `a.b=value` texts with the value in YAML. A malformed request is CFG-003, an absent file CFG-002,
    anything else CFG-001.
    """
    if not _MODE_NAME.fullmatch(mode):
        raise InvalidInput(CFG_REQUEST, [Fault(where="mode", found=repr(mode), expected="the name of a mode")])
    files = _read(root, mode)
    variables = run_variables(environ)
    memory = _Memory(mode, environ, _fingerprint(files, variables, overrides))
    run = memory.recall()
    if run is None:
        from components.config.validation import build_run  # 0.2 s of imports that a remembered run does not need

        bundle = _bundle(mode, files, variables, overrides)
        try:
            run = build_run(bundle)
        except InvalidInput as invalid:
            if all(file.data is not None for file in files):
                raise
            raise InvalidInput(CFG_FILE_MISSING, invalid.faults) from None
        memory.keep(run)
    return run


def modes(root: Path = PACKAGED) -> list[ModeInfo]:
    """All modes of a configuration folder, by name; the description is the first comment of the file."""
    found = []
    for path in sorted((root / MODES).glob("*.yaml")):
        data = path.read_bytes()
        content, _ = _parsed(path.name, data)
        keys = _mapping(content)
        first = data.decode(errors="replace").partition("\n")[0]
        found.append(
            ModeInfo(
                name=path.stem,
                share_class=str(keys.get("share_class", "?")),
                asset=str(keys.get("asset", "?")),
                description=first.lstrip("# ").rstrip() if first.startswith("#") else "",
            )
        )
    return found


def merged(run: RunSlice) -> dict[str, Any]:
    """The merged configuration as plain values in a stable order. No secret is in it: credentials are not read here."""
    plain: dict[str, Any] = msgspec.to_builtins(run, order="deterministic")
    return plain


def merged_yaml(run: RunSlice, request: Mapping[str, object] | None = None) -> str:
    """The merged configuration as YAML, and under `request` what was asked to be done with it."""
    import yaml  # heavy, and only needed when something is shown or read anew

    shown = merged(run) | ({"request": dict(request)} if request else {})
    return str(yaml.dump(shown, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=120))


def parse_value(text: str) -> object:
    """One YAML value; ValueError when it is none."""
    import yaml

    try:
        return yaml.load(text, Loader=_loader())
    except yaml.YAMLError as exc:
        raise ValueError(_in_one_line(exc)) from exc


def _read(root: Path, mode: str) -> list[File]:
    """The mode file, and all venue and share class files; an empty folder counts as one absent file."""
    files = []
    for folder, wanted in ((MODES, mode), (SHARE_CLASSES, None), (VENUES, None)):
        there = sorted(path.stem for path in (root / folder).glob("*.yaml"))
        for name in [wanted] if wanted else there or ["*"]:
            path = root / folder / f"{name}.yaml"
            shown = f"configs/{folder}/{name}.yaml" if root == PACKAGED else str(path)
            data = path.read_bytes() if name in there else None
            files.append(File(folder=folder, name=name, shown=shown, data=data, siblings=tuple(there)))
    return files


def _bundle(mode: str, files: Sequence[File], variables: Mapping[str, str], requests: Sequence[str]) -> Bundle:
    """The parsed files with all overrides on them."""
    from components.config.documents import Bundle, Document

    overrides = [*from_variables(variables, parse_value), *from_requests(requests, parse_value)]
    contents: dict[tuple[str, str], object] = {}
    faults: list[Fault] = []
    for file in files:
        if file.data is None:
            expected = f"one of {', '.join(file.siblings)}" if file.siblings else "files in this folder"
            faults.append(
                Fault(
                    where=file.shown,
                    found="no such file",
                    expected=expected,
                    nearest=nearest_name(file.name, file.siblings),
                )
            )
            continue
        contents[file.folder, file.name], found = _parsed(file.shown, file.data)
        faults += found
    changed: dict[str, str] = {}
    keys = contents.get((MODES, mode))
    if isinstance(keys, dict):
        venues = {name: content for (folder, name), content in contents.items() if folder == VENUES}
        tree, changed, unknown = overridden({**keys, VENUES: venues}, overrides)
        faults += unknown
        contents.update({(VENUES, name): content for name, content in _mapping(tree.pop(VENUES)).items()})
        contents[MODES, mode] = tree

    def documents(folder: str, prefix: str) -> dict[str, Document]:
        return {
            file.name: Document(
                name=file.shown,
                content=contents[folder, file.name],
                overridden={path.removeprefix(start): by for path, by in changed.items() if path.startswith(start)},
            )
            for file in files
            if file.folder == folder and (folder, file.name) in contents
            for start in [prefix.format(name=file.name)]
        }

    return Bundle(
        mode_name=mode,
        mode=documents(MODES, "").get(mode),
        share_classes=documents(SHARE_CLASSES, f"{SHARE_CLASSES}."),
        venues=documents(VENUES, VENUES + ".{name}."),
        faults=tuple(faults),
    )


def _parsed(shown: str, data: bytes) -> tuple[object, list[Fault]]:
    """The content of a YAML file, or None and a fault that says where it goes wrong."""
    import yaml

    try:
        return yaml.load(data, Loader=_loader()), []
    except yaml.YAMLError as exc:
        return None, [Fault(where=shown, found=_in_one_line(exc), expected="YAML")]


def _in_one_line(exc: Exception) -> str:
    return " ".join(str(exc).split())


@cache
def _loader() -> Any:
    """The safe loader, with `1e-3` read as a number (YAML 1.1 takes it for a text) and a key given twice refused."""
    import yaml

    class Loader(yaml.CSafeLoader):
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            seen: set[Any] = set()
            for key, _ in node.value:
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"key {key.value!r} given twice", key.start_mark
                    )
                seen.add(key.value)
            mapping: dict[Any, Any] = super().construct_mapping(node, deep)
            return mapping

    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+"), list("-+0123456789")
    )
    return Loader


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _fingerprint(files: Sequence[File], variables: Mapping[str, str], overrides: Sequence[str]) -> str:
    """SHA-256 (hex) of everything that decides what `load_run` returns, the code that decides it included."""
    packages = PACKAGED.parent / "components"
    code = [*sorted((packages / "config").glob("*.py")), *sorted((packages / "model").glob("*.py")), Path(__file__)]
    inputs = (
        [(file.shown, file.data) for file in files],
        dict(variables),
        list(overrides),
        [path.read_bytes() for path in code],
    )
    return sha256(msgspec.msgpack.encode(inputs)).hexdigest()


class _Memory:
    """The last good run of one mode on disk. Any doubt (no folder, other key, torn file) means: not remembered."""

    def __init__(self, mode: str, environ: Mapping[str, str], key: str) -> None:
        home = environ.get("XDG_CACHE_HOME") or (f"{environ['HOME']}/.cache" if environ.get("HOME") else None)
        self._path = Path(home) / "basisd" / "config" / f"{mode}.msgpack" if home else None
        self._key = key

    def recall(self) -> RunSlice | None:
        if self._path is None:
            return None
        try:
            key, run = msgspec.msgpack.decode(self._path.read_bytes(), type=tuple[str, RunSlice])
        except (OSError, msgspec.DecodeError):
            return None
        return run if key == self._key else None

    def keep(self, run: RunSlice) -> None:
        if self._path is None:
            return
        scratch = self._path.with_suffix(f".{os.getpid()}")
        # A full disk or a read-only home costs the next start 0.2 s, no more.
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            try:
                scratch.write_bytes(msgspec.msgpack.encode((self._key, run)))
                scratch.replace(self._path)
            finally:
                scratch.unlink(missing_ok=True)
