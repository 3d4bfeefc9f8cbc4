import asyncio
import errno
import itertools
import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from contextlib import aclosing

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from bot.deploy import log_store
from bot.deploy.log_files import LINE_LIMIT, LogFile, LogLine, clean, encode, read_lines, tail_offset
from bot.deploy.logs import LogStore
from bot.deploy.masking import MASK, Masker
from bot.store.tables import deployments, logs

pytest_plugins = ["tests.database_fixtures", "tests.deploy.log_fixtures"]
pytestmark = [pytest.mark.anyio, pytest.mark.slow]
NOBODY = Masker(())
DAY = 86_400.0


def _texts(lines):
    return [line.text for line in lines]


async def _follow(kept, *key, offset=0):
    return [line async for line in kept.follow(*key, offset=offset)]


# ---------------------------------------------------------------- writing and reading


async def test_write_and_read_on_both_databases(filled, tmp_path):
    kept = LogStore(tmp_path / "logs", filled, max_bytes=1_000_000, keep_days=14)
    writer = await kept.open_deployment(1, Masker(["hunter22"]))
    writer.write("cloning", source="berth", phase="fetch", at=12.5)
    writer.write("RUN pip install", source="build", kind="step", step="3/7", phase="build", at=13.0)
    writer.write("password is hunter22\nand done\n", source="build", at=14.0)
    instance = await kept.open_instance(1, 77, NOBODY)
    instance.write("listening", source="stdout", at=15.0)
    await instance.close()
    await writer.close()
    page = await kept.read(1)
    assert page.closed
    assert [(line.at, line.source, line.text, line.kind, line.step, line.phase) for line in page.lines] == [
        (12.5, "berth", "cloning", "line", "", "fetch"),
        (13.0, "build", "RUN pip install", "step", "3/7", "build"),
        (14.0, "build", f"password is {MASK}", "line", "", ""),
        (14.0, "build", "and done", "line", "", ""),
    ]
    assert _texts((await kept.read(1, 77)).lines) == ["listening"]
    rows = await filled.all(sa.select(logs).order_by(logs.c.id))
    assert [(row["instance_id"], row["path"]) for row in rows] == [(None, "1/deployment"), (77, "1/instance-77")]
    assert rows[0]["size"] == page.next_offset
    assert all(row["closed_at"] for row in rows)
    assert b"hunter22" not in b"".join(path.read_bytes() for path in (tmp_path / "logs").rglob("*.ndjson"))


async def test_pages_by_offset_limit_and_tail(kept):
    writer = await kept.open_deployment(1, NOBODY)
    for number in range(100):
        writer.write(f"line {number}", source="berth")
    await writer.close()
    first = await kept.read(1, limit=30)
    assert _texts(first.lines) == [f"line {n}" for n in range(30)]
    second = await kept.read(1, offset=first.next_offset, limit=1000)
    assert _texts(second.lines) == [f"line {n}" for n in range(30, 100)]
    assert second.start == first.next_offset
    assert _texts((await kept.read(1, tail=3)).lines) == ["line 97", "line 98", "line 99"]
    assert (await kept.read(1, tail=3)).lines[0].offset == second.lines[-3].offset
    assert len((await kept.read(1, tail=1000)).lines) == 100
    assert (await kept.read(1, tail=0)).lines == []
    assert (await kept.read(1, tail=0)).next_offset == second.next_offset
    inside = await kept.read(1, offset=first.lines[5].offset + 3, limit=1)
    assert _texts(inside.lines) == ["line 6"], "an offset in the middle of a line means the next one"
    beyond = await kept.read(1, offset=10**9)
    assert (beyond.lines, beyond.next_offset, beyond.closed) == ([], 10**9, True)
    assert (await kept.read(1, offset=-5, limit=1)).start == 0


async def test_a_log_that_does_not_exist(kept):
    page = await kept.read(3, 9)
    assert (page.lines, page.next_offset, page.closed) == ([], 0, False)


