"""What a simulated account remembers for as long as it lives, small: the newest as they are, older ones packed.

A request with an old id, a reader with an old cursor and an oracle may ask for anything that ever was; hardly anybody
does. So older items lie as compressed bytes, some forty times smaller, and are unpacked when asked for.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Generic, TypeVar, overload

from venues.paper.codec import decode, encode

T = TypeVar("T")
BLOCK = 256  # items that are packed together: one read unpacks so many


class PackedList(Generic[T]):
    """A list that only grows. Of the newest items there are at least `block` as they are."""

    def __init__(self, kind: type[T], items: Iterable[T] = (), *, block: int = BLOCK) -> None:
        self._kind = kind
        self._block = block
        self._packed: list[bytes] = []
        self._newest: list[T] = []
        self.extend(items)

    def __repr__(self) -> str:
        return f"<PackedList {len(self)} items, {len(self._newest)} as they are>"

    def __len__(self) -> int:
        return len(self._packed) * self._block + len(self._newest)

    def __iter__(self) -> Iterator[T]:
        for number in range(len(self._packed)):
            yield from self._unpacked(number)
        yield from tuple(self._newest)

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, (PackedList, list, tuple)) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    @overload
    def __getitem__(self, at: int) -> T: ...

    @overload
    def __getitem__(self, at: slice) -> list[T]: ...

    def __getitem__(self, at: int | slice) -> T | list[T]:
        if isinstance(at, slice):
            start, stop, step = at.indices(len(self))
            return self._between(start, stop)[::step] if step > 0 else list(self)[at]
        number = range(len(self))[at]
        return self._between(number, number + 1)[0]

    def append(self, item: T) -> None:
        self._newest.append(item)
        if len(self._newest) >= 2 * self._block:
            self._packed.append(zlib.compress(encode(self._newest[: self._block])))
            del self._newest[: self._block]

    def extend(self, items: Iterable[T]) -> None:
        for item in items:
            self.append(item)

    def _between(self, start: int, stop: int) -> list[T]:
        found: list[T] = []
        packed = len(self._packed) * self._block
        for number in range(start // self._block, min(-(-stop // self._block), len(self._packed))):
            begin = number * self._block
            found += self._unpacked(number)[max(start - begin, 0) : stop - begin]
        return found + self._newest[max(start - packed, 0) : max(stop - packed, 0)]

    def _unpacked(self, number: int) -> list[T]:
        return decode(zlib.decompress(self._packed[number]), list[self._kind])  # type: ignore[name-defined]


class PackedMap(MutableMapping[str, T]):
    """A mapping in the order of its keys' first appearance that forgets nothing by itself. The newest `newest` are as
    they are; `still` keeps an older one so for as long as it is not done with."""

    def __init__(self, kind: type[T], still: Mapping[str, object], *, newest: int = BLOCK) -> None:
        self._kind = kind
        self._still = still
        self._most = newest
        self._items: dict[str, T | bytes] = {}
        self._newest: deque[str] = deque()

    def __repr__(self) -> str:
        return f"<PackedMap {len(self)} items, {len(self._newest)} as they are>"

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._items))

    def __contains__(self, key: object) -> bool:
        return key in self._items

    def __getitem__(self, key: str) -> T:
        item = self._items[key]
        return decode(zlib.decompress(item), self._kind) if isinstance(item, bytes) else item

    def __setitem__(self, key: str, item: T) -> None:
        if isinstance(self._items.get(key), (type(None), bytes)):
            self._newest.append(key)
        self._items[key] = item
        if len(self._newest) > 2 * self._most:
            self._pack()

    def __delitem__(self, key: str) -> None:
        """Only what was taken back is forgotten: it has not been."""
        del self._items[key]
        self._newest = deque(each for each in self._newest if each != key)

    def _pack(self) -> None:
        kept: list[str] = []
        for _ in range(len(self._newest) - self._most):
            key = self._newest.popleft()
            if key in self._still:
                kept.append(key)
            else:
                self._items[key] = zlib.compress(encode(self._items[key]))
        self._newest.extendleft(reversed(kept))
