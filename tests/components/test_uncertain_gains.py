"""A trade that is known late is attributed as if it had been known at once."""

from __future__ import annotations

import numpy as np
import pytest

from components.model.keys import PositionKey
from components.model.orders import OrderId, Verb
from components.pnl_monitor import LINES
from components.ports import Standing
from components.uncertain_gains import Since, UncertainGains
from components.utility_manager import UtilityManager
from daemon.journal.codec import decode, encode
from tests.builders import key, market, mode_of, order, run_of
from tests.scenarios.sketch import btc
from tests.stage import Stage, fills, loses

BASIS = run_of("btc_basis", "hedge_allocation={binance: 0.5, okx: 0.5}")
PRICES = [60_000.0, 61_000.0, 59_500.0, 60_200.0, 62_000.0, 61_500.0, 61_000.0]
LEGS = ("binance_spot", "binance_perp", "okx_spot", "okx_perp")


def basis() -> Stage:
    sketch = btc(7, {i: price for i, price in enumerate(PRICES)})  # type: ignore[arg-type]
    return Stage(BASIS, sketch.market()).starts(100_000.0)


@pytest.mark.parametrize("rows", [1, 2, 5])
@pytest.mark.parametrize("lost", ["okx_perp", "okx_spot", "binance_perp"])
def test_every_part_is_what_it_would_be_had_the_outcome_been_known(lost: str, rows: int) -> None:
    known, late = basis(), basis()
    known.advance(7)
    late.plays(*(loses(leg) if leg == lost else fills(leg) for leg in LEGS))
    late.advance(1)
    late.standing = Standing(no_trade=("to see this trade alone",))
    late.resolves(lost, rows)
    late.advance(6)
    assert known.core.positions.snapshot() == pytest.approx(late.core.positions.snapshot(), rel=1e-12)
    for part in LINES:
        assert late.core.pnl.sums[part] == pytest.approx(known.core.pnl.sums[part], abs=1e-6), part
    assert np.abs(late.column("unexplained")).max() <= 1e-9 * 100_000.0
    assert late.core.pnl.sums["basis"] != 0.0 or late.core.pnl.sums["delta"] != 0.0


def test_windows_and_restarts_change_nothing() -> None:
    made = market({"binance.spot.BTC": PRICES, "okx.perp.BTC": [price + 7.0 * i for i, price in enumerate(PRICES)]})
    lost = order(Verb.PERP, "okx", "BTC", -1.0, id="lost")
    changes = {key("okx:Perp:BTCUSDT"): -1.0, key("okx:PerpQuote:BTCUSDT"): 60_000.0}
    found = []
    for cuts in ([1, 6], [1, 2, 3, 4, 5, 6], [1, 3, 6]):
        outcomes = UncertainGains(mode_of(), UtilityManager("USDT"))
        outcomes.watch([lost], made.window(0, 1).row(0))
        for start, stop in zip(cuts, cuts[1:], strict=False):
            outcomes.advance(made.window(start, stop), {"lost": lost})
            kept = decode(encode(outcomes.state()), dict[OrderId, dict[PositionKey, Since]])
            outcomes = UncertainGains(mode_of(), UtilityManager("USDT"))
            outcomes.restore(kept)
        found.append(outcomes.known("lost", changes, made.window(6, 7)))
    assert found[0] == found[1] == found[2]
    cost, gains = found[0]
    assert cost == 0.0  # sold at 60,000 when the mark was 60,000
    assert cost + sum(gains.values()) == pytest.approx(60_000.0 - (PRICES[6] + 42.0))


def test_what_nobody_watched_counts_from_the_row_before() -> None:
    made = market({"binance.spot.BTC": [60_000.0, 61_000.0]})
    outcomes = UncertainGains(mode_of(), UtilityManager("USDT"))
    cost, gains = outcomes.known("strange", {key("binance:BaseToken:BTC"): 1.0}, made.window(1, 2))
    assert (cost, gains) == (60_000.0, {"delta": 1_000.0})


def test_what_is_uncertain_no_more_is_forgotten() -> None:
    made = market({"binance.spot.BTC": [60_000.0, 61_000.0]})
    outcomes = UncertainGains(mode_of(), UtilityManager("USDT"))
    lost = order(Verb.SPOT, "binance", "BTC", 1.0, id="lost")
    outcomes.advance(made.window(0, 1), {"lost": lost})
    assert list(outcomes.orders) == ["lost"]
    outcomes.advance(made.window(1, 2), {})
    assert outcomes.orders == {}
