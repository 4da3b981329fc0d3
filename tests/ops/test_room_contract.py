"""A room's list says neither more nor less than its modules import."""

from __future__ import annotations

from ops.room_contract import RoomContract

IMPORTS = {
    "daemon.orders": set(),
    "daemon.orders.gate": {"components.model.errors", "trio"},
    "daemon.orders.dispatch": {"daemon.orders.gate", "daemon.journal.records", "components.model.orders"},
}


class Graph:
    """What a contract asks of a graph of imports."""

    def find_descendants(self, room: str) -> set[str]:
        return {module for module in IMPORTS if module.startswith(f"{room}.")}

    def find_modules_directly_imported_by(self, module: str) -> set[str]:
        return IMPORTS[module]


def checked(*may_import: str) -> tuple[list[tuple[str, str]], list[str]]:
    contract = RoomContract(
        name="orders",
        session_options={},
        contract_options={"room": "daemon.orders", "may_import": list(may_import)},
    )
    found = contract.check(Graph(), verbose=False)
    assert found.kept == (not found.metadata["forbidden"] and not found.metadata["unused"])
    return found.metadata["forbidden"], found.metadata["unused"]


def test_what_is_listed_is_kept_with_all_that_lies_below_it() -> None:
    assert checked("components.model", "daemon.journal.records") == ([], [])


def test_an_import_that_is_not_listed_breaks_it() -> None:
    assert checked("components.model") == ([("daemon.orders.dispatch", "daemon.journal.records")], [])


def test_a_name_is_no_prefix_of_its_like() -> None:
    forbidden, unused = checked("components.model", "daemon.journal.record")
    assert forbidden == [("daemon.orders.dispatch", "daemon.journal.records")] and unused == ["daemon.journal.record"]


def test_what_is_listed_and_imported_by_nobody_breaks_it() -> None:
    assert checked("components.model", "daemon.journal", "daemon.world") == ([], ["daemon.world"])
