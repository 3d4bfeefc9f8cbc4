"""Shared by all tests."""

import signal

import pytest

# a shell's background job ignores Ctrl-C, and so would every process that tests start and interrupt
signal.signal(signal.SIGINT, signal.default_int_handler)


class NameFailuresAtOnce:
    """A long run that is cut short still says which tests failed, how long they took, and why."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self.terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.outcome not in ("passed", "skipped"):  # failed, or rerun by pytest-rerunfailures
            crash = getattr(report.longrepr, "reprcrash", None)
            reason = (crash.message if crash else report.longreprtext).strip().partition("\n")[0][:300]
            when = f"{report.outcome} at {report.when} after {report.duration:.0f} s"
            self.terminal.line(f"\n{report.nodeid} {when}: {reason}")


@pytest.hookimpl(trylast=True)  # after the terminal has been set up
def pytest_configure(config: pytest.Config) -> None:
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None:  # not in the workers of pytest-xdist
        config.pluginmanager.register(NameFailuresAtOnce(terminal))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
