"""What may change between two starts on one state directory: more than a reload may, and less than everything.

A strategy is what its journal says it is. It goes on under its id, mode, account and capital, or the start is refused
before anything is touched; what it holds is never left behind by taking it out of the file. The market of paper is part
of the state as well: its accounts have lived through its rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from components.model.errors import CFG_STATE, Fault, InvalidInput, Stop
from components.model.slices import ModeSlice
from daemon.config.daemon_file import DaemonSlice, StrategyEntry
from daemon.control.offline import Seen, seen
from daemon.journal.reader import DAEMON, Located, journals
from daemon.state.disk import Disk

STRUCTURE = ("asset", "share_class", "lst_type", "spot_venue", "collateral")  # and which venues hedge
SAME_CAPITAL = 1e-9


def check_restart(old: DaemonSlice | None, new: DaemonSlice, disk: Disk) -> None:
    """InvalidInput CFG-020 with all faults. `old` is what the state directory last ran with, None when nobody knows."""
    lived = {each.name: each for each in journals(disk, new.state_dir) if each.name != DAEMON}
    if not lived:
        return
    faults = [*_market_faults(old, new), *_gone(lived, new, disk), *_changed(lived, old, new, disk)]
    if faults:
        raise InvalidInput(CFG_STATE, faults)


def misfit(entry: StrategyEntry, known: Seen) -> Iterator[Fault]:
    """Why a strategy cannot go on from a journal under this entry."""
    where, was, now = f"strategies.{entry.id}", known.run.mode, entry.run.mode
    if was.mode != now.mode:
        expected = f"{was.mode}, as in its journal; give another mode another id"
        yield Fault(where=f"{where}.mode", found=now.mode, expected=expected)
        return
    changed = {name: (old, new) for name, old, new in _structure(was, now) if old != new}
    holds = known.holds() if changed else ()
    if holds:
        for name, (old, new) in changed.items():
            expected = f"{old} while it holds {_few(holds)}; close it first: basis stop {entry.id} --positions close"
            yield Fault(where=f"{where}.{name}", found=str(new), expected=expected)
    state = known.recovered.state
    if state is not None and abs(state.pnl.initial - entry.capital) > SAME_CAPITAL * entry.capital:
        yield _capital(entry, state.pnl.initial)


def _market_faults(old: DaemonSlice | None, new: DaemonSlice) -> Iterator[Fault]:
    if old is None:
        return
    if old.execution_mode != new.execution_mode:
        yield Fault(where="execution_mode", found=new.execution_mode, expected=f"{old.execution_mode}, as its journals")
    before, after = msgspec.to_builtins(old.market), msgspec.to_builtins(new.market)
    for name, was in before.items():
        if after[name] != was:
            expected = f"{was}, the market that its accounts have lived in; another one needs another state directory"
            yield Fault(where=f"market.{name}", found=str(after[name]), expected=expected)


def _gone(lived: Mapping[str, Located], new: DaemonSlice, disk: Disk) -> Iterator[Fault]:
    """Strategies that were taken out of the file, or renamed, and are not flat."""
    kept = {entry.id for entry in new.strategies}
    for name, journal in lived.items():
        if name in kept:
            continue
        back = "put it back and close it first: basis stop {0} --positions close, or basis safety flatten {0}"
        try:
            known = seen(disk, journal)
        except Stop as error:
            expected = f"it to stay: nobody can tell what it holds ({error.message}); {back.format(name)}"
            yield Fault(where=f"strategies.{name}", found="removed or renamed", expected=expected)
            continue
        holds = known.holds() if known is not None else ()
        if holds:
            expected = f"it to stay: it holds {_few(holds)}; {back.format(name)}"
            yield Fault(where=f"strategies.{name}", found="removed or renamed", expected=expected)


def _changed(lived: Mapping[str, Located], old: DaemonSlice | None, new: DaemonSlice, disk: Disk) -> Iterator[Fault]:
    """Strategies that go on under another description. Journals are read only where the last one differs or is gone."""
    before = {entry.id: entry for entry in old.strategies} if old is not None else {}
    for entry in new.strategies:
        if entry.id not in lived:
            continue
        was = before.get(entry.id)
        if was is not None and was.account != entry.account:
            expected = f"{was.account}, where its positions are"
            yield Fault(where=f"strategies.{entry.id}.account", found=entry.account, expected=expected)
        if was is not None and _is_same(was, entry):
            continue
        try:
            known = seen(disk, lived[entry.id])
        except Stop:
            continue  # its own start says what is wrong with the journal, and stops that strategy only
        if known is not None:
            yield from misfit(entry, known)


def _is_same(was: StrategyEntry, now: StrategyEntry) -> bool:
    return (
        was.run.mode.mode == now.run.mode.mode
        and was.capital == now.capital
        and all(old == new for _, old, new in _structure(was.run.mode, now.run.mode))
    )


def _structure(was: ModeSlice, now: ModeSlice) -> Iterator[tuple[str, object, object]]:
    for name in STRUCTURE:
        yield name, getattr(was, name), getattr(now, name)
    yield "hedge_allocation", ", ".join(sorted(was.hedge_allocation)), ", ".join(sorted(now.hedge_allocation))
    yield "max_ltv", "none" if was.max_ltv is None else "set", "none" if now.max_ltv is None else "set"


def _capital(entry: StrategyEntry, was: float) -> Fault:
    more = entry.capital - was
    verb = "deposit" if more > 0.0 else "withdraw"
    expected = f"{was:.10g}, what it started with; then: basis {verb} {entry.id} {abs(more):.10g}"
    return Fault(where=f"strategies.{entry.id}.capital", found=f"{entry.capital:.10g}", expected=expected)


def _few(holds: tuple[str, ...]) -> str:
    rest = f" and {len(holds) - 3} more" if len(holds) > 3 else ""
    return ", ".join(holds[:3]) + rest
