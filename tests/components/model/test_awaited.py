"""What is awaited says what it is and whether time alone ends it."""

from __future__ import annotations

import pytest

from components.model.awaited import Awaited, AwaitedKind

TRAVELS = {AwaitedKind.TRANSFER, AwaitedKind.QUEUE}


@pytest.mark.parametrize("kind", AwaitedKind)
def test_only_what_travels_arrives_and_only_while_it_is_not_overdue(kind: AwaitedKind) -> None:
    assert Awaited(kind=kind, what="x").arrives is (kind in TRAVELS)
    assert not Awaited(kind=kind, what="x", overdue=True).arrives, "it counts as uncertain"


@pytest.mark.parametrize(
    ("awaited", "said"),
    [
        (Awaited(kind=AwaitedKind.SILENT, what="okx"), "silent okx"),
        (Awaited(kind=AwaitedKind.POSITION, what="okx:Perp:BTCUSDT", amount=-0.5), "position okx:Perp:BTCUSDT -0.5"),
        (
            Awaited(kind=AwaitedKind.TRANSFER, what="transit:BaseToken:ETH", amount=2.0, overdue=True, detail="a to b"),
            "transfer overdue transit:BaseToken:ETH 2 (a to b)",
        ),
    ],
)
def test_it_is_told_in_one_line(awaited: Awaited, said: str) -> None:
    assert str(awaited) == said


def test_what_has_no_price_has_no_value() -> None:
    assert Awaited(kind=AwaitedKind.POSITION, what="x", amount=3.0).value_usdt is None
