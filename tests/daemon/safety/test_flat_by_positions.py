"""An emergency stop from anywhere, at every speed: flat is said of accounts that are flat, and closing names the rest.

Virtual time, real daemon. The sample runs in every test run, the whole matrix in the slow part.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
import trio

from components.model.awaited import AwaitedKind
from components.model.keys import PositionKey
from daemon.cli.status import reasons
from daemon.config.daemon_file import DaemonSlice
from daemon.config.settings import load_run
from daemon.journal.records import Note
from daemon.process.daemon import Daemon
from daemon.state.latch import Latch, Phase
from tests.daemon.house import BTC, LENDING, House, ask, replica_of, ticked, until
from tests.simulation.left_open import left_open

NEUTRAL, LEVERAGED, PLAIN = "market-neutral", "eth-leveraged", "no-leverage"
FOUR = (BTC, LEVERAGED, NEUTRAL, PLAIN)
SPEEDS = (1.0, 60.0, 600.0)
LONGEST_S = 4.0 * 3600.0  # of market time, from the stop to flat
Moment = Callable[[House, Daemon, str], Awaitable[None]]


def with_plain(config: DaemonSlice) -> DaemonSlice:
    """Staked ETH against shorts, without a loan, in the place of the strategy that lends."""
    mode = "usdt_market_neutral_no_leverage"
    entries = [
        msgspec.structs.replace(entry, id=PLAIN, account=PLAIN, mode=mode, run=load_run(mode, environ={}))
        if entry.id == LENDING
        else entry
        for entry in config.strategies
    ]
    return msgspec.structs.replace(config, strategies=tuple(entries))


def house_of(folder: Path, strategy: str, speed: float) -> House:
    if strategy == PLAIN:
        return House(folder, LENDING, speed=speed, changed=with_plain)
    return House(folder, strategy, speed=speed)


def latch_of(house: House, strategy: str) -> Latch:
    latch = house.latches.of(strategy)
    assert latch is not None
    return latch


def shorts(house: House, strategy: str) -> float:
    return -sum(amount for key, amount in house.accounts[strategy].balances.items() if ":Perp:" in key)


def coins(house: House, strategy: str) -> float:
    """ETH that is long anywhere, LSTs at their ratio, debt against it."""
    account = house.accounts[strategy]
    row, total = account.world.row, 0.0
    for key, amount in account.balances.items():
        token = key.symbol.removeprefix("a").removeprefix("variableDebt")
        if ":Perp" in key or token == "USDT" or key.venue == "gas":
            continue
        unit = 1.0
        if token == "wstETH":
            unit = row.value("lido.ratio.wstETH")
        if ":aToken:" in key:
            unit *= row.value(f"aave_v3.supply_index.{token}")
        if ":debtToken:" in key:
            unit *= -row.value("aave_v3.borrow_index.WETH")
        total += amount * unit
    return total


def notes_of(house: House, strategy: str) -> list[Note]:
    return [each for each in house.records(strategy) if isinstance(each, Note) and each.kind == "emergency margin"]


# Moments


async def right_after_the_entry(house: House, daemon: Daemon, strategy: str) -> None:
    await ticked(daemon, strategy, 1)
    await trio.sleep(1.0 / house.speed)


async def in_a_steady_state(house: House, daemon: Daemon, strategy: str) -> None:
    await ticked(daemon, strategy, 1)
    await trio.sleep(2400.0 / house.speed)


async def while_money_travels(house: House, daemon: Daemon, strategy: str) -> None:
    await in_a_steady_state(house, daemon, strategy)
    await ask(daemon, "deposit", strategy, key="d", amount="3" if strategy == LEVERAGED else "30000")
    with trio.move_on_after(1200.0 / house.speed):  # not every mode sends anything for it
        await until(lambda: _travels(house, strategy), every_s=0.5 / house.speed)


async def while_a_withdrawal_is_served(house: House, daemon: Daemon, strategy: str) -> None:
    await in_a_steady_state(house, daemon, strategy)
    await ask(daemon, "withdraw", strategy, key="w", amount="8" if strategy == LEVERAGED else "60000")
    await ticked(daemon, strategy, 2)


def _travels(house: House, strategy: str) -> bool:
    return any(key.venue == "transit" and amount > 0.0 for key, amount in house.accounts[strategy].balances.items())


MOMENTS: tuple[Moment, ...] = (
    right_after_the_entry,
    in_a_steady_state,
    while_money_travels,
    while_a_withdrawal_is_served,
)
SAMPLE = (
    (NEUTRAL, 1.0, right_after_the_entry),
    (NEUTRAL, 1.0, in_a_steady_state),
    (PLAIN, 60.0, while_money_travels),
    (BTC, 1.0, while_a_withdrawal_is_served),
    (LEVERAGED, 600.0, in_a_steady_state),
)
MATRIX = [
    pytest.param(
        strategy, speed, moment, id=f"{strategy}-{speed:g}-{moment.__name__}",
        marks=() if (strategy, speed, moment) in SAMPLE else pytest.mark.slow,
    )
    for strategy in FOUR for speed in SPEEDS for moment in MOMENTS
]  # fmt: skip


@pytest.mark.parametrize(("strategy", "speed", "moment"), MATRIX)
def test_an_emergency_stop_ends_flat_and_says_so_only_then(
    tmp_path: Path, strategy: str, speed: float, moment: Moment
) -> None:
    house = house_of(tmp_path, strategy, speed)
    naked: list[float] = []

    async def play(daemon: Daemon) -> None:
        await moment(house, daemon, strategy)
        told = await ask(daemon, "emergency_stop", strategy, reason="a test")
        assert left_open(house.accounts[strategy]) == () or f"{strategy} awaits" in told.message
        began = daemon.clock.now()
        while latch_of(house, strategy).phase is not Phase.FLAT:
            open_now, latch = left_open(house.accounts[strategy]), latch_of(house, strategy)
            assert latch.phase is not Phase.FAILED, replica_of(daemon, strategy).closing_error
            assert (daemon.clock.now() - began) / 1e9 < LONGEST_S, open_now
            if strategy in (NEUTRAL, PLAIN):
                gross = max(coins(house, strategy), shorts(house, strategy))
                naked.append(abs(coins(house, strategy) - shorts(house, strategy)) / gross if gross > 0.1 else 0.0)
            await trio.sleep(0.5)
        assert left_open(house.accounts[strategy]) == ()
        replica = replica_of(daemon, strategy)
        assert (replica.phase, replica.awaited, replica.unvalued) == ("flat", (), ())

    house.live(play)
    assert house.crashes.seen == []
    assert max(naked, default=0.0) < 0.05, "what travels keeps its hedge"


@pytest.mark.parametrize("strategy", [NEUTRAL, BTC])
def test_closing_names_what_it_waits_for_and_when_it_is_due(tmp_path: Path, strategy: str) -> None:
    house = house_of(tmp_path, strategy, 1.0)

    async def play(daemon: Daemon) -> None:
        moment = right_after_the_entry if strategy == NEUTRAL else while_money_travels
        await moment(house, daemon, strategy)
        await daemon.operator.emergency(strategy, "a test", 0)
        await until(lambda: latch_of(house, strategy).phase is Phase.CLOSING)
        await trio.sleep(40.0)
        travels = [each for each in latch_of(house, strategy).awaited if each.kind is AwaitedKind.TRANSFER]
        assert travels and all(each.until is not None and each.amount > 0.0 for each in travels)
        assert replica_of(daemon, strategy).awaited == latch_of(house, strategy).awaited
        due = max(each.until or 0 for each in travels)
        assert daemon.clock.now() < due
        await until(lambda: latch_of(house, strategy).phase is Phase.FLAT)
        assert daemon.clock.now() > due

    house.live(play)


def test_what_is_overdue_pages_and_is_uncertain(tmp_path: Path) -> None:
    """A coin that never arrives: twice its delay it is excused, then somebody is told, and closing fails by name."""
    house = house_of(tmp_path, NEUTRAL, 1.0)

    async def play(daemon: Daemon) -> None:
        await right_after_the_entry(house, daemon, NEUTRAL)
        world = house.accounts[NEUTRAL].world
        for flight in list(world._flights.values()):  # the transfer is lost on the way
            world._flights[flight.id] = msgspec.structs.replace(flight, arrives_at=flight.arrives_at * 2)
        await daemon.operator.emergency(NEUTRAL, "a test", 0)
        await trio.sleep(1000.0)
        assert latch_of(house, NEUTRAL).phase is Phase.CLOSING
        await until(lambda: latch_of(house, NEUTRAL).phase is Phase.FAILED, within_s=3 * 3600.0)
        late = [each for each in latch_of(house, NEUTRAL).awaited if each.overdue]
        assert [each.kind for each in late] == [AwaitedKind.TRANSFER]
        assert shorts(house, NEUTRAL) > 40.0, "and its hedge is not thrown away"

    house.live(play)


@pytest.mark.parametrize(
    "venue", ["okx", pytest.param("chain", marks=pytest.mark.slow), pytest.param("binance", marks=pytest.mark.slow)]
)
def test_a_dead_venue_delays_no_other(tmp_path: Path, venue: str) -> None:
    house = house_of(tmp_path, NEUTRAL, 1.0)

    async def play(daemon: Daemon) -> None:
        await in_a_steady_state(house, daemon, NEUTRAL)
        house.fault(NEUTRAL, "black_hole", venue, after_s=(daemon.clock.now() - house.begin) / 1e9, lasts_s=5400.0)
        await daemon.operator.emergency(NEUTRAL, "a test", 0)
        await trio.sleep(120.0)
        if venue == "okx":
            assert not any("debtToken" in key and amount for key, amount in house.accounts[NEUTRAL].balances.items())
        await trio.sleep(1800.0)
        kept = shorts(house, NEUTRAL)
        assert abs(coins(house, NEUTRAL) - kept) < 0.05 * 41.0, "what the dead venue hedges, or holds, stays hedged"
        if venue == "okx":
            assert kept < 14.0, "only its own short is left, and the coins against it"
        assert any(each.kind is AwaitedKind.SILENT and each.what == venue for each in latch_of(house, NEUTRAL).awaited)
        assert latch_of(house, NEUTRAL).phase is not Phase.FLAT
        await until(lambda: latch_of(house, NEUTRAL).phase is Phase.FLAT, within_s=4 * 3600.0)
        assert left_open(house.accounts[NEUTRAL]) == ()

    house.live(play)


SPAM = (PositionKey("wallet:BaseToken:PEPE"), PositionKey("binance:BaseToken:BNB"), PositionKey("wallet:BaseToken:BTC"))


@pytest.mark.parametrize("strategy", [BTC, NEUTRAL, LEVERAGED])
def test_tokens_without_a_price_are_listed_and_stop_nothing(tmp_path: Path, strategy: str) -> None:
    house = house_of(tmp_path, strategy, 600.0)
    spam = [key for key in SPAM if key.venue in ("wallet", *house.config.strategies[0].run.exchanges)]
    spam = [key for key in spam if not (strategy == BTC and key.symbol == "BTC")]

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, strategy, 2)
        for key in spam:
            house.accounts[strategy].foreign_transfer(f"spam {key}", None, key, 1000.0, daemon.clock.now())
        await ticked(daemon, strategy, 2)
        assert {each.key for each in replica_of(daemon, strategy).unvalued} == set(map(str, spam))
        await daemon.operator.emergency(strategy, "a test", 0)
        await until(lambda: latch_of(house, strategy).phase is Phase.FLAT)
        replica = replica_of(daemon, strategy)
        assert {each.key for each in replica.unvalued} == set(map(str, spam))
        assert replica.awaited == () and replica.equity is not None
        assert left_open(house.accounts[strategy]) == ()

    house.live(play)
    assert house.crashes.seen == []


def test_coins_that_the_mode_cannot_sell_are_left_to_a_person_and_named_by_every_later_life(tmp_path: Path) -> None:
    """ETH that somebody sends to the wallet of a strategy of BTC: its hedge is closed, and that is flat."""
    house, ether = House(tmp_path, BTC, speed=600.0), PositionKey("wallet:BaseToken:ETH")

    async def stopped(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 2)
        house.accounts[BTC].foreign_transfer("a gift", None, ether, 2.0, daemon.clock.now())
        await daemon.operator.emergency(BTC, "a test", 0)
        await until(lambda: latch_of(house, BTC).phase is Phase.FLAT)
        await told(daemon)

    async def told(daemon: Daemon) -> None:
        await until(lambda: bool(replica_of(daemon, BTC).unsellable))
        replica = replica_of(daemon, BTC)
        assert (replica.phase, replica.awaited, replica.closing_error) == ("flat", (), "")
        (left,) = replica.unsellable
        assert (left.key, left.amount) == (str(ether), 2.0)
        assert any(f"left, this mode cannot sell it: {ether} 2, worth" in line for line in reasons(replica, None))

    house.live(stopped)
    house.live(told)
    assert house.crashes.seen == []


@pytest.mark.parametrize("left", [0.12, 0.02])
def test_the_hedge_of_a_coin_that_travels_is_kept_from_its_liquidation(tmp_path: Path, left: float) -> None:
    """Margin of a venue is gone while the coins it hedges are on their way: cash comes, or another venue takes over."""
    house, okx = house_of(tmp_path, NEUTRAL, 1.0), PositionKey("okx:BaseToken:USDT")
    naked: list[float] = []

    def margin() -> tuple[float, float]:
        """(equity of the account at OKX, notional of its short), USDT."""
        balances, mark = house.accounts[NEUTRAL].balances, house.accounts[NEUTRAL].world.row.value("okx.perp.ETH")
        size, quote = (balances.get(PositionKey(f"okx:{kind}:ETHUSDT"), 0.0) for kind in ("Perp", "PerpQuote"))
        return balances[okx] + size * mark + quote, -size * mark

    async def play(daemon: Daemon) -> None:
        await in_a_steady_state(house, daemon, NEUTRAL)
        await daemon.operator.emergency(NEUTRAL, "a test", 0)
        await until(lambda: _travels(house, NEUTRAL))
        equity, notional = margin()
        house.accounts[NEUTRAL].world.adjust({okx: left * notional - equity})
        short = notional
        while latch_of(house, NEUTRAL).phase is not Phase.FLAT:
            gross = max(coins(house, NEUTRAL), shorts(house, NEUTRAL))
            naked.append(abs(coins(house, NEUTRAL) - shorts(house, NEUTRAL)) / gross if gross > 0.1 else 0.0)
            assert latch_of(house, NEUTRAL).phase is not Phase.FAILED, replica_of(daemon, NEUTRAL).closing_error
            await trio.sleep(0.5)
            if short == notional and "margin turned critical" in str(latch_of(house, NEUTRAL).awaited):
                await trio.sleep(20.0)
                equity, short = margin()
                assert equity > 0.15 * short or "on their way" in str(latch_of(house, NEUTRAL).awaited)
        assert left_open(house.accounts[NEUTRAL]) == ()

    house.live(play)
    assert house.crashes.seen == []
    assert max(naked) < 0.05, "it is shifted both sides together"
    told = [each.detail for each in notes_of(house, NEUTRAL)]
    assert any("on their way" in each for each in told)
    assert len(told) <= 2, "cash that is on its way is not topped up with every move of the price"
    assert any("hedged at" in each for each in told) == (left == 0.02)


def test_a_chain_that_falls_silent_after_the_exit_leaves_no_short_naked(tmp_path: Path) -> None:
    """What it told before is old: the coins it sent arrive elsewhere, and are sold with the shorts that hedge them."""
    house = house_of(tmp_path, NEUTRAL, 1.0)
    naked: list[float] = []

    async def play(daemon: Daemon) -> None:
        await in_a_steady_state(house, daemon, NEUTRAL)
        await daemon.operator.emergency(NEUTRAL, "a test", 0)
        await until(lambda: _travels(house, NEUTRAL))
        after_s = (daemon.clock.now() - house.begin) / 1e9
        house.fault(NEUTRAL, "error_before_accept", "chain", after_s=after_s, lasts_s=2400.0)
        while latch_of(house, NEUTRAL).phase is not Phase.FLAT:
            gross = max(coins(house, NEUTRAL), shorts(house, NEUTRAL))
            naked.append(abs(coins(house, NEUTRAL) - shorts(house, NEUTRAL)) / gross if gross > 0.1 else 0.0)
            await trio.sleep(1.0)
        assert left_open(house.accounts[NEUTRAL]) == ()

    house.live(play)
    assert house.crashes.seen == []
    assert max(naked) < 0.05