async def test_lines_are_cut_and_secrets_at_the_cut_are_masked(kept):
    writer = await kept.open_deployment(1, Masker(["the-secret-value"]))
    writer.write("x" * (LINE_LIMIT - 5) + "the-secret-value" + "y" * 100_000, source="stdout")
    writer.write("", source="stdout")
    await writer.close()
    long, empty = (await kept.read(1)).lines
    assert long.text.startswith("x" * (LINE_LIMIT - 5) + MASK[:5] + "… (")
    assert len(long.text) < LINE_LIMIT + 50
    assert empty.text == ""


async def test_reopening_appends_and_closing_twice_is_fine(kept):
    for number in range(3):
        writer = await kept.open_deployment(1, NOBODY)
        writer.write(f"attempt {number}", source="berth")
        await writer.close()
        await writer.close()
        writer.write("too late", source="berth")
    assert _texts((await kept.read(1)).lines) == ["attempt 0", "attempt 1", "attempt 2"]


async def test_two_writers_of_one_log(kept):
    first = await kept.open_deployment(1, Masker(["secret-of-one"]))
    second = await kept.open_deployment(1, NOBODY)
    first.write("one: secret-of-one", source="a")
    second.write("two: secret-of-one", source="b")
    await first.close()
    assert not (await kept.read(1)).closed
    second.write("still there", source="b")
    await second.close()
    page = await kept.read(1)
    assert _texts(page.lines) == [f"one: {MASK}", "two: secret-of-one", "still there"]
    assert page.closed


# ---------------------------------------------------------------- what is shown of a line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[1;31mred\x1b[0m \x1b[38;5;200mpink", "\x1b[1;31mred\x1b[0m \x1b[38;5;200mpink"),
        ("\x1b[2J\x1b[1;1Hcleared\x1b[?25l", "cleared"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("a\x00b\x07c\x08d\x7fe\x9bf\tg", "abcdef\tg"),
        ("\x1b[", ""),
        ("\x1bcreset", "reset"),
        ("admin \u202egnp.exe", "admin gnp.exe"),
        ("half \ud800 surrogate", "half  surrogate"),
        ("naïve 😀 שלום", "naïve 😀 שלום"),
    ],
)
def test_control_characters(text, shown):
    assert clean(text) == shown


async def test_carriage_returns_keep_the_last_state(kept):
    writer = await kept.open_deployment(1, NOBODY)
    writer.write("10%\r50%\r100% done\r\n20%\r40%\n", source="build")
    writer.write("x" * 50_000 + "\rshort", source="build")
    await writer.close()
    assert _texts((await kept.read(1)).lines) == ["100% done", "40%", "short"]


@given(st.text(max_size=300), st.text(max_size=10))
def test_any_text_comes_back_from_its_line(text, source):
    shown = clean(text.replace("\n", ""))
    raw = encode(LogLine(0, 0, 1.0, "s", shown))
    assert raw.count(b"\n") == 1
    assert json.loads(raw)["m"] == shown
    assert clean(shown) == shown or "\x1b" in text


# ---------------------------------------------------------------- following


async def test_follow_history_then_live_to_the_end(kept):
    async def many_readers():
        return await asyncio.gather(*(_follow(kept, 1) for _ in range(20)))

    early = asyncio.create_task(many_readers())  # before there is a log
    await asyncio.sleep(0.05)
    writer = await kept.open_deployment(1, NOBODY)
    writer.write("history", source="berth")
    late = asyncio.create_task(_follow(kept, 1))
    for number in range(50):
        writer.write(f"live {number}", source="berth")
        await asyncio.sleep(0.005)
    await writer.close()
    async with asyncio.timeout(5):
        seen = [*await early, await late]
    expected = ["history", *(f"live {n}" for n in range(50))]
    assert all(_texts(lines) == expected for lines in seen)
    half = seen[0][24].next_offset
    assert _texts(await _follow(kept, 1, offset=half)) == expected[25:], "resumed where it was interrupted"


