"""A reload: taken between two steps, wholly or not at all, and written down."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from msgspec import structs

from components.model.errors import CFG_INVALID, Fault, InvalidInput
from components.model.slices import RunSlice
from daemon.config.daemon_file import DaemonSlice, StrategyEntry
from daemon.config.difference import RELOADABLE, _leaves, reload
from daemon.config.live_guard import PAPER
from daemon.journal.records import ConfigChanged
from daemon.process.daemon import Daemon
from daemon.replica import CellState
from tests.daemon.house import BTC, LENDING, House, cell_of, in_state, replica_of, ticked, until
from tests.daemon.recordings import with_other_threshold


def test_new_limits_are_taken_by_the_next_step_and_journaled(tmp_path: Path) -> None:
    house = House(tmp_path, LENDING, BTC)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, BTC, 2)
        before = cell_of(daemon, BTC).desk.run.mode.dust_threshold
        told = await daemon.reload()
        assert "strategies.btc-basis.dust_threshold" in told
        assert cell_of(daemon, BTC).desk.run.mode.dust_threshold == before, "not within a step"
        await ticked(daemon, BTC, 1)
        assert cell_of(daemon, BTC).desk.run.mode.dust_threshold == 2.0 * before
        assert cell_of(daemon, BTC).core.run.mode.dust_threshold == 2.0 * before

    house.live(play, reload=lambda: with_other_threshold(house.config))
    (change,) = [record for record in house.records(BTC) if isinstance(record, ConfigChanged)]
    assert change.changes == {"strategies.btc-basis.dust_threshold": ("50.0", "100.0")}
    audited = [record for record in house.records("daemon") if isinstance(record, ConfigChanged)]
    assert [sorted(record.changes) for record in audited] == [
        ["strategies.btc-basis.dust_threshold", "strategies.lending.dust_threshold"]
    ]


def test_the_same_configuration_changes_nothing(tmp_path: Path) -> None:
    house = House(tmp_path)

    async def play(daemon: Daemon) -> None:
        assert await daemon.reload() == "configuration reloaded: nothing has changed"

    house.live(play, reload=lambda: house.config)
    assert not [record for record in house.records("daemon") if isinstance(record, ConfigChanged)]


def broken() -> DaemonSlice:
    raise InvalidInput(CFG_INVALID, [Fault(where="limits.poll_interval_s", found="-1", expected="above 0")])


def other_account(house: House) -> DaemonSlice:
    entries = tuple(structs.replace(entry, account="another") for entry in house.config.strategies)
    return with_other_threshold(structs.replace(house.config, strategies=entries))


@pytest.mark.parametrize("what", ["faults", "identity"])
def test_a_bad_one_keeps_everything_as_it_was(what: str, tmp_path: Path) -> None:
    house = House(tmp_path)

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, LENDING, 2)
        before = daemon.supervisor.config
        told = await daemon.reload()
        assert "poll_interval_s" in told if what == "faults" else "account" in told
        assert "the old one stays" in told and "nothing was started" not in told
        await ticked(daemon, LENDING, 2)
        assert daemon.supervisor.config is before
        assert cell_of(daemon).desk.run is before.strategies[0].run

    house.live(play, reload=broken if what == "faults" else lambda: other_account(house))
    assert not [record for record in house.records(LENDING) if isinstance(record, ConfigChanged)]


LEVERAGED = "eth-leveraged"


def guarded(config: DaemonSlice) -> DaemonSlice:
    return structs.replace(config, guard=structs.replace(PAPER, circuit_breaker_enabled=True))


def another(name: str, value: Any) -> Any:
    """A value that is valid and is not this one."""
    match name, value:
        case "time_throttle_interval", _:
            return 2.0 * value
        case "level", _:
            return "debug"
        case "on_failure", _:
            return "hold"
        case "on_stop", _:
            return "close"
        case "enabled", _:
            return value[:-1]
        case _, bool():
            return not value
        case _, int():
            return value + 1
        case _, float():
            return 0.99 * value
        case _:
            raise AssertionError(f"{name} has no other value here")


def other(node: Any, path: str, is_free: Any, changed: list[str]) -> Any:
    """A struct or map in which every leaf that may change has another value; their paths are noted."""
    if isinstance(node, msgspec.Struct):
        fields = {name: getattr(node, name) for name in node.__struct_fields__}
    elif isinstance(node, dict):
        fields = node
    else:
        if node is None or not is_free(path):
            return node
        changed.append(path)
        return another(path.rpartition(".")[2], node)
    new = {name: other(value, f"{path}.{name}" if path else name, is_free, changed) for name, value in fields.items()}
    return structs.replace(node, **new) if isinstance(node, msgspec.Struct) else new


def all_changed(config: DaemonSlice) -> tuple[DaemonSlice, list[str]]:
    """Every key that can be reloaded has another value; the keys, as a reload names them."""
    changed: list[str] = []

    def is_free(path: str) -> bool:
        return any(fnmatchcase(path, pattern) for pattern in RELOADABLE)

    def run_of(entry: StrategyEntry) -> RunSlice:
        mode = other(entry.run.mode, f"strategies.{entry.id}", is_free, changed)
        exchanges = other(dict(entry.run.exchanges), f"strategies.{entry.id}.venues", is_free, changed)
        return structs.replace(entry.run, mode=mode, exchanges=exchanges)

    entries = tuple(
        structs.replace(
            entry,
            run=run_of(entry),
            restart=other(entry.restart, f"strategies.{entry.id}.restart", is_free, changed),
            on_failure=other(entry.on_failure, f"strategies.{entry.id}.on_failure", is_free, changed),
        )
        for entry in config.strategies
    )
    limits = other(config.limits, "limits", is_free, changed)
    log = other(config.log, "log", is_free, changed)
    return structs.replace(config, limits=limits, log=log, strategies=entries), sorted(changed)


def leaves_of(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(node, (msgspec.Struct, dict)):
        yield path, node
        return
    names = node.__struct_fields__ if isinstance(node, msgspec.Struct) else tuple(node)
    for name in names:
        yield from leaves_of(getattr(node, name) if isinstance(node, msgspec.Struct) else node[name], f"{path}.{name}")


def in_force(daemon: Daemon, house: House) -> dict[str, Any]:
    """Every key that can be reloaded, as those who act by it have it now."""
    found: dict[str, Any] = {"log.level": house.levels[-1] if house.levels else "info"}
    cell = cell_of(daemon, BTC)
    patience, limits, breaker = cell.desk.dispatch.patience, cell.desk.authority.limits, cell.desk.breaker.limits
    assert breaker is not None
    found |= {
        "limits.max_adjustment_per_day": limits.max_adjustment_per_day,
        "limits.clock_offset_ms": limits.clock_offset_ms,
        "limits.order_grace_s": patience.order_grace_s,
        "limits.leg_deadline_s": patience.legs_s,
        "limits.leg_cost_bps": patience.legs_cost_bps,
        "limits.unknown_budget_s": patience.unknown_budget_s,
        "limits.order_failures": breaker.failures_in_a_row,
        "limits.orders_per_minute": breaker.orders_per_minute,
        "limits.poll_interval_s": cell.desk.around.poll_interval_s,
        "limits.step_budget_s": daemon.health.step_budget_s,
        "limits.stop_within_s": daemon.config.limits.stop_within_s,
    }
    for entry in daemon.supervisor.config.strategies:
        own = f"strategies.{entry.id}"
        now = daemon.supervisor._now(house.config.strategies[0 if entry.id == BTC else 1])
        found |= {f"{own}.restart.{name}": getattr(now.restart, name) for name in now.restart.__struct_fields__}
        found[f"{own}.on_failure"] = now.on_failure
        run = cell_of(daemon, entry.id).core.run
        found |= {f"{own}.venues.{name}.max_trade_usdt": each.max_trade_usdt for name, each in run.exchanges.items()}
        found |= {path: value for path, value in leaves_of(run.mode, own)}
    return found


def test_every_key_that_can_be_reloaded_is_in_force_after_it(tmp_path: Path) -> None:
    house = House(tmp_path, BTC, LEVERAGED, changed=guarded)
    new, keys = all_changed(house.config)
    assert reload(house.config, new).faults == ()
    assert {key.replace(BTC, "*").replace(LEVERAGED, "*") for key in keys} >= {
        "log.level", "limits.poll_interval_s", "strategies.*.restart.max_restarts", "strategies.*.break_even_days",
        "strategies.*.risk.delta.critical", "strategies.*.venues.okx.max_trade_usdt", "strategies.*.on_stop",
    }  # fmt: skip
    unused = [pattern for pattern in RELOADABLE if not any(fnmatchcase(key, pattern) for key in keys)]
    assert unused == []

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, LEVERAGED, 2)
        before = in_force(daemon, house)
        told = await daemon.reload()
        await ticked(daemon, BTC, 2)
        await ticked(daemon, LEVERAGED, 2)
        after = in_force(daemon, house)
        wanted = _leaves(new)
        assert [key for key in keys if key not in after] == []
        assert {key: msgspec.json.encode(after[key]).decode() for key in keys} == {key: wanted[key] for key in keys}
        assert all(before[key] != after[key] for key in keys)
        assert all(key in told for key in keys)

    house.live(play, reload=lambda: new)
    assert house.kept == [new], "the safety program goes by it too"
    assert house.crashes.seen == []


def test_what_has_no_effect_in_a_daemon_is_refused(tmp_path: Path) -> None:
    house = House(tmp_path, BTC)
    (entry,) = house.config.strategies
    for changes in ({"max_age_steps": 9.0}, {"target_apy": 0.5}):
        run = structs.replace(entry.run, mode=structs.replace(entry.run.mode, **changes))
        new = structs.replace(house.config, strategies=(structs.replace(entry, run=run),))
        assert [fault.where for fault in reload(house.config, new).faults] == [
            f"strategies.{BTC}.{next(iter(changes))}"
        ]
    new = structs.replace(house.config, log=structs.replace(house.config.log, format="json"))
    assert [fault.where for fault in reload(house.config, new).faults] == ["log.format"]


def test_a_poll_interval_counts_from_the_next_look(tmp_path: Path) -> None:
    house = House(tmp_path, LENDING)
    new = structs.replace(house.config, limits=structs.replace(house.config.limits, poll_interval_s=1.0))

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, LENDING, 2)
        await daemon.reload()
        await trio.sleep(31.0)  # the look that was under way
        (view, *_) = cell_of(daemon).desk.observer.views.values()
        before = view.polls
        await trio.sleep(20.5)
        assert view.polls - before >= 15

    house.live(play, reload=lambda: new)


def test_restarts_are_counted_by_the_new_limit(tmp_path: Path) -> None:
    house = House(tmp_path, LENDING)
    (entry,) = house.config.strategies
    strict = structs.replace(entry, on_failure="hold", restart=structs.replace(entry.restart, max_restarts=0))

    async def play(daemon: Daemon) -> None:
        await ticked(daemon, LENDING, 2)
        await daemon.reload()

        async def fails(*_: object, **__: object) -> None:
            raise RuntimeError("as told")

        cell_of(daemon).actor.step = fails  # type: ignore[method-assign,assignment]
        await in_state(daemon, CellState.FAILED)

    house.live(play, reload=lambda: structs.replace(house.config, strategies=(strict,)))
    assert len(house.crashes.seen) == 1


def with_interval(config: DaemonSlice, seconds: float) -> DaemonSlice:
    entries = tuple(
        structs.replace(
            entry,
            run=structs.replace(entry.run, mode=structs.replace(entry.run.mode, time_throttle_interval=seconds)),
        )
        for entry in config.strategies
    )
    return structs.replace(config, strategies=entries)


@pytest.mark.parametrize(("first", "second"), [(60.0, 120.0), (120.0, 60.0), (60.0, 420.0), (300.0, 60.0)])
@pytest.mark.parametrize("how", ["reload", "restart"])
def test_another_interval_goes_on_ticking(first: float, second: float, how: str, tmp_path: Path) -> None:
    house = House(tmp_path, LENDING, changed=lambda config: with_interval(config, first))
    new = with_interval(house.config, second)
    stamps: list[int] = []

    async def before(daemon: Daemon) -> None:
        await ticked(daemon, LENDING, 3)
        if how == "reload":
            assert "time_throttle_interval" in await daemon.reload()
            await after(daemon)

    async def after(daemon: Daemon) -> None:
        steps = cell_of(daemon).actor.steps
        began = trio.current_time()
        await until(lambda: cell_of(daemon).actor.steps >= steps + 6, within_s=8 * second + first)
        assert trio.current_time() - began <= 6 * second + first
        picture = replica_of(daemon)
        assert (picture.missed, picture.skipped) == (0, 0)
        assert picture.interval_s == second
        assert not daemon.health.stuck()
        assert daemon.latches.of(LENDING) is None
        stamps.append(picture.timestamp or 0)

    house.live(before, reload=lambda: new)
    if how == "restart":
        house.config = new
        house.live(after)
    assert stamps[0] % int(second * 1e9) == 0
