"""`basis` as a process: how light it starts, and how it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from daemon.cli import main as cli
from daemon.exits import Exit

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
