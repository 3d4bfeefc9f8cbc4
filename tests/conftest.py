"""Shared by all tests."""

import signal

import pytest

# a shell's background job ignores Ctrl-C, and so would every process that tests start and interrupt
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
