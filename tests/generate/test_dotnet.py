"""Dockerfiles of .NET, instruction by instruction: neither its images nor NuGet can be had here, so none is built."""

from __future__ import annotations

import json
import subprocess
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from bot.detect import Detection, Repository, detect
from bot.detect import dockerfile as dockerfiles
from bot.generate.recipe import probe_bash
from tests.detect.samples import ALL
from tests.detect.samples_basic import Sample
from tests.detect.samples_dotnet import LAYERS, PROGRAM, WEB, project
from tests.generate.test_dockerfiles import made


def steps(text: str) -> list[list[str]]:
    """The instructions of each stage, one text each, without mounts and comments."""
    parsed = dockerfiles.parse(text)
    assert not parsed.problems
    return [
        [f"FROM {stage.base}"]
        + [
            f"{one.name} " + " ".join(word for word in one.text.split() if not word.startswith("--mount="))
            for one in stage.instructions
            if one.name not in ("LABEL", "HEALTHCHECK")
        ]
        for stage in parsed.stages
    ]


def test_a_solution_of_layers() -> None:
    build, run = steps(made(ALL["dotnet: layers of a solution"])[1].files["Dockerfile"])
    assert build == [
        "FROM mcr.microsoft.com/dotnet/sdk:8.0",
        "WORKDIR /src",
        "ENV DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1",
        "COPY Directory.Build.props Directory.Packages.props nuget.config ./",
        "COPY src/Shop.Core/Shop.Core.csproj ./src/Shop.Core/",
        "COPY src/Shop.Data/Shop.Data.csproj ./src/Shop.Data/",
        "COPY src/Shop.Web/Shop.Web.csproj ./src/Shop.Web/",
        "RUN dotnet restore src/Shop.Web/Shop.Web.csproj",
        "COPY . .",
        "RUN dotnet publish src/Shop.Web/Shop.Web.csproj --configuration Release --output /out -p:UseAppHost=false",
    ]
    assert run == [
        "FROM mcr.microsoft.com/dotnet/aspnet:8.0",
        "RUN install --directory --owner=1000 --group=1000 /app",
        "WORKDIR /app",
        "COPY --chown=1000:1000 --from=build /out ./",
        "ENV HOME=/app ASPNETCORE_FORWARDEDHEADERS_ENABLED=true PORT=8080",
        "USER 1000:1000",
        "EXPOSE 8080",
        'CMD ["/bin/sh", "-c", "export ASPNETCORE_HTTP_PORTS=\\"${PORT}\\" && exec dotnet shop.dll"]',
    ]


def test_packages_are_kept_in_a_cache_of_the_repository() -> None:
    text = made(ALL["dotnet: layers of a solution"])[1].files["Dockerfile"]
    assert text.count("--mount=type=cache,id=r7-nuget,target=/root/.nuget/packages \\\n    dotnet ") == 2


