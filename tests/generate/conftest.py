"""The table of `make test-stacks`, printed when all tests are over."""

from __future__ import annotations

import pytest

from tests.generate.measured import ROWS, table
from tests.generate.stacks import applications


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if ROWS:
        terminalreporter.section("applications, built and asked through a server")
        for line in table({name: one.not_built for name, one in applications().items() if one.not_built}):
            terminalreporter.write_line(line)
