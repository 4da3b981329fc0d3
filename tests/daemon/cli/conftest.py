"""A wide terminal, so that tests of contents need not think of widths (`test_output` and `test_looks` do), and the
signals as they were: `basis run` hears them from its first line on."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from daemon.process.signals import HEARD


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "240")


@pytest.fixture(autouse=True)
def signals_as_they_were() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in HEARD}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
