"""What a wallet has signed, in memory: what a keeper on disk goes by, and enough where nothing outlives the process."""

from __future__ import annotations

from collections.abc import Iterable

from components.model.transactions import Transaction


class Kept:
    """A Keeper that forgets with its process."""

    def __init__(self, transactions: Iterable[Transaction] = ()) -> None:
        self._kept: dict[str, Transaction] = {each.hash: each for each in transactions}

    def __repr__(self) -> str:
        return f"<Kept {len(self._kept)} transactions>"

    def kept(self) -> tuple[Transaction, ...]:
        return tuple(self._kept.values())

    async def keep(self, transaction: Transaction) -> None:
        self._kept[transaction.hash] = transaction

    async def drop(self, transaction: Transaction) -> None:
        self._kept.pop(transaction.hash, None)

    def close(self, nonce: int) -> None:
        self._kept = {hash: each for hash, each in self._kept.items() if each.nonce != nonce}
