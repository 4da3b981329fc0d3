"""A withdrawal when staked ETH stands far below its value waits, or costs who leaves, and never who stays."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from components.core import PAY
from components.model.events import Event, EventType
from components.model.orders import Verb
from daemon.backtest.replay import Replay, ReplayRequest
from daemon.backtest.request import parse_request
from daemon.backtest.run import load_market
from tests.acceptance.runs import DATA
from tests.decisions.cases import Case
from tests.decisions.playing import Played, play, row_at, slice_of

ASKED_AT = np.datetime64("2024-03-20", "ns").astype(np.int64).item()
AT_ANY_COST = "cost_bounds.withdrawal=100000"
LEVERAGED = Case(
    mode="eth_leveraged", start="2024-03-01", end="2024-04-15", capital=30.0, seed=3, scenario="depeg",
    flows=("2024-03-20:-9",),
)  # fmt: skip
NEUTRAL = msgspec.structs.replace(
    LEVERAGED, mode="usdt_market_neutral", capital=100_000.0, flows=("2024-03-20:-30000",)
)
CASES = pytest.mark.parametrize("case", [LEVERAGED, NEUTRAL], ids=lambda case: case.mode)


def played(case: Case, *overrides: str) -> Played:
    done = play(msgspec.structs.replace(case, overrides=overrides))
    assert isinstance(done, Played)
    return done


def told(run: Played, kind: EventType) -> list[Event]:
    return [event for event in run.result.events if isinstance(event, Event) and event.event_type is kind]


def commanded(case: Case, row: int, *words: str) -> Replay:
    """The run up to the row after `row`, on which an operator says these words."""
    request = parse_request(case.texts(str(DATA)), environ={})
    run = slice_of(case.mode, case.overrides)
    job = Replay(
        run, load_market(request, run, environ={}), ReplayRequest(run_id="x", capital=case.capital, flows=request.flows)
    )
    at = 0
    while at < row:
        at = job.core.run_row(at, until=row)
    job.core.advance(job.core.data.window(row, 1), commands=words)
    return job


@CASES
def test_a_payment_that_is_too_dear_to_free_waits_and_says_what_it_would_cost(case: Case) -> None:
    run = played(case)
    waits = told(run, EventType.WITHDRAWAL_WAITS)
    assert waits and waits[0].timestamp - ASKED_AT <= 3_600 * 10**9, "when what could be had has come"
    assert "freeing it would cost" in waits[0].detail and waits[0].status == "waits"
    assert len(waits) <= (waits[-1].timestamp - ASKED_AT) // (86_400 * 10**9) + 2, "once a day"
    in_the_depeg = [done for done in run.done if ASKED_AT <= done.at < waits[-1].timestamp]
    assert not [o for done in in_the_depeg for o in done.group.orders if o.verb is Verb.SWAP]


@CASES
def test_it_is_paid_when_freeing_it_costs_no_more_than_its_bound(case: Case) -> None:
    run = played(case, "cost_bounds.withdrawal=150")
    assert told(run, EventType.WITHDRAWAL_WAITS)
    paid = -sum(e.amount or 0.0 for e in told(run, EventType.WITHDRAWAL_PAID))
    assert paid == pytest.approx(float(case.flows[0].rpartition("-")[2]), rel=1e-3)
    assert run.result.borne < 0.0150 * 11.5 * paid, "the bound, on what is moved for it"


@CASES
@pytest.mark.parametrize("overrides", [(), (AT_ANY_COST,)], ids=["waits", "at any cost"])
def test_who_stays_bears_nothing_of_what_leaving_costs(case: Case, overrides: tuple[str, ...]) -> None:
    run, without = played(case, *overrides), played(msgspec.structs.replace(case, flows=()))
    units, others = run.result.columns["unit_value"], without.result.columns["unit_value"]
    assert run.result.borne > 0.0
    assert float((units / others).min()) > 0.9985, "who stays has what he would have without the withdrawal"
    assert run.result.residual_max < 1e-9


def test_what_freeing_costs_is_taken_from_the_units_that_leave_to_the_last_digit() -> None:
    run = played(LEVERAGED, AT_ANY_COST)
    row, columns = row_at(run, ASKED_AT), run.result.columns
    before = float(columns["equity"][row] - columns["external_flow"][row] - columns["transaction_costs"][row])
    units = float(columns["unit_value"][row] / columns["unit_value"][row - 1])
    assert -columns["transaction_costs"][row] > 0.05 * before
    assert units == pytest.approx(before / float(columns["equity"][row - 1]), rel=1e-12)


def test_a_payment_at_any_cost_does_not_stop_the_fund() -> None:
    run = played(LEVERAGED, AT_ANY_COST)
    assert not told(run, EventType.EMERGENCY_STOP) and not told(run, EventType.WITHDRAWAL_WAITS)
    assert -sum(e.amount or 0.0 for e in told(run, EventType.WITHDRAWAL_PAID)) == pytest.approx(9.0, rel=1e-3)


@pytest.mark.parametrize("moment", [0, 30], ids=["as it is asked for", "later"])
@CASES
def test_its_owner_may_have_it_at_once_at_any_cost(case: Case, moment: int) -> None:
    row = row_at(played(case), ASKED_AT) + moment
    waits, paid = commanded(case, row), commanded(case, row, PAY)
    held: Callable[[Replay], float] = lambda job: job.core.positions.expected.of(_collateral(job))  # noqa: E731
    assert held(paid) < 0.95 * held(waits)
    assert waits.core.manager.owed > 0.0
    assert paid.core.manager.at_any_cost is (paid.core.manager.owed > 0.0)


def test_the_next_withdrawal_waits_again() -> None:
    case = msgspec.structs.replace(LEVERAGED, flows=("2024-03-20:-0.5", "2024-03-21:-9"))
    row = row_at(played(case), ASKED_AT)
    job = commanded(case, row, PAY)
    at = row + 1
    while at < row + 30:
        at = job.core.run_row(at, until=row + 30)
    assert job.core.manager.owed > 5.0 and not job.core.manager.at_any_cost


def test_what_is_said_while_nothing_is_owed_or_of_what_is_refused_holds_for_no_later_withdrawal() -> None:
    row = row_at(played(LEVERAGED), ASKED_AT)
    nothing = commanded(msgspec.structs.replace(LEVERAGED, flows=()), row, PAY)
    assert not nothing.core.manager.at_any_cost
    refused = commanded(msgspec.structs.replace(LEVERAGED, flows=("2024-03-20:-900",)), row, "withdraw", PAY)
    assert refused.core.manager.owed == 0.0 and not refused.core.manager.at_any_cost
    waits = commanded(msgspec.structs.replace(LEVERAGED, flows=("2024-03-21:-9",)), row, "withdraw", PAY)
    assert waits.core.manager.at_any_cost, "its account tells of it on a later row"


def _collateral(job: Replay):  # type: ignore[no-untyped-def]
    return next(key for key in job.core.positions.snapshot() if "aToken" in str(key))


def test_a_payment_on_its_way_is_not_said_to_wait() -> None:
    case = msgspec.structs.replace(
        NEUTRAL, scenario="calm", seed=7, capital=200_000.0, start="2024-01-01", end="2024-01-08",
        flows=("2024-01-04:-30000",),
    )  # fmt: skip
    run = played(case)
    paid = told(run, EventType.WITHDRAWAL_PAID)
    assert -sum(e.amount or 0.0 for e in paid) == pytest.approx(30_000.0, rel=1e-6)
    for waits in told(run, EventType.WITHDRAWAL_WAITS):
        sent, arrived = (
            sum(e.timestamp <= waits.timestamp for e in told(run, kind))
            for kind in (EventType.TRANSFER_SENT, EventType.TRANSFER_ARRIVED)
        )
        assert sent == arrived, "what arrives is paid first"
