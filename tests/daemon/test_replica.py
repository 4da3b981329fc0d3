"""What a cell publishes: frozen, whole, and unknown where nobody knows."""

from __future__ import annotations

import msgspec
import pytest

from daemon.replica import LEVELS, CellState, Replica

CASH = {"wallet:BaseToken:USDT": 300.0, "reserve:BaseToken:USDT": 200.0, "okx:BaseToken:USDT": 9e9}


def replica(**fields: object) -> Replica:
    plain = Replica(strategy="a", mode="btc_basis", share_class="USDT", account="a", state=CellState.RUNNING)
    return msgspec.structs.replace(plain, **fields)


def test_what_is_not_known_is_none_and_no_zero() -> None:
    new = replica()
    for name in ("equity", "exit_value", "initial", "tick", "timestamp", "columns_at", "restart_at"):
        assert getattr(new, name) is None, name
    assert new.columns == {}, "a ratio that was never measured is not there"


def test_a_picture_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        replica().equity = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("amount", "equity", "exit_value", "cost"),
    [
        (500.0, 10_000.0, 9_000.0, 0.0),  # wallet and reserve have it, and nothing else counts as at hand
        (501.0, 10_000.0, 9_000.0, 1_000.0 / 8_500.0),  # one more than there is: as much is sold as leaves one
        (20_000.0, 10_000.0, 9_000.0, 1_000.0),  # never more than all of it
        (1_000.0, 10_000.0, 10_500.0, 0.0),  # an exit that is worth more costs nothing
        (1_000.0, 10_000.0, None, None),
        (1_000.0, None, 9_000.0, None),
        (100.0, None, None, 0.0),
    ],
)
def test_freeing_a_payment_costs_what_must_be_sold_for_it(
    amount: float, equity: float | None, exit_value: float | None, cost: float | None
) -> None:
    shown = replica(positions=CASH, equity=equity, exit_value=exit_value)
    found = shown.cost_of_freeing(amount)
    assert found is None if cost is None else found == pytest.approx(cost)


def test_cash_of_another_currency_is_not_at_hand() -> None:
    shown = replica(positions=CASH, share_class="ETH", equity=10_000.0, exit_value=9_000.0)
    assert shown.cost_of_freeing(100.0) == pytest.approx(100.0 / 9.0)


def test_a_picture_goes_over_a_wire_and_back() -> None:
    shown = replica(positions=CASH, pnl={"funding": 1.5}, risk_levels={"delta": "warning"}, equity=1.25)
    assert msgspec.json.decode(msgspec.json.encode(shown), type=Replica) == shown
    assert LEVELS == ("ok", "warning", "critical")
