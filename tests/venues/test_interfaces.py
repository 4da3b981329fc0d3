"""What a venue may answer: errors that say whether anything happened, and reports that say what is not known."""

from __future__ import annotations

import pytest

from components.model.errors import Retry
from venues.interfaces import NO_WAIT, DoorTerms, NotSent, OrderReport, OutcomeUnknown, ReportStatus, Unavailable


@pytest.mark.parametrize(
    ("error", "code"),
    [(NotSent("x"), "EXE-001"), (OutcomeUnknown("x"), "EXE-004"), (Unavailable("x"), "EXE-005")],
)
def test_each_failure_says_by_its_code_whether_anything_happened(error: Retry, code: str) -> None:
    assert isinstance(error, Retry), "nobody ends for it"
    assert error.code == code
    assert error.hint


def test_a_venue_may_name_when_to_come_again_but_for_what_may_have_happened() -> None:
    """An order whose outcome is unknown is asked after, and never sent again after a while."""
    assert NotSent("x", retry_after_s=2.0).retry_after_s == 2.0
    assert Unavailable("x", retry_after_s=3.0).retry_after_s == 3.0
    assert NotSent("x").retry_after_s is None
    assert not hasattr(OutcomeUnknown("x"), "retry_after_s")


def test_the_families_are_apart() -> None:
    kinds = (NotSent, OutcomeUnknown, Unavailable)
    for kind in kinds:
        assert not any(issubclass(kind, other) for other in kinds if other is not kind)


def test_a_report_is_final_unless_its_venue_says_otherwise() -> None:
    report = OrderReport(order_id="a", status=ReportStatus.ABSENT)
    assert (report.final, report.trade, report.confirmations) == (True, None, None)


def test_a_door_without_terms_waits_for_nothing_more_than_is_configured() -> None:
    assert DoorTerms() == NO_WAIT
    assert (NO_WAIT.answer_s, NO_WAIT.look_s, NO_WAIT.final_s, NO_WAIT.cancel_costs) == (0.0, 0.0, 0.0, False)
