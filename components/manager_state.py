"""What the Strategy Manager carries from step to step, as it is frozen for journals and read by what finds triggers."""

from __future__ import annotations

import msgspec

from components.held_back import Held
from components.model.awaited import Awaited
from components.refusals import Refusal
from components.routing.plan import Plan


class ManagerState(msgspec.Struct, frozen=True, kw_only=True):
    """Amounts in share-class currency, times in UTC ns."""

    entered: bool
    halted: bool
    plan: Plan | None
    owed: float
    blocked: bool
    retry_at: dict[str, int]
    unfinished: bool  # the plan under way was cut short: tried again, and not before `again_at`
    again_at: int
    overtaken: Plan | None  # under way when a withdrawal came, which goes first
    held: dict[str, Held] = {}  # measures that a finished plan left outside their band
    worked: bool = False  # the plan under way has done something
    refusals: dict[str, Refusal] = {}
    awaited: tuple[Awaited, ...] = ()  # while halted: everything between now and flat
    least: float = 0.0  # the smallest capital that works, as of the last plan
    at_any_cost: bool = False  # what is owed is paid whatever it costs
    dormant: bool = False  # sold out because there is too little: entered again when enough is paid in
