"""Flat is said of positions: what an account must still lose before it is flat, by kind, with what it waits for.

Flat means that nothing above dust is left but share-class currency, the reserve and gas: no perp, no debt, nothing
supplied, nothing on its way, no claim in a queue, no order that rests or whose outcome is not known, and no venue that
does not say what it holds. Tokens without a price, and coins that the mode has no way to sell, are listed beside it and
hold nothing up. Pure; no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from components.awaited import is_sellable
from components.model.awaited import DUST_USDT, Awaited, AwaitedKind, Unsellable, Unvalued
from components.model.errors import BasisError
from components.model.keys import GAS, RESERVE, TRANSIT, WALLET, PositionKey, PositionType, token_of
from components.model.market import Row
from components.model.orders import InFlight, Order
from components.model.requirements import DAY_NS, LST_PROTOCOL, reference_price
from components.model.slices import RunSlice
from components.utility_manager import UtilityManager

MINUTE_NS = 60_000_000_000
CURRENCY = {"USDT": frozenset({"USDT"}), "ETH": frozenset({"ETH", "WETH"})}


class Flatness(msgspec.Struct, frozen=True, kw_only=True):
    """How far an account is from flat."""

    awaited: tuple[Awaited, ...] = ()
    unvalued: tuple[Unvalued, ...] = ()
    unsellable: tuple[Unsellable, ...] = ()

    @property
    def is_flat(self) -> bool:
        return not self.awaited

    @property
    def only_waits(self) -> bool:
        """Whether something arrives by itself that the rest depends on."""
        return any(each.arrives for each in self.awaited)


def flatness(
    run: RunSlice,
    row: Row,
    positions: Mapping[PositionKey, float],
    *,
    now: int,
    in_flight: Iterable[InFlight] = (),
    uncertain: Iterable[Order] = (),
    resting: Iterable[str] = (),
    silent: Mapping[str, str] | None = None,
) -> Flatness:
    """Judged by what the venues hold; `silent` are venues that do not say, and why; `now` is market time, UTC ns."""
    prices = Prices(run, row)
    awaited: list[Awaited] = []
    unvalued: list[Unvalued] = []
    for key in sorted(positions):
        amount = positions[key]
        if amount == 0.0 or _is_allowed(run, key):
            continue
        if key.venue == TRANSIT:
            awaited += _travelling(run, key, amount, in_flight, now, prices)
            continue
        value = prices.of(key, amount)
        if value is None and key.position_type in (PositionType.BASE_TOKEN, PositionType.A_TOKEN):
            unvalued.append(Unvalued(key=str(key), amount=amount))
        elif value is not None and abs(value) <= _dust(run, key, prices):
            continue
        elif value is None or is_sellable(run.mode, key):
            awaited.append(Awaited(kind=AwaitedKind.POSITION, what=str(key), amount=amount, value_usdt=value))
    for venue, why in sorted((silent or {}).items()):
        awaited.append(Awaited(kind=AwaitedKind.SILENT, what=venue, detail=why))
    for order in uncertain:
        detail = f"{order.verb.value} {order.token} at {order.venue}: its outcome is not known"
        awaited.append(Awaited(kind=AwaitedKind.ORDER, what=order.id, amount=order.amount, detail=detail))
    for order_id in resting:
        awaited.append(Awaited(kind=AwaitedKind.ORDER, what=order_id, detail="rests at its venue"))
    unsellable = unsellable_of(run, row, positions)
    return Flatness(awaited=tuple(awaited), unvalued=tuple(unvalued), unsellable=unsellable)


def worth(run: RunSlice, row: Row, positions: Mapping[PositionKey, float]) -> float | None:
    """Equity of these positions in share-class currency, tokens without a price left out; None when a price that the
    mode needs is missing."""
    prices = UtilityManager.of(run.mode)
    try:
        return sum(amount * prices.value_at(row, key) for key, amount in positions.items() if amount)
    except BasisError:
        return None


def overdue(awaited: Iterable[Awaited]) -> tuple[Awaited, ...]:
    """What travels for longer than twice its configured delay: somebody must look for it."""
    return tuple(each for each in awaited if each.kind in (AwaitedKind.TRANSFER, AwaitedKind.QUEUE) and each.overdue)


def unvalued_of(run: RunSlice, row: Row, positions: Mapping[PositionKey, float]) -> tuple[Unvalued, ...]:
    """Tokens among these positions that have no price."""
    prices = UtilityManager.of(run.mode)
    return tuple(
        Unvalued(key=str(key), amount=amount)
        for key, amount in sorted(positions.items())
        if amount != 0.0 and key.position_type is not PositionType.PERP_QUOTE and not _is_valued(prices, row, key)
    )


class Prices:
    """USDT values at one row; None instead of an error."""

    def __init__(self, run: RunSlice, row: Row) -> None:
        self._prices = UtilityManager.of(run.mode)
        self._row = row
        self._share_class = run.mode.share_class

    def of(self, key: PositionKey, amount: float) -> float | None:
        """Value of a balance; None when it, or the share class, has no price."""
        if not _is_valued(self._prices, self._row, key):
            return None
        per_unit = self.usdt_per_share_class()
        return None if per_unit is None else amount * self._prices.value_at(self._row, key) * per_unit

    def usdt_per_share_class(self) -> float | None:
        if self._share_class == "USDT":
            return 1.0
        name = reference_price("ETH")
        return self._row.value(name) if name in self._row.market.columns else None


def _is_valued(prices: UtilityManager, row: Row, key: PositionKey) -> bool:
    try:
        return prices.is_valued(row, key)
    except BasisError:
        return False


def _is_allowed(run: RunSlice, key: PositionKey) -> bool:
    """What a flat account may hold: share-class currency, the reserve, gas, and the quote side of what it closed."""
    if key.position_type is PositionType.PERP_QUOTE or key.venue in (RESERVE, GAS):
        return True
    if key.venue == TRANSIT or key.position_type is not PositionType.BASE_TOKEN:
        return False
    return key.symbol in CURRENCY[run.mode.share_class]


def unsellable_of(run: RunSlice, row: Row, positions: Mapping[PositionKey, float]) -> tuple[Unsellable, ...]:
    """Coins among these positions that the mode has no way to sell, dust left out."""
    prices = Prices(run, row)
    found = []
    for key, amount in sorted(positions.items()):
        if amount == 0.0 or key.venue == TRANSIT or _is_allowed(run, key) or is_sellable(run.mode, key):
            continue
        value = prices.of(key, amount)
        if value is not None and abs(value) > _dust(run, key, prices):
            found.append(Unsellable(key=str(key), amount=amount, value_usdt=value))
    return tuple(found)


def _dust(run: RunSlice, key: PositionKey, prices: Prices) -> float:
    """USDT below which a balance counts as sold: where coins must travel to be sold, what travelling costs."""
    if key.venue != WALLET or key.position_type is not PositionType.BASE_TOKEN or key.symbol in LST_PROTOCOL:
        return DUST_USDT
    terms = run.chain.transfers.get(key.symbol)
    fee = None if terms is None else prices.of(key, terms.fee)
    return DUST_USDT if fee is None else max(DUST_USDT, 1.01 * abs(fee))


def _travelling(
    run: RunSlice, key: PositionKey, amount: float, in_flight: Iterable[InFlight], now: int, prices: Prices
) -> Iterator[Awaited]:
    """What is on its way, flight by flight as far as they are known: the last to arrive first, as one that has arrived
    may still be among them. What rounding leaves of all that has arrived is nothing."""
    left, value = amount, prices.of(key, amount)
    if value is not None and abs(value) <= DUST_USDT:
        return
    for flight in sorted(in_flight, key=lambda each: (each.arrives_at, each.id), reverse=True):
        if flight.token != token_of(key) or left <= 0.0:
            continue
        part = min(flight.amount, left)
        left -= part
        claims = token_of(flight.source) != flight.token
        yield Awaited(
            kind=AwaitedKind.QUEUE if claims else AwaitedKind.TRANSFER,
            what=str(key),
            amount=part,
            value_usdt=prices.of(key, part),
            until=flight.arrives_at,
            overdue=now > flight.arrives_at + delay_ns(run, flight),
            detail=f"{flight.source} to {flight.target}",
        )
    value = prices.of(key, left)
    if left > 1e-9 * abs(amount) and (value is None or abs(value) > DUST_USDT):
        yield Awaited(kind=AwaitedKind.TRANSFER, what=str(key), amount=left, value_usdt=value)


def delay_ns(run: RunSlice, flight: InFlight) -> int:
    """The configured delay of a transfer or a queue: travelling excuses for twice that, and not longer."""
    if token_of(flight.source) != flight.token:
        return int(run.mode.exit_queue_days * DAY_NS)
    exchange = run.exchanges.get(flight.source.venue)
    terms = (run.chain.transfers if exchange is None else exchange.transfers).get(flight.token)
    return 0 if terms is None else int(terms.delay_minutes * MINUTE_NS)
