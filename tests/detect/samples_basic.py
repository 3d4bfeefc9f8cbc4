"""Small repositories as dicts of paths to text, with what must be said about them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Sample:
    """``expect`` maps fields of a Detection to their values; ``start`` is a part of the start command."""

    files: dict[str, str | bytes]
    expect: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, object] = field(default_factory=dict)


def package(
    dependencies: dict[str, str] | None = None,
    *,
    dev: dict[str, str] | None = None,
    scripts: dict[str, str] | None = None,
    **rest: Any,
) -> str:
    data: dict[str, Any] = {"name": "sample", "private": True}
    data |= {"scripts": scripts} if scripts else {}
    data |= {"dependencies": dependencies} if dependencies else {}
    data |= {"devDependencies": dev} if dev else {}
    return json.dumps(data | rest, indent=2)


NPM_LOCK = '{"lockfileVersion": 3}\n'
EXPRESS_SERVER = """\
const express = require('express')
const app = express()
app.get('/healthz', (req, res) => res.send('ok'))
app.listen(process.env.PORT || 3100)
"""
HTTP_SERVER = (
    "const http = require('http')\nhttp.createServer((q, r) => r.end('hi')).listen(process.env.PORT || 8123)\n"
)
FLASK_APP = "from flask import Flask\n\napp = Flask(__name__)\n"
FASTAPI_APP = "from fastapi import FastAPI\n\napp = FastAPI()\n"
MANAGE = """\
import os, sys
def main():
    os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site1.settings')
    from django.core.management import execute_from_command_line
    execute_from_command_line(sys.argv)
