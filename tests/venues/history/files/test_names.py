from __future__ import annotations

import pytest

from components.model.requirements import DAY_NS, HOUR_NS
from venues.history.files.instruments import EXCHANGES
from venues.history.files.names import read_file_name, stem_of, step_ns
from venues.history.files.stamps import MINUTE_NS


@pytest.mark.parametrize(
    ("name", "folders", "said"),
    [
        ("BTCUSDT-1h-2024-01.zip", (), ("bars", "BTC/USDT", HOUR_NS, "binance")),
        ("BTCUSDT-1m-2024-01-05.csv", (), ("bars", "BTC/USDT", MINUTE_NS, "binance")),
        ("BTCUSDT-fundingRate-2024-01.zip", (), ("funding", "BTC/USDT", None, "binance")),
        ("BTC-USDT-SWAP-candlesticks-2024-01-01.zip", (), (None, "linear perp BTC/USDT", None, "okx")),
        ("BTC-USDT-SWAP-fundingrates-2024-05.zip", (), ("funding", "linear perp BTC/USDT", None, "okx")),
        ("BTCUSDT_60_2024-01-01_2024-01-31.csv.gz", (), ("bars", "BTC/USDT", HOUR_NS, "bybit")),
        ("BTC_USDT_USDT-1h-futures.parquet", ("binance",), ("bars", "linear perp BTC/USDT", HOUR_NS, "binance")),
        ("BTC_USDT_USDT-8h-funding_rate.csv", ("bybit",), ("funding", "linear perp BTC/USDT", None, "bybit")),
        ("okx_ETHUSDT_spot_1d_2024-01-01_2024-12-31.CSV", (), ("bars", "spot ETH/USDT", DAY_NS, "okx")),
        ("binance-BTCUSDT-1h.csv", (), ("bars", "BTC/USDT", HOUR_NS, "binance")),
        ("BTCUSDT_1h_ByBit.csv", (), ("bars", "BTC/USDT", HOUR_NS, "bybit")),
        ("BTCUSDT.csv", ("spot", "okx"), (None, "BTC/USDT", None, "okx")),
        ("BTCUSD_PERP-1h-2024-01.zip", (), ("bars", "inverse perp BTC/USD", HOUR_NS, None)),
    ],
)
def test_names_of_exchanges_and_libraries_are_understood(
    name: str, folders: tuple[str, ...], said: tuple[str | None, str, int | None, str | None]
) -> None:
    stem = stem_of(name)
    assert stem is not None
    read = read_file_name(stem, folders)

    assert read is not None
    assert (read.use, str(read.instrument), read.step, read.venue) == said


@pytest.mark.parametrize("stem", ["notes", "allswap-fundingrates-2024-05-01", "BTCUSDT-premiumIndex-1h", "2024-01-01"])
def test_a_name_that_says_no_instrument_is_nothing(stem: str) -> None:
    assert read_file_name(stem, EXCHANGES) is None


@pytest.mark.parametrize("name", ["a.xlsx", "a.json", "a.feather", "README", "a.csv.bak"])
def test_other_forms_are_not_read(name: str) -> None:
    assert stem_of(name) is None


@pytest.mark.parametrize(
    ("word", "ns"), [("1h", HOUR_NS), ("15m", 15 * MINUTE_NS), ("daily", DAY_NS), ("hourly", HOUR_NS), ("spot", None)]
)
def test_a_length_in_a_name(word: str, ns: int | None) -> None:
    assert step_ns(word) == ns
