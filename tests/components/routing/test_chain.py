"""Chain stages: lending, staking, and leverage entered and left in one transaction."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from components.model.orders import Action, GroupKind, Order, Verb
from components.model.slices import RunSlice
from components.routing.chain import ChainStage
from components.routing.plan import REDUCE
from tests.builders import Line, market, plan, run_with, situation

LINES: dict[str, Line] = {
    "binance.spot.ETH": 2_000.0, "lido.ratio.wstETH": 1.25, "dex.ratio.wstETH": 1.25, "etherfi.ratio.weETH": 1.0,
    "dex.ratio.weETH": 1.0, "aave_v3.supply_index.wstETH": 1.0, "aave_v3.borrow_index.WETH": 1.0,
    "aave_v3.supply_index.USDT": 1.25, "ethereum.gas_price.gwei": 20.0,
}  # fmt: skip
LENDING = run_with("pure_lending")
PLAIN = run_with("eth_staking_only")
LEVERAGED = run_with("eth_leveraged", max_ltv=0.8, max_stake_spread_move=0.0)
HELD, OWED = "aave_v3:aToken:awstETH", "aave_v3:debtToken:variableDebtWETH"


def stage(
    run: RunSlice, held: dict[str, float], target: dict[str, float], *, owed: float = 0.0, stale: str = "", **more: Any
) -> ChainStage:
    made = market(LINES, rows=1, stale={stale: [0]} if stale else None)
    return ChainStage(plan(target, **more), situation(run, made, held), "run", owed)


def freed(run: RunSlice, held: dict[str, float], target: dict[str, float], **more: Any) -> list[Order]:
    return [order for group in stage(run, held, target, **more)._free_on_chain() for order in group.orders]


def worked(run: RunSlice, held: dict[str, float], target: dict[str, float], **more: Any) -> list[Order]:
    return [order for group in stage(run, held, target, **more)._work_on_chain() for order in group.orders]


def amounts(orders: list[Order]) -> dict[str, Any]:
    return {order.leg: pytest.approx(order.amount) for order in orders}


# Lending


def test_cash_in_the_wallet_is_supplied_up_to_the_target() -> None:
    cash = {"wallet:BaseToken:USDT": 1_000.0, "aave_v3:aToken:aUSDT": 400.0}  # 500 with interest
    assert amounts(worked(LENDING, cash, {"aave_v3:aToken:aUSDT": 1_200.0})) == {"supply_usdt": 700.0}
    assert amounts(worked(LENDING, cash, {"aave_v3:aToken:aUSDT": 9_000.0})) == {"supply_usdt": 1_000.0}


def test_cash_that_is_owed_is_not_supplied() -> None:
    cash = {"wallet:BaseToken:USDT": 1_000.0}
    assert amounts(worked(LENDING, cash, {"aave_v3:aToken:aUSDT": 9_000.0}, owed=300.0)) == {"supply_usdt": 700.0}
    assert worked(LENDING, cash, {"aave_v3:aToken:aUSDT": 9_000.0}, owed=980.0) == []


def test_what_is_lent_beyond_the_target_is_withdrawn() -> None:
    (part,) = freed(LENDING, {"aave_v3:aToken:aUSDT": 800.0}, {"aave_v3:aToken:aUSDT": 900.0})
    assert (part.verb, part.amount, part.everything) == (Verb.WITHDRAW, 100.0, False)
    (whole,) = freed(LENDING, {"aave_v3:aToken:aUSDT": 800.0}, {})
    assert (whole.amount, whole.everything) == (1_000.0, True)
    assert freed(LENDING, {"aave_v3:aToken:aUSDT": 800.0}, {"aave_v3:aToken:aUSDT": 951.0}) == []


# Staking


def test_eth_in_the_wallet_is_staked_with_its_protocol() -> None:
    (stake,) = worked(PLAIN, {"wallet:BaseToken:ETH": 10.0}, {"wallet:BaseToken:wstETH": 4.0})
    assert (stake.verb, stake.venue, stake.amount, stake.into_token) == (Verb.STAKE, "lido", 5.0, "wstETH")
    other = run_with("eth_staking_only", lst_type="weETH")
    (stake,) = worked(other, {"wallet:BaseToken:ETH": 3.0}, {"wallet:BaseToken:weETH": 4.0})
    assert (stake.venue, stake.amount, stake.into_token) == ("etherfi", 3.0, "weETH")


def test_little_is_not_staked() -> None:
    assert worked(PLAIN, {"wallet:BaseToken:ETH": 0.024}, {"wallet:BaseToken:wstETH": 4.0}) == []


def test_a_stale_ratio_stops_staking() -> None:
    here = stage(PLAIN, {"wallet:BaseToken:ETH": 9.0}, {"wallet:BaseToken:wstETH": 4.0}, stale="lido.ratio.wstETH")
    assert list(here._work_on_chain()) == []
    assert (here.blocked, here.skipped) == (True, ["stale lido.ratio.wstETH"])


def test_staked_eth_is_sold_on_the_market_or_queued() -> None:
    (sold,) = freed(PLAIN, {"wallet:BaseToken:wstETH": 8.0}, {"wallet:BaseToken:wstETH": 6.0})
    assert (sold.verb, sold.venue, sold.amount, sold.into_token, sold.everything) == (
        Verb.SWAP, "uniswap", 2.0, "ETH", False,
    )  # fmt: skip
    queue = run_with("eth_staking_only", exit_path="queue")
    (queued,) = freed(queue, {"wallet:BaseToken:wstETH": 8.0}, {})
    assert (queued.verb, queued.venue, queued.amount, queued.everything) == (Verb.REQUEST_UNSTAKE, "lido", 8.0, True)
    ether = run_with("eth_staking_only", exit_path="queue", lst_type="weETH")
    assert freed(ether, {"wallet:BaseToken:weETH": 8.0}, {})[0].venue == "etherfi"


def test_a_market_exit_waits_for_the_market_ratio_and_a_queue_does_not() -> None:
    here = stage(PLAIN, {"wallet:BaseToken:wstETH": 8.0}, {}, stale="dex.ratio.wstETH")
    assert list(here._free_on_chain()) == []
    assert here.blocked
    queue = run_with("eth_staking_only", exit_path="queue")
    assert freed(queue, {"wallet:BaseToken:wstETH": 8.0}, {}, stale="dex.ratio.wstETH") != []


def test_a_reduction_of_one_venue_leaves_the_chain_alone() -> None:
    basis = run_with("btc_basis")
    made = market({"binance.spot.BTC": 1.0})
    here = ChainStage(plan({}, venues=("okx",), scope=REDUCE), situation(basis, made, {}), "run", 0.0)
    assert list(here._free_on_chain()) == []
    assert list(here._work_on_chain()) == []


# Leverage


def entered(held: dict[str, float], target: dict[str, float], run: RunSlice = LEVERAGED, **more: Any) -> list[Order]:
    groups = list(stage(run, held, target, **more)._work_on_chain())
    assert [group.kind for group in groups] == [GroupKind.ATOMIC] * len(groups)
    return [order for group in groups for order in group.orders]


def test_leverage_is_entered_with_a_flash_loan() -> None:
    # 10 ETH of equity at 80 %: 50 ETH of collateral against 40 of debt.
    orders = entered({"wallet:BaseToken:ETH": 10.0}, {HELD: 40.0, OWED: 40.0})
    assert [(one.leg, one.venue, one.token) for one in orders] == [
        ("flash_borrow", "morpho", "WETH"), ("stake", "lido", "ETH"), ("supply_lst", "aave_v3", "wstETH"),
        ("borrow", "aave_v3", "WETH"), ("flash_repay", "morpho", "WETH"),
    ]  # fmt: skip
    assert amounts(orders) == {
        "flash_borrow": 40.0, "stake": 50.0, "supply_lst": 40.0, "borrow": 40.0, "flash_repay": 40.0,
    }  # fmt: skip
    assert [one.everything for one in orders] == [False, False, True, False, False]


def test_the_premium_of_the_loan_is_paid_from_what_is_borrowed() -> None:
    dear = structs.replace(LEVERAGED, chain=structs.replace(LEVERAGED.chain, flash_venue="instadapp"))
    got = {one.leg: one.amount for one in entered({"wallet:BaseToken:ETH": 10.0}, {HELD: 40.0, OWED: 40.0}, run=dear)}
    loan = got["flash_borrow"]
    assert got["stake"] == pytest.approx(10.0 + loan * (1 - 0.0005))
    assert got["flash_repay"] == pytest.approx(loan * 1.0005)
    assert loan / (got["supply_lst"] * 1.25) == pytest.approx(0.8)  # exactly the target LTV


def test_what_has_arrived_decides_how_much_is_levered() -> None:
    orders = entered({"wallet:BaseToken:ETH": 4.0}, {HELD: 40.0, OWED: 40.0})
    assert amounts(orders)["flash_borrow"] == pytest.approx(16.0)
    assert amounts(orders)["stake"] == pytest.approx(20.0)


def test_collateral_that_has_grown_is_levered_up_without_own_eth() -> None:
    orders = entered({HELD: 44.0, OWED: 40.0}, {HELD: 60.0, OWED: 60.0})
    # 55 of collateral carries 60 of debt at 75: 0.8 × 75
    assert amounts(orders)["flash_borrow"] == pytest.approx(20.0)
    assert amounts(orders)["supply_lst"] == pytest.approx(16.0)


def test_a_little_more_debt_alone_is_left_alone() -> None:
    assert entered({HELD: 40.1, OWED: 40.0}, {HELD: 40.5, OWED: 40.5}) == []


def test_without_eth_to_put_in_nothing_is_entered() -> None:
    assert entered({}, {HELD: 40.0, OWED: 40.0}) == []
    assert entered({HELD: 40.0, OWED: 40.0}, {HELD: 40.0, OWED: 40.0}) == []


def test_a_target_with_less_debt_is_no_entry() -> None:
    assert entered({HELD: 40.0, OWED: 40.0, "wallet:BaseToken:ETH": 5.0}, {HELD: 44.0, OWED: 30.0}) == []


def test_own_eth_beyond_the_leverage_goes_in_without_a_loan() -> None:
    orders = entered({HELD: 40.0, OWED: 41.0, "wallet:BaseToken:ETH": 0.5}, {HELD: 40.4, OWED: 41.0})
    assert [one.leg for one in orders] == ["stake", "supply_lst"]
    assert orders[0].amount == pytest.approx(0.5)


def left(held: dict[str, float], target: dict[str, float], **more: Any) -> list[Order]:
    groups = list(stage(LEVERAGED, held, target, action=Action.EXIT_PARTIAL, scope=REDUCE, **more)._free_on_chain())
    assert [group.kind for group in groups] == [GroupKind.ATOMIC] * len(groups)
    return [order for group in groups for order in group.orders]


def test_leverage_is_left_with_a_flash_loan() -> None:
    orders = left({HELD: 40.0, OWED: 40.0}, {HELD: 20.0, OWED: 20.0})
    assert [one.leg for one in orders] == ["flash_borrow", "repay", "withdraw_lst", "swap_lst", "flash_repay"]
    got = amounts(orders)
    assert (got["flash_borrow"], got["repay"], got["flash_repay"]) == (20.0, 20.0, 20.0)
    assert got["withdraw_lst"] == got["swap_lst"] == 20.0
    assert not any(one.everything for one in orders)


def test_what_is_withdrawn_pays_the_loan_back_at_the_market() -> None:
    """Debt alone is reduced: as much collateral is sold as its repayment costs."""
    orders = left({HELD: 40.0, OWED: 40.0}, {HELD: 40.0, OWED: 20.0})
    now = situation(LEVERAGED, market(LINES, rows=1), {})
    sold = {one.leg: one.amount for one in orders}["swap_lst"]
    assert 20.0 <= sold * now.exit_rate(sold) <= 20.0 * (1 + 1e-8)


def test_all_of_it_is_left_whole() -> None:
    orders = left({HELD: 40.0, OWED: 40.0}, {})
    assert {one.leg for one in orders if one.everything} == {"repay", "withdraw_lst", "swap_lst"}
    assert amounts(orders)["withdraw_lst"] == 40.0


def test_collateral_without_debt_needs_no_loan() -> None:
    orders = left({HELD: 40.0}, {HELD: 10.0})
    assert amounts(orders) == {"withdraw_lst": 30.0, "swap_lst": 30.0}


def test_no_more_collateral_is_withdrawn_than_is_there() -> None:
    orders = left({HELD: 10.0, OWED: 12.49}, {})
    assert amounts(orders)["withdraw_lst"] == 10.0


def test_little_or_growing_is_not_left() -> None:
    assert left({HELD: 40.0, OWED: 40.0}, {HELD: 39.99, OWED: 39.99}) == []
    assert left({HELD: 40.0, OWED: 40.0}, {HELD: 30.0, OWED: 41.0}) == []


def test_leverage_is_not_left_on_a_stale_ratio() -> None:
    here = stage(LEVERAGED, {HELD: 40.0, OWED: 40.0}, {}, stale="dex.ratio.wstETH", scope=REDUCE)
    assert list(here._free_on_chain()) == []
    assert here.blocked
