"""An error in one line: of a group the first real one, and what it lists."""

from __future__ import annotations

from components.model.errors import CFG_INVALID, Fault, InvalidInput
from daemon.errors import first, short


def test_of_a_group_the_first_real_error_counts() -> None:
    inner = ValueError("one\ntwo")
    assert first(ExceptionGroup("a", [ExceptionGroup("b", [inner]), KeyError("c")])) is inner
    assert short(inner) == "ValueError: one" and short(KeyError()) == "KeyError"
    fault = Fault(where="metrics.port", found="0x1", expected="a port")
    assert "metrics.port" in short(InvalidInput(CFG_INVALID, [fault]))
