"""A real Prometheus scrapes the real endpoint: every query of every dashboard finds data, and an alert fires."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import trio

from daemon.config.secrets import Secret
from daemon.monitoring.health import Health
from daemon.monitoring.metrics import Metrics
from daemon.monitoring.server import MetricsServer
from daemon.replica import CellState
from ops.grafana.generate import expressions
from tests.daemon.monitoring.test_metrics import feed_everything
from tests.daemon.one_cell import lost, running

RULES = Path(__file__).resolve().parents[2] / "ops" / "prometheus" / "rules"
TOKEN = Secret("scrape-0123456789abcdef")
FIRST_ALERT, TIMEOUT_S = "EmergencyStopActive", 25.0


class Prometheus:
    """A scraper of its own for one test."""

    def __init__(self, binary: str, folder: Path, target: int) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        (folder / "token").write_text(TOKEN.reveal())
        (folder / "prometheus.yml").write_text(
            json.dumps(
                {
                    "global": {"scrape_interval": "500ms", "scrape_timeout": "400ms", "evaluation_interval": "500ms"},
                    "rule_files": [str(RULES / "*.yml")],
                    "scrape_configs": [
                        {
                            "job_name": "basisd",
                            "authorization": {"credentials_file": str(folder / "token")},
                            "static_configs": [{"targets": [f"127.0.0.1:{target}"]}],
                        }
                    ],
                }
            )
        )
        self.command = [
            binary,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--log.level=error",
        ]

    @contextmanager
    def started(self) -> Iterator[None]:
        with subprocess.Popen(self.command) as process:
            try:
                yield
            finally:
                process.terminate()

    async def ask(self, path: str, **parameters: str) -> Any:
        """The answer of its API; None while it does not answer."""
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urlencode(parameters)}"
        try:
            return await trio.to_thread.run_sync(partial(_read, url))
        except OSError:
            return None


def _read(url: str) -> Any:
    with urlopen(url, timeout=5) as answer:
        return json.load(answer)["data"]


def test_every_query_finds_data_and_an_alert_fires(prometheus: str, tmp_path: Path) -> None:
    metrics = Metrics(now=time.time)
    health = Health(trio.current_time)

    async def live() -> None:
        """A daemon that does something all the time."""
        feed_everything(metrics)
        sequence = 0
        while True:
            sequence += 5
            metrics.step("btc", 0.2, "decided")
            columns = {**running().columns, "ltv": 0.9, "health_factor": 1.05}
            metrics.publish(running(uncertain=(lost(),), columns=columns, journal_sequence=sequence))
            metrics.publish(running("eth", state=CellState.LATCHED))
            await trio.sleep(0.25)

    async def main() -> tuple[list[str], list[dict[str, Any]]]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(live)
            _, port = await nursery.start(MetricsServer(metrics, health, token=TOKEN).serve, "127.0.0.1", 0)
            scraper = Prometheus(prometheus, tmp_path, port)
            with scraper.started(), trio.move_on_after(TIMEOUT_S):
                empty = [e.expr for e in expressions()]
                fired: list[dict[str, Any]] = []
                while empty or not fired:
                    await trio.sleep(0.5)
                    answers = {expr: await scraper.ask("query", query=expr) for expr in empty}
                    empty = [expr for expr, answer in answers.items() if not (answer and answer["result"])]
                    found = await scraper.ask("alerts")
                    alerts = found["alerts"] if found else []
                    fired = [a for a in alerts if a["labels"]["alertname"] == FIRST_ALERT and a["state"] == "firing"]
            nursery.cancel_scope.cancel()
        return empty, fired

    empty, fired = trio.run(main)
    assert empty == []
    assert [alert["labels"]["strategy"] for alert in fired] == ["eth"]
    assert fired[0]["annotations"]["summary"] == "eth: the emergency latch is set (1)"
