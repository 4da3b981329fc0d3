"""The gate of an account: shut with a reason, open without one."""

from __future__ import annotations

from daemon.orders.gate import EXE_HALTED, Gate, TradingHalted


def test_a_gate_is_open_until_somebody_shuts_it() -> None:
    gate = Gate()
    assert not gate.closed
    gate.close("emergency stop")
    assert (gate.closed, gate.reason) == (True, "emergency stop")
    gate.close("the second reason is the one that holds")
    assert gate.reason == "the second reason is the one that holds"
    gate.open()
    assert not gate.closed


def test_every_account_has_its_own() -> None:
    one, other = Gate(), Gate()
    one.close("x")
    assert not other.closed


def test_what_a_closed_gate_says_tells_what_to_do() -> None:
    error = TradingHalted(EXE_HALTED, "by an operator")
    assert "EXE-006" in str(error) and "basis resume" in error.hint
