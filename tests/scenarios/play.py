"""Plays a scenario: a whole replay on a drawn market, and everything that must hold whatever the story is.

`play` replays with adaptive windows and with windows of 1, 7 and 4096 rows, compares them byte by byte, and checks
the books against a valuation of its own: from the balances in columns and events and the prices of the market, with the
formulas of SPEC §5 written out again. It shares no code with the P&L monitor.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from components.model.events import Event, EventType, PaymentBatch, canonical_bytes
from components.model.keys import PositionKey, PositionType
from components.model.market import Column, Market
from components.model.orders import DONE, Trade, TradeStatus, Verb
from components.ports import Approved, Flow
from daemon.backtest.replay import Replay, ReplayRequest, ReplayResult
from daemon.config.settings import load_run
from tests.scenarios.sketch import Sketch, at

CAPITAL = {"USDT": 1_000_000.0, "ETH": 100.0}
PART_OF_CASH = {EventType.FUNDING: "funding", EventType.INTEREST: "borrow_costs"}
RATIO = {"wstETH": "lido.ratio.wstETH", "weETH": "etherfi.ratio.weETH"}
CUTS = (1, 7, 4096)


class Witnessed(Replay):
    """A replay that also keeps every trade its world did."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.trades: list[Trade] = []
        self.groups: list[Approved] = []
        execute = self.world.execute

        def watched(approved: Approved) -> tuple[Trade, ...]:
            trades = execute(approved)
            self.groups.append(approved)
            self.trades.extend(trades)
            return trades

        self.world.execute = watched  # type: ignore[method-assign]


class Played:
    """One replay and what to ask of it."""

    def __init__(self, job: Witnessed, market: Market, result: ReplayResult) -> None:
        self.job = job
        self.run = job.core.run
        self.market = market
        self.result = result
        self.trades = job.trades
        self.groups = [approved.group for approved in job.groups]
        self.events = events_of(result)

    def __getitem__(self, column: str) -> Column:
        return self.result.columns[column]

    def balance(self, key: str, row: int = -1) -> float:
        """Native units after the trades of a row."""
        name = f"balance.{key}"
        return float(self[name][row]) if name in self.result.columns else 0.0

    def told(self, *types: EventType) -> list[Event]:
        return [event for event in self.events if event.event_type in types]

    def details(self, *types: EventType) -> list[str]:
        return [event.detail for event in self.told(*types)]

    def row_of(self, event: Event) -> int:
        """The first row at or after the stamp of an event."""
        return int(np.searchsorted(self.market.timestamps, event.timestamp, side="left"))

    def rows_told(self, *types: EventType) -> list[int]:
        return [self.row_of(event) for event in self.told(*types)]

    def decisions(self) -> list[tuple[int, str, str]]:
        """(row, action, "trigger: reason") of every decision."""
        return [(self.row_of(e), e.status, e.detail) for e in self.told(EventType.DECISION)]

    def filled(self, *verbs: Verb) -> list[Trade]:
        return [trade for trade in self.trades if trade.verb in verbs and trade.status is TradeStatus.FILLED]

    def trades_at(self, row: int) -> list[Trade]:
        return [trade for trade in self.trades if trade.at == self.market.timestamps[row]]


def events_of(result: ReplayResult) -> list[Event]:
    """All events in order, quiet settlements spelt out."""
    out: list[Event] = []
    for item in result.events:
        out.extend(item.events() if isinstance(item, PaymentBatch) else (item,))
    return out


def play(
    mode: str,
    sketch: Sketch | Market,
    *overrides: str,
    flows: Sequence[Flow] = (),
    capital: float | None = None,
    close_at_end: bool = False,
    cuts: Sequence[int] = CUTS,
) -> Played:
    """The scenario played once, after it has passed every invariant under every cut."""
    run = load_run(mode, overrides=list(overrides), environ={})
    market = sketch if isinstance(sketch, Market) else sketch.market()

    def once(window_rows: int | None) -> Played:
        request = ReplayRequest(
            run_id="scenario",
            capital=CAPITAL[run.mode.share_class] if capital is None else capital,
            flows=tuple(flows),
            close_at_end=close_at_end,
            window_rows=window_rows,
        )
        job = Witnessed(run, market, request)
        job.run()
        return Played(job, market, job.result())

    played = once(None)
    check(played)
    for rows in cuts:
        same_bytes(played, once(rows), f"windows of {rows}")
    return played


