"""Fails a run of the suite that shows a secret anywhere: see canary.py. Imported by conftest.py."""

import pytest
from canary import Search

SEARCH = pytest.StashKey[Search]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[SEARCH] = Search()


class Reports:
    """Searches what each test printed, logged and failed with."""

    def __init__(self, search: Search) -> None:
        self._search = search

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._search.text("the name of a test", report.nodeid)
        for title, content in (*report.sections, ("failure", report.longreprtext)):
            self._search.text(f"{report.nodeid}: {title}", content)


def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.pluginmanager.register(Reports(session.config.stash[SEARCH]))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Before pytest removes anything. A run of no test has made no folder."""
    search, factory = session.config.stash[SEARCH], session.config._tmp_path_factory  # type: ignore[attr-defined] # noqa: SLF001
    if session.testscollected:
        search.folder(factory.getbasetemp())
    if search.found:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    search = terminalreporter.config.stash[SEARCH]
    searched = f"{search.texts} outputs and {search.files} files ({search.bytes / 1e6:.0f} MB)"
    if not search.found:
        terminalreporter.write_line(f"no secret in {searched}")
        return
    terminalreporter.section("a secret is shown", red=True)
    for where in search.found:
        terminalreporter.write_line(where, red=True)
    terminalreporter.write_line(f"{len(search.found)} of {searched}", red=True)
