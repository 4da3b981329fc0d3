"""What the process is started with: a configuration without faults, a place for its socket, and what it is made of."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from components.model.errors import InvalidInput
from daemon.config.daemon_file import load_daemon
from daemon.config.settings import PACKAGED
from daemon.control.protocol import SOCKET
from daemon.exits import Exit, exit_of
from daemon.journal.codec import encode
from daemon.process.start import check_servers, configured, socket_path
from daemon.provenance import provenance
from daemon.recorded.configuration import RUNNING_CONFIG, last_configuration

PAPER = PACKAGED / "paper.yaml"


def faults(path: Path | None, **words: object) -> str:
    with pytest.raises(InvalidInput) as caught:
        configured(path, state=None, speed=None, **words)  # type: ignore[arg-type]
    return "\n".join(str(fault) for fault in caught.value.faults)


def test_without_a_file_it_is_paper_with_the_state_where_it_was_asked_for(tmp_path: Path) -> None:
    config = configured(None, state=tmp_path, speed=600.0)
    assert (config.execution_mode, config.state_dir, config.speed) == ("paper", tmp_path, 600.0)
    assert [entry.id for entry in config.strategies] == ["lending", "btc-basis", "eth-leveraged", "market-neutral"]


def test_every_fault_of_a_file_is_told_at_once(tmp_path: Path) -> None:
    text = PAPER.read_text(encoding="utf-8")
    bad = text.replace("mode: btc_basis", "mode: btc_bassis").replace("order_failures: 5", "order_failures: 0")
    path = tmp_path / "bad.yaml"
    path.write_text(bad.replace("port: 9464", "port: 99999"), encoding="utf-8")
    told = faults(path)
    for found in ("btc_bassis", "order_failures", "99999"):
        assert found in told
    assert "btc_basis" in told, "what was probably meant"


def test_live_is_refused_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("ENABLED", "true"),
        ("READ_ONLY", "true"),
    ):
        monkeypatch.setenv(f"BASIS_LIVE_TRADING__{name}", value)
    path = tmp_path / "live.yaml"
    text = PAPER.read_text(encoding="utf-8").replace("execution_mode: paper", "execution_mode: live")
    path.write_text(text, encoding="utf-8")
    assert faults(path)
    assert not (tmp_path / "state").exists()


def test_the_socket_is_in_the_runtime_directory_of_systemd_or_beside_the_state(tmp_path: Path) -> None:
    config = load_daemon(PAPER, environ={"BASIS_STATE_DIR": str(tmp_path)})
    assert socket_path(config, {}) == tmp_path / SOCKET
    assert socket_path(config, {"RUNTIME_DIRECTORY": "/run/basisd:/run/other"}) == Path("/run/basisd") / SOCKET


def test_what_it_ran_with_last_is_kept_for_whoever_comes_after_a_crash(tmp_path: Path) -> None:
    assert last_configuration(tmp_path) is None
    config = load_daemon(PAPER, environ={"BASIS_STATE_DIR": str(tmp_path)})
    (tmp_path / RUNNING_CONFIG).write_bytes(encode(config))
    assert last_configuration(tmp_path) == config
    (tmp_path / RUNNING_CONFIG).write_bytes(msgspec.msgpack.encode({"strategies": "of another version"}))
    assert last_configuration(tmp_path) is None
    (tmp_path / RUNNING_CONFIG).write_bytes(b"half of i")
    assert last_configuration(tmp_path) is None


def test_a_run_says_what_made_it() -> None:
    made = provenance()
    assert made == provenance()
    assert len(made["code_hash"]) == 64
    assert "Python 3." in made["platform"]


def test_what_the_servers_need_is_looked_at_before_anything_starts(tmp_path: Path) -> None:
    config = configured(None, state=tmp_path, speed=None)
    check_servers(config, tmp_path / "s")
    for content, said in ((None, "readable file"), ("short", "16 to 512"), ("with a blank inside it", "printable")):
        token = tmp_path / "token"
        if content is not None:
            token.write_text(content)
        metrics = msgspec.structs.replace(config.metrics, token_file=str(token))
        with pytest.raises(InvalidInput, match=said):
            check_servers(msgspec.structs.replace(config, metrics=metrics), tmp_path / "s")
    (tmp_path / "file").write_text("")
    for socket, said in ((tmp_path / "no" / "s", "no such folder"), (tmp_path / "file", "something else")):
        with pytest.raises(InvalidInput, match=said) as caught:
            check_servers(config, socket)
        assert exit_of(caught.value) is Exit.CONFIG
