"""`basis config` as an operator meets it: what is printed, and the exit code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from daemon.cli.config import config
from daemon.config.settings import PACKAGED


@pytest.fixture(autouse=True)
def no_cache_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def basis_config(*arguments: str) -> Result:
    return CliRunner().invoke(config, arguments, catch_exceptions=False)


def test_validate_checks_all_modes_by_default() -> None:
    result = basis_config("validate")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 7
    assert all(": valid, " in line for line in result.stdout.splitlines())


def test_validate_prints_every_fault_once_and_exits_78(tmp_path: Path) -> None:
    folder = shutil.copytree(PACKAGED, tmp_path / "configs")
    okx = folder / "venues" / "okx.yaml"
    okx.write_text(okx.read_text().replace("liquidation_fee", "liquidation_fees"))
    result = basis_config("validate", "btc_basis", "eth_basis", "--configs", str(folder), "--set", "reserve_ratio=.nan")
    assert result.exit_code == 78
    assert result.stdout == "btc_basis: not valid\neth_basis: not valid\n"
    assert result.stderr.count("did you mean 'liquidation_fee'?") == 1
    assert result.stderr.count("reserve_ratio") == 2 * 2  # place and origin, in each of the two mode files


def test_validate_of_an_unknown_mode_names_the_nearest() -> None:
    result = basis_config("validate", "btc_bsis")
    assert result.exit_code == 4
    assert "did you mean 'btc_basis'?" in result.stderr


def test_validate_of_an_empty_folder_is_not_a_success(tmp_path: Path) -> None:
    assert basis_config("validate", "--configs", str(tmp_path)).exit_code == 78


@pytest.mark.parametrize("command", ["validate", "show"])
def test_malformed_request_exits_2(command: str) -> None:
    result = basis_config(command, "btc_basis", "--set", "reserve_ratio")
    assert result.exit_code == 2
    assert "expected a.b=value" in result.stderr


def test_show_prints_what_is_in_force() -> None:
    result = basis_config("show", "btc_basis", "--set", "hedge_allocation={binance: 0.5, bybit: 0.5}")
    assert result.exit_code == 0
    assert yaml.safe_load(result.stdout)["mode"]["hedge_allocation"] == {"binance": 0.5, "bybit": 0.5}
    as_json = basis_config("show", "btc_basis", "-o", "json", "--set", "hedge_allocation={binance: 0.5, bybit: 0.5}")
    assert json.loads(as_json.stdout) == yaml.safe_load(result.stdout)


def test_show_reads_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASIS_RISK__DELTA__WARNING", "0.02")
    assert (
        json.loads(basis_config("show", "btc_basis", "-o", "json").stdout)["mode"]["risk"]["delta"]["warning"] == 0.02
    )


def test_show_of_an_invalid_configuration_prints_nothing_else() -> None:
    result = basis_config("show", "btc_basis", "--set", "reserve_ratio=2")
    assert (result.exit_code, result.stdout) == (78, "")
    assert "CFG-001" in result.stderr
