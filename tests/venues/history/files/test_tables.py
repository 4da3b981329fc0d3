from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from components.model.errors import DAT_CONFLICT, DAT_NOT_COVERED, DAT_UNREADABLE, InvalidInput
from components.model.requirements import HOUR_NS
from tests.venues.history.trees import BARS, Tree, at
from venues.history.files.cache import ColumnCache
from venues.history.files.catalogue import SourceFile
from venues.history.files.schema import FUNDING, ORACLE, PERP, POOL, SPOT, Schema
from venues.history.files.tables import Table, joined, read_table


def table(path: Path, schema: Schema, symbol: str = "BTC", hint: int | None = None) -> Table:
    return joined([read_table(SourceFile(path, path.name, symbol, hint, None), schema, ColumnCache(None))])


def refusal(path: Path, schema: Schema, symbol: str = "BTC") -> InvalidInput:
    with pytest.raises(InvalidInput) as refused:
        table(path, schema, symbol)
    return refused.value


def bar(stamp: str, close: str = "100", high: str = "102", low: str = "97", symbol: str = "BTCUSDT") -> str:
    return f"{stamp},{close},{high},{low},{close},10,x,{symbol},x"


def test_a_candle_is_known_when_it_closes(tree: Tree) -> None:
    read = table(tree.spot("binance", "BTC", [100.0, 101.0]), SPOT)

    assert read.at.tolist() == [at("2024-06-01T01"), at("2024-06-01T02")]
    assert read.step == HOUR_NS


def test_a_bar_stamped_by_its_close_in_local_time_is_known_at_the_next_full_minute(tree: Tree) -> None:
    rows = ["1,1,1,1,5,2024-06-01 01:00:59.999000+01:00", "1,1,1,1,5,2024-06-01 01:01:59.999000+01:00"]
    read = table(tree.rows("x.csv", "open,high,low,close,volume,close_datetime", rows), SPOT)

    assert read.at.tolist() == [at("2024-06-01T00:01"), at("2024-06-01T00:02")]


def test_rows_in_any_order_come_out_in_time_order(tree: Tree) -> None:
    rows = [bar("2024-06-01T02:00:00Z", "102"), bar("2024-06-01T00:00:00Z"), bar("2024-06-01T01:00:00Z", "101")]
    read = table(tree.rows("x.csv", BARS, rows), SPOT)

    assert read.values["close"].tolist() == [100.0, 101.0, 102.0]
    assert (np.diff(read.at) > 0).all()


def test_identical_repeats_are_dropped_and_counted(tree: Tree) -> None:
    rows = [bar("2024-06-01T00:00:00Z"), bar("2024-06-01T01:00:00Z"), bar("2024-06-01T01:00:00Z")]
    read = table(tree.rows("x.csv", BARS, rows), SPOT)

    assert len(read.at) == 2
    assert read.duplicates == 1


def test_two_bars_of_one_stamp_with_different_values_are_refused(tree: Tree) -> None:
    rows = [bar("2024-06-01T00:00:00Z"), bar("2024-06-01T01:00:00Z", "101"), bar("2024-06-01T01:00:00Z", "100")]
    refused = refusal(tree.rows("x.csv", BARS, rows), SPOT)

    assert refused.code == DAT_CONFLICT
    assert "x.csv column close" in str(refused)
    assert "1 stamps with two different values, first 2024-06-01T01:00Z (101 and 100)" in str(refused)


def test_late_funding_stamps_are_rounded_to_the_minute_before_they_are_compared(tree: Tree) -> None:
    rows = ["2024-06-01T08:00:00.047000Z,0.0001,BTCUSDT,x", "2024-06-01T08:00:00Z,0.0001,BTCUSDT,x"]
    read = table(tree.settlements("x", "BTC", rows), FUNDING)

    assert read.at.tolist() == [at("2024-06-01T08")]


def test_a_repeated_settlement_with_another_rate_is_refused_with_dates_and_count(tree: Tree) -> None:
    rows = [f"2024-06-0{d}T08:00:00Z,{rate},BTCUSDT,x" for d in (1, 2, 3) for rate in ("0.0001", "0.0003")]
    refused = refusal(tree.settlements("x", "BTC", rows), FUNDING)

    assert refused.code == DAT_CONFLICT
    assert "3 stamps" in str(refused)
    assert "2024-06-01T08:00Z (0.0001 and 0.0003)" in str(refused)


def test_a_settled_rate_is_preferred_to_the_forecast_beside_it(tree: Tree) -> None:
    header = "instrument,funding_rate,real_funding_rate,funding_time"
    path = tree.rows("x.csv", header, ["BTC-USDT-SWAP,0.0009,0.0001,2024-06-01 08:00:00+00:00"])

    assert table(path, FUNDING).values["rate"].tolist() == [0.0001]


