"""The doors of the daemon to the outside, and the index behind its answers: kept running beside what trades."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import structlog
import trio

from components.model.errors import BasisError
from daemon.config.daemon_file import Metrics as MetricsEntry
from daemon.control.server import ControlServer, Handler
from daemon.errors import first, short
from daemon.journal.queries import Queries
from daemon.monitoring.beside import beside
from daemon.monitoring.health import Health, Level
from daemon.monitoring.metrics import Metrics
from daemon.monitoring.server import MetricsServer, read_token

log = structlog.get_logger()
INDEX_EVERY_S = 2.0


class Serving:
    """`read` calls a question in the thread there is for reading; `handle` answers a request of the control socket."""

    def __init__(
        self,
        metrics: Metrics,
        health: Health,
        queries: Queries,
        handle: Handler,
        read: Callable[[Callable[[], int]], Awaitable[int]],
    ) -> None:
        self._metrics = metrics
        self._health = health
        self._queries = queries
        self._handle = handle
        self._read = read
        self.metrics_address: tuple[str, int] | None = None

    async def start(self, nursery: trio.Nursery, socket: Path, where: MetricsEntry) -> None:
        """Returns once the control socket listens, and the metrics do or have failed."""
        await nursery.start(ControlServer(socket, self._handle).run)
        token = read_token(Path(where.token_file)) if where.token_file else None
        server = MetricsServer(self._metrics, self._health, token=token)
        listening = trio.Event()

        async def serve() -> None:
            async with trio.open_nursery() as serving:
                self.metrics_address = await serving.start(partial(server.serve, where.host, where.port))
                self._health.report("metrics", Level.OK)
                listening.set()

        def failed(name: str, error: Exception) -> None:
            known = first(error)
            advice = f"; {known.hint}" if isinstance(known, BasisError) else ""
            self._health.report(name, Level.FAILED, f"{short(error)}{advice}")
            listening.set()

        nursery.start_soon(beside, "metrics", serve, failed)
        nursery.start_soon(beside, "index", self._keep_index, failed)
        await listening.wait()

    async def _keep_index(self) -> None:
        """The index follows the journals; it is derived, so what goes wrong with it stops nothing."""
        said: dict[str, str] = {}
        while True:
            await trio.sleep(INDEX_EVERY_S)
            await self._read(self._queries.catch_up)
            if self._queries.failed == said:
                continue
            said = dict(self._queries.failed)
            why = self._queries.trouble(None)
            self._health.report("index", Level.DEGRADED if said else Level.OK, why)
            if said:
                log.error("index.incomplete", journals=sorted(said), reason=why)
