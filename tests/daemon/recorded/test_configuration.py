"""What a state directory last ran with: kept whole, and nothing rather than something half."""

from __future__ import annotations

from pathlib import Path

from daemon.config.daemon_file import load_daemon
from daemon.config.settings import PACKAGED
from daemon.recorded.configuration import RUNNING_CONFIG, keep_configuration, last_configuration


def test_what_is_kept_is_what_is_found(tmp_path: Path) -> None:
    config = load_daemon(PACKAGED / "paper.yaml", environ={"BASIS_STATE_DIR": str(tmp_path)})
    assert last_configuration(tmp_path) is None
    keep_configuration(config)
    assert last_configuration(tmp_path) == config
    kept = (tmp_path / RUNNING_CONFIG).read_bytes()
    (tmp_path / RUNNING_CONFIG).write_bytes(kept[: len(kept) // 2])
    assert last_configuration(tmp_path) is None
    keep_configuration(config)
    assert last_configuration(tmp_path) == config
    assert [path.name for path in tmp_path.iterdir()] == [RUNNING_CONFIG]
