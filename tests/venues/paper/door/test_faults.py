"""The catalogue of faults, the plan that counts them, and campaigns from a seed."""

from __future__ import annotations

import pytest

from venues.paper.door.faults import KINDS, SECOND_NS, Fault, FaultPlan, campaign

VENUES = ("binance", "bybit", "chain")
DAY_NS = 86_400 * SECOND_NS


def fault(kind: str = "latency", at: int = 100, **parameters: float | str) -> Fault:
    return Fault(kind=kind, venue="binance", at=at, duration_s=1e-6, parameters=parameters)


def test_a_fault_is_active_at_its_venue_in_its_time() -> None:
    plan = FaultPlan([fault()])

    assert plan.active("binance", 100) == plan.active("binance", 1099) == (fault(),)
    assert plan.active("binance", 99) == plan.active("binance", 1100) == plan.active("bybit", 100) == ()


def test_only_what_had_an_effect_is_counted() -> None:
    plan = FaultPlan([fault(), fault("banned")])

    assert plan.find("latency", "binance", 100, "submit") is not None
    assert plan.fired == {}
    plan.hit("latency", "binance", 100, "submit", in_flight=True)
    plan.hit("banned", "binance", 100, "query")
    plan.hit("banned", "binance", 5000, "query")
    assert plan.report().fired == {"banned": 1, "latency": 1} and plan.report().hit_in_flight == 1


def test_a_fault_may_be_limited_to_some_times_and_an_endpoint() -> None:
    plan = FaultPlan([fault(times=2, endpoint="submit")])

    assert plan.hit("latency", "binance", 100, "query") is None
    assert [plan.hit("latency", "binance", 100, "submit") is None for _ in range(3)] == [False, False, True]


def test_an_unknown_kind_is_an_error() -> None:
    with pytest.raises(KeyError, match="gremlins"):
        FaultPlan([fault("gremlins")])


def test_healing_ends_all_and_keeps_the_counts() -> None:
    plan = FaultPlan([fault()])
    plan.hit("latency", "binance", 100, "submit")

    plan.heal()

    assert plan.active("binance", 100) == () and plan.fired == {"latency": 1}


def test_parameters_have_the_defaults_of_their_kind() -> None:
    assert fault().number("factor") == 100.0 and fault(factor=3.0).number("factor") == 3.0
    assert fault("black_hole").word("arrives") == "at_once"


def test_a_campaign_is_made_from_its_seed() -> None:
    one, same, other = (campaign(seed, 0, DAY_NS, VENUES, 100) for seed in (1, 1, 2))

    assert one == same != other
    assert len(one) == 100 and list(one) == sorted(one, key=lambda each: each.at)
    assert all(0 <= each.at < DAY_NS and 5.0 <= each.duration_s <= 120.0 for each in one)


def test_a_campaign_has_every_kind_where_it_fits() -> None:
    found = campaign(1, 0, DAY_NS, VENUES, len(KINDS))

    assert {each.kind for each in found} == set(KINDS)
    assert all((each.venue == "chain") >= (KINDS[each.kind].group == "chain") for each in found)
    assert not any(each.venue == "chain" and KINDS[each.kind].group == "venue" for each in found)
    no_chain = {each.kind for each in campaign(1, 0, DAY_NS, ("okx",), 200)}
    assert no_chain == {name for name, kind in KINDS.items() if kind.group != "chain"}


def test_each_kind_says_what_it_does_and_what_notices_it() -> None:
    assert all(kind.does and kind.noticed_by for kind in KINDS.values())
    assert {kind.group for kind in KINDS.values()} == {"net", "venue", "chain"}
