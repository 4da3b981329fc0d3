"""The whole matrix: `python -m tests.process.matrix [WORD ...]`, a row for every combination; 1 when one is not good.

Words choose rows by their names (`steady 1 hung`); `--list` names them. A row takes a minute or two.
"""

from __future__ import annotations

import sys
import time
import traceback
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.process.matrix.ground import why_not
from tests.process.matrix.play import Verdict, play
from tests.process.matrix.rows import DISKS, Row, chosen


def shown(verdict: Verdict) -> str:
    delta = "" if verdict.delta is None else f", {verdict.delta:.1%} unhedged"
    words = f"{verdict.phase} after {verdict.seconds:g} s"
    if verdict.phase != "flat":
        named = sorted({each.partition(" ")[0] for each in verdict.awaited})
        words += f" ({len(verdict.awaited)} awaited: {', '.join(named)}{delta}), then {_then(verdict)}"
    return f"  {verdict.strategy:<15} {words}" + "".join(f"\n      FAULT: {fault}" for fault in verdict.faults)


def _then(verdict: Verdict) -> str:
    return "closed" if verdict.finished else "NOT closed"


def one(row: Row) -> bool:
    """Plays and prints one row; whether it is good."""
    began = time.monotonic()
    if row.trouble in DISKS and why_not():
        print(f"{row}: not played, {why_not()}", flush=True)
        return True
    try:
        with TemporaryDirectory(prefix="matrix") as folder:
            verdicts = play(row, Path(folder))
    except Exception:
        print(f"{row}: FAULT\n{traceback.format_exc()}", flush=True)
        return False
    is_good = not any(verdict.faults for verdict in verdicts)
    print(f"{row}: {'good' if is_good else 'FAULT'}, {time.monotonic() - began:.0f} s", flush=True)
    print("\n".join(shown(verdict) for verdict in verdicts), flush=True)
    return is_good


def main(words: list[str]) -> int:
    rows = chosen(tuple(word for word in words if not word.startswith("--")))
    if "--list" in words:
        print("\n".join(str(row) for row in rows))
        return 0
    bad = [row for row in rows if not one(row)]
    print(f"{len(rows) - len(bad)} of {len(rows)} rows are good" + "".join(f"\n  not {row}" for row in bad))
    return 1 if bad or not rows else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
