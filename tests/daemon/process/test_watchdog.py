"""What looks after the daemon: feeds the watchdog only while everything moves, and stops a loss that is too large."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import trio
from msgspec import structs
from trio.testing import MockClock

from daemon.config.live_guard import PAPER
from daemon.monitoring.health import Health
from daemon.process.watchdog import GUARD_EVERY_S, Watch, Watched
from daemon.replica import Replica
from daemon.state.latch import Latch, requested
from tests.daemon.fakes import virtual
from tests.daemon.one_cell import running


class Desk:
    """Everything a watch looks at, by hand."""

    def __init__(self, *replicas: Replica, free: int | None = None) -> None:
        self.replicas = {replica.strategy: replica for replica in replicas}
        self.health = Health(trio.current_time, step_budget_s=30.0)
        self.emergencies: list[tuple[str | None, str]] = []
        self.fed: list[float] = []
        self.lags: list[float] = []
        self.told: list[str] = []
        self.waiting = 0
        self.latch: Latch | None = None
        self.watchdog_s: float | None = 10.0
        self.free: Callable[[], int | None] = lambda: free
        self.seen_free: list[int] = []

    # As the supervisor, the operator, the latches, the notifier, the committer and the metrics

    async def emergency(self, strategy: str | None, reason: str, uid: int) -> None:
        self.emergencies.append((strategy, reason))
        self.latch = requested("*", reason, at=0, uid=uid)

    def of_all(self) -> Latch | None:
        return self.latch

    @property
    def feed_every_s(self) -> float | None:
        return None if self.watchdog_s is None else self.watchdog_s / 2.0

    def feed(self) -> bool:
        self.fed.append(trio.current_time())
        return True

    def status(self, text: str) -> bool:
        self.told.append(text)
        return True

    def statistics(self) -> Any:
        return self

    def loop_lag(self, seconds: float) -> None:
        self.lags.append(seconds)

    def components(self, components: Mapping[str, object]) -> None: ...

    def ready(self, is_ready: bool) -> None: ...

    def disk_free(self, bytes: int) -> None:
        self.seen_free.append(bytes)

    def watch(self) -> Watch:
        watched = Watched(
            health=self.health,
            metrics=self,  # type: ignore[arg-type]
            committer=self,  # type: ignore[arg-type]
            supervisor=self,  # type: ignore[arg-type]
            operator=self,  # type: ignore[arg-type]
            latches=self,  # type: ignore[arg-type]
            free_bytes=self.free,
        )
        return Watch(watched, self, lambda: "2 of 2 run")  # type: ignore[arg-type]


def guarded(desk: Desk, seconds: float, limits: object = PAPER) -> Desk:
    async def play() -> None:
        for replica in desk.replicas.values():
            desk.health.enlist(replica.strategy)
            desk.health.publish(replica)
        with trio.move_on_after(seconds):
            await desk.watch().guard(limits)  # type: ignore[arg-type]

    virtual(play)
    return desk


def test_the_watchdog_is_fed_at_half_its_time_and_told_how_things_are() -> None:
    desk = guarded(Desk(running(heartbeat=1e9)), 31.0)
    begun = desk.fed[0]
    assert [round(at - begun) for at in desk.fed] == [0, 5, 10, 15, 20, 25]
    assert set(desk.told) == {"2 of 2 run"}


def test_without_a_watchdog_it_looks_all_the_same() -> None:
    desk = Desk(running(heartbeat=1e9))
    desk.watchdog_s = None
    assert len(guarded(desk, 4.0 * GUARD_EVERY_S + 1.0).told) == 4


def test_a_cell_without_progress_is_brought_to_safety_and_only_it() -> None:
    desk = guarded(Desk(running("stuck", heartbeat=0.0), running("fine", heartbeat=1e9)), 400.0)
    assert {strategy for strategy, _ in desk.emergencies} == {"stuck"}
    assert all(reason.startswith("stuck: ") for _, reason in desk.emergencies)


def test_a_cell_that_still_hangs_after_its_rescue_ends_the_feeding() -> None:
    desk = guarded(Desk(running("stuck", heartbeat=0.0)), 600.0)
    last = max(desk.fed) - min(desk.fed)
    assert 100.0 < last < 400.0, "its budget, the rescue, and then nothing"


def loss(*, limit: float) -> Desk:
    lost = running("a", equity=88_000.0, initial=100_000.0, external_flows=0.0, heartbeat=1e9)
    return guarded(Desk(lost), 21.0, structs.replace(PAPER, emergency_stop_loss_pct=limit))


def test_a_loss_beyond_the_limit_stops_everything_once() -> None:
    desk = loss(limit=10.0)
    assert desk.emergencies == [(None, "loss of 12.00% of net deposits, limit 10.00%")]


def test_a_smaller_loss_does_not() -> None:
    assert loss(limit=15.0).emergencies == []


async def test_lag_is_how_late_the_loop_wakes_up(autojump_clock: MockClock) -> None:
    desk = Desk(running(heartbeat=1e9), free=5_000)
    with trio.move_on_after(10.5):
        await desk.watch().lag(1.0)
    assert len(desk.lags) == 10
    assert max(desk.lags) < 1e-6
    assert desk.seen_free == [5_000] * 10
