"""What the dashboards show: rows of panels, each with its queries. No Grafana in here; `generate.py` draws it.

A query that needs something a daemon may not have (leverage, orders, a fault) says so in `needs`: with nothing to show
it is empty and right. All others must always have data.
"""

from __future__ import annotations

from dataclasses import dataclass, field

S = 'strategy=~"$strategy"'
RATE = "$__rate_interval"


@dataclass(frozen=True)
class Query:
    expr: str
    legend: str
    needs: str = ""  # "", leverage, hedge, orders, requests, reserve, fault


@dataclass(frozen=True)
class Panel:
    """`steps` colours values: (from value, colour), the first from None."""

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    kind: str = "timeseries"  # or stat
    width: int = 8
    steps: tuple[tuple[float | None, str], ...] = ((None, "green"),)
    texts: tuple[tuple[str, str], ...] = ()  # value → what it is called
    decimals: int | None = None


@dataclass(frozen=True)
class Row:
    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Board:
    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]
    tags: tuple[str, ...] = field(default=("basisd",))


def one(expr: str, legend: str = "{{strategy}}", needs: str = "") -> tuple[Query, ...]:
    return (Query(expr, legend, needs),)


def quantiles(metric: str, by: str = "", selector: str = "", needs: str = "") -> tuple[Query, ...]:
    """Median and 99th percentile of a histogram."""
    labels, legend = (f"le, {by}", f"{{{{{by}}}}} ") if by else ("le", "")
    series = f"{metric}_bucket{{{selector}}}" if selector else f"{metric}_bucket"
    rates = f"sum by ({labels}) (rate({series}[{RATE}]))"
    return tuple(Query(f"histogram_quantile({q}, {rates})", f"{legend}p{int(q * 100)}", needs) for q in (0.5, 0.99))


ALARM = ((None, "green"), (1.0, "red"))
WARN = ((None, "green"), (1.0, "orange"), (2.0, "red"))
YES_NO = (("0", "no"), ("1", "YES"))

SAFETY = Row(
    "Safety",
    (
        Panel("Daemon", "Does basisd answer scrapes?", "none", one('up{job="basisd"}', "basisd"), "stat", 4,
              ((None, "red"), (1.0, "green")), (("0", "DOWN"), ("1", "up"))),
        Panel("Emergency stop", "Strategies whose emergency latch is set.", "none",
              one(f"sum(basis_emergency_stop_active{{{S}}})", "latched"), "stat", 4, ALARM),
        Panel("Not trading", "Strategies that have failed or halted.", "none",
              one(f'sum(basis_strategy_state{{{S},state=~"failed|halted"}})', "down"), "stat", 4, ALARM),
        Panel("Unknown orders", "Orders that were sent and whose outcome is not known.", "none",
              one(f"sum(basis_orders_unknown{{{S}}})", "orders"), "stat", 4, ALARM),
        Panel("Mismatches", "Positions that are not what is expected.", "none",
              one(f"sum(basis_reconciliation_mismatch{{{S}}})", "positions"), "stat", 4, ALARM),
        Panel("Worst risk level", "0 ok, 1 warning, 2 critical, by each strategy's own limits.", "none",
              one(f"max(basis_risk_level{{{S}}})", "level"), "stat", 4, WARN,
              (("0", "ok"), ("1", "warning"), ("2", "critical"))),
    ),
)  # fmt: skip

