"""The loss of the whole daemon against net deposits."""

from __future__ import annotations

import msgspec
import pytest

from daemon.loss_guard import ETH_PRICE, loss_fraction
from daemon.replica import CellState, Replica

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
    assert loss_fraction([USDT]) == pytest.approx(0.1)
    assert loss_fraction([USDT, ETH]) == pytest.approx(12_000.0 / 120_000.0)


def test_a_deposit_is_no_gain_and_a_withdrawal_no_loss() -> None:
    richer = msgspec.structs.replace(USDT, equity=140_000.0, external_flows=50_000.0)
    assert loss_fraction([richer]) == pytest.approx(10_000.0 / 150_000.0)
    poorer = msgspec.structs.replace(USDT, equity=50_000.0, external_flows=-50_000.0)
    assert loss_fraction([poorer]) == pytest.approx(0.0)


def test_what_is_not_known_yet_counts_for_nothing() -> None:
    assert loss_fraction([]) is None
    assert loss_fraction([msgspec.structs.replace(USDT, equity=None)]) is None
