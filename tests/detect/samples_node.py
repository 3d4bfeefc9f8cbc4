"""Node repositories as their generators lay them out, and traps."""

from __future__ import annotations

import json

from tests.detect.samples_basic import EXPRESS_SERVER, HTTP_SERVER, NPM_LOCK, VITE_SCRIPTS, Sample, package

PAGE = "<!doctype html><div id=root></div><script type=module src=/src/main.ts></script>"
FILES = {"stack": "node", "port": 8080, "start_command": None}
PAGES = FILES | {"spa_fallback": False}
APP = FILES | {"spa_fallback": True}
SERVER = {"stack": "node", "output_dir": None}


def _express(port: int = 3000) -> str:
    return f"const express = require('express')\nconst app = express()\napp.listen(process.env.PORT || {port})\n"


def _workspace(manager: str, members: dict[str, str], **rest: object) -> dict[str, str | bytes]:
    root = package(workspaces=["apps/*", "packages/*"], **rest)  # type: ignore[arg-type]
    files: dict[str, str | bytes] = {"package.json": root}
    files |= {"package-lock.json": NPM_LOCK} if manager == "npm" else {}
    files |= {"yarn.lock": "# yarn lockfile v1\n"} if manager == "yarn" else {}
    return files | members


# every framework, as its generator lays it out
LAYOUTS: dict[str, Sample] = {
    "express-generator": Sample(
        {
            "package.json": package(
                {"express": "~4.16.1", "debug": "2", "jade": "1"}, scripts={"start": "node ./bin/www"}
            ),
            "app.js": "var express = require('express');\nvar app = express();\nmodule.exports = app;\n",
            "bin/www": "#!/usr/bin/env node\nvar app = require('../app');\nvar http = require('http');\n"
            "var port = normalizePort(process.env.PORT || '3030');\napp.set('port', port);\n"
            "var server = http.createServer(app);\nserver.listen(port);\n",
        },
        SERVER | {"framework": "express", "start_command": "node ./bin/www", "port": 3030},
    ),
    "fastify by its own program": Sample(
        {
            "package.json": package(
                {"fastify": "5", "fastify-cli": "7"}, scripts={"start": "fastify start -l info -p 3333 app.js"}
            ),
            "app.js": "module.exports = async function (fastify) {}\n",
        },
        SERVER | {"framework": "fastify", "port": 3333},
    ),
    "koa": Sample(
        {
            "package.json": package({"koa": "2"}, scripts={"start": "node app.js"}),
            "app.js": "const Koa = require('koa')\nconst port = 4044\nconst app = new Koa()\napp.listen(port)\n",
        },
        SERVER | {"framework": "koa", "port": 4044},
    ),
    "hapi server": Sample(
        {
            "package.json": package({"@hapi/hapi": "21"}, scripts={"start": "node server.js"}),
            "server.js": "const Hapi = require('@hapi/hapi')\n"
            "const server = Hapi.server({ port: 4100, host: '0.0.0.0' })\nserver.start()\n",
        },
        SERVER | {"framework": "hapi", "port": 4100},
    ),
    "nest new": Sample(
        {
            "package.json": package(
                {"@nestjs/common": "11", "@nestjs/core": "11", "@nestjs/platform-express": "11"},
                dev={"@nestjs/cli": "11", "typescript": "5", "supertest": "7", "@types/express": "5"},
                scripts={"build": "nest build", "start": "nest start", "start:prod": "node dist/main"},
            ),
            "nest-cli.json": '{"sourceRoot": "src"}',
            "tsconfig.json": '{"compilerOptions": {"outDir": "./dist"}}',
            "src/main.ts": "async function bootstrap() {\n  const app = await NestFactory.create(AppModule);\n"
            "  app.setGlobalPrefix('v1');\n  await app.listen(process.env.PORT ?? 3300);\n}\n",
            "src/health.controller.ts": "@Controller('health')\nexport class HealthController {}\n",
        },
        SERVER | {"framework": "nestjs", "start_command": "node dist/main", "port": 3300},
    ),
    "nest without start:prod": Sample(
        {
            "package.json": package({"@nestjs/core": "11"}, scripts={"build": "nest build", "start": "nest start"}),
            "tsconfig.json": '{"compilerOptions": {"outDir": "out"}}',
            "src/main.ts": "",
        },
        {"framework": "nestjs", "start_command": "node out/main.js"},
    ),
    "create-next-app": Sample(
        {
            "package.json": package(
                {"next": "15.1.0", "react": "19", "react-dom": "19"},
                dev={"tailwindcss": "4", "typescript": "5"},
                scripts={"dev": "next dev --turbopack", "build": "next build", "start": "next start"},
            ),
            "next.config.ts": "const nextConfig: NextConfig = {};\nexport default nextConfig;\n",
            "app/api/health/route.ts": "export const GET = () => new Response('ok')\n",
        },
        SERVER | {"framework": "next.js", "health_path": "/api/health", "port": 3000},
    ),
    "nuxi init": Sample(
        {
            "package.json": package(
                {"nuxt": "^4", "vue": "^3", "vue-router": "^4"},
                scripts={
                    "build": "nuxt build",
                    "dev": "nuxt dev",
                    "generate": "nuxt generate",
                    "postinstall": "nuxt prepare",
                },
            ),
            "nuxt.config.ts": "export default defineNuxtConfig({ devtools: { enabled: true } })\n",
            "app/app.vue": "<template><div/></template>",
        },
        SERVER
        | {"framework": "nuxt", "start_command": "node .output/server/index.mjs", "build_command": "npm run build"},
    ),
    "nuxt 2": Sample(
        {
            "package.json": package(
                {"nuxt": "^2.15.8", "vue": "2"}, scripts={"dev": "nuxt", "build": "nuxt build", "start": "nuxt start"}
            ),
            "nuxt.config.js": "export default { head: {} }\n",
        },
        SERVER | {"framework": "nuxt", "start_command": "nuxt start"},
    ),
    "nuxt 2 as files": Sample(
        {
            "package.json": package({"nuxt": "^2.15.8"}, scripts={"build": "nuxt build", "generate": "nuxt generate"}),
            "nuxt.config.js": "export default { target: 'static' }\n",
        },
        PAGES | {"framework": "nuxt", "output_dir": "dist", "build_command": "npm run generate"},
    ),
    "vue by its command line": Sample(
        {
            "package.json": package(
                {"vue": "2", "core-js": "3"},
                dev={"@vue/cli-service": "5"},
                scripts={"serve": "vue-cli-service serve", "build": "vue-cli-service build"},
            ),
            "public/index.html": "",
            "vue.config.js": "module.exports = { outputDir: 'htdocs' }\n",
        },
        APP | {"framework": "vue", "output_dir": "htdocs"},
    ),
    "sv create": Sample(
        {
            "package.json": package(
                dev={"@sveltejs/adapter-auto": "6", "@sveltejs/kit": "2", "svelte": "5", "vite": "7"},
                scripts={"dev": "vite dev", "build": "vite build", "prepare": "svelte-kit sync || echo ''"},
            ),
            "svelte.config.js": "import adapter from '@sveltejs/adapter-auto';\nexport default {};\n",
            "src/app.html": "",
            "src/routes/+page.svelte": "",
        },
        SERVER | {"framework": "sveltekit", "start_command": "node build"},
    ),
    "svelte with rollup": Sample(
        {
            "package.json": package(
                {"sirv-cli": "2"},
                dev={"rollup": "3", "rollup-plugin-svelte": "7", "svelte": "3"},
                scripts={"build": "rollup -c", "dev": "rollup -c -w", "start": "sirv public --no-clear"},
            ),
            "rollup.config.js": "",
            "public/index.html": "",
            "src/main.js": "import App from './App.svelte'\n",
        },
        APP | {"framework": "svelte", "output_dir": "public"},
    ),
    "ng new --ssr": Sample(
        {
            "package.json": package(
                {"@angular/core": "20", "@angular/ssr": "20", "express": "5"},
                dev={"@angular/build": "20", "@angular/cli": "20"},
                scripts={
                    "ng": "ng",
                    "start": "ng serve",
                    "build": "ng build",
                    "serve:ssr:shop": "node dist/shop/server/server.mjs",
                },
            ),
            "angular.json": json.dumps(
                {
                    "projects": {
                        "shop": {
                            "projectType": "application",
                            "architect": {
                                "build": {
                                    "builder": "@angular/build:application",
                                    "options": {
                                        "server": "src/main.server.ts",
                                        "ssr": {"entry": "src/server.ts"},
                                        "outputMode": "server",
                                    },
                                }
                            },
                        }
                    }
                }
            ),
            "src/server.ts": "import express from 'express';\nconst app = express();\nconst "
            "port = process.env['PORT'] || 4000;\n"
            "app.listen(port);\n",
        },
        SERVER | {"framework": "angular", "start_command": "node dist/shop/server/server.mjs", "port": 4000},
    ),
    "gatsby new": Sample(
        {
            "package.json": package(
                {"gatsby": "5", "react": "18"},
                scripts={
                    "develop": "gatsby develop",
                    "start": "gatsby develop",
                    "build": "gatsby build",
                    "serve": "gatsby serve",
                },
            ),
            "gatsby-config.js": "",
        },
        PAGES | {"framework": "gatsby", "output_dir": "public"},
    ),
    "create astro": Sample(
        {
            "package.json": package(
                {"astro": "5"}, scripts={"dev": "astro dev", "build": "astro build", "preview": "astro preview"}
            ),
            "astro.config.mjs": "// adapter: '@astrojs/node'\nexport default defineConfig({});\n",
        },
        PAGES | {"framework": "astro", "output_dir": "dist"},
    ),
    "remix with express": Sample(
        {
            "package.json": package(
                {"@remix-run/express": "2", "@remix-run/react": "2", "express": "4", "react": "18"},
                dev={"@remix-run/dev": "2", "vite": "5"},
                scripts={"build": "remix vite:build", "start": "cross-env NODE_ENV=production node ./server.js"},
            ),
            "server.js": "import express from 'express'\nconst app = express()\napp.listen(process.env.PORT || 3000)\n",
        },
        SERVER | {"framework": "remix"},
    ),
    "create-react-router": Sample(
        {
            "package.json": package(
                {
                    "@react-router/node": "7",
                    "@react-router/serve": "7",
                    "react": "19",
                    "react-router": "7",
                    "isbot": "5",
                },
                dev={"@react-router/dev": "7", "vite": "6"},
                scripts={
                    "build": "react-router build",
                    "dev": "react-router dev",
                    "start": "react-router-serve ./build/server/index.js",
                },
            ),
            "react-router.config.ts": "export default {\n  // ssr: false\n  ssr: true,\n} satisfies Config;\n",
        },
        SERVER | {"framework": "react-router", "start_command": "react-router-serve ./build/server/index.js"},
    ),
    "react router as a library": Sample(
        {
            "package.json": package({"react": "19", "react-router": "7"}, dev={"vite": "6"}, scripts=VITE_SCRIPTS),
            "index.html": PAGE,
        },
        APP | {"framework": "react"},
    ),
    "tanstack start": Sample(
        {
            "package.json": package(
                {"@tanstack/react-start": "1", "@tanstack/react-router": "1", "react": "19", "nitro": "3"},
                dev={"vite": "7"},
                scripts={"dev": "vite dev", "build": "vite build", "start": "node .output/server/index.mjs"},
            ),
            "vite.config.ts": "export default defineConfig({ plugins: [tanstackStart(), nitro()] })\n",
        },
        SERVER | {"framework": "tanstack-start", "start_command": "node .output/server/index.mjs"},
    ),
    "tanstack router alone": Sample(
        {
            "package.json": package(
                {"@tanstack/react-router": "1", "react": "19"}, dev={"vite": "6"}, scripts=VITE_SCRIPTS
            ),
            "index.html": PAGE,
        },
        APP | {"framework": "react"},
    ),
    "solid": Sample(
        {
            "package.json": package(
                {"solid-js": "1"}, dev={"vite": "6", "vite-plugin-solid": "2"}, scripts=VITE_SCRIPTS
            ),
            "index.html": PAGE,
        },
        APP | {"framework": "solid"},
    ),
    "solidstart": Sample(
        {
            "package.json": package(
                {"@solidjs/start": "1", "solid-js": "1", "vinxi": "0.5"},
                scripts={"dev": "vinxi dev", "build": "vinxi build", "start": "vinxi start"},
            )
        },
        SERVER | {"framework": "solidstart", "start_command": "node .output/server/index.mjs"},
    ),
    "qwik with express": Sample(
        {
            "package.json": package(
                {"express": "4"},
                dev={"@builder.io/qwik": "1", "@builder.io/qwik-city": "1", "vite": "5"},
                scripts={
                    "build": "qwik build",
                    "build.server": "vite build -c adapters/express/vite.config.ts",
                    "serve": "node server/entry.express",
                    "start": "vite --open --mode ssr",
                },
            ),
            "src/entry.express.tsx": "import express from 'express'\nconst app = express()\n"
            "app.listen(process.env.PORT ?? 3000)\n",
        },
        SERVER | {"framework": "qwik", "start_command": "node server/entry.express"},
    ),
    "qwik as files": Sample(
        {
            "package.json": package(
                dev={"@builder.io/qwik": "1", "vite": "5"}, scripts={"build": "qwik build", "start": "vite --open"}
            ),
        },
        PAGES | {"framework": "qwik", "output_dir": "dist"},
    ),
    "preact": Sample(
        {
            "package.json": package(
                {"preact": "10"}, dev={"@preact/preset-vite": "2", "vite": "6"}, scripts=VITE_SCRIPTS
            ),
            "index.html": PAGE,
        },
        APP | {"framework": "preact"},
    ),
    "lit": Sample(
        {"package.json": package({"lit": "3"}, dev={"vite": "6"}, scripts=VITE_SCRIPTS), "index.html": PAGE},
        APP | {"framework": "lit"},
    ),
    "parcel": Sample(
        {
            "package.json": package(
                dev={"parcel": "2"}, source="src/index.html", scripts={"start": "parcel", "build": "parcel build"}
            ),
            "src/index.html": "",
        },
        APP | {"framework": "parcel", "output_dir": "dist"},
    ),
    "eleventy": Sample(
        {
            "package.json": package(
                dev={"@11ty/eleventy": "3"}, scripts={"build": "eleventy", "start": "eleventy --serve"}
            ),
            "eleventy.config.js": "export default function () {\n  return { dir: { input: "
            "'content', output: 'public' } }\n}\n",
        },
        PAGES | {"framework": "eleventy", "output_dir": "public"},
    ),
    "docusaurus 3": Sample(
        {
            "package.json": package(
                {"@docusaurus/core": "3", "react": "18"},
                scripts={"start": "docusaurus start", "build": "docusaurus build", "serve": "docusaurus serve"},
            ),
            "docusaurus.config.ts": "",
        },
        PAGES | {"framework": "docusaurus", "output_dir": "build"},
    ),
    "vuepress": Sample(
        {
            "package.json": package(
                dev={"vuepress": "2", "vue": "3"},
                scripts={"docs:dev": "vuepress dev docs", "docs:build": "vuepress build docs"},
            ),
            "docs/README.md": "",
        },
        PAGES | {"framework": "vuepress", "output_dir": "docs/.vuepress/dist", "build_command": "npm run docs:build"},
    ),
    "vitepress in docs": Sample(
        {
            "package.json": package(
                dev={"vitepress": "1"}, scripts={"docs:dev": "vitepress dev docs", "docs:build": "vitepress build docs"}
            ),
            "docs/.vitepress/config.mts": "",
            "docs/index.md": "",
        },
        PAGES | {"framework": "vitepress", "output_dir": "docs/.vitepress/dist", "build_command": "npm run docs:build"},
    ),
    "hono for Node": Sample(
        {
            "package.json": package(
                {"hono": "4", "@hono/node-server": "1"},
                dev={"tsx": "4", "typescript": "5"},
                scripts={"dev": "tsx watch src/index.ts", "build": "tsc", "start": "node dist/index.js"},
            ),
            "src/index.ts": "import { serve } from '@hono/node-server'\nimport { Hono } "
            "from 'hono'\nconst app = new Hono()\n"
            "serve({\n  fetch: app.fetch,\n  port: 3456\n})\n",
            "tsconfig.json": '{"compilerOptions": {"outDir": "./dist"}}',
        },
        SERVER | {"framework": "hono", "start_command": "node dist/index.js", "port": 3456},
    ),
    "elysia on Node": Sample(
        {
            "package.json": package({"elysia": "1", "@elysiajs/node": "1"}, scripts={"start": "tsx src/index.ts"}),
            "src/index.ts": "import { Elysia } from 'elysia'\nimport { node } from '@elysiajs/node'\nnew "
            "Elysia({ adapter: node() }).listen(3001)\n",
        },
        {"framework": "elysia", "port": 3001},
    ),
    "polka": Sample(
        {
            "package.json": package({"polka": "0.5"}, scripts={"start": "node index.js"}),
            "index.js": "const polka = require('polka')\nconst { PORT = 3210 } = process.env\npolka().listen(PORT)\n",
        },
        SERVER | {"framework": "polka", "port": 3210},
    ),
    "adonis 6": Sample(
        {
            "package.json": package(
                {"@adonisjs/core": "^6.14", "@adonisjs/lucid": "21", "edge.js": "6"},
                dev={"@adonisjs/assembler": "7", "vite": "6"},
                scripts={"start": "node bin/server.js", "build": "node ace build", "dev": "node ace serve --hmr"},
            ),
            "adonisrc.ts": "",
            "ace.js": "",
            "bin/server.ts": "",
            "start/env.ts": "export default await Env.create(new URL('../', import.meta.url), {\n"
            "  NODE_ENV: Env.schema.enum(['development', 'production'] as const),\n"
            "  PORT: Env.schema.number(),\n  APP_KEY: Env.schema.string(),\n  LOG: Env.schema.string.optional(),\n})\n",
        },
        SERVER
        | {
            "framework": "adonisjs",
            "start_command": "node build/bin/server.js",
            "port": 3333,
            "required_env": ("APP_KEY",),
        },
    ),
    "strapi 5": Sample(
        {
            "package.json": package(
                {"@strapi/strapi": "5", "react": "18", "react-dom": "18", "pg": "8"},
                scripts={"build": "strapi build", "start": "strapi start", "develop": "strapi develop"},
            ),
            "config/server.ts": "export default ({ env }) => ({\n  host: env('HOST', '0.0.0.0'),\n"
            "  port: env.int('PORT', 1338),\n})\n",
        },
        SERVER | {"framework": "strapi", "start_command": "strapi start", "port": 1338, "services": ("postgresql",)},
    ),
    "sails": Sample(
        {
            "package.json": package({"sails": "1", "grunt": "1"}, scripts={"start": "NODE_ENV=production node app.js"}),
            "app.js": "var sails = require('sails');\nsails.lift();\n",
        },
        SERVER | {"framework": "sails", "start_command": "node app.js", "port": 1337},
    ),
    "redwood": Sample(
        {
            "package.json": package(
                dev={"@redwoodjs/core": "8"}, workspaces={"packages": ["api", "web"]}, packageManager="yarn@4.6.0"
            ),
            "redwood.toml": "[web]\n  port = 8910\n",
            "api/package.json": package({"@redwoodjs/api": "8"}),
            "web/package.json": package({"@redwoodjs/web": "8", "react": "18"}),
        },
        {"stack": "node", "framework": "redwood", "package_manager": "yarn"},
    ),
    "nitro": Sample(
        {
            "package.json": package(
                dev={"nitropack": "2"},
                scripts={"build": "nitro build", "dev": "nitro dev", "preview": "node .output/server/index.mjs"},
            ),
            "server/routes/index.ts": "",
        },
        SERVER | {"framework": "nitro", "start_command": "node .output/server/index.mjs"},
    ),
    "ember new": Sample(
        {
            "package.json": package(
                dev={"ember-cli": "5", "ember-source": "5"},
                scripts={"build": "ember build --environment=production", "start": "ember serve"},
            ),
            "app/index.html": "",
        },
        APP | {"framework": "ember", "output_dir": "dist"},
    ),
    "hexo": Sample(
        {
            "package.json": package({"hexo": "7"}, scripts={"build": "hexo generate", "server": "hexo server"}),
            "_config.yml": "title: Hexo\n",
        },
        PAGES | {"framework": "hexo", "output_dir": "public"},
    ),
    "create-expo-app": Sample(
        {
            "package.json": package(
                {"expo": "53", "react": "19", "react-native": "0.79", "react-native-web": "0.20"},
                main="expo-router/entry",
                scripts={"start": "expo start", "web": "expo start --web"},
            ),
            "app.json": "{}",
        },
        {"stack": "node", "framework": "expo", "build_command": "expo export --platform web", "output_dir": "dist"},
    ),
}

