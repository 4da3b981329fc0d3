"""What an operator may ask: done once, refused with a reason, and never said to be done when it was not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from components.model.errors import BasisError
from components.model.orders import Verb
from daemon.cells.authority import Pause
from daemon.cells.core_actor import words_of
from daemon.control.accepted import STOPPED, accepted, paused_strategies
from daemon.control.commands import Response
from daemon.journal.records import Command, LatchChanged
from daemon.process.daemon import Daemon
from daemon.replica import CellState
from daemon.state.latch import Phase
from tests.daemon.house import BTC, LENDING, House, ask, ask_events, cell_of, in_state, replica_of, ticked, until


def deposits(house: House, strategy: str = LENDING) -> list[float]:
    page = house.accounts[strategy].settled("chain", 0)
    return [item.amount for item in page.items if item.event_type.value == "deposit"]


def data_of(response: Response) -> Any:
    return msgspec.json.decode(response.data)


async def refused(daemon: Daemon, kind: str, strategy: str | None = LENDING, **words: str) -> str:
    with pytest.raises(BasisError) as caught:
        await ask(daemon, kind, strategy, **words)
    return caught.value.message


# Once and only once


def test_a_key_makes_a_request_happen_once_also_after_a_restart(tmp_path: Path) -> None:
    house = House(tmp_path)
    told: list[Response] = []

    async def asks(daemon: Daemon) -> None:
        told.append(await ask(daemon, "deposit", key="k", amount="1000"))
        await ticked(daemon, more=3)

    house.live(asks)
    house.live(asks)
    assert [response.message.split(";")[0] for response in told] == ["deposit accepted", "already accepted"]
    assert deposits(house) == [1000.0]


def test_the_same_request_twice_at_once_is_done_once(tmp_path: Path) -> None:
    house = House(tmp_path)
    told: list[str] = []

    async def play(daemon: Daemon) -> None:
        async def one() -> None:
            told.append((await ask(daemon, "deposit", key="k", amount="1000")).message)

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(one)
        await ticked(daemon, more=3)

    house.live(play)
    assert sorted(message.split(";")[0] for message in told) == ["already accepted"] * 2 + ["deposit accepted"]
    assert deposits(house) == [1000.0]


def test_a_key_that_was_used_for_something_else_is_refused(tmp_path: Path) -> None:
    async def play(daemon: Daemon) -> None:
        await ask(daemon, "deposit", key="k", amount="1000")
        assert "was used for another request (deposit)" in await refused(daemon, "deposit", key="k", amount="2000")

    House(tmp_path).live(play)


def test_what_was_refused_is_not_said_to_be_done_not_even_after_a_restart(tmp_path: Path) -> None:
    house = House(tmp_path)

    async def latched(daemon: Daemon) -> None:
        await daemon.operator.emergency(LENDING, "a test", 0)
        assert "stands under an emergency stop" in await refused(daemon, "deposit", key="k", amount="1000")
        await until(lambda: (latch := house.latches.of(LENDING)) is not None and latch.phase is Phase.FLAT)
        assert "stands under an emergency stop" in await refused(daemon, "deposit", key="k", amount="1000")

    async def again(daemon: Daemon) -> None:
        await ask(daemon, "resume")
        await in_state(daemon, CellState.RUNNING)
        told = await ask(daemon, "deposit", key="k", amount="1000")
        assert told.message.startswith("deposit accepted")
        await ticked(daemon, more=3)

    house.live(latched)
    house.live(again)
    assert deposits(house) == [1000.0]
    answers = [record.answer for record in house.records("daemon") if isinstance(record, Command) and record.key == "k"]
    assert answers[0] == "asked"
    assert answers[1].startswith("refused: lending stands under an emergency stop")
    assert answers[-1] == "accepted"


def test_every_request_is_journaled_with_who_asked(tmp_path: Path) -> None:
    house = House(tmp_path)

    async def play(daemon: Daemon) -> None:
        await ask(daemon, "pause", reason="a look")
        await ask(daemon, "resume")

    house.live(play)
    records = [record for record in house.records("daemon") if isinstance(record, Command)]
    assert [(record.kind, record.answer, record.uid) for record in records] == [
        ("pause", "asked", 1000), ("pause", "accepted", 1000), ("resume", "asked", 1000), ("resume", "accepted", 1000),
    ]  # fmt: skip


def test_only_what_was_done_counts_when_the_journal_is_read() -> None:
    def command(kind: str, answer: str, **words: str) -> Command:
        return Command(at=1, id=kind, kind=kind, arguments={"strategy": "a", **words}, uid=0, answer=answer)

    pause, asked = command("pause", "accepted", reason="tired"), command("pause", "asked")
    resume, held = command("resume", "accepted"), command("stop", "accepted")
    assert accepted([asked, pause, command("resume", "refused: no")]) == (pause,)
    assert paused_strategies([asked]) == {}
    assert paused_strategies([pause, command("resume", "refused: no")]) == {"a": Pause(reason="tired")}
    assert paused_strategies([pause, resume]) == {}
    assert paused_strategies([held]) == {"a": STOPPED}
    assert paused_strategies([command("stop", "accepted", positions="close")]) == {}


# Refusals


def test_a_strategy_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    async def play(daemon: Daemon) -> None:
        assert await refused(daemon, "pause", "lendin") == "no strategy 'lendin': there are lending"

    House(tmp_path).live(play)


def test_closing_everything_at_once_is_refused(tmp_path: Path) -> None:
    async def play(daemon: Daemon) -> None:
        assert "close strategy by strategy" in await refused(daemon, "stop", None, positions="close")

    House(tmp_path).live(play)


def test_resume_waits_until_it_is_closed(tmp_path: Path) -> None:
    house = House(tmp_path, BTC)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 2)
        house.fault(BTC, "connect_refused", "okx", after_s=120.0, lasts_s=600.0)
        await trio.sleep(10.0)
        await daemon.operator.emergency(BTC, "a test", 0)
        assert "is still being closed" in await refused(daemon, "resume", BTC)
        await until(lambda: (latch := house.latches.of(BTC)) is not None and latch.phase is not Phase.CLOSING)

    house.live(play)


# Pause, stop, emergency


def test_a_paused_strategy_watches_and_enters_nothing_and_stays_so_after_a_restart(tmp_path: Path) -> None:
    house = House(tmp_path)

    async def pauses(daemon: Daemon) -> None:
        await ticked(daemon, more=2)
        await ask(daemon, "pause", reason="a look")
        shown = replica_of(daemon)
        assert (shown.state, shown.reason) == (CellState.PAUSED, "a look"), "at once, not a row later"
        assert shown.withheld == ("paused: a look",)
        await ask(daemon, "deposit", key="d", amount="50000")
        trades = replica_of(daemon).trades
        await ticked(daemon, more=5)
        picture = replica_of(daemon)
        assert (picture.state, picture.reason) == (CellState.PAUSED, "a look")
        assert picture.trades == trades
        assert picture.withheld == ("paused: a look",)

    async def goes_on(daemon: Daemon) -> None:
        await ticked(daemon, more=2)
        picture = replica_of(daemon)
        assert (picture.state, picture.reason) == (CellState.PAUSED, "a look")
        await ask(daemon, "resume")
        shown = replica_of(daemon)
        assert (shown.state, shown.withheld) == (CellState.RUNNING, ())
        trades = picture.trades
        await ticked(daemon, more=3)
        assert replica_of(daemon).state is CellState.RUNNING
        assert replica_of(daemon).trades > trades, "the deposit is put to work"

    house.live(pauses)
    house.live(goes_on)


def test_a_paused_strategy_still_sends_what_reduces_risk_and_a_stopped_one_nothing(tmp_path: Path) -> None:
    house = House(tmp_path)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, more=2)
        before = replica_of(daemon)
        await ask(daemon, "pause", reason="a look")
        await ticked(daemon, more=1)
        standing = cell_of(daemon).actor.standing
        assert (standing.no_trade, standing.no_risk) == ((), ("paused: a look",))
        await ask(daemon, "withdraw", key="w", amount="50000")
        await ticked(daemon, more=4)
        supplied, shown = "aave_v3:aToken:aUSDT", replica_of(daemon)
        assert shown.state is CellState.PAUSED
        assert shown.positions[supplied] < 0.6 * before.positions[supplied], "smaller, as was asked"
        await ask(daemon, "stop")
        trades = replica_of(daemon).trades
        await ask(daemon, "withdraw", key="v", amount="10000")
        await ticked(daemon, more=4)
        assert cell_of(daemon).actor.standing.no_trade == ("paused: stopped by an operator",)
        assert replica_of(daemon).trades == trades

    house.live(play)


def test_a_pause_in_the_middle_of_a_step_says_that_the_step_still_ends(tmp_path: Path) -> None:
    house = House(tmp_path)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, more=2)
        house.fault(LENDING, "latency", "chain", lasts_s=1e9, factor=20.0)
        await until(lambda: cell_of(daemon).desk.is_stepping, every_s=0.01)
        await ask(daemon, "pause", reason="a look")
        shown = replica_of(daemon)
        assert shown.state is CellState.RUNNING and shown.reason.startswith("pausing: a look")
        assert shown.withheld == ("paused: a look",)
        await until(lambda: not cell_of(daemon).desk.is_stepping, every_s=0.01)
        await until(lambda: replica_of(daemon).state is CellState.PAUSED, every_s=0.01, within_s=1.0)
        assert replica_of(daemon).reason == "a look"

    house.live(play)


def test_a_strategy_that_is_closed_sells_everything_and_enters_again_when_resumed(tmp_path: Path) -> None:
    def shorts(daemon: Daemon) -> int:
        return sum(":Perp:" in name and amount < -1e-6 for name, amount in replica_of(daemon, BTC).positions.items())

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 2)
        assert shorts(daemon) == 3
        told = await ask(daemon, "stop", BTC, positions="close")
        assert "sells everything from the next full loop on" in told.message
        await ticked(daemon, BTC, 4)
        assert shorts(daemon) == 0
        assert replica_of(daemon, BTC).state is CellState.HALTED
        await ask(daemon, "resume", BTC)
        await ticked(daemon, BTC, 3)
        assert shorts(daemon) == 3

    House(tmp_path, BTC).live(play)


def test_an_emergency_stop_is_one_however_often_it_is_asked_for(tmp_path: Path) -> None:
    house = House(tmp_path)
    told: list[Response] = []

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, more=2)
        told.append(await ask(daemon, "emergency_stop", reason="first"))
        assert house.latches.of(LENDING) is not None, "it is on the disk before it is acknowledged"
        told.append(await ask(daemon, "emergency_stop", reason="second"))
        await until(lambda: (latch := house.latches.of(LENDING)) is not None and latch.phase is Phase.FLAT)

    house.live(play)
    first, second = (data_of(response)["latch"] for response in told)
    assert first == second
    latch = house.latches.of(LENDING)
    assert latch is not None
    assert latch.reason == "first"
    phases = [record.phase for record in house.records(LENDING) if isinstance(record, LatchChanged)]
    assert phases == ["closing", "flat"]


# What is not known, and what others did


def test_an_order_that_nobody_doubts_cannot_be_resolved(tmp_path: Path) -> None:
    async def play(daemon: Daemon) -> None:
        assert await refused(daemon, "resolve", None, order="none", as_="not_sent") == "no order 'none' is uncertain"

    House(tmp_path).live(play)


def test_what_somebody_else_did_is_adopted_as_an_adjustment(tmp_path: Path) -> None:
    house = House(tmp_path, BTC)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 2)
        house.accounts[BTC].foreign_trade("f", "okx", Verb.PERP, "BTC", -0.01, daemon.clock.now())
        await until(lambda: cell_of(daemon, BTC).desk.observer.views["okx"].foreign)
        assert "has no venue 'kraken'" in await refused(daemon, "adopt", BTC, venue="kraken")
        told = await ask(daemon, "adopt", BTC, key="a", venue="okx")
        assert "and 1 foreign item(s) at okx" in told.message
        await ticked(daemon, BTC, 2)
        picture = replica_of(daemon, BTC)
        assert picture.positions["okx:Perp:BTCUSDT"] == pytest.approx(picture.observed["okx:Perp:BTCUSDT"])
        assert picture.pnl["adjustment"] != 0.0
        assert picture.external_flows == 0.0

    house.live(play)


def test_positions_are_shown_as_expected_and_as_observed(tmp_path: Path) -> None:
    async def play(daemon: Daemon) -> None:
        await ticked(daemon, more=3)
        rows = {row["key"]: row for row in data_of(await ask(daemon, "positions"))}
        lent = rows["aave_v3:aToken:aUSDT"]
        assert lent["expected"] == pytest.approx(lent["observed"])
        assert lent["expected"] > 90_000.0

    House(tmp_path).live(play)


def test_a_withdrawal_above_the_equity_is_refused_with_the_figure(tmp_path: Path) -> None:
    house = House(tmp_path)
    told: list[str] = []

    async def asks(daemon: Daemon) -> None:
        await ticked(daemon)
        told.append(await refused(daemon, "withdraw", amount="1000000000"))

    house.live(asks)
    assert told[0].startswith("A withdrawal of 1,000,000,000.00 USDT is more than the equity of ")


def test_a_withdrawal_is_answered_with_what_freeing_it_costs_and_what_to_do(tmp_path: Path) -> None:
    house = House(tmp_path, BTC)
    told: list[str] = []

    async def asks(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 2)
        told.append(await refused(daemon, "pay", BTC))
        told.append((await ask(daemon, "withdraw", BTC, key="w", amount="20000")).message)
        told.append((await ask(daemon, "withdraw", BTC, key="x", amount="9000", at_any_cost="yes")).message)
        told.append((await ask(daemon, "withdraw", BTC, key="y", amount="10")).message)

    house.live(asks)
    nothing, dear, anyway, small = told
    assert "owes nothing" in nothing
    assert "Freeing 20,000 USDT would cost about " in dear and f"'basis pay {BTC}' does not" in dear
    assert "in basis points of what is sold for it, not of the payment" in dear
    assert anyway.endswith("it is paid at once")
    assert small == "withdraw accepted; it takes effect at the next full loop"


def test_at_any_cost_reaches_the_core_as_a_word_of_its_own() -> None:
    plain = Command(at=1, id="a", kind="withdraw", arguments={"amount": "5"}, uid=0, key="", answer="accepted")
    dear = msgspec.structs.replace(plain, arguments={"amount": "5", "at_any_cost": "yes"})
    assert (words_of(plain), words_of(dear)) == (("withdraw",), ("withdraw", "pay"))


async def idle_after(daemon: Daemon, *asked: tuple[str, str]) -> tuple[float, list[str]]:
    """USDT in the wallet after these requests were made in a pause that then ends, and what was said to be left out."""
    await ticked(daemon, BTC, 6)
    await ask(daemon, "pause", BTC)
    for i, (kind, amount) in enumerate(asked):
        await ask(daemon, kind, BTC, key=f"k{i}", amount=amount)
        await ticked(daemon, BTC, 3)
    await ask(daemon, "resume", BTC)
    await ticked(daemon, BTC, 20)
    events = await ask_events(daemon, BTC)
    return replica_of(daemon, BTC).columns["balance.wallet:BaseToken:USDT"], [
        event["detail"] for event in events if event["event_type"] == "entry_skipped"
    ]


@pytest.mark.parametrize("asked", [(("deposit", "5000"), ("withdraw", "3000")), (("deposit", "2000"),)])
def test_money_that_stays_in_the_wallet_is_spoken_of(asked: tuple[tuple[str, str], ...], tmp_path: Path) -> None:
    """Less than each venue may be short of: it is no venue's, and nobody would look at it."""
    house = House(tmp_path, BTC)
    found: list[tuple[float, list[str]]] = []

    async def play(daemon: Daemon) -> None:
        found.append(await idle_after(daemon, *asked))

    house.live(play)
    ((wallet, said),) = found
    assert 1_000.0 < wallet < 2_000.0
    assert [line for line in said if line.startswith("USDT in the wallet stay there")]
