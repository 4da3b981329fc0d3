"""Positions as people read them: amounts in underlying units, with unit, price, value, side and venue.

A book keeps scaled balances, and the two sides of a perp apart, because these stay constant; a person wants to know
what is there and what it is worth. The values of a strategy's rows add up to its equity at book value.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from components.model.errors import BasisError
from components.model.keys import PositionKey, PositionType, perp_quote, token_of
from components.model.market import Row
from components.utility_manager import UtilityManager
from daemon.backtest.sold import row_of
from daemon.replica import Replica

AGREES = 1e-9  # of the amount: less is rounding


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """One position. None is what is not known: a price that no series gives, a venue that has not told.

    `expected` and `observed` are native units (scaled balances for what is supplied or owed); `amount` and
    `observed_amount` underlying ones, `price` share-class currency per unit, `value` what it adds to equity: of a perp
    that is its unrealised profit, with `entry` the average price it was entered at. The quote side of a perp belongs to
    that row: `part_of` names it, and it has no value of its own. `as_reported`: `amount`, `entry` and `value` are of
    what the venues report, because the book rests under an emergency stop.
    """

    strategy: str
    key: str
    expected: float
    observed: float | None
    venue: str = ""
    holding: str = ""
    side: str = ""
    amount: float | None = None
    unit: str = ""
    price: float | None = None
    entry: float | None = None
    value: float | None = None
    currency: str = ""
    observed_amount: float | None = None
    part_of: str | None = None
    differs: bool = False
    as_reported: bool = False


def holdings(replicas: Iterable[Replica]) -> list[Holding]:
    """The rows of all strategies, each strategy's by venue."""
    return [row for replica in replicas for row in _of(replica)]


def _of(replica: Replica) -> Iterator[Holding]:
    known = {**replica.positions, **replica.observed}
    row = row_of(replica) if replica.prices else None
    prices = UtilityManager("ETH" if replica.share_class == "ETH" else "USDT")
    for name in sorted(known):
        try:
            key = PositionKey.parse(name)
        except ValueError:  # a venue tells of something that we have no word for
            observed = replica.observed.get(name)
            yield Holding(
                strategy=replica.strategy,
                key=name,
                expected=replica.positions.get(name, 0.0),
                observed=observed,
                as_reported=replica.equity_is_observed,
            )
            continue
        yield _row(replica, key, row, prices, known)


def _row(
    replica: Replica, key: PositionKey, row: Row | None, prices: UtilityManager, known: Mapping[str, float]
) -> Holding:
    expected, observed = replica.positions.get(key, 0.0), replica.observed.get(key)
    reported = replica.equity_is_observed
    held = replica.observed if reported else replica.positions
    amount = held.get(key, 0.0)
    unit, scale = token_of(key), _index(replica.prices, key)
    worth = _worth(prices, row, key)
    price = None if worth is None or scale is None else abs(worth) / scale
    entry, part_of = None, None
    value = None if worth is None else amount * worth
    if key.position_type is PositionType.PERP:
        quote = held.get(perp_quote(key.venue, unit), 0.0)
        entry = -quote / amount if amount else None
        value = None if worth is None else amount * worth + quote
    elif key.position_type is PositionType.PERP_QUOTE and _perp_of(key) in known:
        part_of, value = str(_perp_of(key)), None
    return Holding(
        strategy=replica.strategy,
        key=str(key),
        expected=expected,
        observed=observed,
        venue=key.venue,
        holding=_named(key, amount),
        side=_side(key, amount),
        amount=None if scale is None else amount * scale,
        unit=unit,
        price=price,
        entry=entry,
        value=value,
        currency=replica.share_class,
        observed_amount=None if scale is None or observed is None else observed * scale,
        part_of=part_of,
        differs=observed is not None and not math.isclose(observed, expected, rel_tol=AGREES, abs_tol=AGREES),
        as_reported=reported,
    )


def _named(key: PositionKey, amount: float) -> str:
    match key.position_type:
        case PositionType.PERP:
            return f"{_side(key, amount)} perp".strip()
        case PositionType.PERP_QUOTE:
            return "perp, settled"
        case PositionType.A_TOKEN:
            return "supplied"
        case PositionType.DEBT_TOKEN:
            return "owed"
        case PositionType.BASE_TOKEN:
            return {"gas": "gas", "reserve": "reserve", "transit": "on its way"}.get(key.venue, "held")


def _side(key: PositionKey, amount: float) -> str:
    if amount == 0.0:
        return ""
    owed = key.position_type is PositionType.DEBT_TOKEN
    return "short" if (amount < 0.0) is not owed else "long"


def _index(series: Mapping[str, float], key: PositionKey) -> float | None:
    """Underlying units per native unit."""
    match key.position_type:
        case PositionType.A_TOKEN:
            return series.get(f"{key.venue}.supply_index.{token_of(key)}")
        case PositionType.DEBT_TOKEN:
            return series.get(f"{key.venue}.borrow_index.{token_of(key)}")
        case _:
            return 1.0


def _worth(prices: UtilityManager, row: Row | None, key: PositionKey) -> float | None:
    """Share-class value of one native unit; negative for a debt."""
    if row is None:
        return None
    try:
        return prices.value_at(row, key)
    except (BasisError, LookupError, ValueError):
        return None  # nothing that this strategy follows prices it


def _perp_of(quote: PositionKey) -> PositionKey:
    return PositionKey.of(quote.venue, PositionType.PERP, quote.symbol)