async def test_follower_hears_within_a_moment(kept):
    writer = await kept.open_deployment(1, NOBODY)
    async with aclosing(kept.follow(1)) as lines:
        waits = []
        for number in range(5):
            await asyncio.sleep(0.15)
            begun = time.perf_counter()
            writer.write(f"{number}", source="berth")
            assert (await asyncio.wait_for(anext(lines), 5)).text == str(number)
            waits.append(time.perf_counter() - begun)
    assert sorted(waits)[2] < 0.5
    await writer.close()


async def test_slow_reader_does_not_hold_up_the_writer(kept):
    writer = await kept.open_deployment(1, NOBODY)
    async with aclosing(kept.follow(1)) as slow:
        writer.write("first", source="berth")
        assert (await anext(slow)).text == "first"  # and reads no more for now
        for number in range(5000):
            writer.write(f"line {number} " + "x" * 80, source="berth")
        await asyncio.wait_for(writer.close(), 5)
        rest = [line async for line in slow]
    assert len(rest) == 5000
    assert rest[-1].text.startswith("line 4999 ")


async def test_followers_at_the_same_place_read_it_once(kept, monkeypatch):
    reads = 0
    read = kept.read

    async def counted(*key, **options):
        nonlocal reads
        reads += 1
        return await read(*key, **options)

    monkeypatch.setattr(kept, "read", counted)
    following = [asyncio.create_task(_follow(kept, 1)) for _ in range(300)]
    await asyncio.sleep(0.1)
    writer = await kept.open_deployment(1, NOBODY)
    expected = [f"line {number}" for number in range(20)]
    for text in expected:
        writer.write(text, source="app")
        await asyncio.sleep(0.03)
    await writer.close()
    for lines in await asyncio.gather(*following):
        assert _texts(lines) == expected
    assert reads < 100, "a few for each time that there was news, not for each follower"


async def test_follower_ends_when_the_deployment_is_removed(kept):
    writer = await kept.open_deployment(1, NOBODY)
    writer.write("one", source="berth")
    waiting = [asyncio.create_task(_follow(kept, 1)), asyncio.create_task(_follow(kept, 1, 5))]
    await asyncio.sleep(0.25)
    await kept.remove_deployment(1)
    async with asyncio.timeout(5):
        assert [_texts(lines) for lines in await asyncio.gather(*waiting)] == [["one"], []]
    writer.write("two", source="berth")
    await writer.close()
    assert (await kept.read(1)).lines == []


# ---------------------------------------------------------------- bounds


async def test_a_large_log_keeps_its_head_and_its_tail(database, log_folder):
    kept = LogStore(log_folder, database, max_bytes=100_000, keep_days=14)
    writer = await kept.open_instance(1, 5, NOBODY)
    following = asyncio.create_task(_follow(kept, 1, 5))
    for number in range(5000):
        writer.write(f"line {number} " + "x" * 90, source="stdout")
        if number % 250 == 0:
            await asyncio.sleep(0.12)
    await writer.close()
    stored = sum(path.stat().st_size for path in log_folder.rglob("*.ndjson"))
    assert 70_000 < stored <= 100_000
    page = await kept.read(1, 5, tail=100_000)
    gaps = [line for line in page.lines if line.kind == "gap"]
    assert len(gaps) == 1
    (gap,) = gaps
    assert gap.text == f"… {(gap.next_offset - gap.offset) // 1000} kB left out …"
    place = page.lines.index(gap)
    assert gap.at == page.lines[place + 1].at
    numbers = [int(line.text.split()[1]) for line in page.lines if line.kind == "line"]
    assert numbers[:place] == list(range(place)), "the beginning"
    assert place > 100
    assert numbers[place:] == list(range(numbers[place], 5000)), "the end"
    assert [line.next_offset for line in page.lines[:-1]] == [line.offset for line in page.lines[1:]]
    assert (await kept.read(1, 5, offset=gap.offset + 1, limit=1)).lines[0].kind == "gap"
    # a follower that kept up saw all of it, and none saw an offset go back
    seen = await following
    assert all(one.next_offset <= two.offset for one, two in itertools.pairwise(seen))
    assert sum(line.kind == "line" for line in seen) > len(numbers)
    # and it goes on where it was after it is opened again
    writer = await kept.open_instance(1, 5, NOBODY)
    writer.write("line 5000", source="stdout")
    await writer.close()
    assert (await kept.read(1, 5, tail=1)).lines[0].offset == page.next_offset


