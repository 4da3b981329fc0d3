"""Oracles about what is at stake while nobody decides: by the truth of the venues, whatever has become of a cell."""

from __future__ import annotations

from collections.abc import Iterator

from components.model.keys import PositionKey, PositionType, token_of
from tests.simulation.harness import Run
from tests.simulation.left_open import usdt_price
from venues.paper.account import PaperAccount

MATERIAL_COINS = 0.02
NO_COINS = ("reserve", "gas")
STUCK, USED_UP = "stuck: ", "restarts used up"
ENDS_A_CELL = frozenset({"crash", "disk_full", "sync_error", "write_error"})


def nobody_is_left_naked(run: Run) -> Iterator[str]:
    """4: at the end every account is hedged or flat, also that of a strategy which does not live, or never has."""
    for strategy, account in run.accounts.items():
        mode = account.run.mode
        if not mode.hedge_allocation:
            continue
        coins = [each for key, amount in account.balances.items() if (each := coins_of(account, key, amount))]
        long, net = sum(each for each in coins if each > 0.0), sum(coins)
        gross = max(long, long - net)
        if gross > MATERIAL_COINS and abs(net) > mode.risk.delta.critical * gross:
            yield f"{strategy}: {net:+.4f} of {gross:.4f} {mode.asset} are naked"


def nobody_is_closed_for_nothing(run: Run) -> Iterator[str]:
    """5: the daemon closes by itself who is stuck, or naked and cannot live: not who was not given the time, and
    not who has had no fault."""
    struck = {(fault.kind, fault.strategy) for fault in run.struck}
    kinds = {fault.kind for fault in run.struck}
    for strategy, reason in run.stopped_for:
        if reason.startswith(STUCK) and ("feed_mute", strategy) not in struck:
            yield f"{strategy}: closed as {reason!r}, though it was told every row"
    crashed = {crash.partition(":")[0] for crash in run.crashes}
    for strategy, latch in run.latched.items():
        if latch.reason == USED_UP and strategy not in crashed and not kinds & ENDS_A_CELL:
            yield f"{strategy}: closed as {latch.reason!r}, though nothing has ended it"


def coins_of(account: PaperAccount, key: PositionKey, amount: float) -> float:
    """Coins of the asset that a position is worth, 0 for what does not move with it."""
    mode, row, token = account.run.mode, account.world.row, token_of(key)
    if key.venue in NO_COINS or key.position_type is PositionType.PERP_QUOTE or token in ("USDT", "aUSDT"):
        return 0.0
    coin, price = usdt_price(account, mode.asset), usdt_price(account, token)
    if not coin or price is None:
        return 0.0
    kinds = {PositionType.A_TOKEN: ("supply", 1.0), PositionType.DEBT_TOKEN: ("borrow", -1.0)}
    side, sign = kinds.get(key.position_type, ("", 1.0))
    index = row.value(f"aave_v3.{side}_index.{token}") if side else 1.0
    return sign * amount * index * price / coin
