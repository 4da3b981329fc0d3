"""Rewards come as KING, become tokens, are sold above a threshold; gas is owed, hedged and repaid."""

from __future__ import annotations

import numpy as np
import pytest

from components.model.events import EventType
from components.model.orders import Verb
from tests.scenarios import sketch
from tests.scenarios.play import Played, play

WEETH = ("lst_type=weETH", "rewards_mode=base_eigen_seasonal")
GAS = "gas:BaseToken:ETH"


def rewarded(hours: int = 24 * 8) -> sketch.Sketch:
    """EIGEN for the first three days, credited on the fourth; a little ETHFI a day later."""
    drawn = sketch.staked(hours, lst="weETH")
    drawn.reward("EIGEN", start=0, end=72, paid=96, per_eeth=0.5)
    return drawn.reward("ETHFI", start=0, end=72, paid=120, per_eeth=0.05)


def staked_only() -> Played:
    return play("eth_staking_only", rewarded(), *WEETH)


def test_a_reward_is_what_was_held_over_its_period() -> None:
    """All of (100 − 0.05) × 0.95 ETH staked on the first row; weETH × ratio averaged over the three days."""
    played = staked_only()

    units = (100.0 - 0.05) * 0.95 / 1.04
    ratio = played.market.column("etherfi.ratio.weETH")[:72].mean()
    eigen, ethfi = played.told(EventType.REWARD)
    assert (played.row_of(eigen), eigen.token, eigen.amount) == (
        96,
        "EIGEN",
        pytest.approx(0.5 * units * ratio, rel=1e-12),
    )
    assert (played.row_of(ethfi), ethfi.token, ethfi.amount) == (
        120,
        "ETHFI",
        pytest.approx(0.05 * units * ratio, rel=1e-12),
    )
    assert played["staking_yield_rewards"][96] == pytest.approx((eigen.amount or 0.0) * 0.001, rel=1e-12)


def test_dust_above_the_threshold_is_unwrapped_and_sold_and_dust_below_it_is_kept() -> None:
    """0.047 ETH of EIGEN against 0.0038 ETH of ETHFI at a threshold of 0.02 ETH."""
    played = staked_only()

    assert [d for d in played.decisions() if d[1] == "sell_dust"] == [(96, "sell_dust", "dust: dust above threshold")]
    assert [(t.verb, t.token) for t in played.trades_at(96)] == [(Verb.UNWRAP, "EIGEN"), (Verb.SWAP, "EIGEN")]
    assert played.balance("king:BaseToken:EIGEN") == played.balance("wallet:BaseToken:EIGEN") == 0.0
    assert played.balance("king:BaseToken:ETHFI") == pytest.approx(4.75, abs=0.01)
    assert played.balance("wallet:BaseToken:ETH", 96) > 0.04


def test_the_price_of_a_reward_that_is_kept_moves_the_dust_part() -> None:
    drawn = rewarded().line("uniswap.eth_price.ETHFI", {0: 0.0008, 130: 0.0008, 131: 0.0016})

    played = play("eth_staking_only", drawn, *WEETH)

    kept = played.balance("king:BaseToken:ETHFI")
    assert played["dust"][131] == pytest.approx(kept * 0.0008, rel=1e-9)
    assert played["dust"][:131].tolist() == [0.0] * 131


def test_a_usdt_class_sells_its_rewards_for_usdt() -> None:
    played = play("usdt_market_neutral", rewarded(), *WEETH)

    sold = [trade for trade in played.filled(Verb.SWAP) if trade.token == "EIGEN"]
    assert [played.market.timestamps.tolist().index(t.at) for t in sold] == [96]
    assert played.balance("wallet:BaseToken:USDT", 96) > 0.0
    assert played.balance("wallet:BaseToken:EIGEN") == 0.0


def test_rewards_need_weeth_and_a_mode_that_takes_them() -> None:
    assert not play("eth_staking_only", rewarded(), "lst_type=weETH").told(EventType.REWARD)
    tokens = [
        e.token
        for e in play("eth_staking_only", rewarded(), "lst_type=weETH", "rewards_mode=base_eigen").told(
            EventType.REWARD
        )
    ]
    assert tokens == ["EIGEN"]


def test_a_stale_reward_price_postpones_the_sale() -> None:
    played = play("eth_staking_only", rewarded().grows_stale("uniswap.eth_price.EIGEN", 90, 100), *WEETH)

    sold = [t for t in played.filled(Verb.SWAP) if t.token == "EIGEN"]
    assert "EIGEN: price is stale" in played.details(EventType.ENTRY_SKIPPED)
    assert len(sold) == 1
    assert sketch.at(100) < sold[0].at <= sketch.at(121)


def test_without_rebalancing_dust_is_kept() -> None:
    played = play("eth_staking_only", rewarded(), *WEETH, "rebalance=never")

    assert played.balance("king:BaseToken:EIGEN") > 40.0


