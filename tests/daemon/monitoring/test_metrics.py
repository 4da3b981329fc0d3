"""What a scrape finds, read back with Prometheus' own parser."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from daemon.monitoring.families import FAMILIES
from daemon.monitoring.health import Component, Level
from daemon.monitoring.metrics import Metrics
from tests.daemon.one_cell import HandClock, lost, running


@pytest.fixture
def clock() -> HandClock:
    return HandClock(1_704_067_300.0)


@pytest.fixture
def metrics(clock: HandClock) -> Metrics:
    return Metrics(now=clock)


def scraped(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Values by name and label values, in the order of the table."""
    order = {name: family.labels for family in FAMILIES.values() for name in family.samples}
    return {
        (sample.name, *(sample.labels[label] for label in order.get(sample.name, ()))): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def feed_everything(metrics: Metrics) -> None:
    metrics.build("0.1.0", "abc")
    metrics.instance("/var/lib/basisd/paper")
    metrics.config("c0ffee", "dev", "paper")
    metrics.ready(True)
    metrics.components([Component(name="index", level=Level.DEGRADED, reason="behind", since=0.0)])
    metrics.loop_lag(0.002)
    metrics.suspended(160.0)
    metrics.reader("narrator", errors=1, dropped=2)
    metrics.lines("stdout", dropped=3)
    metrics.step("btc", 0.2, "decided")
    metrics.venue_request("okx", "submit", "ok", 0.05)
    metrics.order("okx", "btc", "sell", "filled")
    metrics.order_ack("okx", 0.1)
    metrics.order_retry("not_sent")
    metrics.slippage("okx", 0.0002)
    metrics.fees("okx", "fee", 1.5)
    metrics.leg_imbalance("btc", 100.0)
    metrics.commit(0.001)
    metrics.event("trade")
    metrics.reconciliation("okx", "agreed")
    metrics.disk_free(10**9)
    metrics.http("/metrics", "GET", 200, 0.01)
    metrics.market_data("okx.perp.BTC", age_limit_s=60.0)
    metrics.publish(
        running(
            uncertain=(lost(),),
            columns={**running().columns, "ltv": 0.9, "health_factor": 1.05},
        )
    )


def test_every_metric_of_the_table_is_served_and_no_other(metrics: Metrics) -> None:
    feed_everything(metrics)
    served = {name for name, *_ in scraped(metrics) if name.startswith("basis_")}
    assert served == {name for family in FAMILIES.values() for name in family.samples}
    assert ("process_start_time_seconds",) in scraped(metrics)


def test_label_names_are_those_of_the_table(metrics: Metrics) -> None:
    feed_everything(metrics)
    by_sample = {name: family for family in FAMILIES.values() for name in family.samples}
    for family in text_string_to_metric_families(metrics.render().decode()):
        for sample in family.samples:
            if sample.name.startswith("basis_"):
                assert set(sample.labels) - {"le"} == set(by_sample[sample.name].labels)


def test_nothing_told_is_nothing_served(metrics: Metrics) -> None:
    served = {name for name, *_ in scraped(metrics) if name.startswith("basis_")}
    assert {name for name in served if not name.endswith(("_bucket", "_sum", "_count"))} == set()


def test_a_position_that_went_away_takes_its_series_along(metrics: Metrics) -> None:
    metrics.publish(running())
    perp = ("basis_position_quantity", "btc", "binance", "Perp:BTCUSDT")
    assert scraped(metrics)[perp] == -1.0
    metrics.publish(running(positions={"binance:BaseToken:BTC": 1.0}, columns={}))
    after = scraped(metrics)
    assert perp not in after and ("basis_position_quantity", "btc", "binance", "BaseToken:BTC") in after
    assert not [key for key in after if key[0] == "basis_margin_ratio"]
    metrics.forget("btc")
    assert not [key for key in scraped(metrics) if key[0] == "basis_equity_usd"]


def test_a_new_strategy_starts_its_counters_at_zero(metrics: Metrics) -> None:
    metrics.publish(running())
    values = scraped(metrics)
    assert values["basis_full_loops_total", "btc", "aborted"] == 0.0
    assert values["basis_reconciliations_total", "okx", "mismatch"] == 0.0
    assert values["basis_ticks_missed_total", "btc"] == 0.0


def test_counts_that_are_kept_elsewhere_are_taken_over_and_do_not_fall(metrics: Metrics) -> None:
    for dropped in (3, 3, 5):
        metrics.lines("stdout", dropped=dropped)
    metrics.reader("narrator", errors=1, dropped=0)
    values = scraped(metrics)
    assert values["basis_output_lines_dropped_total", "stdout"] == 5
    assert values["basis_reader_errors_total", "narrator"] == 1


def test_two_objects_share_nothing(metrics: Metrics, clock: HandClock) -> None:
    other = Metrics(now=clock)
    metrics.event("trade")
    other.event("trade")
    other.event("trade")
    assert scraped(metrics)["basis_events_total", "trade"] == 1
    assert scraped(other)["basis_events_total", "trade"] == 2


def test_children_are_found_once(metrics: Metrics) -> None:
    for _ in range(3):
        metrics.order("okx", "btc", "sell", "filled")
        metrics.order("okx", "btc", "buy", "filled")
    assert metrics.statistics()["children"] == 2
    assert scraped(metrics)["basis_orders_total", "okx", "btc", "sell", "filled"] == 3


def test_a_rebate_is_no_negative_fee(metrics: Metrics) -> None:
    metrics.fees("okx", "fee", -0.5)
    metrics.fees("okx", "fee", 2.0)
    values = scraped(metrics)
    assert values["basis_fees_usd_total", "okx", "fee_rebate"] == 0.5
    assert values["basis_fees_usd_total", "okx", "fee"] == 2.0


def test_only_an_agreement_moves_the_time_of_the_last_reconciliation(metrics: Metrics, clock: HandClock) -> None:
    metrics.reconciliation("okx", "mismatch")
    assert ("basis_last_reconciliation_timestamp_seconds", "okx") not in scraped(metrics)
    metrics.reconciliation("okx", "agreed")
    at = clock.at
    clock.advance(50)
    metrics.reconciliation("okx", "unanswered")
    assert scraped(metrics)["basis_last_reconciliation_timestamp_seconds", "okx"] == at


def test_a_new_configuration_and_new_components_replace_the_old(metrics: Metrics) -> None:
    metrics.config("old", "dev", "paper")
    metrics.config("new", "dev", "paper")
    metrics.components([Component(name="index", level=Level.FAILED, reason="x", since=0.0)])
    metrics.components([Component(name="committer", level=Level.OK, reason="", since=0.0)])
    values = scraped(metrics)
    assert [key[1] for key in values if key[0] == "basis_config_info"] == ["new"]
    assert {key[1]: value for key, value in values.items() if key[0] == "basis_degraded"} == {"committer": 0.0}


def test_a_scrape_of_eight_strategies_is_cheap(metrics: Metrics) -> None:
    for n in range(8):
        metrics.publish(running(f"s{n}"))
    assert 400 < metrics.render().count(b"\n") < 3000
