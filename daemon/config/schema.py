"""The daemon file as pydantic models: names, types, ranges and meanings. Every key is required, no other is taken.

The descriptions are the reference of the docs. Rules that tie keys together, and what variables may replace, are in
`daemon_config`.
"""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from pydantic import Field, field_validator

from components.config.schema import NotNegative, Positive, Section

ENVIRONMENTS = ("dev", "staging", "production")


class RestartKeys(Section):
    max_restarts: int = Field(ge=0, description="restarts of a crashed strategy within `window_s`; then `on_failure`")
    window_s: Positive = Field(description="time in which restarts are counted, seconds")
    backoff_s: Positive = Field(description="wait before the first restart, doubled for each further one, seconds")


class StrategyKeys(Section):
    """One entry of `strategies`. Values of `overrides` arrive here as texts in YAML."""

    id: str = Field(description="its name everywhere: lower-case letters, digits, - and _")
    mode: str = Field(description="mode file it runs by")
    capital: Positive = Field(description="what it starts with, share-class currency")
    account: str = Field(description="account at the venues (and wallet) it trades on; live: one strategy per account")
    overrides: dict[str, str] = Field(description="keys of the mode or venue files replaced for this strategy, by path")
    restart: RestartKeys = Field(description="what happens after a crash")
    on_failure: Literal["hold", "flatten", "default"] = Field(
        description="restarts used up: hold positions, close them, or hold if hedged and else reduce (default)"
    )


class MarketKeys(Section):
    source: Literal["embedded", "venues"] = Field(description="the synthetic market, or the feeds of the venues")
    seed: int | None = Field(ge=0, description="seed of the embedded market; null with venues")
    scenario: str | None = Field(description="stress in the embedded market, calm for none; null with venues")
    start: str | None = Field(description="first row of the embedded market, e.g. 2024-01-01; null with venues")
    step_s: Positive | None = Field(description="distance of its rows, seconds; null with venues")

    @field_validator("start", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return value.isoformat() if isinstance(value, date) else value  # YAML reads 2024-01-01 as a date


class LimitKeys(Section):
    max_adjustment_per_day: NotNegative = Field(
        description="accepted differences between observed and expected positions per UTC day, share of the capital"
    )
    clock_offset_ms: Positive = Field(description="clock offset above which nothing is signed, milliseconds")
    order_grace_s: Positive = Field(description="how long an order may be under way, counted from the send, seconds")
    leg_deadline_s: Positive = Field(description="time for all legs of a group to fill, seconds")
    leg_cost_bps: Positive = Field(description="most that completing a late leg may cost, basis points of its notional")
    order_failures: int = Field(
        ge=1, description="orders in a row that a venue fails to do before nothing that adds risk leaves for 30 s"
    )
    orders_per_minute: int = Field(
        ge=1, description="orders of one strategy within a minute above which nothing that adds risk leaves"
    )
    unknown_budget_s: Positive = Field(description="time inside a step to learn what became of an order, seconds")
    poll_interval_s: Positive = Field(description="time between two polls of a venue's positions, seconds")
    step_budget_s: Positive = Field(description="time one step may take on top of two intervals (watchdog), seconds")
    stop_within_s: float = Field(gt=0, le=20, description="a graceful stop ends within this time, seconds")


class MetricsKeys(Section):
    host: str = Field(min_length=1, description="address that /metrics and /health listen on")
    port: int = Field(ge=0, le=65535, description="port; 0 for any that is free")
    token_file: str | None = Field(description="file with the bearer token; null only on a loopback address")


class LogKeys(Section):
    level: Literal["debug", "info", "warning", "error"] = Field(description="lines below this level are left out")
    format: Literal["json", "text"] = Field(description="json for machines, text for a terminal")


class DaemonFile(Section):
    """The daemon file: which strategies run, on what, and within which limits."""

    execution_mode: Literal["paper", "live"] = Field(description="simulated venues, or real ones")
    environment: Literal["dev", "staging", "production"] = Field(
        description="which credentials are used; dev and staging trade on testnets"
    )
    strategies: list[StrategyKeys] = Field(description="what runs")
    market: MarketKeys = Field(description="where prices come from")
    speed: Positive = Field(description="market time per real time; 1 with the feeds of the venues")
    limits: LimitKeys = Field(description="deadlines, budgets and intervals of the daemon")
    metrics: MetricsKeys = Field(description="endpoint for metrics and health")
    state: str = Field(min_length=1, description="state directory: journal, latches, control socket")
    log: LogKeys = Field(description="log lines on stderr")
