"""Where coins are bought is where their price comes from."""

from __future__ import annotations

import pytest

from components.model.errors import InvalidInput
from components.model.events import Event, EventType
from tests.acceptance.runs import embedded, needs_data, play, real, slice_of

TWO = "hedge_allocation={binance: 0.6, bybit: 0.4}"


@needs_data
def test_a_spot_venue_without_prices_is_refused_before_the_run_begins() -> None:
    run = slice_of("usdt_market_neutral", TWO, "spot_venue=okx")

    with pytest.raises(InvalidInput, match=r"okx\.spot\.ETH"):
        real(run, "2024-06-01", "2024-06-03")


@needs_data
@pytest.mark.parametrize("venue", ["bybit", "uniswap"])
def test_coins_are_bought_at_the_price_of_their_venue(venue: str) -> None:
    run = slice_of("usdt_market_neutral", TWO, f"spot_venue={venue}", "initial_location=wallet")
    market = real(run, "2024-06-01", "2024-06-04")

    result = play(run, market)

    bought = [
        event
        for event in result.events
        if isinstance(event, Event) and event.event_type is EventType.TRADE and f"{venue}_spot" in event.detail
    ]
    row = int(market.timestamps.searchsorted(bought[0].timestamp))
    price = float(bought[0].detail.split(" at ")[1])
    paid = 1.0 / price if venue == "uniswap" else price
    assert paid == pytest.approx(market.column(f"{venue}.spot.ETH")[row], rel=2e-3)  # but for fee and impact


@pytest.mark.parametrize("venue", ["okx", "uniswap"])
def test_the_embedded_market_has_every_spot_venue(venue: str) -> None:
    run = slice_of("usdt_market_neutral", f"spot_venue={venue}")

    assert play(run, embedded(run, "2024-03-01", "2024-03-03")).trades > 0