async def test_a_flood_costs_neither_memory_nor_the_loop(kept):
    """30 MB as fast as they can be written; meanwhile the loop must go on turning."""
    writer = await kept.open_instance(1, 5, Masker(["a-secret-value", "another-secret"]))
    turns, done = [], asyncio.Event()

    async def watch():
        before = time.perf_counter()
        while not done.is_set():
            await asyncio.sleep(0.005)
            turns.append(time.perf_counter() - before)
            before = time.perf_counter()

    watching = asyncio.create_task(watch())
    tracemalloc.start()
    text = "flood " + "x" * 990
    for number in range(30_000):
        writer.write(text, source="stdout")
        if number % 100 == 0:
            await asyncio.sleep(0)
    writer.write("the last words", source="stderr")
    await writer.close()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    done.set()
    await watching
    assert peak < 20_000_000
    assert sorted(turns)[len(turns) // 2] < 0.5, "the loop hung"
    page = await kept.read(1, 5, tail=100_000)
    assert page.lines[-1].text == "the last words"


async def test_a_full_disk_is_survived_and_said(kept, monkeypatch):
    writer = await kept.open_deployment(1, NOBODY)
    writer.write("before", source="berth")
    await asyncio.sleep(0.25)
    write = os.write

    def half(descriptor, data):
        write(descriptor, bytes(data[: len(data) // 2]))
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", half)
        writer.write("lost", source="berth")
        writer.write("lost too", source="berth")
        await asyncio.sleep(0.25)
    writer.write("after", source="berth")
    await writer.close()
    assert _texts((await kept.read(1)).lines) == [
        "before",
        "… 2 lines left out: they could not be written in time …",
        "after",
    ]


# ---------------------------------------------------------------- restarts, retention


async def test_a_torn_line_is_dropped(kept, database, log_folder):
    writer = await kept.open_deployment(1, NOBODY)
    writer.write("whole", source="berth")
    await writer.close()
    (path,) = log_folder.rglob("*.ndjson")
    with path.open("ab") as file:
        file.write(b'{"t":1.0,"s":"berth","m":"to')
    assert _texts((await kept.read(1)).lines) == ["whole"]
    again = LogStore(log_folder, database, max_bytes=1_000_000, keep_days=14)
    writer = await again.open_deployment(1, NOBODY)
    writer.write("next", source="berth")
    await writer.close()
    assert _texts((await again.read(1)).lines) == ["whole", "next"]
    path.write_bytes(b"damage\n" + path.read_bytes())
    assert _texts((await again.read(1)).lines) == ["(this line of the log is damaged)", "whole", "next"]


_VICTIM = """
import asyncio, sys
from pathlib import Path
from bot.deploy.logs import LogStore
from bot.deploy.masking import Masker
from bot.store.database import Store

async def main():
    async with Store(sys.argv[1]) as store:
        kept = LogStore(Path(sys.argv[2]), store, max_bytes=1_000_000, keep_days=14)
        writer = await kept.open_deployment(1, Masker(()))
        for number in range(10**9):
            writer.write(f"line {number}", source="berth")
            if number % 50 == 0:
                await asyncio.sleep(0.01)
            if number == 1000:
                print("running", flush=True)

asyncio.run(main())
"""


async def test_kill_9_in_the_middle(kept, url, log_folder, database):
    victim = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _VICTIM, url, str(log_folder), stdout=subprocess.PIPE
    )
    await asyncio.wait_for(victim.stdout.readline(), 30)
    victim.send_signal(signal.SIGKILL)
    await victim.wait()
    before = await kept.read(1, tail=100_000)
    assert not before.closed
    writer = await kept.open_deployment(1, NOBODY)
    writer.write("resumed", source="berth")
    await writer.close()
    page = await kept.read(1, tail=100_000)
    assert _texts(page.lines) == [*(f"line {n}" for n in range(len(before.lines))), "resumed"]
    assert len(before.lines) > 200
    assert (await database.one(sa.select(logs.c.size)))["size"] == page.next_offset


async def test_sweep_closes_what_a_former_process_left_open(kept, database):
    old = {"deployment_id": 1, "path": "1/deployment", "created_at": 5.0}
    async with database.begin() as transaction:
        await transaction.run(logs.insert().values(**old))
    following = asyncio.create_task(_follow(kept, 1))
    mine = await kept.open_deployment(2, NOBODY)
    await asyncio.sleep(0.05)
    await kept.sweep(time.time())
    async with asyncio.timeout(5):
        assert await following == []
    assert (await kept.read(1)).closed
    assert not (await kept.read(2)).closed, "an open one stays open"
    await mine.close()


async def test_retention(kept, database, log_folder):
    for deployment in (1, 2, 3):
        writer = await kept.open_deployment(deployment, NOBODY)
        writer.write("built", source="berth")
        await writer.close()
    old = await kept.open_instance(1, 10, NOBODY)
    await old.close()
    running = await kept.open_instance(1, 11, NOBODY)
    (log_folder / "99" / "deployment").mkdir(parents=True)
    async with database.begin() as transaction:
        await transaction.run(deployments.update().where(deployments.c.id == 1).values(state="live"))
        await transaction.run(deployments.update().where(deployments.c.id == 2).values(state="failed"))
    await kept.sweep(time.time() + 13 * DAY)
    assert {path.parent.name for path in log_folder.glob("*/deployment")} == {"1", "2", "3"}, "99 has no row"
    assert not (log_folder / "99").exists()
    await kept.sweep(time.time() + 15 * DAY)
    assert sorted(str(path.relative_to(log_folder)) for path in log_folder.glob("*/*")) == [
        "1/deployment",  # of the live deployment
        "1/instance-11",  # written
        "3/deployment",  # of one that runs
    ]
    await kept.remove_deployment(3)
    assert len(await database.all(sa.select(logs))) == 2
    await running.close()


async def test_an_idle_store_has_no_task(kept):
    writer = await kept.open_deployment(1, NOBODY)
    writer.write("x", source="berth")
    assert any(task.get_name() == "write logs" for task in asyncio.all_tasks())
    await asyncio.sleep(log_store.FLUSH_SECONDS * 4)
    assert not any(task.get_name() == "write logs" for task in asyncio.all_tasks())
    await writer.close()


async def test_closing_survives_being_cancelled(kept):
    writer = await kept.open_deployment(1, NOBODY)
    writer.write("kept", source="berth")
    task = asyncio.create_task(writer.close())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    page = await kept.read(1)
    assert (_texts(page.lines), page.closed) == (["kept"], True)


# ---------------------------------------------------------------- files


@given(st.lists(st.text(alphabet="abc", max_size=60), max_size=60), st.integers(400, 3000), st.integers(1, 80))
def test_files_keep_offsets_whatever_is_written(tmp_path_factory, texts, max_bytes, tail):
    folder = tmp_path_factory.mktemp("log")
    file = LogFile(folder, max_bytes)
    raws = [encode(LogLine(0, 0, float(number + 1), "s", text)) for number, text in enumerate(texts)]
    offsets = {}
    for number, raw in enumerate(raws):
        offsets[number] = file.end
        file.append([raw])
    lines = [line for line in read_lines(folder, 0, 10_000) if line.kind == "line"]
    assert all(offsets[int(line.at) - 1] == line.offset for line in lines)
    assert all(texts[int(line.at) - 1] == line.text for line in lines)
    if texts:
        assert lines[0].text == texts[0]
        assert lines[-1].text == texts[-1]
    assert LogFile(folder, max_bytes).end == sum(map(len, raws))
    last = [line for line in read_lines(folder, tail_offset(folder, tail), 10_000) if line.kind == "line"]
    assert last == lines[-tail:]
