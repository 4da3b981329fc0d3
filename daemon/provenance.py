"""What code this is: one hash for journals, results and metrics, so that a run can be told from where it was made.

It covers every module of the packages that decide something, each with its path; tests and docs do not change it.
"""

from __future__ import annotations

import platform
import re
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

PACKAGES = ("components", "daemon", "venues")
ROOT = Path(__file__).resolve().parent.parent
_HASH = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


@cache
def code_hash() -> str:
    """SHA-256 (hex) over names and bytes of all modules that are installed."""
    code = sha256()
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            code.update(file.relative_to(ROOT).as_posix().encode() + b"\0")
            code.update(sha256(file.read_bytes()).digest())
    return code.hexdigest()


def provenance() -> dict[str, str]:
    """What a run epoch was made with."""
    try:
        release = version("basisd")
    except PackageNotFoundError:
        release = "unknown"
    return {
        "version": release,
        "commit": commit_of() or "",
        "code_hash": code_hash(),
        "numpy": np.__version__,
        "platform": f"{platform.system()} {platform.machine()} Python {platform.python_version()}",
    }


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
