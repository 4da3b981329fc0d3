"""Position keys: strings that know their three parts, and the tokens that move them."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest

from components.model.keys import (
    PositionKey,
    PositionType,
    a_token,
    base_token,
    debt_token,
    perp,
    perp_quote,
    token_of,
)


def test_a_key_is_its_text_and_knows_its_parts() -> None:
    key = PositionKey.of("binance", PositionType.PERP, "BTCUSDT")
    assert key == "binance:Perp:BTCUSDT"
    assert hash(key) == hash("binance:Perp:BTCUSDT")
    assert (key.venue, key.position_type, key.symbol) == ("binance", PositionType.PERP, "BTCUSDT")


@pytest.mark.parametrize("text", ["binance:Perp", "a:b:c:d", "", ":BaseToken:USDT", "wallet:BaseToken:"])
def test_a_text_without_three_parts_is_no_key(text: str) -> None:
    with pytest.raises(ValueError, match="is not a position key: expected venue:position_type:symbol"):
        PositionKey.parse(text)


def test_an_unknown_type_is_no_key() -> None:
    with pytest.raises(ValueError, match="'Coin' is not a valid PositionType"):
        PositionKey.parse("wallet:Coin:ETH")
    assert PositionKey.parse("wallet:BaseToken:ETH").symbol == "ETH"


@pytest.mark.parametrize(
    ("key", "text", "token"),
    [
        (base_token("okx", "BTC"), "okx:BaseToken:BTC", "BTC"),
        (a_token("weETH"), "aave_v3:aToken:aweETH", "weETH"),
        (a_token("USDT", "spark"), "spark:aToken:aUSDT", "USDT"),
        (debt_token("WETH"), "aave_v3:debtToken:variableDebtWETH", "WETH"),
        (perp("bybit", "ETH"), "bybit:Perp:ETHUSDT", "ETH"),
        (perp_quote("bybit", "ETH"), "bybit:PerpQuote:ETHUSDT", "USDT"),
    ],
)
def test_each_kind_of_position_names_the_token_that_moves_it(key: PositionKey, text: str, token: str) -> None:
    assert key == text
    assert token_of(key) == token


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda key: pickle.loads(pickle.dumps(key))])
def test_a_copy_knows_its_parts_too(copied: Callable[[PositionKey], PositionKey]) -> None:
    known, asked = PositionKey("okx:Perp:BTCUSDT"), PositionKey("okx:Perp:BTCUSDT")
    assert asked.symbol == "BTCUSDT"
    for key in (copied(known), copied(asked)):
        assert key == known
        assert (key.venue, key.position_type, key.symbol) == ("okx", PositionType.PERP, "BTCUSDT")


def test_a_text_that_is_no_key_fails_where_its_parts_are_asked_for() -> None:
    with pytest.raises(ValueError, match="unpack"):
        _ = PositionKey("okx").venue
    with pytest.raises(AttributeError, match="has no colour"):
        _ = PositionKey("okx:Perp:BTCUSDT").colour


def test_keys_sort_as_their_text() -> None:
    keys = [perp("okx", "BTC"), base_token("binance", "USDT"), perp("binance", "BTC")]
    assert sorted(keys) == ["binance:BaseToken:USDT", "binance:Perp:BTCUSDT", "okx:Perp:BTCUSDT"]
