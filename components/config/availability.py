"""Level 4: names of the series a mode asks for, and of the positions it watches.

Only names are judged here, not whether a folder holds the data: that is `venues/history`, which sees the folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from components.config.documents import Problem, shown
from components.config.schema import ModeFile
from components.model.errors import CATALOGUE, DAT_LOOK_AHEAD, nearest_name
from components.model.keys import GAS, KING, RESERVE, TRANSIT, WALLET, PositionKey, PositionType
from components.model.requirements import LST_PROTOCOL

# Which venues publish a kind: those of a kind of venue file, and public sources that have no file.
PUBLISHERS: Mapping[str, tuple[str, ...]] = {
    "spot": ("exchange", "dex"),
    "perp": ("exchange",),
    "perp_high": ("exchange",),
    "perp_low": ("exchange",),
    "funding": ("exchange",),
    "supply_index": ("lending",),
    "borrow_index": ("lending",),
    "ratio": ("staking", "dex_market"),
    "reward": ("staking",),
    "eth_price": ("dex",),
    "gas_price": ("gas_oracle",),
    "apy": ("benchmark",),
}
PUBLIC_SOURCES = {"dex": "dex_market", "ethereum": "gas_oracle", "ethena": "benchmark"}
OWN_PLACES = (WALLET, RESERVE, GAS, TRANSIT, KING)
TEMPLATE_FIELDS = ("hedge", "spot_venue", "asset", "lst", "lst_protocol")
_FUTURE = re.compile(r"@\+|\bforecast|\bpredicted|\bnext[_.]")
_FIELD = re.compile(r"\{([^{}]*)\}")


def expanded(template: str, mode: ModeFile) -> list[str]:
    """The names a template stands for; `{hedge}` gives one per exchange of the hedge."""
    lst = mode.lst_type or ""
    text = template.replace("{asset}", mode.asset).replace("{lst}", lst)
    text = text.replace("{lst_protocol}", LST_PROTOCOL.get(lst, "")).replace("{spot_venue}", mode.spot_venue or "")
    return [text.replace("{hedge}", venue) for venue in sorted(mode.hedge_allocation)] if "{hedge}" in text else [text]


def requirement_problems(mode: ModeFile, venue_kinds: Mapping[str, str]) -> Iterator[Problem]:
    """Look-ahead, unknown template fields, kinds and venues in `data_requirements`."""
    sources = {**venue_kinds, **PUBLIC_SOURCES}
    for i, template in enumerate(mode.data_requirements):
        path = f"data_requirements.{i}"
        if _FUTURE.search(template):
            entry = CATALOGUE[DAT_LOOK_AHEAD]
            yield Problem(path, shown(template), f"no look-ahead ({entry.code} {entry.title}): {entry.action}")
            continue
        yield from _field_problems(path, template)
        if _can_expand(template, mode):
            for name in expanded(template, mode):
                yield from _name_problems(path, name, sources)


def subscription_problems(mode: ModeFile, venues: Mapping[str, str]) -> Iterator[Problem]:
    """Position keys that do not parse or name no venue."""
    for i, template in enumerate(mode.position_subscriptions):
        path = f"position_subscriptions.{i}"
        yield from _field_problems(path, template)
        if not _can_expand(template, mode):
            continue
        for name in expanded(template, mode):
            try:
                key = PositionKey.parse(name)
            except ValueError:
                kinds = ", ".join(kind.value for kind in PositionType)
                yield Problem(path, shown(name), f"venue:type:symbol with a type of {kinds}")
                continue
            if key.venue not in (*venues, *OWN_PLACES):
                yield Problem(
                    path, shown(name), "a venue of configs/venues, or wallet", nearest_name(key.venue, venues)
                )


def _can_expand(template: str, mode: ModeFile) -> bool:
    """False when it names an unknown field, or a staked token or spot venue that the mode does not have: faults of
    their own."""
    fields = set(_FIELD.findall(template))
    if "spot_venue" in fields and mode.spot_venue is None:
        return False
    return fields <= set(TEMPLATE_FIELDS) and not (mode.lst_type is None and fields & {"lst", "lst_protocol"})


def _field_problems(path: str, template: str) -> Iterator[Problem]:
    for field in _FIELD.findall(template):
        if field not in TEMPLATE_FIELDS:
            fields = ", ".join(f"{{{name}}}" for name in TEMPLATE_FIELDS)
            yield Problem(path, shown(template), f"only the fields {fields}", nearest_name(field, TEMPLATE_FIELDS))


def _name_problems(path: str, name: str, sources: Mapping[str, str]) -> Iterator[Problem]:
    parts = name.split(".")
    if len(parts) != 3 or not all(parts) or "@" in name:
        yield Problem(path, shown(name), "venue.kind.symbol, e.g. binance.spot.BTC")
        return
    venue, kind, _ = parts
    if kind not in PUBLISHERS:
        yield Problem(path, shown(name), f"a kind of {', '.join(PUBLISHERS)}", nearest_name(kind, PUBLISHERS))
    elif sources.get(venue) not in PUBLISHERS[kind]:
        able = [name for name, what in sources.items() if what in PUBLISHERS[kind]]
        yield Problem(path, shown(name), f"a venue that publishes {kind}: {', '.join(able)}", nearest_name(venue, able))
