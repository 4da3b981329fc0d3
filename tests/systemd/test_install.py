"""install.sh and uninstall.sh into a folder: what they make, what they keep, what they refuse."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((ROOT / "ops").rglob("*.sh"))
BASE_IN_A_HOME = Path(sys.base_prefix).resolve().is_relative_to("/root") or Path(sys.base_prefix).is_relative_to(
    "/home"
)


def run(script: str, *arguments: str | Path, source: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", source / "ops" / script, *arguments], capture_output=True, text=True, timeout=300, cwd="/"
    )


def install(root: Path, *arguments: str, source: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return run("install.sh", "--root", root, "--no-venv", "--python", sys.executable, *arguments, source=source)


def tree(root: Path) -> dict[str, tuple[int, bytes | str]]:
    """Everything below `root`: mode, and content or target."""
    return {
        str(path.relative_to(root)): (
            path.lstat().st_mode,
            str(path.readlink()) if path.is_symlink() else b"" if path.is_dir() else path.read_bytes(),
        )
        for path in sorted(root.rglob("*"))
    }


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A complete source tree with little in it."""
    source = tmp_path / "clone"
    for folder in ("ops", "systemd"):
        shutil.copytree(ROOT / folder, source / folder)
    for folder in ("components", "daemon", "venues", "configs", "docs"):
        (source / folder).mkdir()
    (source / "configs/paper.yaml").write_text("strategies: []\n")
    (source / "docs/operating.md").write_text("# Operating\n")
    (source / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    (source / "uv.lock").touch()
    (source / "requirements-dev.txt").touch()
    return source


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="needs shellcheck (apt install shellcheck)")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_finds_nothing(script: Path) -> None:
    done = subprocess.run(["shellcheck", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def test_install_makes_units_configuration_and_a_closed_credentials_folder(clone: Path, tmp_path: Path) -> None:
    done = install(tmp_path / "root", source=clone)

    assert done.returncode == 0, done.stderr
    made = tree(tmp_path / "root")
    units = ("basisd@", "basisd-failed@", "basisd-flatten@", "basisd-closing@")
    for unit in (*(f"{each}.service" for each in units), "basisd-closing@.timer"):
        assert made[f"etc/systemd/system/{unit}"][1] == (ROOT / f"systemd/{unit}").read_bytes()
    assert made["etc/basisd/paper.yaml"] == (0o100644, b"strategies: []\n")
    assert made["etc/basisd/credentials"][0] == 0o040700
    assert made["etc/basisd/credentials/paper"][0] == 0o040700
    assert str(made["opt/basisd/docs"][1]).startswith("releases/1.2.3-")
    assert (tmp_path / "root/opt/basisd/docs/operating.md").read_text() == "# Operating\n"
    assert "systemctl enable --now basisd@paper" in done.stdout


def test_installing_again_changes_nothing_and_keeps_what_the_operator_wrote(clone: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    install(root, source=clone)
    (root / "etc/basisd/paper.yaml").write_text("mine\n")
    (root / "etc/basisd/credentials/paper/CEX__KEY").write_text("secret")
    (root / "etc/basisd/credentials").chmod(0o711)
    before = tree(root)

    done = install(root, source=clone)

    assert done.returncode == 0, done.stderr
    assert tree(root) == before
    assert "kept /etc/basisd/paper.yaml" in done.stdout


def test_a_changed_source_is_a_release_of_its_own_beside_the_old_one(clone: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    install(root, source=clone)
    old = (root / "opt/basisd/docs").readlink()
    (clone / "daemon/main.py").write_text("changed = True\n")

    install(root, "second", source=clone)

    assert (root / "opt/basisd/docs").readlink() != old
    assert len(list((root / "opt/basisd/releases").iterdir())) == 2
    assert (root / "etc/basisd/second.yaml").exists()


def test_prefix_reaches_the_units(clone: Path, tmp_path: Path) -> None:
    install(tmp_path, "--prefix", "/srv/basisd", source=clone)
    unit = (tmp_path / "etc/systemd/system/basisd@.service").read_text()
    assert "ExecStart=/srv/basisd/venv/bin/basis run" in unit and "/opt/basisd" not in unit


@pytest.mark.parametrize("name", ["Paper", "a b", "../x", "x" * 25, "-x", "x\ny"])
def test_a_name_that_cannot_be_a_service_user_is_refused(clone: Path, tmp_path: Path, name: str) -> None:
    done = install(tmp_path / "root", name, source=clone)
    assert done.returncode == 1
    assert not (tmp_path / "root").exists()


def test_an_incomplete_clone_is_named(clone: Path, tmp_path: Path) -> None:
    (clone / "uv.lock").unlink()
    done = install(tmp_path / "root", source=clone)
    assert (done.returncode, "uv.lock is missing" in done.stderr) == (1, True)


@pytest.mark.skipif(not BASE_IN_A_HOME, reason="this Python does not live in a home folder")
def test_an_interpreter_in_a_home_folder_is_refused(clone: Path, tmp_path: Path) -> None:
    done = run("install.sh", "--root", tmp_path / "root", "--python", sys.executable, source=clone)
    assert (done.returncode, "lives in a home folder" in done.stderr) == (1, True)
    assert not (tmp_path / "root").exists()


def test_uninstall_keeps_state_configuration_and_secrets(clone: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    install(root, source=clone)
    (root / "var/lib/private/basisd/paper").mkdir(parents=True)
    (root / "var/lib/private/basisd/paper/journal").write_text("what was traded")

    done = run("uninstall.sh", "--root", root, source=clone)

    assert done.returncode == 0, done.stderr
    assert {name for name, (mode, _) in tree(root).items() if not mode & 0o040000} == {
        "etc/basisd/paper.yaml",
        "var/lib/private/basisd/paper/journal",
    }
    assert not (root / "opt/basisd").exists()


def test_purge_wants_to_be_meant_and_then_removes_everything(clone: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    install(root, source=clone)
    (root / "var/lib/private/basisd/paper").mkdir(parents=True)
    (root / "etc/passwd").touch()
    before = tree(root)

    refused = run("uninstall.sh", "--root", root, "--purge", source=clone)
    assert (refused.returncode, "--yes" in refused.stderr, tree(root) == before) == (1, True, True)

    run("uninstall.sh", "--root", root, "--purge", "--yes", source=clone)
    assert [name for name in tree(root) if "basisd" in name] == []
    assert (root / "etc/passwd").exists()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/usr/bin/python3").exists(), reason="needs the distribution's Python")
def test_the_environment_is_made_from_the_lock_and_its_command_runs(tmp_path: Path) -> None:
    root = tmp_path / "root"
    done = run("install.sh", "--root", root)

    assert done.returncode == 0, done.stderr
    version = [str(root / "opt/basisd/venv/bin/python"), "-m", "daemon.cli.main", "--version"]
    said = subprocess.run(version, capture_output=True, text=True, timeout=60, cwd="/", check=True).stdout
    assert said.startswith("basis, version ")
    packages = root.glob("opt/basisd/venv/lib/*/site-packages/*")
    names = {path.name for path in packages}
    assert {"trio", "daemon", "configs"} <= names, "the project itself is installed, not linked to the clone"
