"""The files as pydantic models: names, types, ranges and meanings. Every key is required and unknown ones are refused.

The descriptions are the configuration reference of the docs. Rules that tie keys together are in `rules`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Weight = Annotated[float, Field(gt=0, le=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Part = Literal[
    "supply_yield",
    "borrow_costs",
    "staking_yield_oracle",
    "staking_yield_rewards",
    "funding",
    "basis",
    "delta",
    "dust",
    "liquidation",
    "transaction_costs",
]
Lst = Literal["weETH", "wstETH"]
LST_NAMES: tuple[Lst, ...] = ("weETH", "wstETH")


class Section(BaseModel):
    """Part of a file. Strict: a number in quotes is not a number; NaN and infinity are none either."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class LimitKeys(Section):
    warning: float = Field(ge=0, description="where it becomes a warning")
    critical: float = Field(ge=0, description="where it becomes critical")


class RiskKeys(Section):
    enabled: list[Literal["ltv", "liquidation", "cex_margin", "delta"]] = Field(
        description="measures that act; drawdown and daily loss always do"
    )
    ltv: LimitKeys = Field(description="debt ÷ collateral, rises towards liquidation")
    liquidation: LimitKeys = Field(description="health factor − 1, falls towards liquidation")
    margin: LimitKeys = Field(description="equity ÷ perp notional per venue, falls towards liquidation")
    delta: LimitKeys = Field(
        description="|net coin| ÷ gross hedged coin; net coins below minimum_trade_usdt count as none"
    )
    max_drawdown: LimitKeys = Field(description="fall of the unit value from its maximum; critical stops the strategy")
    max_daily_loss: LimitKeys = Field(description="fall of the unit value since 00:00 UTC; critical stops the strategy")


class PnlKeys(Section):
    parts: list[Part] = Field(description="parts shown on their own; anything else lands in `residual`")
    reporting_currency: Literal["USDT", "ETH"] = Field(description="currency of all results; that of the share class")


class BandKeys(Section):
    low: float = Field(gt=0, description="below: margin is brought to the venue")
    high: float = Field(gt=0, description="above: margin is taken away and put to work")


class CostBoundKeys(Section):
    routine: Positive = Field(description="entries, deposits and what brings back to target; more: it waits")
    warning: Positive = Field(description="what a warning asks for; critical has no bound, nor a close")
    unwind: Positive = Field(description="what is sold for margin outside its band and in no danger; more: it waits")
    withdrawal: Positive = Field(description="what frees money for an owner; more: it waits, or is paid at any cost")
    transfer: Positive = Field(description="a transfer, its fee and gas against what is sent")
    dust: Positive = Field(description="small change: reward tokens that are sold, a gas debt that is repaid")


class PriceCapKeys(Section):
    order: Positive = Field(
        description="of an order of a plan; one that reduces what is critical has the widest of `emergency`"
    )
    emergency: list[Positive] = Field(
        min_length=1, description="of an order of an emergency stop, try by try; after the last it is a market order"
    )


class MedianAndRowKeys(Section):
    median: Share = Field(description="in the median of the rows both have")
    row: float = Field(gt=0, description="in any one row")


class PlausibleKeys(Section):
    """What history is believed (docs/own-data.md)."""

    funding_largest: dict[str, Positive] = Field(description="largest |rate| of one settlement, by exchange")
    funding_median: dict[str, Positive] = Field(description="largest median |rate| of a file, by exchange")
    bar_factor: float = Field(
        gt=1, description="factor between neighbouring bars, and from open and close to high, low"
    )
    spike_factor: float = Field(gt=1, description="factor of a move that the next bar takes back")
    perp_to_spot: MedianAndRowKeys = Field(description="|perp − spot| ÷ spot of one coin")
    venue_to_venue: MedianAndRowKeys = Field(description="|price − price| ÷ price of one product at two venues")
    accepted: list[str] = Field(
        description="what is real and outside: a series (`okx.perp.ETH`) or one row of it by the stamp in its file "
        "(`okx.perp.ETH@2024-10-28T21:00Z`); taken as it is and reported"
    )


