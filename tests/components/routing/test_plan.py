"""What all stages share: ids from content, small amounts, rounding, stale legs."""

from __future__ import annotations

import pytest
from msgspec import structs

from components.model.orders import Action, GroupKind, Verb
from components.routing.plan import REDUCE, Plan, Stage
from components.situation import Situation
from tests.builders import market, plan, run_of, run_with, situation

ETH_LINES = {
    "binance.spot.ETH": 2_000.0, "binance.perp.ETH": 2_000.0, "lido.ratio.wstETH": 1.25, "dex.ratio.wstETH": 1.24,
    "etherfi.ratio.weETH": 1.05, "dex.ratio.weETH": 1.04, "aave_v3.supply_index.wstETH": 1.0,
    "aave_v3.borrow_index.WETH": 1.0, "ethereum.gas_price.gwei": 20.0,
}  # fmt: skip
ETH = market(ETH_LINES, rows=1)
LEVERAGED = run_of("eth_leveraged")


def stage(now: Situation | None = None, *, owed: float = 0.0, **fields: object) -> Stage:
    return Stage(plan(**fields), now or situation(LEVERAGED, ETH, {}), "run", owed)  # type: ignore[arg-type]


def basis(**changes: object) -> Situation:
    return situation(run_with("btc_basis", **changes), market({"binance.spot.BTC": 60_000.0}), {})


def test_an_order_id_is_its_content() -> None:
    ids = [stage()._order(Verb.STAKE, "lido", "ETH", amount, "stake").id for amount in (1.0, 2.0)]
    assert ids[0] == ids[1]  # run, step, group and leg: a retry keeps its id whatever it rounds to
    assert len(ids[0]) == 28


def test_another_step_group_leg_or_run_is_another_id() -> None:
    here = stage()
    first = here._one(Verb.STAKE, "lido", "ETH", 1.0, "stake")
    second = here._one(Verb.STAKE, "lido", "ETH", 1.0, "stake")
    other_leg = stage()._one(Verb.STAKE, "lido", "ETH", 1.0, "other")
    other_step = Stage(Plan(action=Action.ENTRY_FULL, reason="", target=plan().target, step=2), here._now, "run", 0.0)
    other_run = Stage(plan(), here._now, "run2", 0.0)
    ids = {group.orders[0].id for group in (
        first, second, other_leg, other_step._one(Verb.STAKE, "lido", "ETH", 1.0, "stake"),
        other_run._one(Verb.STAKE, "lido", "ETH", 1.0, "stake"),
    )}  # fmt: skip
    assert len(ids) == 5
    assert (first.id, second.id) == ("run/1/1", "run/1/2")


def test_a_group_says_why_it_exists() -> None:
    group = stage(action=Action.EXIT_FULL)._one(Verb.STAKE, "lido", "ETH", 1.0, "stake", into="wstETH")
    assert (group.kind, group.action, group.reason) == (GroupKind.ONE, Action.EXIT_FULL, "a test")
    assert group.orders[0].into_token == "wstETH"


def test_a_transfer_names_both_ends() -> None:
    (order,) = stage()._transfer("binance", "wallet", "ETH", 2.0).orders
    assert (order.venue, order.source, order.target) == ("binance", "binance:BaseToken:ETH", "wallet:BaseToken:ETH")
    assert order.leg == "binance_to_wallet"


def test_minimum_sizes_hold_for_careful_plans_with_costs() -> None:
    assert stage()._minimum == 50.0
    assert stage(careful=False)._minimum == 1e-6
    assert stage(situation(run_with("eth_leveraged", costs="none"), ETH, {}))._minimum == 1e-6


def test_a_trade_must_also_exceed_the_minimum_of_its_venue_unless_it_reduces() -> None:
    careful = stage(basis())
    assert careful._smallest("binance", "perp", reduces=False) == 100.0
    assert careful._smallest("binance", "spot", reduces=False) == 50.0
    assert careful._smallest("binance", "perp", reduces=True) == 50.0
    assert stage(basis(costs="none"))._smallest("binance", "perp", reduces=False) == 1e-6
    assert stage(basis(), careful=False)._smallest("binance", "perp", reduces=False) == 100.0


def test_perps_are_rounded_to_their_lot_where_trading_costs() -> None:
    assert stage(basis())._round("binance", -0.12345) == -0.123
    assert stage(basis(costs="none"))._round("binance", -0.12345) == -0.12345


