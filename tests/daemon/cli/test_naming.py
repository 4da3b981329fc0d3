"""A typing error is answered with what was probably meant."""

from __future__ import annotations

import pytest

from daemon.exits import Exit
from tests.daemon.cli.calls import call


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["statsu"], "status"),
        (["positons"], "positions"),
        (["backtest", "rnu"], "run"),
        (["audit", "tial"], "tail"),
        (["config", "valid"], "validate"),
        (["data", "covrage"], "coverage"),
        (["safety", "chck"], "check"),
    ],
)
def test_a_mistyped_command_is_answered_with_the_nearest(
    words: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*words) == Exit.USAGE
    assert f"Did you mean {meant!r}?" in capsys.readouterr().err


def test_what_is_like_nothing_is_only_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("xyzzy") == Exit.USAGE
    said = capsys.readouterr().err
    assert "No such command 'xyzzy'" in said and "Did you mean" not in said
