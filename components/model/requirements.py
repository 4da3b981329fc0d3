"""What a mode needs to know: its `data_requirements` templates, expanded to series names.

Templates may use `{hedge}` (each venue of `hedge_allocation`), `{spot_venue}`, `{asset}`, `{lst}` and `{lst_protocol}`;
one that names a spot venue stands for nothing in a mode that has none. Series that
only price costs (`gas_price`, the market `ratio` of the DEX) are left out under `costs: none`; reward tokens are
needed only in a rewards mode that pays them.
"""

from __future__ import annotations

import msgspec

from components.model.slices import ModeSlice

HOUR_NS = 3_600_000_000_000
DAY_NS = 24 * HOUR_NS
LST_PROTOCOL = {"weETH": "etherfi", "wstETH": "lido"}
REWARD_TOKENS = {"base_only": (), "base_eigen": ("EIGEN",), "base_eigen_seasonal": ("EIGEN", "ETHFI")}


class Grid(msgspec.Struct, frozen=True):
    """Rows of a run: `start`, `start + step`, … up to and including `end`, UTC nanoseconds."""

    start: int
    end: int
    step: int

    def __len__(self) -> int:
        return (self.end - self.start) // self.step + 1


class SeriesName(msgspec.Struct, frozen=True):
    """`venue.kind.symbol`, taken apart."""

    venue: str
    kind: str
    symbol: str

    @classmethod
    def parse(cls, name: str) -> SeriesName:
        venue, kind, symbol = name.split(".")
        return cls(venue, kind, symbol)

    def __str__(self) -> str:
        return f"{self.venue}.{self.kind}.{self.symbol}"


def requirements(mode: ModeSlice) -> tuple[str, ...]:
    """Names of the series a run of `mode` needs, in order, each once."""
    names: dict[str, None] = {}
    for template in mode.data_requirements:
        for name in _expand(template, mode):
            if _is_used(SeriesName.parse(name), mode):
                names[name] = None
    return tuple(names)


def reward_tokens(mode: ModeSlice) -> tuple[str, ...]:
    return REWARD_TOKENS[mode.rewards_mode]


def reference_price(coin: str) -> str:
    """The series that is the absolute price of a coin in USDT."""
    return f"binance.spot.{coin}"


def _expand(template: str, mode: ModeSlice) -> list[str]:
    lst = mode.lst_type or ""
    fields = {
        "asset": mode.asset,
        "lst": lst,
        "lst_protocol": LST_PROTOCOL.get(lst, ""),
        "spot_venue": mode.spot_venue or "",
    }
    if "{spot_venue}" in template and mode.spot_venue is None:
        return []
    if "{hedge}" in template:
        return [template.format(hedge=venue, **fields) for venue in mode.hedge_allocation]
    return [template.format(**fields)]


def _is_used(series: SeriesName, mode: ModeSlice) -> bool:
    if series.kind == "gas_price" or (series.venue == "dex" and series.kind == "ratio"):
        return mode.costs == "default"
    if str(series) == reference_price("ETH") and mode.asset != "ETH":
        return mode.costs == "default"  # there it prices nothing but gas
    if series.kind in ("eth_price", "reward"):
        return series.symbol in reward_tokens(mode)
    return True
