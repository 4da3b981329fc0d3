"""Each module has its test file of the same name at the same place, or is on a short list that says why not."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LISTED = ROOT / "tests" / "untested-modules.txt"
ROOMS = ("components", "venues", "daemon", "ops")


def modules() -> list[str]:
    found = (path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py")))
    return [path.relative_to(ROOT).as_posix() for path in found if path.name != "__init__.py"]


def test_file(module: str) -> str:
    path = Path(module)
    return (Path("tests") / path.parent / f"test_{path.name}").as_posix()


test_file.__test__ = False  # type: ignore[attr-defined]


def listed() -> dict[str, str]:
    """Module → why it has no test file of its own."""
    lines = (line.strip() for line in LISTED.read_text().splitlines())
    pairs = (line.partition("#") for line in lines if line and not line.startswith("#"))
    return {module.strip(): why.strip() for module, _, why in pairs}


@pytest.mark.parametrize("module", modules())
def test_a_module_has_its_test_file_or_a_reason(module: str) -> None:
    is_there, reason = (ROOT / test_file(module)).exists(), listed().get(module)
    assert is_there or reason, f"write {test_file(module)}, or say in {LISTED.name} why not"
    assert not (is_there and reason), f"{module} has its test file: take it off {LISTED.name}"


def test_the_list_names_what_there_is_and_says_why() -> None:
    known = set(modules())
    for module, why in listed().items():
        assert module in known, f"{module} is gone: take it off {LISTED.name}"
        assert len(why.split()) > 3, f"{module}: say why"
    assert len(listed()) <= 40, "a short list"
