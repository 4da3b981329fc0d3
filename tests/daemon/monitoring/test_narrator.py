"""What somebody who watches the daemon reads: sentences, and figures that can be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from components.model.events import Event, EventType
from components.model.keys import base_token
from components.model.orders import Action, GroupKind, InFlight, Order, OrderGroup, OrderState, Trade, TradeStatus, Verb
from components.model.transactions import Transaction
from daemon.journal.records import Events, Intent, LatchChanged, Outcome, Record, Signed
from daemon.monitoring.health import Level
from daemon.monitoring.narrator import Narrator
from daemon.process.daemon import Daemon
from daemon.replica import CellState, Replica
from tests.builders import START
from tests.daemon.house import BTC, House, ask, replica_of, ticked

HOUR_NS = 3_600_000_000_000


def event(kind: EventType, **more: Any) -> Event:
    known: dict[str, Any] = {
        "timestamp": START, "sequence": 1, "event_type": kind, "venue": "okx", "token": "BTC", "amount": None,
        "status": "", "detail": "", "balances": {}, "strategy": "basis", "correlation_id": "c",
    }  # fmt: skip
    known.update(more)
    return Event(**known)


def outcome(verb: Verb, quantity: float, *, origin: str = "core", state: str = "filled", **more: Any) -> Outcome:
    known: dict[str, Any] = {"venue": "okx", "token": "BTC", "changes": {}, "at": START, "order_id": "o"} | more
    status = TradeStatus(state) if state != OrderState.NOT_SENT else TradeStatus.REJECTED
    trade = Trade(verb=verb, status=status, quantity=quantity, **known)
    return Outcome(at=START, order_id="o", state=state, trade=trade, origin=origin, reason=trade.reason)


def signed(*orders: str, replaces: str = "") -> Signed:
    transaction = Transaction(
        wallet="0xw", nonce=3, hash="0x2", raw=b"", orders=orders, max_fee_gwei=9.0, at=START, replaces=replaces
    )
    return Signed(transaction=transaction)


@pytest.fixture
def said() -> Callable[[Event | Record], str]:
    def say(told: Event | Record) -> str:
        lines: list[str] = []
        record = Events(events=(told,)) if isinstance(told, Event) else told
        Narrator(lines.append, every_s=3600.0).heard("basis", record)
        return "".join(lines).partition("basis")[2].strip()

    return say


FLIGHT = InFlight(
    id="f", token="BTC", amount=2.0, source=base_token("okx", "BTC"), target=base_token("bybit", "BTC"), arrives_at=1
)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (outcome(Verb.SPOT, 0.335, price=42500.588496725504), "buys 0.335 BTC at okx at 42,500.59"),
        (outcome(Verb.PERP, -0.335, price=0.98712345), "sells 0.335 BTC perp at okx at 0.98712"),
        (outcome(Verb.PERP, -1234.5, token="USDT", reason="a part of it"),
         "sells 1,234.5 USDT perp at okx (a part of it)"),
        (outcome(Verb.STAKE, 2.0, token="ETH", venue="lido", price=1.17,
                 changes={base_token("wallet", "ETH"): -2.34, base_token("wallet", "wstETH"): 2.0}),
         "stakes ETH at lido and receives 2 wstETH at 1.17"),
        (outcome(Verb.STAKE, 2.0, token="ETH", venue="lido"), "stakes ETH at lido and receives 2"),
        (outcome(Verb.FLASH_REPAY, -5.0, token="WETH", venue="morpho"), "gives 5 WETH back to morpho"),
        (outcome(Verb.TRANSFER, -2.0, in_flight=FLIGHT), ""),  # its event tells it
        (outcome(Verb.TRANSFER, -2.0, in_flight=FLIGHT, origin="emergency"), "sends 2 BTC from okx"),
        (outcome(Verb.PERP, 0.0, state="rejected", reason="no margin"), ""),
        (outcome(Verb.PERP, 0.0, state="rejected", reason="no margin", origin="emergency"),
         "was refused at okx: no margin"),
        (outcome(Verb.PERP, 0.0, state="not_sent", reason="read only", origin="emergency"),
         "could not send its order at okx: read only"),
        (Outcome(at=START, order_id="o", state="unknown", origin="emergency"),
         "does not know what became of its order"),
        (LatchChanged(at=START, phase="closing", scope="basis", reason="squeeze"), "closes everything: squeeze"),
        (LatchChanged(at=START, phase="flat", scope="basis", reason=""),
         "is flat; it stays so until 'basis resume basis'"),
        (event(EventType.TRADE, amount=1.0, detail="spot okx_spot at nothing that is a number"), ""),
        (event(EventType.DECISION, status=Action.ENTRY_FULL, detail="entry: enter"), "decides to enter"),
        (event(EventType.DECISION, status=Action.EXIT_PARTIAL, detail="withdrawal: slow withdrawal"),
         "decides to reduce its positions (withdrawal: slow withdrawal)"),
        (event(EventType.WITHDRAWAL_PAID, amount=-50.0, token="USDT"), "paid out 50 USDT"),
        (event(EventType.RECONCILIATION_FAILED, detail="okx:Perp expected 1 observed 2"),
         "reconciliation failed: okx:Perp expected 1 observed 2"),
    ],
)  # fmt: skip
def test_a_record_is_a_sentence(said: Callable[[Event | Record], str], told: Event | Record, words: str) -> None:
    assert said(told) == words


def test_the_steps_of_a_transaction_stand_under_its_name() -> None:
    lines: list[str] = []
    narrator = Narrator(lines.append, every_s=3600.0)
    order = Order(id="o", verb=Verb.SUPPLY, venue="aave_v3", token="USDT", amount=5.0, leg="supply")
    group = OrderGroup(id="g", kind=GroupKind.ATOMIC, orders=(order,), action=Action.ENTRY_FULL, reason="")
    narrator.heard("basis", Intent(at=START, group=group))
    narrator.heard("basis", signed("o"))
    narrator.heard("basis", outcome(Verb.SUPPLY, 5.0, token="USDT", venue="aave_v3"))
    narrator.heard("basis", outcome(Verb.SUPPLY, 5.0, token="USDT", venue="aave_v3"))
    told = [line.partition("basis")[2][11:] for line in lines]
    assert told == [
        "in one transaction at aave_v3:",
        "   signs its transaction; what came of it is told when a block has it",
        "   supplies 5 USDT to aave_v3",
        "supplies 5 USDT to aave_v3",
    ]


def test_what_waits_for_a_block_is_told_when_it_is_signed(said: Callable[[Event | Record], str]) -> None:
    assert said(signed("o")) == "signs its transaction; what came of it is told when a block has it"
    assert said(signed("o", replaces="0x1")) == "offers more gas for its transaction, which no block has yet"
    assert said(signed()) == "signs an empty transaction: nonce 3 of its wallet is to be free again"


@pytest.mark.parametrize("kind", [EventType.FUNDING, EventType.INTEREST, EventType.ORDER_INTENT])
def test_what_happens_all_the_time_is_not_told(said: Callable[[Event | Record], str], kind: EventType) -> None:
    assert said(event(kind, amount=1.0)) == ""


@pytest.mark.parametrize("detail", ["something", "I look at binance first", "spot at (", "x at 1e999 at nan", " at "])
def test_every_kind_of_event_can_be_told_whatever_its_text_says(
    said: Callable[[Event | Record], str], detail: str
) -> None:
    for kind in EventType:
        said(event(kind, amount=1.0, detail=detail))
        said(event(kind, detail=detail))


def test_words_of_an_operator_or_a_venue_never_hurt_a_strategy(tmp_path: Path) -> None:
    """A pause whose reason has ` at ` in it, orders withheld under it, and every event told while the journal grows."""
    house = House(tmp_path, BTC)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 2)
        await ask(daemon, "pause", BTC, reason="I look at binance first (at once)")
        await ask(daemon, "deposit", BTC, key="d", amount="60000")
        await ticked(daemon, BTC, 3)
        await ask(daemon, "resume", BTC)
        await ticked(daemon, BTC, 2)
        (narrator,) = [each for each in daemon.readers if each.name == "narrator"]
        assert (narrator.errors, narrator.dropped) == (0, 0)

    house.live(play)
    assert house.crashes.seen == []
    assert any("I look at binance first" in line for line in house.told)
    assert any("buys" in line and "at okx at" in line for line in house.told)


def test_a_narrator_that_fails_at_everything_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(tmp_path, BTC)

    def fails(*_: object) -> None:
        raise ValueError("no words")

    monkeypatch.setattr(Narrator, "heard", fails)
    monkeypatch.setattr(Narrator, "publish", fails)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 4)
        await trio.sleep(60.0)
        (shown,) = [each for each in daemon.health.components() if each.name == "reader:narrator"]
        assert shown.level is Level.DEGRADED and "no words" in shown.reason
        assert replica_of(daemon, BTC).state is CellState.RUNNING

    house.live(play)
    assert house.crashes.seen == [] and house.told == []


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


def test_under_an_emergency_stop_no_parts_are_told_that_do_not_add_up() -> None:
    lines: list[str] = []
    shown = replica(START, CellState.LATCHED, pnl={"funding": 510.0}, equity_is_observed=True)
    Narrator(lines.append, every_s=3600.0).publish(shown)
    assert lines[-1].endswith("is worth 101,000.00 USDT as its venues report (+500.00 since the start)")


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
