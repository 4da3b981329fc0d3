"""What people may ask for, whichever door they come through: every fault at once, and amounts that exist."""

from __future__ import annotations

import math

import msgspec
import pytest

from components.model.errors import CATALOGUE, Refuse
from daemon.cli.console import LARGEST
from daemon.control.commands import KINDS, LARGEST_AMOUNT, Request, answer, is_amount, refusal, request_faults
from daemon.errors import OPS_REFUSED


def test_all_faults_come_at_once() -> None:
    request = Request(kind="deposit", arguments={"amount": "-1", "amuont": "2"})
    places = [fault.where for fault in request_faults(request)]
    assert places == ["strategy", "arguments.amount", "arguments.amuont", "key"]


def test_a_key_is_asked_of_whatever_must_happen_once() -> None:
    assert {name for name, kind in KINDS.items() if kind.keyed} == {
        "rebalance", "deposit", "withdraw", "pay", "adopt", "resolve",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "-inf", "1e999", "", "ten", "0x10"])
def test_no_amount(text: str) -> None:
    assert not is_amount(text)


@pytest.mark.parametrize("text", ["1", "0.5", "1e3", "1e-8"])
def test_an_amount(text: str) -> None:
    assert is_amount(text)


def test_an_answer_has_no_nan_in_its_data() -> None:
    assert msgspec.json.decode(answer({"equity": math.nan}).data) == {"equity": None}


def test_a_refusal_carries_code_and_hint() -> None:
    response = refusal(Refuse(OPS_REFUSED, "closing"))
    assert (response.ok, response.code) == (False, OPS_REFUSED)
    assert CATALOGUE[OPS_REFUSED].action in response.message


def test_nobody_moves_more_than_there_is() -> None:
    assert is_amount("1e12")
    assert not is_amount("1e300")
    assert LARGEST == LARGEST_AMOUNT, "the command refuses what the daemon would"
