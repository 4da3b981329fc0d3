"""The daemon as a process: environment, lock, logs, signals, and the exit code systemd acts on."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import structlog
import trio

from components.model.errors import CFG_INVALID, BasisError, Fault, InvalidInput, Severity, Stop, catalogued
from daemon.cells.supervisor import Ended
from daemon.config.daemon_file import DaemonSlice, load_daemon
from daemon.config.secrets import Secret, Secrets
from daemon.config.settings import PACKAGED
from daemon.control.protocol import SOCKET
from daemon.exits import Exit
from daemon.journal.index import applied_sequences
from daemon.journal.queries import INDEX_FILE
from daemon.monitoring.log import Logs, Style
from daemon.monitoring.narrator import Narrator
from daemon.monitoring.output import Outputs, outputs, say
from daemon.monitoring.reports import Reports
from daemon.monitoring.server import read_token
from daemon.process import greeting, signals
from daemon.process.daemon import Daemon
from daemon.process.early import EARLY
from daemon.process.notify import Notifier
from daemon.process.restart import check_restart
from daemon.process.seams import Parts
from daemon.provenance import provenance
from daemon.recorded.configuration import keep_configuration, last_configuration
from daemon.replica import CellState
from daemon.state.disk import RealDisk
from daemon.state.latch import ALL, Latches, requested
from daemon.state.lock import Holder, accounts_held, held, state_lock
from daemon.world.awake import AwakeClock
from daemon.world.paper_places import judge_capital, open_world
from daemon.world.world import World

log = structlog.get_logger()
SWITCH_INTERVAL_S = 0.0005  # a computing core hands over to the event loop this often
SUMMARY_EVERY_REAL_S = 18.0  # how long a terminal is left without figures; in market time:
STARTING_EVERY_S = 5.0
SUMMARY_LEAST_S, SUMMARY_MOST_S = 900.0, 6 * 3600.0
OPS_STATE_DIR = catalogued(
    "OPS-011",
    Severity.CRITICAL,
    "The state directory cannot be used",
    "Make it writable for the user that runs basisd, free space on its disk, or name another with --state",
)


class CrashReports:
    """The supervisor's view of the reports."""

    def __init__(self, reports: Reports) -> None:
        self._reports = reports

    def crashed(self, strategy: str, error: BaseException) -> None:
        with self._reports.scope(strategy=strategy):
            self._reports.capture(error)


def run_daemon(config_path: Path | None, *, state: Path | None, speed: float | None) -> int:
    """Runs until stopped; 0 after a clean stop. InvalidInput (exit 78) lists every fault before anything starts."""
    config = configured(config_path, state=state, speed=speed)
    with outputs() as streams:
        try:
            return _run(config, config_path or PACKAGED / "paper.yaml", _environ(state), speed, streams)
        except BasisError:
            raise
        except Exception as error:
            log.critical("daemon.crashed", exc_info=error)  # here, where somebody still writes lines
            raise


def _run(config: DaemonSlice, path: Path, environ: Mapping[str, str], speed: float | None, streams: Outputs) -> int:
    is_watched = "NOTIFY_SOCKET" not in environ  # by a person; systemd needs no hints
    for line in greeting.configured(config):
        say(line)
    with _usable(config.state_dir):
        config.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_servers(config, socket_path(config, environ))
    if EARLY.has_stop():
        return 0
    secrets = Secrets()
    style: Style = "json" if config.log.format == "json" else "console"
    told = greeting.SAID_IN_WORDS if style == "console" else frozenset()
    logs = Logs(sys.stderr, secrets, now=time.time_ns, level=config.log.level, style=style, told=told)
    logs.install()
    faulthandler.enable()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    holder = Holder(pid=os.getpid(), started=started, socket=str(socket_path(config, environ)))
    with ExitStack() as owned:
        with _usable(config.state_dir):
            owned.enter_context(held(state_lock(config.state_dir), holder, f"the state directory {config.state_dir}"))
            if config.execution_mode == "live":
                accounts = [entry.account for entry in config.strategies]
                owned.enter_context(accounts_held(environ, config.environment, accounts, holder))
            if EARLY.has_emergency():
                _latch_all(config)
            check_restart(last_configuration(config.state_dir), config, RealDisk())
            judge_capital(config)
            keep_configuration(config)
            known = applied_sequences(config.state_dir / INDEX_FILE)
            world = open_world(config, lambda *each: say(greeting.built(*each)), threads=True, remembered=known)
        if EARLY.has_stop():
            world.close()
            log.info("daemon.stopped", reason="stopped before it began", uncertain={})
            return 0
        reports = _reports(config, environ, secrets)
        try:
            ended = trio.run(
                _main, config, world, reports, path, environ, speed, is_watched, logs, streams, clock=AwakeClock()
            )
        except Exception as error:
            reports.capture(error)
            reports.flush()
            raise
    uncertain = {name: ids for name, ids in ended.uncertain.items() if ids}
    log.info("daemon.stopped", uncertain=uncertain)
    if is_watched:
        _say_farewell(config, world.at, uncertain)
    if config.strategies and len(ended.broken) == len(config.strategies):
        return min(ended.broken.values())  # damage is worse than a configuration that does not fit
    return Exit.DONE


def _say_farewell(config: DaemonSlice, at: int | None, uncertain: Mapping[str, Sequence[str]]) -> None:
    """Says where the state is, what was left open, and how to go on."""
    program = greeting.program_of(sys.argv)
    latches = {entry.id: Latches(config.state_dir).of(entry.id) for entry in config.strategies}
    closing = [name for name, latch in latches.items() if latch is not None and not latch.is_closed]
    for line in greeting.farewell(config.state_dir, program, sys.argv[1:], at, uncertain, closing):
        say(line)


