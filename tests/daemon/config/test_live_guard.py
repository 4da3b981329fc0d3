"""Live trading starts only when it was asked for in so many words, and sends nothing without bounds."""

from __future__ import annotations

import pytest

from daemon.config.live_guard import PAPER, PREFIX, LiveGuard, read_guard


def read(**variables: str) -> tuple[LiveGuard, list[str]]:
    guard, faults = read_guard({PREFIX + name: text for name, text in variables.items()})
    return guard, [str(fault) for fault in faults]


BOUNDS = {"MAX_TRADE_SIZE_USD": "5000", "EMERGENCY_STOP_LOSS_PCT": "15", "HEARTBEAT_TIMEOUT_SECONDS": "120"}


def test_enabled_alone_reads_and_sends_nothing() -> None:
    guard, faults = read(ENABLED="true")
    assert faults == []
    assert (guard.enabled, guard.read_only, guard.circuit_breaker_enabled) == (True, True, True)
    assert guard.max_trade_size_usd is None


def test_all_of_it() -> None:
    guard, faults = read(ENABLED="True", READ_ONLY="false", CIRCUIT_BREAKER_ENABLED="false", **BOUNDS)
    assert faults == []
    assert guard == LiveGuard(
        enabled=True,
        read_only=False,
        max_trade_size_usd=5000.0,
        emergency_stop_loss_pct=15.0,
        heartbeat_timeout_seconds=120.0,
        circuit_breaker_enabled=False,
    )
    assert guard.stop_loss_fraction == 0.15


@pytest.mark.parametrize("text", [None, "false", ""])
def test_not_enabled_is_a_fault(text: str | None) -> None:
    _, faults = read(**({} if text is None else {"ENABLED": text}))
    assert len(faults) == 1
    assert faults[0].startswith("BASIS_LIVE_TRADING__ENABLED")


def test_sending_needs_every_bound() -> None:
    _, faults = read(ENABLED="true", READ_ONLY="false", MAX_TRADE_SIZE_USD="5000")
    assert [line.partition(":")[0].removeprefix(PREFIX) for line in faults] == [
        "EMERGENCY_STOP_LOSS_PCT",
        "HEARTBEAT_TIMEOUT_SECONDS",
    ]


@pytest.mark.parametrize("text", ["yes", "1", "no", "tru", "ture"])
def test_a_flag_that_is_not_clear_stays_on_the_safe_side(text: str) -> None:
    guard, faults = read(ENABLED="true", READ_ONLY=text)
    assert guard.read_only
    assert len(faults) == 1
    assert text in faults[0]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("MAX_TRADE_SIZE_USD", "0"),
        ("MAX_TRADE_SIZE_USD", "-1"),
        ("MAX_TRADE_SIZE_USD", "nan"),
        ("MAX_TRADE_SIZE_USD", "inf"),
        ("MAX_TRADE_SIZE_USD", "lots"),
        ("EMERGENCY_STOP_LOSS_PCT", "0.15"),  # 15 % or 0.15 %: nobody knows
        ("EMERGENCY_STOP_LOSS_PCT", "101"),
        ("EMERGENCY_STOP_LOSS_PCT", "nan"),
        ("HEARTBEAT_TIMEOUT_SECONDS", "0"),
    ],
)
def test_a_bound_that_makes_no_sense_is_refused(name: str, text: str) -> None:
    _, faults = read(ENABLED="true", READ_ONLY="false", **{**BOUNDS, name: text})
    assert len(faults) == 1
    assert name in faults[0]
    assert repr(text) in faults[0]


def test_all_faults_at_once_and_a_misspelt_name_has_its_neighbour() -> None:
    _, faults = read(ENABLE="true", MAX_TRADE_SIZE_USD="x", EMERGENCY_STOP_LOSS_PCT="0")
    told = "\n".join(faults)
    assert len(faults) == 4
    assert "did you mean 'BASIS_LIVE_TRADING__ENABLED'?" in told


def test_paper_is_bound_by_nothing() -> None:
    assert (PAPER.read_only, PAPER.max_trade_size_usd, PAPER.stop_loss_fraction) == (False, None, None)