@pytest.mark.parametrize("rate", ["0.0501", "-0.06"])
def test_a_funding_rate_beyond_five_percent_is_implausible(tree: Tree, rate: str) -> None:
    refused = refusal(tree.settlements("x", "BTC", [f"2024-06-01T08:00:00Z,{rate},BTCUSDT,x"]), FUNDING)

    assert "column funding_rate" in str(refused)
    assert "±5%" in str(refused)


def test_an_empty_needed_cell_is_refused_with_file_column_and_row(tree: Tree) -> None:
    rows = [bar("2024-06-01T00:00:00Z"), bar("2024-06-01T01:00:00Z", "")]
    refused = refusal(tree.rows("x.csv", BARS, rows), PERP)

    assert refused.code == DAT_UNREADABLE
    assert "x.csv column close: found nan in row 2" in str(refused)


@pytest.mark.parametrize("price", ["0", "-1", "inf"])
def test_a_price_that_is_not_positive_and_finite_is_refused(tree: Tree, price: str) -> None:
    assert "row 1" in str(refusal(tree.rows("x.csv", BARS, [bar("2024-06-01T00:00:00Z", price)]), SPOT))


def test_every_fault_of_a_file_is_listed(tree: Tree) -> None:
    rows = [bar("2024-06-01T00:00:00Z", "100", "99", "101"), bar("2024-06-01T01:00:00Z", "0")]

    assert {fault.where for fault in refusal(tree.rows("x.csv", BARS, rows), PERP).faults} == {
        "x.csv column close",
        "x.csv column open",
        "x.csv column high",
        "x.csv column low",
    }


def test_a_cell_that_is_no_number_is_quoted(tree: Tree) -> None:
    refused = refusal(tree.rows("x.csv", BARS, [bar("2024-06-01T00:00:00Z", "77.50%")]), SPOT)

    assert "x.csv column close row 1: found '77.50%'" in str(refused)


def test_a_stamp_without_a_zone_is_refused(tree: Tree) -> None:
    assert "zone" in str(refusal(tree.rows("x.csv", BARS, [bar("2024-06-01T00:00:00")]), SPOT))


def test_rows_of_another_coin_than_the_name_promises_are_refused(tree: Tree) -> None:
    refused = refusal(tree.rows("x.csv", BARS, [bar("2024-06-01T00:00:00Z", symbol="ETHUSDT")]), SPOT)

    assert "'ETHUSDT'" in str(refused)


def test_a_file_with_a_header_only_covers_nothing(tree: Tree) -> None:
    refused = refusal(tree.write("x.csv", "# Records: 0\ntimestamp,oracle_price_eth,asset\n"), ORACLE, "weETH")

    assert refused.code == DAT_NOT_COVERED
    assert "no rows" in str(refused)


def test_a_missing_column_names_the_nearest(tree: Tree) -> None:
    refused = refusal(tree.rows("x.csv", "timestamp,closes", ["2024-06-01T00:00:00Z,1"]), POOL)

    assert "did you mean 'closes'" in str(refused)


def test_files_that_overlap_identically_are_joined(tree: Tree) -> None:
    cache = ColumnCache(None)
    first = tree.spot("binance", "BTC", [100.0, 101.0, 102.0], name="a")
    second = tree.rows(
        "b.csv", BARS, [bar(f"2024-06-01T0{h}:00:00Z", str(100 + h), str(102 + h), str(97 + h)) for h in (2, 3)]
    )
    files = [SourceFile(path, path.name, "BTC", HOUR_NS, None) for path in (second, first)]
    table = joined([read_table(file, SPOT, cache) for file in files])

    assert table.values["close"].tolist() == [100.0, 101.0, 102.0, 103.0]
    assert table.duplicates == 1


def test_a_warm_read_gives_the_same_bytes_as_a_cold_one(tree: Tree, tmp_path: Path) -> None:
    path = tree.spot("binance", "BTC", [100.1, 101.7])
    file = SourceFile(path, path.name, "BTC", HOUR_NS, None)
    cold = read_table(file, SPOT, ColumnCache(tmp_path / "cache"))
    warm = read_table(file, SPOT, ColumnCache(tmp_path / "cache"))

    assert len(list((tmp_path / "cache").iterdir())) == 1
    assert warm.at.tobytes() == cold.at.tobytes()
    assert {k: v.tobytes() for k, v in warm.values.items()} == {k: v.tobytes() for k, v in cold.values.items()}