CASES: dict[str, list[str]] = {
    "dotnet: a console program": ["FROM mcr.microsoft.com/dotnet/runtime:10.0", 'CMD ["dotnet", "Tool.dll"]'],
    "dotnet: blazor server": [
        "FROM mcr.microsoft.com/dotnet/aspnet:6.0",
        'export ASPNETCORE_URLS=\\"http://+:${PORT}\\"',
    ],
    "dotnet: several frameworks": [" --framework net10.0 "],
    "dotnet: global.json pins the SDK": [
        "FROM mcr.microsoft.com/dotnet/sdk:8.0.404 AS",
        "COPY Shop.csproj global.json ./",
    ],
    "dotnet: global.json allows newer ones": ["FROM mcr.microsoft.com/dotnet/sdk:9.0 AS", "dotnet/aspnet:9.0"],
    "dotnet: a framework by a property": ["COPY common.props ./", "COPY src/Shop/Shop.csproj ./src/Shop/"],
    "dotnet: compiled ahead of time": [
        "dotnet restore Shop.csproj -p:PublishAot=false -p:SelfContained=false",
        "-p:UseAppHost=false -p:PublishAot=false -p:SelfContained=false",
    ],
    "dotnet: the address in the settings": [
        'Kestrel__Endpoints__Web__Url=\\"http://+:${PORT}\\" && exec dotnet Shop.dll'
    ],
    "dotnet: the address in the code": ['CMD ["dotnet", "Shop.dll"]', "PORT=5123"],
    "dotnet: the code reads PORT": ['CMD ["dotnet", "Shop.dll"]', "PORT=3001"],
    "dotnet: a front end in ClientApp": [
        "COPY --from=node:22-slim /usr/local/bin/node /usr/local/bin/",
        "WORKDIR /src/ClientApp\nCOPY ClientApp/package.json ClientApp/package-lock.json ./",
        "npm ci\nWORKDIR /src\n",
    ],
    "dotnet: a front end that nothing builds": [
        "COPY . .\n# the front end goes where the project publishes it from\nWORKDIR /src/ClientApp\nRUN npm run build",
        "cp -r ClientApp/build /out/ClientApp/build",
    ],
    "dotnet: a client of Visual Studio": [
        "COPY shop.client/shop.client.esproj ./shop.client/",
        "WORKDIR /src/shop.client",
    ],
    "dotnet: blazor in the browser alone": [
        "FROM nginx:stable",
        "COPY --from=build /out/wwwroot /usr/share/nginx/html",
    ],
    "dotnet: a program of one file": [
        "COPY . .\nRUN --mount=type=cache,id=r7-nuget,target=/root/.nuget/packages \\\n    dotnet publish app.cs ",
        "-p:PublishAot=false",
        "exec dotnet app.dll",
    ],
    "dotnet: a lone Program.cs": [
        "COPY .berth/app.csproj ./",
        "dotnet restore app.csproj",
        "dotnet publish app.csproj",
    ],
    "dotnet: names with spaces and quotes": ["My Shop.csproj", "exec dotnet 'My Shop.dll'\"]"],
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_special(name: str) -> None:
    text = made(ALL[name])[1].files["Dockerfile"]
    for part in CASES[name]:
        assert part in text, text


def test_a_lone_program_gets_a_project() -> None:
    files = made(ALL["dotnet: a lone Program.cs"])[1].files
    assert '<Project Sdk="Microsoft.NET.Sdk.Web">' in files[".berth/app.csproj"]
    assert "<TargetFramework>net10.0</TargetFramework>" in files[".berth/app.csproj"]
    assert ".berth/app.csproj" not in made(ALL["dotnet: web api"])[1].files


def test_pages_of_blazor_fall_back_to_the_index() -> None:
    files = made(ALL["dotnet: blazor in the browser alone"])[1].files
    assert "try_files $uri $uri/ /index.html;" in files[".berth/nginx.conf"]


def test_a_mirror_holds_the_images_of_every_registry() -> None:
    _, generated = made(ALL["dotnet: web api"], image_prefix="mirror.example/")
    assert generated.base_images == (
        "mirror.example/mcr.microsoft.com/dotnet/aspnet:10.0",
        "mirror.example/mcr.microsoft.com/dotnet/sdk:10.0",
    )


def test_a_build_command_that_was_set_takes_the_place_of_ours() -> None:
    _, generated = made(Sample(LAYERS, settings={"build_command": "./build.sh --output /out"}))
    build, _ = steps(generated.files["Dockerfile"])
    assert build[-1] == "RUN ./build.sh --output /out"
    assert not any("dotnet publish" in line for line in build)


def test_what_cannot_run_here_is_said() -> None:
    for name, said in {
        "dotnet: made for windows": "needs Windows",
        "dotnet: only a library": "nothing can be started",
        "dotnet: a desktop program": "nothing to serve",
        "dotnet: several web projects": "Set start_command to `dotnet Shop.Admin.dll`",
        "dotnet: aspire": "with Aspire",
        "dotnet: f sharp alone": "F#",
        "dotnet: visual basic alone": "Visual Basic",
        "dotnet: references that lead nowhere": "lib/Gone.csproj, which is not there",
        "dotnet: entities without end": "it declares a document type",
        "dotnet: a framework that has ended long ago": "has no image here; 3.1 is used",
    }.items():
        found = _detected(name)
        assert any(said in text for text in found.warnings), (name, found.warnings)


def _detected(name: str) -> Detection:
    return detect(Repository.from_files(ALL[name].files), ALL[name].settings)


def test_applications_are_listed() -> None:
    listed = _detected("dotnet: several web projects").applications
    assert [(one.root, one.name, one.framework) for one in listed] == [
        ("Shop.Api", "Shop.Api", "asp.net-core"),
        ("Shop.Admin", "Shop.Admin", "asp.net-core"),
    ]


def test_hostile_names_stay_values() -> None:
    name = "x'; RUN evil $(id)"
    files: dict[str, str | bytes] = {
        f"{name}/{name}.csproj": project(WEB, "net10.0", AssemblyName="a; rm -rf /", PublishAot="true"),
        f"{name}/Program.cs": PROGRAM,
        "All.slnx": "<Solution />",
    }
    found, generated = made(Sample(files))
    assert found.start_command == "dotnet 'x'\\''; RUN evil $(id).dll'"
    parsed = dockerfiles.parse(generated.files["Dockerfile"])
    names = {one.name for stage in parsed.stages for one in stage.instructions}
    assert names <= {*["FROM", "WORKDIR", "ENV", "COPY", "RUN", "LABEL", "USER", "EXPOSE", "HEALTHCHECK", "CMD"]}
    runs = [one.text for one in parsed.stages[0].instructions if one.name == "RUN"]
    assert all(json.loads(text[text.index("[") :])[:2] == ["/bin/sh", "-c"] for text in runs)


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (404, True), (500, False)])
def test_the_probe_speaks_http(status: int, healthy: bool) -> None:
    asked = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.handle_request, daemon=True).start()
        done = subprocess.run(
            probe_bash("/it's/up"), env={"PORT": str(server.server_port)}, timeout=20, check=False, capture_output=True
        )
    assert (done.returncode == 0) is healthy
    assert asked == ["/it's/up"]
