"""What a person is told around trading."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from daemon.config.settings import PACKAGED
from daemon.process import greeting
from daemon.process.start import configured

STATE = Path("/var/lib/x")
AT = 1_704_067_200 * 10**9


def test_what_will_run_is_said_with_its_money() -> None:
    config = configured(PACKAGED / "paper.yaml", state=STATE, speed=600.0)
    lines = list(greeting.configured(config))
    assert lines[0] == "paper, 4 strategies; the state is kept in /var/lib/x"
    assert "  eth-leveraged   eth_leveraged, 30 ETH" in lines
    assert lines[-1].startswith("builds the embedded market: a row every 60 s")
    assert greeting.built("a", 40_320, 12) == "  a: 40,320 rows, account open, goes on at row 12"


def test_ready_names_who_is_up_and_who_is_not() -> None:
    assert greeting.ready({"a": True, "b": True}) == "ready a b"
    assert greeting.ready({"a": True, "b": False}) == "ready a b (not up: b)"


def test_a_start_that_takes_long_says_where_it_is() -> None:
    assert greeting.starting(2, 4) == "  reads journals: 2 of 4 strategies are up"


def test_it_says_what_to_type_beside_it_and_afterwards() -> None:
    config = configured(PACKAGED / "paper.yaml", state=STATE, speed=600.0)
    beside = "\n".join(greeting.up_lines(config, ("127.0.0.1", 9464), ".venv/bin/basis", 6 * 3600.0))
    assert ".venv/bin/basis status --state /var/lib/x" in beside
    assert "curl -s http://127.0.0.1:9464/metrics" in beside
    assert "every 6 h" in beside

    after = list(greeting.farewell(STATE, "basis", ["run", "--state", "my state"], AT, {"a": [], "b": []}))
    assert after[0] == "stopped at 2024-01-01 00:00 market time; no order is open"
    assert after[1].endswith("basis run --state 'my state'")
    assert after[-1].endswith("rm -r /var/lib/x")


def test_an_emergency_stop_that_is_not_finished_is_named_at_the_end() -> None:
    lines = list(greeting.farewell(STATE, "basis", ["run"], AT, {}, ["market-neutral"]))
    assert "not flat yet          market-neutral" in lines[1]
    assert lines[2].endswith("basis safety finish --state /var/lib/x")
    assert not any("rm -r" in line for line in lines)


def test_an_order_that_nobody_knows_of_is_named_at_the_end() -> None:
    first = next(greeting.farewell(STATE, "basis", [], None, {"a": ["a-1/2"], "b": []}))
    assert first == "stopped; not known what became of a-1/2: asked first at the next start"


def test_a_program_below_the_working_directory_is_named_short(tmp_path: Path) -> None:
    here = Path.cwd()
    assert greeting.program_of([str(here / ".venv/bin/basis")]) == ".venv/bin/basis"
    assert greeting.program_of(["/usr/bin/basis"]) == "/usr/bin/basis"
    assert greeting.program_of([]) == "basis"


def test_the_first_line_needs_nothing_heavy() -> None:
    code = (
        "import sys; from pathlib import Path; from daemon.process.greeting import opening; import daemon.cli.run; "
        "print(opening(Path('a.yaml'), None)); "
        "assert not {'numpy', 'msgspec', 'pydantic', 'trio', 'structlog'} & set(sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert said.stdout.startswith("basisd starts with a.yaml")
