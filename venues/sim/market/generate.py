"""Puts a synthetic market together: the series asked for, on the rows of a grid."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

import msgspec

from components.model.errors import CFG_REQUEST, Fault, InvalidInput, MissingData, nearest_name
from components.model.market import Column, FundingSeries, Market, Provenance
from components.model.requirements import Grid, SeriesName
from venues.sim.market.prices import Exchanges
from venues.sim.market.protocols import Protocols
from venues.sim.market.streams import HOUR_NS, Clock
from venues.sim.market.stress import SCENARIOS

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
    if scenario not in SCENARIOS:
        fault = Fault(
            where="scenario", found=scenario, expected=", ".join(SCENARIOS), nearest=nearest_name(scenario, SCENARIOS)
        )
        raise InvalidInput(CFG_REQUEST, (fault,))
    if grid.step < HOUR_NS and HOUR_NS % grid.step or grid.step > HOUR_NS and grid.step % HOUR_NS:
        fault = Fault(
            where="step",
            found=f"{grid.step / 60e9:g} min",
            expected="a step that divides an hour, or a multiple of one",
        )
        raise InvalidInput(CFG_REQUEST, (fault,))
    wanted = list(NAMES if names is None else dict.fromkeys(names))
    for name in wanted:
        if name not in NAMES:
            raise MissingData.column(name, dict.fromkeys(NAMES))
    clock = Clock(grid, scenario_hours)
    exchanges, protocols = Exchanges(clock, seed, scenario), Protocols(clock, seed, scenario)
    columns: dict[str, Column] = {}
    funding: dict[str, FundingSeries] = {}
    tokens = set()
    for name in wanted:
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
    rewards = tuple(period for period in protocols.rewards() if period.token in tokens) if tokens else ()
    identity = msgspec.json.encode([VERSION, seed, scenario, grid.start, grid.end, grid.step, sorted(wanted)])
    return Market(
        clock.timestamps,
        columns,
        funding=funding,
        rewards=rewards,
        provenance=Provenance(
            source=f"embedded market, seed {seed}, scenario {scenario}", data_hash=sha256(identity).hexdigest()
        ),
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
