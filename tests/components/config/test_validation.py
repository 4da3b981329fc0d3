"""The door of the configuration: every fault of every file at once."""

from __future__ import annotations

import pytest
from msgspec import structs

from components.config.documents import Bundle, Document
from components.config.validation import build_run
from components.model.errors import Fault, InvalidInput
from components.model.keys import PositionKey
from components.model.requirements import requirements
from tests.builders import MODES, build, bundle, faults, only_fault


@pytest.mark.parametrize("mode", MODES)
def test_packaged_mode_is_valid(mode: str) -> None:
    run = build(mode)
    assert run.mode.mode == mode
    assert run.share_class.currency == run.mode.share_class
    assert set(run.exchanges) == set(run.mode.hedge_allocation) | ({"binance"} if run.mode.spot_venue else set())
    assert requirements(run.mode)
    assert all(PositionKey.parse(key) for key in run.mode.position_subscriptions)


def test_faults_of_all_levels_and_files_come_in_one_go() -> None:
    found = "\n".join(faults("btc_basis", {
        "reserve_ratio": float("nan"),
        "colateral+": "usdt",
        "hedge_allocation": {"binance": 0.6, "bybit": 0.6},
        "lst_type": "weETH",
        "data_requirements.0": "binance.forecast.BTC",
        "risk.margin.warning": 0.1,
        "venues.okx.spot_fees.taker-": None,
        "venues.aave_v3.e_mode.ltv": 0.96,
        "share_classes.usdt_stable.hedged": "maybe",
    }))  # fmt: skip
    for place in (
        "btc_basis.yaml: reserve_ratio", "btc_basis.yaml: colateral", "btc_basis.yaml: hedge_allocation",
        "btc_basis.yaml: lst_type", "btc_basis.yaml: data_requirements.0", "btc_basis.yaml: risk.margin",
        "okx.yaml: spot_fees.taker", "aave_v3.yaml: e_mode.ltv", "usdt_stable.yaml: hedged",
    ):  # fmt: skip
        assert place in found


def test_a_file_that_is_no_map_is_one_fault() -> None:
    document = Document(name="configs/modes/x.yaml", content=["not", "a", "map"])
    with pytest.raises(InvalidInput) as caught:
        build_run(Bundle(mode_name="x", mode=document, share_classes={}, venues={}))
    assert len(caught.value.faults) == 1


def test_what_went_wrong_on_the_way_here_comes_first() -> None:
    known = Fault(where="configs/modes/btc_basis.yaml", found="no such file", expected="a file")
    with pytest.raises(InvalidInput) as caught:
        build_run(structs.replace(bundle("btc_basis"), mode=None, faults=(known,)))
    assert caught.value.faults == (known,)


def test_a_run_without_a_mode_is_refused() -> None:
    with pytest.raises(InvalidInput):
        build_run(structs.replace(bundle("btc_basis"), mode=None))


def test_a_fault_is_told_once() -> None:
    found = faults("btc_basis", {"share_classes.usdt_stable.currency": "DAI", "mode": "eth_basis"})
    assert len(found) == len(set(found))


def test_a_faulty_share_class_is_not_also_a_missing_one() -> None:
    found = only_fault("btc_basis", {"share_classes.usdt_stable.hedged": "maybe"})
    assert "usdt_stable.yaml: hedged" in found


def test_a_venue_without_a_kind_is_a_fault_and_its_mode_is_judged_all_the_same() -> None:
    found = faults("btc_basis", {"venues.lido.kind-": None, "reserve_ratio": 2.0})
    assert any("lido.yaml: kind: found null, expected one of exchange" in line for line in found)
    assert any("reserve_ratio" in line for line in found)
