"""The reader of Dockerfiles."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.detect import Repository, detect, dockerfile
from bot.detect.dockerfile import base_port, environment_port, expand, parse, ports, runnable, runs_as_root


def test_instructions_keep_their_lines_and_text() -> None:
    parsed = parse(
        "# escape=`\n# a comment\n\nARG V=1\nfrom a:$V as Base\nRun one `\n\n  # in between\n  two\n"
        "COPY <<EOF /x\nFROM evil\nEOF\n"
        'RUN python3 <<"END" && true\nUSER evil\nEND\nCMD ["x"]\n'
    )
    assert parsed.problems == []
    assert [(stage.base, stage.name, stage.line) for stage in parsed.stages] == [("a:1", "Base", 5)]
    assert [(one.name, one.line) for one in parsed.stages[0].instructions] == [
        ("RUN", 6),
        ("COPY", 10),
        ("RUN", 13),
        ("CMD", 16),
    ]
    assert parsed.stages[0].instructions[0].text == "one two"


@pytest.mark.parametrize(
    "line", ['RUN echo "<<A"', 'CMD ["<<A"]', "RUN a << B", "RUN x<<A", 'RUN ["sh", "-c", " <<A "]', "USER <<A"]
)
def test_what_is_no_here_document(line: str) -> None:
    parsed = parse(f"FROM a\n{line}\nUSER 5\n")
    assert parsed.final
    assert [one.name for one in parsed.final.instructions][-1] == "USER"
    assert len(parsed.final.instructions) == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM a\nEXPOSE 80", [80]),
        ("FROM a\nEXPOSE 53/udp 80/tcp 81", [80, 81]),
        ("FROM a\nEXPOSE 3001/udp\nEXPOSE \\\n 3000", [3000]),
        ("ARG P=8080\nFROM a\nARG P=9090\nEXPOSE ${P}", [9090]),
        ("FROM a\nENV P=7000 Q=1\nEXPOSE $P", [7000]),
        ("FROM a\nENV P 7000\nEXPOSE $P/tcp", [7000]),
        ("FROM a AS x\nEXPOSE 80\nFROM b\nEXPOSE 81", [81]),
        ("FROM a AS x\nEXPOSE 80\nFROM x", [80]),
        ("FROM a\nEXPOSE 8000-8010", [8000]),
        ("FROM a\nEXPOSE $UNKNOWN 99999 x", []),
        ("", []),
    ],
)
def test_ports(text: str, expected: list[int]) -> None:
    assert [port for port, _ in ports(parse(text))] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM nginx", (80, "nginx", 1)),
        ("FROM berth.local/nginx:stable", (80, "nginx", 1)),
        ("# x\nFROM docker.io/library/php:8.3-apache AS a\nFROM a", (80, "php", 2)),
        ("FROM node:22 AS build\nFROM nginxinc/nginx-unprivileged@sha256:12", (8080, "nginx-unprivileged", 2)),
        ("FROM nginx AS a\nFROM debian\nCOPY --from=a / /", None),
        ("FROM php:8-fpm", None),
        ("FROM node:22", None),
        ("", None),
    ],
)
def test_port_of_a_well_known_base(text: str, expected: tuple[int, str, int] | None) -> None:
    assert base_port(parse(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM debian", False),
        ("FROM debian\nCMD []", False),
        ("FROM debian\nCMD x", True),
        ('FROM node:22\nENTRYPOINT ["x"]', True),
        ("FROM docker.io/library/node:22-slim", False),
        ("FROM scratch", False),
        ("FROM php:8-apache", True),
        ("FROM php:8-fpm", False),
        ("FROM nginx:alpine", True),
        ("FROM ghcr.io/a/b@sha256:12", True),
        ("FROM debian AS a\nCMD x\nFROM a", True),
        ("FROM debian AS a\nCMD x\nFROM debian", False),
        ("", False),
    ],
)
def test_whether_there_is_something_to_run(text: str, expected: bool) -> None:
    assert runnable(parse(text)) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("FROM a", True), ("FROM a\nUSER root", True), ("FROM a\nUSER 0:0", True), ("FROM a\nUSER app", False)],
)
def test_whether_it_runs_as_root(text: str, expected: bool) -> None:
    assert runs_as_root(parse(text)) is expected


def test_the_port_of_the_environment() -> None:
    assert environment_port(parse("FROM a\nENV PORT=3000\nENV A=1 PORT=4000\n")) == (4000, 3)
    assert environment_port(parse("FROM a\nENV PORT=$X\n")) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$A", "1"),
        ("${A}", "1"),
        ("${B:-2}", "2"),
        ("${A:-2}", "1"),
        ("${A:+3}", "3"),
        ("${B:+3}", ""),
        ("x$B", "x"),
        ("$$", "$$"),
    ],
)
def test_variables(text: str, expected: str) -> None:
    assert expand(text, {"A": "1"}) == expected


def test_problems_are_named() -> None:
    assert parse("").problems == ["no FROM"]
    assert parse("RUN x\nFROM a").problems == ["line 1: RUN before the first FROM"]
    assert parse("FROM\n").problems == ["line 1: FROM without an image", "no FROM"]
    assert dockerfile.parse("FROM a\n" + "RUN x\n" * 3000).problems == ["more than 2000 instructions"]


@pytest.mark.parametrize(
    ("text", "says"),
    [("FROM a\nCMD x\n", "one stage, from a"), ("FROM a AS b\nFROM c\nCMD x\n", "2 stages, the last one from c")],
)
def test_the_evidence_counts_the_stages(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "Dockerfile").write_text(text)
    assert detect(Repository.from_directory(tmp_path)).evidence[0].says == says
