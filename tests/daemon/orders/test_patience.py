"""How long dispatch waits for what: as configured, and together no longer than a stop may take."""

from __future__ import annotations

from pathlib import Path

from daemon.config.daemon_file import load_daemon
from daemon.config.settings import PACKAGED
from daemon.orders.patience import Patience, patience_of


def test_what_is_waited_for_is_what_the_daemon_file_says(tmp_path: Path) -> None:
    environ = {
        "BASIS_STATE_DIR": str(tmp_path),
        "BASIS_DAEMON__LIMITS__ORDER_GRACE_S": "3",
        "BASIS_DAEMON__LIMITS__UNKNOWN_BUDGET_S": "2",
        "BASIS_DAEMON__LIMITS__LEG_DEADLINE_S": "1",
        "BASIS_DAEMON__LIMITS__LEG_COST_BPS": "7",
    }
    found = patience_of(load_daemon(PACKAGED / "paper.yaml", environ=environ).limits)
    assert found == Patience(order_grace_s=3.0, unknown_budget_s=2.0, legs_s=1.0, legs_cost_bps=7.0)


def test_an_order_is_seen_through_within_the_time_of_a_stop(tmp_path: Path) -> None:
    limits = load_daemon(PACKAGED / "paper.yaml", environ={"BASIS_STATE_DIR": str(tmp_path)}).limits
    waits = patience_of(limits)
    assert waits.order_grace_s + waits.unknown_budget_s + waits.legs_s <= limits.stop_within_s
