import asyncio
import sqlite3
import time
from typing import Any

import pytest
import sqlalchemy as sa

from bot.deploy import lifecycle, states
from bot.deploy.queue import BuildSlots, Lease, Queue, WorkPostponed
from bot.errors import BerthError
from bot.store.tables import work
from tests.deploy.conftest import World

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


class Recorder:
    """Executes work by waiting until it is let go."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.running: list[int] = []
        self.most = 0
        self.go = asyncio.Event()
        self.outcomes: dict[int, Exception] = {}
        self.cancelled: list[int] = []

    async def __call__(self, lease: Lease) -> None:
        deployment_id = lease.row["deployment_id"]
        self.running.append(deployment_id)
        self.most = max(self.most, len(self.running))
        try:
            async with self.world.store.begin() as tx:
                await states.change(tx, deployment_id, "running")
            await self.go.wait()
            if deployment_id in self.outcomes:
                raise self.outcomes[deployment_id]
            async with self.world.store.begin() as tx:
                await lease.commit(tx)
                await states.change(tx, deployment_id, "live")
        except asyncio.CancelledError:
            self.cancelled.append(deployment_id)
            if lease.cancelled:
                async with self.world.store.begin() as tx:
                    await states.change(tx, deployment_id, lease.cancelled.state, reason=lease.cancelled.reason)
            raise
        finally:
            self.running.remove(deployment_id)


async def until(condition, seconds: float = 5.0) -> None:  # type: ignore[no-untyped-def]
    async with asyncio.timeout(seconds):
        while not (found := condition()) or (asyncio.iscoroutine(found) and not await found):
            await asyncio.sleep(0.01)


def make(world: World, recorder: Recorder, **more: float) -> Queue:
    return Queue(world.store, recorder, owner="test", lease_seconds=more.get("lease_seconds", 30))


async def state_of(world: World, deployment_id: int) -> str:
    return str((await world.deployment(deployment_id))["state"])


async def wait_state(world: World, deployment_id: int, state: str) -> None:
    async with asyncio.timeout(5):
        while await state_of(world, deployment_id) != state:
            await asyncio.sleep(0.01)


async def test_one_at_a_time_per_environment_and_many_in_all(world: World) -> None:
    recorder = Recorder(world)
    queue = make(world, recorder)
    production = await world.push("1" * 40)
    others = [await world.push("1" * 40, ref=f"b{n}", kind="branch") for n in range(3)]
    await queue.start()
    await until(lambda: len(recorder.running) == 4)
    newer = await world.push("2" * 40)
    queue.wake()
    await asyncio.sleep(0.1)
    assert newer not in recorder.running
    assert production in recorder.running
    recorder.go.set()
    for deployment_id in (production, newer, *others):
        await wait_state(world, deployment_id, "live")
    await queue.close()


async def test_a_running_preview_is_superseded_at_once(world: World) -> None:
    recorder = Recorder(world)
    queue = make(world, recorder)
    first = await world.push("1" * 40, ref="topic", kind="branch")
    await queue.start()
    await until(lambda: recorder.running == [first])
    second = await world.push("2" * 40, ref="topic", kind="branch")
    queue.wake()
    await until(lambda: recorder.running == [second])
    assert await state_of(world, first) == "superseded"
    assert recorder.cancelled == [first]
    recorder.go.set()
    await wait_state(world, second, "live")
    await queue.close()


async def test_what_was_called_off_just_before_its_commit_point_does_not_take_effect(world: World) -> None:
    recorder = Recorder(world)
    queue = make(world, recorder)
    first = await world.push(ref="topic", kind="branch")
    await queue.start()
    await until(lambda: recorder.running == [first])
    await lifecycle.cancel(world.store, first, actor="bob")  # the queue is not woken: only the rows say so
    recorder.go.set()
    await until(lambda: not recorder.running)
    async with asyncio.timeout(5):
        while (await world.work())[0]["state"] != "done":
            await asyncio.sleep(0.01)
    assert await state_of(world, first) != "live"
    await queue.close()


async def test_closing_gives_work_back_and_the_next_start_does_it(world: World) -> None:
    recorder = Recorder(world)
    queue = make(world, recorder)
    deployment_id = await world.push()
    await queue.start()
    await wait_state(world, deployment_id, "running")
    await wait_state(world, deployment_id, "running")
    await queue.close()
    row = (await world.work())[0]
    assert (row["state"], row["attempts"]) == ("queued", 0)
    assert await state_of(world, deployment_id) == "running"
    recorder.go.set()
    again = make(world, recorder)
    await again.start()
    await wait_state(world, deployment_id, "live")
    await again.close()


async def test_work_that_kills_the_server_every_time_is_given_up(world: World) -> None:
    recorder = Recorder(world)
    recorder.go.set()
    deployment_id = await world.push()
    async with world.store.begin() as tx:  # three earlier processes died with it
        await tx.run(sa.update(work).values(state="running", attempts=3, lease_owner="gone"))
    queue = make(world, recorder)
    await queue.start()
    await wait_state(world, deployment_id, "failed")
    assert "stopped 3 times" in (await world.deployment(deployment_id))["reason"]
    await queue.close()


async def test_failures_are_told_and_do_not_stop_the_queue(world: World) -> None:
    recorder = Recorder(world)
    recorder.go.set()
    one = await world.push(ref="one", kind="branch")
    two = await world.push(ref="two", kind="branch")
    three = await world.push(ref="three", kind="branch")
    recorder.outcomes = {one: BerthError("It broke.", "Mend it."), two: ValueError("a bug")}
    queue = make(world, recorder)
    await queue.start()
    for deployment_id, state in ((one, "failed"), (two, "failed"), (three, "live")):
        await wait_state(world, deployment_id, state)
    outcomes = {row["deployment_id"]: row["outcome"] for row in await world.work()}
    assert outcomes[one] == "It broke. Mend it."
    assert outcomes[two].startswith("A fault in Berth itself: ValueError")
    assert outcomes[three] == ""
    await queue.close()


async def test_postponed_work_comes_back_without_counting_as_an_attempt(world: World) -> None:
    recorder = Recorder(world)
    recorder.go.set()
    deployment_id = await world.push()
    recorder.outcomes = {deployment_id: WorkPostponed(60)}
    queue = make(world, recorder)
    await queue.start()
    async with asyncio.timeout(5):
        while not (row := (await world.work())[0])["not_before"]:
            await asyncio.sleep(0.01)
    assert (row["state"], row["attempts"]) == ("queued", 0)
    assert row["not_before"] > time.time() + 30
    recorder.outcomes = {}
    async with world.store.begin() as tx:
        await tx.run(sa.update(work).values(not_before=0))
    queue.wake()
    await wait_state(world, deployment_id, "live")
    await queue.close()


async def test_leases_are_kept_alive(world: World) -> None:
    recorder = Recorder(world)
    queue = make(world, recorder, lease_seconds=0.3)
    await world.push()
    await queue.start()
    await until(lambda: recorder.running)
    await asyncio.sleep(0.6)
    assert (await world.work())[0]["lease_until"] > time.time()
    recorder.go.set()
    await queue.close()


async def test_waiting_for_an_outcome(world: World) -> None:
    recorder = Recorder(world)
    queue = make(world, recorder)
    await world.push()
    work_id = (await world.work())[0]["id"]
    await queue.start()
    row = await queue.wait(work_id, 0.05)
    assert row is not None
    assert row["state"] != "done"
    waiting = asyncio.create_task(queue.wait(work_id, 5))
    await asyncio.sleep(0.05)
    recorder.go.set()
    done = await waiting
    assert done is not None
    assert (done["state"], done["outcome"]) == ("done", "")
    await queue.close()


async def test_build_slots_are_fair_between_repositories() -> None:
    slots = BuildSlots(1)
    order: list[int] = []

    async def build(repository_id: int) -> None:
        async with slots.slot(repository_id):
            order.append(repository_id)
            await asyncio.sleep(0.01)

    async with asyncio.TaskGroup() as group:
        for repository_id in (1, 1, 1, 1, 2, 3):
            group.create_task(build(repository_id))
            await asyncio.sleep(0)
    assert order[:3] in ([1, 2, 3], [1, 3, 2])
    assert sorted(order) == [1, 1, 1, 1, 2, 3]


async def test_a_build_that_is_cancelled_while_it_waits_leaves_no_slot_behind() -> None:
    slots = BuildSlots(1)
    async with slots.slot(1):
        waiting = asyncio.create_task(slots.slot(2).__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
    async with asyncio.timeout(1), slots.slot(3):
        assert slots.full
    assert not slots.full


async def test_a_cancel_that_comes_while_work_is_ending_does_not_shut_its_environment(world: World) -> None:
    recorder = Recorder(world)
    queue = make(world, recorder)
    first = await world.push(ref="topic", kind="branch")
    recorder.outcomes = {first: BerthError("It broke.")}
    await queue.start()
    await until(lambda: recorder.running == [first])
    async with world.store.begin():  # the end of the work has to wait for this transaction
        recorder.go.set()
        await until(lambda: not recorder.running)
        await asyncio.sleep(0.05)
        lease = queue._leases[(await world.work())[0]["id"]]
        assert lease.ended
        assert lease.task is not None
        lease.task.cancel()  # what a heartbeat or a shutdown does
        await asyncio.sleep(0.05)
    async with asyncio.timeout(5):
        while (await world.work())[0]["state"] != "done":
            await asyncio.sleep(0.01)
    await until(lambda: not queue._leases)
    second = await world.push("2" * 40, ref="topic", kind="branch")
    queue.wake()
    await wait_state(world, second, "live")
    await queue.close()


async def test_an_end_that_cannot_be_written_down_is_written_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(world)
    recorder.go.set()
    queue = make(world, recorder)
    finish = queue._finish
    refused: list[Any] = []

    async def full_disk(*arguments: Any) -> None:
        if len(refused) < 1:
            refused.append(arguments)
            raise sqlite3.OperationalError("database or disk is full")
        await finish(*arguments)

    monkeypatch.setattr(queue, "_finish", full_disk)
    first = await world.push(ref="topic", kind="branch")
    await queue.start()
    await wait_state(world, first, "live")
    second = await world.push("2" * 40, ref="topic", kind="branch")
    queue.wake()
    await wait_state(world, second, "live")
    assert refused
    await queue.close()


async def test_work_whose_lease_ran_out_is_taken_over(world: World) -> None:
    recorder = Recorder(world)
    recorder.go.set()
    queue = make(world, recorder)
    await queue.start()
    await asyncio.sleep(0.3)  # until it waits to be woken
    deployment_id = await world.push()
    async with world.store.begin() as tx:
        await tx.run(sa.update(work).values(state="running", lease_owner="nobody", lease_until=time.time() - 1))
    queue.wake()
    await wait_state(world, deployment_id, "live")
    await queue.close()


async def test_what_was_asked_later_does_not_overtake_postponed_work(world: World) -> None:
    done: list[str] = []
    postponed = {"remove"}

    async def execute(lease: Lease) -> None:
        kind = lease.row["kind"]
        if kind in postponed:
            postponed.discard(kind)
            raise WorkPostponed(0.3)
        done.append(kind)

    queue = Queue(world.store, execute, owner="test", lease_seconds=0.3)
    deployment_id = await world.push("1" * 40, ref="topic", kind="branch")
    await world.set_live(deployment_id)
    environment_id = (await world.deployment(deployment_id))["environment_id"]
    await lifecycle.request_work(world.store, environment_id, "remove", actor="ann")
    await world.push("2" * 40, ref="topic", kind="branch")
    other = await world.push("3" * 40)  # another environment does not wait
    await queue.start()
    await until(lambda: len(done) == 3)
    assert done[1:] == ["remove", "deploy"]
    assert (await world.deployment(other))["environment_id"] != environment_id
    await queue.close()


async def test_postponed_work_that_was_called_off_meanwhile_is_not_queued_again(world: World) -> None:
    deployment_id = await world.push()

    async def execute(lease: Lease) -> None:
        async with world.store.begin() as tx:
            await states.change(tx, deployment_id, "running")
        await lifecycle.cancel(world.store, deployment_id, actor="bob")  # and nobody woke the queue
        raise WorkPostponed(60)

    queue = Queue(world.store, execute, owner="test", lease_seconds=30)
    await queue.start()
    await wait_state(world, deployment_id, "cancelled")
    assert (await world.work())[0]["state"] == "done"
    await queue.close()


async def test_a_clock_that_was_set_back_does_not_hold_postponed_work(world: World) -> None:
    recorder = Recorder(world)
    recorder.go.set()
    deployment_id = await world.push()
    async with world.store.begin() as tx:
        await tx.run(sa.update(work).values(not_before=time.time() + 86_400))
    queue = make(world, recorder)
    await queue.start()
    await wait_state(world, deployment_id, "live")
    await queue.close()
