"""The worst price an order may be done at comes from what the row knows of it, and from nothing else."""

from __future__ import annotations

from math import nan

import pytest

from components.model.orders import Order, Verb
from components.model.slices import PriceCaps, RunSlice
from components.price_caps import capped, quoted
from components.situation import Situation
from tests.builders import market, order, run_with, situation

RUN = run_with("usdt_market_neutral_no_leverage", hedge_allocation={"binance": 0.5, "okx": 0.5})
LINES = {
    "binance.spot.ETH": 2_000.0,
    "binance.perp.ETH": 2_010.0,
    "okx.perp.ETH": nan,
    "lido.ratio.wstETH": 1.25,
    "dex.ratio.wstETH": 1.20,
    "uniswap.eth_price.EIGEN": 0.001,
}


def now(run: RunSlice = RUN, **more: float) -> Situation:
    return situation(run, market({**LINES, **{name.replace("__", "."): value for name, value in more.items()}}), {})


def swap(token: str, into: str, amount: float = 10.0) -> Order:
    return order(Verb.SWAP, "uniswap", token, amount, into_token=into)


@pytest.mark.parametrize(
    ("verb", "amount", "limit"),
    [
        (Verb.SPOT, 1.0, 2_020.0),
        (Verb.SPOT, -1.0, 1_980.0),
        (Verb.PERP, 1.0, 2_030.1),
        (Verb.PERP, -1.0, 1_989.9),
    ],
)
def test_a_limit_is_on_the_worse_side_of_the_price_known(verb: Verb, amount: float, limit: float) -> None:
    made = capped(order(verb, "binance", "ETH", amount), now(), 100.0)
    assert made.limit_price == pytest.approx(limit)
    assert made.at_least is None


@pytest.mark.parametrize(
    ("token", "into", "price"),
    [
        ("wstETH", "ETH", 1.20),
        ("ETH", "USDT", 2_000.0),
        ("USDT", "ETH", 1.0 / 2_000.0),
        ("EIGEN", "ETH", 0.001),
        ("EIGEN", "USDT", 2.0),
    ],
)
def test_a_swap_must_give_at_least_what_the_pool_quotes_less_the_cap(token: str, into: str, price: float) -> None:
    made = capped(swap(token, into), now(), 300.0)
    assert made.at_least == pytest.approx(10.0 * price * 0.97)
    assert made.limit_price is None


def test_the_pool_is_asked_where_it_has_a_price_of_its_own() -> None:
    assert quoted(swap("ETH", "USDT"), now(uniswap__spot__ETH=1_990.0)) == 1_990.0


def test_what_has_no_price_and_what_has_no_cap_is_limited_to_nothing() -> None:
    for one, cap in (
        (order(Verb.PERP, "okx", "ETH", 1.0), 100.0),  # missing is not zero
        (order(Verb.PERP, "bybit", "ETH", 1.0), 100.0),
        (order(Verb.SPOT, "binance", "ETH", 1.0), None),
        (order(Verb.TRANSFER, "binance", "ETH", 1.0), 100.0),
        (order(Verb.STAKE, "lido", "ETH", 1.0), 100.0),
    ):
        made = capped(one, now(), cap)
        assert (made.limit_price, made.at_least) == (None, None)


def test_a_sale_is_never_limited_to_less_than_nothing() -> None:
    assert capped(order(Verb.SPOT, "binance", "ETH", -1.0), now(), 20_000.0).limit_price == 0.0
    assert capped(swap("ETH", "USDT"), now(), 20_000.0).at_least == 0.0


def test_a_cap_replaces_the_one_before() -> None:
    first = capped(order(Verb.SPOT, "binance", "ETH", 1.0), now(), 100.0)
    assert capped(first, now(), None).limit_price is None


def test_journals_of_before_know_no_caps() -> None:
    assert (PriceCaps().order, PriceCaps().widest) == (None, None)
    assert PriceCaps(order=5.0, emergency=(1.0, 9.0)).widest == 9.0
