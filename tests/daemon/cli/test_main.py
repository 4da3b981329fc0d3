"""`basis` as a process: how light it starts, and how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from daemon.cli import main as cli
from daemon.cli.run import SPEED
from daemon.exits import Exit
from tests.daemon.cli.calls import call

HEAVY = ("numpy", "plotly", "pyarrow", "pydantic", "rich", "yaml", "msgspec")


def test_help_loads_no_heavy_library() -> None:
    code = f"""
import sys
from daemon.cli.main import main
try:
    main(["--help"])
except SystemExit as end:
    assert not end.code, end.code
loaded = [name for name in {HEAVY!r} if name in sys.modules]
assert not loaded, loaded
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert ended.returncode == 0, ended.stderr
    assert "backtest" in ended.stdout


def test_the_list_of_commands_is_whole_sentences_within_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert call("--help") == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if line.startswith("  ") and line.endswith("...")] == []
    assert cli.SHORT.keys() <= cli.COMMANDS.keys()


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main([name, "--help"])

    assert end.value.code == 0
    assert "Usage: basis" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [["backtst"], ["backtest", "run"], ["backtest", "show", "x", "-o", "xml"], ["--nope"]]
)
def test_what_cannot_be_read_ends_with_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(words)

    assert end.value.code == 2
    assert "Usage:" in capsys.readouterr().err


def test_ctrl_c_ends_with_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    @click.command()
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "basis", interrupted)
    with pytest.raises(SystemExit) as end:
        cli.main([])

    assert end.value.code == 130
    assert "interrupted" in capsys.readouterr().err


def test_a_reader_that_leaves_early_gets_no_traceback(tmp_path: Path) -> None:
    code = "import sys; from daemon.cli.main import main; main(sys.argv[1:])"
    words = ["data", "generate", str(tmp_path / "tree"), "--start", "2024-01-01", "--end", "2024-01-05"]
    with subprocess.Popen(
        [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read()

    assert errors == ""
    assert process.returncode == Exit.FAILED


@pytest.mark.parametrize(
    "words",
    [
        ["status"], ["positions"], ["orders"], ["events"], ["audit", "verify"], ["replay", "x"], ["safety", "check"],
        ["emergency-stop"], ["backup", "{}/copy"], ["doctor"],
    ],
    ids=lambda words: words[0],
)  # fmt: skip
def test_a_file_in_place_of_the_state_directory_is_told_without_a_traceback(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert call(*(word.replace("{}", str(tmp_path)) for word in words), "--state", str(tmp_path / "file")) != 0
    told = capsys.readouterr()
    assert "Traceback" not in told.err
    assert told.err.strip()


@pytest.mark.parametrize("speed", ["0", "-1", "nan", "inf", "fast"])
def test_a_speed_that_is_none_is_refused(speed: str) -> None:
    with pytest.raises(click.BadParameter, match="not a finite number above 0"):
        SPEED.convert(speed, None, None)
    assert SPEED.convert("0.5", None, None) == 0.5


def test_a_state_directory_that_is_not_there_is_not_made_by_the_safety_program(tmp_path: Path) -> None:
    assert call("safety", "flatten", "--yes", "--state", str(tmp_path / "typo")) == Exit.NOT_FOUND
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", ["closed", "full", "ascii"])
def test_a_stdout_that_takes_nothing_or_not_our_letters_gets_no_traceback(where: str) -> None:
    redirect = {"closed": ">&-", "full": ">/dev/full", "ascii": ""}[where]
    command = f"{sys.executable} -m daemon.cli.main strategies {redirect}"
    environ = os.environ | ({"LC_ALL": "C", "PYTHONIOENCODING": "ascii"} if where == "ascii" else {})
    ended = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, env=environ)
    assert "Traceback" not in ended.stderr
    assert ended.returncode == (Exit.FAILED if where == "full" else Exit.DONE)
    assert ("No space left" in ended.stderr) is (where == "full")
