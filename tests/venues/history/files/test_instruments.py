from __future__ import annotations

import pytest

from venues.history.files.instruments import Instrument, expected_instrument, kind_of, read_instrument, venue_of

BTC_PERP = expected_instrument("perp", "BTC", None)
BTC_SPOT = expected_instrument("spot", "BTC", None)

THIS_PERP = [
    "BTC/USDT:USDT", "BTCUSDT.P", "BTC-USDT-SWAP", "BTC_USDT_USDT", "BTCUSDTPERP", "BTCUSDT_PERP", "BTCUSDT:USDT",
    "BINANCE:BTCUSDT.P", "BYBIT:BTCUSDT.P", "BINANCE:BTCUSDTPERP", "BTCUSDT-PERP.BINANCE", "btc-usdt-swap",
    "BTC-USDT-PERPETUAL",
]  # fmt: skip
THIS_SPOT = ["BTC-USDT-SPOT", "BTCUSDT_SPOT"]
EITHER = ["BTCUSDT", "btcusdt", "BTC/USDT", "BTC-USDT", "BTC_USDT", "BTC", "XBT/USDT", "BINANCE:BTCUSDT"]
NEITHER = [
    "ETHUSDT", "ETH/USDT:USDT", "ETH-USDT-SWAP", "BTC/USD:BTC", "BTC-USD-SWAP", "BTCUSD_PERP", "BTCUSD", "XBTUSD",
    "BTC-USD", "BTCUSDC", "BTC/USDC:USDC", "BTCPERP", "BTC-PERP", "BTC-PERPETUAL", "BTC/USDT:USDT-241227",
    "BTCUSDT_241227", "BTC-USD-241227", "BTC-27DEC24", "BTC-27DEC24-50000-C", "BTC/EUR", "ETHBTC", "WBTCUSDT",
    "1000BTTUSDT", "BTC/USDT:BTC",
]  # fmt: skip


@pytest.mark.parametrize("text", [*THIS_PERP, *EITHER])
def test_every_spelling_of_the_linear_perp_is_taken_for_it(text: str) -> None:
    said = read_instrument(text)

    assert said is not None
    assert not said.contradicts(BTC_PERP)


@pytest.mark.parametrize("text", [*THIS_SPOT, *EITHER])
def test_every_spelling_of_spot_is_taken_for_it(text: str) -> None:
    said = read_instrument(text)

    assert said is not None
    assert not said.contradicts(BTC_SPOT)


@pytest.mark.parametrize("text", [*NEITHER, *THIS_SPOT])
def test_anything_else_contradicts_the_linear_perp(text: str) -> None:
    said = read_instrument(text)

    assert said is not None
    assert said.contradicts(BTC_PERP)


@pytest.mark.parametrize("text", [*NEITHER, *THIS_PERP])
def test_anything_else_contradicts_spot(text: str) -> None:
    said = read_instrument(text)

    assert said is not None
    assert said.contradicts(BTC_SPOT)


@pytest.mark.parametrize("text", ["", "-", "5", "1.5", "2024-06-01", "/", "BTC/", "a very long text of something"])
def test_what_names_no_instrument_says_nothing(text: str) -> None:
    assert read_instrument(text) is None


def test_an_instrument_is_said_in_words() -> None:
    assert str(read_instrument("BTC-USD-SWAP")) == "inverse perp BTC/USD"
    assert str(read_instrument("BINANCE:BTCUSDT.P")) == "binance linear perp BTC/USDT"
    assert str(Instrument("BTC")) == "BTC"


def test_the_exchange_in_a_name_must_be_the_one_of_the_file() -> None:
    said = read_instrument("BYBIT:BTCUSDT.P")

    assert said is not None
    assert said.contradicts(expected_instrument("perp", "BTC", venue_of("binance")))


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("SWAP", ("perp", None)),
        ("COIN-M", ("perp", "inverse")),
        ("LinearPerpetual", ("perp", "linear")),
        ("spot", ("spot", None)),
        ("CURRENT_QUARTER", ("future", None)),
        ("futures", None),
        ("x", None),
    ],
)
def test_words_for_the_kind_of_a_market(word: str, kind: object) -> None:
    assert kind_of(word) == kind


@pytest.mark.parametrize(("word", "venue"), [("binance_futures", "binance"), ("OKEx", "okx"), ("geckoterminal", None)])
def test_words_for_an_exchange(word: str, venue: str | None) -> None:
    assert venue_of(word) == venue
