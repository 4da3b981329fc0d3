"""What somebody sees who types `make run` for the first time."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FIRST_LINE_S = 10.0  # a second on an idle machine
FIRST_TRADE_S = 60.0
LOG_LINE = re.compile(r"^\d{4}-\d\d-\d\dT")


def test_it_speaks_at_once_trades_within_a_minute_says_each_thing_once_and_what_to_type_next(tmp_path: Path) -> None:
    words = ["run", "--config", "configs/paper.yaml", "--speed", "600", "--state", str(tmp_path / "state")]
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "daemon.cli.main", *words],
        cwd=ROOT,
        env=os.environ | {"BASIS_DAEMON__METRICS__PORT": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as daemon:
        assert daemon.stdout is not None
        lines: list[str] = []
        first = traded = None
        for line in daemon.stdout:
            lines.append(line.rstrip("\n"))
            first = first or time.monotonic() - began
            if traded is None and (" buys " in line or " supplies " in line):
                traded = time.monotonic() - began
                daemon.send_signal(signal.SIGINT)
            if time.monotonic() - began > 2 * FIRST_TRADE_S:
                daemon.kill()
        code = daemon.wait(30)

    assert code == 0, "\n".join(lines)
    assert first is not None and first < FIRST_LINE_S
    assert traded is not None and traded < FIRST_TRADE_S
    assert [line for line, times in Counter(lines).items() if times > 1] == []
    assert [line for line in lines if LOG_LINE.match(line)] == []
    said = "\n".join(lines)
    for strategy in ("lending", "btc-basis", "eth-leveraged", "market-neutral"):
        assert said.count(f"  {strategy}: 40,320 rows") == 1
        assert len(re.findall(rf"{strategy}\s+is running$", said, re.M)) == 1
    assert said.index("builds the embedded market") < said.index("\nready ") < said.index("in another terminal")
    assert lines[-4].startswith("stopped at 2024-01-01")
    assert "go on from here" in lines[-3] and " ".join(words[:3]) in lines[-3]
    assert lines[-1].endswith(f"rm -r {tmp_path / 'state'}")
