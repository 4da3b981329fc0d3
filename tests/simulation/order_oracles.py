"""Oracles about orders: what reached the venues, against what was journaled before it left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from components.model.orders import Order, Verb
from daemon.journal.records import Intent, LatchChanged, Manifest, Outcome, Record, StepBegin, StepEnd
from tests.simulation.harness import Run
from tests.simulation.left_open import left_open

CLOSE = 1e-6
CARRIED_OUT_S = 5400.0  # more than two transfers take
OWN = ("wallet", "reserve", "gas", "king", "transit", "binance", "bybit", "okx", "aave_v3")


def one_order_per_intent(run: Run) -> Iterator[str]:
    """1: at most one venue order per intent; the same id never with another content."""
    for strategy, account in run.accounts.items():
        truth = account.truth()
        for order in truth.conflicts:
            yield f"{strategy}: id {order} was sent again with another content"
        for order in set(truth.duplicates) - {order.id for order, _ in intended(run.records[strategy])}:
            yield f"{strategy}: id {order} was sent again and is not in the journal"


def fills_stay_within_orders(run: Run) -> Iterator[str]:
    """1: what venues did for an order, in as many parts as it took, is not more than was asked for."""
    for strategy, account in run.accounts.items():
        truth = account.truth()
        done: dict[str, float] = {}
        for trade in truth.fills:
            done[trade.order_id] = done.get(trade.order_id, 0.0) + trade.quantity
        for id, quantity in done.items():
            order = truth.orders[id].order if id in truth.orders else None
            if order is None or order.everything or order.verb not in (Verb.SPOT, Verb.PERP):
                continue
            if abs(quantity) > abs(order.amount) * (1.0 + 1e-9) + 1e-12:
                yield f"{strategy}: {quantity} was done of order {id} over {order.amount}"


def every_order_has_a_decision(run: Run) -> Iterator[str]:
    """6: every order at a venue was journaled as an intent before, inside a step or by the emergency path."""
    for strategy, account in run.accounts.items():
        intents = {order.id for order, _ in intended(run.records[strategy])}
        for order in account.truth().orders:
            if order not in intents:
                yield f"{strategy}: venue order {order} has no intent"


def ids_are_used_once(run: Run) -> Iterator[str]:
    """8: no two intents carry one order id."""
    for strategy, records in run.records.items():
        for order, count in Counter(order.id for order, _ in intended(records)).items():
            if count > 1:
                yield f"{strategy}: order id {order} was intended {count} times"


def silence_after_a_latch(run: Run) -> Iterator[str]:
    """9: from a latch on, only the emergency path sends, and only what reduces risk, until it is cleared."""
    for strategy, records in run.records.items():
        latched = False
        for stopped, sequence in run.stops:
            for record in records[sequence:] if stopped == strategy else ():
                if isinstance(record, Manifest):
                    break  # resumed
                if isinstance(record, Intent) and record.origin == "core":
                    yield f"{strategy}: {record.group.id} left after the stop"
        for record in records:
            match record:
                case LatchChanged():
                    latched = record.phase in ("closing", "requested")
                case StepBegin():
                    latched = False
                case Intent(origin="core") if latched:
                    yield f"{strategy}: {record.group.id} left under a latch"
                case Intent(origin="emergency"):
                    perps = [order for order in record.group.orders if order.verb is Verb.PERP]
                    opened = [order for order in perps if not (order.reduce_only or order.everything)]
                    closed = sum(order.amount for order in perps if order.reduce_only)
                    shifted = sum(order.amount for order in opened) + closed
                    if opened and abs(shifted) > CLOSE:  # else the hedge only goes from one venue to another
                        yield f"{strategy}: the emergency path opened {', '.join(order.leg for order in opened)}"
                case _:
                    pass


def flat_means_flat(run: Run) -> Iterator[str]:
    """9: flat is only said of positions that are flat: no perp, no debt, nothing supplied, nothing on its way, whatever
    was in flight when it was stopped."""
    for strategy, samples in run.samples.items():
        for sample in samples:
            if sample.left_open:
                yield f"{strategy}: says flat at {sample.at_s:.0f} s, and there is {', '.join(sample.left_open)}"
    for strategy, account in run.accounts.items():
        latch = run.latched.get(strategy)
        if latch is not None and latch.is_closed:
            for key, amount in account.balances.items():
                if key.position_type.value in ("Perp", "debtToken") and abs(amount) > CLOSE:
                    yield f"{strategy}: latched as flat, and {key} is {amount!r}"


def stops_are_carried_out(run: Run) -> Iterator[str]:
    """9: who asked for an emergency stop an hour and a half ago has a flat account, or hears what is awaited."""
    for strategy, asked_s in run.asked_s.items():
        latch, account = run.latched.get(strategy), run.accounts[strategy]
        if run.ended_s - asked_s < CARRIED_OUT_S or (latch is not None and latch.is_closed):
            continue
        if latch is None:
            told = (record for record in run.records.get("daemon", ()) if isinstance(record, LatchChanged))
            if not any(record.phase == "cleared" and record.scope == strategy for record in told):
                yield f"{strategy}: was stopped, and nobody has resumed it, and it stands under no latch"
        elif (there := left_open(account)) or not latch.awaited:
            yield f"{strategy}: stopped {run.ended_s - asked_s:.0f} s ago, is {latch.phase.value}, and there is {there}"


def every_intent_has_an_outcome(run: Run) -> Iterator[str]:
    """6: an order of a finished step has an outcome in the journal; at the end every order has one."""
    for strategy, records in run.records.items():
        waiting: set[str] = set()
        for record in records:
            match record:
                case Intent():
                    waiting |= {order.id for order in record.group.orders}
                case Outcome():
                    waiting.discard(record.order_id)
                case StepEnd() if waiting and record.tick >= 0:
                    yield f"{strategy}: tick {record.tick} ended without an outcome of {sorted(waiting)}"
                    waiting = set()
                case _:
                    pass
        if waiting:
            yield f"{strategy}: no outcome of {sorted(waiting)}"


def transfers_stay_at_home(run: Run) -> Iterator[str]:
    """12: transfers go between our own places only, in the journal and at the venues."""
    for strategy, account in run.accounts.items():
        for record in account.truth().orders.values():
            order = record.order
            if order.verb is Verb.TRANSFER and (order.target is None or order.target.venue not in OWN):
                yield f"{strategy}: transferred to {order.target}"
    for strategy, records in run.records.items():
        for order, _ in intended(records):
            if order.verb.value == "transfer" and (order.target is None or order.target.venue not in OWN):
                yield f"{strategy}: transfer to {order.target}"


def intended(records: list[Record]) -> Iterator[tuple[Order, Intent]]:
    for record in records:
        if isinstance(record, Intent):
            for order in record.group.orders:
                yield order, record


def reduces(intent: Intent) -> bool:
    """Own judgement: an exit, or an order that can only make something smaller."""
    if intent.group.action.value in ("exit_full", "exit_partial", "sell_dust"):
        return True
    harmless = ("pay_out", "withdraw", "repay", "unwrap", "request_unstake")
    return all(
        order.reduce_only or order.everything or order.amount < 0.0 or order.verb.value in harmless
        for order in intent.group.orders
    )


def is_one_way(intent: Intent) -> bool:
    """Whether all legs are trades in one direction: never an entry, which has two."""
    orders = intent.group.orders
    return all(order.verb in (Verb.SPOT, Verb.PERP) for order in orders) and (
        all(order.amount > 0.0 for order in orders) or all(order.amount < 0.0 for order in orders)
    )