class ModeFile(Section):
    """`configs/modes/<mode>.yaml`: one strategy."""

    mode: str = Field(min_length=1, description="name of the mode; equals the file name")
    share_class: Literal["USDT", "ETH"] = Field(description="reporting currency: USDT is hedged, ETH never")
    asset: str = Field(min_length=1, description="coin the strategy earns on")
    lst_type: Lst | None = Field(description="staked ETH that is held, in any case; null where nothing is staked")
    rewards_mode: Literal["base_only", "base_eigen", "base_eigen_seasonal"] = Field(
        description="which reward tokens are credited beside the base yield; wstETH pays none: base_only"
    )
    rewards_estimates: Literal["none", "low", "mid", "high"] = Field(
        description="estimate used for seasonal rewards that were never published; none reports them as missing"
    )
    hedge_allocation: dict[str, Weight] = Field(
        description="share of the hedge per exchange; weights sum to 1 (1e-9), never renormalised; {} = no hedge"
    )
    stake_allocation: Share = Field(description="share of the equity that buys coin and is staked; the rest is margin")
    collateral: Literal["usdt", "unified"] = Field(
        description="what backs the shorts: USDT, or all coins of a unified account after their haircut"
    )
    margin_ratio_target: Positive = Field(
        description="equity ÷ perp notional per venue after an entry; a rebalance goes a quarter of the way"
    )
    margin_ratio_band: BandKeys = Field(description="margin ratio outside this band is a deviation from target")
    max_ltv: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        description="highest loan-to-value the venue lends at; null without leverage"
    )
    max_stake_spread_move: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        description="buffer for a move of the spread: target LTV = max_ltv × (1 − this); null without leverage"
    )
    spot_venue: str | None = Field(
        description="where coin that goes on-chain is bought (an exchange or uniswap); null where none does"
    )
    spot_fee_asset: Literal["usdt", "base"] = Field(
        description="coin that pays the fee of a spot purchase; base: what is received after it is hedged"
    )
    reserve_ratio: float = Field(ge=0, lt=1, description="share of the equity kept as cash for fast withdrawals")
    position_deviation_threshold: Positive = Field(description="distance of a leg from its target that rebalances")
    max_delta_drift: Positive = Field(description="|net coin| ÷ gross hedged coin that rebalances")
    dust_threshold: NotNegative = Field(description="value of reward tokens that is sold, share-class currency")
    minimum_trade_usdt: NotNegative = Field(description="smaller corrections are left alone, USDT")
    cost_bounds: CostBoundKeys = Field(
        description="most that a step may cost (fee, impact, discount, gas), basis points of what it moves"
    )
    price_caps: PriceCapKeys = Field(
        description="how far from the price known an order may be done, basis points; what is not to be had "
        "within them at once is not done"
    )
    gas_debt_limit: Positive = Field(description="USDT class: a larger gas debt is repaid, ETH")
    gas_reserve: NotNegative = Field(description="ETH class: kept in the wallet for gas, ETH")
    rebalance: Literal["auto", "never"] = Field(description="never: enter on the first row, then hold")
    costs: Literal["default", "none"] = Field(
        description="none: fees, slippage, gas, premiums, delays and rounding are zero"
    )
    initial_location: Literal["target", "wallet"] = Field(
        description="where the capital starts: where the entry needs it, or in the wallet, to be transferred"
    )
    exit_path: Literal["market", "queue"] = Field(description="how staked ETH is left: sold on the DEX, or unstaked")
    exit_queue_days: NotNegative = Field(description="length of the unstaking queue, days")
    liquidation_price: Literal["extreme", "close"] = Field(
        description="price a perp liquidation is tested at: the adverse extreme of the bar, or its close"
    )
    usdt_borrow_rate: NotNegative = Field(description="interest on negative USDT of a unified account, per year")
    price_fallback: dict[str, str] = Field(
        description="`venue.kind: venue.kind`: prices that may stand in for missing ones; reported in the results"
    )
    funding_gap: str = Field(
        description="missing funding payments: `refuse` the run, `skip` and count them, or take those of `venue:<name>`"
    )
    interpolated: Literal["rebuild", "as_published"] = Field(
        description="daily data sold as hourly: rebuilt from completed days, or as they are (looks ≤ 24 h ahead)"
    )
    max_age_steps: Positive = Field(
        description="a value older than this many native steps is stale and not traded on; a bar is one step old when "
        "it is known, so that with 2 a price is stale from the bar on that should have come"
    )
    plausible: PlausibleKeys = Field(description="history outside is refused by name and row")
    divergence_alarm: LimitKeys = Field(description="|price − reference| ÷ reference across venues")
    break_even_days: int = Field(
        ge=1, description="alarm after this many days in which leverage costs more than it earns"
    )
    time_throttle_interval: Positive = Field(description="time between two full loops of a running strategy, seconds")
    on_stop: Literal["hold", "close"] = Field(description="what a stopping strategy does with its positions")
    risk: RiskKeys = Field(description="limits")
    pnl: PnlKeys = Field(description="what the results show")
    data_requirements: list[str] = Field(
        description="series the mode needs, `venue.kind.symbol`; may use {hedge}, {spot_venue}, {asset}, {lst}, "
        "{lst_protocol}"
    )
    position_subscriptions: list[str] = Field(
        description="position keys the mode watches, `venue:type:symbol`; may use the same fields"
    )
    target_apy: float = Field(ge=0, le=10, description="expected net return per year; shown beside the result")

    @field_validator("lst_type", mode="before")
    @classmethod
    def _any_case(cls, value: Any) -> Any:
        return next((name for name in LST_NAMES if isinstance(value, str) and name.lower() == value.lower()), value)


