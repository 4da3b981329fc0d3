"""The safety program: what rests is cancelled, what is hedged is held, what is not or was asked for is closed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from msgspec import structs

from components.model.awaited import AwaitedKind
from components.model.errors import Refuse, Stop
from components.model.keys import PositionKey, base_token
from components.model.orders import Verb
from daemon.cells.closing import Closing
from daemon.config.daemon_file import DaemonSlice
from daemon.exits import Exit
from daemon.journal.records import Intent, Note, Signed
from daemon.process.daemon import Daemon
from daemon.process.safety import Finding, check, exit_code, finish, flatten
from daemon.replica import CellState
from daemon.state.disk import RealDisk
from daemon.state.latch import MARKER, Latches, Phase, requested
from daemon.state.lock import Holder, held, state_lock
from daemon.world.paper_places import open_world
from tests.daemon.house import BTC, LENDING, House, ask, cell_of, in_state, replica_of, ticked, until
from tests.simulation.left_open import left_open
from venues.interfaces import RestingOrder, Unavailable
from venues.paper.account import PaperAccount
from venues.paper.chain.blocks import PaperChain
from venues.paper.door.door import PaperVenue


@pytest.fixture(name="house")
def a_house_whose_daemon_has_gone(tmp_path: Path) -> House:
    def in_haste(config: DaemonSlice) -> DaemonSlice:
        limits = structs.replace(config.limits, order_grace_s=0.1, unknown_budget_s=0.1, leg_deadline_s=0.1)
        return structs.replace(config, limits=limits)

    house = House(tmp_path, LENDING, BTC, persistent=True, disk=RealDisk(), changed=in_haste)

    async def lives(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 3)
        await ticked(daemon, LENDING, 1)

    house.live(lives)
    return house


def found(findings: list[Finding]) -> dict[str, str]:
    return {finding.strategy: finding.action for finding in findings}


def shorts(house: House) -> list[PositionKey]:
    account = account_of(house.config)
    return [key for key, amount in account.balances.items() if ":Perp:" in str(key) and abs(amount) > 1e-9]


def account_of(config: DaemonSlice) -> PaperAccount:
    account = open_world(config).places[BTC].control.account  # type: ignore[attr-defined]
    assert isinstance(account, PaperAccount)
    return account


def meddle(house: House, quantity: float) -> None:
    """Somebody buys back shorts while nobody watches."""
    account = account_of(house.config)
    account.foreign_trade("f", "okx", Verb.PERP, "BTC", quantity, account.timestamp)
    account.close()


def test_what_is_hedged_is_held(house: House) -> None:
    findings = check(house.config, {})
    assert found(findings) == {LENDING: "held", BTC: "held"}
    assert [finding.reason for finding in findings] == ["nothing asks for closing", "hedged within its limit"]
    assert len(shorts(house)) == 3
    assert house.latches.of(BTC) is None


def test_what_a_latch_asks_for_is_closed(house: House) -> None:
    house.latches.set(requested(BTC, "by an operator", at=1, uid=0))
    findings = check(house.config, {})
    assert found(findings) == {LENDING: "held", BTC: "closed"}
    assert shorts(house) == []
    latch = house.latches.of(BTC)
    assert latch is not None
    assert latch.phase is Phase.FLAT
    assert found(check(house.config, {})) == {LENDING: "held", BTC: "held"}, "once is enough"


def test_what_is_naked_beyond_its_limit_is_closed(house: House) -> None:
    meddle(house, 0.2)
    (_, finding) = check(house.config, {})
    assert finding.action == "closed"
    assert finding.reason.startswith("net exposure 1")
    assert finding.net_delta is not None
    assert finding.net_delta > 0.1
    assert shorts(house) == []
    for _ in range(2):
        (_, again) = check(house.config, {})
        assert (again.action, again.net_delta) == ("held", 0.0), "what selling left over is not exposed"


def test_after_a_refused_configuration_it_only_pages(house: House) -> None:
    meddle(house, 0.2)
    findings = check(house.config, {"MONITOR_EXIT_STATUS": "78"})
    assert found(findings) == {LENDING: "paged", BTC: "paged"}
    assert len(shorts(house)) == 3


def test_flatten_closes_what_it_is_told_to_and_the_next_daemon_stays_closed(house: House) -> None:
    assert found(flatten(house.config, (BTC,))) == {LENDING: "held", BTC: "closed"}
    assert shorts(house) == []

    async def lives(daemon: Daemon) -> None:
        await in_state(daemon, CellState.LATCHED, BTC)
        await ticked(daemon, LENDING, 2)
        assert replica_of(daemon, BTC).equity_is_observed
        await ask(daemon, "resume", BTC)
        await in_state(daemon, CellState.RUNNING, BTC)
        await ticked(daemon, BTC, 3)
        picture = replica_of(daemon, BTC)
        assert not any(venue.mismatches for venue in picture.venues)
        assert sum(":Perp:" in key and amount < -1e-6 for key, amount in picture.positions.items()) == 3

    house.live(lives)
    assert house.crashes.seen == []


def test_closing_one_leaves_the_timer_to_what_another_still_awaits(house: House) -> None:
    house.latches.set(requested(LENDING, "before", at=1, uid=0))
    house.latches.advance(LENDING, Phase.CLOSING)
    assert found(flatten(house.config, (BTC,), wait_s=5.0)) == {BTC: "closed", LENDING: "held"}
    assert (house.state / MARKER).exists()
    assert found(finish(house.config, wait_s=5.0)) == {BTC: "held", LENDING: "closed"}
    assert not (house.state / MARKER).exists()


def test_who_interrupts_it_leaves_the_rest_to_the_timer(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def interrupted(closing: Closing, wait_s: float) -> Phase:
        raise KeyboardInterrupt

    monkeypatch.setattr(Closing, "once", interrupted)
    with pytest.raises(BaseException) as raised:
        flatten(house.config, (BTC,), wait_s=5.0)
    assert isinstance(raised.value, KeyboardInterrupt | BaseExceptionGroup)
    assert (house.state / MARKER).exists()


def test_a_strategy_that_is_not_there_is_refused_before_anything_happens(house: House) -> None:
    with pytest.raises(Refuse, match="no strategy 'btc'"):
        flatten(house.config, ("btc", BTC))
    assert len(shorts(house)) == 3


def test_beside_a_running_daemon_it_does_nothing(house: House) -> None:
    house.latches.set(requested(BTC, "by an operator", at=1, uid=0))
    with held(state_lock(house.state), Holder(pid=4711, started="now"), "a test"), pytest.raises(Stop, match="4711"):
        check(house.config, {})
    assert len(shorts(house)) == 3


def test_a_damaged_journal_does_not_keep_it_from_closing(house: House) -> None:
    path = house.state / "strategies" / BTC / "journal" / "000001.journal"
    data = bytearray(path.read_bytes())
    data[400] ^= 1
    path.write_bytes(data)
    assert found(flatten(house.config, (BTC,)))[BTC] == "closed"
    assert shorts(house) == []
    assert path.read_bytes() == bytes(data)


def silent(self: PaperVenue) -> Callable[[], object]:
    raise Unavailable("nobody answers", venue=self.name)


def test_a_venue_that_says_nothing_is_paged_and_nothing_is_guessed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    meddle(house, 0.2)
    asked = PaperVenue.positions

    async def positions(self: PaperVenue) -> object:
        if self.name == "bybit":
            silent(self)
        return await asked(self)

    monkeypatch.setattr(PaperVenue, "positions", positions)
    (_, finding) = check(house.config, {})
    assert finding.action == "unknown"
    assert "bybit does not say what is held" in finding.reason
    monkeypatch.undo()
    assert len(shorts(house)) == 3


def test_orders_that_rest_are_cancelled(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    cancelled: list[tuple[str, str]] = []

    async def resting(self: PaperVenue) -> tuple[RestingOrder, ...]:
        key = base_token("okx", "USDT")
        orders = [RestingOrder(reference=each, order_id=each, key=key, left=1.0) for each in ("one", "two")]
        return tuple(orders) if self.name == "okx" else ()

    async def cancel(self: PaperVenue, resting: RestingOrder) -> None:
        cancelled.append((self.name, resting.reference))

    monkeypatch.setattr(PaperVenue, "open_orders", resting)
    monkeypatch.setattr(PaperVenue, "cancel_resting", cancel)
    assert found(check(house.config, {})) == {LENDING: "held", BTC: "held"}
    assert cancelled == [("okx", "one"), ("okx", "two")]


NEUTRAL = "market-neutral"


def neutral_house(tmp_path: Path, speed: float, **changes: object) -> House:
    """Coins on their way to the wallet, shorts against them, and no daemon any more."""

    def in_haste(config: DaemonSlice) -> DaemonSlice:
        limits = structs.replace(config.limits, order_grace_s=0.3, unknown_budget_s=0.3, leg_deadline_s=0.3)
        return structs.replace(config, limits=limits, speed=speed, **changes)

    house = House(tmp_path, NEUTRAL, persistent=True, disk=RealDisk(), changed=in_haste, speed=speed)

    async def lives(daemon: Daemon) -> None:
        await ticked(daemon, NEUTRAL, 1)

    house.live(lives)
    return house


def neutral_account(house: House) -> PaperAccount:
    account = open_world(house.config).places[NEUTRAL].control.account  # type: ignore[attr-defined]
    assert isinstance(account, PaperAccount)
    return account


def test_what_travels_is_awaited_kept_in_the_latch_and_finished_by_the_next_run(tmp_path: Path) -> None:
    house = neutral_house(tmp_path, speed=240.0)
    (finding,) = flatten(house.config, (NEUTRAL,), wait_s=0.0)
    assert finding.action == "closing" and exit_code([finding]) is Exit.CLOSING
    assert [each.kind for each in finding.awaited if each.arrives] == [AwaitedKind.TRANSFER]
    assert sum(":Perp:" in each.what for each in finding.awaited) == 3, "the coin that travels keeps its hedge"
    latch = house.latches.of(NEUTRAL)
    assert latch is not None and latch.phase is Phase.CLOSING
    assert [each.what for each in latch.awaited] == [each.what for each in finding.awaited]
    assert (house.state / MARKER).exists(), "the timer unit sees that there is something to do"
    (again,) = finish(house.config, wait_s=90.0)
    assert (again.action, again.awaited) == ("closed", ())
    assert left_open(neutral_account(house)) == ()
    assert not (house.state / MARKER).exists()
    assert finish(house.config) == []


def test_what_is_awaited_and_could_not_be_kept_is_no_closing_that_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The unit runs it again by this exit code; a person reads it."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    house = neutral_house(tmp_path, speed=240.0)
    with monkeypatch.context() as broken:
        broken.setattr(Latches, "_write", full)
        (finding,) = flatten(house.config, (NEUTRAL,), wait_s=0.0)
    assert (finding.action, exit_code([finding])) == ("not closed", Exit.CHECK)
    assert "No space left" in finding.reason and "run this again" in finding.reason
    assert [each.kind for each in finding.awaited if each.arrives] == [AwaitedKind.TRANSFER]
    (again,) = flatten(house.config, (NEUTRAL,), wait_s=90.0)
    assert again.action == "closed"


def test_the_market_goes_on_while_it_waits(tmp_path: Path) -> None:
    house = neutral_house(tmp_path, speed=600.0)
    before = neutral_account(house).row
    (finding,) = flatten(house.config, (), wait_s=60.0)
    assert finding.action == "closed"
    assert left_open(neutral_account(house)) == ()
    assert neutral_account(house).row > before + 20


def test_all_strategies_are_closed_side_by_side(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The slow one does not hold up the other."""
    ended: list[str] = []
    once = Closing.once

    async def slowly(self: Closing, wait_s: float) -> Phase:
        if self.strategy == LENDING:  # the first of the file
            await trio.sleep(4.0)
        phase = await once(self, wait_s)
        ended.append(self.strategy)
        return phase

    monkeypatch.setattr(Closing, "once", slowly)
    assert found(flatten(house.config, ())) == {LENDING: "closed", BTC: "closed"}
    assert ended == [BTC, LENDING]


