"""Venue Interface Manager: a group to the interface of its venues, in one call."""

from __future__ import annotations

import pytest

from components.model.orders import Trade, Verb
from components.ports import Approved
from components.venue_interface_manager import VenueInterfaceManager
from tests.builders import group, order, trade

BUY = order(Verb.SPOT, "binance", "BTC", 1.0)
SHORT = order(Verb.PERP, "binance", "BTC", -1.0)
OTHER = order(Verb.PERP, "okx", "BTC", -1.0)


class Desk:
    """Fills everything and remembers what came together."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def execute(self, approved: Approved) -> tuple[Trade, ...]:
        self.calls.append([each.id for each in approved.group.orders])
        return tuple(trade(each) for each in approved.group.orders)


def test_legs_that_share_an_interface_leave_in_one_call() -> None:
    desk = Desk()
    interfaces = VenueInterfaceManager({"binance": desk, "okx": desk})
    trades = interfaces.execute(Approved(group(BUY, SHORT, OTHER)))
    assert desk.calls == [["binance_spot", "binance_perp", "okx_perp"]]
    assert [one.order_id for one in trades] == ["binance_spot", "binance_perp", "okx_perp"]


def test_a_group_of_several_interfaces_leaves_nothing_behind() -> None:
    binance, okx = Desk(), Desk()
    interfaces = VenueInterfaceManager({"binance": binance, "okx": okx})
    with pytest.raises(ValueError, match="leaves in one call"):
        interfaces.execute(Approved(group(BUY, OTHER)))
    assert (binance.calls, okx.calls) == ([], [])
    interfaces.execute(Approved(group(OTHER)))
    assert okx.calls == [["okx_perp"]]


def test_it_knows_the_venues_it_was_given() -> None:
    interfaces = VenueInterfaceManager({"binance": Desk()})
    assert interfaces.knows("binance")
    assert not interfaces.knows("okx")
    with pytest.raises(KeyError, match="okx"):
        interfaces.execute(Approved(group(OTHER)))
