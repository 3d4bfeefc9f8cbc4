"""Repositories of Deno, traps included."""

from __future__ import annotations

import json
from typing import Any

from tests.detect.samples_basic import EXPRESS_SERVER, VITE_SCRIPTS, Sample, package

SERVE = 'Deno.serve((_request) => new Response("one"));\n'
HONO = (
    'import { Hono } from "hono";\nconst app = new Hono();\napp.get("/healthz", (c) => c.text("ok"));\n'
    'Deno.serve({ port: Number(Deno.env.get("PORT") ?? 8123) }, app.fetch);\n'
)
OAK = 'import { Application } from "jsr:@oak/oak@17";\nawait new Application().listen({ port: 8081 });\n'
FRESH_1 = {
    "tasks": {
        "start": "deno run -A --watch=static/,routes/ dev.ts",
        "build": "deno run -A dev.ts build",
        "preview": "deno run -A main.ts",
    },
    "imports": {"$fresh/": "https://deno.land/x/fresh@1.7.3/", "preact": "https://esm.sh/preact@10.22.0"},
}
LOCK = '{\n  "version": "5"\n}\n'


def config(tasks: dict[str, Any] | None = None, imports: dict[str, str] | None = None, **rest: Any) -> str:
    data = ({"tasks": tasks} if tasks else {}) | ({"imports": imports} if imports else {}) | rest
    return json.dumps(data, indent=2)


