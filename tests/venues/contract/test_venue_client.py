"""What every VenueClient holds to, whoever is behind it. A case that needs a power of the venue names it in `needs`."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from components.model.events import EventType
from components.model.orders import OrderGroup, Trade, TradeStatus
from tests.venues.contract.stages import POWERS, STAGES, Stage
from venues.interfaces import NotSent, OrderReport, OutcomeUnknown, ReportStatus, Unavailable


def on(*needs: str) -> list[str]:
    """The stages on which a case can be played; a power that no stage has is a slip of the pen."""
    assert set(needs) <= POWERS
    return [name for name, kind in STAGES.items() if kind.can.issuperset(needs)]


def stage(name: str, folder: Path) -> AbstractAsyncContextManager[Stage]:
    return STAGES[name].opened(folder)


async def settled_report(on_stage: Stage, id: str, *, within_s: float = 3600.0) -> OrderReport:
    """What became of an order, asked until the venue knows; what is not answered is asked again."""
    with trio.fail_after(within_s):
        while True:
            try:
                report = await on_stage.client.query(on_stage.sent(id))
            except Unavailable:
                report = None
            if report is not None and report.status is not ReportStatus.OPEN:
                return report
            await trio.sleep(max(on_stage.client.terms.look_s, 1.0))


async def submitted(on_stage: Stage, group: OrderGroup) -> Trade:
    """Sent, and asked after if need be."""
    try:
        (trade,) = await on_stage.client.submit(group)
        if trade.status is not TradeStatus.UNKNOWN:
            return trade
    except OutcomeUnknown:
        pass
    report = await settled_report(on_stage, group.orders[0].id)
    assert report.trade is not None
    return report.trade


@pytest.mark.parametrize("name", on())
async def test_what_is_done_is_what_the_trade_says(autojump_clock: MockClock, name: str, tmp_path: Path) -> None:
    async with stage(name, tmp_path) as there:
        before = there.held
        (trade,) = await there.client.submit(there.doable("o1"))
        assert trade.status is TradeStatus.FILLED and trade.quantity
        after = there.held
        for key in {*before, *after}:
            assert after.get(key, 0.0) - before.get(key, 0.0) == pytest.approx(trade.changes.get(key, 0.0), abs=1e-6)
        assert dict((await there.client.positions()).balances) == pytest.approx(after)


@pytest.mark.parametrize("name", on())
async def test_an_id_is_done_once_however_often_it_is_sent(
    autojump_clock: MockClock, name: str, tmp_path: Path
) -> None:
    async with stage(name, tmp_path) as there:
        (first,) = await there.client.submit(there.doable("o1"))
        (again,) = await there.client.submit(there.doable("o1"))
        assert again.changes == first.changes and there.times_done("o1") == 1


@pytest.mark.parametrize("name", on())
async def test_what_cannot_be_done_is_refused_and_costs_nothing(
    autojump_clock: MockClock, name: str, tmp_path: Path
) -> None:
    async with stage(name, tmp_path) as there:
        before = there.held
        (trade,) = await there.client.submit(there.undoable("o1"))
        assert trade.status is TradeStatus.REJECTED and not trade.transient and trade.reason
        assert trade.refusal is not None
        assert there.held == before and trade.changes == {}


@pytest.mark.parametrize("name", on())
async def test_an_order_that_was_never_sent_is_absent(autojump_clock: MockClock, name: str, tmp_path: Path) -> None:
    async with stage(name, tmp_path) as there:
        assert (await there.client.query(there.sent("never"))).status is ReportStatus.ABSENT
        assert (await there.client.cancel(there.sent("never"))).status is ReportStatus.ABSENT


@pytest.mark.parametrize("name", on())
@pytest.mark.parametrize("kind", ["connect_refused", "reset_before_send", "rate_limited", "maintenance"])
async def test_what_did_not_leave_did_nothing_and_may_be_sent_again(
    autojump_clock: MockClock, name: str, kind: str, tmp_path: Path
) -> None:
    async with stage(name, tmp_path) as there:
        before = there.held
        there.faulty(kind)
        with pytest.raises(NotSent):
            await there.client.submit(there.doable("o1"))
        there.heal()
        await there.passes(600.0)
        assert there.held == before and there.times_done("o1") == 0
        assert (await submitted(there, there.doable("o1"))).status is TradeStatus.FILLED
        assert there.times_done("o1") == 1


@pytest.mark.parametrize("name", on())
@pytest.mark.parametrize("kind", ["reset_after_send", "error_after_accept", "truncated_json"])
async def test_after_a_lost_answer_the_venue_tells_what_it_did(
    autojump_clock: MockClock, name: str, kind: str, tmp_path: Path
) -> None:
    async with stage(name, tmp_path) as there:
        there.faulty(kind, endpoint="submit", times=1.0)
        with pytest.raises(OutcomeUnknown):
            await there.client.submit(there.doable("o1"))
        there.heal()
        report = await settled_report(there, "o1")
        assert report.status is ReportStatus.DONE and report.trade is not None
        assert report.trade.status is TradeStatus.FILLED and there.times_done("o1") == 1


@pytest.mark.parametrize("name", on())
async def test_an_order_that_was_lost_on_its_way_is_done_once_or_never(
    autojump_clock: MockClock, name: str, tmp_path: Path
) -> None:
    async with stage(name, tmp_path) as there:
        there.faulty("reset_after_send", endpoint="submit", times=1.0, arrives="no")
        trade = await submitted(there, there.doable("o1")) if name.endswith("chain") else None
        if trade is None:
            with pytest.raises(OutcomeUnknown):
                await there.client.submit(there.doable("o1"))
            assert (await settled_report(there, "o1")).status is ReportStatus.ABSENT
        assert there.times_done("o1") == (1 if trade is not None and trade.status is TradeStatus.FILLED else 0)


@pytest.mark.parametrize("name", on())
async def test_a_question_without_an_answer_says_nothing(autojump_clock: MockClock, name: str, tmp_path: Path) -> None:
    async with stage(name, tmp_path) as there:
        there.faulty("connect_refused")
        for question in (
            there.client.positions,
            there.client.marks,
            there.client.open_orders,
            lambda: there.client.query(there.sent("o1")),
            lambda: there.client.settled(0),
            lambda: there.client.foreign(0),
        ):
            with pytest.raises(Unavailable):
                await question()


@pytest.mark.parametrize("name", on())
async def test_a_cursor_never_goes_back_and_an_item_has_one_id(
    autojump_clock: MockClock, name: str, tmp_path: Path
) -> None:
    async with stage(name, tmp_path) as there:
        await there.client.submit(there.doable("o1"))
        await there.is_final()
        page = await there.client.settled(0)
        ids = [item.id for item in page.items]
        assert len(set(ids)) == len(ids) and page.cursor >= 0
        assert (await there.client.settled(page.cursor)).items == ()
        assert (await there.client.settled(0)).items == page.items


@pytest.mark.parametrize("name", on())
async def test_what_is_done_is_final_in_the_time_that_the_door_names(
    autojump_clock: MockClock, name: str, tmp_path: Path
) -> None:
    async with stage(name, tmp_path) as there:
        await there.client.submit(there.doable("o1"))
        await there.is_final()
        report = await there.client.query(there.sent("o1"))
        assert report.status is ReportStatus.DONE and report.final and report.trade is not None and report.trade.final


@pytest.mark.parametrize("name", on())
async def test_an_answer_comes_in_the_time_that_the_door_names(
    autojump_clock: MockClock, name: str, tmp_path: Path
) -> None:
    async with stage(name, tmp_path) as there:
        with trio.fail_after(there.client.terms.answer_s + 2.0):
            await there.client.submit(there.doable("o1"))


@pytest.mark.parametrize("name", on("rests"))
async def test_a_resting_order_is_listed_and_can_be_taken_back(
    autojump_clock: MockClock, name: str, tmp_path: Path
) -> None:
    async with stage(name, tmp_path) as there:
        there.faulty("late_fill", fraction=0.25, after_s=1e6)
        (trade,) = await there.client.submit(there.doable("o1"))
        assert trade.status is TradeStatus.UNKNOWN and [each.order_id for each in await there.client.open_orders()] == [
            "o1"
        ]
        report = await there.client.cancel(there.sent("o1"))
        assert report.status is ReportStatus.DONE and report.trade is not None and report.trade.quantity == 0.25
        assert await there.client.open_orders() == ()


# On chain


async def told(there: Stage, kind: EventType) -> list[str]:
    return [item.detail for item in (await there.client.settled(0)).items if item.event_type is kind]


@pytest.mark.parametrize("name", on("reorganises"))
@pytest.mark.parametrize("fate", ["again", "lost"])
async def test_what_a_reorganisation_takes_back_is_told_and_done_again(
    autojump_clock: MockClock, name: str, fate: str, tmp_path: Path
) -> None:
    async with stage(name, tmp_path) as there:
        (first,) = await there.client.submit(there.doable("o1"))
        assert not first.final and first.block and first.venue_reference
        there.faulty("reorg", depth=6.0, fate=fate, times=1.0)
        await there.client.positions()  # somebody looks
        assert await told(there, EventType.UNDONE) == ["o1"]
        (undone,) = [i for i in (await there.client.settled(0)).items if i.event_type is EventType.UNDONE]
        assert (undone.undoes, undone.block) == ("o1", first.block)
        report = await settled_report(there, "o1")
        assert report.trade is not None and report.trade.status is TradeStatus.FILLED
        assert report.trade.block != first.block and there.times_done("o1") == 1


@pytest.mark.parametrize("name", on("reorganises"))
async def test_what_lost_its_nonce_in_a_reorganisation_is_rejected_and_the_gas_is_told(
    autojump_clock: MockClock, name: str, tmp_path: Path
) -> None:
    async with stage(name, tmp_path) as there:
        before = there.held
        (first,) = await there.client.submit(there.doable("o1"))
        there.faulty("reorg", depth=6.0, fate="replaced", times=1.0)
        await there.client.positions()
        report = await settled_report(there, "o1")
        assert report.trade is not None and report.trade.status is TradeStatus.REJECTED and report.trade.transient
        assert len(await told(there, EventType.GAS)) == 1 and there.times_done("o1") == 0
        moved = {key for key in {*before, *there.held} if abs(before.get(key, 0.0) - there.held.get(key, 0.0)) > 1e-9}
        assert {str(key) for key in moved} == {"gas:BaseToken:ETH"}


@pytest.mark.parametrize("name", on("reverts"))
async def test_a_reverted_transaction_is_a_rejection_that_pays_gas(
    autojump_clock: MockClock, name: str, tmp_path: Path
) -> None:
    async with stage(name, tmp_path) as there:
        before = there.held
        there.faulty("revert")
        (trade,) = await there.client.submit(there.doable("o1"))
        assert trade.status is TradeStatus.REJECTED and trade.refusal == "reverted"
        (key,) = trade.changes
        assert str(key) == "gas:BaseToken:ETH"
        assert there.held[key] - before[key] == pytest.approx(trade.changes[key]) and trade.changes[key] < 0.0


@pytest.mark.parametrize("name", on("drops"))
async def test_a_dropped_transaction_stays_open_and_is_done_once_a_node_keeps_it(
    autojump_clock: MockClock, name: str, tmp_path: Path
) -> None:
    async with stage(name, tmp_path) as there:
        there.faulty("tx_dropped")
        with pytest.raises(OutcomeUnknown):
            await there.client.submit(there.doable("o1"))
        assert (await there.client.query(there.sent("o1"))).status is ReportStatus.OPEN
        there.heal()
        report = await settled_report(there, "o1")
        assert report.trade is not None and report.trade.status is TradeStatus.FILLED and there.times_done("o1") == 1


@pytest.mark.parametrize("name", on("replaces"))
async def test_a_transaction_whose_nonce_a_stranger_takes_is_rejected(
    autojump_clock: MockClock, name: str, tmp_path: Path
) -> None:
    async with stage(name, tmp_path) as there:
        there.faulty("tx_replaced", times=1.0)
        trade = await submitted(there, there.doable("o1"))
        assert trade.status is TradeStatus.REJECTED and trade.transient and trade.refusal == "replaced"
        assert len(await told(there, EventType.GAS)) == 1
        assert (await submitted(there, there.doable("o2"))).status is TradeStatus.FILLED


@pytest.mark.parametrize("name", on("replaces"))
async def test_what_is_outbid_is_replaced_by_one_that_offers_more(
    autojump_clock: MockClock, name: str, tmp_path: Path
) -> None:
    async with stage(name, tmp_path) as there:
        there.faulty("tx_dropped", times=1.0)

        async def spikes() -> None:
            await there.passes(1.0)
            there.faulty("gas_spike", factor=20.0)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(spikes)
            trade = await submitted(there, there.doable("o1"))
        assert trade.status is TradeStatus.FILLED and there.times_done("o1") == 1


@pytest.mark.parametrize("name", on("replaces"))
async def test_taking_back_what_waits_costs_gas_and_does_nothing_else(
    autojump_clock: MockClock, name: str, tmp_path: Path
) -> None:
    async with stage(name, tmp_path) as there:
        before = there.held
        there.faulty("tx_dropped", times=1.0)

        async def sends() -> None:
            with pytest.raises(OutcomeUnknown):
                there.faulty("tx_dropped")
                await there.client.submit(there.doable("o1"))

        await sends()
        assert there.client.terms.cancel_costs
        there.heal()
        report = await there.client.cancel(there.sent("o1"))
        if report.status is ReportStatus.OPEN:
            report = await settled_report(there, "o1")
        assert report.trade is not None
        if report.trade.status is TradeStatus.REJECTED:  # else it was mined before its nonce was taken
            (key,) = report.trade.changes
            assert there.held[key] == pytest.approx(before[key] + report.trade.changes[key])
