"""The daemon file: what it becomes, what stands above it, and that all its faults are told in one go."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from components.model.errors import CFG_FILE_MISSING, CFG_INVALID, InvalidInput
from daemon.config.daemon_file import DaemonSlice, daemon_hash, load_daemon
from daemon.config.live_guard import PAPER
from daemon.config.settings import PACKAGED

PAPER_FILE = PACKAGED / "paper.yaml"
LIVE_FILE = PACKAGED / "live.example.yaml"
CONTENT: Mapping[str, Any] = yaml.safe_load(PAPER_FILE.read_bytes())


@pytest.fixture(autouse=True)
def no_cache_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def written(folder: Path, **changes: object) -> Path:
    """The paper file with two strategies, and values replaced (`a__b`), or taken away where the value is `...`."""
    content = copy.deepcopy(dict(CONTENT))
    content["strategies"] = content["strategies"][:2]
    for name, value in changes.items():
        *sections, key = name.split("__")
        node: Any = content
        for section in sections:
            node = node[int(section) if isinstance(node, list) else section]
        if value is ...:
            del node[key]
        else:
            node[int(key) if isinstance(node, list) else key] = value
    path = folder / "daemon.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def load(path: Path, **environ: str) -> DaemonSlice:
    return load_daemon(path, environ=environ)


def faults(path: Path, **environ: str) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        load(path, **environ)
    assert caught.value.code == CFG_INVALID
    return [str(fault) for fault in caught.value.faults]


def test_the_paper_file_trades_four_strategies_on_the_embedded_market() -> None:
    config = load(PAPER_FILE)
    assert [(entry.id, entry.mode, entry.run.mode.mode) for entry in config.strategies] == [
        ("lending", "pure_lending", "pure_lending"),
        ("btc-basis", "btc_basis", "btc_basis"),
        ("eth-leveraged", "eth_leveraged", "eth_leveraged"),
        ("market-neutral", "usdt_market_neutral", "usdt_market_neutral"),
    ]
    assert (config.execution_mode, config.guard, config.market.source) == ("paper", PAPER, "embedded")
    assert config.market.start == 1_704_067_200 * 10**9
    assert config.limits.stop_within_s <= 20.0


def test_the_live_example_starts_once_it_is_allowed_to() -> None:
    config = load(LIVE_FILE, BASIS_LIVE_TRADING__ENABLED="true")
    assert (config.execution_mode, config.environment, config.guard.read_only) == ("live", "staging", True)
    assert config.strategies[0].run.mode.risk.max_daily_loss.critical == 0.02


def test_live_without_the_word_is_refused_and_nothing_else_is_wrong_with_the_example() -> None:
    (line,) = faults(LIVE_FILE)
    assert "BASIS_LIVE_TRADING__ENABLED" in line


def test_the_slice_survives_the_journal() -> None:
    config = load(PAPER_FILE)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(config), type=DaemonSlice) == config


def test_the_hash_is_of_what_is_in_force(tmp_path: Path) -> None:
    config = load(written(tmp_path))
    assert config.config_hash == daemon_hash(config)
    assert load(written(tmp_path, speed=1.0)).config_hash == config.config_hash
    assert load(written(tmp_path, limits__order_grace_s=6)).config_hash != config.config_hash


def test_overrides_reach_one_strategy_only(tmp_path: Path) -> None:
    overrides = {
        "risk.delta": {"warning": 0.01, "critical": 0.02},
        "reserve_ratio": 1e-3,
        "venues.okx.max_trade_usdt": 5,
    }
    config = load(written(tmp_path, strategies__1__overrides=overrides))
    btc, lending = config.strategies[1].run, config.strategies[0].run
    assert (btc.mode.risk.delta.warning, btc.mode.reserve_ratio) == (0.01, 0.001)
    assert btc.exchanges["okx"].max_trade_usdt == 5
    assert lending.mode.reserve_ratio == 0.05


# Variables


def test_variables_stand_above_the_file(tmp_path: Path) -> None:
    config = load(
        written(tmp_path),
        BASIS_ENVIRONMENT="staging",
        BASIS_STATE_DIR="/srv/7",
        BASIS_DAEMON__LIMITS__POLL_INTERVAL_S="3",
        BASIS_DAEMON__METRICS__PORT="0",
        BASIS_RISK__DELTA__WARNING="0.02",
    )
    assert (config.environment, config.state, config.state_dir) == ("staging", "/srv/7", Path("/srv/7"))
    assert (config.limits.poll_interval_s, config.metrics.port) == (3.0, 0)
    assert {entry.run.mode.risk.delta.warning for entry in config.strategies} == {0.02}


def test_the_execution_mode_cannot_slip_to_live_by_a_variable_alone(tmp_path: Path) -> None:
    told = "\n".join(faults(written(tmp_path), BASIS_EXECUTION_MODE="live"))
    assert "market.source" in told
    assert "BASIS_LIVE_TRADING__ENABLED" in told


def test_a_variable_that_leads_nowhere_or_does_not_fit_is_named(tmp_path: Path) -> None:
    found = faults(
        written(tmp_path),
        BASIS_DAEMON__LIMITS__POLL_INTERVAL="3",
        BASIS_DAEMON__SPEED="fast",
        BASIS_ENVIRONMENT="prod",
    )
    assert any("did you mean 'BASIS_DAEMON__LIMITS__POLL_INTERVAL_S'?" in line for line in found)
    assert any("speed (from BASIS_DAEMON__SPEED): found 'fast'" in line for line in found)
    assert any("environment (from BASIS_ENVIRONMENT): found 'prod'" in line for line in found)


# Faults


def test_faults_of_all_kinds_come_in_one_go(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        strategies__0__id="Lending!",
        strategies__0__capital=float("nan"),
        strategies__0__mode="pure_lendnig",
        strategies__1__restart__max_restarts=-1,
        strategies__1__overrides={"reserve_ratio": 2, "resreve_ratio": 0.1},
        market__scenario="crahs",
        market__seed=None,
        limits__stop_within_s=60,
        limits__clock_offset=1,
        log__level=...,
        metrics__host="0.0.0.0",
    )
    told = "\n".join(faults(path))
    for place in (
        "strategies.0.id: found 'Lending!'", "strategies.0: capital: found nan", "did you mean 'pure_lending'?",
        "strategies.1: restart.max_restarts: found -1", "strategies.1.overrides reserve_ratio",
        "strategies.1.overrides resreve_ratio", "did you mean 'crash'?", "market.seed: found null",
        "limits.stop_within_s: found 60", "limits.clock_offset: found an unknown key", "log.level: found no such key",
        "metrics.token_file: found null",
    ):  # fmt: skip
        assert place in told, place


def test_a_fault_of_a_venue_file_is_told_once_for_all_strategies(tmp_path: Path) -> None:
    found = faults(written(tmp_path), BASIS_VENUES__OKX__INITIAL_MARGIN_RATE="0.001")
    assert len(found) == len(set(found))


def test_an_absent_file_names_its_neighbour(tmp_path: Path) -> None:
    path = written(tmp_path)
    with pytest.raises(InvalidInput) as caught:
        load(path.with_name("deamon.yaml"))
    assert caught.value.code == CFG_FILE_MISSING
    assert "did you mean 'daemon.yaml'?" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [1", "expected YAML"),
        ("- 1", "a map of keys"),
        ("", "a map of keys"),
        ("speed: 1\nspeed: 2", "given twice"),
        ("strategies: 5", "strategies: found 5"),
        ("strategies: [5]", "strategies.0: found 5"),
        ("\0", "expected YAML"),
    ],
)
def test_rubbish_is_told_as_faults(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "daemon.yaml"
    path.write_text(text)
    assert told in "\n".join(faults(path))


def test_a_file_that_is_no_text_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "daemon.yaml"
    path.write_bytes(b"\xff\xfe")
    assert "readable" in faults(path)[0]
