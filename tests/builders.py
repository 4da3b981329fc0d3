"""Small things a test of the core needs: configuration, markets by hand, orders, trades, happenings.

Each builder gives something plain and whole; a test names only what its behaviour turns on.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import pytest
import yaml
from msgspec import structs

from components.config.documents import Bundle, Document
from components.config.validation import build_run
from components.model.errors import CFG_INVALID, InvalidInput
from components.model.events import EventType
from components.model.keys import PositionKey
from components.model.market import Column, FundingSeries, Market, Provenance, RewardPeriod, Row
from components.model.orders import Action, GroupKind, Order, OrderGroup, Trade, TradeStatus, Verb
from components.model.requirements import HOUR_NS
from components.model.slices import CexSlice, ModeSlice, RunSlice
from components.ports import CashFlows, Happening, Settlements
from components.position_monitor import BookColumns, PositionMonitor
from components.routing.plan import Plan
from components.situation import Situation
from components.strategies.strategy import Target
from components.utility_manager import UtilityManager
from daemon.config.settings import PACKAGED, load_run

START = 1_714_521_600_000_000_000  # 2024-05-01T00:00Z
Line: TypeAlias = float | Sequence[float] | Column


@cache
def run_of(mode: str = "btc_basis", *overrides: str) -> RunSlice:
    """The packaged configuration of a mode, with `a.b=value` texts on it; validated like any other."""
    return load_run(mode, overrides=overrides, environ={})


def mode_of(mode: str = "btc_basis", /, **changes: object) -> ModeSlice:
    """A mode with keys replaced, whether or not validation would let them pass."""
    return structs.replace(run_of(mode).mode, **changes)


def run_with(mode: str = "btc_basis", /, **changes: object) -> RunSlice:
    """A run whose mode has keys replaced."""
    return structs.replace(run_of(mode), mode=mode_of(mode, **changes))


def exchange(venue: str = "binance", **changes: object) -> CexSlice:
    return structs.replace(run_of().exchanges[venue], **changes)


def at(hours: float) -> int:
    """UTC nanoseconds `hours` after the first row of a market."""
    return START + round(hours * HOUR_NS)


def market(
    lines: Mapping[str, Line],
    *,
    rows: int = 0,
    step_hours: float = 1.0,
    stale: Mapping[str, Sequence[int]] | None = None,
    funding: Mapping[str, FundingSeries] | None = None,
    rewards: tuple[RewardPeriod, ...] = (),
) -> Market:
    """Columns by hand over hourly rows; a number is a flat line. `stale` names the rows that are too old."""
    lengths = {len(line) for line in lines.values() if not isinstance(line, float | int)} or {rows or 1}
    (count,) = lengths
    columns = {
        name: np.full(count, float(line)) if isinstance(line, float | int) else np.array(line, dtype=np.float64)
        for name, line in lines.items()
    }
    flags = {name: np.isin(np.arange(count), list(which)) for name, which in (stale or {}).items()}
    stamps = START + np.arange(count, dtype=np.int64) * round(step_hours * HOUR_NS)
    where = Provenance(source="by hand", data_hash="0" * 64)
    return Market(stamps, columns, stale=flags, funding=funding, rewards=rewards, provenance=where)


def row_of(lines: Mapping[str, Line], index: int = -1) -> Row:
    """One row, by default the last, of a market by hand."""
    made = market(lines)
    return Row(made, index % len(made))


def funding(stamps: Sequence[int], rows: Sequence[int], rate: float, mark_usdt: float) -> FundingSeries:
    count = len(stamps)
    return FundingSeries(
        at=np.array(stamps), row=np.array(rows), rate=np.full(count, rate), mark_usdt=np.full(count, mark_usdt)
    )


def key(text: str) -> PositionKey:
    return PositionKey.parse(text)


def keyed(balances: Mapping[str, float]) -> dict[PositionKey, float]:
    return {key(name): amount for name, amount in balances.items()}


def order(verb: Verb, venue: str, token: str, amount: float, **more: Any) -> Order:
    """An order whose id and leg are `venue_verb`, unless said otherwise; keys may be plain text."""
    name = more.pop("leg", f"{venue}_{verb.value}")
    for end in ("source", "target"):
        if isinstance(more.get(end), str):
            more[end] = key(more[end])
    return Order(id=more.pop("id", name), verb=verb, venue=venue, token=token, amount=amount, leg=name, **more)


def group(
    *orders: Order, action: Action = Action.ENTRY_FULL, kind: GroupKind | None = None, id: str = "g"
) -> OrderGroup:
    kind = kind or (GroupKind.ONE if len(orders) == 1 else GroupKind.TOGETHER)
    return OrderGroup(id=id, kind=kind, action=action, reason="a test", orders=orders)


def trade(of: Order, changes: Mapping[str, float] | None = None, **more: Any) -> Trade:
    """A fill of the whole order, unless said otherwise."""
    known: dict[str, Any] = {"status": TradeStatus.FILLED, "quantity": of.amount, "at": START}
    known.update(more)
    return Trade(
        order_id=of.id, verb=of.verb, venue=of.venue, token=of.token, changes=keyed(changes or {}), **known
    )  # fmt: skip


def rejected(of: Order, reason: str = "no", **more: Any) -> Trade:
    return trade(of, status=TradeStatus.REJECTED, quantity=0.0, reason=reason, **more)


def unknown(of: Order, reason: str = "no answer") -> Trade:
    return trade(of, status=TradeStatus.UNKNOWN, quantity=0.0, reason=reason)


def happening(
    event_type: EventType = EventType.DEPOSIT, changes: Mapping[str, float] | None = None, **more: Any
) -> Happening:
    """A fact of a venue; by default a deposit into the wallet that the changes describe."""
    known: dict[str, Any] = {"venue": "wallet", "token": "USDT", "amount": 0.0, "part": None, "at": START}
    known.update(more)
    return Happening(event_type=event_type, changes=keyed(changes or {}), **known)


def deposit(usdt: float, id: str = "in", **more: Any) -> Happening:
    changes = {"wallet:BaseToken:USDT": usdt}
    return happening(EventType.DEPOSIT, changes, amount=usdt, part="flow", detail=id, **more)


def late(of: Order, changes: Mapping[str, float]) -> Happening:
    """The outcome of an order of an earlier row, as the daemon hands it in."""
    part = "late" if changes else None
    return happening(
        EventType.ORDER_RESOLVED, changes, venue=of.venue, token=of.token, amount=of.amount, part=part, resolves=of.id
    )


def cash(text: str, rows: Sequence[int], amounts: Sequence[float], *, part: str = "funding") -> CashFlows:
    """Payments to one position, at the stamps of their rows."""
    row = np.array(rows, dtype=np.int64)
    return CashFlows(
        key=key(text),
        part=part,
        event_type=EventType.FUNDING if part == "funding" else EventType.INTEREST,
        token="USDT",
        row=row,
        at=START + row * HOUR_NS,
        amount=np.array(amounts),
        detail=part,
    )


def settled(rows: int, *happenings: Happening, flows: tuple[CashFlows, ...] = ()) -> Settlements:
    return Settlements(rows=rows, cash=flows, happenings=happenings)


def columns_of(made: Market, balances: Mapping[str, float], *uncertain: Order, start: int = 0) -> BookColumns:
    """Balances that stay as they are over the rows of a market."""
    held = keyed(dict(sorted(balances.items())))
    return BookColumns(made.window(start, len(made)), held, held, {}, uncertain)


def plan(target: Mapping[str, float] | None = None, action: Action = Action.ENTRY_FULL, **more: Any) -> Plan:
    """Where to; by default a full entry that keeps no reserve."""
    return Plan(action=action, reason="a test", target=Target(keyed(target or {})), step=1, **more)


def situation(run: RunSlice, made: Market, balances: Mapping[str, float], *uncertain: Order, row: int = 0) -> Situation:
    """What is held at one row of a market."""
    positions = PositionMonitor()
    positions.place(keyed(balances))
    for one in uncertain:
        positions.keep_uncertain(one)
    return Situation(run, Row(made, row), positions, UtilityManager(run.mode.share_class))


# Configuration files

TREE: Mapping[str, Mapping[str, Any]] = {
    folder: {path.stem: yaml.safe_load(path.read_bytes()) for path in sorted((PACKAGED / folder).glob("*.yaml"))}
    for folder in ("modes", "venues", "share_classes")
}
MODES = tuple(TREE["modes"])
STAKING_MODES = tuple(name for name in MODES if name not in ("pure_lending", "btc_basis", "eth_basis"))


def bundle(mode: str, changes: Mapping[str, object] | None = None) -> Bundle:
    """The packaged files with values replaced, added (`key+`) or taken away (`key-`) at dotted paths."""
    tree = copy.deepcopy({**TREE, "modes": {mode: TREE["modes"][mode]}})
    for path, value in (changes or {}).items():
        *sections, last = path.split(".")
        node: Any = tree
        for section in sections if sections[:1] in (["venues"], ["share_classes"]) else ("modes", mode, *sections):
            node = node[int(section) if isinstance(node, list) else section]
        if last.endswith("-"):
            del node[last[:-1]]
        else:
            node[int(last) if isinstance(node, list) else last.removesuffix("+")] = value

    def documents(folder: str) -> dict[str, Document]:
        return {name: Document(name=f"configs/{folder}/{name}.yaml", content=c) for name, c in tree[folder].items()}

    return Bundle(
        mode_name=mode, mode=documents("modes")[mode], share_classes=documents("share_classes"),
        venues=documents("venues"),
    )  # fmt: skip


def build(mode: str, changes: Mapping[str, object] | None = None) -> RunSlice:
    return build_run(bundle(mode, changes))


def faults(mode: str, changes: Mapping[str, object]) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        build(mode, changes)
    assert caught.value.code == CFG_INVALID
    return [str(fault) for fault in caught.value.faults]


def only_fault(mode: str, changes: Mapping[str, object]) -> str:
    found = faults(mode, changes)
    assert len(found) == 1, found
    return found[0]