TRAPS: dict[str, Sample] = {
    "express only for tests": Sample(
        {
            "package.json": package({"pg": "8"}, dev={"express": "4"}, scripts={"start": "node worker.js"}),
            "worker.js": "const pg = require('pg')\n",
            "test/api.test.js": "require('express')\n",
        },
        {"stack": "node", "framework": None},
    ),
    "express that nothing imports": Sample(
        {
            "package.json": package({"express": "4"}, scripts={"start": "node index.js"}),
            "index.js": "const http = require('http')\nhttp.createServer(() => {}).listen(5123)\n",
        },
        {"framework": None, "port": 5123},
    ),
    "express deep in the source": Sample(
        {
            "package.json": package({"express": "4"}, scripts={"start": "node src/main.js"}),
            "src/main.js": "require('./boot')\n",
            "src/boot.js": "require('./net/web')\n",
            "src/net/web.js": "module.exports = require('./server')\n",
            "src/net/server.js": "const express = require('express')\nexpress().listen(process.env.PORT || 3000)\n",
        },
        {"framework": "express"},
    ),
    "everything bundled, nothing at run time": Sample(
        {
            "package.json": package(
                dev={"fastify": "5", "esbuild": "0.24"},
                scripts={
                    "build": "esbuild src/server.ts --bundle --platform=node --outfile=dist/server.js",
                    "start": "node dist/server.js",
                },
            ),
            "src/server.ts": "import fastify from 'fastify'\nfastify().listen({ port: +(process.env.PORT ?? 3111) })\n",
        },
        {"framework": "fastify", "start_command": "node dist/server.js", "port": 3111, "output_dir": None},
    ),
    "documents beside a vue application": Sample(
        {
            "package.json": package(
                {"vue": "3"},
                dev={"vite": "5", "vitepress": "1"},
                scripts={**VITE_SCRIPTS, "docs:build": "vitepress build docs"},
            ),
            "index.html": PAGE,
        },
        APP | {"framework": "vue", "build_command": "npm run build"},
    ),
    "storybook beside react": Sample(
        {
            "package.json": package(
                {"react": "18"},
                dev={"vite": "5", "storybook": "8", "@storybook/react": "8"},
                scripts={**VITE_SCRIPTS, "storybook": "storybook dev"},
            ),
            "index.html": PAGE,
        },
        APP | {"framework": "react"},
    ),
    "an ejected application": Sample(
        {
            "package.json": package(
                {"react": "17", "webpack": "5"},
                scripts={"start": "node scripts/start.js", "build": "node scripts/build.js"},
            ),
            "scripts/start.js": "const WebpackDevServer = require('webpack-dev-server')\nnew "
            "WebpackDevServer({}).listen(3000)\n",
            "public/index.html": "",
        },
        {"framework": "react", "start_command": None, "spa_fallback": True},
    ),
    "start builds first": Sample(
        {
            "package.json": package(
                {"express": "4"},
                dev={"typescript": "5"},
                scripts={"build": "tsc", "start": "npm run build && node dist/index.js"},
            ),
            "src/index.ts": "import express from 'express'\nexpress().listen(Number(process.env.PORT) || 8088)\n",
        },
        {"framework": "express", "start_command": "node dist/index.js", "build_command": "npm run build", "port": 8088},
    ),
    "migrations before the start stay": Sample(
        {
            "package.json": package(
                {"express": "4", "prisma": "6", "@prisma/client": "6"},
                scripts={"start": "prisma migrate deploy && node server.js"},
            ),
            "server.js": EXPRESS_SERVER,
            "prisma/schema.prisma": 'datasource db {\n  provider = "mysql"\n  url      = env("DATABASE_URL")\n}\n',
        },
        {
            "start_command": "prisma migrate deploy && node server.js",
            "services": ("mysql",),
            "required_env": ("DATABASE_URL",),
        },
    ),
    "pm2": Sample(
        {
            "package.json": package({"express": "4", "pm2": "5"}, scripts={"start": "pm2 start ecosystem.config.js"}),
            "ecosystem.config.js": "module.exports = { apps: [{ name: 'web', script: './src/web.js' }] }\n",
            "src/web.js": EXPRESS_SERVER,
        },
        {"framework": "express", "start_command": "node src/web.js", "port": 3100},
    ),
    "a command-line tool": Sample(
        {
            "package.json": package({"commander": "12"}, bin={"tool": "cli.js"}, scripts={"test": "jest"}),
            "cli.js": "#!/usr/bin/env node\nrequire('commander')\n",
        },
        {"stack": "node", "framework": None, "start_command": None},
    ),
    "a library of components": Sample(
        {
            "package.json": package(
                dev={"react": "18", "vite": "5", "next": "15"},
                peerDependencies={"react": ">=17", "next": ">=13"},
                scripts={"build": "vite build"},
                module="dist/index.js",
                exports={".": "./dist/index.js"},
            ),
            "src/index.ts": "export const x = 1\n",
        },
        {"stack": "node", "framework": "react"},
    ),
    "an electron application": Sample(
        {
            "package.json": package(dev={"electron": "33"}, main="main.js", scripts={"start": "electron ."}),
            "main.js": "const { app } = require('electron')\n",
            "index.html": "",
        },
        {"stack": "node", "framework": None},
    ),
    "telephones only": Sample(
        {
            "package.json": package({"react": "19", "react-native": "0.79"}, scripts={"start": "react-native start"}),
            "App.tsx": "",
        },
        {"stack": "node", "framework": None},
    ),
    "checks beside pages": Sample(
        {
            "package.json": package(
                dev={"prettier": "3", "htmlhint": "1", "live-server": "1"},
                scripts={"start": "live-server", "lint": "htmlhint ."},
            ),
            "index.html": "<h1>hi</h1>",
            "js/app.js": "document.title = 'x'",
        },
        {"stack": "static"},
    ),
    "package.json5": Sample(
        {
            "package.json5": "// pnpm reads this\n{\n  name: 'shop',\n  scripts: { start: 'node server.js' "
            "},\n  dependencies: { express: '^4', },\n}\n",
            "server.js": EXPRESS_SERVER,
        },
        {"framework": "express", "package_manager": "pnpm", "start_command": "node server.js"},
    ),
    "package.yaml": Sample(
        {
            "package.yaml": "name: shop\nscripts:\n  start: node server.js\ndependencies:\n  express: ^4\n",
            "server.js": EXPRESS_SERVER,
        },
        {"framework": "express", "package_manager": "pnpm"},
    ),
    "a merge left its markers": Sample(
        {
            "package.json": '{\n  "scripts": {"start": "node server.js"},\n  "dependencies": {\n'
            '<<<<<<< HEAD\n    "express": "^4.18.0"\n'
            '=======\n    "express": "^4.17.0",\n    "cors": "2"\n>>>>>>> feature\n  }\n}\n',
            "yarn.lock": "# yarn lockfile v1\n",
            "server.js": EXPRESS_SERVER,
        },
        {"framework": "express", "package_manager": "yarn", "start_command": "node server.js"},
    ),
    "a manifest that ends in the middle": Sample(
        {
            "package.json": '{\n  "dependencies": {"koa": "^2"},\n  "scripts": {"start": "node '
            'app.js"},\n  "devDependencies": {"jest',
            "pnpm-lock.yaml": "lockfileVersion: '6.0'\n",
            "app.js": "const Koa = require('koa')\nnew Koa().listen(3000)\n",
        },
        {"framework": "koa", "package_manager": "pnpm", "start_command": "node app.js"},
    ),
    "no manifest, a lockfile": Sample(
        {
            "yarn.lock": "# yarn lockfile v1\n",
            "index.js": "const express = require('express')\nexpress().listen(3000)\n",
        },
        {"stack": "node", "framework": "express", "package_manager": "yarn"},
    ),
    "a lone module": Sample(
        {
            "server.mjs": "import { createServer } from 'node:http'\ncreateServer((q, r) => "
            "r.end('x')).listen(process.env.PORT ?? 4321)\n"
        },
        {"stack": "node", "framework": None, "start_command": "node server.mjs", "port": 4321},
    ),
    "a lone server in TypeScript": Sample(
        {"index.ts": "import http from 'http'\nhttp.createServer((q, r) => r.end('x')).listen(8000)\n"},
        {"stack": "node", "start_command": "node index.ts", "port": 8000},
    ),
    "a browser's history is no server": Sample(
        {
            "package.json": package(
                {"react": "18", "history": "5"},
                dev={"webpack": "5"},
                scripts={"build": "webpack", "start": "webpack serve"},
            ),
            "src/index.js": "import { createBrowserHistory } from 'history'\nconst history = "
            "createBrowserHistory()\nhistory.listen(location => {})\n",
            "public/index.html": "",
        },
        FILES | {"framework": "react", "spa_fallback": True},
    ),
    "several lockfiles": Sample(
        {
            "package.json": package({"express": "4"}, scripts={"start": "node server.js"}),
            "server.js": EXPRESS_SERVER,
            "yarn.lock": "# yarn lockfile v1\n",
            "package-lock.json": NPM_LOCK,
        },
        {"package_manager": "yarn", "warnings": ("there are also lockfiles of npm; yarn is used",)},
    ),
    "engines name the manager": Sample(
        {
            "package.json": package(
                {"express": "4"}, scripts={"start": "node server.js"}, engines={"node": "22", "pnpm": ">=9"}
            ),
            "server.js": EXPRESS_SERVER,
        },
        {"package_manager": "pnpm"},
    ),
    "variables that are demanded": Sample(
        {
            "package.json": package({"express": "4", "zod": "3"}, scripts={"start": "node server.js"}),
            "server.js": EXPRESS_SERVER
            + "if (!process.env.SESSION_SECRET) throw new Error('no')\nconst x = process.env.FREE\n",
            "src/env.ts": "const schema = z.object({\n  DATABASE_URL: z.string().url(),\n  "
            "LOG_FORMAT: z.string().default('json'),\n"
            "  SMTP_URL: z\n    .string()\n    .optional(),\n  NODE_ENV: z.string(),\n})\nschema.parse(process.env)\n",
        },
        {"required_env": ("SESSION_SECRET", "DATABASE_URL")},
    ),
    "a configured database": Sample(
        {
            "package.json": package({"koa": "2", "knex": "3"}, scripts={"start": "node index.js"}),
            "index.js": "const Koa = require('koa')\nnew Koa().listen(3000)\n",
            "knexfile.js": "module.exports = { client: 'pg', connection: process.env.DATABASE_URL }\n",
        },
        {"services": ("postgresql",)},
    ),
    "next standalone said by a comment only": Sample(
        {
            "package.json": package({"next": "15"}, scripts={"build": "next build"}),
            "next.config.js": "/* output: 'standalone' */\nmodule.exports = { images: { output: 1 } }\n",
        },
        {"framework": "next.js", "start_command": "next start --port ${PORT}"},
    ),
}

