"""What may be asked over the control socket, and that everything wrong with a request is said at once."""

from __future__ import annotations

import pytest

from components.model.errors import InvalidInput
from daemon.control.commands import Request
from daemon.control.protocol import encoded, parse_request
from daemon.errors import OPS_MALFORMED

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
