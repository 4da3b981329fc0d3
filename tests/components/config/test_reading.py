"""A document becomes a model, or a draft and its faults in our words."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import Field

from components.config.documents import Document
from components.config.reading import described, is_known, read, section_of
from components.config.schema import ExchangeFile, LimitKeys, ModeFile, RiskKeys, TierKeys
from tests.builders import TREE, faults, only_fault


def test_unknown_key_names_the_nearest() -> None:
    found = faults("btc_basis", {"max_delta_drfit+": 0.02})
    assert found == ["configs/modes/btc_basis.yaml: max_delta_drfit: found an unknown key, expected only keys of the "
                     "reference (did you mean 'max_delta_drift'?)"]  # fmt: skip


def test_absent_key_is_named_with_what_stands_in_its_place() -> None:
    found = faults("btc_basis", {"risk.delta-": None, "risk.dleta+": {"warning": 0.1, "critical": 0.2}})
    assert any("risk.delta: found only 'dleta', expected a map of keys; no key has a default" in line for line in found)
    assert "reserve_ratio: found no such key, expected a number ≥ 0 and < 1" in only_fault(
        "pure_lending", {"reserve_ratio-": None}
    )


def draft(**changes: object) -> ModeFile:
    content = TREE["modes"]["btc_basis"] | changes
    model, found = read(ModeFile, Document(name="x.yaml", content=content))
    assert found
    return model


def test_a_draft_has_the_keys_that_were_good() -> None:
    mode = draft(reserve_ratio=2.0)
    assert not is_known(mode, "reserve_ratio")
    assert is_known(mode, "asset")
    assert mode.asset == "BTC"


def test_a_section_with_one_bad_key_keeps_the_others() -> None:
    risk = TREE["modes"]["btc_basis"]["risk"]
    mode = draft(risk=risk | {"delta": {"warning": "much", "critical": 0.06}})
    assert is_known(mode, "risk.margin.warning")
    assert not is_known(mode, "risk.delta")
    assert not is_known(mode, "risk.delta.warning")
    assert is_known(mode, "risk.delta.critical")
    assert not is_known(mode, "risk")


def test_a_document_that_is_no_map_is_an_empty_draft() -> None:
    model, found = read(ModeFile, Document(name="x.yaml", content="hello"))
    assert [fault.where for fault in found] == ["x.yaml"]
    assert not is_known(model, "asset")


def test_a_path_below_a_plain_value_is_not_known() -> None:
    assert not is_known(LimitKeys(warning=0.1, critical=0.2), "warning.low")


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (float, "a number"),
        (Annotated[float, Field(gt=0, le=1)], "a number > 0 and ≤ 1"),
        (Annotated[float, Field(ge=0)] | None, "a number ≥ 0 or null"),
        (Literal["a", "b"], "one of a, b"),
        (Literal["exchange"], "exchange"),
        (list[str], "a list of text"),
        (dict[str, Annotated[float, Field(gt=0)]], "a map of name: number > 0"),
        (int, "a whole number"),
        (LimitKeys, "a map of keys"),
    ],
)
def test_a_type_is_described_in_words(annotation: object, words: str) -> None:
    assert described(annotation) == words


def test_a_section_is_found_inside_lists_and_maps() -> None:
    assert section_of(RiskKeys) is RiskKeys
    assert section_of(list[TierKeys]) is TierKeys
    assert section_of(dict[str, LimitKeys]) is LimitKeys
    assert section_of(dict[str, float]) is None


def test_faults_inside_maps_and_lists_say_where() -> None:
    content = TREE["venues"]["binance"]
    tiers = [{"notional_usdt": 1.0, "maintenance_rate": 0.01}]
    perp = content["instruments"]["perp"]["BTC"] | {"tiers": tiers}
    instruments = {"spot": content["instruments"]["spot"], "perp": {"BTC": perp}}
    _, found = read(ExchangeFile, Document(name="binance.yaml", content=content | {"instruments": instruments}))
    assert [str(fault) for fault in found] == [
        "binance.yaml: instruments.perp.BTC.tiers.0.deduction_usdt: found no such key, "
        "expected a number ≥ 0 (finite); no key has a default"
    ]