@pytest.mark.parametrize("what", ["check", "flatten"])
def test_read_only_sends_nothing_and_says_so(house: House, what: str) -> None:
    house.latches.set(requested(BTC, "by an operator", at=1, uid=0))
    config = structs.replace(house.config, guard=structs.replace(house.config.guard, read_only=True))
    findings = check(config, {}) if what == "check" else flatten(config, (BTC,))
    finding = next(each for each in findings if each.strategy == BTC)
    assert finding.action == "not closed" and "READ_ONLY" in finding.reason
    assert len(shorts(house)) == 3
    assert exit_code(findings) is Exit.CHECK


def test_a_read_only_disk_keeps_it_from_nothing_but_writing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Latches, "_write", refuses)
    monkeypatch.setattr("daemon.process.safety.Journal.open", refuses)
    assert found(flatten(house.config, (BTC,)))[BTC] == "closed"
    assert shorts(house) == []
    assert house.latches.of(BTC) is None


def test_a_disk_that_hangs_keeps_it_from_nothing_but_writing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Journal, latch, marker and the row of the market wait by themselves, and no journal is opened twice at once."""
    hangs, opened = threading.Event(), list[object]()

    def wait(*words: object, **_: object) -> None:
        hangs.wait(60.0)
        raise OSError(5, "Input/output error")

    def opens(*words: object, **_: object) -> None:
        opened.append(words)
        wait()

    monkeypatch.setattr(Latches, "_write", wait)
    monkeypatch.setattr("daemon.state.latch_keeper.mark", wait)
    monkeypatch.setattr("daemon.world.paper_places.RowFile.write", lambda self, row: hangs.wait(60.0))
    monkeypatch.setattr("daemon.process.safety.Journal.open", opens)
    monkeypatch.setattr("daemon.process.safety.ANSWER_S", 1.0)
    began = time.monotonic()
    assert found(flatten(house.config, (BTC,)))[BTC] == "closed"
    assert time.monotonic() - began < 40.0
    hangs.set()
    assert shorts(house) == []
    assert len(opened) == 1


def test_a_journal_with_a_torn_end_is_gone_on_with(house: House) -> None:
    """As a kill, or a disk that was full, leaves one: what was cut is noted in it."""
    folder = house.state / "strategies" / BTC / "journal"
    last = sorted(each for each in folder.glob("*.journal") if each.stem.isdigit())[-1]
    with last.open("ab") as file:
        file.write(last.read_bytes()[-40:])
    assert found(flatten(house.config, (BTC,)))[BTC] == "closed"
    assert shorts(house) == []
    assert [each.kind for each in house.records(BTC) if isinstance(each, Note)][-1:] != []
    assert any(isinstance(each, Intent) and each.origin == "emergency" for each in house.records(BTC))


def closing_on_stop(config: DaemonSlice) -> DaemonSlice:
    entries = []
    for entry in config.strategies:
        mode = structs.replace(entry.run.mode, on_stop="close")
        entries.append(structs.replace(entry, run=structs.replace(entry.run, mode=mode)))
    return structs.replace(config, strategies=tuple(entries))


def test_on_stop_close_latches_sends_what_fits_and_leaves_the_rest_to_the_timer(tmp_path: Path) -> None:
    def closes(config: DaemonSlice) -> DaemonSlice:
        limits = structs.replace(config.limits, order_grace_s=0.3, unknown_budget_s=0.3, leg_deadline_s=0.3)
        return structs.replace(closing_on_stop(config), speed=240.0, limits=limits)

    house = House(tmp_path, NEUTRAL, persistent=True, disk=RealDisk(), changed=closes)

    async def lives(daemon: Daemon) -> None:
        await ticked(daemon, NEUTRAL, 45)
        assert any("debtToken" in key and amount for key, amount in neutral_account_of(daemon).balances.items())

    def neutral_account_of(daemon: Daemon) -> PaperAccount:
        account = daemon.world.places[NEUTRAL].control.account  # type: ignore[attr-defined]
        assert isinstance(account, PaperAccount)
        return account

    daemon = house.live(lives)
    left = left_open(neutral_account_of(daemon))
    assert not any("debtToken" in each or "aToken" in each for each in left), "what fits was sent"
    assert any(":Perp:" in each for each in left) and any("transit" in each for each in left), "hedged until it arrives"
    latch = house.latches.of(NEUTRAL)
    assert latch is not None and (latch.phase, latch.reason) == (Phase.CLOSING, "on_stop: close")
    assert any(each.arrives for each in latch.awaited)
    assert (house.state / MARKER).exists()
    (finding,) = finish(house.config, wait_s=90.0)
    assert finding.action == "closed"
    assert left_open(neutral_account(house)) == ()


def test_on_stop_close_is_finished_by_the_next_start(tmp_path: Path) -> None:
    house = House(tmp_path, NEUTRAL, LENDING, changed=closing_on_stop)

    async def lives(daemon: Daemon) -> None:
        await ticked(daemon, NEUTRAL, 1)

    async def again(daemon: Daemon) -> None:
        assert replica_of(daemon, NEUTRAL).state is CellState.LATCHED
        await until(lambda: (latch := house.latches.of(NEUTRAL)) is not None and latch.is_closed, within_s=7200.0)
        assert left_open(house.accounts[NEUTRAL]) == ()

    house.live(lives)
    assert left_open(house.accounts[NEUTRAL]) != (), "its coins travel"
    house.live(again)
    assert house.crashes.seen == []


def test_what_was_signed_before_is_known_and_its_nonce_is_not_given_out_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node had forgotten it: it was taken for an order that never was, closing signed another of the same nonce,
    and the strategy never started again."""

    def in_haste(config: DaemonSlice) -> DaemonSlice:
        limits = structs.replace(config.limits, order_grace_s=0.3, unknown_budget_s=0.3, leg_deadline_s=0.3)
        return structs.replace(config, limits=limits, speed=240.0)

    house = House(tmp_path, LENDING, persistent=True, disk=RealDisk(), changed=in_haste, speed=240.0)

    async def forgotten(daemon: Daemon) -> None:
        await ticked(daemon, LENDING, 3)
        monkeypatch.setattr(PaperChain, "broadcast", lambda self, transaction, at: None)
        await ask(daemon, "deposit", LENDING, key="k", amount="20000")
        await until(lambda: cell_of(daemon, LENDING).desk.dispatch.in_flight, every_s=0.01)
        daemon.stop()
        daemon.stop()
        await until(lambda: not daemon.supervisor.cells, every_s=0.05)

    async def resumed(daemon: Daemon) -> None:
        await ask(daemon, "resume", LENDING)
        await ticked_again(daemon)

    async def ticked_again(daemon: Daemon) -> None:
        await until(lambda: LENDING in daemon.supervisor.cells and cell_of(daemon).actor.steps > 1, within_s=60.0)
        assert not cell_of(daemon).core.positions.uncertain

    house.live(forgotten)
    monkeypatch.undo()
    assert house.ended is not None and any(house.ended.uncertain.values())
    assert found(flatten(house.config, (LENDING,), wait_s=20.0)) == {LENDING: "closed"}
    account = open_world(house.config).places[LENDING].control.account  # type: ignore[attr-defined]
    assert left_open(account) == ()
    house.live(resumed)
    assert house.crashes.seen == []
    signed = [record.transaction for record in house.records(LENDING) if isinstance(record, Signed)]
    of_nonce: dict[int, set[tuple[str, ...]]] = {}
    for each in signed:
        of_nonce.setdefault(each.nonce, set()).add(each.orders)
    assert all(len(orders) == 1 for orders in of_nonce.values()), "two orders never share a nonce"
