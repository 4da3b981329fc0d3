"""`basis replay` proves a run that had everything happen to it, and finds one altered answer."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import msgspec

from components.model.orders import Trade
from daemon.journal.codec import decode, encode
from daemon.journal.journal import Journal, record_of
from daemon.journal.records import Answer, Command, ConfigChanged, Intent, Manifest, Outcome, Record
from daemon.journal.walk import Walk
from daemon.recorded.proof import prove
from daemon.state.disk import RealDisk
from tests.process.real import basis
from tests.process.stand import Stand
from venues.paper.door.faults import Fault

STRATEGY = "btc-basis"
HOUR_S = 3600.0


def records_of(folder: Path) -> list[Record]:
    return [record_of(STRATEGY, frame) for frame in Walk(RealDisk(), folder, STRATEGY)]


def lose_an_answer(stand: Stand, key: str) -> None:
    """The answer to an order is lost, and so are the answers to the first questions after it."""
    now = stand.ask("status")[0]["timestamp"]
    for kind, endpoint, times in (("reset_after_send", "submit", 1), ("black_hole", "query", 2)):
        words = {"endpoint": endpoint, "times": times}
        stand.fault(STRATEGY, Fault(kind=kind, venue="binance", at=now, duration_s=4.0 * HOUR_S, parameters=words))
    ticks = stand.ask("status")[0]["ticks"]
    stand.ask("deposit", STRATEGY, key=key, amount="20000")
    stand.wait_for(lambda all: all[STRATEGY]["ticks"] > ticks + 40, 60.0)


def eventful(stand: Stand) -> None:
    """A deposit, an order whose outcome is unknown for a while, SIGKILL, a reload, an emergency stop, a resume."""
    assert stand.start()
    stand.wait_for(lambda all: all[STRATEGY]["trades"] >= 6)
    for attempt in range(4):
        lose_an_answer(stand, f"deposit{attempt}")
        if any(event["event_type"] == "order_unknown" for event in stand.ask("events", STRATEGY, limit="500")):
            break
    stand.wait_for(lambda all: not all[STRATEGY]["uncertain"] and not all[STRATEGY]["withheld"], 60.0)
    stand.kill()
    assert stand.start()
    stand.wait_for(lambda all: all[STRATEGY]["ticks"] > 2)
    (stand.state / "reload").touch()
    assert stand.process is not None
    stand.process.send_signal(signal.SIGHUP)
    ticks = stand.ask("status")[0]["ticks"]
    stand.wait_for(lambda all: all[STRATEGY]["ticks"] > ticks + 20)
    stand.process.send_signal(signal.SIGUSR1)
    stand.wait_for(lambda all: all[STRATEGY]["state"] == "latched")
    until = time.monotonic() + 40.0
    while "emergency.flat" not in stand.log.read_text():
        assert time.monotonic() < until, stand.log.read_text()[-2000:]
        time.sleep(0.2)
    stand.ask("resume", STRATEGY)
    stand.wait_for(lambda all: all[STRATEGY]["state"] == "running" and all[STRATEGY]["ticks"] > 5)
    assert stand.stop()[0] == 0


def test_an_eventful_run_repeats_and_an_altered_answer_does_not(tmp_path: Path) -> None:
    with Stand(tmp_path) as stand:
        eventful(stand)
        folder = stand.state / "strategies" / STRATEGY / "journal"
        records = records_of(folder)
        assert sum(isinstance(record, Manifest) for record in records) == 3
        assert any(isinstance(record, ConfigChanged) for record in records)
        assert any(isinstance(record, Command) and record.kind == "deposit" for record in records)
        assert any(isinstance(record, Outcome) and record.state == "unknown" for record in records)
        assert any(isinstance(record, Intent) and record.origin == "emergency" for record in records)
        shown = basis("replay", STRATEGY, "--state", str(stand.state))
        assert (shown.returncode, shown.stdout.split(":")[0]) == (0, "identical"), shown.stdout + shown.stderr

        altered = rewritten(records, tmp_path / "altered" / STRATEGY / "journal")
        result = prove(altered)
        assert not result.identical
        shown = basis("replay", str(altered))
        assert shown.returncode == 1
        assert "recorded" in shown.stdout and "replayed" in shown.stdout

        other = rewritten(records, tmp_path / "other" / STRATEGY / "journal", code_hash="0" * 64)
        shown = basis("replay", str(other))
        assert shown.returncode == 78
        assert "--what-if" in shown.stderr
        shown = basis("replay", str(other), "--what-if")
        assert shown.returncode in (0, 1), shown.stderr


def rewritten(records: list[Record], folder: Path, *, code_hash: str = "") -> Path:
    """The same records under a chain that verifies, but for one fill that is a little larger, or another code hash."""
    folder.mkdir(parents=True)
    journal = Journal.open(folder, RealDisk(), name=STRATEGY, now=lambda: 0)
    done = bool(code_hash)
    for record in records:
        if isinstance(record, Answer) and record.port == "execute" and not record.error and not done:
            first, *rest = decode(record.value, tuple[Trade, ...])
            larger = msgspec.structs.replace(
                first, changes={key: amount * 1.0000001 for key, amount in first.changes.items()}
            )
            record = msgspec.structs.replace(record, value=encode((larger, *rest)))
            done = True
        if isinstance(record, Manifest) and code_hash:
            record = msgspec.structs.replace(record, code_hash=code_hash)
        journal.append(record)
    journal.flush(0.0, anchor=True)
    journal.shut()
    return folder
