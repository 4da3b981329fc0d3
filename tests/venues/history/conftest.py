"""Where tests of the loader find data: small folders of their own, and the real one when it is there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.venues.history.trees import Tree

_ROOT = Path(__file__).parents[3]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "folder")


@pytest.fixture(scope="session")
def real_data() -> Path:
    folder = Path(os.environ.get("BASIS_TEST_DATA", _ROOT / ".." / "shared" / "data")).resolve()
    if not folder.is_dir():
        pytest.skip("no real market data: set BASIS_TEST_DATA or put it at ../shared/data")
    return folder


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache shared by the tests on real data, so that each file is parsed once."""
    return tmp_path_factory.mktemp("columns")