def test_a_fee_may_eat_all_of_a_transfer() -> None:
    assert not stage(basis())._arrives("okx", "USDT", 3.0)
    assert stage(basis(), careful=False)._arrives("okx", "USDT", 3.01)
    assert stage(basis())._arrives("wallet", "USDT", 0.01)
    assert stage(basis(costs="none"))._arrives("okx", "USDT", 0.01)


def test_what_can_wait_is_not_sent_near_its_fee() -> None:
    assert not stage(basis())._arrives("okx", "USDT", 30.0)
    assert stage(basis())._arrives("okx", "USDT", 30.01)


def test_a_payment_is_put_together_from_parts_that_are_worth_an_order() -> None:
    assert [stage(basis(), pay_out=asked)._minimum for asked in (80.0, 4_000.0, 100_000.0)] == [25.0, 40.0, 50.0]


def test_a_swap_costs_its_gas() -> None:
    assert stage()._swap_gas() == pytest.approx(180_000 * 20 / 1e9)
    assert stage(situation(run_with("eth_leveraged", costs="none"), ETH, {}))._swap_gas() == 0.0


def test_the_flash_source_and_its_premium_are_those_of_the_chain() -> None:
    dear = run_of("eth_leveraged")
    assert (stage()._mode_flash(), stage()._flash_premium()) == ("morpho", 0.0)

    dear = structs.replace(dear, chain=structs.replace(dear.chain, flash_venue="instadapp"))
    assert stage(situation(dear, ETH, {}))._flash_premium() == 0.0005
    free = structs.replace(dear, mode=structs.replace(dear.mode, costs="none"))
    assert stage(situation(free, ETH, {}))._flash_premium() == 0.0


@pytest.mark.parametrize(
    ("lst", "costs", "stale", "blocked"),
    [
        ("wstETH", "default", "dex.ratio.wstETH", True),
        ("wstETH", "default", "lido.ratio.wstETH", False),
        ("wstETH", "none", "lido.ratio.wstETH", True),
        ("weETH", "none", "etherfi.ratio.weETH", True),
        ("weETH", "default", "dex.ratio.weETH", True),
    ],
)
def test_an_exit_waits_for_the_ratio_it_is_done_at(lst: str, costs: str, stale: str, blocked: bool) -> None:
    run = run_with("eth_leveraged", lst_type=lst, costs=costs)
    here = stage(situation(run, market(ETH_LINES, rows=1, stale={stale: [0]}), {}))
    assert here._stale_exit() is blocked
    assert here.blocked is blocked
    assert here.skipped == ([f"stale {stale}"] if blocked else [])


def test_a_reason_is_kept_once() -> None:
    here = stage()
    for _ in range(3):
        here._skip("no cash")
        here._block("stale x")
    assert here.skipped == ["no cash", "stale x"]


def test_what_the_chain_still_wants() -> None:
    target = {"aave_v3:aToken:awstETH": 40.0, "aave_v3:debtToken:variableDebtWETH": 45.0}
    now = situation(LEVERAGED, ETH, {"aave_v3:aToken:awstETH": 8.0, "aave_v3:debtToken:variableDebtWETH": 9.0})
    assert stage(now, target=target)._chain_need() == pytest.approx((40 - 8) * 1.25 - (45 - 9))
    plain = situation(run_of("eth_staking_only"), ETH, {"wallet:BaseToken:wstETH": 3.0})
    assert stage(plain, target={"wallet:BaseToken:wstETH": 5.0})._chain_need() == pytest.approx(2.5)


def test_pairs_live_on_one_exchange_and_may_be_reduced_venue_by_venue() -> None:
    assert stage(basis())._is_pairs()
    assert not stage()._is_pairs()
    assert stage(basis(), scope=REDUCE, venues=("binance",))._venue_scope()
    assert not stage(basis(), scope=REDUCE)._venue_scope()
    assert not stage(venues=("binance",))._venue_scope()


def test_without_an_eth_price_a_coin_of_the_share_class_counts_as_one() -> None:
    assert stage(basis())._eth_usdt() == 1.0
    assert stage(basis())._eth_or_one() == 1.0
    assert stage()._eth_usdt() == 2_000.0
    assert stage()._eth_or_one() == 2_000.0
