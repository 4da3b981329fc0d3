"""P&L Monitor: parts worked by hand, that add up whatever happens: trades, late trades, adjustments, flows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from components.exposure_monitor import ExposureMonitor
from components.model.events import Event, EventType, PaymentBatch
from components.model.market import Column, Market
from components.model.orders import OrderGroup, Trade, Verb
from components.model.slices import RunSlice
from components.pnl_monitor import PnlMonitor, PnlState
from components.ports import CashFlows, Happening, RowBlock
from components.position_monitor import PositionMonitor
from components.risk_monitor import RiskMonitor
from components.utility_manager import UtilityManager
from daemon.journal.codec import decode, encode
from tests.builders import (
    Line,
    cash,
    deposit,
    happening,
    keyed,
    late,
    market,
    order,
    run_with,
    settled,
    trade,
)

ONE = {"okx": 1.0}
RUN = run_with("btc_basis", hedge_allocation=ONE, reserve_ratio=0.0)
LINES: dict[str, Line] = {
    "binance.spot.BTC": [100.0, 110.0, 105.0, 120.0], "okx.spot.BTC": [101.0, 110.0, 106.0, 120.0],
    "okx.perp.BTC": [102.0, 113.0, 105.0, 121.0],
}  # fmt: skip
SPOT, PERP, QUOTE, USDT = "okx:BaseToken:BTC", "okx:Perp:BTCUSDT", "okx:PerpQuote:BTCUSDT", "okx:BaseToken:USDT"
WALLET = "wallet:BaseToken:USDT"
PAIR = {SPOT: 2.0, PERP: -2.0, QUOTE: 204.0, USDT: 300.0}
EQUITY = 2 * 101.0 + 300.0
BUY, SHORT = order(Verb.SPOT, "okx", "BTC", 1.0), order(Verb.PERP, "okx", "BTC", -1.0)


class Paper:
    """Keeps the rows."""

    def __init__(self) -> None:
        self.blocks: list[RowBlock] = []

    def intend(self, group: OrderGroup, at: int) -> None: ...

    def record(self, events: Sequence[Event | PaymentBatch]) -> None: ...

    def rows(self, block: RowBlock) -> None:
        self.blocks.append(block)

    def __getitem__(self, name: str) -> list[float]:
        parts = [np.broadcast_to(block.columns.get(name, np.nan), len(block.timestamps)) for block in self.blocks]
        out: list[float] = np.concatenate(parts).tolist()
        return out


class Books:
    """The components before the P&L Monitor, wired as the core wires them."""

    def __init__(self, balances: dict[str, float], made: Market | None = None, run: RunSlice = RUN) -> None:
        self.market = made or market(LINES)
        self.paper = Paper()
        self.positions = PositionMonitor()
        prices = UtilityManager(run.mode.share_class)
        self._exposure = ExposureMonitor(run.mode, run.exchanges, prices)
        self._risk = RiskMonitor(run.mode, run.chain)
        self._prices = prices
        self.pnl = PnlMonitor(run, prices, self.positions, self.paper)
        self.positions.place(keyed(balances))
        self.row = 0
        first = self.market.window(0, 1).row(0)
        self.pnl.start(sum(amount * prices.value_at(first, key) for key, amount in keyed(balances).items()))

    def lives(
        self, rows: int = 1, *happenings: Happening, flows: tuple[CashFlows, ...] = (), trades: tuple[Trade, ...] = ()
    ) -> Paper:
        """`rows` rows in one window; the trades are done on the last of them."""
        window = self.market.window(self.row, self.row + rows)
        told = settled(rows, *happenings, flows=flows)
        book = self.positions.project(window, told)
        exposure = self._exposure.measure(book)
        for one in happenings:
            if one.part == "flow":
                worth = sum(c * self._prices.value_at(window.row(0), k) for k, c in one.changes.items())
                self.pnl.take_flow(worth, float(exposure.equity[0]) - worth, window.row(0))
        risk = self._risk.assess(exposure, self.pnl.units)
        self.positions.happened(book, told, rows)
        self._risk.advance(risk, rows, ())
        steps = self.pnl.attribute(book, told, risk, rows)
        if trades:
            self.positions.expect(trades)
            self.pnl.trade(steps, trades, window.row(rows - 1))
        self.pnl.commit(steps)
        self.row += rows
        return self.paper


def near(*values: float) -> object:
    return pytest.approx(list(values), abs=1e-9)


# Parts


def test_a_pair_earns_basis_and_no_delta() -> None:
    paper = Books(PAIR).lives(4)
    assert paper["delta"] == near(0.0, 0.0, 0.0, 0.0)
    # spot moves 9, −4, 14 and the perp 11, −8, 16, each against the reference's 10, −5, 15
    assert paper["basis"] == near(0.0, -4.0, 8.0, -4.0)
    assert paper["equity"] == near(EQUITY, EQUITY - 4.0, EQUITY + 4.0, EQUITY)
    assert paper["unexplained"] == near(0.0, 0.0, 0.0, 0.0)


def test_delta_is_what_is_held_times_the_move_of_the_reference() -> None:
    paper = Books({SPOT: 1.0, PERP: -0.4}).lives(4)
    assert paper["delta"] == near(0.0, 6.0, -3.0, 9.0)


def test_funding_is_a_part_and_a_column_of_its_venue() -> None:
    books = Books(PAIR)
    books.lives(2, flows=(cash(USDT, [1], [1.5]),))
    paper = books.lives(2, flows=(cash(USDT, [0, 0], [0.25, 0.5]), cash(USDT, [1], [-0.1], part="borrow_costs")))
    assert paper["funding"] == near(0.0, 1.5, 0.75, 0.0)
    assert paper["funding.okx"] == near(0.0, 1.5, 0.75, 0.0)
    assert paper["borrow_costs"] == near(0.0, 0.0, 0.0, -0.1)
    assert paper[f"balance.{USDT}"] == near(300.0, 301.5, 302.25, 302.15)
    assert books.pnl.sums["funding"] == pytest.approx(2.25)


def test_a_payment_in_coin_is_worth_its_price_and_moves_from_then_on() -> None:
    books = Books({SPOT: 1.0})
    paper = books.lives(4, flows=(cash(SPOT, [1, 3], [0.5, -0.25], part="funding"),))
    assert paper["funding"] == near(0.0, 55.0, 0.0, -30.0)
    assert paper["delta"] == near(0.0, 10.0, 1.5 * -5.0, 1.5 * 15.0)
    assert paper["unexplained"] == near(0.0, 0.0, 0.0, 0.0)


def test_a_trade_costs_what_it_takes_out_of_the_book_at_known_prices() -> None:
    bought = trade(BUY, {SPOT: 1.0, USDT: -111.5})  # worth 110
    shorted = trade(SHORT, {PERP: -1.0, QUOTE: 112.0, USDT: -0.1})  # sold at 112, the mark is 113
    books = Books({USDT: 500.0})
    paper = books.lives(2, trades=(bought, shorted))
    assert paper["transaction_costs"] == near(0.0, -1.5 - 1.1)
    assert paper["equity"] == near(500.0, 497.4)
    assert books.pnl.equity == pytest.approx(497.4)
    # What was bought on a row has earned nothing on it, and from the next row on it earns.
    assert books.lives(1)["basis"] == near(0.0, 0.0, (-4.0 + 5.0) - (-8.0 + 5.0))


def test_a_reward_is_worth_its_price_when_it_comes() -> None:
    reward = happening(EventType.REWARD, {USDT: 7.0}, part="staking_yield_rewards", amount=7.0)
    run = structs.replace(RUN, mode=structs.replace(RUN.mode, pnl=structs.replace(
        RUN.mode.pnl, parts=(*RUN.mode.pnl.parts, "staking_yield_rewards"))))  # fmt: skip
    books = Books({USDT: 100.0}, run=run)
    books.lives(1)
    assert books.lives(1, reward)["staking_yield_rewards"] == near(0.0, 7.0)


def test_an_arrival_that_is_worth_less_where_it_arrives_is_a_cost() -> None:
    arrival = happening(EventType.TRANSFER_ARRIVED, {"transit:BaseToken:BTC": -1.0, SPOT: 1.0})
    books = Books({"transit:BaseToken:BTC": 1.0})
    books.lives(2)
    paper = books.lives(1, arrival)  # 105 on the way, 106 at okx
    assert paper["transaction_costs"] == near(0.0, 0.0, 1.0)
    assert paper["equity"] == near(100.0, 110.0, 106.0)
    assert paper["unexplained"] == near(0.0, 0.0, 0.0)


def test_a_part_that_the_mode_does_not_show_counts_in_the_residual() -> None:
    quiet = structs.replace(RUN.mode.pnl, parts=("delta", "funding"))
    books = Books(PAIR, run=structs.replace(RUN, mode=structs.replace(RUN.mode, pnl=quiet)))
    paper = books.lives(4, flows=(cash(USDT, [1], [1.5]),))
    assert paper["residual"] == near(0.0, -4.0, 8.0, -4.0)
    assert np.isnan(paper["basis"]).all()
    assert paper["unexplained"] == near(0.0, 0.0, 0.0, 0.0)
    assert books.pnl.sums["basis"] == pytest.approx(0.0)
    assert books.pnl.residual == pytest.approx(0.0)


# Late trades and adjustments


def test_a_trade_of_an_earlier_row_costs_at_the_row_before_and_has_moved_since() -> None:
    """Shorted at 102 when the mark was 102; known on row 2, when it is 105 and was 113 on row 1."""
    books = Books({USDT: 500.0})
    books.lives(2)
    paper = books.lives(1, late(SHORT, {PERP: -1.0, QUOTE: 102.0, USDT: -0.1}))
    assert paper["transaction_costs"] == near(0.0, 0.0, 102.0 - 113.0 - 0.1)
    assert paper["delta"] == near(0.0, 0.0, 5.0)
    assert paper["basis"] == near(0.0, 0.0, 3.0)
    assert paper["equity"] == near(500.0, 500.0, 500.0 - 0.1 + 102.0 - 105.0)
    assert paper["unexplained"] == near(0.0, 0.0, 0.0)
    # From here on it is held like any other position.
    assert books.lives(1)["delta"][-1] == pytest.approx(-15.0)


def test_a_late_trade_of_the_first_row_has_not_moved() -> None:
    books = Books({USDT: 500.0})
    books.lives(1, late(SHORT, {PERP: -1.0, QUOTE: 101.0, USDT: -0.1}))
    paper = books.lives(1)
    assert paper["transaction_costs"] == near(-1.1, 0.0)
    assert paper["equity"] == near(498.9, 498.9 - 11.0)
    assert paper["unexplained"] == near(0.0, 0.0)


def test_a_late_trade_is_no_profit_of_its_venue_beyond_what_it_is() -> None:
    books = Books({USDT: 500.0})
    books.lives(2)
    paper = books.lives(1, late(SHORT, {PERP: -1.0, QUOTE: 102.0, USDT: -0.1}))
    assert paper["venue_pnl.okx"] == near(0.0, 0.0, -3.1)


def test_an_accepted_difference_is_a_line_of_its_own_in_every_mode() -> None:
    lost = happening(EventType.ADJUSTMENT, {USDT: -3.0}, part="adjustment", venue="okx")
    books = Books({USDT: 500.0})
    books.lives(1)
    paper = books.lives(1, lost)
    assert paper["adjustment"][1] == -3.0
    assert "adjustment" not in books.lives(1).blocks[-1].columns  # nothing of it, nothing said
    assert paper["residual"] == near(0.0, 0.0, 0.0)
    assert paper["external_flow"] == near(0.0, 0.0, 0.0)
    assert books.pnl.sums["adjustment"] == pytest.approx(-3.0)
    assert paper["unit_value"] == near(1.0, 497 / 500, 497 / 500)


CHOICES = st.sampled_from(["quiet", "trade", "late", "adjustment", "deposit", "withdrawal", "funding", "both"])
PRICES = st.lists(st.floats(min_value=20.0, max_value=500.0), min_size=8, max_size=8)


@settings(max_examples=60, deadline=None)
@given(st.lists(CHOICES, min_size=8, max_size=8), PRICES, PRICES, PRICES, st.floats(min_value=-0.05, max_value=0.05))
def test_the_parts_add_up_whatever_happens(
    story: list[str], reference: list[float], spot: list[float], perp: list[float], slip: float
) -> None:
    """Every row: change of equity − flows = Σ parts + residual, to 1e-9 of the equity."""
    lines = {"binance.spot.BTC": reference, "okx.spot.BTC": spot, "okx.perp.BTC": perp}
    books = Books({SPOT: 2.0, PERP: -2.0, QUOTE: 2.0 * perp[0], USDT: 50_000.0, WALLET: 5_000.0}, market(lines))
    for row, choice in enumerate(story):
        before = max(row - 1, 0)
        done = {PERP: -0.5, QUOTE: 0.5 * perp[before] * (1 + slip), USDT: -0.2}
        filled = trade(BUY, {SPOT: 0.5, USDT: -0.5 * spot[row] * (1 + slip) - 0.1})
        paid = trade(order(Verb.PAY_OUT, "wallet", "USDT", 10.0), {WALLET: -10.0})
        match choice:
            case "trade":
                books.lives(1, trades=(filled,))
            case "late":
                books.lives(1, late(SHORT, done))
            case "adjustment":
                books.lives(1, happening(EventType.ADJUSTMENT, {SPOT: 0.01, USDT: -1.0}, part="adjustment"))
            case "deposit":
                books.lives(1, deposit(1_000.0))
            case "withdrawal":
                books.lives(1, trades=(paid,))
            case "funding":
                books.lives(1, flows=(cash(USDT, [0], [slip]),))
            case "both":
                books.lives(
                    1, late(SHORT, done), deposit(500.0), flows=(cash(USDT, [0], [1.0]),), trades=(filled, paid)
                )
            case _:
                books.lives(1)
    paper = books.paper
    explained = np.array(paper["residual"])
    for part in (*RUN.mode.pnl.parts, "adjustment"):
        column = np.array(paper[part])
        explained += np.where(np.isnan(column), 0.0, column)
    equity = np.array(paper["equity"])
    step = np.diff(equity, prepend=books.pnl.initial) - np.array(paper["external_flow"])
    assert np.abs(step - explained).max() <= 1e-9 * equity.max()
    assert np.abs(paper["unexplained"]).max() <= 1e-9 * equity.max()
    assert books.pnl.residual_max <= 1e-9
    worth = books.market.window(7, 8).row(0)
    held = sum(amount * books._prices.value_at(worth, key) for key, amount in books.positions.expected.items())
    assert books.pnl.equity == pytest.approx(held, rel=1e-12)


# Units and flows


def test_a_deposit_is_no_profit() -> None:
    books = Books(PAIR)
    books.lives(1)
    paper = books.lives(1, deposit(498.0))  # as much again: equity just before is 498
    assert paper["external_flow"] == near(0.0, 498.0)
    assert paper["unit_value"] == near(1.0, 498.0 / EQUITY)
    assert books.pnl.units == pytest.approx(2 * EQUITY)
    assert books.pnl.external_flows == 498.0


def test_a_payment_redeems_units_at_the_value_of_the_row() -> None:
    paid = trade(order(Verb.PAY_OUT, "wallet", "USDT", 40.0), {WALLET: -40.0})
    books = Books({WALLET: 100.0})
    paper = books.lives(1, trades=(paid,))
    assert paper["external_flow"] == near(-40.0)
    assert paper["unit_value"] == near(1.0)
    assert books.pnl.units == pytest.approx(60.0)
    assert paper["transaction_costs"] == [0.0]


def test_gas_of_a_payment_is_a_cost_and_no_flow() -> None:
    lines = {**LINES, "binance.spot.ETH": 2_000.0}
    paid = trade(order(Verb.PAY_OUT, "wallet", "USDT", 40.0), {WALLET: -40.0, "gas:BaseToken:ETH": -0.001})
    paper = Books({WALLET: 100.0}, market(lines)).lives(1, trades=(paid,))
    assert paper["external_flow"] == near(-40.0)
    assert paper["transaction_costs"] == near(-2.0)
    assert paper["unit_value"] == near(0.98)


def test_when_the_last_of_it_is_paid_no_unit_is_left_and_a_deposit_starts_at_the_last_value() -> None:
    books = Books({WALLET: 100.0})
    books.lives(1, happening(EventType.ADJUSTMENT, {WALLET: 25.0}, part="adjustment"))
    books.lives(1, trades=(trade(order(Verb.PAY_OUT, "wallet", "USDT", 125.0), {WALLET: -125.0}),))
    assert books.pnl.units == 0.0
    paper = books.lives(1, deposit(250.0))
    assert books.pnl.units == pytest.approx(200.0)
    assert paper["unit_value"] == near(1.25, 1.25, 1.25)


def test_what_a_payment_leaves_below_a_minimum_trade_moves_no_return_and_comes_with_the_next_deposit() -> None:
    books = Books({WALLET: 10_000.0})
    books.lives(1, trades=(trade(order(Verb.PAY_OUT, "wallet", "USDT", 9_970.0), {WALLET: -9_970.0}),))
    assert books.pnl.units == 0.0
    books.lives(1, happening(EventType.ADJUSTMENT, {WALLET: -20.0}, part="adjustment"))  # gas, a fee
    paper = books.lives(1, deposit(10_000.0))
    assert paper["unit_value"] == near(1.0, 1.0, 1.0)
    assert paper["drawdown"] == near(0.0, 0.0, 0.0)
    assert books.pnl.units == pytest.approx(10_010.0)


def test_of_a_large_fund_a_hundred_thousandth_is_nothing() -> None:
    for left, units in ((90.0, 0.0), (110.0, 110.0)):
        books = Books({WALLET: 1e7})
        paid = 1e7 - left
        books.lives(1, trades=(trade(order(Verb.PAY_OUT, "wallet", "USDT", paid), {WALLET: -paid}),))
        assert books.pnl.units == pytest.approx(units)


# Columns beside the parts


def test_a_venue_is_worth_what_is_there_and_transfers_are_no_profit() -> None:
    sent = trade(order(Verb.TRANSFER, "okx", "USDT", 50.0), {USDT: -50.0, "transit:BaseToken:USDT": 49.0})
    books = Books(PAIR)
    books.lives(2, trades=(sent,))
    home = happening(EventType.TRANSFER_ARRIVED, {"transit:BaseToken:USDT": -49.0, USDT: 49.0}, venue="okx")
    paper = books.lives(1, home)
    assert paper["venue_equity.okx"] == near(EQUITY, EQUITY - 4.0 - 50.0, EQUITY + 4.0 - 1.0)
    assert paper["venue_pnl.okx"] == near(0.0, -4.0, 8.0)
    assert paper["transaction_costs"] == near(0.0, -1.0, 0.0)


def test_a_deposit_at_a_venue_is_no_profit_of_it() -> None:
    books = Books(PAIR)
    books.lives(1)
    paper = books.lives(1, happening(EventType.DEPOSIT, {USDT: 100.0}, part="flow", venue="okx"))
    assert paper["venue_pnl.okx"] == near(0.0, -4.0)
    assert paper["venue_equity.okx"] == near(EQUITY, EQUITY + 96.0)


def test_ratios_of_a_position_that_was_closed_on_the_row_are_not_there() -> None:
    closed = trade(order(Verb.PERP, "okx", "BTC", 2.0), {PERP: 2.0, QUOTE: -204.0, USDT: -22.0})
    books = Books(PAIR)
    paper = books.lives(2, trades=(closed,))
    assert paper["margin_ratio.okx"][0] == pytest.approx(300 / 204)
    assert paper["mm_ratio.okx"][0] == pytest.approx(204 * 0.004 / 300)
    assert np.isnan([paper["margin_ratio.okx"][1], paper["mm_ratio.okx"][1]]).all()
    assert paper[f"balance.{PERP}"] == near(-2.0, 0.0)


def test_leverage_shows_its_ltv_and_health() -> None:
    run = run_with("eth_leveraged", reserve_ratio=0.0)
    made = market({
        "binance.spot.ETH": [2_000.0, 2_100.0], "lido.ratio.wstETH": 1.2, "aave_v3.supply_index.wstETH": [1.0, 1.01],
        "aave_v3.borrow_index.WETH": [1.0, 1.02],
    })  # fmt: skip
    books = Books({"aave_v3:aToken:awstETH": 10.0, "aave_v3:debtToken:variableDebtWETH": 9.0}, made, run)
    paper = books.lives(2)
    assert paper["ltv"] == near(9 / 12, 9.18 / 12.12)
    assert paper["health_factor"] == near(12 * 0.95 / 9, 12.12 * 0.95 / 9.18)
    assert paper["supply_yield"] == near(0.0, 0.12)
    assert paper["borrow_costs"] == near(0.0, -0.18)
    assert paper["unexplained"] == near(0.0, 0.0)


def test_nothing_on_an_exchange_is_worth_nothing_there() -> None:
    paper = Books({WALLET: 100.0}).lives(2)
    assert paper["venue_equity.okx"] == [0.0, 0.0]
    assert np.isnan(paper["margin_ratio.okx"]).all()


def test_statistics_name_the_sums() -> None:
    books = Books(PAIR)
    books.lives(2)
    assert books.pnl.statistics()["basis"] == pytest.approx(-4.0)
    assert books.pnl.statistics()["units"] == EQUITY


# State


def test_a_restored_monitor_goes_on_the_same_way() -> None:
    def story(cut: int | None) -> tuple[Column, PnlState]:
        books = Books(PAIR)
        for row in range(4):
            if row == cut:
                state = books.pnl.state()
                frozen = encode(state)
                books.pnl.take_flow(50.0, 100.0, books.market.window(0, 1).row(0))
                books.pnl.sums["basis"] = 99.0
                assert encode(state) == frozen  # shares nothing with the monitor it came from
                other = PnlMonitor(RUN, UtilityManager("USDT"), books.positions, books.paper)
                other.restore(decode(frozen, PnlState))
                books.pnl = other
            facts = (deposit(100.0),) if row == 2 else ()
            books.lives(1, *facts, trades=(trade(BUY, {SPOT: 1.0, USDT: -111.0}),) if row == 1 else ())
        names = sorted({name for block in books.paper.blocks for name in block.columns})
        return np.array([books.paper[name] for name in names]), books.pnl.state()

    columns, state = story(None)
    for cut in range(4):
        again, end = story(cut)
        assert again.tobytes() == columns.tobytes()
        assert encode(end) == encode(state)


def test_a_window_gives_the_bytes_of_its_rows() -> None:
    whole, single = Books(PAIR), Books(PAIR)
    flows = cash(USDT, [0, 1, 3], [0.1, 0.2, 0.3])
    whole.lives(4, flows=(flows,))
    for amount in (0.1, 0.2, 0.0, 0.3):
        single.lives(1, flows=(cash(USDT, [0], [amount]),) if amount else ())
    for name in ("equity", "basis", "delta", "funding", "unexplained", "unit_value", "drawdown", "venue_pnl.okx"):
        assert whole.paper[name] == single.paper[name], name
    assert encode(whole.pnl.state()) == encode(single.pnl.state())
