"""The fault catalogue as data: what can go wrong between us and a venue, at it, or on the chain, and what notices it.

A fault is active at one door over a stretch of market time. The plan hands out the active ones and counts which have
fired, and which hit an order in flight; what a fault does is told in `KINDS` and done by the door.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

import msgspec

from venues.embedded.streams import stream

SECOND_NS = 1_000_000_000
CHAIN = "chain"
Group: TypeAlias = Literal["net", "venue", "chain"]
Parameter: TypeAlias = float | str


class Kind(msgspec.Struct, frozen=True):
    """One kind of fault. `parameters` are those it knows besides `times` and `endpoint`, with their defaults."""

    group: Group
    does: str
    noticed_by: str
    parameters: Mapping[str, Parameter] = {}


KINDS: Mapping[str, Kind] = {
    "connect_refused": Kind("net", "no connection is made", "NotSent; venue unreachable"),
    "dns_failure": Kind("net", "the venue's name is not found", "NotSent; venue unreachable"),
    "tls_failure": Kind("net", "the handshake fails", "NotSent; venue unreachable"),
    "reset_before_send": Kind("net", "the connection breaks before the first byte left", "NotSent"),
    "reset_after_send": Kind(
        "net", "the connection breaks after the request left", "OutcomeUnknown; query", {"arrives": "yes"}
    ),
    "black_hole": Kind(
        "net",
        "nothing comes back until the fault ends; the request arrives `at_once`, `late` (when it ends) or `never`",
        "a deadline; OutcomeUnknown; query",
        {"arrives": "at_once"},
    ),
    "latency": Kind("net", "everything takes `factor` times as long", "a deadline; answer times", {"factor": 100.0}),
    "half_open": Kind(
        "net", "the other end is gone; found out after `detect_s`", "OutcomeUnknown; query", {"detect_s": 3.0}
    ),
    "truncated_json": Kind("net", "the answer is cut off", "OutcomeUnknown; query"),
    "duplicate_frame": Kind("net", "settled items come twice", "item ids"),
    "reordered_frame": Kind("net", "settled items come in reverse", "sorting by known_at"),
    "dropped_frame": Kind("net", "settled items are left out of a page once", "mismatch; resync"),
    "mute_stream": Kind("net", "nothing is listed although things happen", "mismatch of positions"),
    "rate_limited": Kind("venue", "429 with Retry-After", "NotSent with retry_after_s", {"retry_after_s": 1.0}),
    "banned": Kind("venue", "418 with Retry-After", "NotSent with retry_after_s", {"retry_after_s": 10.0}),
    "error_before_accept": Kind("venue", "5xx, the order was not taken", "NotSent"),
    "error_after_accept": Kind("venue", "5xx, the order was taken", "OutcomeUnknown; query"),
    "unknown_status": Kind(
        "venue", "the venue does not know itself whether it took the order", "OutcomeUnknown; query", {"arrives": "yes"}
    ),
    "duplicate_id": Kind("venue", "the order is done, the answer says its id is a duplicate", "OutcomeUnknown; query"),
    "late_ack": Kind("venue", "filled, the answer comes `delay_s` later", "a deadline; query", {"delay_s": 12.0}),
    "fill_before_ack": Kind("venue", "filled, but the answer says accepted", "UNKNOWN trade; query"),
    "late_fill": Kind(
        "venue",
        "accepted; `fraction` fills now, the rest `after_s` of market time later",
        "UNKNOWN trade; query; cancel",
        {"fraction": 0.0, "after_s": 60.0},
    ),
    "partial_fill": Kind("venue", "`fraction` fills, the venue cancels the rest", "PARTIAL trade", {"fraction": 0.5}),
    "lot_change": Kind("venue", "the lot is `factor` times as large", "REJECTED trade", {"factor": 1000.0}),
    "symbol_paused": Kind("venue", "no trading in this symbol", "REJECTED trade"),
    "maintenance": Kind("venue", "the venue is closed", "NotSent with retry_after_s", {"retry_after_s": 5.0}),
    "key_revoked": Kind("venue", "the API key is not valid", "NotSent; venue unreachable"),
    "balance_lag": Kind("venue", "positions are `lag_s` of market time old", "mismatch; asked again", {"lag_s": 30.0}),
    "clock_skew": Kind("venue", "the venue's clock is `skew_s` from ours", "stamps of answers", {"skew_s": 3600.0}),
    "open_orders_truncated": Kind("venue", "the last half of the open orders is missing", "query by id"),
    "wrong_position": Kind("venue", "one position is `factor` times what it is", "mismatch", {"factor": 1.02}),
    "rpc_behind": Kind("chain", "the node answers from `lag_s` ago", "mismatch; asked again", {"lag_s": 60.0}),
    "tx_dropped": Kind("chain", "the node takes a transaction, and forgets it", "it is broadcast again; query: OPEN"),
    "tx_replaced": Kind(
        "chain", "a transaction of a foreign hand takes its nonce", "REJECTED trade once that is mined; gas is paid"
    ),
    "reorg": Kind(
        "chain",
        "the last `depth` blocks are replaced by others; what was in them is mined `again`, is `lost`, or finds its "
        "nonce `replaced`",
        "what they did is undone; query",
        {"depth": 3.0, "fate": "again"},
    ),
    "revert": Kind("chain", "the transaction is mined and undone; gas is paid", "REJECTED trade that pays gas"),
    "gas_spike": Kind("chain", "gas costs `factor` times as much", "gas in transaction costs", {"factor": 20.0}),
}


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """`kind` at the door `venue` from `at` (UTC ns of market time) for `duration_s`.

    Every kind also takes `times` (how often it may fire) and `endpoint` (the only one it hits: submit, query, cancel,
    open_orders, positions, settled or foreign; on the chain also `call`, before anything is signed, and `blocks`).
    """

    kind: str
    venue: str
    at: int
    duration_s: float
    parameters: Mapping[str, Parameter] = {}

    @property
    def ends(self) -> int:
        """UTC ns; the first instant without it."""
        return self.at + int(self.duration_s * SECOND_NS)

    def number(self, name: str) -> float:
        return float(self.parameters.get(name, KINDS[self.kind].parameters.get(name, 0.0)))

    def word(self, name: str) -> str:
        return str(self.parameters.get(name, KINDS[self.kind].parameters.get(name, "")))


class FaultReport(msgspec.Struct, frozen=True):
    """How often each kind has fired, and how many of all hit an order in flight."""

    fired: Mapping[str, int]
    hit_in_flight: int


class FaultPlan:
    """The faults of one account."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._faults: list[Fault] = []
        self._used: list[int] = []
        self.fired: dict[str, int] = {}
        self.hit_in_flight = 0
        for fault in faults:
            self.add(fault)

    def __repr__(self) -> str:
        return f"<FaultPlan {len(self._faults)} faults, {sum(self.fired.values())} fired>"

    def add(self, fault: Fault) -> None:
        """KeyError when there is no such kind."""
        KINDS[fault.kind]
        self._faults.append(fault)
        self._used.append(0)

    def heal(self) -> None:
        """Ends every fault, those to come as well."""
        self._faults, self._used = [], []

    def active(self, venue: str, at: int) -> tuple[Fault, ...]:
        return tuple(fault for _, fault in self._active(venue, at))

    def find(self, kind: str, venue: str, at: int, endpoint: str) -> Fault | None:
        """The first active fault of a kind that hits this endpoint; does not count."""
        for _, fault in self._active(venue, at):
            if fault.kind == kind and fault.parameters.get("endpoint", endpoint) == endpoint:
                return fault
        return None

    def note(self, fault: Fault, *, in_flight: bool = False) -> None:
        """It had an effect; `in_flight` when an order may be under way because of it."""
        self._used[next(i for i, each in enumerate(self._faults) if each is fault)] += 1
        self.fired[fault.kind] = self.fired.get(fault.kind, 0) + 1
        self.hit_in_flight += in_flight

    def hit(self, kind: str, venue: str, at: int, endpoint: str, *, in_flight: bool = False) -> Fault | None:
        """As `find`, and counts."""
        fault = self.find(kind, venue, at, endpoint)
        if fault is not None:
            self.note(fault, in_flight=in_flight)
        return fault

    def report(self) -> FaultReport:
        return FaultReport(dict(sorted(self.fired.items())), self.hit_in_flight)

    def _active(self, venue: str, at: int) -> list[tuple[int, Fault]]:
        return [
            (i, fault)
            for i, fault in enumerate(self._faults)
            if fault.venue == venue
            and fault.at <= at < fault.ends
            and self._used[i] < float(fault.parameters.get("times", float("inf")))
        ]