class ShareClassFile(Section):
    """`configs/share_classes/<name>.yaml`: the reporting currency and what it allows."""

    name: str = Field(min_length=1, description="name of the share class; equals the file name")
    currency: Literal["USDT", "ETH"] = Field(description="reporting currency")
    hedged: Literal["required", "forbidden"] = Field(description="whether exposure to another coin must be hedged")
    assets: list[str] = Field(min_length=1, description="coins a mode of this class may earn on")
    column_suffix: Literal["usd", "eth"] = Field(description="ending of the money columns in result files")
    benchmarks: list[str] = Field(description="what results are compared with")


class FeeKeys(Section):
    taker: float = Field(ge=0, lt=0.1, description="fee of an order that fills at once, fraction of notional")
    maker: float = Field(
        gt=-0.01,
        lt=0.1,
        description="fee of a resting order, negative is a rebate; for the reader, every order here takes",
    )


class ImpactKeys(Section):
    base: Share = Field(description="half spread, fraction of price")
    slope: Share = Field(description="added per square root of a million USDT of notional")
    ceiling: Share = Field(description="never more than this")


class TransferKeys(Section):
    fee: NotNegative = Field(description="units of the token")
    delay_minutes: NotNegative = Field(description="time until it arrives")


class TierKeys(Section):
    notional_usdt: Positive = Field(description="upper end of the tier")
    maintenance_rate: float = Field(gt=0, lt=1, description="maintenance margin = notional × rate − deduction")
    deduction_usdt: NotNegative = Field(description="keeps the margin continuous from tier to tier")


class SpotInstrumentKeys(Section):
    symbol: str = Field(min_length=1, description="name at the venue")
    lot: Positive = Field(description="step of the quantity, coin")
    tick: Positive = Field(description="step of the price, USDT")
    minimum_notional_usdt: NotNegative = Field(description="smallest order")


class PerpInstrumentKeys(SpotInstrumentKeys):
    contract_size: Positive = Field(
        description="coin per contract at the venue; for the reader, `lot` and all amounts are in coin"
    )
    funding_interval_hours: Positive = Field(description="hours between two funding payments")
    tiers: list[TierKeys] = Field(min_length=1, description="maintenance margin table, by rising notional")


class InstrumentKeys(Section):
    spot: dict[str, SpotInstrumentKeys] = Field(description="by coin, against USDT")
    perp: dict[str, PerpInstrumentKeys] = Field(description="by coin, linear, settled in USDT")


class VenueFile(Section):
    """What all venue files share."""

    venue: str = Field(min_length=1, description="name of the venue; equals the file name")


class ExchangeFile(VenueFile):
    """An exchange for spot and perps."""

    kind: Literal["exchange"] = Field(description="decides which keys the file has")
    max_trade_usdt: Positive = Field(description="largest single order, USDT")
    initial_margin_rate: float = Field(gt=0, le=1, description="margin needed to open, fraction of notional")
    liquidation_fee: float = Field(
        ge=0, lt=1, description="taken by the venue when it liquidates, fraction of notional"
    )
    spot_fees: FeeKeys = Field(description="spot trading fees")
    perp_fees: FeeKeys = Field(description="perp trading fees")
    spot_impact: ImpactKeys = Field(description="cost of size on spot: base + slope × √(notional ÷ 1e6), up to ceiling")
    perp_impact: ImpactKeys = Field(description="cost of size on perps")
    haircuts: dict[str, Weight] = Field(
        description="unified account: share of the value of a coin that counts as margin"
    )
    transfers: dict[str, TransferKeys] = Field(description="withdrawals by token")
    instruments: InstrumentKeys = Field(description="what trades there")


