"""Oracles about the chain: what was taken back is not booked, and nothing was seen that was not kept."""

from __future__ import annotations

from collections.abc import Iterator

from components.model.events import EventType
from daemon.journal.records import Events, Outcome, Signed, StepBegin, StepEnd
from tests.simulation.harness import Run
from venues.paper.chain.raw import body_of

SEEN_NS = 180_000_000_000  # a fact is booked two rows after it was told at the latest


def undone_is_taken_back(run: Run) -> Iterator[str]:
    """13: what a chain took back of a trade that a step had booked is taken out of the book, told as an event."""
    for strategy, account in run.accounts.items():
        records = run.records[strategy]
        booked = {(id, block) for id, block in _booked(records)}
        told = {event.detail for event in _events(records) if event.event_type is EventType.UNDONE}
        last = max((record.timestamp for record in records if isinstance(record, StepEnd)), default=0)
        for item in account.settled("chain", 0).items:
            if item.undoes is None or (item.undoes, item.block) not in booked or strategy in run.latched:
                continue
            if item.undoes not in told and item.known_at + SEEN_NS < last:
                yield f"{strategy}: block {item.block} took back {item.undoes}, and nobody was told"


def nothing_leaves_before_it_is_kept(run: Run) -> Iterator[str]:
    """13: every transaction that a node was given is in the journal of its strategy, signed before it was sent."""
    for strategy, account in run.accounts.items():
        kept = {record.transaction.hash for record in run.records[strategy] if isinstance(record, Signed)}
        for transaction in account.chain.heard.values():
            body = body_of(transaction)
            is_ours = body.group is not None or body.cancels
            if is_ours and transaction.hash not in kept and not _without_journal(run, strategy):
                yield f"{strategy}: transaction {transaction.hash[:12]} of {transaction.orders} was never kept"


def a_nonce_is_used_once(run: Run) -> Iterator[str]:
    """13: no two orders of a wallet are signed for one nonce unless the first surely never left."""
    for strategy, account in run.accounts.items():
        orders: dict[int, tuple[str, ...]] = {}
        for transaction in account.chain.heard.values():
            if not transaction.orders:
                continue
            before = orders.setdefault(transaction.nonce, transaction.orders)
            if before != transaction.orders:
                yield f"{strategy}: nonce {transaction.nonce} was given to {before} and to {transaction.orders}"


def _booked(records: list[object]) -> Iterator[tuple[str, str]]:
    """(order, block) of trades that a finished step has booked: those sent in it, and those it took up late."""
    sent: list[tuple[str, str]] = []
    late: dict[str, tuple[str, str]] = {}
    taken: tuple[str, ...] = ()
    for record in records:
        match record:
            case StepBegin():
                sent, taken = [], record.taken
            case Outcome(trade=trade) if trade is not None and trade.changes and not trade.final:
                found = (record.order_id, trade.block)
                if record.origin == "core":
                    sent.append(found)
                else:
                    late[record.order_id] = found
            case StepEnd() if record.tick >= 0:
                yield from sent
                yield from (late.pop(id) for id in taken if id in late)
                sent, taken = [], ()
            case _:
                pass


def _events(records: list[object]) -> Iterator[object]:
    for record in records:
        yield from record.events if isinstance(record, Events) else ()


def _without_journal(run: Run, strategy: str) -> bool:
    """Whether it may have closed without a journal: then what it signed was shouted, where it could be kept nowhere."""
    return any(stopped == strategy for stopped, _ in run.stops) or strategy in run.latched
