"""Programs of Deno that are really built. Those with packages of JSR need its registry, so these take npm's."""

from __future__ import annotations

import json

from tests.generate.stacks import Application, Applications

IMAGES = ("denoland/deno:debian-2.9.6",)
HONO = {
    "specifiers": {"npm:hono@4.6.20": "4.6.20"},
    "npm": {
        "hono@4.6.20": {
            "integrity": "sha512-5qfNQeaIptMaJKyoJ6N/q4gIq0DBp2FCRaLNuUI3LlJK"
            "L4S37DY/rLL1uAxA4wrPB39tJ3s+f7kgI79O4ScSug=="
        }
    },
    "workspace": {"dependencies": ["npm:hono@4.6.20"]},
}

APPLICATIONS: Applications = {
    "deno": (IMAGES, {"main.ts": 'Deno.serve({ port: 8123 }, () => new Response("one"));\n'}),
    "deno, a default export": (
        IMAGES,
        {"deno.json": "{}\n", "main.ts": 'export default { fetch: () => new Response("one") };\n'},
    ),
    "deno, hono with a lock": (
        IMAGES,
        {
            "deno.json": json.dumps(
                {
                    "tasks": {
                        "dev": "deno run --watch -A main.ts",
                        "start": "deno run --allow-net --allow-env main.ts",
                    },
                    "imports": {"hono": "npm:hono@4.6.20"},
                }
            ),
            "deno.lock": json.dumps({"version": "5", **HONO}),
            "main.ts": 'import { Hono } from "hono";\nconst app = new Hono();\napp.get("/", (c) => c.text("one"));\n'
            'Deno.serve({ port: Number(Deno.env.get("PORT") ?? 8000) }, app.fetch);\n',
        },
    ),
    "deno, express of npm": (
        IMAGES,
        {
            "main.ts": 'import express from "npm:express@4.21.2";\n'
            'express().get("/", (_request, answer) => answer.send("one")).listen(Number(Deno.env.get("PORT")));\n'
        },
    ),
    "deno, pages of a task": Application(
        IMAGES,
        {
            "deno.json": json.dumps(
                {"tasks": {"build": "deno run -A build.ts"}, "imports": {"lume/": "https://deno.land/x/lume@v2.4.0/"}}
            ),
            "build.ts": "await Deno.mkdir('_site');\nawait Deno.writeTextFile('_site/index.html', 'one');\n",
        },
        compiled=True,
    ),
    "fresh": Application(
        IMAGES,
        {
            "deno.json": json.dumps(
                {
                    "tasks": {"build": "deno run -A dev.ts build", "start": "deno serve -A _fresh/server.js"},
                    "imports": {"fresh": "jsr:@fresh/core@^2.0.0", "preact": "npm:preact@^10.26.0"},
                }
            ),
            "dev.ts": 'import { Builder } from "fresh/dev";\nawait new Builder().build();\n',
            "main.ts": 'import { App } from "fresh";\n'
            'export const app = new App().get("/", () => new Response("one"));\n',
        },
        not_built="packages of JSR cannot be had without its registry",
    ),
    "oak": Application(
        IMAGES,
        {
            "main.ts": 'import { Application } from "jsr:@oak/oak@17";\nconst app = new Application();\n'
            'app.use((context) => { context.response.body = "one"; });\n'
            'await app.listen({ port: Number(Deno.env.get("PORT") ?? 8000) });\n'
        },
        not_built="packages of JSR cannot be had without its registry",
    ),
}
