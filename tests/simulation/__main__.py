"""`python -m tests.simulation --seed N --days D --faults K`: one campaign; exit 1 when an oracle found something."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.simulation.campaign import host_plan, plan_of, read, run_campaign, written
from tests.simulation.harness import FIVE, THREE


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--days", type=float, default=1.0, help="of virtual time")
    parser.add_argument("--faults", type=int, default=60, help="between the daemon and its venues, over all accounts")
    parser.add_argument("--host", type=int, default=14, help="of disk, process, clock, feed and other people's hands")
    parser.add_argument("--all", action="store_true", help="five strategies instead of three")
    parser.add_argument("--plan", type=Path, help="a list of faults to use instead")
    parser.add_argument("--write-plan", type=Path, help="where to write the list of faults that was used")
    asked = parser.parse_args()
    ids, hours, began = FIVE if asked.all else THREE, asked.days * 24.0, time.monotonic()
    plan = read(asked.plan.read_text(encoding="utf-8")) if asked.plan else None
    run, report = run_campaign(asked.seed, hours, faults=asked.faults, host=asked.host, ids=ids, plan=plan)
    if asked.write_plan:
        host = plan.host if plan else host_plan(asked.seed, hours, asked.host, ids)
        asked.write_plan.write_text(written(plan_of(run, host)), encoding="utf-8")
    print(written(report))
    print(f"{asked.days:g} virtual days in {time.monotonic() - began:.0f} s", file=sys.stderr)
    return 1 if report.found else 0


if __name__ == "__main__":
    sys.exit(main())
