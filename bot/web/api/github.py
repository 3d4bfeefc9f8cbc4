"""The GitHub App that the installation is: which one, what it lacks, and how it becomes one."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints
from starlette.requests import Request

from bot.errors import BerthError, ConflictError
from bot.forge.github_app import AppCredentials
from bot.forge.manifest import Lack, lacks_of_address
from bot.forge.setup import examine, install_url
from bot.web.access import Level
from bot.web.api.models import Answer, Body, Flag
from bot.web.http import Needs, asked, berth_of, endpoint, given

_Line = Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]


class CheckQuery(Body):
    check: Flag = Field(False, description="Ask GitHub what the App lacks")


class AppBody(Body):
    """Of an App that exists already, from its settings page on GitHub."""

    app_id: Annotated[str, StringConstraints(pattern="^[0-9]{1,20}$")]
    private_key: Annotated[str, StringConstraints(max_length=20_000)] = Field(description="PEM")
    webhook_secret: _Line
    client_id: _Line = ""
    client_secret: _Line = Field("", description="For signing in with GitHub")


class LackAnswer(Answer):
    """``error``: nothing works without it; ``warning``: something does not."""

    level: Literal["error", "warning"]
    text: str
    fix: str


class AppAnswer(Answer):
    configured: bool
    app_id: str
    slug: str
    html_url: str
    install_url: str = Field(description="Where the repositories are chosen that Berth may see")
    lacks: list[LackAnswer]
    problem: str = Field(description="Why GitHub could not be asked; empty when it was, or was not to be")


class SetupAnswer(Answer):
    url: str = Field(description="The page that makes the App; good for an hour, and for whoever has it")


async def get_app(request: Request) -> Any:
    """Which GitHub App the installation is, and with ``check`` what that lacks."""
    return await _shown(request, check=asked(request, CheckQuery).check)


async def set_up(request: Request) -> Any:
    """Begin to make a GitHub App: the address of a page with the button that does it."""
    berth = berth_of(request)
    if berth.github is not None:
        raise ConflictError(
            f"Berth is the GitHub App {berth.github.credentials.app_id} already.",
            "To become another one, sign in with the operator token and open /setup.",
        )
    return {"url": berth.setup.begin()}


async def import_app(request: Request) -> Any:
    """Become a GitHub App that exists already. Its key is tried first."""
    body = given(request, AppBody)
    await berth_of(request).setup.import_app(AppCredentials(slug="", html_url="", **body.model_dump()))
    return await _shown(request, check=True)


async def _shown(request: Request, *, check: bool) -> dict[str, Any]:
    berth = berth_of(request)
    lacks: list[Lack] = lacks_of_address(berth.config)
    problem = ""
    if berth.github is None:
        return {
            "configured": False,
            **dict.fromkeys(("app_id", "slug", "html_url", "install_url", "problem"), ""),
            "lacks": [vars(one) for one in lacks],
        }
    if check:
        try:
            lacks = await examine(berth.github, berth.config)
        except BerthError as error:
            problem = str(error)
    app = berth.github.credentials
    return {
        "configured": True,
        "app_id": app.app_id,
        "slug": app.slug,
        "html_url": app.html_url,
        "install_url": install_url(app),
        "lacks": [vars(one) for one in lacks],
        "problem": problem,
    }


ROUTES = [
    endpoint("/api/github", get_app, Needs(Level.READ, "installation"), query=CheckQuery, answer=AppAnswer),
    endpoint(
        "/api/github/setup", set_up, Needs(Level.ADMIN, "installation"), method="POST", answer=SetupAnswer, status=201
    ),
    endpoint(
        "/api/github/app",
        import_app,
        Needs(Level.ADMIN, "installation"),
        method="PUT",
        body=AppBody,
        answer=AppAnswer,
    ),
]
