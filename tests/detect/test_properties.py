"""Whatever stands in a repository: there is an answer, it is bounded, and it is quick."""

from __future__ import annotations

import json
import time

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.detect import Detection, Repository, detect
from bot.detect import dockerfile as dockerfiles
from bot.detect.parse import parse_json, parse_toml, parse_yaml, requirement, shell_parts, strip_js_comments
from bot.detect.releases import NODE, PYTHON
from bot.detect.versions import resolve_node, resolve_python
from bot.generate import generate
from bot.generate.images import base_images_of
from bot.project import from_yaml
from tests.compose import as_read
from tests.detect.samples import ALL

NAMES = (
    *("package.json", "package-lock.json", "yarn.lock", "pnpm-lock.yaml", "pnpm-workspace.yaml", "server.js", ".nvmrc"),
    *(
        "requirements.txt",
        "pyproject.toml",
        "Pipfile",
        "setup.py",
        "setup.cfg",
        "app.py",
        "main.py",
        "manage.py",
        "Procfile",
    ),
    *(
        "runtime.txt",
        ".python-version",
        "environment.yml",
        "Dockerfile",
        "docker-compose.yml",
        "index.html",
        "Staticfile",
    ),
    *(
        ".env.example",
        "next.config.js",
        "angular.json",
        "tsconfig.json",
        ".tool-versions",
        "mise.toml",
        "vite.config.ts",
    ),
    *("deno.json", "deno.lock", "import_map.json", "main.ts", "bunfig.toml", "bun.lock", "manifest.json", "Gemfile"),
    *(
        "hugo.toml",
        "hugo.yaml",
        "config.toml",
        "mkdocs.yml",
        "_config.yml",
        ".gitmodules",
        "netlify.toml",
        "vercel.json",
    ),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "scripts",
                    "dependencies",
                    "devDependencies",
                    "engines",
                    "node",
                    "start",
                    "build",
                    "workspaces",
                    "packages",
                    "main",
                    "next",
                    "express",
                    "react",
                    "vite",
                    "packageManager",
                    "volta",
                    "projects",
                    "architect",
                    "options",
                    "outputPath",
                    "tasks",
                    "imports",
                    "importMap",
                    "workspace",
                    "deploy",
                    "entrypoint",
                    "elysia",
                    "@types/bun",
                ]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)
CONTENT = st.text(max_size=200) | st.binary(max_size=200) | JSON.map(json.dumps)
PLAIN_NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=12)
FILES = st.dictionaries(
    st.sampled_from(NAMES)
    | st.builds("{}/{}".format, st.sampled_from(["app", "src", "a b"]), st.sampled_from(NAMES))
    | PLAIN_NAMES,
    CONTENT,
    max_size=8,
)
QUIET = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def check(found: Detection) -> None:
    assert not any("gave up" in text or "was not looked at" in text for text in found.warnings), found.warnings
    assert 0 <= found.confidence <= 100
    assert found.port is None or 0 < found.port < 65536
    assert Detection.from_json(json.loads(json.dumps(found.to_json()))) == found
    made = generate(found)
    if made:
        assert from_yaml(made.files["docker-compose.yml"]) == as_read(made.project)
        if "Dockerfile" in made.files:
            parsed = dockerfiles.parse(made.files["Dockerfile"])
            assert not parsed.problems
            assert dockerfiles.runnable(parsed)


@QUIET
@given(FILES)
def test_any_files_have_an_answer(files: dict[str, str | bytes]) -> None:
    check(detect(Repository.from_files(files)))


@QUIET
@given(st.sampled_from(sorted(ALL)), st.data())
def test_damaged_repositories_have_an_answer(name: str, data: st.DataObject) -> None:
    """A known repository in which one file is cut, garbled, or replaced."""
    files = dict(ALL[name].files)
    if files:
        path = data.draw(st.sampled_from(sorted(files)))
        content = files[path]
        raw = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
        place = data.draw(st.integers(0, len(raw)))
        files[path] = raw[:place] + data.draw(st.binary(max_size=8)) + raw[place + data.draw(st.integers(0, 8)) :]
    check(detect(Repository.from_files(files), ALL[name].settings))


@QUIET
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "root": st.text(max_size=10),
            "framework": st.text(max_size=10) | st.sampled_from(["flask", "express", "static", "node"]),
            "start_command": st.text(max_size=40),
            "build_command": st.text(max_size=40),
            "port": st.integers() | st.text(max_size=5),
            "health_path": st.text(max_size=10),
        },
    ),
    st.sampled_from(sorted(ALL)),
)
def test_any_settings_have_an_answer(given_settings: dict[str, object], name: str) -> None:
    check(detect(Repository.from_files(ALL[name].files), given_settings))


@QUIET
@given(st.text(max_size=300))
def test_parsers_take_anything(text: str) -> None:
    parse_json(text)
    parse_toml(text)
    parse_yaml(text)
    requirement(text, "", 1)
    shell_parts(text)
    assert strip_js_comments(text).count("\n") == text.count("\n")
    dockerfiles.parse(text)
    base_images_of("FROM a\n" + text)
    assert resolve_node(text).tag in {row.tag for row in NODE}
    assert resolve_python(text).tag in {row.tag for row in PYTHON}


def test_hostile_files_are_quick() -> None:
    hostile: dict[str, str | bytes] = {
        "package.json": '{"dependencies":' + "[" * 200_000,
        "pyproject.toml": "a." * 100_000 + "b = 1",
        "app.py": "(" * 100_000 + "Flask(",
        "main.py": "x = " + "-" * 50_000 + "1 # FastAPI(",
        "server.js": "/*" * 200_000 + "'" + '"`' * 100_000 + "createServer(",
        "Dockerfile": "FROM a\\\n" * 50_000,
        "docker-compose.yml": "a: &a [x,x,x,x,x,x,x,x]\n"
        + "".join(f"b{i}: &b{i} [*a,*a,*a,*a]\n" for i in range(2000)),
        "environment.yml": "[" * 5_000,
        "requirements.txt": "-r requirements.txt\n" * 1000 + "a" * 500_000,
        ".nvmrc": ">=" * 200_000,
        "Procfile": "web: " + "'" * 200_000,
        ".env.example": "A=" + "x" * 500_000 + "\n" + "B=" + "your" * 50_000,
        "index.html": "<" * 500_000,
    }
    start = time.perf_counter()
    found = detect(Repository.from_files(hostile))
    assert time.perf_counter() - start < 5
    assert len(json.dumps(found.to_json())) < 100_000
