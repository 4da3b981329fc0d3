"""The table of metrics follows the rules for names."""

from __future__ import annotations

from daemon.monitoring.families import FAMILIES, Kind, reference_table, sample_names

FORBIDDEN = {"order", "order_id", "id", "request", "correlation_id", "hash_of_head"}


def test_names_follow_the_conventions() -> None:
    assert len({family.full_name for family in FAMILIES.values()}) == len(FAMILIES)
    for name, family in FAMILIES.items():
        assert name.islower() and not name.endswith("_total") and family.help
        assert not FORBIDDEN & set(family.labels), f"{name} has an id as label"
        assert (family.kind is Kind.HISTOGRAM) is bool(family.buckets)
        assert list(family.buckets) == sorted(family.buckets)
        if family.kind is Kind.HISTOGRAM:
            assert name.endswith(("_seconds", "_ratio"))


def test_query_names_are_those_of_the_exposition() -> None:
    names = sample_names()
    assert {"basis_orders_total", "basis_commit", "basis_equity_usd"} - names == {"basis_commit"}
    assert "basis_full_loop_duration_seconds_bucket" in names and "basis_full_loop_duration_seconds" not in names
    assert "process_start_time_seconds" in names


def test_the_reference_names_every_metric() -> None:
    table = reference_table()
    for family in FAMILIES.values():
        assert f"`{family.full_name}" in table
    assert table.count("\n") == len(FAMILIES) + 2