def deposit(hours: float, amount: float, name: str = "in") -> Flow:
    return Flow(at=at(hours), amount=amount, id=name)


def withdrawal(hours: float, amount: float, name: str = "out") -> Flow:
    return Flow(at=at(hours), amount=-amount, id=name)


# Invariants


def check(played: Played) -> None:
    """Everything that holds in every scenario."""
    the_parts_add_up(played)
    equity_is_what_the_balances_are_worth(played)
    the_parts_follow_the_formulas(played)
    transaction_costs_are_the_cost_fields(played)
    expected_is_observed(played)
    events_carry_the_balances(played)
    nothing_is_overdrawn(played)
    figures_agree_with_columns(played)


def same_bytes(one: Played, other: Played, what: str) -> None:
    """Columns and events do not depend on how rows are cut into windows."""
    mine, theirs = [canonical_bytes(e) for e in one.events], [canonical_bytes(e) for e in other.events]
    for i, (a, b) in enumerate(zip(mine, theirs, strict=False)):
        assert a == b, f"{what}: event {i} differs"
    assert len(mine) == len(theirs), what
    assert sorted(one.result.columns) == sorted(other.result.columns), what
    for name in one.result.columns:
        assert one[name].tobytes() == other[name].tobytes(), f"{what}: column {name} differs"
    assert one.result.parts == other.result.parts, what
    assert one.trades == other.trades, what


def scale(played: Played) -> Column:
    return np.maximum(played["equity"], played.result.initial_equity)


def the_parts_add_up(played: Played) -> None:
    """Parts + residual = change of equity − flows, on every row and since the start."""
    explained = played["residual"].copy()
    for part in played.run.mode.pnl.parts:
        explained += played[part]
    equity = played["equity"]
    change = np.diff(equity, prepend=played.result.initial_equity) - played["external_flow"]
    assert np.isfinite(explained).all()
    assert (np.abs(change - explained) <= 1e-9 * scale(played)).all()
    total = equity - played.result.initial_equity - np.cumsum(played["external_flow"])
    assert (np.abs(total - np.cumsum(explained)) <= 1e-9 * scale(played)).all()
    assert (np.abs(played["unexplained"]) <= 1e-9 * scale(played)).all()
    assert played.result.residual_max <= 1e-9


def equity_is_what_the_balances_are_worth(played: Played) -> None:
    valued = sum((column * worth(played, key) for key, column in balances(played).items()), 0.0)
    assert np.allclose(valued, played["equity"], rtol=0.0, atol=1e-9 * float(scale(played).max()))


