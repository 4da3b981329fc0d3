"""`basis stop | pause | resume | rebalance`: what is asked of the daemon, and what is not asked without being sure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.model.errors import BasisError, Refuse
from daemon.control.commands import Request, answer, refusal
from daemon.errors import OPS_NOT_FOUND, OPS_REFUSED
from tests.daemon.cli.calls import call
from tests.daemon.control.daemons import running


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["stop", "--yes"], Request(kind="stop")),
        (["stop", "btc", "--yes"], Request(kind="stop", strategy="btc")),
        (
            ["stop", "btc", "--positions", "close", "--yes"],
            Request(kind="stop", strategy="btc", arguments={"positions": "close"}),
        ),
        (["pause", "btc"], Request(kind="pause", strategy="btc")),
        (
            ["pause", "btc", "--reason", "audit"],
            Request(kind="pause", strategy="btc", arguments={"reason": "audit"}),
        ),
        (["resume", "btc", "--yes"], Request(kind="resume", strategy="btc")),
        (["rebalance", "btc", "--key", "k"], Request(kind="rebalance", strategy="btc", key="k")),
    ],
)
def test_a_command_is_one_request_and_prints_its_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], asked: Request
) -> None:
    with running(tmp_path, {asked.kind: answer({"n": 1}, message="as you wish")}) as daemon:
        assert call(*words, "--state", str(tmp_path)) == 0
    (request,) = daemon.asked
    assert request.id
    assert Request(
        kind=request.kind, strategy=request.strategy, arguments=request.arguments, key=request.key
    ) == asked  # fmt: skip
    assert capsys.readouterr().out == "as you wish\n"


@pytest.mark.parametrize("words", [["stop"], ["stop", "btc"], ["resume", "btc"]])
def test_a_dangerous_command_is_not_sent_without_being_sure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    with running(tmp_path) as daemon:
        assert call(*words, "--state", str(tmp_path)) == 5
        assert daemon.asked == []
    assert "--yes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Refuse(OPS_NOT_FOUND, "no strategy 'x'"), 4),
        (Refuse(OPS_REFUSED, "it is closing"), 5),
    ],
)
def test_a_no_of_the_daemon_ends_with_its_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], error: BasisError, code: int
) -> None:
    with running(tmp_path, {"pause": refusal(error)}):
        assert call("pause", "x", "--state", str(tmp_path)) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert error.message in told.err


def test_json_has_message_data_and_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running(tmp_path, {"rebalance": answer({"id": "7"}, message="accepted")}):
        assert call("rebalance", "btc", "--key", "k", "--state", str(tmp_path), "-o", "json") == 0
    assert json.loads(capsys.readouterr().out) == {"message": "accepted", "data": {"id": "7"}, "key": "k"}
