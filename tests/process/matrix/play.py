"""One row of the matrix, played: to the moment, break, stop, watch, judge, and let somebody else finish the rest."""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from pathlib import Path

import msgspec

from components.model.errors import BasisError
from daemon.state.latch import Latches
from tests.process.matrix.houses import (
    ALL,
    COIN,
    DAMAGED,
    FAST,
    SHARE_CLASS,
    House,
    Replicas,
    all_flat,
    house_of,
    stopped_by_hand,
    wait_for,
)
from tests.process.matrix.rows import Moment, Row, Trouble, Way
from tests.process.matrix.truth import left_open, net_delta

WATCHED_S = {600.0: 100.0, 60.0: 200.0, 1.0: 45.0}  # after the stop, at each speed
SILENT_S = 45.0  # where something says nothing for as long as it is watched
WAITS_S = {600.0: 60.0, 60.0: 60.0, 1.0: 5.0}  # the safety program, for what travels
FORGOTTEN = "the latch could not be written"  # closing goes on by a person, or the unit that runs again
RESTARTED = (Trouble.STREAMS, Trouble.JOURNAL)  # what is wrong from a start on
STEADY_TICKS = 45
SLOWEST_DEPOSIT = 60.0  # speed
MOST_DELTA = 0.06  # of what is held while closing waits
DEPOSIT = {"eth-leveraged": "3"}
WITHDRAWAL = {"eth-leveraged": "8"}


class Verdict(msgspec.Struct, kw_only=True):
    """What became of one strategy: the phase it came to, after how long, what it named, how hedged it was then."""

    strategy: str
    phase: str
    seconds: float
    awaited: tuple[str, ...] = ()
    delta: float | None = None
    finished: bool = False  # what was left was closed by the next program
    faults: list[str] = []


def play(row: Row, folder: Path) -> list[Verdict]:
    """Faults are what no outcome may have; a row is good without any."""
    with ExitStack() as stack:
        house = house_of(folder, row, stack)
        before = _reach(house, row)
        prices = {name: each.get("prices") or {} for name, each in before.items()}
        verdicts = _flattened(house, row) if row.way is Way.FLATTEN else _stopped(house, row)
        for verdict in verdicts:
            _judge(verdict, row, house, prices[verdict.strategy])
        if any(verdict.phase != "flat" for verdict in verdicts):
            verdicts[0].faults += house.finish()
        else:
            house.heal()
        for verdict in verdicts:
            left = left_open(house.balances(verdict.strategy), SHARE_CLASS[verdict.strategy])
            verdict.finished = not left
            if left:
                verdict.faults.append(f"at the end is left {', '.join(left)}")
        return verdicts


def _reach(house: House, row: Row) -> Replicas:
    """The moment; what status said there."""
    if row.moment is Moment.ENTRY:
        house.start(row.speed, is_last=row.way is Way.STOP)
        return wait_for(house, lambda all: all["market-neutral"]["trades"] >= 4, 120.0, "no entry")
    lives_once = row.speed == FAST and (row.way is Way.FLATTEN or row.trouble not in RESTARTED)
    house.start(FAST, is_last=lives_once and row.way is Way.STOP)
    before = wait_for(house, _is_steady, 120.0, "no steady state")
    if not lives_once:
        house.stop()
        if row.trouble is Trouble.JOURNAL:
            house.break_it(row.trouble)
        is_travelling = row.moment is Moment.TRANSFER and row.speed < SLOWEST_DEPOSIT
        if is_travelling:  # a deposit takes minutes to be final: it is set on its way before
            house.start(SLOWEST_DEPOSIT, is_last=False)
            _deposit(house)
            house.stop()
        house.start(row.speed, is_last=True)
        if row.trouble is Trouble.JOURNAL:
            wait_for(house, lambda all: all_in(all, "failed", DAMAGED), 60.0, "damaged journals are not found")
            return before
        before = wait_for(house, lambda all: all_in(all, "running"), 60.0, "it does not run again")
        if is_travelling:
            return before
    if row.moment is Moment.TRANSFER:
        _deposit(house)
    if row.moment is Moment.WITHDRAWAL:
        ticks = {name: each["ticks"] for name, each in before.items()}
        for name in ALL:
            house.ask("withdraw", name, key=f"w-{name}", amount=WITHDRAWAL.get(name, "60000"))
        wait_for(house, lambda now: all(now[name]["ticks"] > ticks[name] for name in ALL), 150.0, "no tick")
    return before


def _deposit(house: House) -> None:
    """Until something travels for it."""
    wait_for(house, lambda all: all_in(all, "running"), 60.0, "it does not run again")
    for name in ALL:
        house.ask("deposit", name, key=f"d-{name}", amount=DEPOSIT.get(name, "30000"))
    wait_for(house, lambda all: _travels(all["market-neutral"]), 120.0, "nothing travels")


