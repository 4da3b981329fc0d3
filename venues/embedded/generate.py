"""Puts a synthetic market together: the series asked for, on the rows of a grid."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

import msgspec

from components.model.errors import CFG_REQUEST, Fault, InvalidInput, MissingData, nearest_name
from components.model.market import Column, FundingSeries, Market, Provenance
from components.model.requirements import Grid, SeriesName
from venues.embedded.prices import Exchanges
from venues.embedded.protocols import Protocols
from venues.embedded.streams import HOUR_NS, Clock, Memory
from venues.embedded.stress import SCENARIOS

VERSION = 1
EXCHANGES = ("binance", "bybit", "okx")
COINS = ("BTC", "ETH")
NAMES: tuple[str, ...] = (
    *(f"{v}.{k}.{c}" for v in EXCHANGES for k in ("spot", "perp", "perp_high", "perp_low", "funding") for c in COINS),
    *(f"aave_v3.supply_index.{token}" for token in ("USDT", "WETH", "weETH", "wstETH")),
    *(f"aave_v3.borrow_index.{token}" for token in ("USDT", "WETH")),
    *("etherfi.ratio.weETH", "lido.ratio.wstETH", "dex.ratio.weETH", "dex.ratio.wstETH"),
    *("uniswap.spot.ETH", "uniswap.eth_price.EIGEN", "uniswap.eth_price.ETHFI"),
    *("etherfi.reward.EIGEN", "etherfi.reward.ETHFI", "ethereum.gas_price.gwei", "ethena.apy.sUSDe"),
)


def generate(
    grid: Grid,
    *,
    seed: int,
    names: Iterable[str] | None = None,
    scenario: str = "calm",
    scenario_hours: float | None = None,
) -> Market:
    """A market of the named series (all by default; a perp brings its extremes).

    Same seed, grid step and scenario give the same bytes; a series does not depend on which others are asked for. The
    scenario begins at a fraction of the span, or of `scenario_hours` for a market that will be continued.
    Errors: InvalidInput(CFG-003) for an unknown scenario or a step beside the hour, MissingData(DAT-001) for an unknown
    series.
    Source of the calibration: NOTES-data §3 and §4.
    """
    return Continued(grid, seed=seed, names=names, scenario=scenario, scenario_hours=scenario_hours).part(len(grid))


class Continued:
    """A market that is made part by part: the parts put together are the bytes of the whole.

    A part is a Market with the number of its first row. Parts end with a whole day, but for the last.
    """

    def __init__(
        self,
        grid: Grid,
        *,
        seed: int,
        names: Iterable[str] | None = None,
        scenario: str = "calm",
        scenario_hours: float | None = None,
    ) -> None:
        """From the first row of `grid` on; how far is said by who asks. Errors as those of `generate`."""
        if scenario not in SCENARIOS:
            fault = Fault(
                where="scenario",
                found=scenario,
                expected=", ".join(SCENARIOS),
                nearest=nearest_name(scenario, SCENARIOS),
            )
            raise InvalidInput(CFG_REQUEST, (fault,))
        if grid.step < HOUR_NS and HOUR_NS % grid.step or grid.step > HOUR_NS and grid.step % HOUR_NS:
            fault = Fault(
                where="step",
                found=f"{grid.step / 60e9:g} min",
                expected="a step that divides an hour, or a multiple of one",
            )
            raise InvalidInput(CFG_REQUEST, (fault,))
        self._wanted = list(NAMES if names is None else dict.fromkeys(names))
        for name in self._wanted:
            if name not in NAMES:
                raise MissingData.column(name, dict.fromkeys(NAMES))
        self._start, self._step = grid.start, grid.step
        self._seed = seed
        self._scenario = scenario
        self._scenario_hours = scenario_hours
        self._memory = Memory(seed)
        self.rows = 0  # how many have been made

    def part(self, rows: int) -> Market:
        """The next rows."""
        first, self.rows = self.rows, self.rows + rows
        grid = Grid(self._start, self._start + (self.rows - 1) * self._step, self._step)
        clock = Clock(grid, self._scenario_hours, first=first)
        exchanges = Exchanges(clock, self._memory, self._scenario)
        protocols = Protocols(clock, self._memory, self._seed, self._scenario)
        columns: dict[str, Column] = {}
        funding: dict[str, FundingSeries] = {}
        tokens = set()
        for name in self._wanted:
            series = SeriesName.parse(name)
            match series.kind:
                case "funding":
                    funding[name] = exchanges.funding(series.venue, series.symbol)
                case "reward":
                    tokens.add(series.symbol)
                case "perp":
                    columns[name] = clock.at_rows(exchanges.perp(series.venue, series.symbol))
                    high, low = exchanges.extremes(series.venue, series.symbol)
                    columns[f"{series.venue}.perp_high.{series.symbol}"] = high
                    columns[f"{series.venue}.perp_low.{series.symbol}"] = low
                case "perp_high" | "perp_low":
                    continue
                case "spot":
                    columns[name] = clock.at_rows(exchanges.spot(series.venue, series.symbol))
                case _:
                    columns[name] = _protocol_column(protocols, series)
        identity = [VERSION, self._seed, self._scenario, grid.start, grid.end, grid.step, sorted(self._wanted)]
        return Market(
            clock.timestamps,
            columns,
            funding=funding,
            rewards=tuple(period for period in protocols.rewards() if period.token in tokens) if tokens else (),
            provenance=Provenance(
                source=f"embedded market, seed {self._seed}, scenario {self._scenario}",
                data_hash=sha256(msgspec.json.encode(identity)).hexdigest(),
            ),
            first=first,
            begins=grid.start,
        )


def _protocol_column(protocols: Protocols, series: SeriesName) -> Column:
    match series.kind:
        case "supply_index":
            return protocols.supply_index(series.symbol)
        case "borrow_index":
            return protocols.borrow_index(series.symbol)
        case "ratio":
            return protocols.market_ratio(series.symbol) if series.venue == "dex" else protocols.ratio(series.symbol)
        case "eth_price":
            return protocols.dust_price(series.symbol)
        case "gas_price":
            return protocols.gas_price()
        case _:
            return protocols.benchmark()
