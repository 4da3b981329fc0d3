"""`python -m tests.decisions [CAMPAIGN…]`: plays campaigns and prints offenders with the line that plays each again.

The exit code is 1 when anything was found. `--oracle` and `--mode` narrow it down, `--limit` stops after so many runs,
`--each` says how many offenders of one oracle are printed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from itertools import islice

from tests.decisions.campaigns import CAMPAIGNS
from tests.decisions.oracles import ORACLES, judged
from tests.decisions.playing import Refused, play, shown


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.decisions", description=__doc__)
    parser.add_argument("campaigns", nargs="*", metavar="CAMPAIGN", help=", ".join(CAMPAIGNS))
    parser.add_argument("--oracle", action="append", choices=sorted(ORACLES), default=[])
    parser.add_argument("--mode", action="append", default=[])
    parser.add_argument("--limit", type=int)
    parser.add_argument("--every", type=int, default=1, help="play every Nth run only")
    parser.add_argument("--each", type=int, default=3)
    asked = parser.parse_args(argv)
    worst = 0
    for name in asked.campaigns or CAMPAIGNS:
        worst |= _campaign(name, asked)
    return worst


def _campaign(name: str, asked: argparse.Namespace) -> int:
    offences: Counter[str] = Counter()
    refusals: Counter[str] = Counter()
    runs = 0
    began = time.perf_counter()
    cases = (case for case in CAMPAIGNS[name]() if not asked.mode or case.mode in asked.mode)
    for case in islice(cases, 0, asked.limit, asked.every):
        played = play(case)
        runs += 1
        if isinstance(played, Refused):
            refusals[played.reason] += 1
            continue
        for oracle, findings in judged(played, tuple(asked.oracle)).items():
            offences[oracle] += 1
            if offences[oracle] <= asked.each:
                first = findings[0]
                print(f"{oracle}: {shown(played, first.row)} {first.text} ({len(findings)} in this run)")
                print(f"    {case.command()}", flush=True)
    took = time.perf_counter() - began
    for reason, times in refusals.most_common(asked.each):
        print(f"refused {times} times: {reason}")
    refused = refusals.total()
    print(f"{name}: {runs} runs, {refused} refused, {took:.0f} s; offenders: {dict(offences) or 'none'}", flush=True)
    return int(bool(offences))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
