"""What an account leaves on disk says whether it has traded, and no more than that."""

from __future__ import annotations

from pathlib import Path

from components.model.orders import Verb
from daemon.world.traces import ACCOUNT_BROKEN, has_traded
from tests.venues.paper.stage import RICH, basis_market, basis_run, group, order
from venues.paper.store import NAME, open_account


def lived(folder: Path, *, orders: int) -> Path:
    run = basis_run()
    account = open_account(folder / "venues", run, basis_market(run), RICH)
    account.advance_to(0)
    for i in range(orders):
        account.submit("binance", group(order(f"o{i}", Verb.SPOT, 0.01)), account.timestamp)
    account.close()
    return folder


def test_an_account_that_saw_an_order_has_traded(tmp_path: Path) -> None:
    assert has_traded(lived(tmp_path / "a", orders=1))
    assert not has_traded(lived(tmp_path / "b", orders=0)), "to have lived is not to have traded"
    assert not has_traded(tmp_path / "none")


def test_a_damaged_ledger_says_nothing_here(tmp_path: Path) -> None:
    folder = lived(tmp_path, orders=1)
    (folder / "venues" / NAME).write_bytes(b"no ledger at all")
    assert not has_traded(folder), "whoever opens it tells"


def test_what_keeps_an_account_down_is_no_reason_to_flatten() -> None:
    assert {"SIM-002", "SIM-005"} == set(ACCOUNT_BROKEN)
