"""A cell under a latch: closes, says how far it is, tries again when asked anew, and lets rows pass meanwhile."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
import trio
from msgspec import structs

from components.model.awaited import AwaitedKind
from components.model.errors import Refuse
from daemon.cells.closing import AGAIN_S
from daemon.config.daemon_file import DaemonSlice
from daemon.journal.records import Intent, LatchChanged
from daemon.process.daemon import Daemon
from daemon.replica import CellState
from daemon.state.latch import Latch, Phase, requested
from tests.daemon.house import BTC, LENDING, House, ask, cell_of, replica_of, ticked, until
from tests.simulation.left_open import left_open


def latch_of(house: House) -> Latch:
    latch = house.latches.of(BTC)
    assert latch is not None
    return latch


def test_it_closes_and_then_watches(tmp_path: Path) -> None:
    house = House(tmp_path, BTC)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 2)
        await daemon.operator.emergency(BTC, "a test", 0)
        await until(lambda: latch_of(house).phase is Phase.FLAT)
        before = replica_of(daemon, BTC)
        await trio.sleep(300.0)
        after = replica_of(daemon, BTC)
        assert (after.state, after.reason) == (CellState.LATCHED, "a test")
        assert before.timestamp is not None and after.timestamp is not None
        assert after.timestamp > before.timestamp, "it goes on looking"
        assert after.step == before.step, "and decides nothing"
        assert daemon.health.stuck() == {}, "a latched cell is as healthy as one that runs"

    house.live(play)
    phases = [record.phase for record in house.records(BTC) if isinstance(record, LatchChanged)]
    assert phases == ["closing", "flat"]
    origins = {record.origin for record in house.records(BTC) if isinstance(record, Intent)}
    assert origins == {"core", "emergency"}


def test_a_restart_goes_on_with_closing(tmp_path: Path) -> None:
    house = House(tmp_path, BTC)

    async def begins(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 2)
        for venue in ("binance", "bybit", "okx"):
            house.fault(BTC, "connect_refused", venue, lasts_s=86_400.0)
        await daemon.operator.emergency(BTC, "a test", 0)
        await until(lambda: latch_of(house).phase is Phase.CLOSING)

    async def goes_on(daemon: Daemon) -> None:
        assert replica_of(daemon, BTC).state is CellState.LATCHED
        await until(lambda: latch_of(house).phase is Phase.FLAT)

    house.live(begins)
    for plan in house.plans.values():
        plan.heal()
    house.live(goes_on)
    assert not any(":Perp:" in str(key) and amount for key, amount in house.accounts[BTC].balances.items())


def test_what_could_not_be_closed_is_said_and_tried_again_by_itself(tmp_path: Path) -> None:
    house = House(tmp_path, BTC)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 2)
        house.fault(BTC, "symbol_paused", "okx", lasts_s=86_400.0)
        await daemon.operator.emergency(BTC, "first", 0)
        await until(lambda: latch_of(house).phase is Phase.FAILED, within_s=36_000.0)
        program = cell_of(daemon, BTC).closing.program
        assert program is not None
        assert any("okx" in key for key in program.progress.left)
        house.plans[BTC].heal()
        failed = trio.current_time()
        await until(lambda: latch_of(house).phase is Phase.FLAT)
        assert 59.0 < trio.current_time() - failed < 120.0

    house.live(play)
    assert not any(":Perp:" in str(key) and amount for key, amount in house.accounts[BTC].balances.items())


def test_who_asks_anew_after_a_failure_does_not_wait(tmp_path: Path) -> None:
    house = House(tmp_path, BTC)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 2)
        house.fault(BTC, "symbol_paused", "okx", lasts_s=86_400.0)
        await daemon.operator.emergency(BTC, "first", 0)
        await until(lambda: latch_of(house).phase is Phase.FAILED, within_s=36_000.0)
        house.plans[BTC].heal()
        first, asked = latch_of(house).id, trio.current_time()
        await daemon.operator.emergency(BTC, "second", 0)
        assert latch_of(house).id != first
        await until(lambda: latch_of(house).phase is Phase.FLAT)
        assert trio.current_time() - asked < 59.0

    house.live(play)


def test_who_was_resumed_is_closed_by_the_next_stop_of_all(tmp_path: Path) -> None:
    """Said as done, with the shorts open, the gate closed and no latch: the first one stood in its way."""
    house = House(tmp_path, BTC, LENDING)

    def is_flat(name: str) -> bool:
        latch = house.latches.of(name)
        return latch is not None and latch.phase is Phase.FLAT

    def shorts() -> dict[str, float]:
        balances = house.accounts[BTC].balances
        return {str(key): amount for key, amount in balances.items() if ":Perp:" in str(key) and amount}

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 2)
        await daemon.emergency("SIGUSR1")
        await until(lambda: is_flat(BTC) and is_flat(LENDING))
        await ask(daemon, "resume", BTC)
        await until(lambda: replica_of(daemon, BTC).state is CellState.RUNNING)
        await ask(daemon, "rebalance", BTC)
        await until(lambda: len(shorts()) == 3)
        await daemon.emergency("SIGUSR1")
        await until(lambda: is_flat(BTC) and is_flat(LENDING))
        assert shorts() == {}

    house.live(play)


@pytest.mark.parametrize("turns", range(1, 9))
def test_a_stop_that_comes_while_a_resume_is_carried_out_is_not_lost(tmp_path: Path, turns: int) -> None:
    """`turns` of other tasks after it was asked for: before, while and after it is journaled, and released."""
    house = House(tmp_path, LENDING)

    def is_flat() -> bool:
        latch = house.latches.of(LENDING)
        return latch is not None and latch.phase is Phase.FLAT

    async def play(daemon: Daemon) -> None:
        async def resume() -> None:
            with suppress(Refuse):
                await ask(daemon, "resume", LENDING)

        await ticked(daemon, LENDING, 2)
        await daemon.emergency("first")
        await until(is_flat)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(resume)
            for _ in range(turns):
                await trio.lowlevel.checkpoint()
            await daemon.operator.emergency(LENDING, "second", 0)
        await trio.sleep(120.0)
        await until(is_flat)
        assert replica_of(daemon, LENDING).state is CellState.LATCHED

    house.live(play)


def test_a_start_after_a_failure_tries_at_once(tmp_path: Path) -> None:
    house = House(tmp_path, BTC)

    async def fails(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 2)
        house.fault(BTC, "symbol_paused", "okx", lasts_s=86_400.0)
        await daemon.operator.emergency(BTC, "a test", 0)
        await until(lambda: latch_of(house).phase is Phase.FAILED, within_s=36_000.0)

    async def tries(daemon: Daemon) -> None:
        await until(lambda: latch_of(house).phase is Phase.FLAT, within_s=AGAIN_S / 2)

    house.live(fails)
    for plan in house.plans.values():
        plan.heal()
    house.live(tries)


def test_the_plan_is_shown_without_sending_anything(tmp_path: Path) -> None:
    house = House(tmp_path, BTC)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 2)
        steps = await cell_of(daemon, BTC).closing.plan()
        legs = {order.leg for step in steps for order in step.group.orders}
        assert {"okx_spot", "okx_perp", "binance_spot", "binance_perp"} <= legs
        assert all(order.reduce_only or order.amount < 0.0 for step in steps for order in step.group.orders)
        assert 0.0 < sum(step.cost for step in steps) < 500.0, "fees and impact of two sides of 100,000 USDT"
        await ticked(daemon, BTC, 2)

    house.live(play)
    assert sum(isinstance(record, Intent) for record in house.records(BTC)) == 1, "the entry"


def test_what_is_larger_than_the_guard_allows_leaves_in_pieces_with_the_legs_in_step(tmp_path: Path) -> None:
    guard_usdt = 4_000.0

    def guarded(config: DaemonSlice) -> DaemonSlice:
        return structs.replace(config, guard=structs.replace(config.guard, max_trade_size_usd=guard_usdt))

    house = House(tmp_path, BTC)

    async def enters(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 2)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 1)
        await daemon.operator.emergency(BTC, "a test", 0)
        await until(lambda: latch_of(house).phase is Phase.FLAT)

    house.live(enters)
    house.config = guarded(house.config)
    house.live(play)
    sent = [
        record.group for record in house.records(BTC) if isinstance(record, Intent) and record.origin == "emergency"
    ]
    assert len(sent) > 3
    price = 45_000.0  # of the first hours of this market, generously
    assert all(abs(order.amount) * price <= 1.1 * guard_usdt for group in sent for order in group.orders)
    for group in sent:
        assert abs(sum(order.amount for order in group.orders)) * price < 0.1 * guard_usdt, "the legs are in step"
    assert left_open(house.accounts[BTC]) == ()


def test_an_order_of_a_step_that_was_cut_is_awaited_by_a_life_that_begins_under_a_latch(tmp_path: Path) -> None:
    """It arrived after everything else was closed: flat was said, and a hedge of two legs stood open for ever."""
    house = House(tmp_path, BTC)

    async def cut(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 3)
        at = (daemon.clock.now() - house.begin) / 1e9
        words: dict[str, float | str] = {"endpoint": "submit", "arrives": "late", "times": 2}
        house.fault(BTC, "black_hole", "okx", after_s=at, lasts_s=1800.0, **words)
        await ask(daemon, "deposit", BTC, key="k", amount="20000")
        flying = cell_of(daemon, BTC).desk.dispatch.in_flight
        await until(lambda: any(order.venue == "okx" for order in flying.values()), every_s=0.01)
        await trio.sleep(3.0)
        house.latches.set(requested(BTC, "a test", at=1, uid=0))
        house.cut_power()

    async def closes(daemon: Daemon) -> None:
        account = house.accounts[BTC]
        await trio.sleep(120.0)
        assert len(account.pending) == 2, "they may still arrive"
        assert latch_of(house).phase is not Phase.FLAT
        assert {each.kind for each in latch_of(house).awaited} == {AwaitedKind.ORDER}
        await until(lambda: not account.pending)
        await until(lambda: latch_of(house).phase is Phase.FLAT, within_s=600.0)
        assert left_open(account) == ()

    house.live(cut)
    house.live(closes)
    assert house.crashes.seen == []


@pytest.mark.parametrize(
    ("said_flat", "fate"), [(False, "lost"), (True, "lost"), (True, "replaced")], ids=["before", "lost", "replaced"]
)
def test_what_a_chain_takes_back_of_a_closing_is_closed_again(tmp_path: Path, said_flat: bool, fate: str) -> None:
    """A nonce that nobody has any more held up every later exit; and flat stood, with everything supplied again."""
    house = House(tmp_path, LENDING)

    def is_flat() -> bool:
        latch = house.latches.of(LENDING)
        return latch is not None and latch.phase is Phase.FLAT

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, LENDING, 2)
        await trio.sleep(1000.0)  # what has entered is final
        account = house.accounts[LENDING]
        await daemon.operator.emergency(LENDING, "a test", 0)
        if said_flat:
            await until(is_flat)
        else:
            await until(lambda: not left_open(account), every_s=0.1)
            number = account.chain.included[-1].number
            await until(lambda: account.chain.head > number, every_s=0.1)
            await trio.sleep(2.0)
        at = (daemon.clock.now() - house.begin) / 1e9
        house.fault(LENDING, "reorg", "chain", after_s=at, lasts_s=60.0, fate=fate, depth=20.0, times=1)
        await until(lambda: left_open(account), within_s=90.0, every_s=0.1)
        await until(lambda: is_flat() and not left_open(account), within_s=600.0)

    house.live(play)
    assert house.crashes.seen == []


def test_an_emergency_waits_for_what_it_has_signed_and_signs_nothing_beside_it(tmp_path: Path) -> None:
    """Each minute it signed the same exit again; the first was done, and all others paid gas to fail behind it."""
    house = House(tmp_path, LENDING)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, LENDING, 2)
        at = (daemon.clock.now() - house.begin) / 1e9
        house.fault(LENDING, "tx_dropped", "chain", after_s=at, lasts_s=600.0, endpoint="submit")
        await daemon.operator.emergency(LENDING, "a test", 0)
        await trio.sleep(500.0)
        latch = house.latches.of(LENDING)
        assert latch is not None and latch.phase is Phase.CLOSING, "waiting is no failure"
        assert AwaitedKind.ORDER in {each.kind for each in latch.awaited}, "and it names what it waits for"
        await until(lambda: (now := house.latches.of(LENDING)) is not None and now.phase is Phase.FLAT, within_s=600.0)
        assert left_open(house.accounts[LENDING]) == ()

    house.live(play)
    exits = [r for r in house.records(LENDING) if isinstance(r, Intent) and r.origin == "emergency"]
    assert len(exits) == 1
