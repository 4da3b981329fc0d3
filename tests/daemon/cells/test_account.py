"""An account as whoever closes it needs it: its line is of the last reload, whatever was made before."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import msgspec

from daemon.cells.account import Account
from daemon.cells.authority import Limits
from daemon.cells.surroundings import Surroundings
from daemon.orders.patience import Patience
from tests.daemon.fakes import HandClock, HandVenue, Quiet

AROUND = Surroundings(
    clock=HandClock(),
    patience=Patience(order_grace_s=2.0),
    limits=Limits(),
    latches=cast(Any, None),
    telemetry=cast(Any, Quiet()),
    publish=lambda replica: None,
    shout=lambda text: None,
    owe=lambda strategy, record, told: None,
    free_bytes=lambda: None,
    clock_offset_ms=lambda: None,
)


def account(*clients: HandVenue) -> Account:
    entry = SimpleNamespace(id="btc", account="main", run=None)
    return Account(cast(Any, entry), clients, lambda: None, AROUND, "at5")


def test_a_client_is_found_by_its_own_name_and_by_the_venues_it_answers_for() -> None:
    chain, okx = HandVenue("chain", venues=frozenset({"wallet", "transit"})), HandVenue("okx")
    line = account(chain, okx).line
    assert line.strategy == "btc"
    assert {name: client.name for name, client in line.clients.items()} == {
        "chain": "chain", "wallet": "chain", "transit": "chain", "okx": "okx",
    }  # fmt: skip


def test_the_next_dispatch_sends_as_the_last_reload_has_it() -> None:
    made = account(HandVenue("okx"))
    before = made.line
    made.surround(msgspec.structs.replace(AROUND, patience=Patience(order_grace_s=9.0), read_only=True))
    assert (made.line.patience.order_grace_s, made.line.read_only) == (9.0, True)
    assert (before.patience.order_grace_s, before.read_only) == (2.0, False), "one under way goes on as it began"


def test_it_is_shown_nowhere_until_somebody_says_where() -> None:
    made, shown = account(), list[str]()
    made.publish()
    made.publish = lambda: shown.append(made.life)
    made.publish()
    assert shown == ["at5"]
