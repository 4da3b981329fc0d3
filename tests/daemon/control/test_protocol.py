"""What may be asked over the control socket, and that everything wrong with a request is said at once."""

from __future__ import annotations

import math

import msgspec
import pytest

from components.model.errors import CATALOGUE, InvalidInput, Refuse
from daemon.cli.console import LARGEST
from daemon.control.commands import KINDS, LARGEST_AMOUNT, Request, answer, is_amount, refusal, request_faults
from daemon.control.protocol import encoded, parse_request
from daemon.errors import OPS_MALFORMED, OPS_REFUSED

GOOD = [
    Request(kind="ping"),
    Request(kind="status", strategy="btc"),
    Request(kind="deposit", strategy="btc", arguments={"amount": "1000"}, key="k1", id="7"),
    Request(kind="resolve", arguments={"order": "o1", "as": "filled", "price": "1.5", "quantity": "2"}, key="k"),
    Request(kind="resolve", arguments={"order": "o1", "as": "not_sent"}, key="k"),
    Request(kind="events", arguments={"limit": "10"}),
]


@pytest.mark.parametrize("request_", GOOD, ids=lambda one: one.kind)
def test_a_good_request_survives_the_wire(request_: Request) -> None:
    line = encoded(request_)
    assert line.count(b"\n") == 1
    assert parse_request(line) == request_


BAD = [
    (b"{", "request: found"),
    (b"[1]", "found list, expected one JSON object"),
    (b'"\xff"', "request: found"),
    (b"{}", "kind: found nothing"),
    (b'{"kind": "statsu"}', "did you mean 'status'?"),
    (b'{"kind": 1}', "kind: found 1, expected a text"),
    (b'{"kind": "ping", "stategy": "a"}', "did you mean 'strategy'?"),
    (b'{"kind": "ping", "strategy": "a"}', "expected nothing: ping is about the daemon"),
    (b'{"kind": "pause"}', "strategy: found nothing"),
    (b'{"kind": "status", "arguments": {"limit": 3}}', "expected a map of name: text"),
    (b'{"kind": "status", "arguments": {"limit": "3"}}', "arguments.limit: found an unknown argument"),
    (b'{"kind": "events", "arguments": {"limit": "0"}}', "a whole number from 1"),
    (b'{"kind": "stop", "arguments": {"positions": "hlod"}}', "did you mean 'hold'?"),
    (b'{"kind": "deposit", "strategy": "a", "arguments": {"amount": "5"}}', "key: found nothing"),
    (b'{"kind": "resolve", "key": "k", "arguments": {"order": "o", "as": "not_sent", "price": "1"}}', "was not sent"),
]


@pytest.mark.parametrize(("line", "told"), BAD)
def test_a_bad_request_is_told_what_is_wrong(line: bytes, told: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_request(line)
    assert caught.value.code == OPS_MALFORMED
    assert told in str(caught.value)


def test_all_faults_come_at_once() -> None:
    request = Request(kind="deposit", arguments={"amount": "-1", "amuont": "2"})
    places = [fault.where for fault in request_faults(request)]
    assert places == ["strategy", "arguments.amount", "arguments.amuont", "key"]


def test_a_key_is_asked_of_whatever_must_happen_once() -> None:
    assert {name for name, kind in KINDS.items() if kind.keyed} == {
        "rebalance", "deposit", "withdraw", "adopt", "resolve",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "-inf", "1e999", "", "ten", "0x10"])
def test_no_amount(text: str) -> None:
    assert not is_amount(text)


@pytest.mark.parametrize("text", ["1", "0.5", "1e3", "1e-8"])
def test_an_amount(text: str) -> None:
    assert is_amount(text)


def test_an_answer_has_no_nan_in_its_data() -> None:
    assert msgspec.json.decode(answer({"equity": math.nan}).data) == {"equity": None}


def test_a_refusal_carries_code_and_hint() -> None:
    response = refusal(Refuse(OPS_REFUSED, "closing"))
    assert (response.ok, response.code) == (False, OPS_REFUSED)
    assert CATALOGUE[OPS_REFUSED].action in response.message


def test_nobody_moves_more_than_there_is() -> None:
    assert is_amount("1e12")
    assert not is_amount("1e300")
    assert LARGEST == LARGEST_AMOUNT, "the command refuses what the daemon would"