"""
SETTINGS = """\
import os
SECRET_KEY = os.environ['SECRET_KEY']
INSTALLED_APPS = ['django.contrib.staticfiles', 'site1']
STATIC_ROOT = 'static-files'
DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': 'db.sqlite3'}}
ROOT_URLCONF = 'site1.urls'
WSGI_APPLICATION = 'site1.wsgi.application'
"""
DJANGO: dict[str, str | bytes] = {
    "requirements.txt": "Django>=5\n",
    "manage.py": MANAGE,
    "site1/__init__.py": "",
    "site1/settings.py": SETTINGS,
    "site1/wsgi.py": "",
    "site1/asgi.py": "",
    "site1/urls.py": "urlpatterns = [path('healthz/', lambda r: r)]\n",
}
VITE_SCRIPTS = {"dev": "vite", "build": "vite build", "preview": "vite preview"}
SPA = {"stack": "node", "port": 8080, "start_command": None, "build_command": "npm run build", "spa_fallback": True}

NODE: dict[str, Sample] = {
    "express": Sample(
        {
            "package.json": package({"express": "^4"}, scripts={"start": "node server.js"}, engines={"node": ">=20"}),
            "package-lock.json": NPM_LOCK,
            "server.js": EXPRESS_SERVER,
        },
        {
            "stack": "node",
            "framework": "express",
            "package_manager": "npm",
            "language_version": "22",
            "start_command": "node server.js",
            "port": 3100,
            "health_path": "/healthz",
            "warnings": (),
        },
    ),
    "express without a start script": Sample(
        {"package.json": package({"express": "4"}, main="lib/web.js"), "lib/web.js": EXPRESS_SERVER},
        {"framework": "express", "start_command": "node lib/web.js"},
    ),
    "nodemon is no production start": Sample(
        {
            "package.json": package({"express": "4"}, scripts={"start": "nodemon server.js"}),
            "server.js": EXPRESS_SERVER,
        },
        {"framework": "express", "start_command": "node server.js"},
    ),
    "start script with a hook": Sample(
        {
            "package.json": package({"koa": "2"}, scripts={"prestart": "node migrate.js", "start": "node index.js"}),
            "index.js": "const Koa = require('koa'); new Koa().listen(4000)\n",
        },
        {"framework": "koa", "start_command": "npm run start", "port": 4000},
    ),
    "fastify in TypeScript": Sample(
        {
            "package.json": package(
                {"fastify": "5"}, dev={"typescript": "5"}, scripts={"build": "tsc", "start": "node dist/index.js"}
            ),
            "tsconfig.json": '{ // comment\n "compilerOptions": {"outDir": "dist",} }',
            "src/index.ts": "import Fastify from 'fastify'\nconst a = Fastify()\n"
            "a.listen({ port: 4010, host: '0.0.0.0' })\n",
        },
        {"framework": "fastify", "build_command": "npm run build", "start_command": "node dist/index.js", "port": 4010},
    ),
    "compiled start without a build script": Sample(
        {
            "package.json": package({"express": "4"}, dev={"typescript": "5"}, scripts={"start": "node dist/app.js"}),
            "tsconfig.json": '{"compilerOptions": {"outDir": "dist"}}',
            "src/app.ts": "import express from 'express'\nexpress().listen(3000)\n",
        },
        {"framework": "express", "build_command": "tsc", "start_command": "node dist/app.js"},
    ),
    "hapi": Sample(
        {"package.json": package({"@hapi/hapi": "21"}, scripts={"start": "node server.js"}), "server.js": "//"},
        {"framework": "hapi"},
    ),
    "nestjs on fastify": Sample(
        {
            "package.json": package(
                {"@nestjs/core": "10", "@nestjs/platform-fastify": "10", "fastify": "4"},
                dev={"@nestjs/cli": "10"},
                scripts={"build": "nest build", "start": "nest start", "start:prod": "node dist/main"},
            ),
            "pnpm-lock.yaml": "lockfileVersion: '9.0'\n",
            "src/main.ts": "const app = await NestFactory.create(AppModule);\n"
            "await app.listen(process.env.PORT ?? 3005);\n",
        },
        {
            "framework": "nestjs",
            "package_manager": "pnpm",
            "start_command": "node dist/main",
            "build_command": "pnpm run build",
            "port": 3005,
        },
    ),
    "next": Sample(
        {
            "package.json": package(
                {"next": "15", "react": "19"}, scripts={"dev": "next dev", "build": "next build", "start": "next start"}
            ),
            "yarn.lock": "# yarn lockfile v1\n",
            "next.config.js": "module.exports = {}\n",
        },
        {"framework": "next.js", "package_manager": "yarn", "start_command": "next start --port ${PORT}", "port": 3000},
    ),
    "next standalone": Sample(
        {
            "package.json": package({"next": "15"}, scripts={"build": "next build", "start": "next start"}),
            "next.config.ts": "export default { output: 'standalone' }\n",
        },
        {"framework": "next.js", "start_command": "node server.js"},
    ),
    "next export": Sample(
        {
            "package.json": package({"next": "15"}, scripts={"build": "next build", "start": "next start"}),
            "next.config.mjs": "// output: 'standalone'\nexport default { output: \"export\" }\n",
        },
        {"framework": "next.js", "output_dir": "out", "start_command": None, "spa_fallback": False, "port": 8080},
    ),
    "vite and react": Sample(
        {
            "package.json": package(
                {"react": "18"}, dev={"vite": "5", "@vitejs/plugin-react": "4"}, scripts=VITE_SCRIPTS
            ),
            "index.html": "<div id=root></div>",
            "vite.config.js": "export default { build: { outDir: 'www' } }",
        },
        SPA | {"framework": "react", "output_dir": "www"},
    ),
    "create react app": Sample(
        {
            "package.json": package(
                {"react": "18", "react-scripts": "5"},
                scripts={"start": "react-scripts start", "build": "react-scripts build"},
            ),
            "public/index.html": "",
        },
        SPA | {"framework": "react", "output_dir": "build"},
    ),
    "vue": Sample(
        {"package.json": package({"vue": "3"}, dev={"vite": "5"}, scripts=VITE_SCRIPTS), "index.html": ""},
        SPA | {"framework": "vue", "output_dir": "dist"},
    ),
    "svelte": Sample(
        {"package.json": package(dev={"svelte": "5", "vite": "5"}, scripts=VITE_SCRIPTS), "index.html": ""},
        SPA | {"framework": "svelte"},
    ),
    "plain vite": Sample(
        {"package.json": package(dev={"vite": "5"}, scripts=VITE_SCRIPTS), "index.html": ""},
        SPA | {"framework": "vite"},
    ),
    "angular": Sample(
        {
            "package.json": package({"@angular/core": "18"}, scripts={"start": "ng serve", "build": "ng build"}),
            "angular.json": json.dumps(
                {
                    "projects": {
                        "shop": {
                            "projectType": "application",
                            "architect": {
                                "build": {
                                    "builder": "@angular-devkit/build-angular:application",
                                    "options": {"outputPath": "dist/shop"},
                                }
                            },
                        }
                    }
                }
            ),
        },
        SPA | {"framework": "angular", "output_dir": "dist/shop/browser"},
    ),
    "angular with a server for rendering": Sample(
        {
            "package.json": package(
                {"@angular/core": "18", "express": "4"}, scripts={"start": "ng serve", "build": "ng build"}
            ),
            "server.ts": "import express from 'express'\nexpress().listen(4000)\n",
        },
        {"framework": "angular"},
    ),
    "gatsby": Sample(
        {"package.json": package({"gatsby": "5", "react": "18"}, scripts={"build": "gatsby build"})},
        {"framework": "gatsby", "output_dir": "public", "spa_fallback": False},
    ),
    "astro": Sample(
        {
            "package.json": package(
                {"astro": "4", "react": "18"}, scripts={"start": "astro dev", "build": "astro build"}
            ),
            "astro.config.mjs": "export default {}",
        },
        {"framework": "astro", "output_dir": "dist", "spa_fallback": False, "start_command": None},
    ),
    "astro with a server": Sample(
        {
            "package.json": package({"astro": "4", "@astrojs/node": "8"}, scripts={"build": "astro build"}),
            "astro.config.mjs": "import node from '@astrojs/node'\nexport default { output: "
            "'server', adapter: node() }",
        },
        {"framework": "astro", "start_command": "node dist/server/entry.mjs", "port": 4321},
    ),
    "nuxt": Sample(
        {"package.json": package({"nuxt": "3", "vue": "3"}, scripts={"build": "nuxt build"}), "nuxt.config.ts": ""},
        {"framework": "nuxt", "start_command": "node .output/server/index.mjs"},
    ),
    "nuxt without a server": Sample(
        {
            "package.json": package({"nuxt": "3"}, scripts={"build": "nuxt build", "generate": "nuxt generate"}),
            "nuxt.config.ts": "export default defineNuxtConfig({ ssr: false })",
        },
        {
            "framework": "nuxt",
            "output_dir": ".output/public",
            "build_command": "npm run generate",
            "start_command": None,
        },
    ),
    "sveltekit": Sample(
        {
            "package.json": package(dev={"@sveltejs/kit": "2", "svelte": "5", "vite": "5"}, scripts=VITE_SCRIPTS),
            "svelte.config.js": "import adapter from '@sveltejs/adapter-node'\nexport default "
            "{kit: {adapter: adapter()}}",
        },
        {"framework": "sveltekit", "start_command": "node build"},
    ),
    "sveltekit as files": Sample(
        {
            "package.json": package(dev={"@sveltejs/kit": "2", "svelte": "5"}, scripts=VITE_SCRIPTS),
            "svelte.config.js": "import adapter from '@sveltejs/adapter-static'\n"
            "export default {kit: {adapter: adapter({fallback: 'index.html'})}}",
        },
        SPA | {"framework": "sveltekit", "output_dir": "build"},
    ),
    "remix": Sample(
        {
            "package.json": package(
                {"@remix-run/react": "2", "@remix-run/serve": "2", "react": "18"},
                dev={"@remix-run/dev": "2", "vite": "5"},
                scripts={"build": "remix vite:build", "start": "remix-serve ./build/server/index.js"},
            )
        },
        {"framework": "remix", "start_command": "remix-serve ./build/server/index.js"},
    ),
    "react-router without a server": Sample(
        {
            "package.json": package({"react-router": "7"}, dev={"@react-router/dev": "7"}, scripts={"build": "x"}),
            "react-router.config.ts": "export default { ssr: false }",
        },
        SPA | {"framework": "react-router", "output_dir": "build/client"},
    ),
    "docusaurus": Sample(
        {
            "package.json": package(
                {"@docusaurus/core": "3"}, scripts={"start": "docusaurus start", "build": "docusaurus build"}
            )
        },
        {"framework": "docusaurus", "output_dir": "build", "spa_fallback": False},
    ),
    "vitepress": Sample(
        {
            "package.json": package(dev={"vitepress": "1", "vue": "3"}, scripts={"build": "vitepress build docs"}),
            "docs/index.md": "# hi",
        },
        {"framework": "vitepress", "output_dir": "docs/.vitepress/dist"},
    ),
    "webpack without a framework": Sample(
        {
            "package.json": package(dev={"webpack": "5"}, scripts={"build": "webpack", "start": "webpack serve"}),
            "index.html": "",
            "webpack.config.js": "module.exports = {output: {path: path.resolve(__dirname, 'site'), filename: 'a.js'}}",
        },
        {"stack": "node", "framework": None, "output_dir": "site", "start_command": None, "spa_fallback": False},
    ),
    "loaded modules are not the entry": Sample(
        {
            "package.json": package({"express": "4"}, scripts={"start": "node -r dotenv/config --inspect web.js"}),
            "web.js": EXPRESS_SERVER,
        },
        {"framework": "express", "port": 3100, "health_path": "/healthz"},
    ),
    "workspace with two applications": Sample(
        {
            "package.json": package(workspaces=["apps/*"]),
            "apps/admin/package.json": package({"react": "18"}, dev={"vite": "5"}, scripts=VITE_SCRIPTS),
            "apps/zapi/package.json": package({"express": "4"}, scripts={"start": "node server.js"}),
            "apps/zapi/server.js": EXPRESS_SERVER,
        },
        {"framework": "express", "start_command": "node server.js", "port": 3100},
    ),
    "next standalone in a workspace": Sample(
        {
            "package.json": package(workspaces=["apps/*"]),
            "apps/web/package.json": package({"next": "15"}, scripts={"build": "next build", "start": "next start"}),
            "apps/web/next.config.js": "module.exports = { output: 'standalone' }",
        },
        {"framework": "next.js", "start_command": "node apps/web/server.js"},
    ),
    "server that also builds a front end": Sample(
        {
            "package.json": package(
                {"express": "4", "react": "18"},
                dev={"vite": "5"},
                scripts={"build": "vite build", "start": "node server.js"},
            ),
            "server.js": EXPRESS_SERVER,
            "index.html": "",
        },
        {"framework": "express", "start_command": "node server.js", "build_command": "npm run build"},
    ),
    "front end that serves itself": Sample(
        {
            "package.json": package(
                {"react": "18"},
                dev={"vite": "5", "serve": "14"},
                scripts={"build": "vite build", "start": "serve -s dist"},
            ),
            "index.html": "",
        },
        SPA | {"framework": "react", "output_dir": "dist"},
    ),
    "lone server": Sample(
        {"server.js": HTTP_SERVER}, {"stack": "node", "start_command": "node server.js", "port": 8123}
    ),
    "workspace with one application": Sample(
        {
            "package.json": package(workspaces=["apps/*", "packages/*"]),
            "package-lock.json": NPM_LOCK,
            "apps/api/package.json": package({"express": "4"}, scripts={"start": "node server.js"}),
            "apps/api/server.js": EXPRESS_SERVER,
            "packages/lib/package.json": package(),
        },
        {"framework": "express", "start_command": "node server.js", "root": "."},
    ),
    "bun as package manager": Sample(
        {
            "package.json": package({"express": "4"}, scripts={"start": "node server.js"}),
            "bun.lock": "{}",
            "server.js": EXPRESS_SERVER,
        },
        {"stack": "node", "package_manager": "bun"},
    ),
    "yarn berry": Sample(
        {
            "package.json": package({"express": "4"}, scripts={"start": "node server.js"}),
            "yarn.lock": "# generated\n\n__metadata:\n  version: 8\n  cacheKey: 10\n",
            ".yarnrc.yml": "nodeLinker: node-modules\n",
            "server.js": EXPRESS_SERVER,
        },
        {"package_manager": "yarn"},
    ),
    "packageManager goes before lockfiles": Sample(
        {
            "package.json": package(
                {"koa": "2"}, scripts={"start": "node a.js"}, packageManager="pnpm@9.1.2+sha256.abc"
            ),
            "package-lock.json": NPM_LOCK,
            "a.js": "new (require('koa'))().listen(3000)",
        },
        {"package_manager": "pnpm", "framework": "koa"},
    ),
    "look-alike dependencies": Sample(
        {
            "package.json": package({"express-rate-limit": "7", "nextgen": "1"}, scripts={"start": "node server.js"}),
            "server.js": HTTP_SERVER,
        },
        {"stack": "node", "framework": None, "port": 8123},
    ),
    "UTF-16 package.json with BOM and CRLF": Sample(
        {
            "package.json": package({"express": "4"}, scripts={"start": "node server.js"})
            .replace("\n", "\r\n")
            .encode("utf-16"),
            "server.js": "\ufeff" + EXPRESS_SERVER.replace("\n", "\r\n"),
        },
        {"framework": "express", "port": 3100},
    ),
    "procfile": Sample(
        {
            "package.json": package({"express": "4"}, scripts={"start": "nodemon"}),
            "Procfile": "web: node bin/www\nworker: node worker.js\n",
            "bin/www": EXPRESS_SERVER,
        },
        {"framework": "express", "start_command": "node bin/www", "processes": (("worker", "node worker.js"),)},
    ),
    "prisma and postgres": Sample(
        {
            "package.json": package(
                {"express": "4", "@prisma/client": "5", "pg": "8"}, scripts={"start": "node server.js"}
            ),
            "prisma/schema.prisma": "",
            "server.js": EXPRESS_SERVER,
            ".env.example": "DATABASE_URL=postgres://localhost/x\nJWT_SECRET=\n"
            "REDIS_URL=redis://localhost\nLEVEL=info\n",
        },
        {"services": ("postgresql", "redis"), "required_env": ("JWT_SECRET",)},
    ),
    "husky in prepare": Sample(
        {
            "package.json": package(
                {"express": "4"}, dev={"husky": "9"}, scripts={"prepare": "husky", "start": "node server.js"}
            ),
            "package-lock.json": NPM_LOCK,
            "server.js": EXPRESS_SERVER,
        },
        {"framework": "express"},
    ),
    "port from the compose file": Sample(
        {
            "package.json": package({"express": "4"}, scripts={"start": "node server.js"}),
            "server.js": "require('express')().listen(process.env.PORT)",
            "docker-compose.yml": "services:\n  db:\n    image: postgres\n    ports: ['5432:5432']\n"
            "  web:\n    build: .\n    ports:\n      - '80:4500'\n",
        },
        {"port": 4500},
    ),
    "settings win": Sample(
        {"package.json": package({"express": "4"}, scripts={"start": "node server.js"}), "server.js": EXPRESS_SERVER},
        {"start_command": "node other.js", "port": 9999, "health_path": "/up", "build_command": "make assets"},
        {"start_command": "node other.js", "port": 9999, "health_path": "up", "build_command": "make assets"},
    ),
}

PYTHON: dict[str, Sample] = {
    "flask": Sample(
        {
            "requirements.txt": "Flask==3.0\n",
            ".python-version": "3.12.4\n",
            "app.py": FLASK_APP
            + "@app.route('/health')\ndef h(): return 'ok'\nif __name__ == '__main__':\n    app.run(port=5050)\n",
        },
        {
            "stack": "python",
            "framework": "flask",
            "package_manager": "pip",
            "language_version": "3.12",
            "start_command": "gunicorn --bind 0.0.0.0:${PORT} --threads 4 app:app",
            "port": 5050,
            "health_path": "/health",
            "warnings": (),
        },
    ),
    "flask factory": Sample(
        {
            "requirements.txt": "flask\ngunicorn\n",
            "shop/__init__.py": "from flask import Flask\ndef create_app(config=None):\n"
            "    app = Flask(__name__)\n    return app\n",
        },
        {"start_command": "gunicorn --bind 0.0.0.0:${PORT} --threads 4 'shop:create_app()'"},
    ),
    "flask factory called in wsgi.py": Sample(
        {
            "requirements.txt": "flask\n",
            "wsgi.py": "from shop import create_app\napp = create_app()\n",
            "shop/__init__.py": "from flask import Flask\ndef create_app(config):\n    return Flask(__name__)\n",
        },
        {"framework": "flask", "start_command": "gunicorn --bind 0.0.0.0:${PORT} --threads 4 wsgi:app"},
    ),
    "fastapi in a package": Sample(
        {
            "pyproject.toml": '[project]\nname="x"\ndependencies=["fastapi[standard]>=0.100"]\n'
            'requires-python=">=3.10,<3.13"\n',
            "app/__init__.py": "",
            "app/main.py": FASTAPI_APP,
        },
        {
            "framework": "fastapi",
            "language_version": "3.12",
            "start_command": "uvicorn --host 0.0.0.0 --port ${PORT} app.main:app",
            "port": 8000,
        },
    ),
    "fastapi factory in src": Sample(
        {
            "requirements.txt": "fastapi\nuvicorn\n",
            "src/main.py": "from fastapi import FastAPI as F\ndef create_app():\n    a = F()\n    return a\n",
        },
        {"start_command": "uvicorn --host 0.0.0.0 --port ${PORT} --factory main:create_app"},
    ),
    "fastapi below if and try": Sample(
        {
            "requirements.txt": "fastapi\n",
            "main.py": "import fastapi\ntry:\n    api: object = fastapi.FastAPI()\nexcept E:\n    pass\n",
        },
        {"framework": "fastapi", "start_command": "uvicorn --host 0.0.0.0 --port ${PORT} main:api"},
    ),
    "starlette": Sample(
        {
            "requirements.txt": "starlette\n",
            "main.py": "from starlette.applications import Starlette\napp = Starlette()\n",
        },
        {"framework": "starlette", "start_command": "uvicorn --host 0.0.0.0 --port ${PORT} main:app"},
    ),
    "django": Sample(
        DJANGO,
        {
            "framework": "django",
            "start_command": "python manage.py migrate --noinput && "
            "gunicorn --bind 0.0.0.0:${PORT} --threads 4 site1.wsgi:application",
            "required_env": ("SECRET_KEY",),
            "health_path": "/healthz/",
        },
    ),
    "django in a folder": Sample(
        {"requirements.txt": "django\n", **{f"web/{path}": text for path, text in DJANGO.items() if "." in path[-3:]}},
        {
            "framework": "django",
            "root": ".",
            "start_command": "python web/manage.py migrate --noinput && "
            "gunicorn --bind 0.0.0.0:${PORT} --threads 4 site1.wsgi:application",
        },
    ),
    "manage.py that is not Django's": Sample(
        {
            "requirements.txt": "flask\nflask-script\n",
            "manage.py": "from flask_script import Manager\n",
            "app.py": FLASK_APP,
        },
        {"framework": "flask", "start_command": "gunicorn --bind 0.0.0.0:${PORT} --threads 4 app:app"},
    ),
    "look-alike of fastapi": Sample(
        {"requirements.txt": "fastapi-ipware\nflask\n", "app.py": FLASK_APP}, {"framework": "flask"}
    ),
    "uv": Sample(
        {
            "pyproject.toml": '[project]\nname="x"\ndependencies=["flask"]\nrequires-python=">=3.11"\n',
            "uv.lock": "version = 1\n",
            "main.py": FLASK_APP,
            ".python-version": "# ours\n3.11\n",
        },
        {"package_manager": "uv", "language_version": "3.11", "framework": "flask"},
    ),
    "poetry": Sample(
        {
            "pyproject.toml": '[tool.poetry]\nname="x"\n[tool.poetry.dependencies]\n'
            'python="^3.10"\nfastapi={version="*",extras=["all"]}\n',
            "poetry.lock": "",
            "main.py": FASTAPI_APP,
        },
        {"package_manager": "poetry", "framework": "fastapi"},
    ),
    "pdm": Sample(
        {
            "pyproject.toml": '[project]\nname="x"\ndependencies=["flask"]\n[tool.pdm]\n',
            "pdm.lock": "",
            "app.py": FLASK_APP,
        },
        {"package_manager": "pdm"},
    ),
    "pipenv": Sample(
        {
            "Pipfile": '[packages]\nflask = "*"\n[requires]\npython_version = "3.11"\n',
            "Pipfile.lock": "{}",
            "app.py": FLASK_APP,
        },
        {"package_manager": "pipenv", "language_version": "3.11", "framework": "flask"},
    ),
    "included requirements": Sample(
        {
            "requirements.txt": "-r requirements/base.txt\n",
            "requirements/base.txt": "fastapi \\\n  ==0.1\n",
            "main.py": FASTAPI_APP,
        },
        {"framework": "fastapi"},
    ),
    "UTF-16 requirements": Sample(
        {"requirements.txt": "flask==3.0\r\npsycopg2-binary\r\n".encode("utf-16"), "app.py": FLASK_APP},
        {"framework": "flask", "services": ("postgresql",)},
    ),
    "streamlit": Sample(
        {"requirements.txt": "streamlit\npandas\n", "streamlit_app.py": "import streamlit as st\nst.write('x')\n"},
        {
            "framework": "streamlit",
            "start_command": "streamlit run streamlit_app.py --server.port ${PORT} --server.address 0.0.0.0"
            " --server.headless true",
            "port": 8501,
            "health_path": "/_stcore/health",
        },
    ),
    "sanic": Sample(
        {"requirements.txt": "sanic\n", "server.py": "from sanic import Sanic\napp = Sanic('x')\n"},
        {"framework": "sanic", "start_command": "sanic server:app --host=0.0.0.0 --port=${PORT}"},
    ),
    "aiohttp": Sample(
        {
            "requirements.txt": "aiohttp\n",
            "main.py": "from aiohttp import web\napp = web.Application()\n"
            "if __name__ == '__main__':\n    web.run_app(app, port=8090)\n",
        },
        {"framework": "aiohttp", "start_command": "python main.py", "port": 8090},
    ),
    "plain server without a manifest": Sample(
        {"app.py": FLASK_APP}, {"stack": "python", "framework": "flask", "package_manager": "pip"}
    ),
    "procfile decides among manifests": Sample(
        {
            "Gemfile": "source 'https://rubygems.org'\n",
            "package.json": package(dev={"webpack": "5"}),
            "requirements.txt": "flask\ngunicorn\n",
            "Procfile": "release: flask db upgrade\nweb: gunicorn shop:app\n",
            "shop.py": FLASK_APP,
        },
        {"stack": "python", "start_command": "gunicorn shop:app", "processes": (("release", "flask db upgrade"),)},
    ),
    "assets by vite": Sample(
        {**DJANGO, "package.json": package(dev={"vite": "5", "tailwindcss": "3"}, scripts=VITE_SCRIPTS)},
        {"stack": "python", "framework": "django"},
    ),
    "broken pyproject.toml": Sample(
        {"pyproject.toml": "[project\nname=", "requirements.txt": "flask\n", "app.py": FLASK_APP},
        {"framework": "flask", "package_manager": "pip"},
    ),
    "python 2 source beside": Sample(
        {"requirements.txt": "flask\n", "old.py": "print 'x'\n", "app.py": FLASK_APP}, {"framework": "flask"}
    ),
    "end of life": Sample(
        {"requirements.txt": "flask\n", "runtime.txt": "python-3.9.18\n", "app.py": FLASK_APP},
        {"language_version": "3.9"},
    ),
    "no version fits": Sample(
        {"requirements.txt": "flask\n", "runtime.txt": "python-2.7.18\n", "app.py": FLASK_APP},
        {"language_version": "3.11"},
    ),
    "native packages": Sample(
        {"requirements.txt": "flask\npsycopg2==2.9\ngit+https://example.com/x.git#egg=x\n", "app.py": FLASK_APP},
        {"services": ("postgresql",)},
    ),
}

STATIC: dict[str, Sample] = {
    "page at the root": Sample(
        {"index.html": "<h1>hi</h1>", "404.html": ""}, {"stack": "static", "port": 8080, "output_dir": "."}
    ),
    "page in public": Sample({"public/index.html": "", "README.md": ""}, {"stack": "static", "output_dir": "public"}),
    "Staticfile": Sample(
        {"Staticfile": "root: html\n", "html/index.html": "", "index.html": ""},
        {"stack": "static", "output_dir": "html"},
    ),
    "a page with a script in another language beside": Sample(
        {"index.html": "", "app.js": "", "style.css": "", "tools/resize.lua": "", "deploy.pl": ""}, {"stack": "static"}
    ),
    "2048 with tools beside": Sample(
        {
            "index.html": "",
            "Rakefile": "",
            "Makefile": "",
            "package.json": package(dev={"prettier": "3", "eslint": "9"}, scripts={"lint": "eslint ."}),
            "js/app.js": "",
        },
        {"stack": "static"},
    ),
}

DOCKERFILE: dict[str, Sample] = {
    "own Dockerfile": Sample(
        {
            "Dockerfile": "ARG V=3.12\nFROM python:${V}-slim AS base\nEXPOSE 53/udp \\\n"
            "  9000/tcp 9001\nFROM base\nUSER 5\n"
            'CMD ["python", "main.py"]\n',
            "requirements.txt": "fastapi\n",
            "main.py": FASTAPI_APP,
        },
        {
            "stack": "dockerfile",
            "underlying_stack": "python",
            "framework": "fastapi",
            "package_manager": "pip",
            "port": 9000,
        },
    ),
    "lower case and comments": Sample(
        {"Dockerfile": "# syntax=docker/dockerfile:1\nfrom nginx:alpine\n\nexpose 81\n"},
        {"stack": "dockerfile", "port": 81},
    ),
    "nothing to run": Sample(
        {"Dockerfile": "FROM debian:12\nRUN true\n", "requirements.txt": "flask\n", "app.py": FLASK_APP},
        {"stack": "python"},
    ),
    "does not parse": Sample({"Dockerfile": "hello\n", "index.html": ""}, {"stack": "static"}),
    "a folder of that name": Sample({"Dockerfile/x.txt": "", "index.html": ""}, {"stack": "static"}),
    "other names are not it": Sample(
        {"Dockerfile.dev": "FROM x\nCMD a\n", "web.Dockerfile": "FROM x\nCMD a\n", "index.html": ""},
        {"stack": "static"},
    ),
    "a setting goes before it": Sample(
        {"Dockerfile": "FROM x\nCMD a\n", "requirements.txt": "flask\n", "app.py": FLASK_APP},
        {"stack": "python", "framework": "flask"},
        {"framework": "flask"},
    ),
}

NONE: dict[str, Sample] = {
    "empty": Sample({}, {"stack": "none", "confidence": 0}),
    "only documents": Sample({"README.md": "# hi", "LICENSE": ""}, {"stack": "none"}),
    "pages of a Swift server": Sample(
        {"Package.swift": "", "Public/index.html": "", "public/index.html": ""}, {"stack": "none"}
    ),
    "pages of a C++ program": Sample(
        {"Makefile": "", "src/main.cpp": "int main() {}", "www/index.html": "", "www/style.css": ""}, {"stack": "none"}
    ),
    "pages of a Perl program": Sample({"app.pl": "", "public/index.html": ""}, {"stack": "none"}),
    "pages of a Crystal program": Sample(
        {"shard.yml": "", "src/app.cr": "", "public/index.html": "", "package.json": package(dev={"prettier": "3"})},
        {"stack": "none"},
    ),
    "a page of a C program": Sample({"Makefile": "", "main.c": "", "index.html": ""}, {"stack": "none"}),
    "pages of OpenResty": Sample({"nginx.conf": "", "lua/app.lua": "", "html/index.html": ""}, {"stack": "none"}),
    "documents of a C library": Sample(
        {"configure.ac": "", "lib.c": "", "lib.h": "", "docs/index.html": ""}, {"stack": "none"}
    ),
    "root that is not there": Sample({"index.html": ""}, {"stack": "none", "root": "web"}, {"root": "web"}),
    "root that leads outside": Sample({"index.html": ""}, {"stack": "none"}, {"root": "../x"}),
}

FOLDERS: dict[str, Sample] = {
    "one application in a folder": Sample(
        {
            "README.md": "",
            "server/package.json": package({"express": "4"}, scripts={"start": "node a.js"}),
            "server/a.js": EXPRESS_SERVER,
        },
        {"stack": "node", "framework": "express", "root": "server"},
    ),
    "front end and back end": Sample(
        {
            "backend/requirements.txt": "fastapi\n",
            "backend/main.py": FASTAPI_APP,
            "frontend/package.json": package({"react": "18"}, dev={"vite": "5"}, scripts=VITE_SCRIPTS),
            "frontend/index.html": "",
        },
        {"stack": "python", "framework": "fastapi", "root": "backend"},
    ),
    "the other one by a setting": Sample(
        {
            "backend/requirements.txt": "fastapi\n",
            "backend/main.py": FASTAPI_APP,
            "frontend/package.json": package({"react": "18"}, dev={"vite": "5"}, scripts=VITE_SCRIPTS),
            "frontend/index.html": "",
        },
        {"stack": "node", "framework": "react", "root": "frontend"},
        {"root": "./frontend/"},
    ),
    "a server beside documents": Sample(
        {"docs/index.html": "", "backend/requirements.txt": "fastapi\n", "backend/main.py": FASTAPI_APP},
        {"stack": "python", "root": "backend"},
    ),
    "a front end called web beside a server": Sample(
        {
            "web/package.json": package({"react": "18"}, dev={"vite": "5"}, scripts=VITE_SCRIPTS),
            "web/index.html": "",
            "api/requirements.txt": "fastapi\n",
            "api/main.py": FASTAPI_APP,
        },
        {"stack": "python", "root": "api"},
    ),
    "a server beside a program in another language": Sample(
        {
            "pubspec.yaml": "name: app\n",
            "lib/main.dart": "",
            "server/package.json": package({"express": "4"}, scripts={"start": "node a.js"}),
            "server/a.js": EXPRESS_SERVER,
            "web/index.html": "",
        },
        {"stack": "node", "framework": "express", "root": "server"},
    ),
    "examples are not the application": Sample(
        {"README.md": "", "examples/a/package.json": package({"express": "4"}), "tests/app.py": FLASK_APP},
        {"stack": "none"},
    ),
}
