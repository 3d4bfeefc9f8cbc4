"""Repositories in which several stacks meet."""

from __future__ import annotations

from tests.detect.samples_basic import EXPRESS_SERVER, FLASK_APP, MANAGE, Sample, package

EXPRESS = {
    "package.json": package({"express": "4"}, scripts={"start": "node server.js"}),
    "server.js": EXPRESS_SERVER,
}
FLASK = {"requirements.txt": "flask\ngunicorn\n", "app.py": FLASK_APP}
GO_SERVER = 'package main\n\nimport "net/http"\n\nfunc main() { http.ListenAndServe(":8080", nil) }\n'

MIXED: dict[str, Sample] = {
    "mixed: the Procfile starts Python": Sample(
        {**EXPRESS, **FLASK, "Procfile": "web: gunicorn app:app\n"},
        {"stack": "python", "framework": "flask", "start_command": "gunicorn app:app"},
    ),
    "mixed: the Procfile starts Node": Sample(
        {**EXPRESS, **FLASK, "Procfile": "web: NODE_ENV=production node server.js\n"},
        {"stack": "node", "framework": "express"},
    ),
    "mixed: the Procfile starts a program behind a wrapper": Sample(
        {**EXPRESS, **FLASK, "Procfile": "web: bin/start-nginx newrelic-admin run-program gunicorn app:app\n"},
        {"stack": "python", "framework": "flask"},
    ),
    "mixed: the Procfile starts what cargo has built": Sample(
        {
            **EXPRESS,
            "Cargo.toml": '[package]\nname = "shop"\nversion = "0.1.0"\n\n[dependencies]\naxum = "0.8"\n',
            "src/main.rs": "fn main() {}\n",
            "Procfile": "web: ./target/release/shop\n",
        },
        {"stack": "rust", "framework": "axum"},
    ),
    "mixed: a front end at the root of a server": Sample(
        {
            **FLASK,
            "package.json": package({"vue": "3"}, dev={"vite": "5"}, scripts={"build": "vite build", "dev": "vite"}),
            "index.html": "<div id=app></div>",
            "src/main.js": "import { createApp } from 'vue'\n",
        },
        {"stack": "python", "framework": "flask"},
    ),
    "mixed: a Dockerfile above a server and a front end": Sample(
        {
            "Dockerfile": "FROM golang:1.26 AS build\nCOPY backend .\nRUN go build -o /app\n"
            'FROM scratch\nCOPY --from=build /app /app\nCMD ["/app"]\n',
            "backend/go.mod": "module example.com/shop\n\ngo 1.24\n",
            "backend/main.go": GO_SERVER,
            "frontend/package.json": package({"vue": "3"}, dev={"vite": "5"}, scripts={"build": "vite build"}),
            "frontend/index.html": "",
        },
        {"stack": "dockerfile", "underlying_stack": "go", "package_manager": "go", "root": "."},
    ),
    "mixed: images of a proxy and a database beside the server": Sample(
        {
            "deploy/db/Dockerfile": "FROM postgres:16\nCOPY init.sql /docker-entrypoint-initdb.d/\n",
            "deploy/db/init.sql": "",
            "deploy/nginx/Dockerfile": "FROM nginx\nCOPY nginx.conf /etc/nginx/\n",
            "service/requirements.txt": "flask\n",
            "service/app.py": FLASK_APP,
        },
        {"stack": "python", "framework": "flask", "root": "service"},
    ),
    "mixed: a Dockerfile with its sources beside a server": Sample(
        {
            "engine/Dockerfile": "FROM gcc\nCOPY . .\nRUN make\nCMD ./engine\nEXPOSE 80\n",
            "engine/main.c": "int main() { return 0; }\n",
            "tools/requirements.txt": "flask\n",
            "tools/app.py": FLASK_APP,
        },
        {"stack": "dockerfile", "root": "engine"},
    ),
    "mixed: a server in a folder with a manifest of its own": Sample(
        {
            "backend/package.json": package({"express": "4", "pg": "8"}, scripts={"start": "node ./bin/www"}),
            "backend/index.js": "require('express')().listen(3000)\n",
            "backend/bin/www": "#!/usr/bin/env node\nrequire('../index')\n",
            "client/index.html": "",
        },
        {"stack": "node", "framework": "express", "root": "backend", "start_command": "node ./bin/www"},
    ),
    "mixed: images for development beside services": Sample(
        {
            "docker/app/Dockerfile": 'FROM golang:1.14\nRUN go get x\nENTRYPOINT ["reflex"]\n',
            "internal/users/go.mod": "module example.com/users\n\ngo 1.24\n\nrequire github.com/go-chi/chi/v5 v5.0.1\n",
            "internal/users/main.go": GO_SERVER,
        },
        {"stack": "go", "framework": "chi", "root": "internal/users"},
    ),
    "dockerfile: the version of its image": Sample(
        {
            "Dockerfile": "ARG NODE_VERSION=20\nFROM node:${NODE_VERSION}-slim AS base\nFROM base\nCOPY . .\n"
            "CMD node server.js\n",
            "package.json": package({"express": "4"}, engines={"node": "22"}),
            "server.js": "require('express')().listen(3000)\n",
        },
        {"underlying_stack": "node", "language_version": "20"},
    ),
    "dockerfile: the version of its image, with a patch": Sample(
        {
            "Dockerfile": "FROM python:3.11.4-slim-bookworm\nCOPY . .\nCMD python app.py\n",
            "requirements.txt": "flask\n",
        },
        {"underlying_stack": "python", "language_version": "3.11"},
    ),
    "dockerfile: an image without a version": Sample(
        {
            "Dockerfile": "FROM python\nCOPY . .\nCMD python app.py\n",
            "requirements.txt": "flask\n",
            ".python-version": "3.12",
        },
        {"underlying_stack": "python", "language_version": "3.12"},
    ),
    "mixed: checks in Ruby beside a site by Eleventy": Sample(
        {
            "package.json": package(dev={"@11ty/eleventy": "3"}, scripts={"build": "eleventy"}),
            "eleventy.config.js": "module.exports = {}\n",
            "Gemfile": "source 'https://rubygems.org'\ngroup :test do\n  gem 'html-proofer'\nend\n",
            "Rakefile": "task :test\n",
        },
        {"stack": "node", "framework": "eleventy"},
    ),
    "mixed: a project of Django among the tests": Sample(
        {**FLASK, "tests/fixtures/project/manage.py": MANAGE}, {"stack": "python", "framework": "flask"}
    ),
    "mixed: a launcher in Java before a program in Scala": Sample(
        {
            "build.sbt": 'scalaVersion := "2.13.12"\n',
            "src/main/java/Launcher.java": "public class Launcher { public static void main(String[] a) {} }\n",
            "src/main/scala/shop/App.scala": "package shop\nclass App\n",
            "src/main/scala/shop/Routes.scala": "package shop\nclass Routes\n",
        },
        {"stack": "scala", "package_manager": "sbt"},
    ),
    "scala: libraries by the name of a list": Sample(
        {
            "build.sbt": 'val http4sVersion = "0.23.30"\nval base = Seq("org.typelevel" %% "cats-core" % "2.12.0")\n'
            'val http = base ++ Seq(\n  "org.http4s" %% "http4s-dsl" % http4sVersion,\n'
            '  "org.http4s" %% "http4s-ember-server" % http4sVersion\n)\n\n'
            'lazy val root = (project in file(".")).aggregate(backend)\n\n'
            'lazy val backend = (project in file("backend"))\n  .settings(libraryDependencies ++= http)\n',
            "backend/src/main/scala/Main.scala": "object Main extends App { println(1) }\n",
        },
        {"stack": "scala", "framework": "http4s", "package_manager": "sbt"},
    ),
    "mixed: libraries for pages that a server only needs while it is built": Sample(
        {
            "package.json": package(
                {"@medusajs/medusa": "2"},
                dev={"react": "18", "vite": "5"},
                scripts={"build": "medusa build", "start": "medusa start"},
            )
        },
        {"stack": "node", "framework": None},
    ),
    "hono by its starter for OpenAPI": Sample(
        {
            "package.json": package(
                {"@hono/zod-openapi": "0.18", "@hono/node-server": "1"}, scripts={"start": "node app.js"}
            ),
            "app.js": "import { OpenAPIHono } from '@hono/zod-openapi'\nimport { serve } from '@hono/node-server'\n"
            "serve(new OpenAPIHono())\n",
        },
        {"stack": "node", "framework": "hono"},
    ),
    "hapi that is composed": Sample(
        {
            "package.json": package({"@hapi/hapi": "21", "@hapi/glue": "9"}, scripts={"start": "node server.js"}),
            "server.js": "const Glue = require('@hapi/glue')\n"
            "Glue.compose({ server: { port: 4000 } }).then(s => s.start())\n",
        },
        {"stack": "node", "framework": "hapi"},
    ),
}
