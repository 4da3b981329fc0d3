"""The commit of the code, as git would say it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from daemon.provenance import ROOT, commit_of


def git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", "-c", "core.hooksPath=", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    folder = tmp_path / "clone"
    git(tmp_path, "init", "-q", "-b", "main", str(folder))
    git(folder, "commit", "-q", "--allow-empty", "-m", "one")
    return folder


def test_it_is_what_git_says(clone: Path, tmp_path: Path) -> None:
    head = git(clone, "rev-parse", "HEAD")
    assert commit_of(clone) == head
    git(clone, "pack-refs", "--all")
    assert commit_of(clone) == head
    git(clone, "worktree", "add", "-q", "-b", "other", str(tmp_path / "tree"))
    assert commit_of(tmp_path / "tree") == head
    git(clone, "checkout", "-q", "--detach")
    assert commit_of(clone) == head


def test_where_there_is_no_clone_there_is_no_commit(tmp_path: Path) -> None:
    assert commit_of(tmp_path) is None
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git/HEAD").write_text("nonsense")
    assert commit_of(tmp_path) is None
    (tmp_path / ".git/HEAD").write_text("ref: refs/heads/none\n")
    assert commit_of(tmp_path) is None
    assert (ROOT / "daemon").is_dir()
