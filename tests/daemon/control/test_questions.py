"""Questions change nothing: what is answered is what was published, and each is one that the table knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from daemon.control.commands import KINDS
from daemon.control.questions import QUESTIONS
from daemon.process.daemon import Daemon
from tests.daemon.house import BTC, House, ask, cell_of, ticked


def test_each_question_is_something_that_may_be_asked_and_need_not_happen_once() -> None:
    assert set(KINDS) >= QUESTIONS
    assert not [name for name in QUESTIONS if KINDS[name].keyed]


@pytest.mark.parametrize("kind", sorted(QUESTIONS))
def test_a_question_is_answered_and_writes_nothing(kind: str, tmp_path: Path) -> None:
    house = House(tmp_path, BTC)
    answers: list[Any] = []

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 2)
        audit, own = daemon._audit, cell_of(daemon, BTC).desk.journal
        before, at = audit.head.sequence, own.head.sequence
        response = await ask(daemon, kind, None)
        answers.append(msgspec.json.decode(response.data))
        assert response.ok and audit.head.sequence == before
        assert own.head.sequence >= at

    house.live(play)
    (data,) = answers
    assert data is not None
