"""The messages of the ports: frozen, and plain enough to go through a journal and come back."""

from __future__ import annotations

import pytest

from components.model.orders import InFlight, Verb
from components.ports import GRANTED, Approved, Flow, Happening, Settlements, Standing, Withheld
from daemon.journal.codec import decode, encode
from tests.builders import START, cash, deposit, group, key, late, order, settled

SHORT = order(Verb.PERP, "okx", "BTC", -1.0)
FLIGHT = InFlight(
    id="t", token="USDT", amount=5.0, source=key("okx:BaseToken:USDT"), target=key("wallet:BaseToken:USDT"),
    arrives_at=START,
)  # fmt: skip


def test_authority_is_granted_unless_something_is_said() -> None:
    assert Standing() == GRANTED
    assert (GRANTED.no_trade, GRANTED.no_risk, GRANTED.max_trade_usdt) == ((), (), None)


@pytest.mark.parametrize(
    "message",
    [GRANTED, Flow(1, 2.0, "x"), deposit(5.0), Approved(group(SHORT)), Withheld(group(SHORT), ("why",)), settled(1)],
)
def test_no_message_can_be_changed(message: object) -> None:
    name = type(message).__struct_fields__[0]  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        setattr(message, name, None)


@pytest.mark.parametrize(
    "happening", [deposit(5.0), late(SHORT, {"okx:Perp:BTCUSDT": -1.0}), deposit(1.0, departed=FLIGHT, unknown=SHORT)]
)
def test_a_happening_comes_back_from_a_journal_as_it_was(happening: Happening) -> None:
    assert decode(encode(happening), Happening) == happening


def test_settlements_come_back_from_a_journal_bit_for_bit() -> None:
    told = settled(3, deposit(5.0), flows=(cash("okx:BaseToken:USDT", [0, 2], [0.1, float("nan")]),))
    back = decode(encode(told), Settlements)
    assert encode(back) == encode(told)
    assert back.cash[0].amount.tobytes() == told.cash[0].amount.tobytes()
