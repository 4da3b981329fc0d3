"""What the operator's commands share: amounts, being sure, keys."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from daemon.cli import console
from daemon.cli.console import AMOUNT, emit_records, make_sure, operation_key
from daemon.control.commands import answer


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "0", "-5", "1e999", "ten", ""])
def test_no_amount(text: str) -> None:
    with pytest.raises(click.BadParameter):
        AMOUNT.convert(text, None, None)


def test_an_amount_is_kept_as_typed() -> None:
    assert AMOUNT.convert("1e3", None, None) == "1e3"


def test_without_a_terminal_a_question_is_a_no(capsys: pytest.CaptureFixture[str]) -> None:
    make_sure("Stop?", yes=True)
    with pytest.raises(SystemExit) as end:
        make_sure("Stop?", yes=False)
    assert end.value.code == 5
    assert "--yes" in capsys.readouterr().err


@pytest.mark.parametrize(("typed", "code"), [("y\n", 0), ("n\n", 1), ("\n", 1)])
def test_on_a_terminal_the_question_is_asked(monkeypatch: pytest.MonkeyPatch, typed: str, code: int) -> None:
    @click.command()
    def command() -> None:
        monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
        make_sure("Stop?", yes=False)
        click.echo("stopped")

    result = CliRunner().invoke(command, input=typed)
    assert result.exit_code == code
    assert ("stopped" in result.stdout) is (code == 0)
    assert "Stop?" in result.stderr


def test_the_same_request_on_the_same_day_has_the_same_key(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def key(day: int = 1, strategy: str = "a", amount: str = "5") -> str:
        monkeypatch.setattr(console, "now", lambda: datetime(2024, 5, day, tzinfo=UTC))
        return operation_key(None, "deposit", strategy, {"amount": amount})

    assert key() == key()
    assert len({key(), key(day=2), key(strategy="b"), key(amount="6")}) == 4
    assert key() in capsys.readouterr().err


def test_a_given_key_is_taken_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert operation_key("mine", "deposit", "a", {}) == "mine"
    assert capsys.readouterr().err == ""


def test_a_table_shows_stamps_as_people_read_them(capsys: pytest.CaptureFixture[str]) -> None:
    response = answer([{"at": 1_704_067_200_000_000_000, "id": "x"}])
    emit_records(response, "table")
    assert "2024-01-01 00:00:00" in capsys.readouterr().out
    emit_records(response, "json")
    assert "1704067200000000000" in capsys.readouterr().out


def test_the_state_directory_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    @click.command()
    @console.state_option
    def where(state: Path) -> None:
        click.echo(state)

    assert CliRunner().invoke(where).output == "state\n"
    assert CliRunner().invoke(where, env={"BASIS_STATE_DIR": "/srv/x"}).output == "/srv/x\n"
    assert CliRunner().invoke(where, ["--state", "/y"], env={"BASIS_STATE_DIR": "/srv/x"}).output == "/y\n"