DENO: dict[str, Sample] = {
    "deno: without a manifest, others' modules by deps.ts": Sample(
        {
            "deps.ts": 'export { serve } from "https://deno.land/std@0.177.0/http/server.ts";\n',
            "mod.ts": 'import { serve } from "./deps.ts";\nserve(() => new Response("hi"), { port: 8080 });\n',
        },
        {"stack": "deno", "package_manager": "deno", "port": 8080},
    ),
    "deno: a lone main.ts": Sample(
        {"main.ts": SERVE},
        {
            "stack": "deno",
            "framework": None,
            "package_manager": "deno",
            "start_command": "deno run --allow-net --allow-env --allow-read main.ts",
            "port": 8000,
        },
    ),
    "deno: a lone server.ts with modules by URL": Sample(
        {
            "server.ts": 'import { serve } from "https://deno.land/std@0.140.0/http/server.ts";\n'
            'serve(() => new Response("one"), { port: 8088 });\n'
        },
        {"stack": "deno", "port": 8088},
    ),
    "deno: hono with a task": Sample(
        {
            "deno.json": config({"dev": "deno run --watch -A main.ts", "start": "deno run --allow-net -E main.ts"})[:-1]
            + ',\n  // packages\n  "imports": {"hono": "npm:hono@^4",},\n}',
            "deno.lock": LOCK,
            "main.ts": HONO,
        },
        {
            "stack": "deno",
            "framework": "hono",
            "package_manager": "deno",
            "start_command": "deno run --allow-net -E main.ts",
            "port": 8123,
            "health_path": "/healthz",
            "language_version": "2.9.6",
        },
    ),
    "deno: a development task is no start": Sample(
        {"deno.jsonc": config({"start": "deno run --watch -A main.ts"}, {"hono": "jsr:@hono/hono@4"}), "main.ts": HONO},
        {"framework": "hono", "start_command": "deno run --allow-net --allow-env --allow-read main.ts"},
    ),
    "deno: hono where Deno.serve has its usual port": Sample(
        {"main.ts": 'import { Hono } from "jsr:@hono/hono";\nDeno.serve(new Hono().fetch);\n'},
        {"framework": "hono", "port": 8000},
    ),
    "deno: a task without permissions": Sample(
        {"deno.json": config({"start": {"command": "deno run main.ts"}}), "main.ts": SERVE},
        {"start_command": "deno run --allow-net --allow-env --allow-read main.ts"},
    ),
    "deno: a task that calls another": Sample(
        {"deno.json": config({"start": "deno task serve:it", "serve:it": "deno serve -A app.ts"}), "app.ts": ""},
        {"start_command": "deno serve --port ${PORT} -A app.ts"},
    ),
    "deno: a default export is served": Sample(
        {"deno.json": "{}", "main.ts": "export default { fetch() { return new Response('one') } }\n"},
        {"start_command": "deno serve --port ${PORT} --allow-net --allow-env --allow-read main.ts"},
    ),
    "deno: oak": Sample(
        {"main.ts": OAK, "deno.json": config()},
        {"stack": "deno", "framework": "oak", "port": 8081},
    ),
    "deno: oak of deno.land by deps.ts": Sample(
        {
            "server.ts": 'import { Application } from "./deps.ts";\nnew Application().listen({ port: 8000 });\n'
            'console.log(Deno.env.get("X"));\n',
            "deps.ts": 'export { Application } from "https://deno.land/x/oak@v12.6.1/mod.ts";\n',
        },
        {"stack": "deno", "framework": "oak"},
    ),
    "deno: oak in an import map": Sample(
        {
            "deno.json": config(importMap="./import_map.json"),
            "import_map.json": json.dumps({"imports": {"oak": "https://deno.land/x/oak@v12.6.1/mod.ts"}}),
            "src/main.ts": 'import { Application } from "oak";\nnew Application().listen({ port: 9000 });\n',
        },
        {"framework": "oak", "port": 9000},
    ),
    "deno: an import map alone": Sample(
        {
            "import_map.json": json.dumps({"imports": {"oak": "https://deno.land/x/oak@v12.6.1/mod.ts"}}),
            "server.ts": 'import { Application } from "oak";\nnew Application().listen({ port: 9000 });\n',
        },
        {
            "stack": "deno",
            "framework": "oak",
            "start_command": "deno run --allow-net --allow-env --allow-read --import-map=import_map.json server.ts",
        },
    ),
    "deno: fresh 1": Sample(
        {
            "deno.json": json.dumps(FRESH_1),
            "main.ts": 'import { start } from "$fresh/server.ts";\nimport manifest from "./fresh.gen.ts";\n'
            "await start(manifest);\n",
            "dev.ts": "",
            "fresh.gen.ts": "export default {};\n",
            "routes/index.tsx": "",
        },
        {
            "stack": "deno",
            "framework": "fresh",
            "start_command": "deno run -A main.ts",
            "build_command": "deno task build",
            "port": 8000,
        },
    ),
    "deno: fresh 2 on vite": Sample(
        {
            "deno.json": config(
                {"dev": "vite", "build": "vite build", "start": "deno serve -A _fresh/server.js"},
                {"fresh": "jsr:@fresh/core@^2.0.0", "vite": "npm:vite@^7", "preact": "npm:preact@^10"},
                nodeModulesDir="manual",
            ),
            "main.ts": 'import { App } from "fresh";\nexport const app = new App();\n',
            "vite.config.ts": "",
        },
        {"framework": "fresh", "start_command": "deno serve --port ${PORT} -A _fresh/server.js"},
    ),
    "deno: express of npm": Sample(
        {
            "deno.json": config(imports={"express": "npm:express@4"}),
            "main.ts": 'import express from "express";\nexpress().listen(Number(Deno.env.get("PORT")) || 3000);\n',
        },
        {
            "framework": "express",
            "port": 3000,
            "start_command": "deno run --allow-net --allow-env --allow-read --allow-sys main.ts",
        },
    ),
    "deno: a package.json beside it, started by Deno": Sample(
        {
            "package.json": package({"hono": "4"}, scripts={"start": "deno run -A main.ts"}),
            "deno.json": config(),
            "main.ts": HONO,
        },
        {"stack": "deno", "framework": "hono"},
    ),
    "deno: a package.json beside it, tasks of Deno": Sample(
        {
            "package.json": package({"express": "4"}),
            "deno.json": config({"start": "deno run -A main.ts"}),
            "main.ts": 'import express from "express";\nexpress().listen(Deno.env.get("PORT"));\n',
        },
        {"stack": "deno", "framework": "express", "start_command": "deno run -A main.ts"},
    ),
    "deno: only formats a project of Node.js": Sample(
        {
            "package.json": package({"express": "4"}, scripts={"start": "node server.js"}),
            "deno.json": config({"fmt": "deno fmt", "lint": "deno lint"}),
            "server.js": EXPRESS_SERVER,
        },
        {"stack": "node", "framework": "express", "package_manager": "npm"},
    ),
    "deno: a package that is published for it as well": Sample(
        {
            "package.json": package({"react": "18"}, dev={"vite": "5"}, scripts=VITE_SCRIPTS),
            "deno.json": json.dumps({"name": "@x/y", "exports": "./mod.ts"}),
            "mod.ts": "export const deno = typeof Deno !== 'undefined';\n",
            "index.html": "",
        },
        {"stack": "node", "framework": "react"},
    ),
    "deno: functions of Supabase in a project of Node.js": Sample(
        {
            "package.json": package({"next": "15", "react": "19"}),
            "supabase/functions/hello/index.ts": 'import { serve } from "https://deno.land/std/http/server.ts";\n',
            "supabase/functions/deno.json": "{}",
        },
        {"stack": "node", "framework": "next.js"},
    ),
    "deno: TypeScript of Node.js without a manifest": Sample(
        {"main.ts": "import express from 'express'\nexpress().listen(3000)\n"}, {"stack": "node"}
    ),
    "deno: a script of a browser with modules by URL": Sample(
        {"index.html": "", "main.js": 'import x from "https://esm.sh/canvas-confetti";\nx();\n'}, {"stack": "static"}
    ),
    "deno: a library": Sample(
        {"deno.json": json.dumps({"name": "@x/y", "exports": "./mod.ts"}), "mod.ts": "export const x = 1;\n"},
        {"stack": "deno", "framework": None, "package_manager": "deno", "facts": None},
    ),
    "deno: a workspace": Sample(
        {
            "deno.json": json.dumps({"workspace": ["./lib", "./api"]}),
            "deno.lock": LOCK,
            "lib/deno.json": json.dumps({"name": "@x/lib", "exports": "./mod.ts"}),
            "lib/mod.ts": "export const x = 1;\n",
            "api/deno.json": config({"start": "deno run -A main.ts"}, {"hono": "npm:hono@4"}),
            "api/main.ts": HONO,
        },
        {"stack": "deno", "framework": "hono", "start_command": "deno run -A main.ts"},
    ),
    "deno: an older release": Sample(
        {".dvmrc": "1.40.2\n", "main.ts": 'import "npm:chalk@5";\n' + SERVE}, {"language_version": "1.40.2"}
    ),
    "deno: a line of releases": Sample(
        {".tool-versions": "deno 2.1\n", "main.ts": SERVE}, {"language_version": "2.1.10"}
    ),
    "deno: pages by lume": Sample(
        {
            "deno.json": config(
                {"build": "deno task lume", "serve": "deno task lume -s", "lume": "echo x | deno run -A -"},
                {"lume/": "https://deno.land/x/lume@v2.4.0/"},
            ),
            "_config.ts": 'import lume from "lume/mod.ts";\nexport default lume();\n',
            "index.md": "one",
        },
        {"stack": "deno", "framework": None, "output_dir": "_site", "start_command": None},
    ),
    "deno: a front end by vite": Sample(
        {
            "deno.json": config(
                {
                    "dev": "deno run -A npm:vite",
                    "build": "deno run -A npm:vite build",
                    "preview": "deno run -A npm:vite preview",
                },
                {"vite": "npm:vite@6", "react": "npm:react@19"},
            ),
            "index.html": "",
            "src/main.tsx": "",
        },
        {"stack": "deno", "framework": "react", "output_dir": "dist", "start_command": None, "port": 8080},
    ),
    "deno: what the code does is allowed": Sample(
        {"main.ts": "const kv = await Deno.openKv();\nawait Deno.writeTextFile('x', 'y');\n" + SERVE},
        {"start_command": "deno run --allow-net --allow-env --allow-read --allow-write --unstable-kv main.ts"},
    ),
    "deno: broken configuration": Sample({"deno.json": "{ tasks", "main.ts": SERVE}, {"stack": "deno"}),
    "deno: hostile names": Sample(
        {
            "deno.json": json.dumps(
                {
                    "workspace": ["../../etc", "$(id)", "./a b"],
                    "importMap": "../../x.json",
                    "tasks": {"start": "deno run -A 'x\"; id #.ts' && $(id)"},
                }
            ),
            "main.ts": SERVE,
        },
        {"stack": "deno"},
    ),
    "deno: in a folder": Sample({"README.md": "", "api/deno.json": "{}", "api/main.ts": SERVE}, {"root": "api"}),
}
