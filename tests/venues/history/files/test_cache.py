from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from venues.history.files.cache import ColumnCache, Parsed, combined_hash, content_hash

STAMPS = np.array([1_717_243_200_000_000_001, 2], np.int64)
VALUES = np.array([[0.1, np.nan], [3.0, -0.0]])
PARSED = Parsed(STAMPS, VALUES, b'{"any":"fact"}')


def test_what_was_put_comes_back_bit_for_bit(tmp_path: Path) -> None:
    cache = ColumnCache(tmp_path / "new" / "folder")
    cache.put("key", PARSED)
    kept = cache.get("key", 2)

    assert kept is not None
    assert kept.at.tolist() == STAMPS.tolist()
    assert kept.values.tobytes() == VALUES.tobytes()
    assert kept.facts == PARSED.facts
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["key.columns"]


@pytest.mark.parametrize(
    "damage", [b"", b"not columns at all", b"basisd columns 2", b"basisd columns 2" + bytes(24) + b"more"]
)
def test_a_damaged_entry_is_as_good_as_none(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "key.columns").write_bytes(damage)

    assert ColumnCache(tmp_path).get("key", 2) is None


def test_an_entry_of_another_shape_is_not_used(tmp_path: Path) -> None:
    cache = ColumnCache(tmp_path)
    cache.put("key", PARSED)

    assert cache.get("key", 3) is None


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    cache = ColumnCache(blocked)
    cache.put("key", PARSED)

    assert cache.get("key", 2) is None


def test_without_a_folder_nothing_is_kept() -> None:
    cache = ColumnCache(None)
    cache.put("key", PARSED)

    assert cache.get("key", 2) is None


def test_the_data_hash_depends_on_content_and_not_on_order() -> None:
    one, two = content_hash(b"1"), content_hash(b"2")

    assert combined_hash({one, two}) == combined_hash({two, one})
    assert combined_hash({one, two}) != combined_hash({one})
