"""What reaches a fake Sentry, and what never does."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import sentry_sdk
import trio

from daemon.config.secrets import Secret, Secrets
from daemon.monitoring.reports import Reports

CANARY = "canary-9c1d77"


class Ingest(ThreadingHTTPServer):
    """Takes envelopes like Sentry and keeps them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.envelopes: list[str] = []

    @property
    def dsn(self) -> Secret:
        return Secret(f"http://publickey@127.0.0.1:{self.server_port}/1")

    def events(self) -> list[dict[str, Any]]:
        return [
            event
            for envelope in self.envelopes
            for line in envelope.splitlines()
            if "exception" in (event := json.loads(line))
        ]


class Handler(BaseHTTPRequestHandler):
    server: Ingest

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.GzipFile(fileobj=io.BytesIO(body)).read()
        self.server.envelopes.append(body.decode())
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def ingest() -> Iterator[Ingest]:
    server = Ingest()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
    sentry_sdk.get_global_scope().set_client(None)


def reporting_to(ingest: Ingest) -> Reports:
    return Reports(ingest.dsn, Secrets([CANARY]), environment="dev", release="0.1.0")


def fail(depth: int = 2) -> None:
    local_variable = {"api_secret": "held" * 5}
    if depth:
        fail(depth - 1)
    raise ValueError(f"GET /order?signature={CANARY}", len(local_variable))


async def test_no_secret_and_no_local_variable_leaves(ingest: Ingest) -> None:
    reports = reporting_to(ingest)
    with reports.scope(strategy=f"btc {CANARY}"):
        reports.trail(f"sent {CANARY}", body=CANARY)
        try:
            fail()
        except ValueError as exc:
            error = ExceptionGroup(f"cell {CANARY}", [exc])
            error.add_note(CANARY)
            reports.capture(error, request={"key": CANARY})
    await reports.close()
    [event] = ingest.events()
    sent = "".join(ingest.envelopes)
    assert CANARY not in sent and "held" * 5 not in sent and sent.count("***") >= 5
    assert "ValueError" in sent and "signature=***" in sent, "the report is still of use"
    assert event["tags"] == {"strategy": "btc ***"} and event["breadcrumbs"]["values"][0]["message"] == "sent ***"
    assert event["contexts"]["facts"] == {"request": "{'key': '***'}"}
    assert event["server_name"] == "basisd" and event["release"] == "0.1.0" and "user" not in event
    assert not [frame for value in event["exception"]["values"] for frame in _frames(value) if "vars" in frame]


def _frames(value: dict[str, Any]) -> list[dict[str, Any]]:
    return list((value.get("stacktrace") or {}).get("frames", []))


async def test_tags_of_cells_at_the_same_time_do_not_mix(ingest: Ingest) -> None:
    reports = reporting_to(ingest)

    async def cell(strategy: str, entered: trio.Event, other: trio.Event) -> None:
        with reports.scope(strategy=strategy):
            entered.set()
            await other.wait()
            await trio.to_thread.run_sync(reports.capture, ValueError(strategy))

    a, b = trio.Event(), trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(cell, "btc", a, b)
        nursery.start_soon(cell, "eth", b, a)
    await reports.close()
    pairs = sorted((e["tags"]["strategy"], e["exception"]["values"][0]["value"]) for e in ingest.events())
    assert pairs == [("btc", "btc"), ("eth", "eth")]


def test_after_close_nothing_is_sent(ingest: Ingest) -> None:
    reports = reporting_to(ingest)
    trio.run(reports.close)
    reports.capture(ValueError("late"))
    trio.run(reports.close)
    assert ingest.envelopes == [] and not reports.enabled


def test_without_a_dsn_the_library_is_not_imported() -> None:
    code = """
import sys, trio
from daemon.monitoring.reports import Reports
from daemon.config.secrets import Secret, Secrets
for dsn in (None, Secret("")):
    reports = Reports(dsn, Secrets(), environment="dev", release="1")
    with reports.scope(strategy="btc"):
        reports.trail("x")
        reports.capture(ValueError("x"))
    trio.run(reports.close)
    assert not reports.enabled and reports.captured == 0
assert "sentry_sdk" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


@pytest.mark.parametrize("dsn", ["not a dsn", "https://nohost", "ftp://a@b/c", f"https://{CANARY}@/x"])
def test_a_malformed_dsn_turns_reports_off_and_says_so(dsn: str, capsys: pytest.CaptureFixture[str]) -> None:
    reports = Reports(Secret(dsn), Secrets(), environment="dev", release="1")
    assert not reports.enabled
    reports.capture(RuntimeError("x"))
    reports.flush()
    said = capsys.readouterr().out
    assert "reports.off" in said
    assert CANARY not in said


def test_what_ends_the_daemon_is_sent_without_a_loop(ingest: Ingest) -> None:
    reports = reporting_to(ingest)
    reports.capture(RuntimeError("the daemon itself"))
    reports.flush()
    (event,) = ingest.events()
    assert event["exception"]["values"][0]["value"] == "the daemon itself"
    assert not reports.enabled
