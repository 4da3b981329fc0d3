"""Files as exchanges, archives, spreadsheets and libraries write them, and what is said of those that are not read."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from components.model.errors import InvalidInput
from components.model.market import Market
from tests.venues.history.modes import mode_of
from tests.venues.history.trees import HOUR_NS, Tree, at, grid
from venues.history import UnusableData, coverage, load

SPOT = "market_data/spot_prices"
PERPS = "market_data/derivatives/futures_ohlcv"
FUNDING = "market_data/derivatives/funding_rates"
RUN = grid("2024-06-01T09", "2024-06-02T00")
FIRST_MS = at("2024-06-01T00") // 1_000_000
HOUR_MS = HOUR_NS // 1_000_000
KLINE = ("open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,"
         "ignore")  # fmt: skip


def close(hour: int) -> float:
    return 100.0 + hour % 7 + hour / 64


def kline(hour: int) -> str:
    ms, last, now = FIRST_MS + hour * HOUR_MS, close(max(hour - 1, 0)), close(hour)
    return f"{ms},{last},{max(last, now)},{min(last, now)},{now},5,{ms + HOUR_MS - 1},500,7,1,100,0"


def candle(hour: int, stamp: str) -> str:
    last, now = close(max(hour - 1, 0)), close(hour)
    return f"{stamp},{last},{max(last, now)},{min(last, now)},{now},5"


def naive(hour: int, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp((FIRST_MS + hour * HOUR_MS) / 1000, UTC).strftime(form)


def lines(*parts: str) -> bytes:
    return ("\n".join(parts) + "\n").encode()


def zipped(name: str, content: bytes, **more: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, content)
        for other, text in more.items():
            archive.writestr(other, text)
    return buffer.getvalue()


def put(tree: Tree, name: str, content: bytes) -> Path:
    path = tree.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def spot(tree: Tree, zone: str | None = None, venue: str = "binance") -> Market:
    return load(tree.folder, mode_of(f"{venue}.spot.BTC"), RUN, zone=zone)


KLINES = lines(KLINE, *map(kline, range(24)))
HEADLESS = lines(*map(kline, range(24)))
EXPECTED = [close(hour) for hour in range(8, 24)]
AS_PUBLISHED = {
    "Binance, zip": ("btc_usd/BTCUSDT-1h-2024-06.zip", zipped("BTCUSDT-1h-2024-06.csv", KLINES)),
    "Binance, zip without a header": ("btc_usd/BTCUSDT-1h-2024-06.zip", zipped("BTCUSDT-1h-2024-06.csv", HEADLESS)),
    "Binance, the csv": ("btc_usd/BTCUSDT-1h-2024-06-01.csv", KLINES),
    "Binance, without a header": ("btc_usd/BTCUSDT-1h-2024-06-01.csv", HEADLESS),
    "Binance, in a folder of its own": ("binance/BTCUSDT-1h-2024-06.csv", KLINES),
    "Binance, microseconds": ("btc_usd/BTCUSDT-1h-2025-01.csv",
                              lines(KLINE, *(",".join(cell + "000" if i in (0, 6) else cell
                                                      for i, cell in enumerate(kline(h).split(",")))
                                             for h in range(24)))),
    "capital suffix": ("btc_usd/binance_BTCUSDT_spot_1h.CSV", KLINES),
    "csv in a zip of that name": ("btc_usd/binance_BTCUSDT_spot_1h.csv.zip", zipped("whatever.txt", KLINES)),
    "zip with its checksum": ("btc_usd/BTCUSDT-1h-2024-06.zip",
                              zipped("BTCUSDT-1h-2024-06.csv", KLINES, **{"x.zip.CHECKSUM": b"abc"})),
    "gzip named gz": ("btc_usd/BTCUSDT-1h-2024-06.csv.gz", gzip.compress(KLINES, mtime=0)),
    "headings with blanks and capitals": ("btc_usd/binance_BTCUSDT_spot_1h.csv",
                                          KLINES.replace(b"open_time", b"Open time").replace(b"close,", b"Close,")),
    "semicolons": ("btc_usd/binance_BTCUSDT_spot_1h.csv", KLINES.replace(b",", b";")),
    "a spreadsheet's sep line": ("btc_usd/binance_BTCUSDT_spot_1h.csv", b"sep=,\r\n" + KLINES),
    "a spreadsheet's sep line with semicolons": ("btc_usd/binance_BTCUSDT_spot_1h.csv",
                                                 b"sep=;\n" + KLINES.replace(b",", b";")),
    "tabs": ("btc_usd/binance_BTCUSDT_spot_1h.csv", KLINES.replace(b",", b"\t")),
    "an address above the header": ("btc_usd/Binance_BTCUSDT_1h.csv", b"https://www.example.invalid\n" + KLINES),
}  # fmt: skip


@pytest.mark.parametrize("form", AS_PUBLISHED)
def test_bars_are_read_as_they_are_published(tree: Tree, form: str) -> None:
    name, content = AS_PUBLISHED[form]
    put(tree, f"{SPOT}/{name}", content)

    assert spot(tree).column("binance.spot.BTC").tolist() == EXPECTED


NAIVE = {
    "freqtrade": ("binance/BTC_USDT-1h.csv", "date,open,high,low,close,volume", "%Y-%m-%d %H:%M:%S"),
    "slashes": ("binance/BTC_USDT-1h.csv", "date,open,high,low,close,volume", "%Y/%m/%d %H:%M"),
    "points": ("binance/BTC_USDT-1h.csv", "time,open,high,low,close,volume", "%Y.%m.%d %H:%M"),
    "digits": ("binance/BTC_USDT-1h.csv", "time,open,high,low,close,volume", "%Y%m%d%H%M"),
}


@pytest.mark.parametrize("form", NAIVE)
def test_stamps_without_a_zone_need_one_and_are_read_with_it(tree: Tree, form: str) -> None:
    name, header, stamp = NAIVE[form]
    put(tree, f"{SPOT}/{name}", lines(header, *(candle(hour, naive(hour, stamp)) for hour in range(24))))

    with pytest.raises(UnusableData, match="zone.*--timezone UTC"):
        spot(tree)
    assert spot(tree, zone="UTC").column("binance.spot.BTC").tolist() == EXPECTED
    put(tree, "data.yaml", b"timezone: UTC\n")
    assert spot(tree).column("binance.spot.BTC").tolist() == EXPECTED


def test_another_zone_is_another_hour_and_another_run(tree: Tree, tmp_path: Path) -> None:
    put(tree, f"{SPOT}/binance/BTC_USDT-1h.csv",
        lines("date,open,high,low,close", *(candle(h, naive(h))[:-2] for h in range(30))))  # fmt: skip
    mode, cache = mode_of("binance.spot.BTC"), tmp_path / "cache"
    utc, berlin = (load(tree.folder, mode, RUN, zone=zone, cache=cache) for zone in ("UTC", "Europe/Berlin"))
    again = load(tree.folder, mode, RUN, zone="UTC", cache=cache)

    assert berlin.column("binance.spot.BTC").tolist() == [close(hour) for hour in range(10, 26)]
    assert utc.column("binance.spot.BTC").tobytes() == again.column("binance.spot.BTC").tobytes()
    assert utc.provenance.data_hash != berlin.provenance.data_hash


def test_a_local_time_that_the_clocks_showed_twice_is_refused(tree: Tree) -> None:
    put(tree, f"{SPOT}/binance/BTC_USDT-1h.csv",
        lines("date,open,high,low,close", "2024-10-27 02:30:00,1,1,1,1"))  # fmt: skip

    with pytest.raises(UnusableData, match="showed exactly once"):
        spot(tree, zone="Europe/Berlin")


def test_a_bar_published_by_okx_counts_from_its_open(tree: Tree) -> None:
    rows = [f"{candle(h, str(FIRST_MS + h * HOUR_MS))},1,1,1" for h in range(24)]
    put(tree, f"{PERPS}/okx/BTC-USDT-SWAP-candlesticks-2024-06.csv",
        lines("ts,open,high,low,close,vol,volCcy,volCcyQuote,confirm", *rows))  # fmt: skip

    assert load(tree.folder, mode_of("okx.perp.BTC"), RUN).column("okx.perp.BTC").tolist() == EXPECTED


FUNDING_FILES: dict[str, tuple[str, str, Callable[[int], str]]] = {
    "Binance": ("binance", "BTCUSDT-fundingRate-2024-06.zip calc_time,funding_interval_hours,last_funding_rate",
                lambda i: f"{FIRST_MS + 8 * i * HOUR_MS + 3},8,0.000{i + 1}"),
    "Binance without a header": ("binance", "BTCUSDT-fundingRate-2024-06.csv ",
                                 lambda i: f"{FIRST_MS + 8 * i * HOUR_MS + 3},8,0.000{i + 1}"),
    "Binance's API": ("binance", "binance_BTCUSDT_funding.csv symbol,fundingTime,fundingRate,markPrice",
                      lambda i: f"BTCUSDT,{FIRST_MS + 8 * i * HOUR_MS},0.000{i + 1},100"),
    "Bybit's API": ("bybit", "bybit/BTCUSDT_funding_rate.csv symbol,fundingRate,fundingRateTimestamp",
                    lambda i: f"BTCUSDT,0.000{i + 1},{FIRST_MS + 8 * i * HOUR_MS}"),
    "OKX's API": ("okx", "okx/BTC-USDT-SWAP_funding_history.csv instId,fundingTime,fundingRate,realizedRate",
                  lambda i: f"BTC-USDT-SWAP,{FIRST_MS + 8 * i * HOUR_MS},0.00077,0.000{i + 1}"),
    "OKX's archive": ("okx", "BTC-USDT-SWAP-fundingrates-2024-06.zip "
                             "instrument_name,contract_type,funding_rate,real_funding_rate,funding_time",
                      lambda i: f"BTC-USDT-SWAP,SWAP,0.00077,0.000{i + 1},{FIRST_MS + 8 * i * HOUR_MS}"),
    "freqtrade": ("okx", "okx/BTC_USDT_USDT-8h-funding_rate.csv date,open,high,low,close,volume",
                  lambda i: f"2024-06-0{1 + i // 3} {8 * (i % 3):02}:00:00+00:00,0.000{i + 1},0,0,0,0"),
    "ccxt": ("okx", "okx/BTC_USDT_USDT-8h-funding_rate.csv timestamp,symbol,fundingRate",
             lambda i: f"{FIRST_MS + 8 * i * HOUR_MS},BTC/USDT:USDT,0.000{i + 1}"),
}  # fmt: skip


@pytest.mark.parametrize("form", FUNDING_FILES)
def test_settlements_are_read_as_they_are_published(tree: Tree, form: str) -> None:
    venue, what, row = FUNDING_FILES[form]
    name, header = what.split(" ", 1)
    content = lines(*([header] if header else []), *map(row, range(4)))
    put(tree, f"{FUNDING}/{name}", zipped("a.csv", content) if name.endswith(".zip") else content)
    tree.perp(venue, "BTC", [100.0 + h for h in range(30)])
    market = load(tree.folder, mode_of(f"{venue}.perp.BTC", f"{venue}.funding.BTC"), RUN)

    assert market.funding[f"{venue}.funding.BTC"].rate.tolist() == [0.0003, 0.0004]


def test_a_supply_index_needs_no_borrow_index_beside_it(tree: Tree) -> None:
    rows = [f"2024-06-0{d}T00:00:00Z,{1 + d / 1000}" for d in range(1, 5)]
    tree.rows("protocol_data/aave/rates/aave_v3_x_USDT_rates_daily_a.csv", "timestamp,liquidityIndex", rows)

    market = load(tree.folder, mode_of("aave_v3.supply_index.USDT"), grid("2024-06-01T00", "2024-06-03T00"))
    assert market.column("aave_v3.supply_index.USDT")[0] == 1.001
    with pytest.raises(UnusableData, match="column variableBorrowIndex: found no such column"):
        load(tree.folder, mode_of("aave_v3.borrow_index.USDT"), grid("2024-06-01T00", "2024-06-03T00"))


def test_snapshots_of_blocks_after_midnight_are_known_at_their_own_stamps(tree: Tree) -> None:
    index = [1.0, 1.001, 1.003, 1.004]
    seconds = [11, 5, 7, 9]
    rows = [f"2024-06-0{d + 1}T00:00:{s:02}Z,{v},{v + 1}" for d, (s, v) in enumerate(zip(seconds, index, strict=True))]
    header = "timestamp,liquidityIndex,variableBorrowIndex"
    tree.rows("protocol_data/aave/rates/aave_v3_x_USDT_rates_daily_a.csv", header, rows)
    market = load(tree.folder, mode_of("aave_v3.supply_index.USDT"), grid("2024-06-01T01", "2024-06-04T01"))
    column = market.column("aave_v3.supply_index.USDT")
    hour_of_third_day = 47  # 2024-06-03T00:00Z, seven seconds before its snapshot

    assert column[0] == index[0]
    assert index[1] <= column[hour_of_third_day] < index[2]
    assert column[hour_of_third_day + 1] == pytest.approx(index[2], rel=2e-4)
    assert not market.stale


def test_a_column_twice_is_refused(tree: Tree) -> None:
    put(tree, f"{FUNDING}/okx_BTCUSDT_funding_rates.csv",
        lines("funding_time,funding_rate,funding_rate", "2024-06-01T00:00:00Z,0.0001,0.0004"))  # fmt: skip
    put(tree, f"{SPOT}/btc_usd/binance_BTCUSDT_spot_1h.csv", lines("timestamp,close,Close", "2024-06-01T00:00:00Z,1,2"))

    with pytest.raises(UnusableData) as refused:
        load(tree.folder, mode_of("okx.funding.BTC", "binance.spot.BTC"), RUN)
    text = str(refused.value)
    assert "okx_BTCUSDT_funding_rates.csv column funding_rate: found 2 columns of this name" in text
    assert "binance_BTCUSDT_spot_1h.csv column close: found close and Close, expected each column once" in text


def test_two_columns_that_both_claim_the_price_must_agree(tree: Tree) -> None:
    put(tree, f"{SPOT}/btc_usd/binance_BTCUSDT_spot_1h.csv",
        lines("timestamp,close,price", "2024-06-01T00:00:00Z,1,1", "2024-06-01T01:00:00Z,1,2"))  # fmt: skip

    with pytest.raises(UnusableData, match=r"columns close and price: found 1 and 2 in row 2"):
        spot(tree)


@pytest.mark.parametrize(
    ("stamp", "said"),
    [
        ("20240601", "2024-06-01|with a zone"),
        ("45444", "day number of a spreadsheet"),
        ("1717200", "row number or seconds"),
        ("171720000", "as seconds it is of 1975"),
        ("1970-01-20T20:53:20Z", "taken for another unit"),
        ("1.7172E+12", "shortened"),
        ("soon", "a timestamp"),
    ],
)
def test_what_is_no_stamp_of_these_years_is_refused_as_what_it_looks_like(tree: Tree, stamp: str, said: str) -> None:
    put(tree, f"{SPOT}/btc_usd/binance_BTCUSDT_spot_1h.csv", lines("timestamp,close", f"{stamp},1"))

    with pytest.raises(UnusableData, match=said) as refused:
        spot(tree)
    assert "binance_BTCUSDT_spot_1h.csv column timestamp row 1" in str(refused.value)


def test_a_date_in_digits_is_that_day(tree: Tree) -> None:
    put(tree, f"{SPOT}/btc_usd/binance_BTCUSDT_spot_1d.csv", lines("date,close", "20240601,1", "20240602,2"))
    market = load(tree.folder, mode_of("binance.spot.BTC"), grid("2024-06-02T00", "2024-06-03T00"), zone="UTC")

    assert market.column("binance.spot.BTC")[[0, 24]].tolist() == [1.0, 2.0]


def test_messages_name_columns_and_stamps_as_the_file_has_them(tree: Tree) -> None:
    put(tree, f"{FUNDING}/BTCUSDT-fundingRate-2024-06.csv",
        lines("calc_time,funding_interval_hours,last_funding_rate", f"{FIRST_MS},8,"))  # fmt: skip
    put(tree, f"{SPOT}/binance/BTCUSDT-1h.csv", lines(KLINE, *(kline(hour) for hour in range(3, 12))))
    with pytest.raises(UnusableData) as refused:
        load(tree.folder, mode_of("binance.funding.BTC", "binance.spot.BTC"), grid("2024-06-01T00", "2024-06-01T09"))
    text = str(refused.value)

    assert "column last_funding_rate: found nan in row 1" in text
    assert "first known 2024-06-01T04:00Z (the row stamped 2024-06-01T03:00Z)" in text


def test_while_a_series_is_missing_nobody_is_told_that_all_are_known(tree: Tree) -> None:
    tree.spot("binance", "ETH", [100.0 + h for h in range(30)])
    with pytest.raises(UnusableData) as refused:
        load(tree.folder, mode_of("binance.spot.ETH", "binance.spot.BTC"), RUN)
    text = str(refused.value)

    assert "All series are known" not in text
    assert "Not to be had: binance.spot.BTC; the others are known from 2024-06-01T01:00Z to 2024-06-02T06:00Z" in text
    assert "did you mean" not in text


IGNORED = {
    f"{SPOT}/btc_usd/binance_BTCUSDT_spot_1h.xlsx": "not a form that is read",
    f"{SPOT}/btc_usd/notes.csv": "names? says no instrument|says no instrument",
    f"{SPOT}/btc_usd/BTCUSDT.csv": "no exchange in its name",
    f"{SPOT}/btc_usd/binance_ETHUSDT_spot_1h.csv": "its name says ETH, and its folder btc_usd",
    f"{SPOT}/btc_usd/binance_BTCUSD_PERP_1h.csv": "inverse perp BTC/USD, and here lie spot BTC/USDT",
    f"{PERPS}/binance_BTCUSDT_spot_1h.csv": "spot BTC/USDT, and here lie linear perp BTC/USDT",
    f"{PERPS}/BTCUSDT_241227-1h-2024-12.zip": "linear future",
    f"{FUNDING}/binance_BTCUSDT_futures_1h.csv": "holds bars by its name",
    f"{PERPS}/bybit/binance_BTC-USDT_1h.csv": "its name says binance, and a folder above it bybit",
    "protocol_data/aave/rates/aave.csv": "its name is of none of the files read here",
    "downloads/binance_BTCUSDT_spot_1h.csv": "outside the folders that are read",
}


@pytest.mark.parametrize("name", IGNORED)
def test_files_that_are_not_read_are_listed_with_the_reason(tree: Tree, name: str) -> None:
    import re

    put(tree, name, KLINES)
    (one,) = coverage(tree.folder, mode_of("binance.spot.BTC"), RUN).ignored

    assert one.file in (name, f"{name.rpartition('/')[0]}/")
    assert re.search(IGNORED[name], one.reason)


def test_a_missing_series_says_what_lies_in_its_place(tree: Tree) -> None:
    put(tree, f"{SPOT}/btc_usd/binance_BTCUSDT_spot_1h.xlsx", b"x")

    with pytest.raises(UnusableData, match=r"no file; ignored there: binance_BTCUSDT_spot_1h\.xlsx: not a form"):
        spot(tree)


def test_a_folder_of_files_side_by_side_says_where_they_should_lie(tree: Tree) -> None:
    put(tree, "BTCUSDT-1h-2024-06.csv", KLINES)

    with pytest.raises(
        UnusableData, match=r"no file; not read: BTCUSDT-1h-2024-06\.csv: it lies at the top"
    ) as refused:
        spot(tree)
    assert "folder/market_data/spot_prices/btc_usd/binance_BTCUSDT_spot_1h.csv" in str(refused.value)


def test_a_zip_of_several_tables_says_which(tree: Tree) -> None:
    put(tree, f"{SPOT}/btc_usd/BTCUSDT-1h-2024-06.zip", zipped("a.csv", KLINES, **{"b.csv": KLINES}))

    with pytest.raises(UnusableData, match=r"a zip of 2 files \(a\.csv, b\.csv\), expected a zip of one table"):
        spot(tree)


@pytest.mark.parametrize("damage", [b"PK\x03\x04broken", KLINES[:-9], b"\x1f\x8b\x08broken"])
def test_a_damaged_file_is_refused_by_name(tree: Tree, damage: bytes) -> None:
    put(tree, f"{SPOT}/btc_usd/BTCUSDT-1h-2024-06.zip", damage)

    with pytest.raises(UnusableData, match=r"BTCUSDT-1h-2024-06\.zip"):
        spot(tree)


def test_rows_without_a_header_and_of_no_known_layout_say_so(tree: Tree) -> None:
    put(tree, f"{SPOT}/btc_usd/binance_BTCUSDT_spot_1h.csv", b"1717200000000,1,2,3\n")

    with pytest.raises(UnusableData, match="no header line, and 4 columns, expected a header line, or without one 5"):
        spot(tree)


def test_cells_in_quotes_are_cells(tree: Tree) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL)
    writer.writerows(line.split(",") for line in KLINES.decode().splitlines())
    put(tree, f"{SPOT}/btc_usd/binance_BTCUSDT_spot_1h.csv", buffer.getvalue().encode())

    assert spot(tree).column("binance.spot.BTC").tolist() == EXPECTED


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"timezone: Mars/Olympus\n", "Mars/Olympus"),
        (b"time_zone: UTC\n", "did you mean 'timezone'"),
        (b"- a\n", "timezone: UTC"),
        (b"timezone: [\n", "data.yaml"),
    ],
)
def test_a_sidecar_that_cannot_be_understood_is_refused(tree: Tree, content: bytes, said: str) -> None:
    put(tree, "data.yaml", content)

    with pytest.raises(InvalidInput, match=said):
        spot(tree)
