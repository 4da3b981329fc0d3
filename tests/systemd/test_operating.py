"""The operator's pages name commands, units, paths and links that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from daemon.cli.main import COMMANDS

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = ["operating.md", "architecture.md", "incidents.md", "safety.md"]
UNITS = {path.name.removesuffix(".service") for path in (DOCS.parent / "systemd").glob("*.service")}
TO_COME = {"safety"}  # the command of the safety unit is not in the table yet


def text_of(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def code_of(page: str) -> str:
    """What stands between backticks or in a block: what somebody may type."""
    text = text_of(page)
    return "\n".join([*re.findall(r"```\w*\n(.*?)```", text, re.S), *re.findall(r"`([^`\n]+)`", text)])


def anchors_of(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_command_exists(page: str) -> None:
    named = set(re.findall(r"\bbasis ([a-z][a-z-]+)", code_of(page)))
    assert named <= set(COMMANDS) | TO_COME


@pytest.mark.parametrize("page", PAGES)
def test_every_unit_exists(page: str) -> None:
    named = {f"{unit}@" for unit in re.findall(r"\b(basisd[a-z-]*)@", code_of(page))}
    assert named <= UNITS


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", text_of(page)):
        name, _, anchor = target.partition("#")
        path = (DOCS / page).parent / name if name else DOCS / page
        assert path.exists() or name == "runbooks/", target
        assert not anchor or anchor in anchors_of(path), target


def test_the_guide_names_every_unit_and_the_paths_in_them() -> None:
    guide = text_of("operating.md")
    for unit in UNITS:
        assert f"{unit}paper" in guide, unit
    for path in ("/etc/basisd/paper.yaml", "/etc/basisd/paper.env", "/etc/basisd/credentials/paper"):
        assert path in guide
        assert path.replace("paper", "%i") in (DOCS.parent / "systemd/basisd@.service").read_text(encoding="utf-8")


def test_every_exit_code_that_is_not_started_again_is_explained() -> None:
    unit = (DOCS.parent / "systemd/basisd@.service").read_text(encoding="utf-8")
    prevented = re.search(r"^RestartPreventExitStatus=(.+)$", unit, re.M)
    assert prevented is not None
    explained = {
        code
        for row in re.findall(r"^\| ([\d, ]+) \|.*\*\*no\*\*", text_of("operating.md"), re.M)
        for code in row.split(", ")
    }
    assert set(prevented[1].split()) == explained


def test_the_picture_is_whole_and_says_what_it_shows() -> None:
    picture = (DOCS / "images/actors.svg").read_text(encoding="utf-8")
    assert picture.startswith("<svg ") and picture.endswith("</svg>\n")
    assert "<title" in picture and "<desc" in picture
    for actor in ("core actor", "bridge", "dispatch", "pollers", "committer", "emergency path", "market driver"):
        assert f">{actor}<" in picture, actor