def test_closing_sells_even_little_dust() -> None:
    played = play("eth_staking_only", rewarded(), *WEETH, close_at_end=True)

    assert played.balance("king:BaseToken:ETHFI") == played.balance("wallet:BaseToken:ETHFI") == 0.0


# Gas


def expensive(after: float) -> sketch.Sketch:
    """Gas at 6,000 gwei while the entry runs, then at `after`."""
    return sketch.staked(48).line("ethereum.gas_price.gwei", {0: 6_000.0, 1: 6_000.0, 2: after, 3: after})


def test_gas_of_a_usdt_class_is_a_debt_that_moves_with_eth() -> None:
    drawn = sketch.staked(24, {0: 3_000.0, 12: 3_000.0, 13: 3_300.0}).line("ethereum.gas_price.gwei", 100.0)

    played = play("pure_lending", drawn)

    assert played.balance(GAS) == pytest.approx(-0.0219, rel=1e-12)
    assert played["delta"][13] == pytest.approx(-0.0219 * 300.0, rel=1e-9)
    assert played["equity"][0] == pytest.approx(1_000_000.0 - 0.0219 * 3_000.0, rel=1e-12)


def test_a_gas_debt_is_hedged_with_the_rest() -> None:
    """0.66 ETH owed for staking: the shorts cover what is staked less that."""
    drawn = sketch.staked(24).line("ethereum.gas_price.gwei", 6_000.0)

    played = play("usdt_market_neutral_no_leverage", drawn, "gas_debt_limit=5")

    assert played.balance(GAS) == pytest.approx(-0.66, rel=1e-9)
    lst = played.balance("wallet:BaseToken:wstETH", 1) * played.market.column("lido.ratio.wstETH")[1]
    shorts = sum(played.balance(f"{venue}:Perp:ETHUSDT", 1) for venue in ("binance", "bybit", "okx"))
    assert -shorts == pytest.approx(lst - 0.66, abs=0.03)


@pytest.mark.parametrize("mode", ["pure_lending", "usdt_market_neutral_no_leverage"])
def test_a_gas_debt_above_its_limit_is_repaid_once(mode: str) -> None:
    played = play(mode, expensive(after=50.0))

    (swap,) = played.filled(Verb.SWAP)
    assert (swap.token, swap.venue) == ("USDT", "uniswap")
    assert swap.changes[GAS] > 0.5
    assert played[f"balance.{GAS}"].min() < -0.5
    assert abs(played.balance(GAS)) < 0.03
    assert [d[2] for d in played.decisions() if "gas" in d[2]] == ["deviation: gas_debt"]


def test_a_gas_debt_below_its_limit_is_left_alone() -> None:
    played = play("usdt_market_neutral_no_leverage", sketch.staked(24).line("ethereum.gas_price.gwei", 4_000.0))

    assert -0.5 < played.balance(GAS) < -0.4
    assert not played.filled(Verb.SWAP)


def test_dear_gas_is_not_repaid_with_dearer_gas_over_and_over() -> None:
    """At 3,000 gwei the repaying swap alone costs 0.54 ETH."""
    played = play("pure_lending", sketch.staked(48).line("ethereum.gas_price.gwei", 3_000.0))

    assert len(played.filled(Verb.SWAP)) <= 1
    assert played.result.final_equity > 990_000.0


def test_the_eth_class_pays_gas_from_its_reserve_and_never_owes_any() -> None:
    drawn = sketch.staked(24 * 3).line("ethereum.gas_price.gwei", 300.0)

    played = play("eth_staking_only", drawn)

    assert played[f"balance.{GAS}"][0] == pytest.approx(0.05 - 0.033, rel=1e-9)
    assert np.diff(played["equity"]).min() > -0.001


def test_a_low_gas_reserve_is_topped_up_from_cash_at_hand() -> None:
    drawn = sketch.staked(24 * 3).line("ethereum.gas_price.gwei", 400.0)

    played = play("eth_staking_only", drawn)

    assert played[f"balance.{GAS}"][0] == pytest.approx(0.006, abs=1e-9)
    assert played.balance(GAS) == pytest.approx(0.05, rel=1e-9)
    assert ("deviation: gas_reserve") in [d[2] for d in played.decisions()]


@pytest.mark.parametrize("mode", ["eth_staking_only", "eth_leveraged"])
@pytest.mark.parametrize("gwei", [300.0, 700.0, 3_000.0])
def test_gas_that_is_not_there_is_put_by_before_a_transaction_and_never_owed(mode: str, gwei: float) -> None:
    """At 700 gwei a stake costs 0.077 ETH and 0.05 are kept; a close at the end pays the same again."""
    played = play(mode, sketch.staked(48).line("ethereum.gas_price.gwei", gwei), close_at_end=True)

    assert played[f"balance.{GAS}"].min() >= 0.0
    assert played.balance("wallet:BaseToken:wstETH") == played.balance("aave_v3:aToken:awstETH") == 0.0
