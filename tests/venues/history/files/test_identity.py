"""Files that are about something else than their name and folder say."""

from __future__ import annotations

import pytest

from components.model.errors import InvalidInput
from tests.venues.history.files.test_instruments import EITHER, NEITHER, THIS_PERP
from tests.venues.history.trees import Tree, hourly
from venues.history.files.cache import ColumnCache
from venues.history.files.catalogue import SourceFile
from venues.history.files.schema import FUNDING, PERP, SPOT, Schema
from venues.history.files.tables import read_table

NAMES = ["symbol", "instId", "instrument_name", "pair", "market", "ticker", "contract", "Instrument ID", "product_id",
         "my own column"]  # fmt: skip


def read(tree: Tree, schema: Schema, column: str, cells: list[str], venue: str = "binance") -> None:
    if schema is FUNDING:
        header = f"funding_time,funding_rate,{column}"
        rows = [f"2024-06-01T{8 * i:02}:00:00Z,0.0001,{cell}" for i, cell in enumerate(cells)]
    else:
        header = f"timestamp,open,high,low,close,{column}"
        rows = [f"2024-06-01T{i:02}:00:00Z,1,1,1,1,{cell}" for i, cell in enumerate(cells)]
    path = tree.rows("x.csv", header, rows)
    read_table(SourceFile(path, "x.csv", "BTC", None, None, venue), schema, ColumnCache(None))


@pytest.mark.parametrize("column", NAMES)
@pytest.mark.parametrize("schema", [PERP, FUNDING], ids=["perp", "funding"])
@pytest.mark.parametrize("text", ["ETHUSDT", "ETH-USDT-SWAP", "BTC-USD-SWAP", "BTC/USD:BTC"])
def test_rows_of_another_coin_or_of_the_inverse_contract_are_refused_in_any_column(
    tree: Tree, column: str, schema: Schema, text: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(tree, schema, column, [text, text, text])
    (fault,) = refused.value.faults

    assert fault.where == f"x.csv column {column} row 1"
    assert text in fault.found
    assert "linear perp BTC/USDT" in fault.expected


@pytest.mark.parametrize("column", ["symbol", "instId"])
def test_one_foreign_row_among_many_is_found_and_named(tree: Tree, column: str) -> None:
    with pytest.raises(InvalidInput, match=f"x.csv column {column} row 3: found 'ETH-USDT-SWAP'"):
        read(tree, PERP, column, ["BTC-USDT-SWAP", "BTC-USDT-SWAP", "ETH-USDT-SWAP"])


@pytest.mark.parametrize("text", [text for text in [*THIS_PERP, *EITHER] if "BYBIT" not in text])
def test_every_spelling_of_this_very_perp_is_read(tree: Tree, text: str) -> None:
    read(tree, PERP, "symbol", [text, text])


@pytest.mark.parametrize("text", NEITHER)
def test_every_spelling_of_another_instrument_is_refused(tree: Tree, text: str) -> None:
    with pytest.raises(InvalidInput, match="column symbol row 1"):
        read(tree, PERP, "symbol", [text])


@pytest.mark.parametrize(("schema", "text"), [(SPOT, "BTC-USDT-SWAP"), (PERP, "BTC-USDT")], ids=["spot", "perp"])
def test_spot_and_perp_of_one_coin_are_not_each_other(tree: Tree, schema: Schema, text: str) -> None:
    with pytest.raises(InvalidInput, match="column instId row 1"):
        read(tree, schema, "instId", [text])


def test_an_instrument_that_cannot_be_read_is_not_believed(tree: Tree) -> None:
    with pytest.raises(InvalidInput, match="column symbol row 2: found '\\?'"):
        read(tree, PERP, "symbol", ["BTCUSDT", "?"])


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("data_type", "spot"),
        ("contract_type", "COIN-M"),
        ("category", "inverse"),
        ("contractType", "CURRENT_QUARTER"),
        ("exchange", "bybit"),
        ("source", "okx"),
        ("quote_asset", "USDC"),
        ("baseAsset", "ETH"),
    ],
)
def test_columns_that_say_kind_quote_or_exchange_are_held_against_the_file(tree: Tree, column: str, cell: str) -> None:
    with pytest.raises(InvalidInput, match=f"column {column} row 1"):
        read(tree, PERP, column, [cell])


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("data_type", "futures"),
        ("contract_type", "SWAP"),
        ("category", "linear"),
        ("source", "binance_futures"),
        ("source", "alchemy"),
        ("quote_asset", "USDT"),
        ("base", "BTC"),
        ("note", "taken by hand"),
        ("market", "USD-M"),
    ],
)
def test_columns_that_agree_or_say_nothing_are_no_fault(tree: Tree, column: str, cell: str) -> None:
    read(tree, PERP, column, [cell])


def test_the_rows_of_another_token_are_refused_with_their_row(tree: Tree) -> None:
    path = tree.lst_market("curve", "weETH", hourly(1.03, 5, 1e-6))
    path.write_text(path.read_text().replace("weETH,WETH\n2024-06-01T03", "wstETH,WETH\n2024-06-01T03"))
    from venues.history.files.schema import LST_MARKET

    with pytest.raises(InvalidInput, match="column base_token row 3: found 'wstETH'"):
        read_table(SourceFile(path, "x.csv", "weETH", None, None), LST_MARKET, ColumnCache(None))
