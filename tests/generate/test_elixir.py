"""Dockerfiles of Elixir, instruction by instruction. With packages none is built: Hex cannot be had here."""

from __future__ import annotations

import pytest

from bot.detect import Repository, detect
from tests.detect.samples import ALL
from tests.detect.samples_basic import Sample
from tests.detect.samples_elixir import PHOENIX, RUNTIME, mix
from tests.generate.test_dockerfiles import made
from tests.generate.test_dotnet import steps


def test_phoenix() -> None:
    build, run = steps(made(ALL["elixir: phoenix"])[1].files["Dockerfile"])
    assert build == [
        "FROM elixir:1.18-otp-27-slim",
        "WORKDIR /app",
        "RUN apt-get update && apt-get install --yes --no-install-recommends 'build-essential=*' 'git=*'"
        " && rm -rf /var/lib/apt/lists/*",
        "ENV MIX_ENV=prod LANG=C.UTF-8",
        "RUN mix local.hex --force && mix local.rebar --force",
        "COPY mix.exs mix.lock ./",
        "RUN mix deps.get --only prod",
        "COPY config/config.exs config/prod.exs ./config/",
        "RUN mix deps.compile && mix assets.setup",
        "COPY . .",
        "RUN mix compile && mix assets.deploy && mix release --path /out --overwrite",
    ]
    assert run[0] == "FROM debian:bookworm-slim"
    assert run[3:8] == [
        "WORKDIR /app",
        "COPY --chown=1000:1000 --from=build /out ./",
        "ENV LANG=C.UTF-8 PHX_SERVER=true PHX_HOST=localhost PORT=4000",
        "USER 1000:1000",
        "EXPOSE 4000",
    ]
    assert 'DATABASE_URL\\" ] || bin/shop eval Shop.Release.migrate; } && exec bin/shop start"]' in run[8]
    assert "export SECRET_KEY_BASE" in run[8]
    assert len(run) == 9


CASES: dict[str, list[str]] = {
    "elixir: phoenix with packages of Node.js": [
        "COPY --from=node:22-slim /usr/local/bin/node /usr/local/bin/",
        "WORKDIR /app/assets\nCOPY assets/package.json assets/package-lock.json ./\n",
        "npm ci\nWORKDIR /app\nCOPY . .\n",
    ],
    "elixir: phoenix with webpack": [
        "WORKDIR /app/assets\nCOPY assets ./\n",
        "WORKDIR /app/assets\nRUN npm run deploy\nWORKDIR /app\nRUN mix phx.digest \\\n    && mix release ",
        'CMD ["bin/shop", "start"]',
    ],
    "elixir: an umbrella": [
        "COPY mix.exs mix.lock ./\nCOPY apps/shop/mix.exs ./apps/shop/\nCOPY apps/shop_web/mix.exs ./apps/shop_web/\n",
        "RUN mix compile\nWORKDIR /app/apps/shop_web\nRUN mix release --path /out",
    ],
    "elixir: an umbrella with a release": ["RUN mix compile \\\n    && mix release all --path /out"],
    "elixir: local packages": ["COPY . .\nRUN --mount=type=cache,id=r7-hex,target=/root/.hex/packages "],
    "elixir: versions of asdf": ["FROM elixir:1.16-otp-26-slim AS build"],
    "elixir: versions of a buildpack": ["FROM elixir:1.15-otp-25-slim AS build"],
    "elixir: a script": ["USER 1000:1000\nRUN mix local.hex --force", 'CMD ["elixir", "server.exs"]'],
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_special(name: str) -> None:
    text = made(ALL[name])[1].files["Dockerfile"]
    for part in CASES[name]:
        assert part in text, text


def test_without_packages_nothing_is_fetched() -> None:
    text = made(ALL["elixir: without a framework"])[1].files["Dockerfile"]
    assert "local.hex" not in text
    assert "build-essential" not in text


def test_a_release_runs_on_a_debian_that_is_not_older() -> None:
    files: dict[str, str | bytes] = {"mix.exs": mix('{:bandit, "~> 1.0"}'), ".tool-versions": "elixir 1.19.1-otp-28\n"}
    text = made(Sample(files))[1].files["Dockerfile"]
    assert "FROM elixir:1.19-otp-28-slim AS build" in text
    assert "FROM debian:trixie-slim\n" in text


def test_what_is_odd_is_said() -> None:
    for files, said in (
        ({**PHOENIX, "config/prod.exs": 'import Config\nimport_config "prod.secret.exs"\n'}, "imports prod.secret.exs"),
        (
            {**PHOENIX, "config/runtime.exs": RUNTIME.replace("PHX_SERVER", "OTHER").replace("server: true", "a: 1")},
            "server: true",
        ),
        ({"mix.exs": mix().replace("mod: {Shop.Application, []}, ", "")}, "nothing will run"),
        ({"mix.exs": mix('{:bandit, "~> 1.0"}')}, "there is no mix.lock"),
        ({"mix.exs": mix(), ".tool-versions": "elixir 1.17.1\nerlang 24.1\n"}, "no image with Erlang/OTP 24"),
        ({"mix.exs": mix(more="releases: [one: [], two: []],")}, "several releases: one is built, not two"),
        ({"mix.exs": mix(elixir="~> 1.14.0")}, "Elixir 1.14 has had no security fixes"),
    ):
        found = detect(Repository.from_files(dict(files)))
        assert any(said in text for text in found.warnings), (said, found.warnings)


def test_hostile_names_stay_values() -> None:
    files: dict[str, str | bytes] = {
        "mix.exs": mix(more='releases: ["x; rm -rf /": [], $(id): []],', app='"x && y"'),
        "mix.lock": "",
    }
    found, generated = made(Sample(files))
    assert found.start_command == "bin/app start"
    assert "rm -rf /:" not in generated.files["Dockerfile"]
    assert "$(id)" not in generated.files["Dockerfile"]
