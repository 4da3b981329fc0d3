"""Every event type is explained."""

from __future__ import annotations

from components.model.events import EventType
from daemon.event_meanings import EVENT_MEANINGS


def test_each_event_has_one_meaning_of_its_own() -> None:
    assert set(EVENT_MEANINGS) == set(EventType)
    assert len(set(EVENT_MEANINGS.values())) == len(EVENT_MEANINGS)
