"""What the wallet of an account has signed, in the journal of its strategy: durable before anybody else sees it.

The journal has one writer, and so has the wallet. What is final, or surely never left, is kept no longer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from components.model.transactions import Transaction, kept_after
from daemon.journal.records import NonceClosed, Signed
from daemon.orders.dispatch import OrderLog
from venues.interfaces import KeepsTransactions, VenueClient


class JournalKeeper:
    """A Keeper. `now` is market time, UTC ns."""

    def __init__(self, log: OrderLog, now: Callable[[], int], signed: Iterable[Transaction] = ()) -> None:
        self._log = log
        self._now = now
        self._kept: dict[str, Transaction] = {each.hash: each for each in signed}

    def __repr__(self) -> str:
        return f"<JournalKeeper {len(self._kept)} transactions>"

    def kept(self) -> tuple[Transaction, ...]:
        return tuple(self._kept.values())

    async def keep(self, transaction: Transaction) -> None:
        self._log.append(Signed(transaction=transaction))
        await self._log.commit()
        self._kept[transaction.hash] = transaction

    async def drop(self, transaction: Transaction) -> None:
        self._log.append(NonceClosed(at=self._now(), nonce=transaction.nonce, hash=transaction.hash))
        await self._log.commit()
        self._kept.pop(transaction.hash, None)

    def close(self, nonce: int) -> None:
        """Not waited for: what is final is found final again."""
        self._log.append(NonceClosed(at=self._now(), nonce=nonce))
        self._kept = kept_after(self._kept, nonce)


def bind(
    clients: Iterable[VenueClient], log: OrderLog, now: Callable[[], int], signed: Iterable[Transaction] = ()
) -> None:
    """Gives every client that signs a keeper over this log, which knows what was signed before."""
    for client in clients:
        if isinstance(client, KeepsTransactions):
            client.bind(JournalKeeper(log, now, (*signed, *client.kept())))


def kept_by(clients: Iterable[VenueClient]) -> tuple[Transaction, ...]:
    """All that these clients have signed and that is not final."""
    return tuple(each for client in clients if isinstance(client, KeepsTransactions) for each in client.kept())
