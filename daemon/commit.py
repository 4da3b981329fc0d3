"""Which commit the running code is of, read from the clone it runs from without calling git; None elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_HASH = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


def commit_of(root: Path = ROOT) -> str | None:
    """The hash that HEAD of the clone at `root` stands on."""
    try:
        folder = _git_folder(root)
        head = (folder / "HEAD").read_text(encoding="ascii").strip()
        if not head.startswith("ref: "):
            return head if _HASH.fullmatch(head) else None
        return _resolved(folder, head.removeprefix("ref: "))
    except (OSError, UnicodeDecodeError):
        return None


def _git_folder(root: Path) -> Path:
    """`.git`, or where it points to in a linked working tree."""
    place = root / ".git"
    if place.is_file():
        return (root / place.read_text(encoding="utf-8").strip().removeprefix("gitdir: ")).resolve()
    return place


def _resolved(folder: Path, ref: str) -> str | None:
    common = folder / "commondir"
    shared = (folder / common.read_text(encoding="utf-8").strip()).resolve() if common.is_file() else folder
    for place in (folder, shared):
        if (place / ref).is_file():
            found = (place / ref).read_text(encoding="ascii").strip()
            return found if _HASH.fullmatch(found) else None
    packed = shared / "packed-refs"
    lines = packed.read_text(encoding="utf-8").splitlines() if packed.is_file() else []
    return next((line.split()[0] for line in lines if line.endswith(f" {ref}") and _HASH.match(line)), None)
