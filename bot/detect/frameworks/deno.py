"""Frameworks that are Deno's own: rows are found by registry and name, ``x`` being deno.land/x."""

from __future__ import annotations

from bot.detect.frameworks.model import Framework

DENO: tuple[Framework, ...] = (
    Framework(
        "fresh",
        "deno",
        ("jsr:@fresh/core", "x:fresh"),
        supersedes=("preact", "vite", "hono", "react"),
        port=8000,
        weight=60,
    ),
    Framework(
        "oak",
        "deno",
        ("jsr:@oak/oak", "x:oak", "npm:@oak/oak"),
        port=8000,
        weight=30,
    ),
)
# packages of other registries that are the same as one of npm
SAME = {
    "jsr:@hono/hono": "hono",
    "x:hono": "hono",
    "jsr:@db/postgres": "postgres",
    "jsr:@db/mysql": "mysql",
    "jsr:@db/mongo": "mongodb",
    "jsr:@db/redis": "redis",
    "x:postgres": "postgres",
    "x:postgresjs": "postgres",
    "x:mysql": "mysql",
    "x:mongo": "mongodb",
    "x:redis": "redis",
}
