"""`python -m tests.stress [part of a name]`: plays the stress runs and prints what went wrong."""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor

from tests.stress.runs import STRESS, summary, watch

if __name__ == "__main__":
    words = sys.argv[1:]
    chosen = [one for one in STRESS if all(word in str(one) for word in words)]
    outcomes = []
    with ProcessPoolExecutor(2) as pool:
        for outcome in pool.map(watch, chosen, chunksize=4):
            outcomes.append(outcome)
            for fault in outcome.faults:
                print(f"{outcome.stress}: {fault}", flush=True)
    for name, value in summary(outcomes).items():
        print(f"{name}: {value:g}")
    sys.exit(any(outcome.faults for outcome in outcomes))
