"""Safety oracles: what must hold whatever happens, judged by the truth of the fake venues and by the journals alone.

Numbers are those of NOTES-reliability §3. Each yields what it found wrong, in words. Those about orders are in
`order_oracles`, those about books, chain and secrets in `book_oracles`, those about accounts whose cell may not live in
`exposure_oracles`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from components.model.orders import OrderState
from components.ports import Standing
from daemon.journal.codec import decode
from daemon.journal.records import (
    Events,
    Intent,
    Manifest,
    Outcome,
    StepBegin,
    StepEnd,
)
from daemon.replica import CellState
from tests.simulation import book_oracles, chain_oracles, exposure_oracles, order_oracles
from tests.simulation.hands import INJECTED
from tests.simulation.harness import Run
from tests.simulation.order_oracles import is_one_way, reduces
from tests.simulation.samples import Sample

CLOSE = 1e-6
BLIND_ROWS = 5  # a fault may hide the truth for two minutes, and it takes two looks to believe it then
MATERIAL_COINS = 0.02
LEAST_HEALTH = 1.01
LEAST_MARGIN = 0.1
DISK_ERRORS = ("JournalPoisoned", "EVT-002", "EVT-003", "EVT-005", "No space left", "Input/output error")


def judged(run: Run) -> list[str]:
    """Everything any oracle found."""
    oracles = (
        order_oracles.one_order_per_intent,
        order_oracles.fills_stay_within_orders,
        positions_are_true_or_uncertain,
        untruth_is_marked,
        no_risk_on_uncertainty,
        no_risk_without_authority,
        delta_is_bounded,
        exposure_oracles.nobody_is_left_naked,
        exposure_oracles.nobody_is_closed_for_nothing,
        margin_is_never_lost_by_us,
        own_steps_keep_the_margin,
        order_oracles.every_order_has_a_decision,
        book_oracles.ledger_is_equity,
        book_oracles.rows_add_up,
        order_oracles.ids_are_used_once,
        order_oracles.silence_after_a_latch,
        order_oracles.flat_means_flat,
        order_oracles.stops_are_carried_out,
        order_oracles.every_intent_has_an_outcome,
        nothing_is_traded_on_implausible_prices,
        book_oracles.steps_are_in_order,
        book_oracles.bytes_are_chained,
        book_oracles.nothing_shown_is_taken_back,
        book_oracles.journals_take_records,
        book_oracles.what_was_reloaded_is_in_force,
        book_oracles.no_secret_leaks,
        order_oracles.transfers_stay_at_home,
        chain_oracles.undone_is_taken_back,
        chain_oracles.nothing_leaves_before_it_is_kept,
        chain_oracles.a_nonce_is_used_once,
        no_cell_crashed,
        calm_is_reached,
    )
    return [f"{oracle.__name__}: {fault}" for oracle in oracles for fault in oracle(run)]


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


def untruth_is_marked(run: Run) -> Iterator[str]:
    """2: at no time does a trading cell expect something else than the venues hold, and not know it, for long."""
    for strategy, samples in run.samples.items():
        rows, since = 0, None
        for sample in _by_row(samples):
            marked = sample.uncertain or sample.mismatches or sample.withheld or sample.state is not CellState.RUNNING
            rows, since = (0, None) if marked or not sample.untrue else (rows + 1, since or sample.timestamp)
            if rows > BLIND_ROWS:
                yield f"{strategy}: from {since} for {rows} rows without a mark: {sample.untrue[:3]}"
                break


def no_risk_without_authority(run: Run) -> Iterator[str]:
    """3: a step that was told why not to trade does not, and one that was told not to add risk adds none.

    Legs in one direction may leave to mend a hedge, and then it must be better on the next row, unless that brings news
    of its own. A row shows the delta with which its step began.
    """
    for strategy, records in run.records.items():
        standing, before, mended, told = Standing(), 0.0, False, False
        for record in records:
            match record:
                case Manifest():
                    mended = False
                case StepBegin():
                    standing, mended, told = decode(record.standing, Standing), False, mended and not record.taken
                case Intent(origin="core") if standing.no_trade:
                    yield f"{strategy}: {record.group.id} was intended although {standing.no_trade}"
                case Intent(origin="core") if standing.no_risk and not reduces(record):
                    mended = is_one_way(record)
                    if not mended:
                        yield f"{strategy}: {record.group.id} adds risk although {standing.no_risk}"
                case StepEnd() if record.row:
                    delta = record.row.get("net_delta", 0.0)
                    if told and delta > before + 1e-3:
                        yield f"{strategy}: net delta went from {before} to {delta}, though nothing might add risk"
                    before = delta
                case _:
                    pass


def own_steps_keep_the_margin(run: Run) -> Iterator[str]:
    """5: a step that sent orders does not end with less health or margin than anybody would accept."""
    for strategy, records in run.records.items():
        sent = False
        for record in records:
            match record:
                case StepBegin():
                    sent = False
                case Intent(origin="core"):
                    sent = sent or not reduces(record)
                case StepEnd() if sent and record.row:
                    for name, value in record.row.items():
                        least = LEAST_HEALTH if name == "health_factor" else LEAST_MARGIN
                        if (name == "health_factor" or name.startswith("margin_ratio.")) and value < least:
                            yield f"{strategy}: {name} is {value} after orders of ours at tick {record.tick}"
                case _:
                    pass


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
                case Intent(origin="core") if doubtful and not reduces(record) and not is_one_way(record):
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
                matters = _coins(record) > MATERIAL_COINS and record.row.get("net_delta", 0.0) > limit
                beyond = beyond + 1 if matters else 0
                if beyond > 15 and not _blocked(run, strategy, record.timestamp):
                    yield f"{strategy}: net delta {record.row['net_delta']:.2%} for {beyond} rows, nothing done"
                    break


def _coins(end: StepEnd) -> float:
    """Coins long or short, whichever is more; what is left of a strategy that has sold everything is dust."""
    long = short = 0.0
    for name, amount in end.row.items():
        venue, _, rest = name.removeprefix("balance.").partition(":")
        kind, _, token = rest.partition(":")
        if kind == "Perp":
            short += abs(amount)
        elif kind in ("BaseToken", "aToken") and venue != "gas" and not token.endswith("USDT"):
            long += abs(amount)
    return max(long, short)


def margin_is_never_lost_by_us(run: Run) -> Iterator[str]:
    """5: nobody is liquidated in a calm market."""
    for strategy, records in run.records.items():
        for record in records:
            for event in record.events if isinstance(record, Events) else ():
                if event.event_type.value == "liquidation":
                    yield f"{strategy}: liquidated at {event.venue}: {event.detail}"


def nothing_is_traded_on_implausible_prices(run: Run) -> Iterator[str]:
    """3: no decision is made on a price that jumped by more than half from the row before."""
    for strategy, records in run.records.items():
        last: dict[str, float] = {}
        for record in records:
            if isinstance(record, StepBegin):
                row = dict(zip(record.names, np.frombuffer(record.values).tolist(), strict=True))
                for name, value in row.items():
                    if ".spot." in name and name in last and not 0.5 * last[name] < value < 1.5 * last[name]:
                        yield f"{strategy}: tick {record.tick} was decided with {name} = {value}"
                last = row


def no_cell_crashed(run: Run) -> Iterator[str]:
    """Nothing a venue does takes a cell down; what was injected or comes of a failing disk does."""
    kinds = {fault.kind for fault in run.struck}
    expected = (INJECTED,) if "crash" in kinds else ()
    expected += DISK_ERRORS if kinds & {"disk_full", "sync_error", "write_error"} else ()
    for crash in run.crashes:
        if not any(text in crash for text in expected):
            lines = [line.strip(" |+-") for line in crash.splitlines()]
            yield next(line for line in reversed(lines) if line)


def calm_is_reached(run: Run) -> Iterator[str]:
    """Liveness: some time after the last fault healed, nothing is uncertain, withheld or unhedged."""
    for strategy, replica in run.replicas.items():
        if strategy in run.latched:
            continue
        if replica.uncertain:
            yield f"{strategy}: {[order.id for order in replica.uncertain]} still uncertain"
        if replica.withheld:
            yield f"{strategy}: still withheld: {replica.withheld}"
        if replica.columns.get("net_delta", 0.0) > 0.02:
            yield f"{strategy}: net delta {replica.columns['net_delta']:.2%} at the end"


def _delta_limit(run: Run, strategy: str) -> float | None:
    assert run.config is not None
    for entry in run.config.strategies:
        if entry.id == strategy:
            return entry.run.mode.risk.delta.critical if entry.run.mode.hedge_allocation else None
    return None


def _blocked(run: Run, strategy: str, timestamp: int) -> bool:
    """Whether something was withheld or uncertain around that time."""
    near = [each for each in run.samples[strategy] if each.timestamp and abs(each.timestamp - timestamp) < 16 * 60e9]
    return any(sample.withheld or sample.uncertain for sample in near)


def _by_row(samples: list[Sample]) -> Iterator[Sample]:
    """The last picture of every row that a cell has taken."""
    for sample, after in zip(samples, [*samples[1:], None], strict=True):
        if sample.timestamp is not None and (after is None or after.timestamp != sample.timestamp):
            yield sample
