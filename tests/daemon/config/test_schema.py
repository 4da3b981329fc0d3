"""The daemon file's models: every key says what it means, none has a default."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from components.config.reading import described, section_of
from daemon.config.daemon_file import DaemonLimits
from daemon.config.schema import DaemonFile, LimitKeys, MarketKeys


def sections(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        inner = section_of(field.annotation)
        if inner is not None:
            yield from sections(inner)


@pytest.mark.parametrize("model", list(sections(DaemonFile)), ids=lambda model: model.__name__)
def test_every_key_is_required_and_described(model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        assert field.is_required(), name
        assert field.description, name
        assert described(field.annotation, field.metadata)


def test_the_limits_of_the_slice_are_those_of_the_file() -> None:
    assert DaemonLimits.__struct_fields__ == tuple(LimitKeys.model_fields)


def test_a_date_that_yaml_understood_is_a_text_again() -> None:
    from datetime import date

    market = MarketKeys.model_validate(
        {"source": "embedded", "seed": 1, "scenario": "calm", "start": date(2024, 1, 2), "step_s": 60}
    )
    assert market.start == "2024-01-02"
