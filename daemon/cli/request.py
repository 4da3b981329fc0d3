"""Words of the command line as values: dates, steps, amounts, flows. All faults of a request at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from math import isfinite

from components.model.errors import Fault
from components.ports import Flow

STEP = re.compile(r"^(\d+)(m|h|d)$")
MINUTES = {"m": 1, "h": 60, "d": 1440}
MINUTE_NS = 60_000_000_000


class Faults(list[Fault]):
    """Collects what is wrong with a request."""

    def say(self, where: str, found: object, expected: str, nearest: str | None = None) -> None:
        self.append(Fault(where=where, found=str(found), expected=expected, nearest=nearest))


def stamp(where: str, text: str, faults: Faults) -> int:
    """UTC nanoseconds of `2024-06-01` or an ISO stamp; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        faults.say(where, text, "a date such as 2024-06-01 or 2024-06-01T08:00Z")
        return 0
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return int(moment.timestamp()) * 1_000_000_000


def step(text: str, faults: Faults) -> int:
    """Nanoseconds of `1m`, `1h`, `1d`."""
    match = STEP.match(text)
    if match is None or int(match[1]) == 0:
        faults.say("--step", text, "a number with m, h or d, such as 1h")
        return 60 * MINUTE_NS
    return int(match[1]) * MINUTES[match[2]] * MINUTE_NS


def capital(value: float, faults: Faults) -> float:
    if not isfinite(value) or value <= 0.0:
        faults.say("--capital", value, "a positive number")
    return value


def flows(texts: Sequence[str], faults: Faults) -> tuple[Flow, ...]:
    """`2024-07-01:+20000` is a deposit, `2024-07-01:-5000` a withdrawal."""
    out = []
    for i, text in enumerate(texts):
        date, colon, amount = text.rpartition(":")
        try:
            value = float(amount)
        except ValueError:
            value = float("nan")
        if not colon or not isfinite(value) or value == 0.0:
            faults.say("--flow", text, "DATE:+AMOUNT or DATE:-AMOUNT, such as 2024-07-01:+20000")
            continue
        out.append(Flow(at=stamp("--flow", date, faults), amount=value, id=f"{i + 1} ({text})"))
    return tuple(out)