OVERVIEW = Board(
    "basisd-overview", "basisd: Overview", "Is everything safe, and what is it worth?",
    (
        SAFETY,
        Row("Strategies", (
            Panel("Equity", "Equity per strategy; ETH share classes at the reference price.", "currencyUSD",
                  one(f"basis_equity_usd{{{S}}}")),
            Panel("P&L", "All parts since the start.", "currencyUSD",
                  one(f'sum by (strategy) (basis_pnl_usd{{{S},part!="residual"}})')),
            Panel("Drawdown", "Fall from the flow-adjusted peak.", "percentunit", one(f"basis_drawdown_ratio{{{S}}}")),
            Panel("State", "The state each strategy is in.", "none",
                  one(f"basis_strategy_state{{{S}}} == 1", "{{strategy}} {{state}}")),
            Panel("Contracts that withhold orders", "Inputs that fail their contract, by contract.", "none",
                  one(f"basis_authority_withheld{{{S}}}", "{{strategy}} {{contract}}"), steps=ALARM, texts=YES_NO),
            Panel("Age of the last full loop", "Should stay below three intervals.", "s",
                  one(f"time() - basis_last_full_loop_timestamp_seconds{{{S}}}")),
        )),
        Row("Venues and data", (
            Panel("Venues reachable", "1 when the last poll was answered.", "none",
                  one(f"basis_venue_reachable{{{S}}}", "{{strategy}} {{venue}}"),
                  steps=((None, "red"), (1.0, "green"))),
            Panel("Age of market data", "Market time since a source last said something; the ten oldest.", "s",
                  one("topk(10, basis_market_data_age_seconds)", "{{venue}} {{instrument}}")),
            Panel("Components", "0 ok, 1 degraded, 2 failed.", "none",
                  one("basis_degraded", "{{component}}"), steps=WARN),
        )),
    ),
)  # fmt: skip

PROFIT = Board(
    "basisd-pnl", "basisd: Strategy P&L", "Where the profit of each strategy comes from.",
    (
        SAFETY,
        Row("Sum", (
            Panel("Equity", "Equity in share-class currency.", "none",
                  one(f"basis_equity_native{{{S}}}", "{{strategy}} {{share_class}}"), width=12),
            Panel("Net deposits", "First capital and all flows since; never counted as profit.", "none",
                  one(f"basis_net_deposits_native{{{S}}}", "{{strategy}} {{share_class}}"), width=12),
        )),
        Row("Parts", (
            Panel("P&L by part", "Cumulative, share-class currency.", "none",
                  one(f"basis_pnl_native{{{S}}}", "{{strategy}} {{part}}"), width=16),
            Panel("P&L by part now", "The same as figures, in USD.", "currencyUSD",
                  one(f"sum by (part) (basis_pnl_usd{{{S}}})", "{{part}}"), "stat", 8),
            Panel("Funding per hour", "Change of the funding part over the last hour.", "none",
                  one(f'delta(basis_pnl_native{{{S},part="funding"}}[1h])', needs="hedge"), width=12),
            Panel("Costs per hour", "Change of the transaction costs over the last hour.", "none",
                  one(f'delta(basis_pnl_native{{{S},part="transaction_costs"}}[1h])'), width=12),
        )),
        Row("Does it add up", (
            Panel("Residual", "Parts that the mode does not enable; not zero is worth a look.", "none",
                  one(f'basis_pnl_native{{{S},part="residual"}}')),
            Panel("Adjustment", "Accepted differences between expected and observed positions.", "none",
                  one(f'basis_pnl_native{{{S},part="adjustment"}}')),
            Panel("Unexplained", "What the parts miss of the change of equity, as a share of equity.", "percentunit",
                  one(f"abs(basis_pnl_unexplained_native{{{S}}})"
                      f" / on (instance, strategy) abs(basis_equity_native{{{S}}})")),
        )),
    ),
)  # fmt: skip

