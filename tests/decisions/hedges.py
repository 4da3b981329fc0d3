"""Whether what is long is hedged, row by row, after the trades of the row."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tests.decisions.book import Book, Flags
from tests.decisions.judging import Finding, longest_delay_hours, rows_of, stale_prices, streaks
from tests.decisions.playing import Played

BARE_HOURS = 3.0
MATERIAL = 0.002  # of equity: less than this unhedged is rounding of lots


def what_is_long_is_hedged(played: Played) -> Iterator[Finding]:
    """|net delta| is above its critical limit for at most three hours, while something named travels for at most twice
    its configured delay and two rows."""
    if not played.run.mode.hedge_allocation or played.run.mode.rebalance == "never":
        return
    beyond, share = beyond_limit(played)
    travelling = Book(played).travelling()
    waited = rows_of(played, 2.0 * longest_delay_hours(played)) + 2
    bare = rows_of(played, BARE_HOURS)
    for first, count in streaks(beyond):
        on_its_way = int(travelling[first : first + count].sum())
        worst = float(share[first : first + count].max())
        if count - on_its_way > bare:
            yield Finding(first, f"net delta up to {worst:.0%} for {count} rows, {on_its_way} of them with transfers")
        elif on_its_way > waited + bare:
            yield Finding(first, f"net delta up to {worst:.0%} for {count} rows: nothing named takes that long")


def beyond_limit(played: Played) -> tuple[Flags, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """Rows on which net coins matter and are above the critical limit, and |net| ÷ gross; rows on which a price is
    stale are excused, nothing may be traded there."""
    book, mode = Book(played), played.run.mode
    net, gross = book.exposure(mode.asset)
    price = played.market.columns[f"binance.spot.{mode.asset}"]
    share = np.divide(np.abs(net), gross, out=np.zeros_like(net), where=gross > 0.0)
    lots = [played.run.exchanges[venue].instruments[f"perp.{mode.asset}"] for venue in mode.hedge_allocation]
    grid = sum(instrument.lot * price + instrument.minimum_notional_usdt for instrument in lots)
    material = np.abs(net) * price > np.maximum(MATERIAL * played.result.columns["equity"], grid)
    material &= book.open_usdt() > mode.minimum_trade_usdt  # a gas debt alone is bounded by its own limit
    return (share > mode.risk.delta.critical) & material & ~stale_prices(played), share
