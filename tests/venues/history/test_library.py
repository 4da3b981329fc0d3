from __future__ import annotations

import pytest

from components.model.errors import DAT_CONFLICT, DAT_NOT_COVERED, InvalidInput
from components.model.requirements import DAY_NS, HOUR_NS
from tests.venues.history.trees import BARS, Tree, grown, hourly
from venues.history.files.stamps import MINUTE_NS
from venues.history.library import Library


def library(tree: Tree) -> Library:
    return Library(tree.folder, None, "rebuild")


def test_hourly_files_come_first_unless_the_grid_is_finer(tree: Tree) -> None:
    for step in ("1m", "1h", "8h"):
        tree.spot("binance", "BTC", [100.0, 101.0], step=step)
    opened = library(tree)

    assert opened.choices("binance.spot.BTC", HOUR_NS) == [HOUR_NS, MINUTE_NS, 8 * HOUR_NS]
    assert opened.choices("binance.spot.BTC", None) == [HOUR_NS, MINUTE_NS, 8 * HOUR_NS]
    assert opened.choices("binance.spot.BTC", MINUTE_NS) == [MINUTE_NS, HOUR_NS, 8 * HOUR_NS]


def test_indices_are_rebuilt_from_daily_files_and_published_ones_read_hourly(tree: Tree) -> None:
    tree.reserve("USDT", grown(1.0, 3, 0.001))
    tree.hourly_reserve("USDT", hourly(1.0, 49, 0.00001))

    rebuilt = library(tree)
    published = Library(tree.folder, None, "as_published")
    first = rebuilt.samples("aave_v3.supply_index.USDT", rebuilt.choices("aave_v3.supply_index.USDT", HOUR_NS)[0])
    second = published.samples("aave_v3.supply_index.USDT", published.choices("aave_v3.supply_index.USDT", HOUR_NS)[0])

    assert (first.step, second.step) == (DAY_NS, HOUR_NS)
    assert first.growth is not None
    assert second.growth is None
    assert not rebuilt.is_interpolated(first)
    assert published.is_interpolated(second)


def test_volumes_in_contracts_become_coins(tree: Tree) -> None:
    for venue in ("okx", "bybit"):
        for coin in ("BTC", "ETH"):
            tree.perp(venue, coin, [100.0, 101.0])
    opened = library(tree)
    volumes = {
        name: opened.table(name, HOUR_NS).values["volume"][0]
        for name in ("okx.perp.BTC", "okx.perp.ETH", "okx.perp_high.ETH", "bybit.perp.BTC")
    }

    assert volumes == {"okx.perp.BTC": 0.1, "okx.perp.ETH": 1.0, "okx.perp_high.ETH": 1.0, "bybit.perp.BTC": 10.0}


def test_flat_bars_are_counted_and_kept(tree: Tree) -> None:
    tree.token("EIGEN", [0.001, 0.001, 0.002, 0.002])
    tree.lst_market("curve", "weETH", [1.03, 1.03, 1.03, 1.04])
    opened = library(tree)
    pool, market = opened.samples("uniswap.eth_price.EIGEN", HOUR_NS), opened.samples("dex.ratio.weETH", HOUR_NS)

    assert (pool.flat, len(pool.at)) == (2, 4)
    assert (market.flat, len(market.at)) == (2, 4)


def test_a_constant_price_is_a_placeholder_and_never_used(tree: Tree) -> None:
    tree.token("EIGEN", [3.5] * 24)

    with pytest.raises(InvalidInput, match=r"the same value 3\.5 in all 24 rows"):
        library(tree).samples("uniswap.eth_price.EIGEN", HOUR_NS)


