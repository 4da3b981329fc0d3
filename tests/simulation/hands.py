"""What strikes while a simulation runs: carries out the host faults of a list, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from msgspec.structs import replace
from trio.testing import MockClock

from components.model.keys import WALLET, base_token
from components.model.orders import TradeStatus, Verb
from daemon.cells.bridge import Baton
from daemon.config.daemon_file import DaemonSlice
from daemon.process.daemon import Daemon
from tests.simulation.host_faults import OFFSET_MS, HostDisk, HostFault

if TYPE_CHECKING:
    from tests.simulation.harness import Run

PAUSE_S = 60.0
SUSPEND_S = 400.0
INJECTED = "injected by the simulation"


class Strikes:
    """One running daemon and what it stands on."""

    def __init__(self, daemon: Daemon, run: Run, clock: MockClock, baton: Baton) -> None:
        self._daemon = daemon
        self._run = run
        self._clock = clock
        self._baton = baton

    async def carry_out(self, faults: tuple[HostFault, ...]) -> None:
        """Each at its time; those that last are healed by a task of their own."""
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for fault in faults:
                await trio.sleep_until(began + fault.after_s)
                nursery.start_soon(self._strike, fault)

    async def _strike(self, fault: HostFault) -> None:
        run, daemon, strategy = self._run, self._daemon, fault.strategy
        cell = daemon.supervisor.cells.get(strategy)
        match fault.kind:
            case "disk_full":
                disk = self._disk()
                disk.is_full = True
                self._done(fault)
                await self._over(fault)
                disk.is_full = False
            case "disk_low":
                disk = self._disk()
                disk.is_low = True
                self._done(fault)
                await self._over(fault)
                disk.is_low = False
            case "sync_error" | "write_error":
                self._disk().fail_next(strategy, fault.kind.partition("_")[0])
                self._done(fault)
            case "pause":
                async with self._baton.held():
                    self._clock.jump(PAUSE_S)
                self._done(fault)
            case "suspend":
                async with self._baton.held():
                    self._clock.jump(SUSPEND_S)
                self._done(fault)
            case "reader_fails":
                daemon.metrics.publish = _raising  # type: ignore[method-assign,assignment]
                self._done(fault)
                await self._over(fault)
                del daemon.metrics.publish
            case "restart" if cell is not None:
                daemon.supervisor.restart(strategy)
                self._done(fault)
            case "cut" if cell is not None:
                cell.cut()
                self._done(fault)
            case "crash" if cell is not None and not cell.desk.gate.closed:
                cell.actor.step = _failing  # type: ignore[method-assign,assignment]
                self._done(fault)
            case "clock_step":
                run.offset_ms = OFFSET_MS
                self._done(fault)
                await self._over(fault)
                run.offset_ms = 0.0
            case "feed_mute":
                daemon.world.muted.add(strategy)
                self._done(fault)
                await self._over(fault)
                daemon.world.muted.discard(strategy)
            case "foreign_trade" | "foreign_transfer":
                self._meddle(fault)
            case "foreign_order":
                await self._rest(fault)
            case "airdrop":
                self._airdrop(fault)
            case "emergency":
                await daemon.operator.emergency(strategy, INJECTED, 0)
                self._done(fault)
            case "reload":
                await daemon.reload()
                self._done(fault)
            case _:
                await trio.lowlevel.checkpoint()  # there is nobody to strike now

    def _meddle(self, fault: HostFault) -> None:
        """A little, and only with what is there: the strategy must notice, not go bankrupt."""
        account, at = self._run.accounts[fault.strategy], self._daemon.clock.now()
        name = f"{fault.kind}{fault.after_s}"
        if fault.kind == "foreign_trade":
            venue = next(iter(account.run.exchanges), None)
            if venue is None or account.run.mode.asset not in ("BTC", "ETH", "USDT"):
                return
            coin = "ETH" if account.run.mode.asset == "USDT" else account.run.mode.asset
            trade = account.foreign_trade(name, venue, Verb.PERP, coin, -0.01, at)
            if trade.status is not TradeStatus.FILLED:
                return
        else:
            key = base_token(WALLET, account.run.mode.share_class)
            account.foreign_transfer(name, None, key, 0.01 if key.symbol == "ETH" else 3.0, at)
        self._done(fault)

    async def _rest(self, fault: HostFault) -> None:
        """A stranger's order rests and is taken back by the stranger."""
        account = self._run.accounts[fault.strategy]
        name, door = f"{fault.kind}{fault.after_s}", account.doors[0]
        key = base_token(door if door in account.run.exchanges else WALLET, account.run.mode.share_class)
        account.foreign_order(name, key, -1.0)
        self._done(fault)
        await self._over(fault)
        for resting in account.open_orders(door):
            if resting.reference == name:
                account.cancel_resting(door, resting, self._daemon.clock.now())

    def _airdrop(self, fault: HostFault) -> None:
        """Nobody asked for it, nobody can sell it, and it must stop nothing."""
        account, at = self._run.accounts[fault.strategy], self._daemon.clock.now()
        venues = (WALLET, *account.run.exchanges)
        for venue, token, amount in ((WALLET, "PEPE", 1e6), (venues[-1], "BNB", 0.003), (WALLET, "aUSDC", 5.0)):
            account.foreign_transfer(f"airdrop{fault.after_s}{token}", None, base_token(venue, token), amount, at)
        self._done(fault)

    def _disk(self) -> HostDisk:
        assert isinstance(self._run.disk, HostDisk)
        return self._run.disk

    def _done(self, fault: HostFault) -> None:
        self._run.struck.append(fault)

    async def _over(self, fault: HostFault) -> None:
        try:
            await trio.sleep(fault.duration_s)
        finally:
            self._run.healed_s = trio.current_time()


def _raising(*_: object, **__: object) -> None:
    raise RuntimeError(INJECTED)


async def _failing(*_: object, **__: object) -> None:
    await trio.lowlevel.checkpoint()
    raise RuntimeError(INJECTED)


def with_other_limits(config: DaemonSlice) -> DaemonSlice:
    """What a reload finds: a limit of the daemon and a threshold of every strategy have changed, or changed back."""
    limits = config.limits
    other = 40.0 if limits.step_budget_s == 30.0 else 30.0
    factor = 2.0 if other == 40.0 else 0.5
    entries = tuple(
        replace(
            entry,
            run=replace(entry.run, mode=replace(entry.run.mode, dust_threshold=entry.run.mode.dust_threshold * factor)),
        )
        for entry in config.strategies
    )
    return replace(config, strategies=entries, limits=replace(limits, step_budget_s=other))
