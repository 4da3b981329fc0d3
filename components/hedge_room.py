"""How much may be short at a venue: what its margin carries, fees and impact of getting there included.

Three widths. *Held* is what is short already: keeping it needs nobody's leave. *Easy* leaves half of the margin ratio
that the mode aims at: what an entry may open. *Utmost* leaves just so much that the short is not critical at once: what
a hedge that is missing may take. More than the utmost of all venues cannot be hedged, so it must not be held.
"""

from __future__ import annotations

from collections.abc import Container

from components.maths.costs import impact_fraction
from components.model.keys import VenueName
from components.situation import Situation

HALF = 0.5  # of its target: the margin ratio that shorts opened in calm leave at a venue
CLEAR = 1.25  # times the critical ratio, and times the venue's initial margin: what a needed hedge leaves


def held(now: Situation, venue: VenueName) -> float:
    """Coins that are short at a venue."""
    return max(-now.size(venue), 0.0)


def easy(now: Situation, venue: VenueName, spent_usdt: float = 0.0) -> float:
    """Coins that may be short there when nothing presses, after `spent_usdt` of its cash is gone."""
    price = HALF * now.mode.margin_ratio_target * now.mark(venue)
    return max(held(now, venue), max(now.account(venue) - spent_usdt, 0.0) / price)


def utmost(now: Situation, venue: VenueName, spent_usdt: float = 0.0) -> float:
    """Coins that may be short there at the most, after `spent_usdt` of its cash is gone."""
    exchange, mark, short = now.run.exchanges[venue], now.mark(venue), held(now, venue)
    ratio = least_ratio(now, venue)
    margin = max(margin_usdt(now, venue) - spent_usdt, 0.0)
    spare = margin - ratio * short * mark
    if spare <= 0.0:
        return short
    cost = 0.0
    if now.mode.costs == "default":
        cost = exchange.perp_fees.taker + impact_fraction(margin / ratio, exchange.perp_impact)
    return short + spare / (mark * (ratio + cost))


def least_ratio(now: Situation, venue: VenueName) -> float:
    """The margin ratio that a needed hedge leaves at a venue: clear of critical, and of the venue's initial margin."""
    aimed = HALF * now.mode.margin_ratio_target
    return max(CLEAR * now.run.exchanges[venue].initial_margin_rate, min(CLEAR * now.mode.risk.margin.critical, aimed))


def margin_usdt(now: Situation, venue: VenueName) -> float:
    """Equity of an account as its venue counts it: cash, unrealised, and coins after their haircut where they count."""
    equity = now.account(venue)
    if now.mode.collateral == "unified":
        haircut = now.run.exchanges[venue].haircuts.get(now.coin, 0.0)
        equity += haircut * now.coins(venue) * now.spot_price(venue)
    return equity


def unhedgeable(now: Situation, refused: Container[VenueName] = ()) -> float:
    """Coins that are long and that the margin there is does not carry with ease; `refused` are venues that would not
    open any more just now."""
    venues = now.mode.hedge_allocation
    room = sum(held(now, venue) if venue in refused else easy(now, venue) for venue in venues)
    return max(0.0, now.long_coins() - room)
