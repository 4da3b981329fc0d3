"""Opens a paper world in this process: one persistent account per strategy, one front door per venue."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from contextlib import suppress
from pathlib import Path
from zlib import crc32

from components.model.errors import CFG_TOO_SMALL, Fault, InvalidInput
from components.model.keys import PositionKey
from components.model.market import Market
from components.smallest_capital import too_small
from daemon.config.daemon_file import DaemonSlice, StrategyEntry
from daemon.world.paper import PaperPlace, PaperWorld
from venues.paper.account import PaperAccount
from venues.paper.door.doors import door
from venues.paper.door.faults import FaultPlan
from venues.paper.door.passage import Profile
from venues.paper.store import LedgerBroken, PaperStore, open_account

QUICK = Profile(latency_s=0.004, spread=0.3, requests_per_minute=1_000_000)  # paper pays no rate limits
MOST_ROW = 5_000_000  # of a number without a checksum: ten years, minute by minute
Opened = Callable[[str, int, int], None]
OpenAccount = Callable[[StrategyEntry, Market, Mapping[PositionKey, float]], PaperAccount]


class LocalControl:
    """An account in this process, as the driver sees one in any."""

    def __init__(self, account: PaperAccount) -> None:
        self.account = account

    async def advance_to(self, row: int) -> None:
        self.account.advance_to(row)

    async def deposit(self, id: str, amount: float, at: int) -> None:
        self.account.deposit(id, amount, at)

    async def withdrawal(self, id: str, amount: float, at: int) -> None:
        self.account.withdrawal(id, amount, at)


def open_world(
    config: DaemonSlice,
    opened: Opened = lambda strategy, rows, row: None,
    *,
    threads: bool = False,
    remembered: Container[str] = (),
) -> PaperWorld:
    """The paper world of a state directory, at the row after the last one lived through; `opened` hears of each account
    that is there: the strategy, the rows of its market and the row it goes on at. Strategies `remembered` elsewhere
    have lived: where the folder of one is gone, no account is begun."""

    def folder(entry: StrategyEntry) -> Path:
        return config.state_dir / "strategies" / entry.id / "venues"

    def account(entry: StrategyEntry, market: Market, balances: Mapping[PositionKey, float]) -> PaperAccount:
        home = folder(entry).parent
        lived = any((home / "journal").glob("*.journal")) or (entry.id in remembered and not home.exists())
        found = open_account(folder(entry), entry.run, market, balances, lived=lived)
        opened(entry.id, market.first + len(market), world.row)
        return found

    lived = []
    for entry in config.strategies:
        with suppress(LedgerBroken):  # opening it says so, for that strategy alone
            lived.append(last_row(folder(entry)))
    told = RowFile(config.state_dir / "market.row")
    first, began = max([told.read(), *lived]) + 1, [row for row in lived if row >= 0]
    oldest = min(began, default=first)
    world = PaperWorld(config.strategies, config.market, config.speed, first, threads=threads, oldest_row=oldest)
    world.handled = told.write
    seed = config.market.seed or 0
    world.open(places(world, account, lambda _: FaultPlan(), seed=seed, profile=QUICK))
    return world


def judge_capital(config: DaemonSlice) -> None:
    """InvalidInput with every strategy that would begin with less than works; one that has begun is left alone."""
    faults: list[Fault] = []
    feed, told = config.market, max(RowFile(config.state_dir / "market.row").read(), 0)
    for entry in config.strategies:
        folder = config.state_dir / "strategies" / entry.id / "venues"
        with suppress(LedgerBroken):
            if last_row(folder) >= 0:
                continue
            row = PaperWorld((entry,), feed, config.speed, told).row_of(entry)
            fault = too_small(entry.run, row, entry.capital, f"strategies.{entry.id}.capital")
            faults += [] if fault is None else [fault]
    if faults:
        raise InvalidInput(CFG_TOO_SMALL, faults)


class RowFile:
    """How far the market has been told: a hint that spares a restart the rows told since an account last wrote.

    It need not survive a power cut: cells skip a row they have handled before. A checksum stands behind the number, as
    a wrong one would move the market by years; a number of before has none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> int:
        """−1 when there is none, half of one, or one that is damaged."""
        try:
            number, _, sum = self._path.read_text().strip().partition(" ")
            row = int(number)
        except (OSError, ValueError):
            return -1
        return row if sum == _checksum(row) or (not sum and row <= MOST_ROW) else -1

    def write(self, row: int) -> None:
        with suppress(OSError):
            self._path.write_text(f"{row} {_checksum(row)}\n")


def _checksum(row: int) -> str:
    return f"{crc32(str(row).encode()):08x}"


def last_row(folder: Path) -> int:
    """The last market row that an account has lived through; −1 for a new one."""
    changes = PaperStore(folder).read()
    return changes[-1].row if changes else -1


def places(
    world: PaperWorld,
    open_account: OpenAccount,
    faults: Callable[[str], FaultPlan],
    *,
    seed: int,
    profile: Profile,
) -> Callable[[StrategyEntry, Market, Mapping[PositionKey, float]], PaperPlace]:
    """How a world opens the place of a strategy: its account behind doors with the faults planned for it."""

    def open_place(entry: StrategyEntry, market: Market, balances: Mapping[PositionKey, float]) -> PaperPlace:
        account = open_account(entry, market, balances)
        plan = faults(entry.id)
        clients = tuple(
            door(name, account, world.clock, plan, seed=seed, profile=profile, speed=world.clock.speed)
            for name in account.doors
        )
        return PaperPlace(
            entry=entry,
            control=LocalControl(account),
            clients=clients,
            waited_at=lambda: max(client.waited_at for client in clients),
            extend=account.extend,
            close=account.close,
        )

    return open_place
