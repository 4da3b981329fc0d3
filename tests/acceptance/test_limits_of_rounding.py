"""What stands exactly at a limit is not beyond it."""

from __future__ import annotations

from tests.acceptance.runs import embedded, play, slice_of

AT_THE_LIMIT = (
    "costs=none", "max_ltv=0.93", "max_stake_spread_move=0", "risk.ltv={warning: 0.94, critical: 0.945}",
    "risk.liquidation={warning: 0.02, critical: 0.01}",
)  # fmt: skip


def test_a_target_at_the_limit_of_e_mode_is_entered() -> None:
    for mode in ("eth_leveraged", "usdt_market_neutral"):
        run = slice_of(mode, *AT_THE_LIMIT)

        result = play(run, embedded(run, "2024-03-01", "2024-03-08", seed=23))

        assert result.rejected == 0
        assert result.columns["ltv"][5] > 0.92
