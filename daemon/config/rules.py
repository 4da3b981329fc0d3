"""Rules between the keys of the daemon file, each skipped while a key it needs is faulty.

What may run live is decided here and in `live_guard`; nothing here reads a file or a variable.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from components.config.documents import Document, shown
from components.config.reading import is_known
from components.model.errors import Fault, nearest_name
from components.model.slices import RunSlice
from daemon.config.schema import DaemonFile, MarketKeys, StrategyKeys
from venues.embedded.stress import SCENARIOS

DAEMON = "daemon"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,40}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NS = 1_000_000_000
_NAME_IN_WORDS = "1 to 41 lower-case letters, digits, - and _, beginning with a letter or digit"

Entries = Sequence[StrategyKeys | None]


def daemon_faults(document: Document, file: DaemonFile, entries: Entries) -> Iterator[Fault]:
    """All broken rules but those that need the configuration of a strategy."""
    is_live = is_known(file, "execution_mode") and file.execution_mode == "live"
    yield from _names(document, entries, one_account_each=is_live)
    if is_known(file, "strategies") and not entries:
        yield document.fault("strategies", "nothing", "one strategy or more")
    if is_known(file, "market"):
        yield from _market(document, file.market)
        if is_live and file.market.source == "embedded":
            yield document.fault("market.source", "embedded", "venues: execution_mode is live")
        if is_known(file, "speed") and file.market.source == "venues" and file.speed != 1.0:
            yield document.fault("speed", f"{file.speed:g}", "1: the feeds of the venues cannot be hurried")
    if is_known(file, "metrics") and file.metrics.token_file is None and not _is_loopback(file.metrics.host):
        yield document.fault("metrics.token_file", "null", f"a file: {file.metrics.host} can be reached from outside")


def interval_faults(document: Document, file: DaemonFile, runs: Mapping[int, RunSlice]) -> Iterator[Fault]:
    """Ticks of a strategy fall on rows of the embedded market."""
    if not is_known(file, "market") or file.market.step_s is None:
        return
    step = file.market.step_s
    for i, run in runs.items():
        interval = run.mode.time_throttle_interval
        if interval < step or abs(interval / step - round(interval / step)) > 1e-9:
            yield document.fault(
                f"strategies.{i}.overrides",
                f"time_throttle_interval {interval:g}",
                f"a multiple of market.step_s ({step:g})",
            )


def start_ns(text: str) -> int:
    """UTC nanoseconds of an ISO date or time (UTC without a zone); ValueError when it is none after 1970."""
    moment = datetime.fromisoformat(text)
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    seconds = since.days * 86_400 + since.seconds
    if not 0 < seconds < 2**63 // _NS:
        raise ValueError("not after 1970 and before 2262")
    return seconds * _NS + since.microseconds * 1000


def _names(document: Document, entries: Entries, *, one_account_each: bool) -> Iterator[Fault]:
    for key in ("id", "account"):
        first: dict[str, int] = {}
        for i, entry in enumerate(entries):
            if entry is None or not is_known(entry, key):
                continue
            name, path = getattr(entry, key), f"strategies.{i}.{key}"
            if not _NAME.fullmatch(name):
                yield document.fault(path, shown(name), _NAME_IN_WORDS)
            elif key == "id" and name == DAEMON:
                yield document.fault(path, shown(name), f"another id: {DAEMON} is the name of the daemon's own journal")
            elif name not in first:
                first[name] = i
            elif key == "id":
                yield document.fault(path, f"{name!r}, as strategies.{first[name]}", "an id of its own")
            elif one_account_each:
                yield document.fault(path, f"{name!r}, as strategies.{first[name]}", "live: one strategy per account")


def _market(document: Document, market: MarketKeys) -> Iterator[Fault]:
    keys = {name: getattr(market, name) for name in ("seed", "scenario", "start", "step_s")}
    for name, value in keys.items():
        if market.source == "embedded" and value is None:
            yield document.fault(f"market.{name}", "null", "a value: the embedded market needs it")
        if market.source == "venues" and value is not None:
            yield document.fault(f"market.{name}", shown(value), "null: the venues have their own market")
    if market.source != "embedded":
        return
    if market.scenario is not None and market.scenario not in SCENARIOS:
        nearest = nearest_name(market.scenario, SCENARIOS)
        yield document.fault("market.scenario", shown(market.scenario), f"one of {', '.join(SCENARIOS)}", nearest)
    if market.start is not None:
        try:
            start = start_ns(market.start)
        except ValueError:
            yield document.fault("market.start", shown(market.start), "a date like 2024-01-01, or 2024-01-01T08:00Z")
            return
        if market.step_s is not None and start % round(market.step_s * _NS):
            yield document.fault("market.start", shown(market.start), f"a multiple of step_s ({market.step_s:g})")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
