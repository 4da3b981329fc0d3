"""Mode slices for tests of the loader: the seven modes by what they need from the data, everything else at rest."""

from __future__ import annotations

from typing import Any

import msgspec

from components.model.slices import Band, Limit, MedianAndRow, ModeSlice, PlausibleSlice, PnlSlice, RiskSlice

_OFF = Limit(1.0, 1.0)
_BASIS = (
    "{hedge}.spot.{asset}",
    "{hedge}.perp.{asset}",
    "{hedge}.funding.{asset}",
    "binance.spot.{asset}",
    "binance.spot.ETH",
    "ethereum.gas_price.gwei",
)
_STAKING = (
    "{lst_protocol}.ratio.{lst}",
    "dex.ratio.{lst}",
    "binance.spot.ETH",
    "uniswap.eth_price.EIGEN",
    "uniswap.eth_price.ETHFI",
    "etherfi.reward.EIGEN",
    "etherfi.reward.ETHFI",
    "ethereum.gas_price.gwei",
)
_LEVERAGE = ("aave_v3.supply_index.{lst}", "aave_v3.borrow_index.WETH")
_SHORTS = ("{hedge}.perp.{asset}", "{hedge}.funding.{asset}")

ANYTHING = PlausibleSlice(
    funding_largest={}, funding_median={}, bar_factor=1e9, spike_factor=1e9, perp_to_spot=MedianAndRow(1e9, 1e9),
    venue_to_venue=MedianAndRow(1e9, 1e9), accepted=(),
)  # fmt: skip
# As in every mode file.
PLAUSIBLE = PlausibleSlice(
    funding_largest={"binance": 0.005, "bybit": 0.005, "okx": 0.005},
    funding_median={"binance": 0.002, "bybit": 0.002, "okx": 0.002},
    bar_factor=2.0,
    spike_factor=1.25,
    perp_to_spot=MedianAndRow(0.02, 0.10),
    venue_to_venue=MedianAndRow(0.01, 0.10),
    accepted=(),
)
HEDGE = {"binance": 0.5, "bybit": 0.5}
_LST: dict[str, Any] = {"lst_type": "weETH", "rewards_mode": "base_eigen_seasonal"}

SEVEN: dict[str, dict[str, Any]] = {
    "pure_lending": {
        "asset": "USDT",
        "hedge_allocation": {},
        "data_requirements": ("aave_v3.supply_index.USDT", "binance.spot.ETH", "ethereum.gas_price.gwei"),
    },
    "btc_basis": {"asset": "BTC", "data_requirements": _BASIS},
    "eth_basis": {"data_requirements": _BASIS},
    "eth_staking_only": {"share_class": "ETH", "hedge_allocation": {}, "data_requirements": _STAKING, **_LST},
    "eth_leveraged": {
        "share_class": "ETH",
        "hedge_allocation": {},
        "data_requirements": (*_STAKING, *_LEVERAGE),
        "lst_type": "wstETH",
    },
    "usdt_market_neutral_no_leverage": {"data_requirements": (*_STAKING, *_SHORTS), **_LST},
    "usdt_market_neutral": {"data_requirements": (*_STAKING, *_LEVERAGE, *_SHORTS), **_LST},
}


def seven(name: str, **changes: Any) -> ModeSlice:
    """One of the seven modes with two hedge venues."""
    needs = SEVEN[name]["data_requirements"]
    return mode_of(*needs, **{**SEVEN[name], "mode": name, "plausible": PLAUSIBLE, **changes})


def mode_of(*needs: str, **changes: Any) -> ModeSlice:
    """A mode that needs the series `needs`, believes any value, and differs from a quiet ETH basis by `changes`."""
    quiet = ModeSlice(
        mode="eth_basis",
        share_class="USDT",
        asset="ETH",
        lst_type=None,
        rewards_mode="base_only",
        rewards_estimates="none",
        hedge_allocation=HEDGE,
        stake_allocation=0.0,
        collateral="usdt",
        margin_ratio_target=1.0,
        margin_ratio_band=Band(0.5, 2.0),
        max_ltv=None,
        max_stake_spread_move=None,
        spot_venue=None,
        spot_fee_asset="usdt",
        reserve_ratio=0.0,
        position_deviation_threshold=0.02,
        max_delta_drift=0.02,
        dust_threshold=50.0,
        minimum_trade_usdt=50.0,
        gas_debt_limit=0.5,
        gas_reserve=0.0,
        rebalance="auto",
        costs="default",
        initial_location="target",
        exit_path="market",
        exit_queue_days=7.0,
        liquidation_price="extreme",
        usdt_borrow_rate=0.06,
        price_fallback={},
        funding_gap="refuse",
        interpolated="rebuild",
        max_age_steps=2.0,
        plausible=ANYTHING,
        divergence_alarm=Limit(0.005, 0.01),
        break_even_days=14,
        time_throttle_interval=60.0,
        on_stop="hold",
        risk=RiskSlice(
            enabled=(), ltv=_OFF, liquidation=_OFF, margin=_OFF, delta=_OFF, max_drawdown=_OFF, max_daily_loss=_OFF
        ),
        pnl=PnlSlice(parts=(), reporting_currency="USDT"),
        data_requirements=needs,
        position_subscriptions=(),
        target_apy=0.08,
    )
    return msgspec.structs.replace(quiet, **changes)
