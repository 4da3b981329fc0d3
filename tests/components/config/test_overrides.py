"""Overrides: variables and requests on top of the files."""

from __future__ import annotations

import json

import pytest

from components.config.overrides import Override, from_requests, from_variables, overridden, run_variables
from components.model.errors import CFG_REQUEST, InvalidInput

TREE = {"risk": {"delta": {"warning": 0.03}}, "lst_type": None, "venues": {"okx": {"max_trade_usdt": 1}}}


def parse(text: str) -> object:
    return json.loads(text)


def test_only_variables_of_a_run_are_taken_sorted() -> None:
    environ = {
        "BASIS_RISK__DELTA": "1", "BASIS_ASSET": "2", "PATH": "3", "BASIS_STATE_DIR": "4", "BASIS_DAEMON__X": "5",
        "BASIS_PROD__KEY": "secret", "BASIS_LIVE_TRADING__READ_ONLY": "6",
    }  # fmt: skip
    assert list(run_variables(environ).items()) == [("BASIS_ASSET", "2"), ("BASIS_RISK__DELTA", "1")]


def test_a_variable_is_a_path_in_small_letters() -> None:
    (override,) = from_variables({"BASIS_RISK__DELTA__WARNING": "0.02"}, parse)
    assert override == Override(
        path=("risk", "delta", "warning"), value=0.02, source="BASIS_RISK__DELTA__WARNING", any_case=True
    )


def test_a_variable_matches_in_any_case_and_a_request_does_not() -> None:
    tree = {"weETH": {"ltv": 0.7}}
    changed, by, faults = overridden(tree, from_variables({"BASIS_WEETH__LTV": "0.6"}, parse))
    assert (changed, by, faults) == ({"weETH": {"ltv": 0.6}}, {"weETH.ltv": "BASIS_WEETH__LTV"}, [])
    _, _, faults = overridden(tree, from_requests(["weeth.ltv=0.6"], parse))
    assert [fault.nearest for fault in faults] == ["weETH.ltv"]


def test_every_malformed_request_is_named() -> None:
    with pytest.raises(InvalidInput) as caught:
        from_requests(["risk", "=1", "a b=1", "x=", "risk.delta={"], parse)
    assert caught.value.code == CFG_REQUEST
    assert [fault.where for fault in caught.value.faults] == [
        "--set risk", "--set =1", "--set a b=1", "--set x=", "--set risk.delta",
    ]  # fmt: skip


def test_a_variable_that_does_not_parse_is_a_fault() -> None:
    with pytest.raises(InvalidInput, match="BASIS_ASSET: found '{', expected a value in YAML"):
        from_variables({"BASIS_ASSET": "{"}, parse)


def test_an_override_replaces_a_leaf_or_a_subtree_and_leaves_the_tree_alone() -> None:
    changed, by, faults = overridden(TREE, from_requests(["risk.delta.warning=0.01", 'lst_type="weETH"'], parse))
    assert changed["risk"] == {"delta": {"warning": 0.01}}
    assert changed["lst_type"] == "weETH"
    assert by == {"risk.delta.warning": "--set risk.delta.warning", "lst_type": "--set lst_type"}
    assert faults == []
    assert TREE["risk"]["delta"]["warning"] == 0.03  # type: ignore[index]
    whole, _, _ = overridden(TREE, from_requests(['risk={"delta": 1}'], parse))
    assert whole["risk"] == {"delta": 1}


@pytest.mark.parametrize("path", ["risk.gamma", "lst_type.name", "venues.okx.max_trade_usdt.x"])
def test_an_override_never_adds_a_key(path: str) -> None:
    changed, by, (fault,) = overridden(TREE, from_requests([f"{path}=1"], parse))
    assert changed == TREE
    assert by == {}
    assert (fault.where, fault.found) == (f"--set {path}", "no such key")


def test_an_unknown_key_names_the_nearest_in_the_words_it_was_asked_in() -> None:
    _, _, (fault,) = overridden(TREE, from_requests(["risk.delta.warnin=1"], parse))
    assert fault.nearest == "risk.delta.warning"
    _, _, (fault,) = overridden(TREE, from_variables({"BASIS_RISK__DELTA__WARNIN": "1"}, parse))
    assert fault.nearest == "BASIS_RISK__DELTA__WARNING"
    _, _, (fault,) = overridden(TREE, from_variables({"BASIS_STATEDIR": "1"}, parse))
    assert fault.nearest == "BASIS_STATE_DIR"
