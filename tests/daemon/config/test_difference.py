"""What a reload takes over, and that one forbidden change keeps all the others out."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.model.errors import InvalidInput
from daemon.config.daemon_file import DaemonSlice
from daemon.config.difference import Reload, reload
from tests.daemon.config.test_daemon_file import CONTENT, load, written


@pytest.fixture
def old(tmp_path: Path) -> DaemonSlice:
    return load(written(tmp_path))


def reloaded(old: DaemonSlice, folder: Path, **changes: object) -> Reload:
    return reload(old, load(written(folder, **changes)))


def test_the_same_file_changes_nothing(old: DaemonSlice, tmp_path: Path) -> None:
    assert reloaded(old, tmp_path) == Reload(changes={}, faults=())


def test_limits_thresholds_intervals_and_log_are_taken_over(old: DaemonSlice, tmp_path: Path) -> None:
    overrides = {
        "risk.delta.warning": 0.02, "max_delta_drift": 0.03, "time_throttle_interval": 120, "on_stop": "close",
        "venues.okx.max_trade_usdt": 5000, "margin_ratio_band.low": 0.6,
    }  # fmt: skip
    change = reloaded(
        old,
        tmp_path,
        limits__poll_interval_s=3,
        log__level="debug",
        strategies__1__overrides=overrides,
        strategies__1__restart__max_restarts=1,
        strategies__0__on_failure="hold",
    ).checked()
    assert dict(change.changes) == {
        "limits.poll_interval_s": ("10.0", "3.0"),
        "log.level": ('"info"', '"debug"'),
        "strategies.btc-basis.margin_ratio_band.low": ("0.5", "0.6"),
        "strategies.btc-basis.max_delta_drift": ("0.02", "0.03"),
        "strategies.btc-basis.on_stop": ('"hold"', '"close"'),
        "strategies.btc-basis.restart.max_restarts": ("5", "1"),
        "strategies.btc-basis.risk.delta.warning": ("0.03", "0.02"),
        "strategies.btc-basis.time_throttle_interval": ("60.0", "120.0"),
        "strategies.btc-basis.venues.okx.max_trade_usdt": ("10000000.0", "5000.0"),
        "strategies.lending.on_failure": ('"default"', '"hold"'),
    }
    assert sorted(change.of("lending")) == [
        "limits.poll_interval_s", "log.level", "strategies.lending.on_failure",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"strategies__0__capital": 5}, "strategies.lending.capital"),
        ({"strategies__0__account": "b"}, "strategies.lending.account"),
        ({"strategies__1__mode": "eth_basis"}, "strategies.btc-basis.mode"),
        ({"strategies__1__overrides": {"reserve_ratio": 0.1}}, "strategies.btc-basis.reserve_ratio"),
        (
            {"strategies__1__overrides": {"hedge_allocation": {"binance": 1.0}}},
            "strategies.btc-basis.hedge_allocation.binance",
        ),
        ({"state": "/elsewhere"}, "state"),
        ({"speed": 2}, "speed"),
        ({"market__seed": 8}, "market.seed"),
        ({"metrics__port": 1}, "metrics.port"),
        ({"environment": "staging"}, "environment"),
    ],
)
def test_what_makes_it_another_daemon_is_refused(
    old: DaemonSlice, tmp_path: Path, changes: dict[str, object], where: str
) -> None:
    change = reloaded(old, tmp_path, **changes)
    assert where in [fault.where for fault in change.faults]
    assert change.changes == {}


def test_one_fault_keeps_everything_out_and_all_are_told(old: DaemonSlice, tmp_path: Path) -> None:
    change = reloaded(old, tmp_path, limits__poll_interval_s=3, speed=2, strategies__0__capital=5)
    assert change.changes == {}
    with pytest.raises(InvalidInput) as caught:
        change.checked()
    assert {fault.where for fault in caught.value.faults} == {"speed", "strategies.lending.capital"}


def test_strategies_stay_those_of_the_start(old: DaemonSlice, tmp_path: Path) -> None:
    (gone,) = reloaded(old, tmp_path, strategies=CONTENT["strategies"][:1]).faults
    assert (gone.where, gone.found) == ("strategies.btc-basis", "removed")
    (new,) = reloaded(old, tmp_path, strategies=CONTENT["strategies"][:3]).faults
    assert (new.where, new.found) == ("strategies.eth-leveraged", "a new strategy")


def test_a_renamed_strategy_is_one_gone_and_one_new(old: DaemonSlice, tmp_path: Path) -> None:
    found = {fault.where for fault in reloaded(old, tmp_path, strategies__0__id="loans").faults}
    assert found == {"strategies.lending", "strategies.loans"}
