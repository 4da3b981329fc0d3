"""Record types of the journal: everything that must survive, as frozen structs with a type tag and a version.

Floats travel as msgpack doubles, never as JSON numbers: NaN and infinity survive, and every value comes back bit for
bit. A reader refuses a version above its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from components.model.events import Event
from components.model.orders import OrderGroup, Trade
from components.model.transactions import Transaction

VERSION = 1


class Manifest(msgspec.Struct, frozen=True, kw_only=True, tag="manifest"):
    """Opens each run epoch: what the records after it were made with."""

    epoch: int
    strategy: str
    version: str
    code_hash: str
    config_hash: str
    data_hash: str
    numpy: str
    platform: str
    config: bytes  # the merged configuration (a RunSlice as msgpack)
    state_hash: str  # of the checkpoint the epoch starts from; "" for a fresh start


class StepBegin(msgspec.Struct, frozen=True, kw_only=True, tag="step.begin"):
    """All that one step of the core is told from outside, bit for bit.

    `values` are the columns of the row as float64 bytes, `previous` those of the row before (empty on the first).
    `settlements`, `standing` and `commands` are msgpack of the structs of those names.
    """

    tick: int
    timestamp: int
    previous_timestamp: int
    names: tuple[str, ...]
    values: bytes
    previous: bytes
    derived: Mapping[str, float]
    stale: tuple[str, ...]
    ages: Mapping[str, float]
    settlements: bytes
    standing: bytes
    commands: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()  # ids of the Command records that this step serves
    taken: tuple[str, ...] = ()  # ids of the settled items that this step books
    cursors: Mapping[str, int] = {}  # per venue: every item below is booked


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag="answer"):
    """What a port answered to effect number `effect` of a step: a value, or an error by type name and text."""

    tick: int
    effect: int
    port: str
    value: bytes = b""
    error: str = ""


class Intent(msgspec.Struct, frozen=True, kw_only=True, tag="intent"):
    """A group that is about to be sent. `origin`: core, emergency, repair."""

    at: int
    group: OrderGroup
    origin: str = "core"


class Outcome(msgspec.Struct, frozen=True, kw_only=True, tag="outcome"):
    """What became of one order; a later outcome of the same order replaces an unknown one."""

    at: int
    order_id: str
    state: str  # an OrderState
    trade: Trade | None = None
    origin: str = "core"
    reason: str = ""


class Events(msgspec.Struct, frozen=True, kw_only=True, tag="events"):
    """Events in their global order."""

    events: tuple[Event, ...]


class Signed(msgspec.Struct, frozen=True, kw_only=True, tag="signed"):
    """A transaction of this account's wallet, kept before anybody else sees it."""

    transaction: Transaction


class NonceClosed(msgspec.Struct, frozen=True, kw_only=True, tag="nonce.closed"):
    """Transactions that are kept no longer: one that surely never left, by `hash`, or all of a nonce that is final."""

    at: int
    nonce: int
    hash: str = ""


class StepEnd(msgspec.Struct, frozen=True, kw_only=True, tag="step.end"):
    """The state after a step: its hash always, its canonical bytes now and then."""

    tick: int
    timestamp: int
    state_hash: str
    state: bytes = b""
    row: Mapping[str, float] = {}  # result columns of the row: equity, P&L parts, ratios


class StepAborted(msgspec.Struct, frozen=True, kw_only=True, tag="step.aborted"):
    """A step that did not finish; it is never resumed."""

    tick: int
    reason: str


class HandedIn(msgspec.Struct, frozen=True, kw_only=True, tag="settlement"):
    """An outcome or adoption that enters the book at the next row instead of inside a step."""

    id: str
    item: bytes  # a Happening as msgpack


class Command(msgspec.Struct, frozen=True, kw_only=True, tag="command"):
    """What somebody asked for; `key` is the idempotency key, `answer` what they were told, in one record."""

    at: int
    id: str
    kind: str
    arguments: Mapping[str, str]
    uid: int
    key: str = ""
    answer: str = ""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True, tag="snapshot"):
    """What an epoch begins with beside its checkpoint: whoever starts at its Manifest needs nothing from before it.

    `late` are Happenings (msgpack) that no step has booked yet, by id; `previous` is the last row (msgpack, "" = none).
    """

    at: int
    last_tick: int | None
    previous: bytes
    late: Mapping[str, bytes]
    commands: tuple[Command, ...]
    cursors: Mapping[str, int]
    booked: tuple[str, ...]
    adjusted: Mapping[int, float] = {}  # share of equity that was adjusted, by UTC day
    sent_at: Mapping[str, int] = {}  # when orders left whose outcome is not known, market time
    signed: tuple[Transaction, ...] = ()  # what the wallet has signed and is not final


class ConfigChanged(msgspec.Struct, frozen=True, kw_only=True, tag="config.changed"):
    """A reload: the difference by key, and the configuration from here on."""

    at: int
    changes: Mapping[str, tuple[str, str]]
    config: bytes
    config_hash: str


class EpochBegan(msgspec.Struct, frozen=True, kw_only=True, tag="epoch"):
    """In the daemon's journal: a strategy begins an epoch. Journals of before said so in a Note."""

    at: int
    strategy: str
    epoch: int


class LatchChanged(msgspec.Struct, frozen=True, kw_only=True, tag="latch"):
    """The emergency latch: requested, closing, flat, failed, or cleared by an operator; `awaited` in words."""

    at: int
    phase: str
    scope: str
    reason: str
    uid: int = -1
    awaited: tuple[str, ...] = ()


class Note(msgspec.Struct, frozen=True, kw_only=True, tag="note"):
    """Something the next reader must know: recovered, cut, backed off, gave up."""

    at: int
    kind: str
    detail: str


def is_tagged(payload: bytes, tag: str) -> bool:
    """Whether the bytes of a record are of this type, without decoding them."""
    wanted = b"\xa4type" + bytes((0xA0 + len(tag),)) + tag.encode()
    return payload.startswith(wanted, 1) or payload.startswith(wanted, 3)  # behind the head of a small or a large map


Record: TypeAlias = (
    Manifest
    | Snapshot
    | StepBegin
    | Answer
    | Intent
    | Outcome
    | Events
    | Signed
    | NonceClosed
    | StepEnd
    | StepAborted
    | HandedIn
    | Command
    | ConfigChanged
    | EpochBegan
    | LatchChanged
    | Note
)
