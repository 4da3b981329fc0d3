"""The protocol between a client and venues in another process."""

from __future__ import annotations

import msgspec
import pytest
from trio.testing import memory_stream_pair

from components.model.errors import Refuse
from components.model.keys import PositionKey
from components.model.orders import Verb
from tests.venues.paper.stage import USDT, group, order
from venues.interfaces import NotSent, OutcomeUnknown, PositionsReport, Unavailable
from venues.paper.account import SIM_NO_ROW
from venues.paper.codec import decode, encode
from venues.paper.door.faults import Fault
from venues.paper.remote.client import RemoteAccount, RemoteVenue
from venues.paper.remote.wire import (
    LENGTH,
    LONGEST,
    METHODS,
    OF_A_DOOR,
    Answer,
    Call,
    call_of,
    failure_of,
    raised,
    receive,
    send,
    value_of,
)


def call(method: str, *arguments: object) -> Call:
    return Call(account="a", door="binance", method=method, now=5, arguments=tuple(encode(each) for each in arguments))


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("submit", (group(order("t", Verb.TRANSFER, token="USDT", source=USDT, target=USDT)),)),
        ("settled", (3,)),
        ("truth", ()),
        ("add_fault", (Fault(kind="latency", venue="okx", at=1, duration_s=2.0, parameters={"factor": 3.0}),)),
        ("foreign_transfer", ("f", None, USDT, 1.5, 7)),
        ("foreign_trade", ("f", "okx", Verb.PERP, "BTC", -1.5, 7)),
    ],
)
def test_a_call_comes_back_as_it_was(method: str, arguments: tuple[object, ...]) -> None:
    back, given = call_of(encode(call(method, *arguments)))

    assert back == call(method, *arguments) and given == arguments
    assert [type(value) for value in given] == [type(value) for value in arguments]


@pytest.mark.parametrize("bad", [call("explode"), call("submit"), call("settled", "x"), call("submit", {"id": 1})])
def test_what_is_no_call_of_ours_is_an_error(bad: Call) -> None:
    with pytest.raises(msgspec.ValidationError):
        call_of(encode(bad))


def test_position_keys_arrive_as_such() -> None:
    sent = group(order("t", Verb.TRANSFER, token="USDT", source=USDT, target=USDT))

    _, (given,) = call_of(encode(call("submit", sent)))

    assert isinstance(given.orders[0].source, PositionKey) and given.orders[0].source.venue == "binance"


def test_an_answer_has_the_type_its_method_promises() -> None:
    report = PositionsReport(balances={USDT: 1.5}, asked_at=1, answered_at=2)
    answer = decode(encode(Answer(value=encode(report))), Answer)

    told = value_of(answer, "positions")
    (key,) = told.balances

    assert told == report and isinstance(key, PositionKey) and value_of(Answer(value=encode(None)), "heal") is None


@pytest.mark.parametrize(
    "error",
    [
        NotSent("no", retry_after_s=2.0),
        OutcomeUnknown("perhaps"),
        Unavailable("silence", retry_after_s=3.0),
        Refuse(SIM_NO_ROW, "no"),
    ],
)
def test_an_error_is_raised_again_as_itself(error: NotSent | OutcomeUnknown | Unavailable | Refuse) -> None:
    again = raised(failure_of(error), "binance")

    assert type(again) is type(error) and (again.code, again.message) == (error.code, error.message)
    assert getattr(again, "retry_after_s", None) == getattr(error, "retry_after_s", None)


def test_both_ends_know_every_method() -> None:
    for name in METHODS:
        assert hasattr(RemoteVenue if name in OF_A_DOOR else RemoteAccount, name)


async def test_frames_come_whole_or_not_at_all() -> None:
    here, there = memory_stream_pair()
    await send(here, call("truth"))
    assert call_of(await receive(there) or b"") == (call("truth"), ())
    await here.send_all(LENGTH.pack(100) + b"half")
    await here.aclose()
    assert await receive(there) is None
    here, there = memory_stream_pair()
    await here.send_all(LENGTH.pack(LONGEST + 1))
    assert await receive(there) is None
