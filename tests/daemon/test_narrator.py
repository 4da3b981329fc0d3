"""What somebody who watches the daemon reads: sentences, and figures that can be read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from components.model.events import Event, EventType
from daemon.narrator import Narrator
from daemon.replica import CellState, Replica
from tests.builders import START

HOUR_NS = 3_600_000_000_000


def event(kind: EventType, **more: Any) -> Event:
    known: dict[str, Any] = {
        "timestamp": START, "order": 1, "event_type": kind, "venue": "okx", "token": "BTC", "amount": None,
        "status": "", "detail": "", "balances": {}, "strategy": "basis", "correlation_id": "c",
    }  # fmt: skip
    known.update(more)
    return Event(**known)


@pytest.fixture
def said() -> Callable[[Event], str]:
    def say(told: Event) -> str:
        lines: list[str] = []
        Narrator(lines.append, every_s=3600.0).heard("basis", [told])
        return "".join(lines).partition("basis")[2].strip()

    return say


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (event(EventType.TRADE, amount=0.335, detail="spot okx_spot at 42500.588496725504"),
         "buys 0.335 BTC at okx at 42,500.59"),
        (event(EventType.TRADE, amount=-0.335, detail="perp okx_perp at 0.98712345"),
         "sells 0.335 BTC perp at okx at 0.98712"),
        (event(EventType.TRADE, amount=-1234.5, token="USDT", detail="perp okx_perp (min notional)"),
         "sells 1,234.5 USDT perp at okx (min notional)"),
        (event(EventType.ATOMIC_STEP, amount=-5.0, token="WETH", venue="morpho", detail="flash_repay flash_repay"),
         "gives 5 WETH back to morpho"),
        (event(EventType.TRADE, amount=2.0, detail="bridge okx_bridge"), "okx: bridge 2 BTC"),
        (event(EventType.DECISION, status="entry_full", detail="entry: enter"), "decides to enter"),
        (event(EventType.DECISION, status="exit_partial", detail="withdrawal: slow withdrawal"),
         "decides to reduce its positions (withdrawal: slow withdrawal)"),
        (event(EventType.WITHDRAWAL_PAID, amount=-50.0, token="USDT"), "paid out 50 USDT"),
        (event(EventType.RECONCILIATION_FAILED, detail="okx:Perp expected 1 observed 2"),
         "reconciliation failed: okx:Perp expected 1 observed 2"),
    ],
)  # fmt: skip
def test_an_event_is_a_sentence(said: Callable[[Event], str], told: Event, words: str) -> None:
    assert said(told) == words


@pytest.mark.parametrize("kind", [EventType.FUNDING, EventType.INTEREST, EventType.ORDER_INTENT])
def test_what_happens_all_the_time_is_not_told(said: Callable[[Event], str], kind: EventType) -> None:
    assert said(event(kind, amount=1.0)) == ""


def test_every_kind_of_event_can_be_told(said: Callable[[Event], str]) -> None:
    for kind in EventType:
        said(event(kind, amount=1.0, detail="something"))
        said(event(kind))


def replica(at: int | None = START, state: CellState = CellState.RUNNING, **more: Any) -> Replica:
    known: dict[str, Any] = {"equity": 101_000.0, "initial": 100_000.0, "external_flows": 500.0} | more
    return Replica(
        strategy="basis", mode="btc_basis", share_class="USDT", account="a", state=state, timestamp=at, **known
    )


def test_figures_come_once_in_a_while_and_profit_is_without_what_was_paid_in() -> None:
    lines: list[str] = []
    narrator = Narrator(lines.append, every_s=3600.0)
    for minutes in range(0, 121, 10):
        narrator.publish(replica(START + minutes * 60_000_000_000, pnl={"funding": 510.0, "basis": 0.001}))
    told = [line for line in lines if "is worth" in line]
    assert len(told) == 3
    assert told[0].endswith("is worth 101,000.00 USDT (+500.00: funding +510.00)")


def test_a_state_is_told_when_it_changes_and_not_while_it_passes() -> None:
    lines: list[str] = []
    narrator = Narrator(lines.append, every_s=3600.0)
    for state in (CellState.STARTING, CellState.RECOVERING, CellState.RUNNING, CellState.RUNNING, CellState.PAUSED):
        narrator.publish(replica(None, state, equity=None))
    assert [line.split()[-1] for line in lines] == ["running", "paused"]


def test_coins_have_four_digits_and_money_two() -> None:
    lines: list[str] = []
    Narrator(lines.append, every_s=60.0).publish(
        Replica(strategy="basis", mode="eth_leveraged", share_class="ETH", account="a", state=CellState.RUNNING,
                timestamp=START, equity=30.00123, initial=30.0)
    )  # fmt: skip
    assert lines[-1].endswith("is worth 30.0012 ETH (+0.0012)")
