"""Level 4: names of data and of positions."""

from __future__ import annotations

import pytest

from components.config.availability import expanded, subscription_problems
from components.config.schema import ModeFile
from tests.builders import TREE, build, faults, only_fault


def mode(name: str, **changes: object) -> ModeFile:
    return ModeFile.model_validate(TREE["modes"][name] | changes)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("binance.spot.BTC@+1h", "no look-ahead (DAT-004 A value from the future was asked for)"),
        ("okx.forecast.BTC", "no look-ahead (DAT-004"),
        ("okx.next_funding.BTC", "no look-ahead (DAT-004"),
        ("binance.spot.BTC@-1h", "expected venue.kind.symbol"),
        ("binance.spot", "expected venue.kind.symbol"),
        ("binance.spto.BTC", "did you mean 'spot'?"),
        ("bnance.spot.BTC", "a venue that publishes spot: binance, bybit, okx, uniswap (did you mean 'binance'?)"),
        ("binance.gas_price.gwei", "a venue that publishes gas_price: ethereum"),
        ("{hegde}.spot.BTC", "did you mean 'hedge'?"),
    ],
)
def test_data_requirement_is_well_formed_and_knows_no_future(name: str, expected: str) -> None:
    found = only_fault("btc_basis", {"data_requirements.1": name})
    assert "data_requirements.1" in found
    assert expected in found


def test_data_as_published_is_allowed() -> None:
    assert build("pure_lending", {"interpolated": "as_published"}).mode.interpolated == "as_published"


def test_a_template_stands_for_one_name_per_exchange_of_the_hedge() -> None:
    basis = mode("btc_basis", hedge_allocation={"okx": 0.5, "binance": 0.5})
    assert expanded("{hedge}.perp.{asset}", basis) == ["binance.perp.BTC", "okx.perp.BTC"]
    assert expanded("{lst_protocol}.ratio.{lst}", mode("eth_leveraged")) == ["lido.ratio.wstETH"]
    assert expanded("binance.spot.ETH", basis) == ["binance.spot.ETH"]


def test_a_template_of_a_staked_token_is_left_alone_where_nothing_is_staked() -> None:
    """The missing token is a fault of its own; its empty names are not told again."""
    found = faults("btc_basis", {"data_requirements.1": "{lst_protocol}.ratio.{lst}"})
    assert not any("data_requirements" in line for line in found)
    assert any("lst_type: found null" in line for line in found)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("wallet:BaseToken", "venue:type:symbol with a type of BaseToken, aToken, debtToken, Perp, PerpQuote"),
        ("walet:BaseToken:USDT", "a venue of configs/venues, or wallet"),
        ("{assset}:BaseToken:USDT", "did you mean 'asset'?"),
        ("{lst}:BaseToken:USDT", ""),
    ],
)
def test_a_subscription_is_a_position_key_of_a_known_venue(name: str, expected: str) -> None:
    if not expected:  # needs a staked token that the mode does not have: told elsewhere
        build("btc_basis", {"position_subscriptions.0": name})
    else:
        assert expected in only_fault("btc_basis", {"position_subscriptions.0": name})


def test_places_of_our_own_need_no_venue_file() -> None:
    watched = mode("btc_basis", position_subscriptions=[
        f"{place}:BaseToken:USDT" for place in ("wallet", "reserve", "gas", "transit", "king")
    ])  # fmt: skip
    assert list(subscription_problems(watched, {})) == []
