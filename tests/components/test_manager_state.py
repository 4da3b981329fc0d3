"""The state of the Strategy Manager in journals: written by this version or the one before, it comes back."""

from __future__ import annotations

import msgspec

from components.held_back import Held, Why
from components.manager_state import ManagerState
from components.model.awaited import Awaited, AwaitedKind
from components.refusals import Refusal
from daemon.journal.codec import decode, encode
from tests.builders import plan
from tests.components.manager_stage import BASIS, manager_of

NEW = ("held", "worked", "refusals", "awaited", "least", "dormant", "at_any_cost")  # since the version before
FULL = ManagerState(
    entered=True,
    halted=True,
    plan=plan({"okx:BaseToken:BTC": 1.0}),
    owed=5.0,
    blocked=True,
    retry_at={"owed": 3},
    unfinished=True,
    again_at=7,
    overtaken=plan(),
    held={"delta": Held(0.5, 9, Why.DONE, told=True)},
    worked=True,
    refusals={"okx perp ETH more": Refusal(count=2, reason="margin", at=1, amount=1.0, means=2.0)},
    awaited=(Awaited(kind=AwaitedKind.QUEUE, what="lido"),),
    least=100.0,
    dormant=True,
    at_any_cost=True,
)


def test_every_field_is_carried_by_the_manager_and_by_the_journal() -> None:
    manager = manager_of(BASIS)
    manager.restore(decode(encode(FULL), ManagerState))
    assert manager.state() == FULL
    blank = manager_of(BASIS, entered=False).state()
    same = [name for name in ManagerState.__struct_fields__ if getattr(blank, name) == getattr(FULL, name)]
    assert same == [], "each field says something, so that none can be forgotten"


def test_a_state_of_the_version_before_comes_back_without_what_it_did_not_know() -> None:
    known = msgspec.msgpack.decode(encode(FULL))
    old = msgspec.msgpack.encode({name: value for name, value in known.items() if name not in NEW})
    manager = manager_of(BASIS)
    manager.restore(decode(old, ManagerState))
    found = manager.state()
    assert (found.plan, found.owed, found.again_at, found.overtaken) == (FULL.plan, 5.0, 7, FULL.overtaken)
    assert (found.held, found.refusals, found.awaited, found.dormant) == ({}, {}, (), False)
