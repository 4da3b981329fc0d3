"""`basis positions | orders | events | resolve | adopt`."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from daemon.control.commands import answer
from tests.daemon.cli.calls import call
from tests.daemon.control.daemons import running

ROWS = [
    {"strategy": "btc", "key": "okx:Perp:BTCUSDT", "expected": -1.5, "observed": None},
    {"strategy": "btc", "key": "okx:BaseToken:USDT", "expected": 10.0, "observed": 10.0},
]


def test_records_are_printed_in_each_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running(tmp_path, {"positions": answer(ROWS)}):
        assert call("positions", "--state", str(tmp_path), "-o", "json") == 0
        assert json.loads(capsys.readouterr().out) == ROWS
        assert call("positions", "--state", str(tmp_path), "-o", "csv") == 0
        assert [row["key"] for row in csv.DictReader(io.StringIO(capsys.readouterr().out))] == [
            "okx:Perp:BTCUSDT", "okx:BaseToken:USDT",
        ]  # fmt: skip
        assert call("positions", "btc", "--state", str(tmp_path)) == 0
    assert "okx:Perp:BTCUSDT" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["positions", "orders", "events"])
def test_nothing_there_is_an_answer_too(tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    with running(tmp_path, {kind: answer([])}):
        assert call(kind, "--state", str(tmp_path)) == 0
        assert call(kind, "--state", str(tmp_path), "-o", "json") == 0
    assert capsys.readouterr().out == "nothing there\n[]\n"


def test_events_are_limited(tmp_path: Path) -> None:
    with running(tmp_path, {"events": answer([])}) as daemon:
        assert call("events", "btc", "--limit", "7", "--state", str(tmp_path)) == 0
        assert call("events", "--limit", "0", "--state", str(tmp_path)) == 2
    assert [dict(request.arguments) for request in daemon.asked] == [{"limit": "7"}]


def test_an_order_is_resolved_with_what_the_venue_says(tmp_path: Path) -> None:
    filled = ["resolve", "o1", "--as", "filled", "--price", "60000", "--quantity", "0.5"]
    with running(tmp_path) as daemon:
        assert call(*filled, "--yes", "--state", str(tmp_path)) == 0
        assert call("resolve", "o2", "--as", "not_sent", "--yes", "--state", str(tmp_path)) == 0
    assert [dict(request.arguments) for request in daemon.asked] == [
        {"order": "o1", "as": "filled", "price": "60000", "quantity": "0.5"},
        {"order": "o2", "as": "not_sent"},
    ]
    assert all(request.key for request in daemon.asked)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["resolve", "o1", "--as", "filled"], 5),
        (["resolve", "o1", "--yes"], 2),
        (["resolve", "o1", "--as", "lost", "--yes"], 2),
        (["resolve", "o1", "--as", "not_sent", "--price", "1", "--yes"], 2),
        (["resolve", "o1", "--as", "filled", "--price", "nan", "--yes"], 2),
        (["adopt", "btc", "okx"], 5),
        (["adopt", "btc", "--yes"], 2),
    ],
)
def test_what_is_not_clear_is_not_sent(tmp_path: Path, words: list[str], code: int) -> None:
    with running(tmp_path) as daemon:
        assert call(*words, "--state", str(tmp_path)) == code
        assert daemon.asked == []


def test_adopting_names_strategy_and_venue(tmp_path: Path) -> None:
    with running(tmp_path) as daemon:
        assert call("adopt", "btc", "okx", "--yes", "--key", "k", "--state", str(tmp_path)) == 0
    (request,) = daemon.asked
    assert (request.strategy, dict(request.arguments), request.key) == ("btc", {"venue": "okx"}, "k")


@pytest.mark.parametrize(
    ("limits", "shown"),
    [({"limit_price": 2_310.5, "at_least": None}, "2,310.5"), ({"limit_price": None, "at_least": 12.5}, "gives 12.5")],
)
def test_the_limit_of_an_order_is_in_its_row(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    limits: dict[str, float | None],
    shown: str,
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    row = {"at": 1_704_067_200_000_000_000, "venue": "okx", "verb": "perp", "token": "ETH", "amount": -1.0,
           "price": 2_300.0, "state": "filled", "reason": "", **limits}  # fmt: skip
    with running(tmp_path, {"orders": answer([row])}):
        assert call("orders", "btc", "--state", str(tmp_path)) == 0
    out = capsys.readouterr().out
    assert "limit" in out and shown in out


def test_a_table_shows_figures_as_people_read_them_and_json_every_digit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    event = {
        "timestamp": 1, "strategy": "btc", "event_type": "trade", "venue": "binance", "token": "BTC",
        "amount": 0.44700000000000006, "detail": "spot binance_spot at 42505.71445882443",
    }  # fmt: skip
    with running(tmp_path, {"events": answer([event])}):
        assert call("events", "--state", str(tmp_path)) == 0
        shown = capsys.readouterr().out
        assert call("events", "--state", str(tmp_path), "-o", "json") == 0
    assert "42,505.71" in shown and "0.447 BTC" in shown
    assert "42505.714" not in shown
    assert json.loads(capsys.readouterr().out) == [event]