RISK = Board(
    "basisd-risk", "basisd: Risk and margin", "How far every limit is.",
    (
        SAFETY,
        Row("Levels", (
            Panel("Risk levels", "0 ok, 1 warning, 2 critical, by measure.", "none",
                  one(f"basis_risk_level{{{S}}}", "{{strategy}} {{measure}} {{venue}}"), steps=WARN, width=12),
            Panel("Net delta", "|net coin| / gross coin.", "percentunit",
                  one(f"basis_net_delta_ratio{{{S}}}", needs="hedge"), width=12),
        )),
        Row("Exchanges", (
            Panel("Margin ratio", "Equity / perp notional.", "percentunit",
                  one(f"basis_margin_ratio{{{S}}}", "{{strategy}} {{venue}}", "hedge"), width=12),
            Panel("Distance to liquidation", "1 - maintenance margin / equity; 0 is liquidated.", "percentunit",
                  one(f"basis_liquidation_distance_ratio{{{S}}}", "{{strategy}} {{venue}}", "hedge"), width=12),
        )),
        Row("Lending", (
            Panel("Health factor", "Below 1 is liquidated.", "none",
                  one(f"basis_health_factor{{{S}}}", "{{strategy}} {{protocol}}", "leverage"), decimals=4),
            Panel("Loan to value", "Debt / collateral.", "percentunit",
                  one(f"basis_ltv_ratio{{{S}}}", "{{strategy}} {{protocol}}", "leverage")),
            Panel("Reserve", "Cash kept for fast withdrawals.", "currencyUSD",
                  one(f"basis_reserve_usd{{{S}}}", needs="reserve")),
        )),
        Row("Positions and uncertainty", (
            Panel("Positions", "Expected positions, native units, signed.", "none",
                  one(f"basis_position_quantity{{{S}}}", "{{strategy}} {{venue}} {{instrument}}"), width=12),
            Panel("Uncertain notional", "Of orders whose outcome is not known.", "currencyUSD",
                  one(f"basis_uncertain_notional_usd{{{S}}}"), width=6),
            Panel("Unhedged", "Notional of legs that are open without their hedge.", "currencyUSD",
                  one(f"basis_leg_imbalance_usd{{{S}}}", needs="orders"), width=6),
        )),
    ),
)  # fmt: skip

EXECUTION = Board(
    "basisd-execution", "basisd: Execution", "Rate, errors and duration of orders and requests, per venue.",
    (
        SAFETY,
        Row("Orders", (
            Panel("Orders per minute", "By venue and outcome.", "opm",
                  one(f"60 * sum by (venue, outcome) (rate(basis_orders_total{{{S}}}[{RATE}]))",
                      "{{venue}} {{outcome}}", "orders")),
            Panel("Time to answer an order", "From sending to the venue's answer.", "s",
                  quantiles("basis_order_ack_duration_seconds", "venue", needs="orders")),
            Panel("Slippage", "(fill - price known) / price known; positive is paid.", "percentunit",
                  quantiles("basis_fill_slippage_ratio", "venue", needs="orders")),
            Panel("Fees per hour", "Paid, by venue and kind.", "currencyUSD",
                  one(f"3600 * sum by (venue, kind) (rate(basis_fees_usd_total[{RATE}]))", "{{venue}} {{kind}}",
                      "orders")),
            Panel("Unhedged USD seconds", "Notional times seconds without a hedge, per second.", "none",
                  one(f"rate(basis_leg_imbalance_usd_seconds_total{{{S}}}[{RATE}])", needs="orders")),
            Panel("Orders tried again", "Per minute, by reason.", "opm",
                  one(f"60 * sum by (reason) (rate(basis_order_retries_total[{RATE}]))", "{{reason}}", "fault")),
        )),
        Row("Requests", (
            Panel("Requests per minute", "By venue and outcome.", "reqpm",
                  one(f"60 * sum by (venue, outcome) (rate(basis_venue_requests_total[{RATE}]))",
                      "{{venue}} {{outcome}}", "requests")),
            Panel("Requests that fail", "Share of requests with another outcome than ok.", "percentunit",
                  one(f'1 - sum by (venue) (rate(basis_venue_requests_total{{outcome="ok"}}[{RATE}]))'
                      f" / sum by (venue) (rate(basis_venue_requests_total[{RATE}]))", "{{venue}}", "requests")),
            Panel("Time to answer a request", "By venue.", "s",
                  quantiles("basis_venue_request_duration_seconds", "venue", needs="requests")),
        )),
        Row("Books", (
            Panel("Reconciliations", "Per minute, by venue and outcome.", "opm",
                  one(f"60 * sum by (venue, outcome) (rate(basis_reconciliations_total[{RATE}]))",
                      "{{venue}} {{outcome}}"), width=12),
            Panel("Foreign activity", "Orders, trades and transfers of the account that are not ours.", "none",
                  one(f"basis_foreign_activity{{{S}}}", "{{strategy}} {{venue}}"), steps=ALARM, width=12),
        )),
    ),
)  # fmt: skip

