"""What Bun runs, and what it only installs."""

from __future__ import annotations

from tests.detect.samples_basic import EXPRESS_SERVER, VITE_SCRIPTS, Sample, package

SERVE = 'Bun.serve({\n  port: process.env.PORT ?? 3456,\n  fetch: () => new Response("one"),\n});\n'
ELYSIA = 'import { Elysia } from "elysia";\n\nnew Elysia().get("/", () => "one").listen(3000);\n'
HONO = 'import { Hono } from "hono";\n\nconst app = new Hono();\n\nexport default app;\n'
LOCK = '{\n  "lockfileVersion": 1,\n  "workspaces": {}\n}\n'
TYPES = {"@types/bun": "latest"}

BUN: dict[str, Sample] = {
    "bun: as `bun init` begins it, in a workspace": Sample(
        {
            "package.json": package(
                {"pkg-b": "workspace:*"}, module="index.ts", type="module", workspaces=["packages/*"]
            ),
            "bun.lock": "{}\n",
            "index.ts": "import { b } from 'pkg-b'\nconsole.log(b)\n",
            "packages/pkg-b/package.json": package(module="index.ts"),
        },
        {"stack": "bun", "framework": None, "package_manager": "bun"},
    ),
    "bun: only its lock, with scripts for Node": Sample(
        {
            "package.json": package(scripts={"start": "node index.js"}, module="index.ts"),
            "bun.lock": "{}\n",
            "index.ts": "",
            "index.js": "require('http').createServer().listen(3000)\n",
        },
        {"stack": "node", "package_manager": "bun"},
    ),
    "bun: elysia": Sample(
        {
            "package.json": package(
                {"elysia": "latest"}, dev={"bun-types": "latest"}, scripts={"dev": "bun run --watch src/index.ts"}
            ),
            "bun.lockb": b"\0\1",
            "src/index.ts": ELYSIA,
        },
        {
            "stack": "bun",
            "framework": "elysia",
            "package_manager": "bun",
            "start_command": "bun run src/index.ts",
            "port": 3000,
            "language_version": "1",
        },
    ),
    "bun: hono as the default export": Sample(
        {"package.json": package({"hono": "4"}), "bun.lock": LOCK, "src/index.ts": HONO},
        {"stack": "bun", "framework": "hono", "start_command": "bun run src/index.ts"},
    ),
    "bun: its own interface": Sample(
        {
            "package.json": package(
                dev=TYPES, module="index.ts", scripts={"start": "NODE_ENV=production bun index.ts"}
            ),
            "bun.lock": LOCK,
            "index.ts": SERVE,
        },
        {
            "stack": "bun",
            "framework": None,
            "package_manager": "bun",
            "port": 3456,
            "start_command": "NODE_ENV=production bun index.ts",
        },
    ),
    "bun: no lockfile": Sample(
        {
            "package.json": package({"express": "4"}, scripts={"start": "bun run server.js"}),
            "server.js": EXPRESS_SERVER,
        },
        {"stack": "bun", "framework": "express", "package_manager": "bun", "start_command": "bun run server.js"},
    ),
    "bun: built first": Sample(
        {
            "package.json": package(
                {"elysia": "1"},
                scripts={"build": "bun build src/index.ts --outdir dist --target bun", "start": "bun dist/index.js"},
                packageManager="bun@1.2.5",
            ),
            "bun.lock": LOCK,
            "src/index.ts": ELYSIA,
        },
        {
            "stack": "bun",
            "build_command": "bun run build",
            "start_command": "bun dist/index.js",
            "language_version": "1.2.5",
        },
    ),
    "bun: a script before the start": Sample(
        {
            "package.json": package(
                {"elysia": "1"}, scripts={"prestart": "bun migrate.ts", "start": "bun --hot src/index.ts"}
            ),
            "src/index.ts": ELYSIA,
        },
        {"stack": "bun", "start_command": "bun run start"},
    ),
    "bun: a front end that it serves": Sample(
        {
            "package.json": package(
                {"react": "19", "react-dom": "19"},
                dev=TYPES,
                scripts={"dev": "bun --hot src/index.tsx", "start": "NODE_ENV=production bun src/index.tsx"},
            ),
            "bun.lock": LOCK,
            "src/index.tsx": 'import { serve } from "bun";\nimport index from "./index.html";\n'
            'serve({ routes: { "/*": index } });\n',
            "src/index.html": "",
        },
        {"stack": "bun", "framework": "react", "start_command": "NODE_ENV=production bun src/index.tsx"},
    ),
    "bun: express without scripts": Sample(
        {
            "package.json": package({"express": "4"}, dev=TYPES, module="index.ts"),
            "bun.lock": LOCK,
            "index.ts": EXPRESS_SERVER,
        },
        {"stack": "bun", "framework": "express", "start_command": "bun run index.ts"},
    ),
    "bun: without a manifest": Sample(
        {"index.ts": SERVE},
        {"stack": "bun", "package_manager": "bun", "start_command": "bun run index.ts", "port": 3456},
    ),
    "bun: only installs for next": Sample(
        {
            "package.json": package({"next": "15", "react": "19"}, dev=TYPES, scripts={"start": "next start"}),
            "bun.lock": LOCK,
        },
        {"stack": "node", "framework": "next.js", "package_manager": "bun"},
    ),
    "bun: only installs for vite": Sample(
        {
            "package.json": package({"react": "18"}, dev={"vite": "5", **TYPES}, scripts=VITE_SCRIPTS),
            "bun.lockb": b"",
            "index.html": "",
        },
        {"stack": "node", "framework": "react", "package_manager": "bun", "output_dir": "dist"},
    ),
    "bun: only installs for express": Sample(
        {
            "package.json": package({"express": "4"}, scripts={"start": "node server.js"}),
            "bun.lock": LOCK,
            "server.js": EXPRESS_SERVER,
        },
        {"stack": "node", "framework": "express", "package_manager": "bun", "start_command": "node server.js"},
    ),
    "bun: types beside a start by node": Sample(
        {
            "package.json": package({"fastify": "5"}, dev=TYPES, scripts={"start": "tsx src/index.ts"}),
            "src/index.ts": "import f from 'fastify'\nf().listen({ port: 3000 })\n",
        },
        {"stack": "node", "framework": "fastify"},
    ),
    "bun: hono of Cloudflare": Sample(
        {
            "package.json": package({"hono": "4"}, dev={"wrangler": "3"}, scripts={"dev": "wrangler dev"}),
            "bun.lock": LOCK,
            "src/index.ts": HONO,
        },
        {"stack": "node", "framework": "hono"},
    ),
    "bun: hono on node": Sample(
        {
            "package.json": package({"hono": "4", "@hono/node-server": "1"}, dev={"tsx": "4"}),
            "bun.lock": LOCK,
            "src/index.ts": "import { serve } from '@hono/node-server'\nimport { Hono } from 'hono'\n"
            "serve({ fetch: new Hono().fetch, port: 3000 })\n",
        },
        {"stack": "node", "framework": "hono"},
    ),
    "bun: elysia on node": Sample(
        {
            "package.json": package({"elysia": "1", "@elysiajs/node": "1"}, scripts={"dev": "tsx watch src/index.ts"}),
            "src/index.ts": "import { Elysia } from 'elysia'\nnew Elysia().listen(3000)\n",
        },
        {"stack": "node", "framework": "elysia"},
    ),
    "bun: the Procfile starts it": Sample(
        {
            "package.json": package({"express": "4"}, scripts={"start": "node server.js"}),
            "Procfile": "web: bun run server.js\n",
            "server.js": EXPRESS_SERVER,
        },
        {"stack": "bun", "start_command": "bun run server.js"},
    ),
    "bun: bunfig.toml runs scripts": Sample(
        {
            "package.json": package({"fastify": "5"}, main="index.ts"),
            "bunfig.toml": "[run]\nbun = true\n",
            "index.ts": "import f from 'fastify'\nf().listen({ port: 3000 })\n",
        },
        {"stack": "bun", "framework": "fastify"},
    ),
    "bun: a line of releases": Sample(
        {"package.json": package({"elysia": "1"}), ".bun-version": "1.2\n", "src/index.ts": ELYSIA},
        {"stack": "bun", "language_version": "1.2"},
    ),
    "bun: other lockfiles beside it": Sample(
        {
            "package.json": package({"elysia": "1"}),
            "package-lock.json": '{"lockfileVersion": 3}\n',
            "src/index.ts": ELYSIA,
        },
        {"stack": "bun", "package_manager": "npm", "start_command": "bun run src/index.ts"},
    ),
    "bun: pnpm installs and Bun builds": Sample(
        {
            "package.json": package(
                {"elysia": "1"},
                scripts={"build": "bun build src/index.ts --outdir dist", "start": "bun dist/index.js"},
                packageManager="pnpm@9.1.0",
            ),
            "pnpm-lock.yaml": "lockfileVersion: '9.0'\n",
            "src/index.ts": ELYSIA,
        },
        {"stack": "bun", "package_manager": "pnpm", "build_command": "bun run build"},
    ),
}
