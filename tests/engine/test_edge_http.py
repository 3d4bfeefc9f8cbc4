"""What HAProxy does with requests, as Berth configures it: a real HAProxy in a real container."""

import asyncio
import socket

import pytest

from bot.engine.edge_config import Route
from tests.engine.edge_fixtures import UPGRADE, App, Client, edge_image, free_ports, running_edge

pytestmark = [pytest.mark.anyio, pytest.mark.docker]

BLUE, GREEN, APP_PORT = "127.0.1.2", "127.0.1.3", 8471
PAGE = "Accept: text/html,*/*\r\n"


@pytest.fixture(scope="module")
def image():
    with edge_image() as name:
        yield name


@pytest.fixture
async def edge(image, folder):
    async with running_edge(image, folder / "edge") as edge:
        yield edge


@pytest.fixture
async def port(edge):
    """A stable port that leads to an application."""
    (number,) = free_ports(1)
    async with App("blue", BLUE, APP_PORT) as app:
        await edge.start([Route(1, number, "http", (BLUE, GREEN), APP_PORT, 0, "live")])
        edge.app = app
        yield number


@pytest.fixture
def routed_address():
    """An address of this machine that is not 127.0.0.0/8; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no network")
        return probe.getsockname()[0]


def echoed(body: str) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for line in body.split("\r\n")[1:]:
        name, _, value = line.partition(":")
        fields.setdefault(name.lower(), []).append(value.strip())
    return fields


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("berth_session=1", None),
        ("berth_session=", None),
        ("a=1; berth_session=2; b=3", ["a=1; b=3"]),
        ("berth_session=1; a=2", ["a=2"]),
        ("a=2; berth_session=1", ["a=2"]),
        ("berth_session=1; a=2; berth_session=3; __Host-berth_session=4; b=5; __Secure-berth_session=6", ["a=2; b=5"]),
        ("berth_session=1;berth_session=2;berth_session=3", None),
        ("a=1;\tberth_session = 2", ["a=1"]),
        ("xberth_session=1; berth_session_2=3", ["xberth_session=1; berth_session_2=3"]),
        ("a=berth_session; b=1", ["a=berth_session; b=1"]),
        ("a=1", ["a=1"]),
    ],
)
async def test_our_cookie_does_not_reach_applications(port, sent, expected):
    status, _, body = await Client(port).get("/headers", f"Cookie: {sent}\r\n")
    assert status == 200
    assert echoed(body).get("cookie") == expected


async def test_our_cookie_in_a_second_header(port):
    """No browser sends two (RFC 6265 5.4); HAProxy could clean only one of them."""
    hidden = "Cookie: a=1\r\nCookie: berth_session=2\r\n"
    assert (await Client(port).get("/headers", hidden))[0] == 400
    status, _, body = await Client(port).get("/headers", "Cookie: a=1\r\nCookie: b=2\r\n")
    assert status == 200
    assert echoed(body)["cookie"] == ["a=1", "b=2"]


async def test_applications_cannot_set_our_cookie(port):
    _, fields, _ = await Client(port).get("/cookies")
    assert [value for value in fields["set-cookie"] if value] == ["mine=1"]


async def test_what_the_application_learns_of_the_visitor(port):
    fields = echoed((await Client(port).get("/headers"))[2])
    assert fields["x-forwarded-for"] == ["127.0.0.1"]
    assert fields["x-forwarded-proto"] == ["http"]
    assert fields["x-forwarded-port"] == [str(port)]
    assert fields["x-forwarded-host"] == [f"127.0.0.1:{port}"]


async def test_a_proxy_on_this_machine_is_believed(port):
    """One that ends TLS before the edge says so in these fields."""
    sent = "X-Forwarded-For: 198.51.100.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: app.example.com\r\n"
    fields = echoed((await Client(port).get("/headers", sent))[2])
    assert fields["x-forwarded-for"] == ["198.51.100.1", "127.0.0.1"]
    assert fields["x-forwarded-proto"] == ["https"]
    assert fields["x-forwarded-host"] == ["app.example.com"]


async def test_a_visitor_from_elsewhere_is_not_believed(image, folder, routed_address):
    """Seen from the edge, this machine's own address on a network is not local."""
    (number,) = free_ports(1)
    forged = (
        "X-Forwarded-For: 198.51.100.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example\r\n"
        "X-Forwarded-Port: 1\r\nX-Real-IP: 198.51.100.1\r\nForwarded: for=198.51.100.1\r\n"
    )
    async with running_edge(image, folder / "edge", bind="0.0.0.0") as edge, App("blue", BLUE, APP_PORT):
        await edge.start([Route(1, number, "http", (BLUE, GREEN), APP_PORT, 0, "live")])
        fields = echoed((await Client(number, routed_address).get("/headers", forged))[2])
    assert fields["x-forwarded-for"] == [routed_address]
    assert fields["x-forwarded-proto"] == ["http"]
    assert fields["x-forwarded-port"] == [str(number)]
    assert fields["x-forwarded-host"] == [f"{routed_address}:{number}"]
    assert "x-real-ip" not in fields
    assert "forwarded" not in fields


