"""Files, environment and requests: which wins, what is refused, what is remembered."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from components.model.errors import CFG_FILE_MISSING, CFG_INVALID, CFG_REQUEST, InvalidInput
from components.model.slices import RunSlice
from daemon.config.settings import PACKAGED, load_run, merged, merged_yaml, modes

TWO_VENUES = "hedge_allocation={binance: 0.5, bybit: 0.5}"
HEDGED = ["btc_basis", "eth_basis", "usdt_market_neutral", "usdt_market_neutral_no_leverage"]


def load(mode: str, *overrides: str, **environ: str) -> RunSlice:
    return load_run(mode, overrides=overrides, environ=environ)


def refused(mode: str, *overrides: str, **environ: str) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        load(mode, *overrides, **environ)
    return caught.value


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PACKAGED, tmp_path / "configs"))


def test_there_are_seven_modes_with_a_description() -> None:
    found = {info.name: info for info in modes()}
    assert sorted(found) == [
        "btc_basis", "eth_basis", "eth_leveraged", "eth_staking_only", "pure_lending", "usdt_market_neutral",
        "usdt_market_neutral_no_leverage",
    ]  # fmt: skip
    assert (found["eth_leveraged"].share_class, found["eth_leveraged"].asset) == ("ETH", "ETH")
    assert found["pure_lending"].description == "All USDT lent on Aave v3."
    assert all(info.description for info in found.values())


@pytest.mark.parametrize("mode", HEDGED)
def test_hedged_modes_run_on_two_venues(mode: str) -> None:
    run = load(mode, TWO_VENUES)
    assert run.mode.hedge_allocation == {"binance": 0.5, "bybit": 0.5}
    assert sorted(run.exchanges) == ["binance", "bybit"]


def test_every_mode_loads_bare() -> None:
    for info in modes():
        run = load(info.name, "costs=none", "rebalance=never", "reserve_ratio=0")
        assert (run.mode.costs, run.mode.rebalance, run.mode.reserve_ratio) == ("none", "never", 0.0)


# Requests


def test_request_replaces_a_leaf_a_section_a_list_or_a_venue_key() -> None:
    run = load(
        "btc_basis", "risk.delta.warning=0.01", "risk.margin={warning: 0.4, critical: 0.2}", "price_fallback={}",
        "risk.enabled=[delta]", "venues.okx.spot_fees.taker=8e-4",
    )  # fmt: skip
    assert (run.mode.risk.delta.warning, run.mode.risk.delta.critical) == (0.01, 0.06)
    assert run.mode.risk.margin.warning == 0.4
    assert run.mode.price_fallback == {}
    assert run.mode.risk.enabled == ("delta",)
    assert run.exchanges["okx"].spot_fees.taker == 0.0008


def test_last_request_wins() -> None:
    assert load("btc_basis", "reserve_ratio=0.1", "reserve_ratio=0.2").mode.reserve_ratio == 0.2


@pytest.mark.parametrize("written", ["weeth", "weETH", "WEETH"])
def test_staked_token_in_any_case(written: str) -> None:
    assert load("eth_leveraged", f"lst_type={written}").mode.lst_type == "weETH"


def test_all_malformed_requests_are_named_at_once() -> None:
    error = refused("btc_basis", "reserve_ratio", "=1", "a..b=1", "reserve_ratio=", "hedge_allocation={binance: 0.5")
    assert error.code == CFG_REQUEST
    assert len(error.faults) == 5


def test_request_for_an_unknown_key_names_the_nearest() -> None:
    error = refused(
        "btc_basis", "risk.dleta.warning=0.1", "venues.binnance.max_trade_usdt=1", "hedge_allocation.kraken=1"
    )
    assert error.code == CFG_INVALID
    assert [fault.nearest for fault in error.faults[:2]] == ["risk.delta.warning", "venues.binance.max_trade_usdt"]
    assert len(error.faults) == 3


def test_fault_says_which_request_it_came_from() -> None:
    error = refused("btc_basis", "risk.delta={warning: .nan, critical: 0.1}", "venues.okx.liquidation_fee=-1")
    text = str(error)
    assert "risk.delta.warning (from --set risk.delta): found nan" in text
    assert "configs/venues/okx.yaml: liquidation_fee (from --set venues.okx.liquidation_fee): found -1" in text


# Environment


def test_variable_goes_on_top_of_the_file_and_below_a_request() -> None:
    variables = {
        "BASIS_RISK__DELTA__WARNING": "0.02",
        "BASIS_COSTS": "none",
        "BASIS_VENUES__AAVE_V3__RESERVES__WEETH__LTV": "0.7",
    }
    run = load("btc_basis", **variables)
    assert (run.mode.risk.delta.warning, run.mode.costs) == (0.02, "none")
    assert run.chain.reserves["weETH"].ltv == 0.7
    assert load("btc_basis", "risk.delta.warning=0.01", **variables).mode.risk.delta.warning == 0.01


def test_variable_may_hold_a_map() -> None:
    run = load("btc_basis", BASIS_HEDGE_ALLOCATION="{binance: 0.5, bybit: 0.5}")
    assert sorted(run.mode.hedge_allocation) == ["binance", "bybit"]


def test_variables_of_the_daemon_and_credentials_are_ignored_and_never_shown() -> None:
    secrets = {"BASIS_PROD__CEX__BINANCE_SPOT_API_SECRET": "hunter2", "BASIS_DEV__ALCHEMY__PRIVATE_KEY": "hunter2"}
    daemon = {
        "BASIS_DATA_MODE": "csv", "BASIS_EXECUTION_MODE": "paper", "BASIS_ENVIRONMENT": "dev",
        "BASIS_DATA_START_DATE": "2024-01-01", "BASIS_DATA_END_DATE": "2025-01-01",
        "BASIS_LIVE_TRADING__ENABLED": "true", "PATH": "/bin",
    }  # fmt: skip
    run = load("btc_basis", **secrets, **daemon)
    assert run == load("btc_basis")
    assert "hunter2" not in merged_yaml(run)


def test_unknown_variable_names_the_nearest() -> None:
    error = refused("btc_basis", BASIS_RISK__DLETA__WARNING="0.1", BASIS_DATA_MOED="csv", BASIS_COSTS="{")
    assert error.code == CFG_REQUEST  # a value that is no YAML ends it before keys are looked up
    error = refused("btc_basis", BASIS_RISK__DLETA__WARNING="0.1", BASIS_DATA_MOED="csv")
    assert {fault.where: fault.nearest for fault in error.faults} == {
        "BASIS_DATA_MOED": "BASIS_DATA_MODE",
        "BASIS_RISK__DLETA__WARNING": "BASIS_RISK__DELTA__WARNING",
    }


# Files


def test_missing_mode_names_the_nearest() -> None:
    error = refused("btc_bsis")
    assert error.code == CFG_FILE_MISSING
    assert [(fault.where, fault.nearest) for fault in error.faults] == [("configs/modes/btc_bsis.yaml", "btc_basis")]


def test_mode_name_is_no_path() -> None:
    assert refused("../venues/okx").code == CFG_REQUEST


def test_missing_folder_and_other_faults_come_together(configs: Path) -> None:
    shutil.rmtree(configs / "share_classes")
    (configs / "venues" / "okx.yaml").unlink()
    with pytest.raises(InvalidInput) as caught:
        load_run("btc_basis", root=configs, environ={})
    assert caught.value.code == CFG_FILE_MISSING
    assert "share_classes" in str(caught.value)
    assert "hedge_allocation.okx" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mode: [unclosed\n", "line"),
        ("mode: a\nmode: b\n", "key 'mode' given twice"),
        ("", "configs/modes/btc_basis.yaml"),
        ("\t- x", "cannot start any token"),
    ],
)
def test_unreadable_file_is_a_fault_with_its_place(configs: Path, text: str, expected: str) -> None:
    (configs / "modes" / "btc_basis.yaml").write_text(text)
    with pytest.raises(InvalidInput) as caught:
        load_run("btc_basis", root=configs, environ={})
    assert expected in str(caught.value)


def test_merged_configuration_is_stable_and_complete() -> None:
    run = load("btc_basis")
    assert merged_yaml(run) == merged_yaml(load("btc_basis", "reserve_ratio=0.05"))
    assert yaml.safe_load(merged_yaml(run)) == yaml.safe_load(yaml.safe_dump(merged(run)))
    assert merged(run)["mode"]["risk"]["delta"] == {"warning": 0.03, "critical": 0.06}
    assert list(merged(run)) == ["mode", "share_class", "exchanges", "chain", "config_hash"]


# Memory


def test_second_load_is_remembered_until_anything_changes(
    configs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    first = load_run("btc_basis", root=configs, environ=environ)

    def never(_: object) -> None:
        raise AssertionError("validated again")

    with monkeypatch.context() as patch:
        patch.setattr("components.config.validation.build_run", never)
        assert load_run("btc_basis", root=configs, environ=environ) == first
    assert (
        load_run("btc_basis", root=configs, environ=environ, overrides=["reserve_ratio=0.1"]).mode.reserve_ratio == 0.1
    )
    text = (configs / "modes" / "btc_basis.yaml").read_text()
    (configs / "modes" / "btc_basis.yaml").write_text(text.replace("reserve_ratio: 0.05", "reserve_ratio: 0.07"))
    assert load_run("btc_basis", root=configs, environ=environ).mode.reserve_ratio == 0.07
    assert (
        load_run("btc_basis", root=configs, environ={**environ, "BASIS_RESERVE_RATIO": "0.08"}).mode.reserve_ratio
        == 0.08
    )


def test_torn_memory_is_forgotten_and_a_refused_run_never_kept(tmp_path: Path) -> None:
    environ = {"XDG_CACHE_HOME": str(tmp_path)}
    memory = tmp_path / "basisd" / "config" / "btc_basis.msgpack"
    with pytest.raises(InvalidInput):
        load_run("btc_basis", overrides=["reserve_ratio=2"], environ=environ)
    assert not memory.exists()
    expected = load_run("btc_basis", environ=environ)
    memory.write_bytes(memory.read_bytes()[:100])
    assert load_run("btc_basis", environ=environ) == expected
    assert [path.name for path in memory.parent.iterdir()] == ["btc_basis.msgpack"]


def test_nowhere_to_remember_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    load_run("btc_basis", environ={"XDG_CACHE_HOME": str(tmp_path / "file")})


def test_settings_import_neither_pydantic_nor_yaml_nor_numpy() -> None:
    heavy = "('pydantic', 'yaml', 'numpy', 'pandas')"
    code = f"import sys, daemon.config.settings; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGED.parent)
    assert done.stdout.strip() == "[]"
