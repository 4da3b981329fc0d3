from __future__ import annotations

from pathlib import Path

import pytest

from components.model.errors import InvalidInput
from components.model.requirements import DAY_NS, HOUR_NS
from tests.venues.history.trees import Tree
from venues.history import available
from venues.history.files.catalogue import shelves
from venues.history.files.places import expected_place
from venues.history.files.stamps import MINUTE_NS


def test_series_are_found_by_folder_and_name_pattern(tree: Tree) -> None:
    tree.spot("binance", "BTC", [1.0])
    tree.perp("okx", "ETH", [1.0])
    tree.funding("okx", "ETH", [0.0001])
    tree.reserve("weETH", [1.0])
    tree.oracle("wstETH", [1.17])
    tree.lst_market("curve", "weETH", [1.03])
    tree.token("EIGEN", [0.001])
    tree.gas([5.0])
    tree.eigen(["2024-06-01,2024-06-07,1,1,1,1"])
    tree.write("market_data/spot_prices/eth_usd/uniswapv3_WETHUSDT_1h_x.csv.gz", "timestamp,close\n")
    tree.write("market_data/spot_prices/eth_usd/notes.txt", "not data")
    tree.write("stress/binance_BTCUSDT_spot_1h_2022.csv", "timestamp,close\n")

    assert [holding.series for holding in available(tree.folder)] == [
        "aave_v3.borrow_index.weETH",
        "aave_v3.supply_index.weETH",
        "binance.spot.BTC",
        "dex.ratio.weETH",
        "ethereum.gas_price.gwei",
        "etherfi.reward.EIGEN",
        "lido.ratio.wstETH",
        "okx.funding.ETH",
        "okx.perp.ETH",
        "okx.perp_high.ETH",
        "okx.perp_low.ETH",
        "uniswap.eth_price.EIGEN",
        "uniswap.spot.ETH",
    ]


def test_the_step_in_a_name_is_only_a_hint_and_dates_are_not_read(tree: Tree) -> None:
    tree.spot("binance", "BTC", [1.0], step="1m", name="1999-01-01_2099-01-01")
    tree.spot("binance", "BTC", [1.0])
    tree.reserve("USDT", [1.0])
    found = shelves(tree.folder)

    assert sorted(file.step_hint or 0 for file in found["binance.spot.BTC"].files) == [MINUTE_NS, HOUR_NS]
    assert found["aave_v3.supply_index.USDT"].files[0].step_hint == DAY_NS


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="nowhere"):
        available(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("series", "place"),
    [
        ("okx.spot.BTC", "spot_prices"),
        ("okx.perp_high.BTC", "futures_ohlcv"),
        ("uniswap.eth_price.EIGEN", "protocol_tokens"),
        ("lido.ratio.wstETH", "oracle"),
        ("dex.ratio.weETH", "lst_eth_ratios"),
        ("etherfi.reward.EIGEN", "eigen_distributions_raw"),
        ("moon.dust.X", "dust"),
    ],
)
def test_a_missing_series_says_where_it_would_lie(series: str, place: str) -> None:
    assert place in expected_place(series)
