"""The loss of the whole daemon against net deposits."""

from __future__ import annotations

import msgspec
import pytest

from daemon.replica import CellState, Replica
from daemon.safety.loss import ETH_PRICE, LossGuard

USDT = Replica(
    strategy="a", mode="m", share_class="USDT", account="a", state=CellState.RUNNING, equity=90_000.0, initial=100_000.0
)
ETH = Replica(
    strategy="b",
    mode="m",
    share_class="ETH",
    account="b",
    state=CellState.RUNNING,
    equity=9.0,
    initial=10.0,
    prices={ETH_PRICE: 2_000.0},
)


def test_losses_add_up_over_share_classes() -> None:
    assert LossGuard().fraction([USDT]) == pytest.approx(0.1)
    assert LossGuard().fraction([USDT, ETH]) == pytest.approx(12_000.0 / 120_000.0)


def test_a_deposit_is_no_gain_and_a_withdrawal_no_loss() -> None:
    richer = msgspec.structs.replace(USDT, equity=140_000.0, external_flows=50_000.0)
    assert LossGuard().fraction([richer]) == pytest.approx(10_000.0 / 150_000.0)
    poorer = msgspec.structs.replace(USDT, equity=50_000.0, external_flows=-50_000.0)
    assert LossGuard().fraction([poorer]) == pytest.approx(0.0)


def test_what_is_not_known_yet_counts_for_nothing() -> None:
    assert LossGuard().fraction([]) is None
    assert LossGuard().fraction([msgspec.structs.replace(USDT, equity=None)]) is None


def test_a_loss_does_not_vanish_with_the_strategy_that_made_it() -> None:
    guard = LossGuard()
    poor = msgspec.structs.replace(USDT, strategy="poor", equity=40_000.0)
    assert guard.fraction([USDT, poor]) == pytest.approx(70_000.0 / 200_000.0)
    silent = msgspec.structs.replace(poor, equity=None)
    gone = msgspec.structs.replace(silent, initial=None, external_flows=0.0)
    assert guard.fraction([USDT, silent]) == guard.fraction([USDT, gone]) == pytest.approx(70_000.0 / 200_000.0)
    assert guard.unknown == ()


def test_a_price_that_is_missing_now_is_not_zero() -> None:
    guard = LossGuard()
    assert guard.fraction([USDT, ETH]) == guard.fraction([USDT, msgspec.structs.replace(ETH, prices={})])


def test_who_was_never_known_is_named() -> None:
    guard = LossGuard()
    unpriced = msgspec.structs.replace(ETH, prices={})
    assert guard.fraction([USDT, unpriced]) == pytest.approx(0.1)
    assert guard.unknown == ("b",)