PROCESS = Board(
    "basisd-process", "basisd: Process", "The daemon itself: loop, journal, memory.",
    (
        SAFETY,
        Row("Loop", (
            Panel("Full loop", "How long a full loop takes.", "s",
                  quantiles("basis_full_loop_duration_seconds", "strategy", S)),
            Panel("Full loops per minute", "By outcome.", "opm",
                  one(f"60 * sum by (strategy, outcome) (rate(basis_full_loops_total{{{S}}}[{RATE}]))",
                      "{{strategy}} {{outcome}}")),
            Panel("Event loop lag", "How late the event loop wakes a task.", "s",
                  quantiles("basis_event_loop_lag_seconds")),
            Panel("Ticks missed", "Per hour.", "none", one(f"3600 * rate(basis_ticks_missed_total{{{S}}}[{RATE}])")),
            Panel("Ticks not decided", "Per hour: paused, or no authority.", "none",
                  one(f"3600 * rate(basis_ticks_skipped_total{{{S}}}[{RATE}])")),
            Panel("Restarts", "Since the daemon started.", "none",
                  one("basis_nursery_restarts_total", "{{component}}")),
        )),
        Row("Journal", (
            Panel("Commit to disk", "How long a commit takes.", "s",
                  quantiles("basis_journal_commit_duration_seconds")),
            Panel("Records per second", "Growth of each journal.", "wps",
                  one(f"deriv(basis_event_chain_head_sequence{{{S}}}[5m])")),
            Panel("Events per minute", "By type.", "opm",
                  one(f"60 * sum by (type) (rate(basis_events_total[{RATE}]))", "{{type}}", "orders")),
            Panel("Free disk", "Where the state is kept.", "bytes", one("basis_state_disk_free_bytes", "free")),
            Panel("Mailboxes", "Messages waiting.", "none",
                  one(f"basis_mailbox_depth{{{S}}}", "{{strategy}} {{actor}}")),
        )),
        Row("Who watches", (
            Panel("Lines not taken", "By a terminal or log that is slow, gone or full; trading does not wait.", "none",
                  one(f"3600 * rate(basis_output_lines_dropped_total[{RATE}])", "{{stream}} per hour", "fault")),
            Panel("Facts not read", "What narrator, metrics and the like did not take, or failed at.", "none",
                  (Query(f"3600 * rate(basis_reader_dropped_total[{RATE}])", "{{reader}} dropped per hour", "fault"),
                   Query(f"3600 * rate(basis_reader_errors_total[{RATE}])", "{{reader}} errors per hour", "fault"))),
            Panel("Suspended", "Time in which the machine did not let the daemon run.", "s",
                  one(f"increase(basis_suspended_seconds_total[{RATE}])", "suspended", "fault")),
        )),
        Row("Resources", (
            Panel("CPU", "Cores in use.", "none",
                  one(f'rate(process_cpu_seconds_total{{job="basisd"}}[{RATE}])', "cores"), width=6),
            Panel("Memory", "Resident.", "bytes",
                  one('process_resident_memory_bytes{job="basisd"}', "resident"), width=6),
            Panel("Open files", "File descriptors.", "none", one('process_open_fds{job="basisd"}', "open"), width=6),
            Panel("Uptime", "Since the process started.", "s",
                  one('time() - process_start_time_seconds{job="basisd"}', "uptime"), "stat", 6),
            Panel("HTTP answers", "Per minute, by route and code.", "reqpm",
                  one(f"60 * sum by (route, code) (rate(basis_http_requests_total[{RATE}]))", "{{route}} {{code}}"),
                  width=12),
            Panel("HTTP duration", "How long an answer takes.", "s",
                  quantiles("basis_http_request_duration_seconds", "route"), width=12),
        )),
    ),
)  # fmt: skip

BOARDS = (OVERVIEW, PROFIT, RISK, EXECUTION, PROCESS)
