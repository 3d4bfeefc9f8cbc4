"""Programs of Bun that are really built."""

from __future__ import annotations

import json

from tests.generate.stacks import Applications

IMAGES = ("oven/bun:1-slim",)

APPLICATIONS: Applications = {
    "bun": (IMAGES, {"index.ts": 'Bun.serve({ port: Bun.env.PORT ?? 3000, fetch: () => new Response("one") });\n'}),
    "elysia": (
        IMAGES,
        {
            "package.json": json.dumps(
                {
                    "name": "shop",
                    "scripts": {"dev": "bun run --watch src/index.ts"},
                    "dependencies": {"elysia": "1.2.25"},
                    "devDependencies": {"bun-types": "1.2.5"},
                }
            ),
            "src/index.ts": 'import { Elysia } from "elysia";\n\n'
            'new Elysia().get("/", () => "one").listen(process.env.PORT ?? 3000);\n',
        },
    ),
    "bun, hono that is bundled": (
        IMAGES,
        {
            "package.json": json.dumps(
                {
                    "name": "shop",
                    "scripts": {
                        "build": "bun build src/index.ts --target bun --outdir dist",
                        "start": "bun dist/index.js",
                    },
                    "dependencies": {"hono": "4.6.20"},
                }
            ),
            "src/index.ts": 'import { Hono } from "hono";\n\nconst app = new Hono();\n'
            'app.get("/", (c) => c.text("one"));\n\n'
            "export default { port: process.env.PORT ?? 3000, fetch: app.fetch };\n",
        },
    ),
}
