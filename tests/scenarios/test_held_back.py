"""What a plan cannot cure is tried once and told once, and never forgotten while it grows worse; under every cut."""

from __future__ import annotations

from components.model.events import EventType
from components.model.requirements import HOUR_NS, Grid, requirements
from daemon.config.settings import load_run
from tests.scenarios import sketch
from tests.scenarios.play import deposit, play
from tests.scenarios.sketch import at
from venues.embedded import generate

LOPSIDED = "hedge_allocation={binance: 0.999, bybit: 0.001}"


def test_a_margin_that_one_lot_cannot_mend_does_not_ask_on_every_row() -> None:
    """0.001 of the hedge is some lots: no correction at bybit is above the minimum trade."""
    run = load_run("usdt_market_neutral_no_leverage", overrides=[LOPSIDED], environ={})
    market = generate(Grid(at(0), at(24 * 60), HOUR_NS), seed=7, names=requirements(run.mode))
    played = play("usdt_market_neutral_no_leverage", market, LOPSIDED, capital=200_000.0, cuts=(7,))

    assert len(played.groups) <= 25
    assert len(played.details(EventType.HELD_BACK)) <= 5
    assert -played.result.parts["transaction_costs"] <= 600.0


def rises() -> sketch.Sketch:
    """Bybit alone rises to a margin ratio below the band, later further, and never comes back."""
    drawn = sketch.btc(96)
    for kind in ("spot", "perp"):
        column = drawn.columns[f"bybit.{kind}.BTC"]
        column[20:50] *= 1.35
        column[50:] *= 1.5
    return drawn


def test_a_margin_that_nothing_can_mend_is_told_once_and_again_asked_when_it_is_a_quarter_worse() -> None:
    played = play("btc_basis", rises(), "minimum_trade_usdt=130000")

    (held,) = played.told(EventType.HELD_BACK)
    assert (played.row_of(held), held.venue, held.status) == (22, "bybit", "held back")  # the divergence came first
    assert held.detail == "margin_ratio: nothing above the minimum trade would mend it"
    assert played.decisions() == [(0, "entry_full", "entry: enter")]


def test_new_means_are_put_to_use_at_once() -> None:
    """The deposit is brought to target with all the rest, the margin that waited included."""
    played = play("btc_basis", rises(), "minimum_trade_usdt=130000", flows=[deposit(30, 900_000.0)])

    assert 30 in [row for row, _, _ in played.decisions()]
    assert played["margin_ratio.bybit"][32] > 0.5
