"""Whether it undoes what it has just done: the same coins bought and sold, or supplied and withdrawn, in one breath."""

from __future__ import annotations

from collections.abc import Iterator

from components.model.orders import Trade, TradeStatus, Verb
from tests.decisions.book import value_at
from tests.decisions.costs import usdt_per_unit
from tests.decisions.judging import Finding, is_asked, is_forced, rows_of
from tests.decisions.playing import Played, shown

BREATH_HOURS = 6.0
INTO = {Verb.SUPPLY: 1, Verb.WITHDRAW: -1}
SHARE, SHARE_UNDER_STRAIN = 0.02, 0.03  # of the equity: less the other way is trimming, not turning round


def nothing_is_done_and_undone(played: Played) -> Iterator[Finding]:
    """No plan of choice takes back within six hours what it did with more than a fiftieth of the equity, 3 % in a
    market under strain, where hedges move from venue to venue with the means that arrive."""
    rows = rows_of(played, BREATH_HOURS)
    last: dict[tuple[str, str, str], tuple[int, int]] = {}
    for done in played.done:
        if is_forced(done) or is_asked(done):
            continue
        for trade in done.trades:
            way = _way(trade)
            if not way or not _matters(played, done.row, trade):
                continue
            leg = (
                done.group.reason,
                trade.venue,
                f"{'held' if trade.verb in INTO else trade.verb.value} {trade.token}",
            )
            before = last.get(leg)
            last[leg] = (done.row, way)
            if before is not None and before[1] != way and done.row - before[0] <= rows:
                text = f"{done.group.reason!r} takes back on {trade.venue} what it did at {shown(played, before[0])}"
                yield Finding(done.row, f"{text}: {abs(trade.quantity):.6g} {trade.token}")
                return


def _way(trade: Trade) -> int:
    """+1 for into a position, −1 for out of it, 0 for neither."""
    if trade.status is TradeStatus.REJECTED or not trade.quantity:
        return 0
    if trade.verb in (Verb.SPOT, Verb.PERP):
        return 1 if trade.quantity > 0.0 else -1
    return INTO.get(trade.verb, 0)


def _matters(played: Played, row: int, trade: Trade) -> bool:
    price = 1.0 if trade.token == "USDT" else value_at(played.market, f"{trade.venue}:BaseToken:{trade.token}", row)
    equity = float(played.result.columns["equity"][row]) * usdt_per_unit(played, row)
    return abs(trade.quantity) * price > (SHARE if played.case.is_calm else SHARE_UNDER_STRAIN) * equity
