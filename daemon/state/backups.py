"""A copy of the state while the daemon runs: one at a time, beside everything else, and slow enough to be harmless.

What is to be copied is settled in one moment of the event loop, in which no strategy does anything: files are opened
and measured, small ones that are replaced whole are read. The bytes themselves follow in a thread of their own, at a
bounded rate. Whoever asks waits a little and is told how far it is; asking again for the same place waits on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import structlog
import trio

from components.model.errors import BasisError, Refuse
from daemon.errors import OPS_REFUSED
from daemon.state.copy import Contents, Pace, snapshot

log = structlog.get_logger()
ANSWER_AFTER_S = 2.0
BYTES_PER_S = 100e6
SAID_EVERY_S = 10.0


class _Job:
    def __init__(self, folder: Path, made: str) -> None:
        self.folder = folder
        self.made = made
        self.copied = 0
        self.total = 0
        self.done = trio.Event()
        self.contents: Contents | None = None
        self.error: BasisError | None = None


class Backups:
    """`run` must be going on; `threads=False` copies on the loop, for simulations."""

    def __init__(self, state: Path, made: Callable[[], str], *, threads: bool) -> None:
        self._state = state
        self._made = made
        self._threads = threads
        self._job: _Job | None = None
        self._asked = trio.Event()
        self._limiter = trio.CapacityLimiter(1)

    async def run(self) -> None:
        """Makes the copies that are asked for, until cancelled; a copy that is cut has no list of contents."""
        while True:
            await self._asked.wait()
            self._asked = trio.Event()
            job = self._job
            if job is None or job.done.is_set():
                continue
            try:
                await self._copy(job)
            except BasisError as error:
                job.error = error
                log.error("backup.failed", folder=str(job.folder), error=str(error))
            finally:
                job.done.set()

    async def ask(self, folder: Path) -> Mapping[str, Any]:
        """How far the copy in that folder is; begins it when there is none. Errors are those of `snapshot`."""
        job = self._job
        if job is not None and job.folder != folder and not job.done.is_set():
            raise Refuse(OPS_REFUSED, f"a copy to {job.folder} is under way ({job.copied} of {job.total} bytes)")
        if job is None or job.folder != folder:
            job = self._job = _Job(folder, self._made())
            self._asked.set()
        with trio.move_on_after(ANSWER_AFTER_S):
            await job.done.wait()
        if not job.done.is_set():
            return {"done": False, "copied": job.copied, "of": job.total}
        self._job = None
        if job.error is not None:
            raise job.error
        assert job.contents is not None, "it is done and has not failed"
        return {"done": True, "files": len(job.contents.files), "bytes": job.contents.size, "made": job.made}

    async def _copy(self, job: _Job) -> None:
        with snapshot(self._state, job.folder) as taken:
            job.total = taken.size
            if not self._threads:
                job.contents = taken.copy(made=job.made)
                return
            said = trio.current_time()

            def copied(count: int) -> None:
                trio.from_thread.check_cancelled()
                job.copied += count

            async def say() -> None:
                while True:
                    await trio.sleep(SAID_EVERY_S)
                    log.info("backup.goes_on", folder=str(job.folder), copied=job.copied, of=job.total)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(say)
                job.contents = await trio.to_thread.run_sync(
                    lambda: taken.copy(made=job.made, pace=Pace(bytes_per_s=BYTES_PER_S, copied=copied)),
                    limiter=self._limiter,
                )
                nursery.cancel_scope.cancel()
            log.info("backup.done", folder=str(job.folder), bytes=job.total, seconds=trio.current_time() - said)
