from __future__ import annotations

import re

import pytest

from venues.history.files.places import RULES, Rule


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.folder} {rule.schema.name}")
def test_the_example_of_a_rule_is_a_name_it_takes(rule: Rule) -> None:
    symbol = "weETH" if rule.schema.name in ("oracle", "lst_market") else "EIGEN"
    name = rule.example.format(venue="bybit", symbol=symbol)

    assert re.match(rule.pattern, name)
