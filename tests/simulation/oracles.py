"""Safety oracles: what must hold whatever happens, judged by the truth of the fake venues and by the journals alone.

Numbers are those of NOTES-reliability §3. Each yields what it found wrong, in words.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

import numpy as np

from components.model.orders import Order, OrderState
from daemon.journal.records import (
    Events,
    Intent,
    LatchChanged,
    Manifest,
    Outcome,
    Record,
    StepAborted,
    StepBegin,
    StepEnd,
)
from daemon.recorded import shown
from daemon.replica import CellState
from tests.simulation.harness import Run

CLOSE = 1e-6
OWN = ("wallet", "reserve", "gas", "king", "transit", "binance", "bybit", "okx", "aave_v3")


def judged(run: Run) -> list[str]:
    """Everything any oracle found."""
    oracles = (
        one_order_per_intent,
        positions_are_true_or_uncertain,
        no_risk_on_uncertainty,
        delta_is_bounded,
        margin_is_never_lost_by_us,
        every_order_has_a_decision,
        ledger_is_equity,
        ids_are_used_once,
        silence_after_a_latch,
        flat_means_flat,
        every_intent_has_an_outcome,
        nothing_is_traded_on_implausible_prices,
        journals_are_chained,
        no_secret_leaks,
        transfers_stay_at_home,
        no_cell_crashed,
        calm_is_reached,
    )
    return [f"{oracle.__name__}: {fault}" for oracle in oracles for fault in oracle(run)]


def one_order_per_intent(run: Run) -> Iterator[str]:
    """1: at most one venue order per intent; the same id never with another content."""
    for strategy, account in run.accounts.items():
        truth = account.truth()
        for order in truth.conflicts:
            yield f"{strategy}: id {order} was sent again with another content"
        fills = Counter(trade.order_id for trade in truth.fills)
        for order, count in fills.items():
            if count > 1 and truth.orders[order].trade is None:
                yield f"{strategy}: order {order} was done {count} times"


def positions_are_true_or_uncertain(run: Run) -> Iterator[str]:
    """2: at the end, what the daemon expects is what the venues hold, or an order is marked uncertain."""
    for strategy, account in run.accounts.items():
        replica = run.replicas[strategy]
        if replica.uncertain or replica.state is CellState.LATCHED or strategy in run.latched:
            continue  # closed by the emergency path; it enters the books when it is resumed
        keys = {*map(str, account.balances), *replica.positions}
        for key in sorted(keys):
            held = next((amount for each, amount in account.balances.items() if str(each) == key), 0.0)
            expected = replica.positions.get(key, 0.0)
            if abs(held - expected) > CLOSE + 1e-9 * abs(held):
                yield f"{strategy}: {key} is {held!r}, the daemon expects {expected!r}"


def no_risk_on_uncertainty(run: Run) -> Iterator[str]:
    """3: while the outcome of an order is open, nothing that adds risk is even intended."""
    for strategy, records in run.records.items():
        doubtful: set[str] = set()
        for record in records:
            match record:
                case Outcome(state=OrderState.UNKNOWN.value):
                    doubtful.add(record.order_id)
                case Outcome():
                    doubtful.discard(record.order_id)
                case Intent(origin="core") if doubtful and not _reduces(record):
                    yield f"{strategy}: {record.group.id} adds risk while {sorted(doubtful)} is open"
                case _:
                    pass


def delta_is_bounded(run: Run) -> Iterator[str]:
    """4: net exposure beyond the critical limit never lasts longer than two rows without orders that mend it."""
    for strategy, records in run.records.items():
        limit = _delta_limit(run, strategy)
        if limit is None:
            continue
        beyond = 0
        for record in records:
            if isinstance(record, Intent):
                beyond = 0
            if isinstance(record, StepEnd) and record.row:
                beyond = beyond + 1 if record.row.get("net_delta", 0.0) > limit else 0
                if beyond > 15 and not _blocked(run, strategy, record.timestamp):
                    yield f"{strategy}: net delta {record.row['net_delta']:.2%} for {beyond} rows, nothing done"
                    break


def margin_is_never_lost_by_us(run: Run) -> Iterator[str]:
    """5: nobody is liquidated in a calm market."""
    for strategy, records in run.records.items():
        for record in records:
            for event in record.events if isinstance(record, Events) else ():
                if event.event_type.value == "liquidation":
                    yield f"{strategy}: liquidated at {event.venue}: {event.detail}"


def every_order_has_a_decision(run: Run) -> Iterator[str]:
    """6: every order at a venue was journaled as an intent before, inside a step or by the emergency path."""
    for strategy, account in run.accounts.items():
        intents = {order.id for order, _ in _intended(run.records[strategy])}
        for order in account.truth().orders:
            if order not in intents:
                yield f"{strategy}: venue order {order} has no intent"


def ledger_is_equity(run: Run) -> Iterator[str]:
    """7: the parts add up to 1e-9 of equity at every row."""
    for strategy, records in run.records.items():
        for record in records:
            if isinstance(record, StepEnd) and record.row:
                equity = max(abs(record.row["equity"]), 1.0)
                if abs(record.row["unexplained"]) > 1e-9 * max(equity, 200_000.0 if equity > 1000 else 30.0):
                    yield f"{strategy}: {record.row['unexplained']!r} of {equity} unexplained at tick {record.tick}"
                    break


def ids_are_used_once(run: Run) -> Iterator[str]:
    """8: no two intents carry one order id."""
    for strategy, records in run.records.items():
        for order, count in Counter(order.id for order, _ in _intended(records)).items():
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
                    for order in record.group.orders:
                        if order.verb.value == "perp" and not (order.reduce_only or order.everything):
                            yield f"{strategy}: the emergency path opened {order.leg}"
                case _:
                    pass


def flat_means_flat(run: Run) -> Iterator[str]:
    """9: a strategy that says it is flat has no perp and no debt, whatever was in flight when it was stopped."""
    for strategy, account in run.accounts.items():
        latch = run.latched.get(strategy)
        if latch is not None and latch.is_closed:
            for key, amount in account.balances.items():
                if key.position_type.value in ("Perp", "debtToken") and abs(amount) > CLOSE:
                    yield f"{strategy}: latched as flat, and {key} is {amount!r}"


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


def nothing_is_traded_on_implausible_prices(run: Run) -> Iterator[str]:
    """3: no decision is made on a price that jumped by more than half from the row before."""
    for strategy, records in run.records.items():
        last: dict[str, float] = {}
        for record in records:
            if isinstance(record, StepBegin):
                row = dict(zip(record.names, np.frombuffer(record.values).tolist(), strict=True))
                for name, value in row.items():
                    if ".spot." in name and name in last and not 0.5 < value / last[name] < 1.5:
                        yield f"{strategy}: tick {record.tick} was decided with {name} = {value}"
                last = row


def journals_are_chained(run: Run) -> Iterator[str]:
    """10: a step is begun once and ended or aborted; steps never go back."""
    for strategy, records in run.records.items():
        last, begun = -1, None
        for record in records:
            match record:
                case StepBegin():
                    if record.tick <= last:
                        yield f"{strategy}: tick {record.tick} after {last}"
                    begun = record.tick
                case StepEnd(state=state) if begun is None and not state:
                    yield f"{strategy}: a step ended that had not begun ({record.tick})"
                case StepEnd() if begun is not None:
                    last, begun = record.tick, None
                case StepAborted():
                    begun = None
                case _:
                    pass


def no_secret_leaks(run: Run) -> Iterator[str]:
    """11: what looks like a secret is nowhere in records or replicas."""
    for strategy, replica in run.replicas.items():
        if "canary" in shown(replica):
            yield f"{strategy}: a canary in the replica"
    for strategy, records in run.records.items():
        if any("canary" in json.dumps(shown(record)) for record in records[:50]):
            yield f"{strategy}: a canary in the journal"


def transfers_stay_at_home(run: Run) -> Iterator[str]:
    """12: transfers go between our own places only."""
    for strategy, records in run.records.items():
        for order, _ in _intended(records):
            if order.verb.value == "transfer" and (order.target is None or order.target.venue not in OWN):
                yield f"{strategy}: transfer to {order.target}"


def no_cell_crashed(run: Run) -> Iterator[str]:
    """Nothing a venue does takes a cell down."""
    yield from (crash.splitlines()[-1] for crash in run.crashes)


def calm_is_reached(run: Run) -> Iterator[str]:
    """Liveness: some time after the last fault healed, nothing is in doubt, withheld or unhedged."""
    for strategy, replica in run.replicas.items():
        if strategy in run.latched:
            continue
        if replica.uncertain:
            yield f"{strategy}: {[order.id for order in replica.uncertain]} still in doubt"
        if replica.withheld:
            yield f"{strategy}: still withheld: {replica.withheld}"
        if replica.columns.get("net_delta", 0.0) > 0.02:
            yield f"{strategy}: net delta {replica.columns['net_delta']:.2%} at the end"


def _intended(records: list[Record]) -> Iterator[tuple[Order, Intent]]:
    for record in records:
        if isinstance(record, Intent):
            for order in record.group.orders:
                yield order, record


def _reduces(intent: Intent) -> bool:
    """Own judgement: an exit, or an order that can only make something smaller."""
    if intent.group.action.value in ("exit_full", "exit_partial", "sell_dust"):
        return True
    harmless = ("pay_out", "withdraw", "repay", "unwrap", "request_unstake")
    return all(
        order.reduce_only or order.everything or order.amount < 0.0 or order.verb.value in harmless
        for order in intent.group.orders
    )


def _delta_limit(run: Run, strategy: str) -> float | None:
    assert run.config is not None
    for entry in run.config.strategies:
        if entry.id == strategy:
            return entry.run.mode.risk.delta.critical if entry.run.mode.hedge_allocation else None
    return None


def _blocked(run: Run, strategy: str, timestamp: int) -> bool:
    """Whether something was withheld or in doubt around that time."""
    near = [r for r in run.seen if r.strategy == strategy and r.timestamp and abs(r.timestamp - timestamp) < 16 * 60e9]
    return any(replica.withheld or replica.uncertain for replica in near)
