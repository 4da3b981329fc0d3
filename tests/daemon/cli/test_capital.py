"""`basis deposit | withdraw`: the right amount, once."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.control.commands import answer
from tests.daemon.cli.calls import call
from tests.daemon.control.daemons import running
from tests.daemon.one_cell import running as cell


def test_the_same_deposit_twice_carries_the_same_key_however_it_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(tmp_path) as daemon:
        for amount in ("1000", "1e3", "1001"):
            assert call("deposit", "btc", amount, "--state", str(tmp_path)) == 0
    first, again, other = daemon.asked
    assert (first.kind, first.strategy, dict(first.arguments)) == ("deposit", "btc", {"amount": "1000"})
    assert first.key == again.key != other.key
    told = capsys.readouterr()
    assert first.key in told.err
    assert told.out == "deposit done\n" * 3


def test_a_withdrawal_needs_a_yes(tmp_path: Path) -> None:
    with running(tmp_path) as daemon:
        assert call("withdraw", "btc", "5", "--state", str(tmp_path)) == 5
        assert call("withdraw", "btc", "5", "--yes", "--key", "w1", "--state", str(tmp_path)) == 0
    assert [(request.kind, request.key) for request in daemon.asked] == [("status", ""), ("withdraw", "w1")]


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        ("5", "Withdraw 5 of 98,765.40 USDT, the equity of btc? Nobody is there to answer"),
        ("1e9", "A withdrawal of 1,000,000,000.00 USDT is more than the equity of 98,765.40 USDT. Nothing was done."),
    ],
)
def test_the_question_names_the_equity_and_more_than_that_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], amount: str, said: str
) -> None:
    with running(tmp_path, {"status": answer([cell(equity=98_765.4)])}) as daemon:
        assert call("withdraw", "btc", amount, "--state", str(tmp_path)) == 5
    assert said in capsys.readouterr().err
    assert [request.kind for request in daemon.asked] == ["status"]


def test_the_question_names_what_freeing_the_money_would_cost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dear = cell(equity=1_000.0, exit_value=400.0, positions={})
    with running(tmp_path, {"status": answer([dear])}):
        assert call("withdraw", "btc", "300", "--at-any-cost", "--state", str(tmp_path)) == 5
    said = capsys.readouterr().err
    assert "Freeing 300 USDT would cost about 450 USDT now, 150.0% of it." in said
    assert "the equity of btc, at any cost?" in said


def test_at_any_cost_is_another_request_with_another_key(tmp_path: Path) -> None:
    with running(tmp_path) as daemon:
        for words in ([], ["--at-any-cost"]):
            assert call("withdraw", "btc", "5", "--yes", *words, "--state", str(tmp_path)) == 0
        assert call("pay", "btc", "--yes", "--state", str(tmp_path)) == 0
        assert call("pay", "btc", "--state", str(tmp_path)) == 5, "a question nobody answers"
    plain, dear, pay = daemon.asked
    assert (dict(plain.arguments), dict(dear.arguments)) == ({"amount": "5"}, {"amount": "5", "at_any_cost": "yes"})
    assert len({plain.key, dear.key, pay.key}) == 3 and pay.kind == "pay"


@pytest.mark.parametrize("command", ["deposit", "withdraw"])
@pytest.mark.parametrize("amount", ["0", "-5", "nan", "inf", "1e999", "ten", "1_000x"])
def test_what_is_no_amount_of_money_is_not_sent(tmp_path: Path, command: str, amount: str) -> None:
    with running(tmp_path) as daemon:
        assert call(command, "btc", "--state", str(tmp_path), "--", amount) == 2
        assert daemon.asked == []


@pytest.mark.parametrize("words", [["btc", "-5"], ["-5", "btc"], ["btc", "-1e3", "--key", "k"], ["btc", "-.5"]])
def test_a_negative_amount_is_told_to_be_none_and_not_to_be_an_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    with running(tmp_path) as daemon:
        assert call("deposit", *words, "--state", str(tmp_path)) == 2
        assert daemon.asked == []
    said = capsys.readouterr().err
    assert "is not a number above 0" in said and "option" not in said.lower().replace("[options]", "")


def test_an_option_that_nobody_knows_is_still_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("deposit", "btc", "5", "--kye", "3", "--state", str(tmp_path)) == 2
    assert "--kye" in capsys.readouterr().err
