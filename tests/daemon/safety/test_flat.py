"""Flat is said of positions: what may be left, what is named as awaited, and what hangs over nobody's head."""

from __future__ import annotations

import pytest

from components.model.awaited import AwaitedKind
from components.model.keys import PositionKey, base_token
from components.model.orders import InFlight, Verb
from daemon.safety.flat import flatness, unvalued_of, worth
from daemon.safety.marks import marked_row
from daemon.safety.route import row_of
from tests.builders import keyed, order, run_of
from tests.venues.paper.stage import account_of
from venues.paper.account import PaperAccount

MINUTE_NS = 60_000_000_000
HEDGED = "usdt_market_neutral"
DEAL = InFlight(
    id="t",
    token="ETH",
    amount=2.0,
    source=base_token("binance", "ETH"),
    target=base_token("wallet", "ETH"),
    arrives_at=100 * MINUTE_NS,
)


def judged(mode: str, balances: dict[str, float], **more: object) -> object:
    account: PaperAccount = account_of(mode)
    marks = {name: value for door in account.doors for name, value in account.marks(door).items()}
    run = run_of(mode)
    row = row_of(marked_row(run, 0, marks, None, {}))
    return flatness(run, row, keyed(balances), now=int(more.pop("now", 0)), **more)  # type: ignore[arg-type,call-overload]


@pytest.mark.parametrize(
    "balances",
    [
        {},
        {"wallet:BaseToken:USDT": 5.0, "okx:BaseToken:USDT": 7.0, "reserve:BaseToken:USDT": 1.0},
        {"gas:BaseToken:ETH": -0.4},
        {"okx:PerpQuote:ETHUSDT": 1e-7, "wallet:BaseToken:ETH": 0.0002},
    ],
)
def test_share_class_currency_reserve_gas_and_dust_may_be_left(balances: dict[str, float]) -> None:
    assert judged(HEDGED, balances).awaited == ()  # type: ignore[attr-defined]


OPEN = (
    "okx:Perp:ETHUSDT",
    "aave_v3:debtToken:variableDebtWETH",
    "aave_v3:aToken:awstETH",
    "wallet:BaseToken:wstETH",
    "binance:BaseToken:ETH",
    "wallet:BaseToken:ETH",
)


@pytest.mark.parametrize("key", OPEN)
def test_everything_else_is_named(key: str) -> None:
    (awaited,) = judged(HEDGED, {key: -1.0 if "Perp" in key else 1.0}).awaited  # type: ignore[attr-defined]
    assert (awaited.kind, awaited.what) == (AwaitedKind.POSITION, key)
    assert abs(awaited.value_usdt) > 500.0


def test_what_travels_is_named_with_its_due_time_until_it_is_overdue() -> None:
    held = {"transit:BaseToken:ETH": 2.0}
    (awaited,) = judged(HEDGED, held, in_flight=[DEAL], now=DEAL.arrives_at).awaited  # type: ignore[attr-defined]
    assert (awaited.kind, awaited.until, awaited.overdue) == (AwaitedKind.TRANSFER, DEAL.arrives_at, False)
    late = DEAL.arrives_at + 3600 * 1_000_000_000
    (awaited,) = judged(HEDGED, held, in_flight=[DEAL], now=late).awaited  # type: ignore[attr-defined]
    assert awaited.overdue and not awaited.arrives


def test_what_travels_and_nobody_has_announced_is_named_all_the_same() -> None:
    known, unknown = judged(HEDGED, {"transit:BaseToken:ETH": 3.0}, in_flight=[DEAL]).awaited  # type: ignore[attr-defined]
    assert (known.amount, unknown.amount, unknown.until) == (2.0, 1.0, None)


def test_what_rounding_leaves_of_a_transfer_that_has_arrived_is_nothing() -> None:
    late = DEAL.arrives_at + 3600 * 1_000_000_000
    assert judged(HEDGED, {"transit:BaseToken:ETH": 7e-12}, in_flight=[DEAL], now=late).awaited == ()


