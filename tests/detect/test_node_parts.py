"""The readers beneath the detection of Node: broken JSON, settings in JavaScript, generations of Yarn."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.detect import Repository, detect
from bot.detect.facts import NodeFacts
from bot.detect.js_config import find_setting, js_settings, top_setting
from bot.detect.loose import read_loose, without_conflicts
from bot.generate import generate
from tests.detect.samples import ALL
from tests.detect.samples_basic import EXPRESS_SERVER, package


def test_what_can_be_read_of_a_broken_object_is_read() -> None:
    text = '{a: \'x\', // why\n "b": {"c": "1" "d": [true, null,]}, "e": "no end\n, "f": "last'
    assert read_loose(text) == {"a": "x", "b": {"c": "1", "d": [True, None]}, "e": "no end", "f": "last"}
    assert read_loose("[1]") is None
    assert read_loose("") is None


def test_a_conflict_is_read_as_one_side_had_it() -> None:
    text = '{\n<<<<<<< HEAD\n"a": "1"\n||||||| base\n"a": "0"\n=======\n"a": "2"\n>>>>>>> other\n}'
    assert read_loose(text) == {"a": "1"}
    assert without_conflicts("a\n=======\nb") == "a\n=======\nb", "no conflict, only a line under a title"


@pytest.mark.parametrize("part", [" ", "{", '{"a', "/*", "/", '{"\\', "/* ", "'\\", "\\", '"\n', "{a:[", "<<<<<<< x\n"])
def test_hostile_objects_are_quick(part: str) -> None:
    start = time.perf_counter()
    read_loose("{" + part * 150_000)
    assert time.perf_counter() - start < 5


@given(st.text(alphabet="{}[]()\"'`,:=>.;/\\ \nab0", max_size=200))
def test_readers_take_anything(text: str) -> None:
    read_loose(text)
    js_settings(text)


def test_settings_of_the_configuration_itself() -> None:
    code = (
        "const withX = require('x')({ output: 'no' ? 1 : 2 })\n"
        "const config = {\n  images: { output: 'inner' },\n  output: 'standalone',\n  distDir: env ? 'a' : 'b',\n}\n"
        "config.trailingSlash = true\nmodule.exports = withX(config)\n"
    )
    assert (found := top_setting(code, "output"))
    assert found.value == "standalone"
    assert (inner := find_setting(code, "images", "output"))
    assert inner.value == "inner"
    assert top_setting(code, "distDir") is None, "it is computed"
    assert (slash := top_setting(code, "trailingSlash"))
    assert slash.value == "true"


def test_paths_are_put_together() -> None:
    code = (
        "export default defineConfig({ build: { outDir: path.resolve(__dirname, '../www', 'x') }, root: './client' })"
    )
    assert (out := find_setting(code, "build", "outDir"))
    assert out.value == "../www/x"
    assert (root := top_setting(code, "root"))
    assert root.value == "./client"


YARN = {
    "classic": ({"yarn.lock": "# yarn lockfile v1\n"}, "Yarn 1 (classic)"),
    "2": ({"yarn.lock": "__metadata:\n  version: 4\n"}, "Yarn 2 (berry)"),
    "3": ({"yarn.lock": "__metadata:\n  version: 6\n"}, "Yarn 3 (berry)"),
    "4": ({"yarn.lock": "__metadata:\n  version: 8\n"}, "Yarn 4 (berry)"),
}


@pytest.mark.parametrize("name", YARN)
def test_the_generation_of_yarn_is_told(name: str) -> None:
    files, generation = YARN[name]
    start = {"package.json": package({"express": "4"}, scripts={"start": "node a.js"}), "a.js": EXPRESS_SERVER}
    found = detect(Repository.from_files({**start, **files}))
    assert found.package_manager == "yarn"
    assert any(generation in item.says for item in found.evidence if item.path == "yarn.lock")


def test_a_package_of_a_workspace_is_built_where_the_workspace_begins() -> None:
    sample = ALL["the setting names a package of the workspace"]
    found = detect(Repository.from_files(sample.files), sample.settings)
    made = generate(found)
    assert made
    assert found.root == "."
    assert "COPY package.json yarn.lock ./" in made.files["Dockerfile"]
    assert "WORKDIR /app/apps/web" in made.files["Dockerfile"]


def test_a_workspace_of_pnpm_ends_with_the_application_alone() -> None:
    sample = ALL["pnpm workspace with a catalog"]
    made = generate(detect(Repository.from_files(sample.files)))
    assert made
    assert "pnpm install --frozen-lockfile --prod --filter 'sample...'" in made.files["Dockerfile"]


def test_variables_of_pages_are_arguments_of_the_build() -> None:
    files = {
        "package.json": package({"react": "18"}, dev={"vite": "5"}, scripts={"build": "vite build"}),
        "index.html": "",
        "src/main.tsx": "fetch(import.meta.env.VITE_API_URL)\n",
    }
    made = generate(detect(Repository.from_files(files)))
    assert made
    lines = made.files["Dockerfile"].splitlines()
    assert lines.index("ARG VITE_API_URL") > lines.index("COPY . .")


CLIENT = package({"react": "18"}, dev={"vite": "5"}, scripts={"build": "vite build"})
HANDS_OUT = (
    "const express = require('express');\nconst path = require('path');\nconst app = express();\n"
    "app.use(express.static(path.join(__dirname, 'client/dist')));\napp.listen(process.env.PORT || 5000);\n"
)


@pytest.mark.parametrize(
    ("scripts", "server", "build", "front"),
    [
        ({}, HANDS_OUT, None, "client"),
        ({}, HANDS_OUT.replace("'client/dist'", "'client', 'dist'"), None, "client"),
        ({}, HANDS_OUT.replace("client/dist", "client/src"), None, ""),
        ({}, HANDS_OUT.replace("client/dist", "clients/dist"), None, ""),
        ({"heroku-postbuild": "cd client && npm install && npm run build"}, HANDS_OUT, None, "client"),
        ({"build": "npm i && npm i --prefix client && npm run build --prefix client"}, HANDS_OUT, None, "client"),
        ({"build": "cd client && yarn && yarn build && cd .."}, HANDS_OUT, None, "client"),
        ({"build": "cd other && npm run build && cd ../client && npm run build"}, HANDS_OUT, "npm run build", ""),
        ({"build": "tsc -p server && cd client && npm run build"}, HANDS_OUT, "npm run build", ""),
        ({"build": "npm run build:server && npm run build --prefix client"}, HANDS_OUT, "npm run build", ""),
        ({"build": "webpack"}, HANDS_OUT, "npm run build", "client"),
        ({"heroku-postbuild": "webpack"}, HANDS_OUT.replace("client/", ""), "npm run heroku-postbuild", ""),
    ],
)
def test_a_front_end_beside_a_server(scripts: dict[str, str], server: str, build: str | None, front: str) -> None:
    files = {
        "package.json": package({"express": "4"}, scripts={"start": "node server.js", **scripts}),
        "package-lock.json": "{}",
        "server.js": server,
        "client/package.json": CLIENT,
        "client/package-lock.json": "{}",
        "client/src/App.jsx": "fetch('client/dist')\n",
    }
    found = detect(Repository.from_files(files))
    assert (found.framework, found.root, found.start_command) == ("express", ".", "node server.js")
    assert found.build_command == build
    assert isinstance(found.facts, NodeFacts)
    assert found.facts.front_end_folder == front
    generated = generate(found)
    assert generated
    text = generated.files["Dockerfile"]
    assert ("COPY --chown=1000:1000 --from=assets /app/client/dist ./client/dist/" in text) == bool(front)
    assert ("npm run build && rm -rf node_modules" in text) == bool(front)
    committed = detect(Repository.from_files({**files, "client/dist/index.html": ""}))
    assert isinstance(committed.facts, NodeFacts)
    assert committed.facts.front_end is None


INSTALLS = "npm install --prefix backend && npm install --prefix client"


@pytest.mark.parametrize(
    ("scripts", "root"),
    [
        ({"build": f"{INSTALLS} && npm run build --prefix client", "start": "npm run start --prefix backend"}, "."),
        ({"heroku-postbuild": f"{INSTALLS} && npm run build --prefix client", "start": "cd backend && npm start"}, "."),
        ({"build": INSTALLS, "start": "npm run start --prefix ./backend/"}, "."),
        ({"build": "npm run build --prefix client", "start": "npm run start --prefix backend"}, "backend"),
        ({"start": "npm run start --prefix backend"}, "backend"),
        ({"build": INSTALLS, "start": "npm run start --prefix elsewhere"}, "backend"),
    ],
)
def test_a_root_that_starts_a_server_below(scripts: dict[str, str], root: str) -> None:
    files = {
        "package.json": package(scripts=scripts),
        "backend/package.json": package({"express": "4", "pg": "8"}, scripts={"start": "node src/server.js"}),
        "backend/src/server.js": HANDS_OUT.replace("client/dist", "../../client/dist"),
        "client/package.json": CLIENT,
        "client/src/App.jsx": "",
        ".env.example": "DATABASE_URL=\n",
    }
    found = detect(Repository.from_files(files))
    assert (found.stack, found.framework, found.root) == ("node", "express", root)
    assert (found.port, found.services) == (5000, ("postgresql",))
    generated = generate(found)
    assert generated
    text = generated.files["Dockerfile"]
    if root == ".":
        assert found.start_command == "cd backend && node src/server.js"
        assert found.build_command == f"npm run {next(iter(scripts))}"
        assert "NPM_CONFIG_INCLUDE=dev" in text, "the front end is built by packages for development"
        assert 'CMD ["/bin/sh", "-c", "cd backend && exec node src/server.js"]' in text
    apart = detect(Repository.from_files({**files, "backend/src/server.js": HANDS_OUT.replace("client/", "pages/")}))
    assert apart.root == "backend", "without pages of the front end, the server is an application by itself"
