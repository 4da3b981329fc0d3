"""The configuration as the core sees it: frozen, validated, nothing optional by accident.

`components/config/` validates the YAML files and hands out these. Rates are fractions, amounts native or as the name
says; `None` means that the mode has no such thing.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Literal

import msgspec

from components.model.keys import Instrument, Token, VenueName


class Limit(msgspec.Struct, frozen=True):
    """Where a risk measure becomes a warning and where critical."""

    warning: float
    critical: float


class RiskSlice(msgspec.Struct, frozen=True, kw_only=True):
    """`enabled` names the measures that act; each has its limits.

    `ltv`: debt ÷ collateral. `liquidation`: distance of the health factor above 1 (0.05 = HF 1.05). `margin`: equity ÷
    notional per venue (falls towards liquidation). `delta`: |net coin| ÷ gross hedged coin. Drawdown and daily loss are
    fractions of the unit value; reaching `critical` stops the strategy.
    """

    enabled: tuple[Literal["ltv", "liquidation", "cex_margin", "delta"], ...]
    ltv: Limit
    liquidation: Limit
    margin: Limit
    delta: Limit
    max_drawdown: Limit
    max_daily_loss: Limit


class PnlSlice(msgspec.Struct, frozen=True, kw_only=True):
    parts: tuple[str, ...]
    reporting_currency: Literal["USDT", "ETH"]


class CostBounds(msgspec.Struct, frozen=True):
    """The most that a group of orders may cost, basis points of what it moves: of a plan of routine, of one that
    only sells for margin in no danger, of a warning, of what frees money for an owner, of a transfer, of small change
    (reward tokens sold, a gas debt repaid)."""

    routine: float = 50.0
    unwind: float = 15.0
    warning: float = 150.0
    withdrawal: float = 50.0
    transfer: float = 100.0
    dust: float = 500.0


class PriceCaps(msgspec.Struct, frozen=True, kw_only=True):
    """How far from the price known an order may be done, basis points: an order of a plan (None = at any price), and
    one of an emergency, wider with every try; after the last of these it is a market order."""

    order: float | None = None
    emergency: tuple[float, ...] = ()

    @property
    def widest(self) -> float | None:
        return self.emergency[-1] if self.emergency else self.order


class Band(msgspec.Struct, frozen=True):
    low: float
    high: float


class MedianAndRow(msgspec.Struct, frozen=True):
    """How far apart two prices may be: in the median of their common rows, and in any one row (fractions)."""

    median: float = inf
    row: float = inf


class PlausibleSlice(msgspec.Struct, frozen=True, kw_only=True):
    """What history is believed; data outside are refused unless `accepted`.

    Funding by venue: the largest |rate| of one settlement and the median of a file. Bars: the factor between
    neighbours (and within one), and that of a move which the next bar takes back. `accepted` names what is taken as it
    is: a series, or `series@stamp` for one row.
    """

    funding_largest: Mapping[VenueName, float] = {}
    funding_median: Mapping[VenueName, float] = {}
    bar_factor: float = inf
    spike_factor: float = inf
    perp_to_spot: MedianAndRow = MedianAndRow()
    venue_to_venue: MedianAndRow = MedianAndRow()
    accepted: tuple[str, ...] = ()


class ModeSlice(msgspec.Struct, frozen=True, kw_only=True):
    """One strategy: the keys of SPEC §10 and DESIGN-replay."""

    mode: str
    share_class: Literal["USDT", "ETH"]
    asset: Token
    lst_type: Literal["weETH", "wstETH"] | None
    rewards_mode: Literal["base_only", "base_eigen", "base_eigen_seasonal"]
    rewards_estimates: Literal["none", "low", "mid", "high"]
    hedge_allocation: Mapping[VenueName, float]
    stake_allocation: float
    collateral: Literal["usdt", "unified"]
    margin_ratio_target: float
    margin_ratio_band: Band  # outside: a deviation, rebalance to target
    max_ltv: float | None
    max_stake_spread_move: float | None
    spot_venue: VenueName | None
    spot_fee_asset: Literal["usdt", "base"]
    reserve_ratio: float
    position_deviation_threshold: float
    max_delta_drift: float
    dust_threshold: float  # share-class currency
    minimum_trade_usdt: float
    gas_debt_limit: float  # ETH; USDT class: a larger debt is repaid
    gas_reserve: float  # ETH; ETH class keeps this much for gas
    rebalance: Literal["auto", "never"]
    costs: Literal["default", "none"]
    initial_location: Literal["target", "wallet"]
    exit_path: Literal["market", "queue"]
    exit_queue_days: float
    liquidation_price: Literal["extreme", "close"]
    usdt_borrow_rate: float  # per year, on negative USDT of a unified account
    price_fallback: Mapping[str, str]  # {"okx.spot": "binance.spot"}
    funding_gap: str  # refuse | skip | venue:<name>
    interpolated: Literal["rebuild", "as_published"]
    max_age_steps: float  # a price older than this many native steps is stale
    plausible: PlausibleSlice = (
        PlausibleSlice()
    )  # the default is for journals from before the key: they read no history
    divergence_alarm: Limit  # |perp or spot across venues − reference| ÷ reference
    break_even_days: int
    time_throttle_interval: float
    on_stop: Literal["hold", "close"]
    risk: RiskSlice
    pnl: PnlSlice
    data_requirements: tuple[str, ...]
    position_subscriptions: tuple[str, ...]
    target_apy: float
    cost_bounds: CostBounds = CostBounds()  # the default is for journals from before the key
    price_caps: PriceCaps = PriceCaps()  # the default is for journals from before the key: their orders had none

    @property
    def target_ltv(self) -> float:
        """`max_ltv × (1 − max_stake_spread_move)`."""
        if self.max_ltv is None or self.max_stake_spread_move is None:
            return 0.0
        return self.max_ltv * (1.0 - self.max_stake_spread_move)

    @property
    def leverage(self) -> float:
        """`1 ÷ (1 − target_ltv)`; 1 without debt."""
        return 1.0 / (1.0 - self.target_ltv)


def filler_of(funding_gap: str) -> VenueName | None:
    """The venue whose settlements stand in for missing ones under `venue:<name>`; None under any other policy."""
    return funding_gap.removeprefix("venue:") if funding_gap.startswith("venue:") else None


class Fees(msgspec.Struct, frozen=True):
    taker: float
    maker: float


class Impact(msgspec.Struct, frozen=True):
    """Size-aware cost as a fraction: `base + slope × sqrt(notional_usdt ÷ 1e6)`, at most `ceiling`."""

    base: float
    slope: float
    ceiling: float


class TransferTerms(msgspec.Struct, frozen=True):
    """Sending one token away from a venue: fee in units of the token, minutes until it arrives."""

    fee: float
    delay_minutes: float


class CexSlice(msgspec.Struct, frozen=True, kw_only=True):
    """One exchange."""

    name: VenueName
    spot_fees: Fees
    perp_fees: Fees
    spot_impact: Impact
    perp_impact: Impact
    liquidation_fee: float  # fraction of notional
    initial_margin_rate: float
    haircuts: Mapping[Token, float]  # unified account: value counted = price × haircut
    transfers: Mapping[Token, TransferTerms]
    instruments: Mapping[str, Instrument]  # "spot.BTC", "perp.BTC"
    max_trade_usdt: float


class ReserveTerms(msgspec.Struct, frozen=True):
    """Aave parameters of one collateral: loan-to-value, liquidation threshold, liquidation bonus (fraction)."""

    ltv: float
    liquidation_threshold: float
    liquidation_bonus: float


class ChainSlice(msgspec.Struct, frozen=True, kw_only=True):
    """The chain and the protocols on it."""

    e_mode: ReserveTerms
    reserves: Mapping[Token, ReserveTerms]
    reserve_factors: Mapping[Token, float]
    liquidation_protocol_fee: float  # share of the bonus; kept for reporting
    close_factor_hf: float  # below: the whole debt may be repaid
    full_close_below_usd: float
    flash_premium: Mapping[VenueName, float]  # morpho 0, instadapp 0.0005
    flash_venue: VenueName
    gas_units: Mapping[str, float]  # per operation
    gas_price_buffer: float  # multiplier on the observed price
    swap_fee: Mapping[str, float]  # fraction per pair "weETH/ETH"
    swap_impact: Mapping[str, Impact]
    transfers: Mapping[Token, TransferTerms]


class ShareClassSlice(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    currency: Literal["USDT", "ETH"]
    hedged: Literal["required", "forbidden"]
    assets: tuple[Token, ...]
    column_suffix: Literal["usd", "eth"]
    benchmarks: tuple[str, ...]


class RunSlice(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one run is configured by."""

    mode: ModeSlice
    share_class: ShareClassSlice
    exchanges: Mapping[VenueName, CexSlice]
    chain: ChainSlice
    config_hash: str