def campaign(
    seed: int,
    start: int,
    end: int,
    venues: Iterable[str],
    count: int,
    *,
    shortest_s: float = 5.0,
    longest_s: float = 120.0,
) -> tuple[Fault, ...]:
    """`count` faults over [start, end) in time order, every kind that fits one of `venues` in turn; same seed, same
    faults. Durations (market time) are spread evenly in their logarithm."""
    places = {
        group: [v for v in dict.fromkeys(venues) if group == "net" or (v == CHAIN) == (group == "chain")]
        for group in ("net", "venue", "chain")
    }
    kinds = [name for name, kind in KINDS.items() if places[kind.group]]
    draw = stream(seed, "faults")
    out: list[Fault] = []
    order: list[str] = []
    for _ in range(count if kinds else 0):
        if not order:
            order = [kinds[i] for i in draw.permutation(len(kinds)).tolist()]
        name = order.pop()
        where = places[KINDS[name].group]
        duration = shortest_s * (longest_s / shortest_s) ** float(draw.random())
        out.append(
            Fault(
                kind=name,
                venue=where[int(draw.integers(len(where)))],
                at=start + int(float(draw.random()) * (end - start)),
                duration_s=round(duration, 3),
                parameters=_varied(name, int(draw.integers(3))),
            )
        )
    return tuple(sorted(out, key=lambda fault: (fault.at, fault.kind, fault.venue)))


def _varied(kind: str, choice: int) -> dict[str, Parameter]:
    """The variant of a kind, where it has several."""
    match kind:
        case "black_hole":
            return {"arrives": ("at_once", "late", "never")[choice]}
        case "reset_after_send" | "unknown_status":
            return {"arrives": ("yes", "no", "yes")[choice]}
        case "late_fill":
            return {"fraction": (0.0, 0.4, 0.8)[choice]}
        case "reorg":
            return {"fate": ("again", "lost", "replaced")[choice], "depth": (2.0, 4.0, 8.0)[choice], "times": 1.0}
        case _:
            return {}
