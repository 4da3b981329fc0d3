"""An import contract of one room: what its modules may import of our own code, said once and held both ways.

Whatever they import directly must lie under a name on the list, and every name on the list must be imported by
somebody: so a list never says more than is so, and the picture drawn from the lists is true.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from importlinter import Contract, ContractCheck, fields, output

OURS = ("components", "daemon", "venues")


class RoomContract(Contract):
    """`room`: a package or module. `may_import`: packages or modules outside of it, everything below them included."""

    type_name = "room"

    room = fields.StringField()
    may_import = fields.ListField(subfield=fields.StringField(), required=False)

    def check(self, graph: Any, verbose: bool) -> ContractCheck:
        room = str(self.room)
        allowed: tuple[str, ...] = tuple(self.may_import or ())  # type: ignore[arg-type]
        forbidden: list[tuple[str, str]] = []
        used: set[str] = set()
        for module in sorted({room} | graph.find_descendants(room)):
            for imported in sorted(graph.find_modules_directly_imported_by(module)):
                if imported.partition(".")[0] not in OURS or lies_in(imported, (room,)):
                    continue
                under = [name for name in allowed if lies_in(imported, (name,))]
                used.update(under)
                if not under:
                    forbidden.append((module, imported))
        unused = [name for name in allowed if name not in used]
        return ContractCheck(kept=not forbidden and not unused, metadata={"forbidden": forbidden, "unused": unused})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for module, imported in check.metadata["forbidden"]:
            output.print_error(f"{module} imports {imported}, which its room may not", bold=False)
        for name in check.metadata["unused"]:
            output.print_error(f"nothing in {self.room} imports {name}: take it off the list", bold=False)
        output.new_line()


def lies_in(module: str, packages: Iterable[str]) -> bool:
    """Whether a module is one of these packages or below one."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)