def check_servers(config: DaemonSlice, socket: Path) -> None:
    """InvalidInput when metrics could not be guarded or the control socket could not be made; nothing is opened. That
    the state directory cannot be written is no fault of the socket in it: whoever writes there first says why."""
    if config.metrics.token_file:
        read_token(Path(config.metrics.token_file))
    folder, found = socket.parent, ""
    if not folder.is_dir():
        found = "no such folder"
    elif folder != Path(config.state_dir) and not os.access(folder, os.W_OK | os.X_OK):
        is_read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
        found = "a folder on a read-only disk" if is_read_only else "a folder that is not ours to write"
    elif os.path.lexists(socket) and not socket.is_socket():
        found = "something else of that name"
    if found:
        fault = Fault(where=str(socket), found=found, expected="a place for the control socket (RUNTIME_DIRECTORY)")
        raise InvalidInput(CFG_INVALID, [fault])


def _latch_all(config: DaemonSlice) -> None:
    """A SIGUSR1 that came before there was a daemon: it closes when it starts, and when it is killed before that,
    the next one does."""
    latches = Latches(config.state_dir)
    if latches.of_all() is None:
        latches.set(requested(ALL, signal.SIGUSR1.name, at=time.time_ns(), uid=-1))


def configured(config_path: Path | None, *, state: Path | None, speed: float | None) -> DaemonSlice:
    """The configuration of a daemon file; InvalidInput with every fault. Live needs venues that can be traded on."""
    config = _with_speed(load_daemon(config_path or PACKAGED / "paper.yaml", environ=_environ(state)), speed)
    if config.execution_mode == "live" or config.market.source != "embedded":
        fault = Fault(
            where="execution_mode, market.source",
            found=f"{config.execution_mode}, {config.market.source}",
            expected="paper, embedded: this version has no adapters of real venues",
        )
        raise InvalidInput(CFG_INVALID, [fault])
    return config


def socket_path(config: DaemonSlice, environ: Mapping[str, str]) -> Path:
    """systemd's runtime directory, where members of the group may connect; the state directory elsewhere."""
    runtime = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return Path(runtime or config.state_dir) / SOCKET


@contextmanager
def _usable(state: Path) -> Iterator[None]:
    """Stop OPS-011 when the system does not let us keep anything there."""
    try:
        yield
    except OSError as error:
        place = error.filename or state
        raise Stop(OPS_STATE_DIR, f"{place}: {error.strerror or error}", state=str(state)) from error


def _environ(state: Path | None) -> dict[str, str]:
    environ = dict(os.environ)
    if state is not None:
        environ["BASIS_STATE_DIR"] = str(state)
    return environ


async def _main(
    config: DaemonSlice,
    world: World,
    reports: Reports,
    path: Path,
    environ: Mapping[str, str],
    speed: float | None,
    is_watched: bool,
    logs: Logs,
    streams: Outputs,
) -> Ended:
    every_s = min(max(SUMMARY_EVERY_REAL_S * config.speed, SUMMARY_LEAST_S), SUMMARY_MOST_S)
    narrator = Narrator(say, every_s=every_s)
    daemon = Daemon(
        config,
        world,
        Parts(
            disk=RealDisk(),
            provenance=provenance(),
            wall_s=time.time,
            socket=socket_path(config, environ),
            set_log_level=logs.set_level,
            keep_config=keep_configuration,
            streams=lambda: streams.standing().values(),
        ),
        notifier=Notifier(environ),
        reports=CrashReports(reports),
        reload=lambda: _with_speed(load_daemon(path, environ=environ), speed),
        narrator=narrator,
    )
    result: list[Ended] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(signals.listen, daemon, EARLY.take)

        async def serve(task_status: trio.TaskStatus[Mapping[str, bool]]) -> None:
            result.append(await daemon.run(task_status=task_status))
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as waiting:
            waiting.start_soon(_say_where, daemon)
            up = await nursery.start(serve)
            waiting.cancel_scope.cancel()
        if len(daemon.supervisor.broken) == len(up):
            daemon.stop()  # nothing can run; systemd must not try again before somebody has looked
        say(greeting.ready(up))
        if is_watched:
            for line in greeting.up_lines(config, daemon.metrics_address, greeting.program_of(sys.argv), every_s):
                say(line)
    await reports.close()
    return result[0]


async def _say_where(daemon: Daemon) -> None:
    """Says how far a start is, until it is cancelled."""
    while True:
        await trio.sleep(STARTING_EVERY_S)
        states = [replica.state for replica in daemon.supervisor.replicas.values()]
        up = sum(state not in (CellState.STARTING, CellState.RECOVERING) for state in states)
        say(greeting.starting(up, len(daemon.config.strategies)))


def _with_speed(config: DaemonSlice, speed: float | None) -> DaemonSlice:
    if speed is None:
        return config
    if speed != 1.0 and config.market.source != "embedded":
        fault = Fault(where="--speed", found=f"{speed:g}", expected="1: real prices come at their own pace")
        raise InvalidInput(CFG_INVALID, [fault])
    return msgspec.structs.replace(config, speed=speed)


def _credential(environ: Mapping[str, str], name: str) -> str:
    """A secret that systemd has put into the credentials directory; "" when there is none."""
    folder = environ.get("CREDENTIALS_DIRECTORY")
    try:
        return (Path(folder) / f"basis_{name}").read_text().strip() if folder else ""
    except OSError:
        return ""


def _reports(config: DaemonSlice, environ: Mapping[str, str], secrets: Secrets) -> Reports:
    dsn = environ.get("BASIS_SENTRY_DSN", "") or _credential(environ, "SENTRY_DSN")
    return Reports(
        Secret(dsn) if dsn else None, secrets, environment=config.environment, release=provenance()["version"]
    )
