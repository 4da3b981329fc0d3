from __future__ import annotations

from pathlib import Path

import pytest

from components.model.errors import InvalidInput
from venues.history.files.sidecar import Zones, declared_zones


def test_a_folder_without_a_sidecar_declares_what_the_request_does(tmp_path: Path) -> None:
    assert declared_zones(tmp_path) == Zones()
    assert declared_zones(tmp_path, "UTC").of("a.csv") == "UTC"


def test_a_pattern_goes_before_the_general_zone(tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text("timezone: UTC\ntimezones:\n  '*/okx/*': Asia/Hong_Kong\n", encoding="utf-8")
    zones = declared_zones(tmp_path)

    assert zones.of("spot/okx/a.csv") == "Asia/Hong_Kong"
    assert zones.of("spot/bybit/a.csv") == "UTC"


def test_a_request_that_contradicts_the_sidecar_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text("timezone: UTC\n", encoding="utf-8")

    assert declared_zones(tmp_path, "UTC").general == "UTC"
    with pytest.raises(InvalidInput, match="--timezone: found Europe/Berlin, expected UTC"):
        declared_zones(tmp_path, "Europe/Berlin")


@pytest.mark.parametrize(
    "text", ["timezones: UTC\n", "timezones: {'*': Nowhere}\n", "zone: UTC\n", "timezone: 5\n", ""]
)
def test_what_declares_no_zone_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "data.yaml").write_text(text, encoding="utf-8")

    with pytest.raises(InvalidInput):
        declared_zones(tmp_path)
