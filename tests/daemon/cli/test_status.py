"""`basis status`: the table, the reasons in words, and how light it starts."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from daemon.cli.status import COLUMNS, lowest_margin, profit, reasons, row_of, withheld
from daemon.control.commands import answer
from daemon.replica import CellState, Contract, UncertainOrder, VenueState
from tests.daemon import one_cell as cells
from tests.daemon.cli.calls import call
from tests.daemon.control.daemons import running

NOW = cells.AT + 5 * cells.SECOND
TROUBLED = cells.running(
    "eth",
    state=CellState.PAUSED,
    reason="by an operator",
    withheld=("read only",),
    contracts=(
        Contract(name="quotes", holds=False, blocks="risk", reason="okx spot is 90 s old", since=cells.AT),
        Contract(name="clock", holds=False, blocks="", reason="offset 300 ms"),
        Contract(name="journal", holds=True, blocks="all"),
    ),
    uncertain=(
        UncertainOrder(
            id="o-17", venue="okx", verb="perp", token="ETH", amount=-2.0, notional_usdt=5000.0,
            sent_at=cells.AT - 60 * cells.SECOND, reason="no answer",
        ),
    ),
    venues=(
        VenueState(
            name="okx", reachable=False, last_answer_at=None, requests=3, errors=3, error="timed out",
            mismatches=("okx:Perp:ETHUSDT",), foreign=2,
        ),
    ),
    risk_levels={"delta": "warning"},
)  # fmt: skip


def test_the_table_has_a_line_per_strategy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = cells.running("btc", state=CellState.RUNNING, contracts=(), withheld=(), reason="")
    with running(tmp_path, {"status": answer([good, TROUBLED], market_now=NOW)}) as daemon:
        assert call("status", "--state", str(tmp_path)) == 0
    told = capsys.readouterr()
    lines = told.out.splitlines()
    assert told.err == ""
    assert all(name in lines[0] for name in COLUMNS)
    assert "101,000.00 USDT" in lines[1] and "5 s ago" in lines[1] and "1.00 %" in lines[1] and "0.95" in lines[1]
    assert lines[1].rstrip().endswith("no")
    assert "paused" in lines[2] and "by an operator (+2)" in lines[2]
    assert [request.strategy for request in daemon.asked] == [None]


def test_of_when_the_profit_of_a_latched_strategy_is_stands_under_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    latched = cells.running(
        "btc", state=CellState.LATCHED, phase="closing", contracts=(), withheld=(), reason="operator",
        equity=99_830.68, exit_value=99_830.68, pnl={"funding": -87.18}, step=1, equity_is_observed=True,
    )  # fmt: skip
    with running(tmp_path, {"status": answer([latched], market_now=NOW)}):
        assert call("status", "--state", str(tmp_path)) == 0
    told = capsys.readouterr().out
    assert "latched: closing" in told and "-87.18  " in told, "on one line"
    assert "btc: equity is what the venues report, P&L is as of before the emergency stop" in told
    assert max(map(len, told.splitlines())) <= 80


def test_json_is_the_replicas_and_one_strategy_can_be_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(tmp_path, {"status": answer([TROUBLED])}) as daemon:
        assert call("status", "eth", "--state", str(tmp_path), "-o", "json") == 0
    assert json.loads(capsys.readouterr().out) == json.loads(msgspec.json.encode([TROUBLED]))
    assert daemon.asked[0].strategy == "eth"


def test_why_says_everything_that_stands_in_the_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running(tmp_path, {"status": answer([TROUBLED], market_now=NOW)}):
        assert call("status", "--why", "--state", str(tmp_path)) == 0
    told = capsys.readouterr().out
    for words in (
        "eth is paused: by an operator", "withheld: read only", "BROKEN  quotes: okx spot is 90 s old",
        "nothing that adds risk leaves, since 2024-01-01 00:00:00Z",
        "BROKEN  clock: offset 300 ms (told, blocks nothing)",
        "ok      journal", "uncertain order o-17: perp -2 ETH at okx, sent 65 s ago: no answer",
        "basis resolve o-17 --as", "okx: not reachable: timed out; differs from the book: okx:Perp:ETHUSDT; 2 trades",
        "delta is warning", "basis resume eth",
    ):  # fmt: skip
        assert words in told, words


def test_a_figure_that_is_not_known_is_a_dash_and_no_crash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blank = cells.running(
        "btc", equity=None, pnl={}, columns={"net_delta": math.nan, "margin_ratio.okx": math.nan}, timestamp=None
    )
    with running(tmp_path, {"status": answer([blank])}):
        assert call("status", "--why", "--state", str(tmp_path)) == 0
    line = capsys.readouterr().out.splitlines()[1]
    assert line.split()[2:8] == ["-", "-", "-", "-", "-", "never"]


@pytest.mark.parametrize(
    ("phase", "words"),
    [("closing", "everything is being closed"), ("failed", "NOT everything could be closed"), ("flat", "stays so")],
)
def test_the_phase_of_an_emergency_stop_is_shown_with_what_is_in_its_way(phase: str, words: str) -> None:
    latched = cells.running(
        "eth", state=CellState.LATCHED, reason="a look", phase=phase, closing_error="okx: no answer", step=7,
        equity_is_observed=True, columns_at=cells.AT,
    )  # fmt: skip
    assert row_of(latched, NOW)[1] == f"latched: {phase}"
    told = "\n".join(reasons(latched, NOW))
    assert words in told
    assert ("in the way of closing: okx: no answer" in told) is (phase != "flat")
    assert "delta and margin as reported 5 s ago; P&L is as of step 7" in told
    unseen = msgspec.structs.replace(latched, columns_at=None)
    assert "delta and margin not known" in "\n".join(reasons(unseen, NOW))


def test_an_order_of_an_older_journal_has_no_age_that_is_made_up() -> None:
    (order,) = TROUBLED.uncertain
    old = msgspec.structs.replace(TROUBLED, uncertain=(msgspec.structs.replace(order, sent_at=None),))
    assert "sent at a time its journal does not tell" in "\n".join(reasons(old, NOW))


def test_the_residual_is_no_profit() -> None:
    assert profit(cells.running(pnl={"funding": 2.0, "residual": 100.0})) == 2.0
    assert lowest_margin(cells.running(columns={"margin_ratio.a": 0.5, "margin_ratio.b": 0.4, "ltv": 0.1})) == 0.4


def test_what_blocks_nothing_withholds_nothing() -> None:
    replica = cells.running(
        state=CellState.RUNNING,
        reason="",
        withheld=(),
        contracts=(Contract(name="clock", holds=False, blocks="", reason="x"),),
        venues=(),
        uncertain=(),
        risk_levels={},
    )
    assert withheld(replica) == []
    assert "  nothing is withheld" in list(reasons(replica, None))


def test_no_daemon_is_69_with_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("status", "--state", str(tmp_path)) == 69
    told = capsys.readouterr()
    assert told.out == ""
    assert "basis run" in told.err
    assert list(tmp_path.iterdir()) == []


def test_it_loads_nothing_heavy(tmp_path: Path) -> None:
    code = """
import sys
from daemon.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert not end.code, end.code
heavy = ("numpy", "pyarrow", "plotly", "pydantic", "yaml", "trio", "rich", "structlog")
loaded = [name for name in heavy if name in sys.modules]
assert not loaded, loaded
"""
    words = ["status", "--why", "--state", str(tmp_path)]
    with running(tmp_path, {"status": answer([TROUBLED], market_now=NOW)}):
        ended = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert "eth is paused" in ended.stdout