async def test_long_headers_are_refused_by_the_edge(edge, port):
    before = edge.app.requests
    assert (await Client(port).get("/", f"X-Long: {'x' * 14_000}\r\n"))[0] == 200
    assert (await Client(port).get("/", f"X-Long: {'x' * 20_000}\r\n"))[0] == 400
    many = "".join(f"X-{number}: 1\r\n" for number in range(200))
    assert (await Client(port).get("/", many))[0] == 400
    assert edge.app.requests == before + 1


async def test_a_websocket_goes_through(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(UPGRADE)
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    for text in (b"one\n", b"two\n"):
        writer.write(text)
        assert await asyncio.wait_for(reader.readline(), 5) == b"blue " + text
    writer.close()


async def test_a_stream_arrives_as_it_is_sent(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /stream?5 HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"blue 0\n")
    began = asyncio.get_running_loop().time()
    await asyncio.wait_for(reader.readuntil(b"blue 3\n"), 3)
    assert asyncio.get_running_loop().time() - began < 2
    writer.close()


async def test_a_request_is_never_sent_twice(edge, port):
    """The application ends the connection instead of answering; it may have done what was asked."""
    before = edge.app.requests
    status, fields, body = await Client(port).get("/silence")
    assert (status, fields["content-type"]) == (502, ["text/html; charset=utf-8"])
    assert "does not answer" in body
    assert edge.app.requests == before + 1


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("deploying", "is being deployed"),
        ("stopped", "is stopped"),
        ("sleeping", "is asleep"),
        ("crash_looping", "keeps crashing"),
        ("empty", "is not running"),
    ],
)
async def test_a_service_without_an_instance(edge, state, words):
    (number,) = free_ports(1)
    await edge.start([Route(1, number, "http", (BLUE, GREEN), APP_PORT, None, state)])
    status, fields, body = await Client(number).get("/", PAGE)
    assert status == 503
    assert fields["content-type"] == ["text/html; charset=utf-8"]
    assert fields["retry-after"] == ["5"]
    assert fields["cache-control"] == ["no-store"]
    assert f"<p>This application {words}.</p>" in body
    assert (await Client(number).get("/", "Accept: */*\r\n"))[2] == f"This application {words}.\n"


async def test_the_notice_follows_the_state_without_a_reload(edge, port):
    route = Route(1, port, "http", (BLUE, GREEN), APP_PORT, 0, "live")
    client = Client(port)
    assert (await client.get())[2] == "blue"
    before = (await edge._control.running()).pid
    for state, words in (("stopped", "is stopped"), ("deploying", "is being deployed")):
        await edge.apply([Route(1, port, "http", (BLUE, GREEN), APP_PORT, None, state)])
        status, _, body = await client.get()
        assert (status, body) == (503, f"This application {words}.\n")
    await edge.apply([route])
    assert (await client.get())[2] == "blue"
    assert (await edge._control.running()).pid == before


async def test_an_instance_that_died(edge, port):
    """The edge goes on trying it, because taking the only one out would help nobody."""
    await edge.switch(1, 1)
    status, fields, body = await Client(port).get()
    assert (status, fields["retry-after"]) == (503, ["5"])
    assert "does not answer" in body
    async with App("green", GREEN, APP_PORT):
        assert (await Client(port).get())[2] == "green"


async def test_a_service_that_is_not_http(edge):
    (number,) = free_ports(1)

    async def serve(reader, writer):
        writer.write(b"hello\n")
        writer.write((await reader.readline()).upper())
        writer.close()

    server = await asyncio.start_server(serve, BLUE, APP_PORT)
    await edge.start([Route(3, number, "tcp", (BLUE, GREEN), APP_PORT, 0, "live")])
    reader, writer = await asyncio.open_connection("127.0.0.1", number)
    assert await reader.readline() == b"hello\n"
    assert await edge.sessions(3, 0) == 1
    writer.write(b"abc\n")
    assert await reader.read() == b"ABC\n"
    writer.close()
    await edge.apply([Route(3, number, "tcp", (BLUE, GREEN), APP_PORT, None, "stopped")])
    reader, writer = await asyncio.open_connection("127.0.0.1", number)
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    server.close()


async def test_figures(edge, port):
    for path in ("/", "/", "/error", "/silence"):
        await Client(port).get(path)
    found = (await edge.stats())[1]
    assert (found.requests, found.errors_5xx, found.sessions) == (4, 2, 0)
    assert found.bytes_in > 100
    assert found.bytes_out > 100
    assert found.last_session_seconds is not None
    assert found.last_session_seconds < 3


async def test_nobody_asked_yet_and_notices_do_not_count(edge):
    (number,) = free_ports(1)
    await edge.start([Route(1, number, "http", (BLUE, GREEN), APP_PORT, None, "sleeping")])
    await Client(number).get()
    found = (await edge.stats())[1]
    assert (found.requests, found.errors_5xx, found.last_session_seconds) == (0, 0, None)
