"""The simulated chain, in numbers worked out by hand.

Prices that divide well: ETH 2,000 USDT, wstETH 1.25 ETH by Lido and 1.2 on the market, collateral index 1.25, debt
index 2, gas 10 gwei (110,000 units = 0.0011 ETH).
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest

from components.model.events import EventType
from components.model.orders import Cost, CostKind, GroupKind, Order, Trade, TradeStatus, Verb
from components.model.requirements import DAY_NS
from tests.scenarios.sketch import START, Sketch
from tests.venues.sim.desk import COLLATERAL, DEBT, ETH, GAS, USDT, WSTETH, Desk, atomic, near, order

FREE_POOL = "venues.uniswap.pairs.wstETH/ETH={fee: 0, impact: {base: 0, slope: 0, ceiling: 0}}"
HALF = "venues.uniswap.pairs.wstETH/ETH={fee: 0.01, impact: {base: 0.02, slope: 0, ceiling: 0.02}}"


def chain_sketch(rows: int = 2) -> Sketch:
    sketch = Sketch(rows).line("binance.spot.ETH", 2_000.0).line("ethereum.gas_price.gwei", 10.0)
    sketch.line("lido.ratio.wstETH", 1.25).line("dex.ratio.wstETH", 1.2)
    sketch.line("aave_v3.supply_index.wstETH", 1.25).line("aave_v3.borrow_index.WETH", 2.0)
    sketch.line("aave_v3.supply_index.USDT", 1.25)
    return sketch.line("uniswap.eth_price.EIGEN", 0.002).line("uniswap.eth_price.ETHFI", 0.001)


def desk(
    balances: Mapping[str, float], *overrides: str, mode: str = "eth_leveraged", sketch: Sketch | None = None
) -> Desk:
    return Desk(mode, sketch or chain_sketch(), balances, *overrides)


def costs(trade: Trade) -> list[tuple[str, str, float]]:
    return [(cost.kind.value, cost.token, cost.amount) for cost in trade.costs]


# Single operations


def test_staking_gives_lst_at_the_protocol_ratio_and_pays_gas() -> None:
    trade = desk({ETH: 10.0, GAS: 0.05}).one(order(Verb.STAKE, "lido", "ETH", 10.0))

    assert trade.status is TradeStatus.FILLED
    assert trade.changes == {ETH: -10.0, WSTETH: near(8.0), GAS: near(-0.0011)}
    assert (trade.quantity, trade.price) == (near(8.0), 1.25)
    assert costs(trade) == [("gas", "ETH", near(0.0011))]


def test_staking_more_than_the_wallet_holds_is_refused() -> None:
    assert desk({ETH: 9.0}).refuses(order(Verb.STAKE, "lido", "ETH", 10.0)) == f"needs 10.0 of {ETH}, has 9.0"


def test_supply_keeps_the_scaled_balance_and_the_first_one_costs_more_gas() -> None:
    at = desk({WSTETH: 8.0})

    first = at.one(order(Verb.SUPPLY, "aave_v3", "wstETH", 5.0))
    second = at.one(order(Verb.SUPPLY, "aave_v3", "wstETH", 3.0, everything=True))

    assert first.changes == {WSTETH: -5.0, COLLATERAL: near(4.0), GAS: near(-0.00219)}
    assert second.changes == {WSTETH: -3.0, COLLATERAL: near(2.4), GAS: near(-0.00126)}


def test_usdt_is_supplied_and_withdrawn_by_its_own_index() -> None:
    at = desk({USDT: 1_000.0}, mode="pure_lending")
    held = "aave_v3:aToken:aUSDT"

    assert at.one(order(Verb.SUPPLY, "aave_v3", "USDT", 1_000.0)).changes[held] == near(800.0)
    some = at.one(order(Verb.WITHDRAW, "aave_v3", "USDT", 500.0))

    assert some.changes == {held: near(-400.0), USDT: near(500.0), GAS: near(-0.00117)}


def test_withdrawing_everything_takes_the_whole_scaled_balance_whatever_the_amount_says() -> None:
    at = desk({COLLATERAL: 4.0})

    trade = at.one(order(Verb.WITHDRAW, "aave_v3", "wstETH", 1.0, everything=True))

    assert trade.changes == {COLLATERAL: -4.0, WSTETH: near(5.0), GAS: near(-0.00117)}


def test_withdrawing_more_than_was_supplied_is_refused() -> None:
    assert desk({COLLATERAL: 4.0}).refuses(order(Verb.WITHDRAW, "aave_v3", "wstETH", 5.01)).startswith("needs 4.00")


def test_borrowing_books_scaled_debt_and_hands_out_weth_as_eth() -> None:
    trade = desk({COLLATERAL: 8.0}).one(order(Verb.BORROW, "aave_v3", "WETH", 11.0))

    assert trade.changes == {DEBT: near(5.5), ETH: 11.0, GAS: near(-0.00261)}


def test_borrowing_stops_at_the_e_mode_ltv() -> None:
    """Collateral 8 × 1.25 × 1.25 = 12.5 ETH carries 0.93 × 12.5 = 11.625."""
    assert desk({COLLATERAL: 8.0}).one(order(Verb.BORROW, "aave_v3", "WETH", 11.625)).status is TradeStatus.FILLED
    assert desk({COLLATERAL: 8.0}).refuses(order(Verb.BORROW, "aave_v3", "WETH", 11.626)) == "LTV 0.9301 above 0.93"


def test_repaying_takes_eth_and_never_more_than_is_owed() -> None:
    at = desk({DEBT: 5.0, ETH: 20.0})

    some = at.one(order(Verb.REPAY, "aave_v3", "WETH", 4.0))
    assert some.changes == {DEBT: near(-2.0), ETH: near(-4.0), GAS: near(-0.00136)}
    assert at.refuses(order(Verb.REPAY, "aave_v3", "WETH", 6.1)).startswith("needs 3.05")
    rest = at.one(order(Verb.REPAY, "aave_v3", "WETH", 6.1, everything=True))
    assert rest.changes == {DEBT: -3.0, ETH: near(-6.0), GAS: near(-0.00136)}
    assert at.of(DEBT) == 0.0


def test_repaying_without_the_eth_is_refused() -> None:
    assert desk({DEBT: 5.0, ETH: 3.0}).refuses(order(Verb.REPAY, "aave_v3", "WETH", 4.0)) == "1.0 ETH short"


def test_collateral_leaves_as_long_as_the_health_factor_stays_above_1() -> None:
    """Debt 10 at a threshold of 0.95 needs collateral of 10.5263 ETH = 8.4211 wstETH; 10 are there."""
    at = desk({COLLATERAL: 8.0, DEBT: 5.0})

    assert at.refuses(order(Verb.WITHDRAW, "aave_v3", "wstETH", 1.58)) == "LTV 0.9501 above 0.95"
    assert at.one(order(Verb.WITHDRAW, "aave_v3", "wstETH", 1.57)).status is TradeStatus.FILLED


def test_a_flash_loan_cannot_be_taken_outside_a_transaction_that_repays_it() -> None:
    assert (
        desk({}).refuses(order(Verb.FLASH_BORROW, "morpho", "WETH", 5.0)).startswith("the flash loan is not paid back")
    )


def test_unwrapping_turns_king_into_the_token_inside() -> None:
    sketch = chain_sketch().line("etherfi.ratio.weETH", 1.05).line("dex.ratio.weETH", 1.05)
    at = desk(
        {"king:BaseToken:EIGEN": 7.0},
        "lst_type=weETH",
        "rewards_mode=base_eigen",
        mode="eth_staking_only",
        sketch=sketch,
    )

    trade = at.one(order(Verb.UNWRAP, "wallet", "EIGEN", 7.0))

    assert trade.changes == {"king:BaseToken:EIGEN": -7.0, "wallet:BaseToken:EIGEN": 7.0, GAS: near(-0.0015)}


def test_paying_out_takes_cash_from_the_purse_it_names() -> None:
    at = desk({"reserve:BaseToken:ETH": 5.0, ETH: 1.0})

    trade = at.one(order(Verb.PAY_OUT, "wallet", "ETH", 2.0, source="reserve:BaseToken:ETH"))

    assert trade.changes == {"reserve:BaseToken:ETH": -2.0, GAS: near(-0.00065)}
    assert at.refuses(order(Verb.PAY_OUT, "wallet", "ETH", 2.0)).startswith("needs 2.0")


def test_the_chain_trades_no_perps() -> None:
    assert desk({}).refuses(order(Verb.PERP, "aave_v3", "ETH", 2.0)) == "aave_v3 does not do perp"


def test_costs_none_pays_no_gas() -> None:
    trade = desk({ETH: 10.0}, "costs=none").one(order(Verb.STAKE, "lido", "ETH", 10.0))

    assert (trade.changes, trade.costs) == ({ETH: -10.0, WSTETH: near(8.0)}, ())


# Swaps and the queue


def test_an_lst_is_sold_at_the_market_ratio_less_fee_and_impact_and_valued_at_the_protocol() -> None:
    """10 × 1.2 × 0.99 × 0.98 = 11.6424 ETH for what the books hold at 12.5."""
    trade = desk({WSTETH: 10.0}, HALF).one(order(Verb.SWAP, "uniswap", "wstETH", 10.0, into_token="ETH"))

    assert trade.changes == {WSTETH: -10.0, ETH: near(11.6424), GAS: near(-0.0018)}
    assert costs(trade) == [("slippage", "ETH", near(12.5 - 11.6424)), ("gas", "ETH", near(0.0018))]


def test_without_fee_and_impact_the_discount_alone_remains() -> None:
    trade = desk({WSTETH: 10.0}, FREE_POOL).one(order(Verb.SWAP, "uniswap", "wstETH", 10.0, into_token="ETH"))

    assert trade.changes[ETH] == near(12.0)


def test_costs_none_swaps_at_the_protocol_ratio() -> None:
    trade = desk({WSTETH: 10.0}, "costs=none").one(order(Verb.SWAP, "uniswap", "wstETH", 10.0, into_token="ETH"))

    assert trade.changes == {WSTETH: -10.0, ETH: near(12.5)}


def test_usdt_buys_eth_for_gas_straight_into_the_gas_purse() -> None:
    """2,000 USDT buy 1 ETH less 5 bp fee and an impact of 2 bp + 8 bp × √0.002."""
    at = desk({USDT: 2_500.0, GAS: -0.5}, mode="pure_lending")

    trade = at.one(order(Verb.SWAP, "uniswap", "USDT", 2_000.0, into_token="ETH", source=USDT, target=GAS))

    got = 0.9995 * (1.0 - 0.0002 - 0.0008 * 0.002**0.5)
    assert trade.changes == {USDT: -2_000.0, GAS: near(got - 0.0018)}


def test_a_reward_token_is_sold_for_usdt_through_its_eth_price() -> None:
    """1,000 EIGEN × 0.002 ETH × 2,000 = 4,000 USDT; fee 30 bp, impact 10 bp + 200 bp × √0.004."""
    sketch = chain_sketch().line("binance.perp.ETH", 2_000.0)
    at = desk({"wallet:BaseToken:EIGEN": 1_000.0}, mode="usdt_market_neutral", sketch=sketch)

    trade = at.one(order(Verb.SWAP, "uniswap", "EIGEN", 1_000.0, into_token="USDT"))

    got = 4_000.0 * 0.997 * (1.0 - 0.001 - 0.02 * 0.004**0.5)
    assert trade.changes[USDT] == near(got)
    assert costs(trade)[0] == ("slippage", "USDT", near(4_000.0 - got))


def test_a_swap_of_what_is_not_there_is_refused() -> None:
    assert (
        desk({WSTETH: 9.0})
        .refuses(order(Verb.SWAP, "uniswap", "wstETH", 10.0, into_token="ETH"))
        .startswith("needs 10.0")
    )


def test_the_exit_queue_pays_the_protocol_ratio_days_later() -> None:
    at = desk({WSTETH: 8.0}, "exit_path=queue", "exit_queue_days=3")

    trade = at.one(order(Verb.REQUEST_UNSTAKE, "lido", "wstETH", 8.0, into_token="ETH"))

    assert trade.changes == {WSTETH: -8.0, "transit:BaseToken:ETH": near(10.0), GAS: near(-0.002)}
    assert trade.in_flight is not None
    assert trade.in_flight.arrives_at == START + 3 * DAY_NS
    assert (trade.in_flight.source, trade.in_flight.target, trade.in_flight.amount) == (WSTETH, ETH, near(10.0))


@pytest.mark.parametrize("override", ["costs=none", "exit_queue_days=0"])
def test_a_queue_of_no_days_pays_at_once(override: str) -> None:
    trade = desk({WSTETH: 8.0}, "exit_path=queue", override).one(order(Verb.REQUEST_UNSTAKE, "lido", "wstETH", 8.0))

    assert trade.in_flight is None
    assert trade.changes[ETH] == near(10.0)


# Atomic groups


def entry(flash: float, own: float, venue: str = "morpho", premium: float = 0.0) -> tuple[Order, ...]:
    stake = own + flash * (1.0 - premium)
    return (
        order(Verb.FLASH_BORROW, venue, "WETH", flash),
        order(Verb.STAKE, "lido", "ETH", stake),
        order(Verb.SUPPLY, "aave_v3", "wstETH", stake / 1.25, everything=True),
        order(Verb.BORROW, "aave_v3", "WETH", flash),
        order(Verb.FLASH_REPAY, venue, "WETH", flash * (1.0 + premium)),
    )


def exit_(repay: float, units: float, venue: str = "morpho", premium: float = 0.0) -> tuple[Order, ...]:
    return (
        order(Verb.FLASH_BORROW, venue, "WETH", repay),
        order(Verb.REPAY, "aave_v3", "WETH", repay),
        order(Verb.WITHDRAW, "aave_v3", "wstETH", units),
        order(Verb.SWAP, "uniswap", "wstETH", units, into_token="ETH"),
        order(Verb.FLASH_REPAY, venue, "WETH", repay * (1.0 + premium)),
    )


def test_an_atomic_entry_leverages_in_one_transaction() -> None:
    """10 ETH of our own and 90 borrowed: collateral 100 ETH, debt 90, LTV 0.9; gas 538,000 units once."""
    at = desk({ETH: 10.0, GAS: 0.05})

    trades = at.does(*entry(90.0, 10.0), kind=GroupKind.ATOMIC)

    assert [trade.status for trade in trades] == [TradeStatus.FILLED] * 5
    assert at.of(COLLATERAL) * 1.25 * 1.25 == near(100.0)
    assert at.of(DEBT) * 2.0 == near(90.0)
    assert at.of(ETH) == near(0.0)
    assert at.of(WSTETH) == near(0.0)
    assert at.of(GAS) == near(0.05 - 0.00538)
    assert [costs(trade) for trade in trades] == [[("gas", "ETH", near(0.00538))], [], [], [], []]


def test_an_atomic_exit_repays_withdraws_and_sells_in_one_transaction() -> None:
    """All 8 × 1.25 = 10 wstETH sold at 1.2 give 12 ETH; 9 repay the debt, 3 are left."""
    at = desk({COLLATERAL: 8.0, DEBT: 4.5}, FREE_POOL)

    at.does(*exit_(9.0, 10.0), kind=GroupKind.ATOMIC)

    assert at.of(DEBT) == at.of(COLLATERAL) == 0.0
    assert at.of(ETH) == near(3.0)
    assert at.of(GAS) == near(-0.00496)


def test_instadapp_takes_five_basis_points() -> None:
    at = desk({ETH: 10.0}, "venues.alchemy.flash_venue=instadapp")

    trades = at.does(*entry(80.0, 10.0, "instadapp", 0.0005), kind=GroupKind.ATOMIC)

    assert at.of(COLLATERAL) * 1.25 * 1.25 == near(89.96)
    assert at.of(ETH) == near(0.0)
    assert costs(trades[4]) == [("flash_premium", "ETH", near(0.04))]
    assert at.of(GAS) == near(-0.00593)


def test_a_flash_loan_without_its_premium_is_not_paid_back() -> None:
    at = desk({ETH: 10.0}, "venues.alchemy.flash_venue=instadapp")

    reason = at.refuses(*entry(80.0, 10.0, "instadapp", 0.0), kind=GroupKind.ATOMIC)

    assert reason.startswith("the flash loan is not paid back")


def _without(orders: tuple[Order, ...], verb: Verb) -> tuple[Order, ...]:
    return tuple(order for order in orders if order.verb is not verb)


def _with_amount(orders: tuple[Order, ...], verb: Verb, amount: float) -> tuple[Order, ...]:
    return tuple(msgspec.structs.replace(o, amount=amount, everything=False) if o.verb is verb else o for o in orders)


ENTRY, EXIT = entry(90.0, 10.0), exit_(9.0, 10.0)
BROKEN = {
    "entry: the flash loan is smaller than the stake needs": _with_amount(ENTRY, Verb.FLASH_BORROW, 80.0),
    "entry: stakes more than there is": _with_amount(ENTRY, Verb.STAKE, 101.0),
    "entry: supplies more than was staked": _with_amount(ENTRY, Verb.SUPPLY, 81.0),
    "entry: supplies less, so the LTV is too high": _with_amount(ENTRY, Verb.SUPPLY, 77.0),
    "entry: borrows beyond the LTV": _with_amount(ENTRY, Verb.BORROW, 94.0),
    "entry: borrows too little to repay": _with_amount(ENTRY, Verb.BORROW, 89.0),
    "entry: repays less than the loan": _with_amount(ENTRY, Verb.FLASH_REPAY, 89.0),
    "entry: repays more than there is": _with_amount(ENTRY, Verb.FLASH_REPAY, 91.0),
    "entry: never repays": _without(ENTRY, Verb.FLASH_REPAY),
    "exit: repays more debt than there is": _with_amount(EXIT, Verb.REPAY, 9.1),
    "exit: leaves debt without collateral": _with_amount(EXIT, Verb.REPAY, 8.0),
    "exit: withdraws more than there is": _with_amount(EXIT, Verb.WITHDRAW, 10.1),
    "exit: sells more than was withdrawn": _with_amount(EXIT, Verb.SWAP, 10.1),
    "exit: sells too little to repay": _with_amount(EXIT, Verb.SWAP, 7.0),
    "exit: repays less than the loan": _with_amount(EXIT, Verb.FLASH_REPAY, 8.9),
    "exit: never repays": _without(EXIT, Verb.FLASH_REPAY),
}


@pytest.mark.parametrize("story", BROKEN)
def test_when_one_step_fails_nothing_of_the_group_has_happened(story: str) -> None:
    balances = {ETH: 10.0} if story.startswith("entry") else {COLLATERAL: 8.0, DEBT: 4.5}

    reason = desk(balances, FREE_POOL).refuses(*BROKEN[story], kind=GroupKind.ATOMIC)

    assert reason


@pytest.mark.parametrize("broken", range(5))
@pytest.mark.parametrize("orders", [ENTRY, EXIT], ids=["entry", "exit"])
def test_a_step_that_the_chain_cannot_do_undoes_the_others(orders: tuple[Order, ...], broken: int) -> None:
    """Each step in turn becomes one of another world; nothing is ever left half done."""
    steps = list(orders)
    steps[broken] = order(Verb.PERP, "binance", "ETH", 1.0)

    at = desk({ETH: 10.0} if orders is ENTRY else {COLLATERAL: 8.0, DEBT: 4.5}, FREE_POOL)
    assert at.refuses(*steps, kind=GroupKind.ATOMIC)


def test_a_partial_exit_may_leave_the_ltv_above_the_borrowing_limit() -> None:
    """LTV 11.7 ÷ 12.5 = 0.936: no new debt, but half of it can go, because the health factor stays above 1."""
    at = desk({COLLATERAL: 8.0, DEBT: 5.85, ETH: 1.0}, FREE_POOL)

    trades = at.does(*exit_(5.85, 5.0), kind=GroupKind.ATOMIC)

    assert {trade.status for trade in trades} == {TradeStatus.FILLED}
    assert at.of(DEBT) * 2.0 / (at.of(COLLATERAL) * 1.25 * 1.25) == near(0.936)


# Liquidation


def test_a_position_is_liquidated_when_its_health_factor_falls_below_1() -> None:
    """Threshold 0.95 × 12.5 = 11.875 covers a debt of 5.9375 × 2 exactly at an index of 2."""
    sketch = chain_sketch(4).line("aave_v3.borrow_index.WETH", [1.9, 2.0, 2.0000001, 2.1])
    at = desk({COLLATERAL: 8.0, DEBT: 5.9375}, sketch=sketch)

    settlements = at.settle(0, 4)

    assert (settlements.rows, settlements.happenings) == (2, ())
    at.accept(0, 4)
    (happening,) = at.settle(2, 4).happenings
    assert (happening.event_type, happening.part, happening.venue) == (EventType.LIQUIDATION, "liquidation", "aave_v3")


def test_a_partial_liquidation_repays_half_and_seizes_the_bonus_on_top() -> None:
    """Debt 12, HF 0.9896: 6 are repaid, 6.06 ETH seized = 3.8784 scaled wstETH."""
    (happening,) = desk({COLLATERAL: 8.0, DEBT: 6.0}).settle(0, 2).happenings

    assert happening.changes == {COLLATERAL: near(-6.06 / 1.5625), DEBT: near(-3.0)}
    assert "repaid 6.0 WETH" in happening.detail


def test_there_is_one_call_per_row_at_most() -> None:
    """Debt 12.48 against 12.5: HF 0.9515. Half is repaid for 6.3024, which makes HF worse (0.9435), so the next row
    takes the rest."""
    at = desk({COLLATERAL: 8.0, DEBT: 6.24})

    first = at.accept(0, 2)
    assert (first.rows, len(first.happenings)) == (1, 1)
    assert at.of(COLLATERAL) * 1.5625 * 0.95 / (at.of(DEBT) * 2.0) == pytest.approx(0.9435, abs=1e-4)

    second = at.accept(1, 2)
    assert len(second.happenings) == 1
    assert at.of(DEBT) == 0.0


def test_below_a_health_factor_of_0_95_the_whole_debt_is_repaid() -> None:
    """Collateral 125, debt 126 (HF 0.942): 126 × 1.01 = 127.26 is more than there is, so 123.76 are repaid for all of
    it and 2.24 are written off."""
    (happening,) = desk({COLLATERAL: 80.0, DEBT: 63.0}).settle(0, 2).happenings

    assert happening.changes == {COLLATERAL: -80.0, DEBT: -63.0}
    assert "deficit" in happening.detail
    assert repr(126.0 - 125.0 / 1.01) in happening.detail


def test_a_full_close_leaves_the_surplus_collateral() -> None:
    """Both sides below 2,000 USD: all of 0.6 is repaid, 0.606 seized of 0.625."""
    (happening,) = desk({COLLATERAL: 0.4, DEBT: 0.3}).settle(0, 2).happenings

    assert happening.changes == {COLLATERAL: near(-0.606 / 1.5625), DEBT: -0.3}


def test_without_debt_nothing_is_liquidated() -> None:
    assert desk({COLLATERAL: 8.0}).settle(0, 2).happenings == ()


# Gas debt


def test_the_gas_of_a_usdt_class_becomes_a_debt() -> None:
    at = desk({USDT: 1_000.0}, mode="pure_lending")

    at.one(order(Verb.SUPPLY, "aave_v3", "USDT", 1_000.0))

    assert at.of(GAS) == near(-0.00219)


def test_an_atomic_group_is_one_call_to_the_port() -> None:
    at = desk({ETH: 10.0})

    assert len(at.world.execute(atomic(*ENTRY))) == 5


def test_gas_is_a_cost_in_eth() -> None:
    (cost,) = desk({ETH: 1.0}).one(order(Verb.STAKE, "lido", "ETH", 1.0)).costs

    assert cost == Cost(CostKind.GAS, "ETH", near(0.0011))
