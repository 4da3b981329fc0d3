"""Calls the command line inside the test process."""

from __future__ import annotations

from daemon.cli.main import main


def call(*words: str) -> int:
    """Exit code of `basis words…`."""
    try:
        code = main(list(words))
    except SystemExit as stop:
        code = stop.code
    return int(code or 0)
