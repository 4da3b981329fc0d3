"""Who looks is told without a wait, and reads it later; what a reader raises is its own."""

from __future__ import annotations

from typing import Any

from daemon.journal.records import Note
from daemon.process.audience import Audience
from daemon.process.journals import AUDIT
from daemon.replica import CellState, Replica


class Listening:
    """Metrics, health, narrator and reports in one: each call by its name."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *told: self.calls.append(name)


class Deaf:
    def __getattr__(self, name: str) -> Any:
        def fails(*told: object) -> None:
            raise ValueError(name)

        return fails


def audience_of(who: Any, narrator: Any) -> Audience:
    return Audience(who, who, narrator, who)


def told(audience: Audience) -> None:
    audience.committed("a", 0.1, 1)
    audience.hear("a", Note(at=0, kind="a test", detail=""))
    audience.hear(AUDIT, Note(at=0, kind="a test", detail=""))
    audience.publish(Replica(strategy="a", mode="btc_basis", share_class="USDT", account="a", state=CellState.RUNNING))
    audience.reports.crashed("a", ValueError("a test"))


def test_nothing_is_read_before_the_readers_do_and_the_narrator_hears_no_audit() -> None:
    everyone, narrator = Listening(), Listening()
    audience = audience_of(everyone, narrator)
    told(audience)
    assert everyone.calls == [] and narrator.calls == []
    for reader in audience.readers:
        reader.drain()
    assert sorted(everyone.calls) == ["commit", "crashed", "leg_imbalance", "publish", "publish"]
    assert narrator.calls == ["heard", "publish"]


def test_what_a_reader_raises_reaches_nobody_who_tells() -> None:
    audience = audience_of(Deaf(), Deaf())
    told(audience)
    for reader in audience.readers:
        reader.drain()
    assert [reader.errors for reader in audience.readers] == [2, 1, 2, 1]


def test_without_a_narrator_the_others_are_told() -> None:
    everyone = Listening()
    audience = audience_of(everyone, None)
    told(audience)
    for reader in audience.readers:
        reader.drain()
    assert sorted(everyone.calls) == ["commit", "crashed", "leg_imbalance", "publish", "publish"]
