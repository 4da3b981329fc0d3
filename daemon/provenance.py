"""What code this is: one hash for journals, results and metrics, so that a run can be told from where it was made.

It covers every module of the packages that decide something, each with its path; tests and docs do not change it.
"""

from __future__ import annotations

import platform
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from daemon.commit import commit_of

PACKAGES = ("components", "daemon", "venues")
ROOT = Path(__file__).resolve().parent.parent


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
