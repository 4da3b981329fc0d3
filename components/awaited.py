"""What a strategy that closes still waits for; nothing awaited means flat.

Flat = nothing above dust but share-class currency, reserve and gas, and nothing on its way or uncertain. Coins that the
mode has no way to sell keep nothing from being flat: they are a person's business.
It is said of positions, never of plans: a plan that is finished with something left has the rest awaited here by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from components.model.awaited import Awaited, AwaitedKind
from components.model.keys import GAS, KING, TRANSIT, WALLET, PositionKey, PositionType, token_of
from components.model.orders import leg_of
from components.model.requirements import LST_PROTOCOL, requirements, reward_tokens
from components.model.slices import ModeSlice
from components.situation import Situation

LEAST_COINS = 1e-9  # of a perp: less is none
SHARE_CLASS_TOKENS = {"USDT": frozenset({"USDT"}), "ETH": frozenset({"ETH", "WETH"})}


def awaited(now: Situation, refused: Callable[[PositionKey], bool] = lambda key: False) -> tuple[Awaited, ...]:
    """Everything between `now` and flat. `refused` tells of a position whether its venue refused to close it."""
    return (*_travelling(now), *_uncertain(now), *_open(now, refused))


def is_sellable(mode: ModeSlice, key: PositionKey) -> bool:
    """Whether a strategy of this mode may hold this there, and so knows how to get rid of it. A perp and a debt always
    are its business: they can grow."""
    token = token_of(key)
    if key.position_type is PositionType.A_TOKEN:
        return f"{key.venue}.supply_index.{token}" in requirements(mode)
    if key.position_type is not PositionType.BASE_TOKEN:
        return True
    if key.venue == WALLET:
        return mode.lst_type is not None and token in ("ETH", mode.lst_type, *reward_tokens(mode))
    return token in reward_tokens(mode) if key.venue == KING else token == mode.asset


def _travelling(now: Situation) -> Iterator[Awaited]:
    for flight in now.flights():
        kind = AwaitedKind.QUEUE if flight.source.symbol in LST_PROTOCOL else AwaitedKind.TRANSFER
        yield Awaited(
            kind=kind,
            what=flight.target,
            amount=flight.amount,
            until=flight.arrives_at,
            overdue=flight.arrives_at < now.row.timestamp,
        )


def _uncertain(now: Situation) -> Iterator[Awaited]:
    for order in now.uncertain():
        what = f"{order.id} ({leg_of(order, now.run.exchanges)})"
        yield Awaited(kind=AwaitedKind.ORDER, what=what, amount=order.amount)


def _open(now: Situation, refused: Callable[[PositionKey], bool]) -> Iterator[Awaited]:
    """Positions above dust that are not share-class currency; perps of any size."""
    cash = SHARE_CLASS_TOKENS[now.mode.share_class]
    for key, native in now.book.items():
        kind = key.position_type
        if kind is PositionType.PERP_QUOTE or key.venue in (GAS, TRANSIT) or native == 0.0:
            continue
        if kind is PositionType.PERP:
            if abs(native) <= LEAST_COINS:
                continue
        elif (kind is PositionType.BASE_TOKEN and token_of(key) in cash) or abs(now.worth(key)) <= now.dust():
            continue
        if not is_sellable(now.mode, key):
            continue
        why = AwaitedKind.POSITION
        if now.stale(*now.series_of(key)):
            why = AwaitedKind.PRICE
        elif refused(key):
            why = AwaitedKind.REFUSED
        yield Awaited(kind=why, what=key, amount=native)