def the_parts_follow_the_formulas(played: Played) -> None:
    """SPEC §5, written out from what was held after the row before; what a mode does not enable is the residual."""
    market, share_class = played.market, played.run.mode.share_class
    s = eth_price(played) if share_class == "USDT" else np.ones(len(market))
    rows = len(market)
    parts: dict[str, Column] = {}

    def add(part: str, held: Column, step: Column) -> None:
        column = parts.setdefault(part, np.zeros(rows))
        column[1:] += held[:-1] * step

    for key, held in balances(played).items():
        kind, symbol = key.position_type, key.symbol
        if kind is PositionType.PERP_QUOTE:
            continue
        if kind is PositionType.PERP or (kind is PositionType.BASE_TOKEN and symbol in ("BTC", "ETH")):
            if share_class == "ETH":
                continue
            coin = symbol.removesuffix("USDT")
            reference = market.column(f"binance.spot.{coin}")
            add("delta", held, np.diff(reference))
            add("basis", held, np.diff(worth(played, key)) - np.diff(reference))
        elif symbol == "USDT":
            if share_class == "ETH":
                add("delta", held, np.diff(1.0 / market.column("binance.spot.ETH")))
        elif symbol == "aUSDT":
            add("supply_yield", held, np.diff(market.column("aave_v3.supply_index.USDT")))
        elif kind is PositionType.DEBT_TOKEN:
            index = market.column("aave_v3.borrow_index.WETH")
            add("borrow_costs", held, -np.diff(index) * s[1:])
            add("delta", held, -index[:-1] * np.diff(s))
        elif symbol.removeprefix("a") in RATIO:
            lst = symbol.removeprefix("a")
            ratio = market.column(RATIO[lst])
            index = market.column(f"aave_v3.supply_index.{lst}") if kind is PositionType.A_TOKEN else np.ones(rows)
            add("supply_yield", held, np.diff(index) * ratio[1:] * s[1:])
            add("staking_yield_oracle", held, index[:-1] * np.diff(ratio) * s[1:])
            add("delta", held, index[:-1] * ratio[:-1] * np.diff(s))
        else:
            add("dust", held, np.diff(worth(played, key)))
    for event in played.events:
        row = played.row_of(event)
        if event.event_type in PART_OF_CASH:
            part = PART_OF_CASH[event.event_type]
            parts.setdefault(part, np.zeros(rows))[row] += event.amount or 0.0
        elif event.event_type is EventType.REWARD:
            key = PositionKey.of("king", PositionType.BASE_TOKEN, event.token)
            value = (event.amount or 0.0) * worth(played, key)[row] if event.amount else 0.0
            parts.setdefault("staking_yield_rewards", np.zeros(rows))[row] += value
    enabled = played.run.mode.pnl.parts
    residual = np.zeros(rows)
    tolerance = 1e-9 * float(scale(played).max())
    for part, column in parts.items():
        if part in enabled:
            assert np.allclose(column, played[part], rtol=0.0, atol=tolerance), part
        else:
            residual += column
    assert np.allclose(residual, played["residual"], rtol=0.0, atol=tolerance)


def transaction_costs_are_the_cost_fields(played: Played) -> None:
    """What trades and arrivals say they cost is what they took out of the book, row by row."""
    paid = np.zeros(len(played.market))
    timestamps = played.market.timestamps
    for trade in played.trades:
        row = int(np.searchsorted(timestamps, trade.at))
        for cost in trade.costs:
            paid[row] += cost.amount * token_worth(played, cost.token)[row]
    for event in played.told(EventType.TRANSFER_ARRIVED):
        token, row = event.token, played.row_of(event)
        before = worth(played, PositionKey.of("transit", PositionType.BASE_TOKEN, token))[row]
        after = worth(played, PositionKey.of(event.venue, PositionType.BASE_TOKEN, token))[row]
        paid[row] += (event.amount or 0.0) * (before - after)
    assert (np.abs(paid + played["transaction_costs"]) <= 1e-12 * scale(played)).all()


def expected_is_observed(played: Played) -> None:
    """The book of the core and the ledger of the world are kept apart and agree to the last bit."""
    observed = {key: balance for key, balance in played.job.world.balances.items() if balance}
    assert played.job.core.positions.snapshot() == observed


def events_carry_the_balances(played: Played) -> None:
    """Orders rise without a gap, stamps never pass a row that is already told, and the last balances told on a row are
    the ones its columns show."""
    assert [event.sequence for event in played.events] == list(range(len(played.events)))
    rows = [played.row_of(event) for event in played.events]
    assert rows == sorted(rows)
    size = float(scale(played).max())
    for i, event in enumerate(played.events):
        if i + 1 < len(rows) and rows[i + 1] == rows[i]:
            continue
        shown = {name for name in played.result.columns if name.startswith("balance.")}
        for key in {*(f"balance.{key}" for key in event.balances if "PerpQuote" not in key), *shown}:
            told = event.balances.get(PositionKey(key.removeprefix("balance.")), 0.0)
            assert abs(told - played[key][rows[i]]) <= 1e-12 * size, (event, key)


