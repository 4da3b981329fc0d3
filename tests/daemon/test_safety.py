"""The safety program: what rests is cancelled, what is hedged is held, what is not or was asked for is closed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import structs

from components.model.errors import Refuse, Stop
from components.model.keys import PositionKey
from components.model.orders import Verb
from daemon.daemon import Daemon
from daemon.daemon_config import DaemonSlice
from daemon.disk import RealDisk
from daemon.latch import Phase, requested
from daemon.lock import Holder, held, state_lock
from daemon.paper_places import open_world
from daemon.replica import CellState
from daemon.safety import Finding, check, flatten
from tests.daemon.house import BTC, LENDING, House, ask, in_state, replica_of, ticked
from venues.interfaces import Unavailable
from venues.paper.account import PaperAccount
from venues.paper.venue import PaperVenue


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

    async def resting(self: PaperVenue) -> tuple[str, ...]:
        return ("one", "two") if self.name == "okx" else ()

    async def cancel(self: PaperVenue, order_id: str) -> None:
        cancelled.append((self.name, order_id))

    monkeypatch.setattr(PaperVenue, "open_orders", resting)
    monkeypatch.setattr(PaperVenue, "cancel", cancel)
    assert found(check(house.config, {})) == {LENDING: "held", BTC: "held"}
    assert cancelled == [("okx", "one"), ("okx", "two")]
