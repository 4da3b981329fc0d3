"""A stretch in which the process did not run is left out of process time, said, and nobody's fault."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import trio
from trio.testing import MockClock

from daemon.world.awake import STALL_S, AwakeClock, Lateness, lost_s
from daemon.world.clocks import SECOND_NS, MarketClock

ROOT = Path(__file__).resolve().parents[3]


class Hand:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_what_nobody_could_use_does_not_pass() -> None:
    hand = Hand()
    clock = AwakeClock(hand)
    clock.start_clock()
    began = clock.current_time()
    hand.now += 0.5
    assert clock.current_time() - began == 0.5
    hand.now += 160.0
    assert clock.current_time() - began == 0.5
    assert (clock.lost_s, clock.stalls) == (160.0, 1)


def test_a_sleep_is_no_stall_and_a_sleep_that_takes_too_long_is() -> None:
    hand = Hand()
    clock = AwakeClock(hand)
    clock.start_clock()
    deadline = clock.current_time() + 30.0
    assert clock.deadline_to_sleep_time(deadline) == 30.0
    hand.now += 30.1
    assert abs(clock.current_time() - deadline - 0.1) < 1e-9 and clock.lost_s == 0.0
    assert clock.deadline_to_sleep_time(clock.current_time() + 5.0) == 5.0
    hand.now += 50.0
    assert clock.lost_s == 0.0
    clock.current_time()
    assert abs(clock.lost_s - 45.0) < 1e-9


def test_woken_early_it_counts_from_there() -> None:
    hand = Hand()
    clock = AwakeClock(hand)
    clock.start_clock()
    clock.deadline_to_sleep_time(clock.current_time() + 60.0)
    hand.now += 1.0
    clock.current_time()
    hand.now += 10.0
    clock.current_time()
    assert clock.lost_s == 10.0


SCRIPT = """
import trio
from daemon.world.awake import AwakeClock, Lateness, lost_s
async def main():
    late = Lateness()
    began = trio.current_time()
    print("up", flush=True)
    with trio.move_on_after(2.0) as patience:
        while not lost_s():
            await trio.sleep(0.05)
            late.look(trio.current_time()) if not lost_s() else None
    late_s = late.look(trio.current_time())
    print(patience.cancelled_caught, round(lost_s(), 1), trio.current_time() - began < 2.5, late_s > 2.5)
trio.run(main, clock=AwakeClock())
"""


def test_a_deadline_of_two_seconds_survives_a_stop_of_four() -> None:
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGSTOP)
    time.sleep(4.0)
    os.kill(process.pid, signal.SIGCONT)
    out, _ = process.communicate(timeout=20.0)
    caught, lost, in_time, late = out.split()
    assert (caught, in_time, late) == ("False", "True", "True")
    assert 2.5 < float(lost) < 6.0


def test_lateness_is_told_once_however_many_look_and_only_to_those_who_came_before() -> None:
    clock = MockClock(autojump_threshold=0)

    async def play() -> None:
        late = Lateness()
        before = trio.current_time()
        often, seldom = before + 5.0, before + 57.0
        await trio.sleep(5.0)
        assert late.look(often) == 0.0
        often += 5.0
        clock.jump(160.0)
        assert abs(late.look(often) - 155.0) < 1e-6
        assert late.look(seldom) == 0.0, "it has been found late already"
        assert abs(late.since(before) - 155.0) < 1e-6
        assert late.since(trio.current_time()) == 0.0
        due = trio.current_time() + 5.0
        await trio.sleep(5.0 + STALL_S / 2.0)
        late.look(due)
        assert abs(late.since(before) - 155.0) < 1e-6, "a little late is no excuse"

    trio.run(play, clock=clock)


def test_the_market_goes_on_while_the_process_does_not_run() -> None:
    hand = Hand()

    async def play() -> None:
        market = MarketClock(0, speed=60.0)
        assert market.now() == 0
        hand.now += 10.0
        trio.current_time()
        assert lost_s() == 10.0
        assert abs(market.now() - 600 * SECOND_NS) < SECOND_NS

    trio.run(play, clock=AwakeClock(hand))


def test_under_another_clock_nothing_is_lost() -> None:
    async def play() -> None:
        assert lost_s() == 0.0

    trio.run(play, clock=MockClock())
