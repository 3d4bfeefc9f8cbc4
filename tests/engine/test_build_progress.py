"""From BuildKit's messages to events, without an engine."""

import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.engine.build import BuildEvent, StepCached, StepDone, StepFailed, StepOutput, StepStarted
from bot.engine.build_errors import explain
from bot.engine.build_secrets import PlainReader
from bot.engine.buildkit import Status, Vertex, VertexLog, decode_status
from bot.engine.dockerignore import IgnoreRules
from bot.engine.progress import LINE_LIMIT, Progress


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def block(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def moment(seconds: int, nanos: int = 0) -> bytes:
    return number(1, seconds) + number(2, nanos)


def test_a_status_is_decoded() -> None:
    vertex = (
        block(1, b"sha256:a")
        + block(2, b"sha256:b")
        + block(2, b"sha256:c")
        + block(3, "[1/2] RUN ä".encode())
        + number(4, 1)
        + block(5, moment(1_700_000_000, 500_000_000))
        + block(6, moment(1_700_000_002))
        + block(7, b"wrong")
        + number(99, 7)
        + varint(50 << 3 | 1)
        + b"\0" * 8
        + varint(51 << 3 | 5)
        + b"\0" * 4
    )
    progress = block(1, b"layer") + block(2, b"sha256:a") + block(3, b"pull") + number(4, 5) + number(5, 10)
    entry = block(1, b"sha256:a") + block(2, moment(1_700_000_001)) + number(3, 2) + block(4, b"text \xff")
    status = decode_status(block(1, vertex) + block(2, progress) + block(3, entry) + block(4, b"a warning"))
    assert status.vertexes == [
        Vertex(
            digest="sha256:a",
            inputs=("sha256:b", "sha256:c"),
            name="[1/2] RUN ä",
            cached=True,
            started=1_700_000_000.5,
            completed=1_700_000_002.0,
            error="wrong",
        )
    ]
    assert [(one.id, one.current, one.total) for one in status.statuses] == [("layer", 5, 10)]
    assert status.logs == [VertexLog("sha256:a", 1_700_000_001.0, 2, b"text \xff")]


@given(st.binary(max_size=200))
def test_what_is_no_message_is_refused_in_one_way_only(raw: bytes) -> None:
    try:
        decode_status(raw)
    except ValueError:
        return


def vertex(name: str, start: float | None = None, end: float | None = None, **more: object) -> Vertex:
    values = {"digest": name, "inputs": (), "cached": False, "error": "", **more}
    return Vertex(name=name, started=start, completed=end, **values)  # type: ignore[arg-type]


def events_of(*messages: Status) -> list[BuildEvent]:
    events: list[BuildEvent] = []
    progress = Progress(events.append)
    for message in messages:
        progress.update(message)
    progress.finish()
    return events


def test_a_step_that_is_completed_twice_ends_once() -> None:
    copy = "[2/3] COPY . ."
    run = "[3/3] RUN true"
    events = events_of(
        Status([vertex(copy), vertex(run)]),
        Status([vertex(copy, 1.0, 1.125)]),
        Status([vertex(copy, 1.25)]),
        Status([vertex(copy, 1.25, 3.25)]),
        Status([vertex(run, 3.5, inputs=(copy,))]),
        Status([vertex(run, 3.5, 4.5, inputs=(copy,))]),
        Status([vertex(run, 3.5, 4.5, inputs=(copy,))]),
    )
    assert events == [
        StepStarted(copy, 1, 2),
        StepDone(copy, 2.125),
        StepStarted(run, 2, 2),
        StepDone(run, 1.0),
    ]


def test_a_step_that_is_found_in_the_cache_after_a_look() -> None:
    copy = "[2/2] COPY . ."
    events = events_of(Status([vertex(copy, 1.0, 1.1)]), Status([vertex(copy, 1.1, 1.1, cached=True)]))
    assert events == [StepStarted(copy, 1, 1), StepCached(copy)]


def test_work_of_buildkit_has_no_number() -> None:
    name = "[internal] load metadata for docker.io/library/x:1"
    assert events_of(Status([vertex(name, 1.0, 1.5)])) == [StepStarted(name, 0, 0), StepDone(name, 0.5)]


def test_the_step_that_failed_first_is_kept_and_not_those_that_it_cancelled() -> None:
    progress = Progress(lambda _: None)
    progress.update(Status([vertex("[a 1/2] RUN a", 1.0, 2.0, error="context canceled")]))
    progress.update(Status([vertex("[b 1/2] RUN b", 1.0, 2.0, error="exit code: 3")]))
    assert (progress.failed, progress.error) == ("[b 1/2] RUN b", "exit code: 3")


def test_a_name_is_one_short_line() -> None:
    events = events_of(Status([vertex("[1/1] RUN one \\\n  two\x1b" + "x" * 1000, 1.0)]))
    assert isinstance(events[0], StepStarted)
    assert events[0].step.startswith("[1/1] RUN one \\ two")
    assert len(events[0].step) == 300


@given(st.binary(max_size=300), st.lists(st.integers(1, 40), max_size=30))
def test_output_does_not_depend_on_where_it_is_cut(output: bytes, sizes: list[int]) -> None:
    def told(pieces: list[bytes]) -> list[str]:
        logs = [Status(logs=[VertexLog("a", 0.0, 1, piece)]) for piece in pieces]
        return [event.text for event in events_of(*logs) if isinstance(event, StepOutput)]

    pieces, place = [], 0
    for size in sizes:
        pieces.append(output[place : place + size])
        place += size
    pieces.append(output[place:])
    whole = told([output])
    assert told(pieces) == whole
    if b"\r" not in output:
        assert whole == output.decode("utf-8", "replace").removesuffix("\n").split("\n") or not output


@settings(deadline=None)
@given(st.integers(0, 5 * LINE_LIMIT), st.integers(500, 3 * LINE_LIMIT))
def test_endless_lines_are_split(length: int, size: int) -> None:
    text = b"x" * length
    pieces = [text[place : place + size] for place in range(0, length, size)]
    events = events_of(*(Status(logs=[VertexLog("a", 0.0, 2, piece)]) for piece in pieces))
    lines = [event for event in events if isinstance(event, StepOutput)]
    assert "".join(event.text for event in lines) == "x" * length
    assert all(len(event.text) <= LINE_LIMIT and event.stream == "stderr" for event in lines)


def test_both_streams_of_a_step_are_kept_apart() -> None:
    logs = [VertexLog("a", 0.0, 1, b"out "), VertexLog("a", 0.0, 2, b"err\n"), VertexLog("a", 0.0, 1, b"put\n")]
    events = events_of(Status([vertex("a", 1.0)], logs=logs))
    assert [(event.text, event.stream) for event in events if isinstance(event, StepOutput)] == [
        ("err", "stderr"),
        ("out put", "stdout"),
    ]


PLAIN = """#1 [internal] load remote build context
#1 sha256:e27fba5b369049a8542f46a29fcfb863457fe73910b0b306669ec455e07d8d38
#1 DONE 0.0s

#4 [1/4] FROM x:1
#4 sha256:f29e51fe249fe9053b600ce97cd1952e5e9d73f997e8a8cf5d84b8d9d0a2ec56
#4 CACHED

#5 [2/4] RUN make
#5 sha256:309af17ec9d6f07cba5f7f070f9cb5abceb770c77f0a53bfd6af6502da2243d9
#5 0.137 one
#5 0.137 {nothing}
#5 ...

#6 [3/4] COPY Dockerfile /x
#6 DONE 0.0s

#5 [2/4] RUN make
#5 1.139  #6 DONE 9.9s
#5 DONE 1.2s

#7 [4/4] RUN exit 4
#7 ERROR: executor failed running [/bin/sh -c exit 4]: exit code: 4
------
 > [4/4] RUN exit 4:
------
executor failed running [/bin/sh -c exit 4]: exit code: 4"""


def test_the_plain_output_of_the_client_is_read() -> None:
    events: list[BuildEvent] = []
    progress = Progress(events.append, once=True)
    reader = PlainReader(progress)
    for line in PLAIN.replace("{nothing}", "").split("\n"):
        reader.feed(line)
    ended = [
        replace(event, seconds=round(event.seconds, 3)) if isinstance(event, StepDone) else event for event in events
    ]
    assert [event for event in ended if not isinstance(event, StepStarted)] == [
        StepDone("[internal] load remote build context", 0.0),
        StepCached("[1/4] FROM x:1"),
        StepOutput("[2/4] RUN make", "one", "stdout"),
        StepOutput("[2/4] RUN make", "", "stdout"),
        StepDone("[3/4] COPY Dockerfile /x", 0.0),
        StepOutput("[2/4] RUN make", " #6 DONE 9.9s", "stdout"),
        StepDone("[2/4] RUN make", 1.2),
        StepFailed("[4/4] RUN exit 4", "executor failed running [/bin/sh -c exit 4]: exit code: 4"),
    ]
    assert progress.failed == "[4/4] RUN exit 4"
    assert reader.message.endswith("exit code: 4")


def test_buildx_marks_its_last_word() -> None:
    reader = PlainReader(Progress(lambda _: None))
    for line in ("Dockerfile:3", "   3 | >>> RUN exit 4", "ERROR: failed to solve: no space left on device", "View it"):
        reader.feed(line)
    assert reader.message == "failed to solve: no space left on device"


@pytest.mark.parametrize(
    ("message", "step", "reason"),
    [
        (
            'process "/bin/sh -c npm ci" did not complete successfully: exit code: 1',
            "[build 4/6] RUN npm ci",
            "`RUN npm ci` failed with exit code 1.",
        ),
        (
            "dockerfile parse error on line 7: unknown instruction: COPPY (did you mean COPY?)",
            None,
            "The Dockerfile is wrong in line 7: unknown instruction: COPPY (did you mean COPY?).",
        ),
        (
            "failed to solve: node:99: failed to resolve source metadata for docker.io/library/node:99: not found",
            None,
            "The base image node:99 does not exist in its registry.",
        ),
        (
            "failed to solve: failed to resolve source metadata for ghcr.io/a/b:1: denied",
            None,
            "The base image ghcr.io/a/b:1 does not exist, or its registry wants a login.",
        ),
        (
            'failed to solve: failed to compute cache key: failed to calculate checksum of ref x: "/a b": not found',
            "[2/3] COPY a b /",
            "The Dockerfile copies /a b (`COPY a b /`), which does not exist.",
        ),
        ("write /var/lib/docker/tmp/x: no space left on device", None, "There is no space left on the Docker host."),
        ("context canceled", None, "The build was cancelled."),
        ("something new", "[2/2] RUN x", "The build failed in `RUN x`: something new."),
        (
            "mkdir /var/lib/docker/overlay2/mmuewv8hn10cwc3x0cvqtwtpc/merged/etc/passwd: not a directory",
            "[3/3] WORKDIR /etc/passwd",
            "The build failed in `WORKDIR /etc/passwd`: mkdir /etc/passwd: not a directory.",
        ),
    ],
)
def test_messages_of_newer_engines_are_understood(message: str, step: str | None, reason: str) -> None:
    failure = explain(message, step, IgnoreRules(""))
    assert failure.reason == reason
    assert failure.step == step


def test_a_heredoc_is_thought_of() -> None:
    message = "dockerfile parse error line 3: unknown instruction: ECHO"
    assert "heredoc" in explain(message, None, IgnoreRules(""), "FROM x\nRUN <<EOF\necho\nEOF\n").fix
    assert "heredoc" not in explain(message, None, IgnoreRules(""), "FROM x\nRUN y\necho\n").fix


@pytest.mark.parametrize("words", ["secret ", "base name (", '"x', "--from=x "])
def test_a_command_of_a_megabyte_is_explained_at_once(words: str) -> None:
    """The command of a stranger's Dockerfile stands in the message and in the name of the step."""
    command = words * (1_000_000 // len(words))
    message = f'failed to solve: process "/bin/sh -c {command}" did not complete successfully: exit code: 3'
    began = time.perf_counter()
    failure = explain(message, f"[2/3] RUN {command}", IgnoreRules(""))
    assert time.perf_counter() - began < 1
    assert failure.exit_code == 3
    assert len(failure.reason) < 3_000
