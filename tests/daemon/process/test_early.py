"""Signals before there is a daemon: none kills, none is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from daemon.process.early import HEARD, Early

ROOT = Path(__file__).resolve().parents[3]


def test_what_is_heard_is_taken_once_in_order() -> None:
    before = {number: signal.getsignal(number) for number in HEARD}
    early = Early()
    try:
        early.hear()
        for number in (signal.SIGUSR2, signal.SIGUSR1, signal.SIGHUP):
            os.kill(os.getpid(), number)
        assert early.has_emergency() and not early.has_stop()
        os.kill(os.getpid(), signal.SIGTERM)
        assert early.has_stop()
        assert early.take() == (signal.SIGUSR2, signal.SIGUSR1, signal.SIGHUP, signal.SIGTERM)
        assert early.take() == () and not early.has_stop() and not early.has_emergency()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_another_thread_asks_in_vain() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    thread = threading.Thread(target=Early().hear)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGUSR1) is before


def test_nothing_heavy_is_imported_for_it() -> None:
    script = "import sys; import daemon.process.early; print(any(m in sys.modules for m in ('numpy', 'trio', 'click')))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_closed_streams_do_not_become_somebody_else_s_file(tmp_path: Path) -> None:
    script = (
        "import os; from daemon.process.early import fill_standard_streams; fill_standard_streams(); "
        f"fd = os.open({str(tmp_path / 'journal')!r}, os.O_CREAT | os.O_WRONLY); "
        f"print(fd, file=open({str(tmp_path / 'fd')!r}, 'w'))"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, close_fds=True, preexec_fn=_close_all, check=True)
    assert int((tmp_path / "fd").read_text()) > 2


def _close_all() -> None:
    for descriptor in (0, 1, 2):
        os.close(descriptor)
