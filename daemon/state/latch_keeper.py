"""The latches of a running daemon: they stand in memory first, and their files follow as the disk lets them.

An emergency waits for no disk: a full, read-only or hung one leaves the latch in force, and who asked is told what
could not be written. The files are written by one worker thread, in order, the newest state of a scope only, until they
agree with memory. The files are looked at as well: a latch that somebody else puts there (the command line, an operator
with a shell) is heard within a second, and nothing that crowds out the control socket can keep it from being heard.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable
from functools import partial
from pathlib import Path

import structlog
import trio

from daemon.state.latch import ALL, UNOPENED, Latch, Latches, Remove, Replace, mark

log = structlog.get_logger()
AGAIN_S = 5.0
ANSWER_S = 1.0  # most that an answer waits for the disk
HUNG = "the disk does not answer"


class LatchKeeper(Latches):
    """As `Latches`, but nothing here raises OSError or waits for a disk. `threads` False writes at once, in place."""

    def __init__(
        self, state: Path, replace: Replace | None = None, remove: Remove | None = None, *, threads: bool = True
    ) -> None:
        super().__init__(state, replace, remove)
        self._threads = threads
        self._memory: dict[str, Latch | None] = {}
        self._pending: dict[str, Latch | None] = {}  # not on the disk yet, in the order they came
        self._why: dict[str, str] = {}
        self._known: dict[str, set[str]] = {}  # ids of a scope that were in force or released here
        self._work = trio.Event()
        self._idle = trio.Event()
        self._limiter = trio.CapacityLimiter(1)
        self._looking = trio.CapacityLimiter(1)

    @property
    def unwritten(self) -> dict[str, str]:
        """Scopes whose file does not say yet what is in force, and why."""
        return {scope: self._why.get(scope, HUNG) for scope in self._pending}

    async def written(self, within_s: float = ANSWER_S) -> dict[str, str]:
        """Waits for the disk, but not for long; what is still unwritten then, and why."""
        with trio.move_on_after(within_s):
            while self._pending and not self._why:
                await self._idle.wait()
        return self.unwritten

    async def mark(self, is_closing: bool) -> None:
        """As `latch.mark`, and waits for the disk no longer than an answer does."""
        if not self._threads:
            mark(self._state, is_closing)
            return
        with trio.move_on_after(ANSWER_S):  # left behind, it makes or removes one file that says nothing new later
            await trio.to_thread.run_sync(mark, self._state, is_closing, abandon_on_cancel=True, limiter=self._limiter)

    async def run(self) -> None:
        """Writes what is to be written until it is cancelled."""
        while True:
            await self._work.wait()
            self._work = trio.Event()
            while self._pending:
                for scope in list(self._pending):
                    await self._write_one(scope)
                if self._pending:
                    with trio.move_on_after(AGAIN_S):
                        await self._work.wait()
                    self._work = trio.Event()

    async def watch(
        self, strategies: Callable[[], Collection[str]], every_s: float, heard: Callable[[Latch], None]
    ) -> None:
        """Looks at the files for latches that somebody else has put there; each is heard once."""
        while True:
            await trio.sleep(every_s)
            for latch in await self.look((ALL, *strategies())):
                log.critical("latch.found", scope=latch.scope, reason=latch.reason, id=latch.id)
                heard(latch)

    async def look(self, scopes: Iterable[str], within_s: float = 1.0) -> list[Latch]:
        """Latches on the disk that are not known here; they are in force from now on."""
        scopes = tuple(scopes)
        found: list[Latch] = []
        with trio.move_on_after(within_s):
            read = partial(self._files, scopes)
            # Left behind, this thread only reads or writes latch files: it sends nothing, and a disk that hangs must
            # not hold an emergency. One of each kind at a time, by its limiter.
            if self._threads:
                found = await trio.to_thread.run_sync(read, abandon_on_cancel=True, limiter=self._looking)
            else:
                found = read()
        new = []
        for latch in found:
            if latch.scope not in self._pending and latch.id not in self._known.setdefault(latch.scope, set()):
                self._known[latch.scope].add(latch.id)
                self._memory[latch.scope] = latch
                new.append(latch)
        return new

    def _files(self, scopes: tuple[str, ...]) -> list[Latch]:
        return [latch for scope in scopes if (latch := self._said(scope)) is not None]

    def _said(self, scope: str) -> Latch | None:
        """What a file asks for. One that cannot be opened just now (no descriptors, a failing disk) asks for nothing
        that is not known already, unless it is there for sure."""
        latch = self.on_disk(scope)
        if latch is None or latch.id != UNOPENED:
            return latch
        return latch if self._memory.get(scope) is None and os.path.lexists(self.path(scope)) else None

    def _read(self, scope: str) -> Latch | None:
        if scope not in self._memory:
            latch = self._memory[scope] = super()._read(scope)
            if latch is not None:
                self._known.setdefault(scope, set()).add(latch.id)
        return self._memory[scope]

    def _write(self, scope: str, latch: Latch) -> None:
        self._known.setdefault(scope, set()).add(latch.id)
        self._memory[scope] = latch
        self._ask(scope, latch)

    def _erase(self, scope: str) -> None:
        self._memory[scope] = None
        self._ask(scope, None)

    def _ask(self, scope: str, latch: Latch | None) -> None:
        self._pending[scope] = latch
        if not self._threads:
            self._write_now(scope)
        self._work.set()

    async def _write_one(self, scope: str) -> None:
        if not self._threads:
            self._write_now(scope)
            return
        wanted = self._pending[scope]
        try:
            await trio.to_thread.run_sync(self._apply, scope, wanted, abandon_on_cancel=True, limiter=self._limiter)
        except OSError as error:
            self._failed(scope, error)
        else:
            self._done(scope, wanted)

    def _write_now(self, scope: str) -> None:
        wanted = self._pending[scope]
        try:
            self._apply(scope, wanted)
        except OSError as error:
            self._failed(scope, error)
        else:
            self._done(scope, wanted)

    def _apply(self, scope: str, latch: Latch | None) -> None:
        if latch is None:
            super()._erase(scope)
        else:
            super()._write(scope, latch)

    def _done(self, scope: str, wanted: Latch | None) -> None:
        self._why.pop(scope, None)
        if self._pending.get(scope, wanted) is wanted:
            self._pending.pop(scope, None)
        self._wake()

    def _failed(self, scope: str, error: OSError) -> None:
        if scope not in self._why:
            log.critical("latch.not_written", scope=scope, error=str(error))
        self._why[scope] = error.strerror or str(error)
        self._wake()

    def _wake(self) -> None:
        self._idle.set()
        self._idle = trio.Event()
