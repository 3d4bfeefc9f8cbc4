"""Applications of Node.js that are really built: what its frameworks write, and what workspaces need."""

from __future__ import annotations

import json

from tests.detect.samples_basic import package
from tests.generate.stacks import Application, Applications
from tests.generate.stacks_go import BUILD, FRONT_END

IMAGES = ("node:22-slim",)
EXPRESS = (
    "const express = require('express');\nconst path = require('path');\nconst app = express();\n"
    "app.use(express.static(path.join(__dirname, 'web', 'dist')));\napp.listen(process.env.PORT || 5000);\n"
)
# a compiled program: CommonJS, with decorators
_TSCONFIG = {
    "module": "commonjs",
    "target": "ES2022",
    "outDir": "dist",
    "skipLibCheck": True,
    "emitDecoratorMetadata": True,
    "experimentalDecorators": True,
}
APPLICATIONS: Applications = {
    "express below a root that installs, builds and starts": Application(
        IMAGES,
        {
            "package.json": package(
                scripts={
                    "build": "npm install --prefix server && npm install --prefix web && npm run build --prefix web",
                    "start": "npm run start --prefix server",
                }
            ),
            "server/package.json": package({"express": "4.21.1"}, scripts={"start": "node server.js"}),
            "server/server.js": EXPRESS.replace("'web'", "'../web'"),
            "web/package.json": FRONT_END,
            "web/build.mjs": BUILD,
            "web/page.html": "one",
        },
    ),
    "express with a front end in a folder": (
        IMAGES,
        {
            "package.json": package(
                {"express": "4.21.1"},
                scripts={"start": "node server.js", "heroku-postbuild": "cd web && npm install && npm run build"},
            ),
            "server.js": EXPRESS,
            "web/package.json": FRONT_END,
            "web/build.mjs": BUILD,
            "web/page.html": "one",
        },
    ),
    "nestjs": (
        IMAGES,
        {
            "package.json": package(
                {
                    "@nestjs/common": "11.0.11",
                    "@nestjs/core": "11.0.11",
                    "@nestjs/platform-express": "11.0.11",
                    "reflect-metadata": "0.2.2",
                    "rxjs": "7.8.2",
                },
                dev={"typescript": "5.6.3", "@types/node": "22.9.0"},
                scripts={"build": "tsc", "start": "node dist/main", "start:prod": "node dist/main"},
            ),
            "tsconfig.json": json.dumps({"compilerOptions": _TSCONFIG, "include": ["src"]}),
            "src/main.ts": "import 'reflect-metadata';\nimport { Controller, Get, Module } from '@nestjs/common';\n"
            "import { NestFactory } from '@nestjs/core';\n@Controller()\nclass Shop {\n "
            " @Get()\n  index() { return 'one'; }\n}\n"
            "@Module({ controllers: [Shop] })\nclass AppModule {}\n"
            "NestFactory.create(AppModule).then((app) => {\n  app.enableShutdownHooks();\n"
            "  return app.listen(process.env.PORT ?? 3000);\n});\n",
        },
    ),
    "express in a workspace of pnpm": (
        IMAGES,
        {
            "package.json": package(
                dev={"typescript": "5.6.3"}, scripts={"prepare": "husky || true"}, packageManager="pnpm@9.12.3"
            ),
            "pnpm-workspace.yaml": "packages:\n  - apps/*\n  - packages/*\n",
            "apps/shop/package.json": json.dumps(
                {
                    "name": "shop",
                    "dependencies": {"express": "4.21.1", "@shop/text": "workspace:*"},
                    "devDependencies": {"typescript": "5.6.3", "@types/node": "22.9.0"},
                    "scripts": {"build": "tsc", "start": "node dist/server.js"},
                }
            ),
            "apps/shop/tsconfig.json": json.dumps({"compilerOptions": _TSCONFIG, "include": ["src"]}),
            "apps/shop/src/server.ts": "// @ts-nocheck\nconst { text } = require('@shop/text');\n"
            "const app = require('express')();\napp.get('/', (request, reply) => reply.send(text));\n"
            "app.listen(process.env.PORT || 3000);\n",
            "packages/text/package.json": json.dumps(
                {"name": "@shop/text", "main": "index.js", "dependencies": {"ms": "2.1.3"}}
            ),
            "packages/text/index.js": "exports.text = 'one ' + require('ms')('1s');\n",
        },
    ),
    "koa by Yarn 4": (
        IMAGES,
        {
            "package.json": package(
                {"koa": "2.15.3"},
                dev={"prettier": "3.3.3"},
                scripts={"start": "node index.js"},
                packageManager="yarn@4.5.3",
            ),
            "index.js": "const Koa = require('koa');\nconst app = new Koa();\n"
            "app.use((context) => { context.body = 'one'; });\napp.listen(process.env.PORT || 3000);\n",
        },
    ),
    "sveltekit": (
        IMAGES,
        {
            "package.json": package(
                dev={
                    "@sveltejs/adapter-node": "5.2.9",
                    "@sveltejs/kit": "2.8.1",
                    "@sveltejs/vite-plugin-svelte": "4.0.1",
                    "svelte": "5.2.0",
                    "vite": "5.4.11",
                },
                scripts={"build": "vite build", "prepare": "svelte-kit sync || echo ''"},
                type="module",
            ),
            "svelte.config.js": "import adapter from '@sveltejs/adapter-node';\n"
            "export default { kit: { adapter: adapter() } };\n",
            "vite.config.js": "import { sveltekit } from '@sveltejs/kit/vite';\nexport "
            "default { plugins: [sveltekit()] };\n",
            "src/app.html": "<!doctype html><html><head>%sveltekit.head%</head><body>%sveltekit.body%</body></html>\n",
            "src/routes/+page.svelte": "<h1>one</h1>\n",
        },
    ),
    "next.js, standalone": (
        IMAGES,
        {
            "package.json": package(
                {"next": "15.1.6", "react": "19.0.0", "react-dom": "19.0.0"},
                dev={"prettier": "3.3.3"},
                scripts={"build": "next build", "start": "next start"},
            ),
            "next.config.js": "module.exports = { output: 'standalone' };\n",
            "app/layout.js": "export default function Layout({ children }) {\n"
            "  return <html lang='en'><body>{children}</body></html>;\n}\n",
            "app/page.js": "export default function Page() {\n  return <h1>one</h1>;\n}\n",
            "public/robots.txt": "User-agent: *\n",
        },
    ),
    "nuxt": Application(
        IMAGES,
        {
            "package.json": package(
                # without vue, whose pinned version would lie beside the newer one that this nuxt brings
                {"nuxt": "3.14.1592"},
                scripts={"build": "nuxt build", "postinstall": "nuxt prepare"},
                type="module",
            ),
            "nuxt.config.ts": "export default defineNuxtConfig({ compatibilityDate: "
            "'2024-11-01', telemetry: false });\n",
            "app.vue": "<template>\n  <h1>one</h1>\n</template>\n",
        },
        source="app.vue",
    ),
}
