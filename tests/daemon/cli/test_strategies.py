"""`basis strategies`."""

from __future__ import annotations

import json

from click.testing import CliRunner

from daemon.cli.strategies import strategies


def test_every_mode_is_listed_with_what_it_does() -> None:
    listed = json.loads(CliRunner().invoke(strategies, ["-o", "json"], catch_exceptions=False).stdout)

    assert len(listed) == 7
    assert {record["share_class"] for record in listed} == {"USDT", "ETH"}
    assert all(record["description"] for record in listed)
