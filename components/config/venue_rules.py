"""Level 2 for venue files: margin tables that make sense, lots that fit, thresholds in order."""

from __future__ import annotations

from collections.abc import Iterator

from components.config.documents import Problem
from components.config.rules import Rule
from components.config.schema import ExchangeFile, LendingFile, ReserveKeys

DEDUCTION_TOLERANCE_USDT = 0.5


def _tiers_are_continuous(exchange: ExchangeFile) -> Iterator[Problem]:
    for coin, perp in exchange.instruments.perp.items():
        below, rate, deduction = 0.0, 0.0, 0.0
        for i, tier in enumerate(perp.tiers):
            path = f"instruments.perp.{coin}.tiers.{i}"
            if not tier.maintenance_rate < exchange.initial_margin_rate:
                yield Problem(
                    f"{path}.maintenance_rate",
                    f"{tier.maintenance_rate:g}",
                    f"less than initial_margin_rate ({exchange.initial_margin_rate:g})",
                )
            if not (tier.notional_usdt > below and tier.maintenance_rate > rate):
                yield Problem(
                    path,
                    f"up to {tier.notional_usdt:g} at {tier.maintenance_rate:g}",
                    f"notional above {below:g} and rate above {rate:g}, those of the tier before",
                )
            expected = deduction + below * (tier.maintenance_rate - rate)
            if abs(tier.deduction_usdt - expected) > DEDUCTION_TOLERANCE_USDT:
                yield Problem(
                    f"{path}.deduction_usdt",
                    f"{tier.deduction_usdt:g}",
                    f"{expected:g}, so that the margin does not jump at {below:g}",
                )
            below, rate, deduction = tier.notional_usdt, tier.maintenance_rate, tier.deduction_usdt


def _spot_can_follow_perp(exchange: ExchangeFile) -> Iterator[Problem]:
    for coin, perp in exchange.instruments.perp.items():
        spot = exchange.instruments.spot.get(coin)
        if spot is None:
            yield Problem(f"instruments.spot.{coin}", "no such key", f"the spot side of the {coin} perp")
        elif abs(perp.lot / spot.lot - round(perp.lot / spot.lot)) > 1e-6:
            yield Problem(
                f"instruments.spot.{coin}.lot",
                f"{spot.lot:g}",
                f"a step that divides the perp's ({perp.lot:g}): spot follows the perp to the same quantity",
            )


def _lending_thresholds(lending: LendingFile) -> Iterator[Problem]:
    reserves: dict[str, ReserveKeys] = {"e_mode": lending.e_mode}
    reserves.update({f"reserves.{token}": reserve for token, reserve in lending.reserves.items()})
    for path, reserve in reserves.items():
        if not reserve.ltv < reserve.liquidation_threshold:
            yield Problem(
                f"{path}.ltv",
                f"{reserve.ltv:g}",
                f"less than liquidation_threshold ({reserve.liquidation_threshold:g})",
            )
        if not reserve.liquidation_threshold * (1.0 + reserve.liquidation_bonus) <= 1.0:
            yield Problem(
                f"{path}.liquidation_bonus",
                f"{reserve.liquidation_bonus:g}",
                "liquidation_threshold × (1 + bonus) of at most 1",
            )


EXCHANGE_RULES: tuple[Rule[ExchangeFile], ...] = (
    (("initial_margin_rate", "instruments"), _tiers_are_continuous),
    (("instruments",), _spot_can_follow_perp),
)
LENDING_RULES: tuple[Rule[LendingFile], ...] = ((("e_mode", "reserves"), _lending_thresholds),)
