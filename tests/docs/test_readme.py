"""What the README and the pages print works: each command of the README is typed as it stands, in a fresh folder."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from daemon.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LONG = ("make test", "make run", "sudo ")
UP_S = 90.0


def printed(text: str = README) -> list[str]:
    """The lines of all code blocks, without their comments."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S)
    lines = [re.sub(r"\s+#.*", "", line).strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


def made_by(target: str) -> str:
    """What `make` would type."""
    shown = subprocess.run(
        ["make", "-n", "-o", ".venv/.ready", target], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return next(line for line in shown.stdout.splitlines() if "basis" in line)


def fresh(folder: Path) -> Path:
    """A folder as after `git clone` and a first `make`: nothing was run in it yet."""
    for name in ("configs", "ops"):
        (folder / name).symlink_to(ROOT / name)
    scripts = folder / ".venv" / "bin"
    scripts.mkdir(parents=True)
    basis = scripts / "basis"
    basis.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m daemon.cli.main "$@"\n')
    basis.chmod(0o755)
    return folder


@contextmanager
def daemon_of(folder: Path, environ: dict[str, str]) -> Iterator[None]:
    """`make run`, up and stopped by Ctrl-C."""
    words = made_by("run")
    with subprocess.Popen(["sh", "-c", words], cwd=folder, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("ready"):
                break
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)
            last = process.stdout.read()
            process.wait(UP_S)
    assert process.returncode == 0, last
    assert "go on from here" in last


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_every_command_of_the_readme_works_as_printed(tmp_path: Path) -> None:
    folder, port = fresh(tmp_path), free_port()
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "BASIS_DAEMON__METRICS__PORT": str(port), "COLUMNS": "80"}
    lines = [line for line in printed() if not line.startswith(LONG)]
    assert len(lines) > 15 and shutil.which("sh")

    with daemon_of(folder, environ):
        for line in lines:
            if line.startswith("curl"):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
                    assert b"basis_ready" in answer.read()
                continue
            typed = made_by(line.split()[1]) if line.startswith("make ") else line
            ended = subprocess.run(
                ["sh", "-c", typed], cwd=folder, env=environ, capture_output=True, text=True, timeout=120
            )
            assert ended.returncode == 0, f"{line}\n{ended.stdout}\n{ended.stderr}"
            assert "Traceback" not in ended.stderr, line
            assert max(map(len, ended.stdout.splitlines()), default=0) <= 200, line
    assert {path.name for path in folder.iterdir()} >= {"state", "results", "market"}


def test_every_command_that_the_pages_name_exists() -> None:
    pages = [README, *(path.read_text(encoding="utf-8") for path in (ROOT / "docs").rglob("*.md"))]
    named = {name for page in pages for name in re.findall(r"[`/]basis ([a-z][a-z-]*)", page)}
    assert named and named <= COMMANDS.keys(), named - COMMANDS.keys()


def test_every_link_of_the_readme_and_the_glossary_leads_somewhere() -> None:
    for path in (ROOT / "README.md", ROOT / "docs/glossary.md"):
        for target in re.findall(r"\]\(([^)#]+)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), target


def test_the_glossary_has_the_words_of_the_commands() -> None:
    words = (ROOT / "docs/glossary.md").read_text(encoding="utf-8").lower()
    for word in ("book value", "if sold", "withheld", "uncertain", "`perpquote`", "scaled balance", "latched", "tick"):
        assert f"| {word}" in words or f", {word}" in words or f"*{word}*" in words, word