WORKSPACES: dict[str, Sample] = {
    "pnpm workspace with a catalog": Sample(
        {
            "package.json": package(
                scripts={"build": "turbo run build", "start": "turbo run start"}, packageManager="pnpm@10.4.1"
            ),
            "pnpm-workspace.yaml": "packages:\n  - apps/*\n  - '!apps/old'\n  - packages/*\ncatalog:\n  express: ^4\n",
            "pnpm-lock.yaml": "lockfileVersion: '9.0'\n",
            "apps/api/package.json": package(
                {"express": "catalog:", "@shop/lib": "workspace:*"}, scripts={"start": "node index.js"}
            ),
            "apps/api/index.js": _express(3200),
            "apps/old/package.json": package({"koa": "2"}, scripts={"start": "node index.js"}),
            "packages/lib/package.json": json.dumps({"name": "@shop/lib"}),
        },
        {"framework": "express", "package_manager": "pnpm", "port": 3200, "applications": (), "root": "."},
    ),
    "turbo with two applications": Sample(
        _workspace(
            "npm",
            {
                "turbo.json": "{}",
                "apps/docs/package.json": package(
                    {"next": "15"}, scripts={"build": "next build", "start": "next start"}
                ),
                "apps/web/package.json": package(
                    {"next": "15", "@repo/ui": "*"}, scripts={"build": "next build", "start": "next start"}
                ),
                "packages/ui/package.json": package(
                    {"react": "19"}, scripts={"build": "tsc"}, exports={".": "./src/index.ts"}
                ),
            },
            dev={"turbo": "2"},
        ),
        {"framework": "next.js", "package_manager": "npm"},
    ),
    "a library of react is no application": Sample(
        _workspace(
            "yarn",
            {
                "apps/site/package.json": package({"vue": "3"}, dev={"vite": "6"}, scripts=VITE_SCRIPTS),
                "apps/site/index.html": PAGE,
                "packages/ui/package.json": package(
                    {"react": "19"}, dev={"vite": "6"}, scripts={"build": "vite build"}, module="dist/ui.js"
                ),
                "packages/ui/src/index.tsx": "",
            },
        ),
        APP | {"framework": "vue", "package_manager": "yarn", "applications": ()},
    ),
    "the root names the application": Sample(
        _workspace(
            "npm",
            {
                "apps/admin/package.json": json.dumps(
                    {"name": "admin", "dependencies": {"fastify": "5"}, "scripts": {"start": "node a.js"}}
                ),
                "apps/admin/a.js": "const f = require('fastify')()\nf.listen({ port: 3001 })\n",
                "apps/shop/package.json": json.dumps(
                    {"name": "shop", "dependencies": {"koa": "2"}, "scripts": {"start": "node a.js"}}
                ),
                "apps/shop/a.js": "const Koa = require('koa')\nnew Koa().listen(3002)\n",
            },
            scripts={"start": "npm start --workspace=shop"},
        ),
        {"framework": "koa", "port": 3002},
    ),
    "lerna": Sample(
        {
            "package.json": package(dev={"lerna": "8"}),
            "lerna.json": '{"packages": ["services/*"]}',
            "services/web/package.json": package({"fastify": "5"}, scripts={"start": "node index.js"}),
            "services/web/index.js": "require('fastify')().listen({ port: 3005 })\n",
            "services/common/package.json": package(),
        },
        {"framework": "fastify", "port": 3005},
    ),
    "nx with a server and a front end": Sample(
        {
            "package.json": package(
                {"@nestjs/core": "11", "react": "19", "react-dom": "19"},
                dev={"nx": "21", "@nx/nest": "21", "@nx/react": "21", "vite": "6", "@vitejs/plugin-react": "4"},
            ),
            "package-lock.json": NPM_LOCK,
            "nx.json": "{}",
            "apps/api/project.json": json.dumps(
                {
                    "name": "api",
                    "projectType": "application",
                    "targets": {
                        "build": {"executor": "@nx/webpack:webpack", "options": {"outputPath": "dist/apps/api"}},
                        "serve": {},
                    },
                }
            ),
            "apps/api/src/main.ts": "import { NestFactory } from '@nestjs/core';\nawait "
            "app.listen(process.env.PORT || 3400);\n",
            "apps/web/project.json": json.dumps(
                {"name": "web", "projectType": "application", "targets": {"build": {"executor": "@nx/vite:build"}}}
            ),
            "apps/web/index.html": PAGE,
            "apps/web/src/main.tsx": "import { createRoot } from 'react-dom/client';\nimport React from 'react';\n",
            "libs/ui/project.json": json.dumps({"name": "ui", "projectType": "library", "targets": {}}),
            "libs/ui/src/index.ts": "import React from 'react';\n",
        },
        {
            "framework": "nestjs",
            "port": 3400,
            "build_command": "nx build api --configuration=production",
            "start_command": "node dist/apps/api/main.js",
        },
    ),
    "client and server without a workspace": Sample(
        {
            "package.json": package(
                dev={"concurrently": "9"},
                scripts={"start": 'concurrently "npm --prefix server start" "npm --prefix client start"'},
            ),
            "server/package.json": package({"express": "4"}, scripts={"start": "node index.js"}),
            "server/index.js": _express(5001),
            "client/package.json": package(
                {"react": "18", "react-scripts": "5"},
                scripts={"start": "react-scripts start", "build": "react-scripts build"},
            ),
            "client/public/index.html": "",
        },
        {"framework": "express", "root": "server", "port": 5001},
    ),
    "a root that serves what the client builds": Sample(
        {
            "package.json": package(
                {"express": "4"},
                scripts={"start": "node server.js", "build": "cd client && npm install && npm run build"},
            ),
            "server.js": EXPRESS_SERVER,
            "client/package.json": package({"react": "18"}, dev={"vite": "5"}, scripts=VITE_SCRIPTS),
            "client/index.html": PAGE,
        },
        {"framework": "express", "root": ".", "start_command": "node server.js"},
    ),
    "packages that are built before the application": Sample(
        _workspace(
            "npm",
            {
                "apps/api/package.json": json.dumps(
                    {
                        "name": "api",
                        "dependencies": {"express": "4", "@shop/b": "*"},
                        "scripts": {"build": "tsc", "start": "node dist/index.js"},
                    }
                ),
                "apps/api/src/index.ts": "import express from 'express'\nexpress().listen(3000)\n",
                "packages/a/package.json": json.dumps({"name": "@shop/a", "scripts": {"build": "tsc"}}),
                "packages/b/package.json": json.dumps(
                    {"name": "@shop/b", "dependencies": {"@shop/a": "*"}, "scripts": {"build": "tsc"}}
                ),
            },
        ),
        {
            "framework": "express",
            "build_command": "npm run build --prefix ../../packages/a && npm run build --prefix ../../packages/b"
            " && npm run build",
        },
    ),
    "the setting names a package of the workspace": Sample(
        _workspace(
            "yarn",
            {
                "apps/api/package.json": package({"express": "4"}, scripts={"start": "node index.js"}),
                "apps/api/index.js": _express(4300),
                "apps/web/package.json": package(
                    {"next": "15"}, scripts={"build": "next build", "start": "next start"}
                ),
            },
        ),
        {"framework": "next.js", "package_manager": "yarn", "root": ".", "applications": ()},
        {"root": "apps/web"},
    ),
    "a package outside of the workspace": Sample(
        _workspace(
            "yarn",
            {
                "apps/api/package.json": package({"express": "4"}, scripts={"start": "node index.js"}),
                "apps/api/index.js": _express(4300),
                "tools/board/package.json": package({"koa": "2"}, scripts={"start": "node index.js"}),
                "tools/board/index.js": "const Koa = require('koa')\nnew Koa().listen(4400)\n",
            },
        ),
        {"framework": "koa", "package_manager": "npm", "root": "tools/board", "port": 4400},
        {"root": "tools/board"},
    ),
    "examples are no applications": Sample(
        {
            "package.json": package(workspaces=["packages/*", "examples/*", "website"]),
            "packages/core/package.json": package(main="dist/index.js", scripts={"build": "tsup"}),
            "examples/next/package.json": package(
                {"next": "15"}, scripts={"build": "next build", "start": "next start"}
            ),
            "website/package.json": package({"@docusaurus/core": "3"}, scripts={"build": "docusaurus build"}),
        },
        {"framework": "docusaurus", "output_dir": "build"},
    ),
    "a lone server is not asked for a manifest": Sample(
        {"web.js": HTTP_SERVER}, {"stack": "node", "start_command": "node web.js"}
    ),
}

NODE_MORE: dict[str, Sample] = {**LAYOUTS, **TRAPS, **WORKSPACES}