class ReserveKeys(Section):
    ltv: float = Field(ge=0, lt=1, description="debt allowed per unit of collateral value")
    liquidation_threshold: float = Field(gt=0, lt=1, description="debt per collateral at which health factor is 1")
    liquidation_bonus: Share = Field(description="extra collateral a liquidator receives")


class LendingReserveKeys(ReserveKeys):
    reserve_factor: Share = Field(
        description="share of interest kept by the protocol; for the reader, rates come from the market"
    )


class LendingGasKeys(Section):
    supply_first: Positive = Field(description="first supply of a token")
    supply: Positive = Field(description="any later supply")
    borrow: Positive = Field(description="borrow")
    repay: Positive = Field(description="repay")
    withdraw: Positive = Field(description="withdraw")


class LendingFile(VenueFile):
    """A lending protocol."""

    kind: Literal["lending"] = Field(description="decides which keys the file has")
    e_mode: ReserveKeys = Field(description="category for ETH-correlated collateral against WETH")
    reserves: dict[str, LendingReserveKeys] = Field(description="by token, outside e-mode")
    liquidation_protocol_fee: Share = Field(description="share of the bonus kept by the protocol")
    close_factor_hf: Positive = Field(description="health factor below which the whole debt may be repaid at once")
    full_close_below_usd: NotNegative = Field(description="smaller positions are closed whole, USD")
    gas_units: LendingGasKeys = Field(description="gas per operation")


class ChainGasKeys(Section):
    transfer: Positive = Field(description="token transfer, e.g. to an exchange")
    pay_out: Positive = Field(description="transfer that serves a withdrawal")
    approve: Positive = Field(description="allowance for a contract")


class ChainFile(VenueFile):
    """The way to the chain: node, wallet, gas."""

    kind: Literal["chain"] = Field(description="decides which keys the file has")
    flash_venue: str = Field(min_length=1, description="venue the flash loans are taken from")
    gas_price_buffer: Positive = Field(description="multiplier on the observed gas price")
    transfers: dict[str, TransferKeys] = Field(description="sending from the wallet, by token; gas comes on top")
    gas_units: ChainGasKeys = Field(description="gas per operation")


class StakingGasKeys(Section):
    stake: Positive = Field(description="ETH into the wrapped staked token")
    request_unstake: Positive = Field(description="joining the exit queue and claiming from it")
    unwrap: Positive | None = Field(description="unwrapping the reward token; null where there are no rewards")


class StakingFile(VenueFile):
    """A staking protocol."""

    kind: Literal["staking"] = Field(description="decides which keys the file has")
    lst: Lst = Field(description="its wrapped staked token")
    gas_units: StakingGasKeys = Field(description="gas per operation")


class LstGasKeys(Section):
    weETH: Positive = Field(description="with weETH as collateral")
    wstETH: Positive = Field(description="with wstETH as collateral")


class FlashGasKeys(Section):
    atomic_enter: LstGasKeys = Field(description="flash borrow → stake → supply → borrow → repay flash")
    atomic_exit: LstGasKeys = Field(description="flash borrow → repay → withdraw → swap → repay flash")


class FlashLoanFile(VenueFile):
    """A source of flash loans."""

    kind: Literal["flash_loan"] = Field(description="decides which keys the file has")
    premium: float = Field(ge=0, lt=0.1, description="fraction of the loan")
    gas_units: FlashGasKeys = Field(description="gas of the whole atomic transaction")


class PairKeys(Section):
    fee: float = Field(ge=0, lt=0.1, description="pool fee, fraction")
    impact: ImpactKeys = Field(description="cost of size")


class DexGasKeys(Section):
    swap: Positive = Field(description="swap through one pool")


class DexFile(VenueFile):
    """A decentralised exchange."""

    kind: Literal["dex"] = Field(description="decides which keys the file has")
    pairs: dict[str, PairKeys] = Field(description="by pair, written token/ETH")
    gas_units: DexGasKeys = Field(description="gas per operation")


VENUE_KINDS: dict[str, type[VenueFile]] = {
    "exchange": ExchangeFile,
    "lending": LendingFile,
    "chain": ChainFile,
    "staking": StakingFile,
    "flash_loan": FlashLoanFile,
    "dex": DexFile,
}