def test_a_transfer_that_has_arrived_makes_no_later_one_overdue() -> None:
    late = DEAL.arrives_at + 3600 * 1_000_000_000
    after = InFlight(
        id="u", token="ETH", amount=2.0, source=DEAL.source, target=DEAL.target, arrives_at=late + MINUTE_NS
    )
    (awaited,) = judged(HEDGED, {"transit:BaseToken:ETH": 2.0}, in_flight=[DEAL, after], now=late).awaited
    assert (awaited.until, awaited.overdue) == (after.arrives_at, False)


def test_a_claim_on_a_queue_is_a_claim() -> None:
    claim = InFlight(
        id="q", token="ETH", amount=1.0, source=base_token("wallet", "wstETH"), target=DEAL.target, arrives_at=1
    )
    (awaited,) = judged(HEDGED, {"transit:BaseToken:ETH": 1.0}, in_flight=[claim]).awaited  # type: ignore[attr-defined]
    assert awaited.kind is AwaitedKind.QUEUE


def test_silence_and_open_orders_are_never_flat() -> None:
    uncertain = order(Verb.PERP, "okx", "ETH", 1.0)
    state = judged(HEDGED, {}, silent={"okx": "refused"}, uncertain=[uncertain], resting=["r"])
    assert [each.kind for each in state.awaited] == [  # type: ignore[attr-defined]
        AwaitedKind.SILENT, AwaitedKind.ORDER, AwaitedKind.ORDER,
    ]  # fmt: skip


def test_a_token_without_a_price_is_listed_and_blocks_nothing_a_debt_of_it_does() -> None:
    state = judged(HEDGED, {"wallet:BaseToken:PEPE": 5.0, "aave_v3:aToken:aDAI": 1.0})
    assert (state.awaited, len(state.unvalued)) == ((), 2)  # type: ignore[attr-defined]
    (awaited,) = judged(HEDGED, {"aave_v3:debtToken:variableDebtDAI": 1.0}).awaited  # type: ignore[attr-defined]
    assert awaited.value_usdt is None


def test_worth_leaves_out_what_has_no_price_and_is_unknown_without_one_that_is_needed() -> None:
    account = account_of("btc_basis")
    run = account.run
    row = account.world.row
    spam = PositionKey("wallet:BaseToken:PEPE")
    assert worth(run, row, {base_token("okx", "USDT"): 3.0, spam: 9.0}) == 3.0
    assert [each.key for each in unvalued_of(run, row, {spam: 9.0})] == [str(spam)]


@pytest.mark.parametrize(
    ("mode", "key"),
    [
        ("btc_basis", "wallet:BaseToken:ETH"),
        ("btc_basis", "okx:BaseToken:ETH"),
        ("btc_basis", "wallet:BaseToken:BTC"),
        ("eth_leveraged", "wallet:BaseToken:USDT"),
        (HEDGED, "wallet:BaseToken:WETH"),
    ],
)
def test_coins_that_the_mode_cannot_sell_are_listed_with_their_value_and_hold_nothing_up(mode: str, key: str) -> None:
    amount = 5000.0 if "USDT" in key else 2.0
    state = judged(mode, {key: amount})
    assert state.awaited == ()  # type: ignore[attr-defined]
    (left,) = state.unsellable  # type: ignore[attr-defined]
    assert (left.key, left.amount) == (key, amount)
    assert left.value_usdt > 1000.0


def test_perps_and_debts_are_awaited_whoever_opened_them() -> None:
    for key in ("okx:Perp:BTCUSDT", "binance:Perp:ETHUSDT"):
        assert len(judged("btc_basis", {key: -1.0}).awaited) == 1  # type: ignore[attr-defined]
    assert len(judged("btc_basis", {"aave_v3:debtToken:variableDebtWETH": 1.0}).awaited) == 1  # type: ignore[attr-defined]
