"""SIGKILL at named moments and at random: nothing is sent twice, nothing acknowledged is missing, the run repeats.

The venue process survives and is the judge. What a torn or lying disk does is tested with the test disk
(tests/daemon/journal); a kill alone keeps the page cache.
"""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

import pytest

from daemon.journal.journal import record_of
from daemon.journal.records import Command, Intent
from daemon.journal.walk import Walk
from daemon.state.disk import RealDisk, moments
from tests.process.stand import Stand

STRATEGY = "btc-basis"
REACHED = tuple(
    moment
    for moment in moments()
    if moment.partition(":")[2].startswith(("journal.write", "journal.sync", "anchor.replace"))
)
NTH = {"journal.write": (1, 3, 4, 5, 9), "journal.sync": (1, 3, 4, 5, 9), "anchor.replace": (2, 4)}


def cases() -> list[str]:
    return [f"{m}#{n}" for m in REACHED for p, ns in NTH.items() if m.partition(":")[2].startswith(p) for n in ns]


def settle_and_judge(stand: Stand, acknowledged: set[str]) -> None:
    """Starts once more, lets it come to rest, stops it, and judges by the venues' truth."""
    assert stand.start(), stand.log.read_text()[-3000:]
    stand.wait_for(
        lambda all: (
            all[STRATEGY]["state"] == "running" and all[STRATEGY]["ticks"] > 3 and not all[STRATEGY]["uncertain"]
        )
    )
    code, last = stand.stop()
    assert code == 0, last
    truth = stand.truth(STRATEGY)
    assert not truth.conflicts
    records = [
        record_of(STRATEGY, frame)
        for frame in Walk(RealDisk(), stand.state / "strategies" / STRATEGY / "journal", STRATEGY)
    ]
    intended = [order.id for record in records if isinstance(record, Intent) for order in record.group.orders]
    assert len(intended) == len(set(intended)), "an order id was intended twice"
    assert set(truth.orders) <= set(intended), "an order at the venue has no intent on disk"
    done = [trade.order_id for trade in truth.fills]
    assert len(done) == len(set(done)), "an order was done twice"
    commands = {record.id for record in records if isinstance(record, Command)}
    assert acknowledged <= commands, "an acknowledged command is missing"
    spot = sum(amount for key, amount in truth.balances.items() if key.endswith(":BaseToken:BTC"))
    short = sum(amount for key, amount in truth.balances.items() if key.endswith(":Perp:BTCUSDT"))
    assert abs(spot + short) < 0.02 * max(abs(short), 0.01), (spot, short)
    for proof in stand.proofs().values():
        assert proof.identical, proof.in_words()


@pytest.mark.parametrize("lot", range(3))
def test_a_kill_at_a_named_moment_loses_nothing(lot: int, tmp_path: Path) -> None:
    """Each lot is one life story with several deaths; all lots together reach every moment in the list."""
    mine = cases()[lot::6] if lot < 3 else []
    with Stand(tmp_path) as stand:
        deaths = 0
        acknowledged: set[str] = set()
        for i, case in enumerate(mine):
            if stand.start(kill_at=case) and not stand.died(0.3):
                for k in range(40):
                    try:
                        acknowledged.add(stand.ask("deposit", STRATEGY, key=f"{i}/{k}", amount="15000")["id"])
                    except Exception:  # it dies while it is asked: nothing was acknowledged
                        break
                    if stand.died(0.1):
                        break
            assert stand.died(5.0), f"{case} was not reached"
            deaths += 1
        assert deaths == len(mine)
        settle_and_judge(stand, acknowledged)


@pytest.mark.slow
@pytest.mark.parametrize("case", cases())
def test_a_kill_at_each_moment_on_its_own(case: str, tmp_path: Path) -> None:
    with Stand(tmp_path) as stand:
        acknowledged: set[str] = set()
        if stand.start(kill_at=case):
            for k in range(60):
                try:
                    acknowledged.add(stand.ask("deposit", STRATEGY, key=f"{k}", amount="15000")["id"])
                except Exception:
                    break
                if stand.died(0.1):
                    break
        assert stand.died(5.0), f"{case} was not reached"
        settle_and_judge(stand, acknowledged)


def die_at_random(stand: Stand, draw: Random, times: int) -> set[str]:
    acknowledged: set[str] = set()
    for i in range(times):
        assert stand.start(), stand.log.read_text()[-3000:]
        until = time.monotonic() + draw.uniform(0.05, 1.0)
        k = 0
        while time.monotonic() < until:
            k += 1
            acknowledged.add(stand.ask("deposit", STRATEGY, key=f"{i}/{k}", amount="15000")["id"])
            time.sleep(draw.uniform(0.0, 0.1))
        stand.kill()
    return acknowledged


def test_kills_at_random_lose_nothing(tmp_path: Path) -> None:
    with Stand(tmp_path, latency=0.02) as stand:
        settle_and_judge(stand, die_at_random(stand, Random(1), 8))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_two_hundred_kills_at_random(seed: int, tmp_path: Path) -> None:
    with Stand(tmp_path, latency=0.02) as stand:
        settle_and_judge(stand, die_at_random(stand, Random(100 + seed), 20))
