"""Which stacks a command line can belong to: the program that it starts says so."""

from __future__ import annotations

import posixpath
import re

from bot.detect.parse import shell_parts

_JVM = ("java", "kotlin", "scala")
# the stacks in which people write commands that begin with these words
_ROWS: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("python",),
        "python python3 python2 gunicorn uvicorn hypercorn daphne granian waitress-serve uwsgi flask fastapi",
    ),
    (("python",), "django-admin celery pserve streamlit poetry pipenv pdm uv sanic litestar twistd"),
    (("node", "bun"), "node nodejs npm npx yarn pnpm next nuxt nest ts-node tsx pm2 pm2-runtime nodemon micro strapi"),
    (("bun", "node"), "bun bunx"),
    (("deno",), "deno"),
    (("ruby",), "bundle ruby rails rake puma rackup unicorn thin passenger"),
    (_JVM, "java mvn mvnw gradle gradlew sbt"),
    (("php",), "php php-fpm heroku-php-apache2 heroku-php-nginx"),
    (("rust",), "cargo"),
    (("csharp",), "dotnet"),
    (("elixir",), "mix elixir iex"),
)
_PROGRAMS = {word: stacks for stacks, words in _ROWS for word in words.split()}
# where builds leave programs
_PLACES = (
    (re.compile(r"(\./)?target/release/"), ("rust",)),
    (re.compile(r"(\./)?(target/universal/stage/bin|build/install/[^/]+/bin)/"), _JVM),
    (re.compile(r"(\./)?_build/prod/rel/"), ("elixir",)),
)
# words before the program that is meant
_BEFORE = frozenset(
    ("exec", "env", "time", "nice", "nohup", "dumb-init", "tini", "bin/start-nginx", "bin/start-pgbouncer")
) | {"newrelic-admin", "run-program", "--", "-g"}


def stacks_of(command: str) -> tuple[str, ...]:
    """The stacks that the first known program of a command belongs to, none for programs that say nothing."""
    for words in shell_parts(command):
        for word in words:
            if re.match(r"[A-Za-z_]\w*=", word) or word in _BEFORE:
                continue
            placed = next((stacks for pattern, stacks in _PLACES if pattern.match(word)), ())
            found = placed or _PROGRAMS.get(posixpath.basename(word), ())
            if found:
                return found
            break  # the program of this part says nothing; `cd x && node .` has another one
    return ()
