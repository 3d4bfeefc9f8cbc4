"""Reading what HAProxy says, as 2.6 said it; and a socket that is slow, broken or has a long name."""

import asyncio
import time
from dataclasses import replace

import pytest

from bot.engine.edge_answers import (
    Server,
    Worker,
    commands_to_close,
    commands_to_open,
    parse_processes,
    parse_servers,
    parse_stat,
)
from bot.engine.edge_config import Route
from bot.engine.edge_control import Control, EdgeSilentError, WorkerGoneError
from bot.engine.edge_stats import RouteStats, Tally

pytestmark = pytest.mark.anyio

PROCESSES = """#<PID>          <type>          <reloads>       <uptime>        <version>
17141           master          3 [failed: 2]   0d00h01m12s     2.6.12-1+deb12u4
# workers
24562           worker          0               0d00h00m04s     2.6.12-1+deb12u4
# old workers
17148           worker          2               0d00h01m12s     2.6.12-1+deb12u4
17200           worker          1               0d00h01m02s     2.6.12-1+deb12u4
# programs

"""
SERVERS = """1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_fqdn srv_port
3 svc1 1 blue 127.0.1.2 2 8 1 - 8080
3 svc1 2 green 127.0.1.3 2 4 1 - 8080
4 svc2 1 blue ::1 0 5 1 - 80

"""


async def test_processes():
    found = parse_processes(PROCESSES)
    assert (found.version, found.failed) == ("2.6.12-1+deb12u4", 2)
    assert found.workers == (Worker(24562, 0), Worker(17200, 1), Worker(17148, 2))


@pytest.mark.parametrize("text", ["", "\n", "Permission denied\n", "# workers\n# programs\n", "1 2 3 4 5"])
async def test_processes_of_something_else(text):
    assert parse_processes(text).workers == ()


async def test_servers():
    found = parse_servers(SERVERS)
    assert found["svc1", "blue"] == Server("127.0.1.2", 8080, up=True, maintenance=False, drain=True)
    assert found["svc1", "green"].ready
    assert not found["svc1", "blue"].ready
    assert found["svc2", "blue"].maintenance
    assert found["svc2", "blue"].is_at("0:0:0:0:0:0:0:1", 80)
    assert not found["svc2", "blue"].is_at("::1", 81)


@pytest.mark.parametrize("text", ["", "Can't find backend.\n", "1\n"])
async def test_servers_of_an_unknown_backend(text):
    assert parse_servers(text) == {}


async def test_a_new_container_port_leaves_the_slot_alone_that_still_answers():
    route = Route(1, 20_001, "http", ("127.0.1.2", "127.0.1.3"), 9090, 0, "live")
    servers = {
        ("svc1", "blue"): Server("127.0.1.2", 8080, up=True, maintenance=True, drain=False),
        ("svc1", "green"): Server("127.0.1.3", 8080, up=True, maintenance=False, drain=False),
    }
    assert commands_to_open([route], servers) == [
        "set server svc1/blue addr 127.0.1.2 port 9090",
        "set server svc1/blue state ready",
    ]
    assert commands_to_close([route], servers) == ["set server svc1/green state drain"]
    servers["svc1", "green"] = replace(servers["svc1", "green"], drain=True)
    assert "set server svc1/green addr 127.0.1.3 port 9090" in commands_to_open([route], servers)


async def test_stat():
    rows = list(parse_stat("# pxname,svname,scur,\nsvc1,blue,3,\nsvc1,green,,\n\n"))
    assert [(row["svname"], row["scur"]) for row in rows] == [("blue", "3"), ("green", "")]
    assert list(parse_stat("No such proxy.\n")) == []
    assert list(parse_stat("")) == []


def row(**fields):
    return {"pxname": "svc1", "svname": "blue", "mode": "http", "lastsess": "-1", **fields}


async def test_figures_go_on_when_a_worker_ends():
    tally = Tally()
    first = tally.update({10: [row(req_tot="5", hrsp_5xx="1", scur="2", bin="10", bout="20", lastsess="4")]}, 1000)
    assert first == {1: RouteStats(5, 1, 2, 4, 10, 20)}
    both = tally.update({10: [row(req_tot="6", scur="1")], 11: [row(req_tot="1", scur="1", lastsess="0")]}, 1010)
    assert both == {1: RouteStats(7, 0, 2, 0, 0, 0)}
    after = tally.update({11: [row(req_tot="3", lastsess="-1")]}, 1020)
    assert after == {1: RouteStats(9, 0, 0, 10, 0, 0)}