def test_a_file_whose_rows_are_farther_apart_than_its_name_says_is_refused(tree: Tree) -> None:
    rows = [f"2024-06-01T{h:02}:00:00Z,1,1,1,1,1,x,BTCUSDT,x" for h in range(3)]
    tree.rows("market_data/spot_prices/btc_usd/binance_BTCUSDT_spot_1m_a.csv", BARS, rows)

    with pytest.raises(InvalidInput, match="rows 1 h apart, expected rows 1 min apart, as the name") as refused:
        library(tree).samples("binance.spot.BTC", MINUTE_NS)
    assert refused.value.code == DAT_CONFLICT


def test_files_of_one_name_and_different_steps_are_not_mixed(tree: Tree) -> None:
    for name, days in {"a": (3, 4), "b": (5, 7)}.items():
        rows = [f"2024-06-0{d}T00:00:00Z,1,1,1,1,1,x,BTCUSDT,x" for d in days]
        tree.rows(f"market_data/spot_prices/btc_usd/binance/BTCUSDT_{name}.csv", BARS, rows)

    with pytest.raises(InvalidInput, match="rows 1 day and 2 days apart"):
        library(tree).samples("binance.spot.BTC", None)


def test_two_pools_of_one_series_are_ambiguous(tree: Tree) -> None:
    tree.lst_market("curve", "weETH", [1.03, 1.04])
    tree.lst_market("uniswapv3", "weETH", [1.03, 1.05])

    with pytest.raises(InvalidInput, match="curve, uniswapv3") as refused:
        library(tree).samples("dex.ratio.weETH", HOUR_NS)
    assert refused.value.code == DAT_CONFLICT


def test_the_faults_of_all_files_of_a_series_are_listed(tree: Tree) -> None:
    tree.spot("binance", "BTC", [100.0, -1.0], name="a")
    tree.spot("binance", "BTC", [100.0, -2.0], name="b")

    with pytest.raises(InvalidInput) as refused:
        library(tree).samples("binance.spot.BTC", HOUR_NS)
    assert {fault.where.split("_spot_1h_")[1][0] for fault in refused.value.faults} == {"a", "b"}


def test_a_series_that_is_not_there_names_its_place_and_what_there_is_of_the_same_coin(tree: Tree) -> None:
    tree.spot("bybit", "BTC", [100.0, 101.0])
    tree.spot("okx", "ETH", [100.0, 101.0])

    with pytest.raises(InvalidInput, match=r"btc_usd/okx_BTCUSDT_spot.*no file; there is bybit\.spot\.BTC,") as refused:
        library(tree).choices("okx.spot.BTC", HOUR_NS)
    assert "ETH" not in str(refused.value)
    assert refused.value.code == DAT_NOT_COVERED


def test_a_benchmark_of_zero_is_a_hole(tree: Tree) -> None:
    tree.benchmark([0.1, 0.0, 0.12])

    assert library(tree).samples("ethena.apy.sUSDe", None).value.tolist() == [0.1, 0.12]


def test_csv_gzip_and_parquet_hold_the_same_series(tree: Tree) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    text = tree.spot("binance", "BTC", [100.0, 101.0]).read_text()
    folder = "market_data/spot_prices/btc_usd"
    tree.write(f"{folder}/bybit_BTCUSDT_spot_1h_a.csv.gz", text)
    columns = dict(
        zip(BARS.split(","), zip(*[line.split(",") for line in text.splitlines()[1:]], strict=True), strict=True)
    )
    numbers = {name: [float(cell) for cell in columns[name]] for name in ("open", "high", "low", "close", "volume")}
    path = tree.folder / folder / "okx_BTCUSDT_spot_1h_a.parquet"
    parquet.write_table(pa.table({**{name: list(cells) for name, cells in columns.items()}, **numbers}), path)
    opened = library(tree)
    read = [opened.samples(f"{venue}.spot.BTC", HOUR_NS) for venue in ("binance", "bybit", "okx")]

    assert [samples.at.tolist() for samples in read] == [read[0].at.tolist()] * 3
    assert [samples.value.tolist() for samples in read] == [[100.0, 101.0]] * 3
