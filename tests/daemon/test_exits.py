"""One table of exit codes: complete, light, the same for every command, and the one in the docs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from components.model.errors import (
    CATALOGUE,
    CFG_INVALID,
    CFG_REQUEST,
    DAT_LOOK_AHEAD,
    DAT_NOT_COVERED,
    BasisError,
    Fault,
    InvalidInput,
    Refuse,
    Stop,
)
from daemon.exits import OF_CODE, TABLE, Exit, exit_of, of_answer
from daemon.journal.journal import Journal  # noqa: F401  (its errors are catalogued)
from ops import reference
from tests.daemon.cli.calls import call

HERE = Path(__file__).resolve().parents[2]
THERE = Fault(where="run", found="2", expected="1")
GONE = Fault(where="run", found="nope", expected="a run", absent=True)
STATES = "--state"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidInput(CFG_REQUEST, []), Exit.USAGE),
        (InvalidInput(CFG_REQUEST, [GONE]), Exit.NOT_FOUND),
        (InvalidInput(CFG_REQUEST, [GONE, THERE]), Exit.USAGE),
        (InvalidInput(CFG_INVALID, []), Exit.CONFIG),
        (Refuse(DAT_NOT_COVERED), Exit.CONFIG),
        (Stop(DAT_LOOK_AHEAD), Exit.FAILED),
    ],
    ids=str,
)
def test_the_exit_code_tells_whose_fault_it_is(error: BasisError, code: Exit) -> None:
    assert exit_of(error) is code


def test_every_error_of_the_operator_is_in_the_table() -> None:
    reference.pages()  # imports all that is catalogued
    operators = {code for code in CATALOGUE if code.startswith("OPS-")}
    assert operators <= OF_CODE.keys() <= CATALOGUE.keys()
    assert of_answer("OPS-004") is Exit.NOT_FOUND
    assert of_answer("") is Exit.REFUSED


def test_the_page_has_the_table_of_the_code() -> None:
    page = (HERE / "docs/operating.md").read_text(encoding="utf-8")
    section = page.split("### Exit codes")[1].split("\n#")[0]
    rows = dict(re.findall(r"^\| (\d+) \| (.+ \| .+) \|$", section, re.M))
    assert rows.pop("64").startswith("not used")  # systemd is told of it all the same
    assert rows == {str(int(code)): f"{meaning} | {systemd}" for code, (meaning, systemd) in TABLE.items()}
    assert TABLE.keys() == set(Exit)


def test_no_command_has_codes_of_its_own() -> None:
    for path in (HERE / "daemon").rglob("*.py"):
        if path.name != "exits.py":
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"^EX_\w+ = \d|sys\.exit\([1-9]", text, re.M), path


@pytest.mark.parametrize(
    "words",
    [
        ["backtest", "show", "nope", "--out", "{}"],
        ["backtest", "compare", "nope", "--out", "{}"],
        ["backtest", "run", "nope", "--start", "2024-01-01", "--end", "2024-01-02", "--capital", "1"],
        ["config", "show", "nope"],
        ["config", "validate", "nope"],
        ["data", "coverage", "nope", "--data", "{}"],
        ["replay", "nope", STATES, "{}"],
        ["audit", "verify", "--strategy", "nope", STATES, "{}"],
        ["audit", "tail", STATES, "{}/nope"],
        ["audit", "export", "--strategy", "nope", STATES, "{}"],
        ["emergency-stop", "nope", STATES, "{}"],
        ["emergency-stop", STATES, "{}/nope"],
        ["safety", "flatten", "nope", "--yes", STATES, "{}"],
        ["backup", "{}/copy", STATES, "{}/nope"],
        ["restore", "{}/nope", "--yes", STATES, "{}/new"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_what_is_not_there_ends_every_command_alike(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*(word.replace("{}", str(tmp_path)) for word in words)) == Exit.NOT_FOUND
    told = capsys.readouterr().err
    assert "nope" in told
    assert "Traceback" not in told


def test_the_table_costs_no_start_up() -> None:
    code = "import sys, daemon.exits; assert 'msgspec' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
