"""What a whole run of the tests is held to: no skip that nobody agreed to, seconds per suite beside those allowed."""

from __future__ import annotations

import pytest

from tests.suites import Allowance, Overview

_OVERVIEW = pytest.StashKey[Overview]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--agreed-skips",
        metavar="FILE",
        help="fail when a test is skipped that no line of FILE names (a pattern of test ids per line, # for why)",
    )


def pytest_configure(config: pytest.Config) -> None:
    agreed = config.getoption("--agreed-skips")
    config.stash[_OVERVIEW] = Overview.reading(config.rootpath, agreed)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if session.config.stash[_OVERVIEW].unexpected and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


class _Ear:
    """Hears each report where the summary is printed: in the one process, or in the one that shares out the files."""

    def __init__(self, overview: Overview) -> None:
        self._overview = overview

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._overview.hear(report.nodeid, report.duration, skipped=report.skipped)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self._overview.hear(report.nodeid, 0.0, skipped=True)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.pluginmanager.register(_Ear(session.config.stash[_OVERVIEW]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    overview = config.stash[_OVERVIEW]
    if overview.seconds_in_all > Allowance.WORTH_A_TABLE_S:
        terminalreporter.section("seconds per suite")
        for line in overview.table():
            terminalreporter.line(line)
    if overview.unexpected:
        terminalreporter.section("skipped without being agreed", red=True)
        for test in overview.unexpected:
            terminalreporter.line(test)
