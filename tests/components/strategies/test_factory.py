"""Which class plays which mode."""

from __future__ import annotations

import pytest

from components.model.errors import CFG_INVALID, InvalidInput
from components.strategies.basis import Basis
from components.strategies.factory import STRATEGIES, make_strategy
from components.strategies.lending import PureLending
from components.strategies.neutral import MarketNeutral
from components.strategies.staking import Staking
from components.strategies.strategy import Strategy
from tests.builders import MODES, mode_of


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("pure_lending", PureLending), ("btc_basis", Basis), ("eth_basis", Basis), ("eth_staking_only", Staking),
        ("eth_leveraged", Staking), ("usdt_market_neutral", MarketNeutral),
        ("usdt_market_neutral_no_leverage", MarketNeutral),
    ],
)  # fmt: skip
def test_a_mode_is_played_by_its_class(name: str, kind: type[Strategy]) -> None:
    assert type(make_strategy(mode_of(name))) is kind


def test_every_packaged_mode_can_be_played() -> None:
    assert set(STRATEGIES) == set(MODES)


def test_a_strategy_is_fresh() -> None:
    assert make_strategy(mode_of()) is not make_strategy(mode_of())


def test_a_mode_that_nobody_plays_is_refused_with_the_nearest() -> None:
    with pytest.raises(InvalidInput, match="did you mean 'btc_basis'") as caught:
        make_strategy(mode_of("btc_basis", mode="btc_bassis"))
    assert caught.value.code == CFG_INVALID
