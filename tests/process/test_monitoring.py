"""Real Prometheus and Alertmanager watch the real daemon: dashboards have data, a muted feed is told, and clears."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from ops.grafana.generate import expressions
from tests.process.stand import Stand

ALL = ("lending", "btc-basis", "eth-leveraged", "market-neutral")
RULES = Path(__file__).resolve().parents[2] / "ops" / "prometheus" / "rules"
FIRES_WITHIN_S = 60.0


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: sh ops/install-test-tools.sh (as root)")
    return found


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


class Webhook:
    """Where Alertmanager calls: (alert name, status, when)."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, float]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                now = time.monotonic()
                outer.heard += [(a["labels"]["alertname"], a["status"], now) for a in body["alerts"]]
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)

    @contextmanager
    def listening(self) -> Iterator[int]:
        thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self.server.server_address[1]
        finally:
            self.server.shutdown()
            self.server.server_close()
            thread.join()

    def wait_for(self, name: str, status: str, since: float, within_s: float) -> float:
        """Seconds from `since` until it was heard."""
        until = time.monotonic() + within_s
        while True:
            for alert, state, at in self.heard:
                if (alert, state) == (name, status) and at >= since:
                    return at - since
            assert time.monotonic() < until, (name, status, sorted({each[:2] for each in self.heard}))
            time.sleep(0.2)


@contextmanager
def running(command: list[str]) -> Iterator[None]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.kill()


def ask(port: int, expr: str) -> list[Any]:
    try:
        with urlopen(f"http://127.0.0.1:{port}/api/v1/query?{urlencode({'query': expr})}", timeout=5) as answer:
            found: list[Any] = json.load(answer)["data"]["result"]
            return found
    except OSError:
        return []


def written(folder: Path, daemon: int, alertmanager: int, webhook: int) -> tuple[Path, Path]:
    scrape = folder / "prometheus.yml"
    scrape.write_text(
        json.dumps(
            {
                "global": {"scrape_interval": "1s", "scrape_timeout": "900ms", "evaluation_interval": "1s"},
                "rule_files": [str(RULES / "*.yml")],
                "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager}"]}]}]},
                "scrape_configs": [
                    {"job_name": "basisd", "static_configs": [{"targets": [f"127.0.0.1:{daemon}"]}]},
                ],
            }
        )
    )
    routes = folder / "alertmanager.yml"
    routes.write_text(
        json.dumps(
            {
                "route": {"receiver": "all", "group_by": ["alertname"], "group_wait": "0s", "group_interval": "1s"},
                "receivers": [
                    {
                        "name": "all",
                        "webhook_configs": [{"url": f"http://127.0.0.1:{webhook}/", "send_resolved": True}],
                    }
                ],
            }
        )
    )
    return scrape, routes


def test_dashboards_have_data_and_a_muted_feed_is_told_within_a_minute(tmp_path: Path) -> None:
    prometheus, alertmanager = tool("prometheus"), tool("prometheus-alertmanager")
    port, scraper, manager = free_port(), free_port(), free_port()
    webhook = Webhook()
    with ExitStack() as stack:
        stand = stack.enter_context(Stand(tmp_path, ids=ALL, speed=120.0))
        called = stack.enter_context(webhook.listening())
        scrape, routes = written(tmp_path, port, manager, called)
        assert stand.start(environ={"STAND_PORT": str(port)})
        stack.enter_context(
            running(
                [
                    alertmanager,
                    f"--config.file={routes}",
                    f"--storage.path={tmp_path / 'alerts'}",
                    f"--web.listen-address=127.0.0.1:{manager}",
                    "--cluster.listen-address=",
                ]
            )
        )
        stack.enter_context(
            running(
                [
                    prometheus,
                    f"--config.file={scrape}",
                    f"--storage.tsdb.path={tmp_path / 'data'}",
                    f"--web.listen-address=127.0.0.1:{scraper}",
                ]
            )
        )
        stand.wait_for(lambda all: all["market-neutral"]["trades"] >= 9 and all["btc-basis"]["trades"] >= 6, 40.0)
        empty = {each.expr for each in expressions() if each.needs != "fault"}
        until = time.monotonic() + 40.0
        while empty and time.monotonic() < until:
            empty = {expr for expr in empty if not ask(scraper, expr)}
            time.sleep(0.5)
        assert not empty

        muted = time.monotonic()
        (stand.state / "mute").touch()
        fired = webhook.wait_for("MarketDataStale", "firing", muted, FIRES_WITHIN_S)
        unmuted = time.monotonic()
        (stand.state / "mute").unlink()
        cleared = webhook.wait_for("MarketDataStale", "resolved", unmuted, 60.0)
        print(f"MarketDataStale fired after {fired:.0f} s and cleared after {cleared:.0f} s")
        assert fired <= FIRES_WITHIN_S
