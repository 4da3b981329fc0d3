"""What operators were told outlasts a restart, and what they were not told does not."""

from __future__ import annotations

from daemon.cells.authority import Pause
from daemon.control.accepted import ACCEPTED, ASKED, PAUSED, STOPPED, accepted, paused_strategies
from daemon.journal.records import Command


def command(kind: str, strategy: str = "a", answer: str = ACCEPTED, **words: str) -> Command:
    return Command(at=1, id=kind, kind=kind, arguments={"strategy": strategy, **words}, uid=0, answer=answer)


def test_only_what_was_acknowledged_counts() -> None:
    said = [command("pause", answer=ASKED), command("pause", answer="refused: latched"), command("pause", "b")]
    assert accepted(said) == (said[2],)
    assert paused_strategies(said) == {"b": Pause(reason=PAUSED)}


def test_the_last_word_of_each_strategy_holds() -> None:
    said = [
        command("pause", reason="lunch"),
        command("pause", "b"),
        command("resume"),
        command("pause", reason="again"),
    ]
    assert paused_strategies(said) == {"a": Pause(reason="again"), "b": Pause(reason=PAUSED)}
    assert paused_strategies([*said, command("resume", "b"), command("resume")]) == {}
    assert paused_strategies([command("resume")]) == {}, "nobody was paused"


def test_a_stop_that_holds_is_a_pause_of_everything_and_one_that_closes_is_none() -> None:
    assert paused_strategies([command("stop")]) == {"a": STOPPED}
    assert paused_strategies([command("stop", positions="close")]) == {}
    assert paused_strategies([command("stop", "")]) == {}, "of the whole daemon: it starts again as it was"
    assert paused_strategies([command("stop"), command("resume")]) == {}


def test_other_commands_pause_nobody() -> None:
    assert paused_strategies([command("deposit"), command("rebalance"), command("emergency_stop")]) == {}
