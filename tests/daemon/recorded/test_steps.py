"""Steps as the journal holds them: what is written is what is read, bit for bit, and a cut step is none."""

from __future__ import annotations

import math

import pytest

from components.model.errors import BasisError, Refuse, Retry, Stop
from components.ports import Settlements, Standing
from daemon.errors import OPS_REFUSED
from daemon.journal.codec import decode
from daemon.journal.records import ConfigChanged, StepAborted, StepEnd
from daemon.recorded.steps import NOTHING_SETTLED, Step, begin_of, family_of, hash_of, rows_of, shown, steps_of
from daemon.world.rows import MarketRow
from tests.daemon.journal.state import event, intent

NOW = MarketRow(
    tick=7,
    timestamp=70,
    values={"okx.spot.BTC": 0.1 + 0.2, "okx.perp.BTC": -0.0, "gas": math.inf},
    derived={"carry": 1e-300},
    stale=("gas",),
    ages_s={"okx": 1.5},
)
BEFORE = MarketRow(tick=6, timestamp=60, values={"okx.spot.BTC": 5e-324, "okx.perp.BTC": 1.0, "gas": 2.0})


def test_rows_come_back_bit_for_bit() -> None:
    begin = begin_of(NOW, BEFORE, NOTHING_SETTLED, Standing(no_risk=("a look",)), cursors={"okx": 3})
    row, previous = rows_of(begin)
    assert row == NOW and math.copysign(1.0, row.values["okx.perp.BTC"]) == -1.0
    assert previous is not None and (previous.tick, previous.timestamp, previous.values) == (6, 60, BEFORE.values)
    assert decode(begin.settlements, Settlements) == NOTHING_SETTLED
    assert decode(begin.standing, Standing).no_risk == ("a look",) and begin.cursors == {"okx": 3}


def test_a_column_that_the_row_before_lacks_holds_the_value_of_now() -> None:
    begin = begin_of(NOW, MarketRow(tick=6, timestamp=60, values={"gas": 2.0}), NOTHING_SETTLED, Standing())
    _, previous = rows_of(begin)
    assert previous is not None and previous.values == {**NOW.values, "gas": 2.0}


def test_the_first_row_has_none_before_it() -> None:
    assert rows_of(begin_of(NOW, None, NOTHING_SETTLED, Standing()))[1] is None


def test_a_step_that_was_cut_is_none_and_what_stands_outside_of_steps_is_passed_on() -> None:
    begin = begin_of(NOW, None, NOTHING_SETTLED, Standing())
    end = StepEnd(tick=7, timestamp=70, state_hash="h")
    reload = ConfigChanged(at=1, changes={}, config=b"", config_hash="c")
    records = [end, begin, intent("cut"), StepAborted(tick=7, reason="cut short"), reload, begin, intent("a"), end]
    checkpoint, changed, step = steps_of(records)
    assert (checkpoint, changed) == (end, reload)
    assert isinstance(step, Step) and (step.intents, step.answers, step.end) == ((intent("a"),), (), end)


@pytest.mark.parametrize("error", [Retry(OPS_REFUSED, "x"), Refuse(OPS_REFUSED, "x"), Stop(OPS_REFUSED, "x")])
def test_the_family_of_an_error_decides_how_the_core_goes_on(error: BasisError) -> None:
    assert family_of(error) == type(error).__name__


def test_a_family_is_told_of_what_descends_from_it() -> None:
    class Late(Retry):
        pass

    assert family_of(Late(OPS_REFUSED, "x")) == "Retry"


def test_states_are_told_apart_by_hash_and_values_are_shown_in_words() -> None:
    assert hash_of(b"a") != hash_of(b"b") and len(hash_of(b"")) == 64
    assert shown(event(1)).startswith("{")
