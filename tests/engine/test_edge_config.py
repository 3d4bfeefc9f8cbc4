"""The configuration as text: what HAProxy's own check says about it, and what must never get into it."""

import shutil
import subprocess
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.engine import edge_files
from bot.engine.edge_config import (
    CONFIG_FILE,
    Route,
    mark_of,
    pages,
    parse_frontend,
    render,
    render_states,
)

WEB = Route(7, 20_001, "http", ("10.192.0.50", "10.192.0.51"), 3000, 0, "live")
TCP = Route(8, 20_002, "tcp", ("10.192.0.52", "10.192.0.53"), 5432, 1, "live")
STOPPED = Route(9, 20_003, "http", ("10.192.0.54", "10.192.0.55"), 80, None, "stopped")


@pytest.mark.skipif(not shutil.which("haproxy"), reason="HAProxy is not installed")
@pytest.mark.parametrize(
    ("bind", "routes"),
    [
        ("127.0.0.1", []),
        ("127.0.0.1", [WEB, TCP, STOPPED]),
        ("0.0.0.0", [STOPPED]),
        ("*", [TCP]),
        ("::", [WEB, TCP]),
        ("::1", [replace(WEB, addresses=("fd00::1", "fd00::2"))]),
        ("127.0.0.1", [replace(WEB, service_id=n, port=20_000 + n) for n in range(1, 500)]),
    ],
)
def test_haproxy_accepts_it_without_a_warning(bind, routes, tmp_path):
    config = render(routes, bind=bind, folder=tmp_path, threads=2, maxconn=2000)
    edge_files.write(tmp_path, edge_files.contents(config, routes))
    command = ["haproxy", "-c", "-f", str(tmp_path / CONFIG_FILE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr + done.stdout


def test_only_the_live_slot_is_enabled():
    lines = [line.strip() for line in render([WEB, STOPPED], bind="127.0.0.1").splitlines()]
    assert "server blue 10.192.0.50:3000" in lines
    assert "server green 10.192.0.51:3000 disabled" in lines
    assert "server blue 10.192.0.54:80 disabled" in lines
    assert "server green 10.192.0.55:80 disabled" in lines


def test_the_order_of_routes_does_not_matter():
    assert render([WEB, TCP, STOPPED], bind="::1") == render([STOPPED, WEB, TCP], bind="::1")
    assert render_states([WEB, TCP, STOPPED]) == render_states([STOPPED, TCP, WEB])


def test_a_switch_changes_one_backend_only():
    before = render([WEB, TCP], bind="127.0.0.1").splitlines()
    after = render([replace(WEB, live_slot=1), TCP], bind="127.0.0.1").splitlines()
    changed = [line for line in after if line not in before]
    assert [line.split()[:2] for line in changed] == [["server", "blue"], ["server", "green"]]


def test_the_mark_is_about_everything_but_the_routes():
    mark = mark_of(render([WEB], bind="127.0.0.1"))
    assert len(mark) == 16
    assert mark_of(render([TCP, STOPPED], bind="127.0.0.1")) == mark
    others = [
        render([WEB], bind="127.0.0.2"),
        render([WEB], bind="127.0.0.1", cookie="other"),
        render([WEB], bind="127.0.0.1", threads=3),
        render([WEB], bind="127.0.0.1", maxconn=3),
    ]
    assert mark not in {mark_of(other) for other in others}


def test_no_health_check_is_in_the_data_path():
    assert " check" not in render([WEB, TCP, STOPPED], bind="127.0.0.1")


def test_notices():
    text = render_states([WEB, TCP, STOPPED, replace(WEB, service_id=3, port=1, live_slot=None, state="<script>")])
    assert text.splitlines() == [
        "svc3 This application is not running.",
        "svc7 live",
        "svc8 live",
        "svc9 This application is stopped.",
    ]


def test_pages_have_no_percent_sign_that_haproxy_would_read():
    for name, text in pages().items():
        assert text.replace("%[var(txn.notice)]", "").count("%") == 0, name


@pytest.mark.parametrize(
    "change",
    [
        {"service_id": 0},
        {"service_id": -1},
        {"port": 0},
        {"port": 65_536},
        {"container_port": -3},
        {"container_port": 70_000},
        {"protocol": "udp"},
        {"protocol": "http\n    bind *:22"},
        {"addresses": ("10.0.0.1",)},
        {"addresses": ("10.0.0.1", "example.com")},
        {"addresses": ("10.0.0.1", "10.0.0.2:80 check\nfrontend evil")},
        {"addresses": ("10.0.0.1", "fe80::1%eth0\nfrontend")},
        {"addresses": ("10.0.0.1", "")},
        {"live_slot": 2},
        {"live_slot": -1},
    ],
)
def test_routes_that_would_say_something_else_are_refused(change):
    with pytest.raises(ValueError):
        render([replace(WEB, **change)], bind="127.0.0.1")


@pytest.mark.parametrize(
    "options",
    [
        {"bind": "localhost"},
        {"bind": ""},
        {"bind": "127.0.0.1\n    bind *:22"},
        {"bind": "0.0.0.0:80"},
        {"bind": "::1%a b"},
        {"bind": "127.0.0.1", "cookie": "a|b"},
        {"bind": "127.0.0.1", "cookie": ""},
        {"bind": "127.0.0.1", "cookie": 'x" if TRUE'},
        {"bind": "127.0.0.1", "folder": "/with space"},
        {"bind": "127.0.0.1", "folder": "/with\nline"},
    ],
)
def test_options_that_would_say_something_else_are_refused(options):
    with pytest.raises(ValueError):
        render([WEB], **options)


def test_two_routes_of_one_port_or_service_are_refused():
    with pytest.raises(ValueError, match="two routes"):
        render([WEB, replace(TCP, port=WEB.port)], bind="127.0.0.1")
    with pytest.raises(ValueError, match="two routes"):
        render([WEB, replace(TCP, service_id=WEB.service_id)], bind="127.0.0.1")


@given(st.integers(1, 2**40), st.sampled_from(["http", "tcp"]), st.integers(1, 65_535))
def test_a_frontend_tells_its_route(service, protocol, port):
    route = Route(service, port, protocol, ("10.0.0.1", "10.0.0.2"), 80, None)
    assert parse_frontend(route.frontend) == (service, protocol, port)


@given(st.text())
def test_other_names_are_no_frontends_of_ours(name):
    parsed = parse_frontend(name)
    assert parsed is None or name.startswith("svc")


@given(st.text())
def test_no_text_reaches_the_files(state):
    """Whatever the state says, the files hold our own words only."""
    route = replace(STOPPED, state=state)
    assert render([route], bind="127.0.0.1") == render([STOPPED], bind="127.0.0.1")
    assert render_states([route]).count("\n") == 1
    assert render_states([route]).startswith("svc9 This application ")