def all_in(replicas: Replicas, state: str, names: tuple[str, ...] = ALL) -> bool:
    return all(replicas[name]["state"] == state for name in names)


def _is_steady(replicas: Replicas) -> bool:
    return all(each["ticks"] >= STEADY_TICKS and not _travels(each) for each in replicas.values())


def _travels(replica: dict[str, object]) -> bool:
    positions = replica.get("positions")
    assert isinstance(positions, dict)
    return any(str(key).startswith("transit:") and amount > 1e-6 for key, amount in positions.items())


def _stopped(house: House, row: Row) -> list[Verdict]:
    """Things go wrong, and somebody types `basis emergency-stop`."""
    if row.trouble is not Trouble.JOURNAL:
        house.break_it(row.trouble)
    began = time.monotonic()
    wrong = stopped_by_hand(house.state)
    verdicts = _watched(house, row, began)
    verdicts[0].faults += wrong
    return verdicts


def _flattened(house: House, row: Row) -> list[Verdict]:
    began = time.monotonic()
    findings = house.flatten(row.speed, WAITS_S[row.speed])
    seconds = round(time.monotonic() - began, 1)
    if findings is None and row.trouble is not Trouble.STREAMS:
        return [Verdict(strategy=name, phase="silent", seconds=seconds) for name in ALL]
    if findings is None:
        latches = {name: Latches(house.state).of(name) for name in ALL}
        return [
            Verdict(strategy=name, phase="" if latch is None else latch.phase.value, seconds=seconds,
                    awaited=() if latch is None else tuple(str(each) for each in latch.awaited))
            for name, latch in latches.items()
        ]  # fmt: skip
    phases = {"closed": "flat", "closing": "closing"}
    return [
        Verdict(
            strategy=each["strategy"],
            phase="closing" if FORGOTTEN in each["reason"] else phases.get(each["action"], each["reason"]),
            seconds=seconds,
            awaited=tuple(_named(one) for one in each["awaited"]),
        )
        for each in findings
    ]


def _watched(house: House, row: Row, began: float) -> list[Verdict]:
    """Until all are flat, or as long as a row of its speed is watched."""
    flat_at: dict[str, float] = {}
    replicas = Replicas()
    is_silent = row.trouble in (Trouble.VENUE, Trouble.CHAIN)
    while time.monotonic() - began < (SILENT_S if is_silent else WATCHED_S[row.speed]):
        with suppress(BasisError):
            replicas = {each["strategy"]: each for each in house.ask("status")}
        for name, each in replicas.items():
            if each["phase"] == "flat":
                flat_at.setdefault(name, time.monotonic() - began)
        if replicas and all_flat(replicas):
            break
        time.sleep(0.25)
    passed = time.monotonic() - began
    return [
        Verdict(
            strategy=name,
            phase=replicas[name]["phase"] if name in replicas else "silent",
            seconds=round(flat_at.get(name, passed), 1),
            awaited=tuple(_named(each) for each in replicas[name]["awaited"]) if name in replicas else (),
        )
        for name in ALL
    ]


def _named(awaited: object) -> str:
    """What is awaited, shortly."""
    return f"{awaited['kind']} {awaited['what']}" if isinstance(awaited, dict) else str(awaited)


def _judge(verdict: Verdict, row: Row, house: House, prices: dict[str, float]) -> None:
    """Flat is flat by its balances; closing names what it waits for, and what it holds is hedged."""
    balances = house.balances(verdict.strategy)
    left = left_open(balances, SHARE_CLASS[verdict.strategy])
    if verdict.phase == "flat":
        if left:
            verdict.faults.append(f"says flat, and holds {', '.join(left)}")
        return
    if verdict.phase not in ("closing", "failed"):
        verdict.faults.append(f"is {verdict.phase or 'under no latch'} after {verdict.seconds:g} s")
    elif not verdict.awaited:
        verdict.faults.append("names nothing that it waits for")
    elif verdict.phase == "failed" and not any(each.startswith("silent") for each in verdict.awaited):
        verdict.faults.append("gave up though every venue answers")
    elif row.speed == FAST and row.trouble not in (Trouble.VENUE, Trouble.CHAIN):
        verdict.faults.append(f"nothing takes longer than {WATCHED_S[FAST]:g} s at this speed: {verdict.awaited}")
    coin = COIN.get(verdict.strategy)
    if coin is not None and prices:
        verdict.delta = net_delta(balances, coin, prices)
        if verdict.delta is not None and verdict.delta > MOST_DELTA:
            verdict.faults.append(f"is {verdict.delta:.1%} naked while it waits")
