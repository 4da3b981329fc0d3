"""Requests that have left and not arrived: each arrives at its market time, whoever still waits for the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from components.model.orders import OrderId


class Pending:
    def __init__(self) -> None:
        self._waiting: list[tuple[int, tuple[OrderId, ...], Callable[[], object]]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, at: int, order_ids: Iterable[OrderId], act: Callable[[], object]) -> None:
        """A request about these orders arrives at `at` (UTC ns), and then does `act`."""
        self._waiting.append((at, tuple(order_ids), act))

    def deliver(self, now: int) -> None:
        """What has arrived by `now` is worked on, in order of arrival."""
        due = sorted((each for each in self._waiting if each[0] <= now), key=lambda each: each[0])
        self._waiting = [each for each in self._waiting if each[0] > now]
        for _, _, act in due:
            act()

    def holds(self, order_id: OrderId) -> bool:
        """Whether a request about this order may still arrive."""
        return any(order_id in ids for _, ids, _ in self._waiting)

    def times(self) -> list[int]:
        return [at for at, _, _ in self._waiting]