async def test_figures_of_a_new_worker_with_a_former_process_id():
    tally = Tally()
    tally.update({7: [row(req_tot="100")]}, 1000)
    assert tally.update({7: [row(req_tot="3")]}, 1001)[1].requests == 103


async def test_figures_of_requests_that_got_no_answer():
    refused = row(req_tot="2", hrsp_5xx="1", econ="3", eresp="4")
    assert Tally().update({7: [refused]}, 0)[1] == RouteStats(requests=9, errors_5xx=8)
    assert Tally().update({7: [{**refused, "mode": "tcp", "stot": "9"}]}, 0)[1] == RouteStats(9, 3)
    assert Tally().update({7: [row(pxname="MASTER"), row(pxname="svcx")]}, 0) == {}


@pytest.fixture
async def master(tmp_path):
    """A socket that answers with what the test puts on a list; b"" ends the connection, None is silence."""
    answers: list[bytes | None] = []
    asked: list[bytes] = []

    async def serve(reader, writer):
        asked.append(await reader.read())
        answer = answers.pop(0)
        if answer is None:
            await asyncio.sleep(60)
        writer.write(answer or b"")
        writer.close()

    path = tmp_path / "master.sock"
    server = await asyncio.start_unix_server(serve, path)
    yield Control(path), answers, asked
    server.close()


async def test_a_broken_answer_is_asked_for_again(master):
    control, answers, asked = master
    answers += [b"", b"1\n# be_id", PROCESSES.encode()]
    assert len((await control.processes()).workers) == 3
    assert asked == [b"show proc\n"] * 3


async def test_a_worker_that_has_ended(master):
    control, answers, _ = master
    answers.append(b"Can't find the target PID matching the prefix '@!9'\n")
    with pytest.raises(WorkerGoneError):
        await control.ask("@!9 show info")


async def test_nobody_there(tmp_path):
    began = time.monotonic()
    with pytest.raises(EdgeSilentError, match=r"master\.sock"):
        await Control(tmp_path / "master.sock").processes(patience=0.2)
    assert 0.1 < time.monotonic() - began < 2


async def test_a_socket_whose_path_is_too_long_for_the_kernel(tmp_path):
    folder = tmp_path / ("x" * 60) / ("y" * 60)
    folder.mkdir(parents=True)

    async def serve(reader, writer):
        await reader.read()
        writer.write(b"fine\n\n")
        writer.close()

    await asyncio.start_unix_server(serve, tmp_path / "s")
    (tmp_path / "s").rename(folder / "s")
    assert await Control(folder / "s").ask("x") == "fine"


async def test_sessions_are_cut_one_by_one(master):
    control, answers, asked = master
    listed = (
        "0x5581: proto=tcpv4 src=127.0.0.1:5 fe=svc1-http-2 be=svc1 srv=blue ts=00 age=1s calls=2\n"
        "0x5582: proto=tcpv4 src=127.0.0.1:6 fe=svc1-http-2 be=svc1 srv=green ts=00 age=1s calls=2\n"
        "0x5583: proto=tcpv4 src=127.0.0.1:7 fe=svc11-http-3 be=svc11 srv=blue ts=00 age=1s calls=2\n\n"
    )
    answers += [listed.encode(), b"\n"]
    await control.end_sessions(5, "svc1", "blue")
    assert asked[1:] == [b"@!5 shutdown session 0x5581\n"]


async def test_the_order_of_a_switch(master):
    """First the new server, then the notice, then the old server: at no instant is there none."""
    control, answers, asked = master
    route = Route(1, 20_001, "http", ("127.0.1.2", "127.0.1.3"), 8080, 1)
    after = SERVERS.replace("blue 127.0.1.2 2 8", "blue 127.0.1.2 2 0")
    before = after.replace("green 127.0.1.3 2 4", "green 127.0.1.3 0 5")
    answers += [before.encode(), b"\n", after.encode(), b"\n", b"\n"]
    await control.lead(5, [route], "/states")
    assert asked == [
        b"@!5 show servers state svc1\n",
        b"@!5 set server svc1/green state ready\n",
        b"@!5 show servers state svc1\n",
        b"@!5 set map /states svc1 live\n",
        b"@!5 set server svc1/blue state drain\n",
    ]
