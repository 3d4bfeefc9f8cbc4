"""Networks of environments: their subnets, addresses and limits."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.engine.docker import ContainerSpec, Engine
from bot.engine.networks import Networks, free_subnets, host_routes, slot_address
from bot.errors import BerthError

pytestmark = pytest.mark.anyio

POOL = IPv4Network("10.0.0.0/22")


@pytest.fixture
def small_pool() -> str:
    """Room for four networks, somewhere else in each run."""
    return f"10.65.{secrets.randbelow(256)}.0/24"


def test_addresses_of_slots_lie_below_the_range_of_everything_else() -> None:
    addresses = [slot_address("10.192.7.64/26", position, slot) for position in range(15) for slot in (0, 1)]
    assert addresses == [f"10.192.7.{64 + number}" for number in range(2, 32)]


@pytest.mark.parametrize("position", [-1, 15])
def test_a_sixteenth_service_is_refused(position: int) -> None:
    with pytest.raises(BerthError, match="at most 15 services"):
        slot_address("10.192.7.64/26", position, 0)


def test_a_third_slot_does_not_exist() -> None:
    with pytest.raises(ValueError, match="slot 2"):
        slot_address("10.192.7.64/26", 0, 2)


subnets = st.builds(
    lambda address, prefix: IPv4Network((address, prefix), strict=False),
    st.integers(int(POOL.network_address) - 700, int(POOL.broadcast_address) + 700),
    st.integers(20, 32),
)


@given(st.lists(subnets, max_size=8))
def test_free_subnets_are_all_that_overlap_nothing(blocked: list[IPv4Network]) -> None:
    expected = [one for one in POOL.subnets(new_prefix=26) if not any(one.overlaps(other) for other in blocked)]
    assert list(free_subnets(POOL, blocked)) == expected


def test_routes_of_the_host_are_read() -> None:
    table = """Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	010200C0	0003	0	0	0	00000000	0	0	0
tun0	0000000A	00000000	0001	0	0	0	000000FF	0	0	0
eth0	000200C0	00000000	0001	0	0	0	00FFFFFF	0	0	0
vpn0	0501A8C0	00000000	0005	0	0	0	FFFFFFFF	0	0	0
"""
    assert list(map(str, host_routes(table))) == ["10.0.0.0/8", "192.0.2.0/24", "192.168.1.5/32"]


@pytest.mark.docker
async def test_a_network_is_made_once_and_removed(engine: Engine, small_pool: str) -> None:
    networks = Networks(engine, small_pool)
    made = await networks.ensure(7, [])
    assert made.environment_id == 7
    assert made.name == f"berth-{engine.instance}-7"
    assert IPv4Network(made.subnet).subnet_of(IPv4Network(small_pool))
    assert await networks.ensure(7, []) == made
    assert await Networks(engine, small_pool).ensure(7, [made.subnet]) == made
    assert await networks.list() == [made]
    await networks.remove(7)
    await networks.remove(7)
    assert await networks.list() == []


@pytest.mark.docker
async def test_many_at_once_get_different_subnets(engine: Engine, small_pool: str) -> None:
    networks = Networks(engine, small_pool)
    made = await asyncio.gather(*(networks.ensure(number % 2, []) for number in range(6)))
    assert len({network.id for network in made}) == 2
    assert len({network.subnet for network in made}) == 2


@pytest.mark.docker
async def test_a_pool_that_is_used_up(engine: Engine, small_pool: str) -> None:
    networks = Networks(engine, small_pool)
    reserved = str(list(IPv4Network(small_pool).subnets(new_prefix=26))[1])
    made = [await networks.ensure(number, [reserved]) for number in range(3)]
    assert reserved not in {network.subnet for network in made}
    with pytest.raises(BerthError, match="is in use by environments") as failure:
        await networks.ensure(3, [reserved])
    assert "BERTH_NETWORK_POOL" in failure.value.fix
    await networks.remove(1)
    assert (await networks.ensure(3, [reserved])).subnet == made[1].subnet


@pytest.mark.docker
async def test_networks_of_others_are_avoided_and_never_removed(
    engine: Engine, small_pool: str, docker: Callable[..., str]
) -> None:
    first, second, *_ = IPv4Network(small_pool).subnets(new_prefix=26)
    stranger = f"stranger-{engine.instance}"
    docker("network", "create", "--subnet", str(first), "--label", "berth.environment=1", stranger)
    try:
        networks = Networks(engine, small_pool)
        assert await networks.list() == []
        await networks.remove(1)
        assert (await networks.ensure(1, [])).subnet == str(second)
        await networks.remove(1)
        assert docker("network", "ls", "-q", "--filter", f"name={stranger}")
    finally:
        docker("network", "rm", stranger)


@pytest.mark.docker
async def test_an_overlap_that_only_the_engine_knows_leads_to_the_next(
    engine: Engine, small_pool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when another program makes a network between the look and the creation."""
    networks = Networks(engine, small_pool)
    made = await networks.ensure(1, [])

    async def nothing(*_: object) -> list[object]:
        return []

    monkeypatch.setattr(networks, "_existing", nothing)
    monkeypatch.setattr("bot.engine.networks._read_routes", str)
    other = await networks.ensure(2, [])
    assert other.subnet != made.subnet


@pytest.mark.docker
async def test_containers_reach_each_other_by_name_and_keep_their_addresses(
    engine: Engine, small_pool: str, busybox_image: str
) -> None:
    networks = Networks(engine, small_pool)
    network = await networks.ensure(1, [])
    spec = ContainerSpec(
        name=f"berth-{engine.instance}-web",
        image=busybox_image,
        labels={},
        command=("httpd", "-f", "-p", "8000"),
        environment={},
        network=network.name,
        address=slot_address(network.subnet, 14, 1),
        memory=0,
        cpus=0,
        pids=20,
        aliases=("web",),
    )
    web = await engine.create_and_start(spec)
    idle = replace(spec, name=spec.name + "2", command=("sleep", "60"), address="", aliases=())
    other = await engine.create_and_start(idle)
    state = await engine.inspect(other)
    assert state is not None
    assert state.address in {str(address) for address in IPv4Network(network.subnet)}
    assert int(state.address.split(".")[3]) % 64 >= 32, "an address that is not a slot's"
    code, output = await engine.execute(other, ("sh", "-c", "nc web 8000 </dev/null && echo there"))
    assert (code, output) == (0, b"there\n")
    with pytest.raises(BerthError, match="still has containers"):
        await networks.remove(1)
    await engine.stop(web, 1)
    await engine.start(web)
    state = await engine.inspect(web)
    assert state is not None
    assert state.address == spec.address
    await engine.remove(web)
    await engine.remove(other)
    await networks.remove(1)
