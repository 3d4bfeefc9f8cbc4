"""Frameworks of Python."""

from __future__ import annotations

from bot.detect.frameworks.model import Framework


def _python(
    name: str,
    *packages: str,
    port: int,
    weight: int,
    server: str,
    constructor: tuple[str, ...] = (),
    supersedes: tuple[str, ...] = (),
    health_path: str = "/",
) -> Framework:
    return Framework(
        name,
        "python",
        packages or (name,),
        supersedes=supersedes,
        port=port,
        weight=weight,
        constructor=constructor,
        server=server,
        health_path=health_path,
    )


PYTHON: tuple[Framework, ...] = (
    _python("django", port=8000, weight=50, server="wsgi", supersedes=("flask",)),
    _python(
        "flask",
        *("flask", "apiflask", "flask-openapi3", "flask-appbuilder"),
        port=5000,
        weight=20,
        server="wsgi",
        constructor=("flask.Flask", "apiflask.APIFlask", "flask_openapi3.OpenAPI"),
    ),
    _python(
        "fastapi",
        *("fastapi", "fastapi-slim"),
        port=8000,
        weight=30,
        server="asgi",
        constructor=("fastapi.FastAPI", "fastapi.applications.FastAPI"),
        supersedes=("starlette",),
    ),
    _python(
        "litestar",
        "litestar",
        "starlite",
        port=8000,
        weight=30,
        server="asgi",
        constructor=("litestar.Litestar", "litestar.app.Litestar", "starlite.Starlite"),
    ),
    _python(
        "fasthtml",
        "python-fasthtml",
        port=5001,
        weight=31,
        server="asgi",
        constructor=(
            *("fasthtml.common.FastHTML", "fasthtml.FastHTML", "fasthtml.core.FastHTML"),
            *("fasthtml.common.fast_app", "fasthtml.fast_app", "fasthtml.fastapp.fast_app"),
        ),
        supersedes=("starlette", "fastapi"),
    ),
    _python("starlette", port=8000, weight=15, server="asgi", constructor=("starlette.applications.Starlette",)),
    _python("sanic", port=8000, weight=30, server="own", constructor=("sanic.Sanic", "sanic.app.Sanic")),
    _python(
        "falcon",
        port=8000,
        weight=25,
        server="wsgi",
        constructor=("falcon.App", "falcon.API", "falcon.asgi.App", "falcon.app.App"),
    ),
    _python("bottle", port=8080, weight=20, server="wsgi", constructor=("bottle.Bottle", "bottle.default_app")),
    _python("pyramid", port=6543, weight=30, server="wsgi"),
    _python("aiohttp", port=8080, weight=10, server="own", constructor=("aiohttp.web.Application",)),
    _python("tornado", port=8888, weight=15, server="own", constructor=("tornado.web.Application",)),
    _python("streamlit", port=8501, weight=40, server="own", health_path="/_stcore/health"),
    _python("gradio", port=7860, weight=40, server="own", supersedes=("fastapi", "starlette")),
)

# what serves without being named as a framework: only the command is known
UNNAMED: tuple[Framework, ...] = (
    _python("quart", port=5000, weight=0, server="asgi", constructor=("quart.Quart",)),
    _python("blacksheep", port=8000, weight=0, server="asgi", constructor=("blacksheep.Application",)),
    _python("socketio", port=8000, weight=0, server="asgi", constructor=("socketio.ASGIApp",)),
    _python("connexion", port=8080, weight=0, server="asgi", constructor=("connexion.AsyncApp",)),
    _python("dash", port=8050, weight=0, server="wsgi", constructor=("dash.Dash",)),
)

# how a file shows that a framework serves, and is not only there for something else: aiohttp is a client as well
USES: dict[str, str] = {
    "django": r"^\s*(?:from|import)\s+django\b",
    "flask": r"^\s*(?:from|import)\s+(?:flask|apiflask|flask_openapi3|flask_appbuilder)\b",
    "fastapi": r"^\s*(?:from|import)\s+fastapi\b",
    "litestar": r"^\s*(?:from|import)\s+(?:litestar|starlite)\b",
    "fasthtml": r"^\s*(?:from|import)\s+fasthtml\b",
    "starlette": r"^\s*(?:from|import)\s+starlette\.(?:applications|routing)\b",
    "sanic": r"^\s*(?:from|import)\s+sanic\b",
    "falcon": r"^\s*(?:from|import)\s+falcon\b",
    "bottle": r"^\s*(?:from|import)\s+bottle\b",
    "pyramid": r"^\s*(?:from|import)\s+pyramid\b",
    "aiohttp": r"^\s*(?:from\s+aiohttp\s+import\s+[^\n]*\bweb\b|(?:from|import)\s+aiohttp\.web\b)|\baiohttp\.web\.",
    "tornado": r"^\s*(?:from\s+tornado\s+import\s+[^\n]*\bweb\b|(?:from|import)\s+tornado\.(?:web|httpserver)\b)",
    "streamlit": r"^\s*(?:from|import)\s+streamlit\b",
    "gradio": r"^\s*(?:from|import)\s+gradio\b",
}
# dependencies that other packages bring along, or that serve only now and then: nothing without a file that uses them
NEED_USE = frozenset({"aiohttp", "tornado", "starlette", "bottle", "gradio", "streamlit"})