def nothing_is_overdrawn(played: Played) -> None:
    """Nobody spends what is not there: only perps, quotes, gas debt and cash of a unified account go below zero."""
    for key, column in balances(played).items():
        if key.position_type in (PositionType.PERP, PositionType.PERP_QUOTE) or key.venue == "gas":
            continue
        if key.symbol == "USDT" and key.venue in played.run.exchanges:
            continue
        assert column.min() >= -1e-6, key
    if played.run.mode.share_class == "ETH" and "balance.gas:BaseToken:ETH" in played.result.columns:
        assert played["balance.gas:BaseToken:ETH"].min() >= 0.0


def figures_agree_with_columns(played: Played) -> None:
    result, equity = played.result, played["equity"]
    tolerance = 1e-9 * float(scale(played).max())
    assert len(result.timestamps) == len(played.market)
    assert (result.timestamps == played.market.timestamps).all()
    assert result.final_equity == equity[-1]
    for part, total in result.parts.items():
        assert abs(total - played[part].sum()) <= tolerance, part
    assert abs(result.external_flows - played["external_flow"].sum()) <= tolerance
    assert abs(result.residual - played["residual"].sum()) <= tolerance
    assert result.trades == sum(trade.status in DONE for trade in played.trades)
    assert result.liquidations == len(played.told(EventType.LIQUIDATION))


# A valuation of its own


def balances(played: Played) -> dict[PositionKey, Column]:
    """Native balances after each row: columns, and for the quote side of perps the events."""
    out = {
        PositionKey(name.removeprefix("balance.")): played[name]
        for name in played.result.columns
        if name.startswith("balance.")
    }
    for event in played.events:
        row = played.row_of(event)
        for key in [key for key in {*event.balances, *out} if key.position_type is PositionType.PERP_QUOTE]:
            out.setdefault(key, np.zeros(len(played.market)))[row:] = event.balances.get(key, 0.0)
    return out


def worth(played: Played, key: PositionKey) -> Column:
    """Share-class value of one native unit, by the words of SPEC §5."""
    market = played.market
    s = eth_price(played) if played.run.mode.share_class == "USDT" else np.ones(len(market))
    kind, symbol = key.position_type, key.symbol
    if kind is PositionType.PERP_QUOTE:
        return np.ones(len(market))
    if kind is PositionType.PERP:
        return market.column(f"{key.venue}.perp.{symbol.removesuffix('USDT')}")
    if kind is PositionType.DEBT_TOKEN:
        return -market.column("aave_v3.borrow_index.WETH") * s
    if kind is PositionType.A_TOKEN:
        token = symbol.removeprefix("a")
        index = market.column(f"aave_v3.supply_index.{token}")
        return index if token == "USDT" else index * market.column(RATIO[token]) * s
    own = f"{key.venue}.spot.{symbol}"
    if symbol in ("BTC", "ETH") and own in market.columns:
        return market.column(own)
    return token_worth(played, symbol)


def token_worth(played: Played, token: str) -> Column:
    """Share-class value of one token off the exchanges."""
    market, eth_class = played.market, played.run.mode.share_class == "ETH"
    if token == "USDT":
        return 1.0 / market.column("binance.spot.ETH") if eth_class else np.ones(len(market))
    if token == "BTC":
        return market.column("binance.spot.BTC")
    s = np.ones(len(market)) if eth_class else eth_price(played)
    if token in ("ETH", "WETH"):
        return s
    if token in RATIO:
        return market.column(RATIO[token]) * s
    return market.column(f"uniswap.eth_price.{token}") * s


def eth_price(played: Played) -> Column:
    market = played.market
    return market.column("binance.spot.ETH") if "binance.spot.ETH" in market.columns else np.ones(len(market))
