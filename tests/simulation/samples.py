"""What oracles keep of every picture that a cell published, next to the truth of its account at that moment."""

from __future__ import annotations

import msgspec

from daemon.replica import CellState, Replica
from tests.simulation.left_open import left_open
from venues.paper.account import PaperAccount

CLOSE = 1e-6


class Sample(msgspec.Struct, frozen=True, gc=False):
    """One picture. `untrue` names positions that are not what the venues hold; `failing` contracts that do not hold."""

    strategy: str
    timestamp: int | None
    at_s: float  # process time of the core's last progress
    state: CellState
    epoch: int
    sequence: int
    hash: str
    uncertain: tuple[str, ...]
    withheld: tuple[str, ...]
    failing: tuple[str, ...]
    mismatches: tuple[str, ...]
    untrue: tuple[str, ...]
    net_delta: float
    missed: int
    errors: tuple[tuple[str, int], ...]
    phase: str = ""
    left_open: tuple[str, ...] = ()  # when it says flat: what is in the way of that at the venues


def sample_of(replica: Replica, account: PaperAccount, last: Sample | None) -> Sample:
    """Texts that are the same as in the sample before are shared with it."""

    def shared(name: str, value: tuple[object, ...]) -> tuple[object, ...]:
        before = getattr(last, name, None)
        return before if before == value else value  # type: ignore[return-value]

    failing = tuple(contract.name for contract in replica.contracts if not contract.holds)
    mismatches = tuple(each for venue in replica.venues for each in venue.mismatches)
    errors = tuple((venue.name, venue.errors) for venue in replica.venues)
    return Sample(
        replica.strategy,
        replica.timestamp,
        replica.heartbeat,
        replica.state,
        replica.epoch,
        replica.journal_sequence,
        replica.journal_hash,
        shared("uncertain", tuple(order.id for order in replica.uncertain)),  # type: ignore[arg-type]
        shared("withheld", replica.withheld),  # type: ignore[arg-type]
        shared("failing", failing),  # type: ignore[arg-type]
        shared("mismatches", mismatches),  # type: ignore[arg-type]
        shared("untrue", untrue(replica, account)),  # type: ignore[arg-type]
        replica.columns.get("net_delta", 0.0),
        replica.missed,
        shared("errors", errors),  # type: ignore[arg-type]
        replica.phase,
        left_open(account) if replica.phase == "flat" and (last is None or last.phase != "flat") else (),
    )


def untrue(replica: Replica, account: PaperAccount) -> tuple[str, ...]:
    """Keys of which the daemon expects something else than the venues hold; what travels is in nobody's hand."""
    held = {str(key): amount for key, amount in account.balances.items()}
    found = []
    for key in sorted({*held, *replica.positions}):
        there, expected = held.get(key, 0.0), replica.positions.get(key, 0.0)
        if abs(there - expected) > CLOSE + 1e-9 * abs(there):
            found.append(f"{key} is {there!r}, expected {expected!r}")
    return tuple(found)
