"""A chain that reorganises, drops, replaces and reverts, under the whole daemon: books stay true, and bugs are seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache

import pytest
import trio
from msgspec.structs import replace

from components.model.events import EventType
from components.model.orders import OrderId, Trade
from components.model.transactions import Transaction
from components.ports import Happening
from components.position_monitor import PositionMonitor, Unfinal
from daemon.cells import core_actor
from daemon.journal.records import Events, Outcome, Signed
from daemon.orders.keeper import JournalKeeper
from daemon.process.daemon import Daemon
from tests.simulation.harness import Run, fired, simulate
from tests.simulation.operator import operator
from tests.simulation.oracles import judged
from tests.simulation.test_mutations import every
from venues.paper.door.faults import Fault

LENDING, LEVERAGED = ("lending",), ("eth-leveraged",)


def reorganised() -> Run:
    """Blocks are replaced again and again: soon after what was in them was booked, and with every fate."""

    def planned(strategy: str, start: int) -> tuple[Fault, ...]:
        found = []
        for number, fate in enumerate(("again", "lost", "replaced") * 4):
            (fault,) = every("reorg", 60.0, lasts_s=400.0, venues=("chain",), fate=fate, depth=20.0, times=1.0)("", 0)
            found.append(_at(fault, start + int((4.0 + 8.0 * number) * 60e9)))
        return tuple(found)

    return simulate(61, 2.0, ids=LENDING, planned=planned, script=operator(61, least_s=100.0, most_s=200.0))


def _at(fault: Fault, at: int) -> Fault:
    return replace(fault, at=at)


def hostile() -> Run:
    """Nodes forget, strangers take nonces, transactions revert, gas is dear; each for a while, in turn."""

    def planned(strategy: str, start: int) -> tuple[Fault, ...]:
        kinds = ("tx_dropped", "tx_replaced", "revert", "gas_spike")
        found = []
        for number in range(12):
            kind = kinds[number % 4]
            once = {"times": 1.0} if kind == "tx_replaced" else {}
            (fault,) = every(kind, 60.0, lasts_s=450.0, venues=("chain",), **once)("", 0)
            found.append(_at(fault, start + int((4.0 + 8.0 * number) * 60e9)))
        return tuple(found)

    return simulate(62, 2.0, ids=LENDING, planned=planned, script=operator(62, least_s=100.0, most_s=200.0))


@cache
def run_of(scenario: Callable[[], Run]) -> Run:
    return scenario()


@cache
def found_in(scenario: Callable[[], Run]) -> tuple[str, ...]:
    return tuple(judged(run_of(scenario)))


@pytest.mark.parametrize("scenario", [reorganised, hostile], ids=lambda each: each.__name__)
def test_books_are_true_whatever_the_chain_does(scenario: Callable[[], Run]) -> None:
    assert found_in(scenario) == ()


def test_what_was_taken_back_was_told() -> None:
    run = run_of(reorganised)
    assert fired(run)["reorg"] >= 3
    told = [e for r in run.records["lending"] if isinstance(r, Events) for e in r.events]
    assert sum(event.event_type is EventType.UNDONE for event in told) >= 2


def test_every_hostile_kind_had_an_effect() -> None:
    run = run_of(hostile)
    assert set(fired(run)) == {"tx_dropped", "tx_replaced", "revert", "gas_spike"}
    paid = [r for r in run.records["lending"] if isinstance(r, Outcome) and r.state == "rejected" and r.trade]
    assert any(record.trade is not None and record.trade.changes for record in paid)  # a rejection that cost gas


def test_the_same_seed_gives_the_same_journal() -> None:
    assert reorganised().heads == run_of(reorganised).heads


# Bugs that this must catch


def never_taken_back(patch: pytest.MonkeyPatch) -> None:
    """What a chain took back stays in the book."""

    def deaf(
        happenings: Iterable[Happening], late: Iterable[Happening], unfinal: Mapping[OrderId, Unfinal]
    ) -> tuple[Happening, ...]:
        return (*(each for each in happenings if each.event_type is not EventType.UNDONE), *late)

    patch.setattr(core_actor, "reversed_in", deaf)


def taken_back_unasked(patch: pytest.MonkeyPatch) -> None:
    """What the chain says was undone is reversed whether it was booked or not, and nobody asks what becomes of it."""
    real = core_actor.reversed_in

    def gullible(
        happenings: Iterable[Happening], late: Iterable[Happening], unfinal: Mapping[OrderId, Unfinal]
    ) -> tuple[Happening, ...]:
        return tuple(replace(each, unknown=None) if each.undoes else each for each in real(happenings, late, unfinal))

    patch.setattr(core_actor, "reversed_in", gullible)


def sent_before_it_is_kept(patch: pytest.MonkeyPatch) -> None:
    """A transaction is seen by a node before it is on disk."""

    async def forgetful(self: JournalKeeper, transaction: Transaction) -> None:
        self._kept[transaction.hash] = transaction

    patch.setattr(JournalKeeper, "keep", forgetful)


def gas_of_a_rejection_is_lost(patch: pytest.MonkeyPatch) -> None:
    """What was rejected has cost nothing, whatever its trade says."""
    real = PositionMonitor.expect

    def expect(self: PositionMonitor, trades: Iterable[Trade]) -> None:
        real(self, [trade for trade in trades if trade.status.value != "rejected"])

    patch.setattr(PositionMonitor, "expect", expect)


@pytest.mark.parametrize(
    ("scenario", "bug"),
    [
        (reorganised, never_taken_back),
        (reorganised, taken_back_unasked),
        (reorganised, sent_before_it_is_kept),
        (hostile, gas_of_a_rejection_is_lost),
    ],
    ids=lambda each: each.__name__,
)
def test_the_simulation_catches(
    scenario: Callable[[], Run], bug: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    bug(monkeypatch)
    assert judged(scenario()), "nobody noticed"


# A stop does not wait for a block


def test_a_stop_leaves_what_waits_for_its_block_and_says_so() -> None:
    async def script(daemon: Daemon, result: Run, until: float) -> None:
        while not daemon.supervisor.cells["lending"].desk.dispatch.in_flight:
            await trio.sleep(0.5)
        began = trio.current_time()
        daemon.stop()
        await trio.sleep(daemon.config.limits.stop_within_s)
        assert not daemon.supervisor.cells
        result.healed_s = trio.current_time() - began

    run = simulate(63, 1.0, ids=LENDING, script=script)

    kept = [record for record in run.records["lending"] if isinstance(record, Signed)]
    (left,) = [r for r in run.records["lending"] if isinstance(r, Outcome) and r.state == "unknown"]
    assert kept and left.order_id in kept[0].transaction.orders and "block" in left.reason
