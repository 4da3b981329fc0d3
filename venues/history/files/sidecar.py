"""`data.yaml` in a data folder: what its files cannot say of themselves.

`timezone: UTC` is the zone of every stamp that names none; `timezones` gives it by file name pattern, first match
first. Nothing else may stand there. A zone that is also given with the request must be the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from components.model.errors import DAT_UNREADABLE, Fault, InvalidInput, nearest_name

SIDECAR = "data.yaml"


class Zones(msgspec.Struct, frozen=True):
    """The declared zone of stamps that name none: by pattern of the file's path in the folder, else `general`."""

    general: str | None = None
    by_pattern: Mapping[str, str] = {}

    def of(self, file: str) -> str | None:
        return next((zone for pattern, zone in self.by_pattern.items() if fnmatchcase(file, pattern)), self.general)


def declared_zones(folder: Path, requested: str | None = None) -> Zones:
    """What `data.yaml` of the folder and the request declare; InvalidInput (DAT-005) for what is no zone, an unknown
    key, or two declarations that differ."""
    faults = _zone_faults("--timezone", requested)
    if faults:
        raise InvalidInput(DAT_UNREADABLE, faults)
    path = folder / SIDECAR
    if not path.is_file():
        return Zones(requested)
    content = _content(path)
    general, patterns = content.get("timezone"), content.get("timezones") or {}
    faults = [
        Fault(where=f"{SIDECAR} {key}", found="an unknown key", expected="timezone or timezones",
              nearest=nearest_name(str(key), ("timezone", "timezones")))
        for key in content if key not in ("timezone", "timezones")
    ]  # fmt: skip
    faults += _zone_faults(f"{SIDECAR} timezone", general)
    if not isinstance(patterns, dict):
        faults.append(Fault(where=f"{SIDECAR} timezones", found=repr(patterns), expected="patterns with a zone each"))
        patterns = {}
    for pattern, zone in patterns.items():
        faults += _zone_faults(f"{SIDECAR} timezones {pattern}", zone)
    if requested is not None and general is not None and requested != general:
        expected = f"{general}, as {SIDECAR} declares"
        faults.append(Fault(where="--timezone", found=requested, expected=expected))
    if faults:
        raise InvalidInput(DAT_UNREADABLE, faults)
    return Zones(requested if general is None else str(general), {str(key): zone for key, zone in patterns.items()})


def _content(path: Path) -> Mapping[str, object]:
    yaml = import_module("yaml")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as exc:
        fault = Fault(where=SIDECAR, found=str(exc), expected="YAML such as 'timezone: UTC'")
        raise InvalidInput(DAT_UNREADABLE, [fault]) from exc
    if not isinstance(content, dict):
        fault = Fault(where=SIDECAR, found=repr(content), expected="keys such as 'timezone: UTC'")
        raise InvalidInput(DAT_UNREADABLE, [fault])
    return content


def _zone_faults(where: str, zone: object) -> list[Fault]:
    if zone is None:
        return []
    try:
        ZoneInfo(str(zone))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return [Fault(where=where, found=repr(zone), expected="a zone such as UTC or Europe/Berlin")]
    return []
