"""Margin: what brings the margin ratio of the venues back where it is wanted, the cheapest first.

Cash is moved between venues before anything is sold: one pool of margin stands behind one hedge. Only what the pool
lacks is made by shrinking long and short together, all legs by one share, so that hedge and loan keep their shape; what
it has too much of is put to work in the same way. Ratios are equity ÷ perp notional.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from components.model.keys import WALLET, PositionKey, VenueName, a_token, base_token, debt_token, perp
from components.situation import Situation
from components.strategies.strategy import Target

SPEED = 0.05  # a move of the price within an hour that a short must survive while the long leg is sold; √ of time
LEAST_HOURS = 1.0  # a decision may be that far from the next
MINUTES = 60.0


class Pool(msgspec.Struct, frozen=True):
    """Margin of all venues and cash that may join it, perp notional, and what the long leg is worth, USDT."""

    margin_usdt: float
    notional_usdt: float
    long_usdt: float

    @property
    def ratio(self) -> float | None:
        return self.margin_usdt / self.notional_usdt if self.notional_usdt > 0.0 else None

    def share_for(self, ratio: float) -> float:
        """The share of long and short at which the ratio is `ratio`: below 1 to shrink, above 1 to grow."""
        return max(self.margin_usdt + self.long_usdt, 0.0) / (ratio * self.notional_usdt + self.long_usdt)


def pool_of(now: Situation, spare_usdt: float) -> Pool:
    """What is there, cash on its way to a venue included, and what lies where coins are sold; `spare_usdt` of cash
    elsewhere joins, or leaves."""
    venues, buyer = now.mode.hedge_allocation, now.buyer()
    cash_at = venues if buyer is None else (*venues, buyer)
    arriving = sum(now.on_its_way(base_token(venue, "USDT")) for venue in cash_at)
    spare_usdt += 0.0 if buyer is None else now.cash(buyer)
    margin = sum(now.account(venue) for venue in venues) + arriving + spare_usdt
    notional = sum(abs(now.size(venue)) * now.mark(venue) for venue in venues)
    return Pool(margin, notional, max(now.long_coins(), 0.0) * now.reference())


def margin_target(now: Situation, held: Target, pool: Pool, share: float) -> Target:
    """`share` of all legs that are held, and the margin that is then there spread by notional. Coins that are free,
    or travel and are in no queue, are sold before staked ones: what an earlier plan freed is not freed again."""
    kept = share
    if share < 1.0 and now.lst is not None and (in_it := now.staked_coins()) > 0.0:
        long = now.long_coins()
        free = max(long - in_it - now.queued(), 0.0)
        kept = min(1.0, max(0.0, 1.0 - ((1.0 - share) * long - free) / in_it))
    shares = {**dict.fromkeys(_on_venues(now), share), **dict.fromkeys(_staked(now), kept)}
    holdings = {key: amount * shares.get(key, 1.0) for key, amount in held.holdings.items()}
    margin = pool.margin_usdt + (1.0 - share) * pool.long_usdt
    for venue in now.mode.hedge_allocation:
        part = abs(now.size(venue)) * now.mark(venue) / pool.notional_usdt
        holdings[base_token(venue, "USDT")] = margin * part
    return Target(holdings)


def urgent_cuts(now: Situation, ratio: float) -> dict[VenueName, float]:
    """Venues whose liquidation is nearer than the long leg can be sold: coins that may stay short there, so that the
    margin there gives `ratio`."""
    cuts = {}
    for venue in now.mode.hedge_allocation:
        size, mark = abs(now.size(venue)), now.mark(venue)
        if size > 0.0 and is_near(now, venue, max(_hours_to_sell(now), LEAST_HOURS)):
            cuts[venue] = min(size, max(now.account(venue), 0.0) / (ratio * mark))
    return cuts


def is_near(now: Situation, venue: VenueName, hours: float) -> bool:
    """Whether the price may reach the liquidation of a venue's short within that time."""
    return bool(_distance(now, venue) < SPEED * hours**0.5)


def cut_pairs(now: Situation, target: Target, venues: Sequence[VenueName], ratio: float) -> Target:
    """`target` with the pairs of these venues cut so far that what the coins bring gives `ratio` without other cash."""
    holdings = dict(target.holdings)
    for venue in venues:
        size, mark = abs(now.size(venue)), now.mark(venue)
        coins = now.coins(venue) * now.spot_price(venue)
        share = min(1.0, max(now.account(venue) + coins, 0.0) / (ratio * size * mark + coins))
        kept = min(share, abs(target.of(perp(venue, now.coin))) / size)
        holdings[perp(venue, now.coin)] = now.size(venue) * kept
        holdings[base_token(venue, now.coin)] = now.coins(venue) * kept
    return Target(holdings)


def _distance(now: Situation, venue: VenueName) -> float:
    """Rise of the price, as a fraction, at which the venue liquidates: what margin is left above maintenance."""
    notional = abs(now.size(venue)) * now.mark(venue)
    tiers = now.run.exchanges[venue].instruments[f"perp.{now.coin}"].tiers
    rate = tiers[0].maintenance_rate if tiers else 0.0
    return now.account(venue) / notional - rate


def _hours_to_sell(now: Situation) -> float:
    """Time from selling the long leg on chain to its coins at the venue; none where the coins are there."""
    if now.lst is None or now.mode.costs == "none":
        return 0.0
    terms = now.run.chain.transfers.get("ETH")
    return terms.delay_minutes / MINUTES if terms is not None else 0.0


def _on_venues(now: Situation) -> tuple[PositionKey, ...]:
    """What is short, and coins beside it."""
    venues = now.mode.hedge_allocation
    return (*(perp(venue, now.coin) for venue in venues), *(base_token(venue, now.coin) for venue in venues))


def _staked(now: Situation) -> tuple[PositionKey, ...]:
    """What is staked, and owed against it."""
    return (base_token(WALLET, now.lst), a_token(now.lst), debt_token("WETH")) if now.lst else ()
