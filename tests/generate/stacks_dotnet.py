"""Applications of .NET: neither its images nor NuGet have a stand-in, so they are read instruction by instruction."""

from __future__ import annotations

from tests.detect.samples import ALL
from tests.generate.stacks import Application, Applications, Files

WHY = "neither the images of .NET nor NuGet have a stand-in"


def _files(name: str) -> Files:
    return {path: text for path, text in ALL[name].files.items() if isinstance(text, str)}


APPLICATIONS: Applications = {
    "asp.net-core, a solution": Application(
        (),
        _files("dotnet: layers of a solution"),
        not_built=WHY,
        instructions=(
            r"FROM mcr\.microsoft\.com/dotnet/sdk:8\.0 AS build",
            r"COPY Directory\.Build\.props Directory\.Packages\.props nuget\.config \./",
            r"COPY src/Shop\.Web/Shop\.Web\.csproj \./src/Shop\.Web/",
            r"RUN .*dotnet restore src/Shop\.Web/Shop\.Web\.csproj$",
            r"COPY \. \.",
            r"RUN .*dotnet publish src/Shop\.Web/Shop\.Web\.csproj .*--output /out -p:UseAppHost=false",
            r"FROM mcr\.microsoft\.com/dotnet/aspnet:8\.0",
            "USER 1000:1000",
            r"CMD .*exec dotnet shop\.dll",
        ),
    ),
    "blazor, in the browser": Application(
        (),
        _files("dotnet: blazor in the browser alone"),
        not_built=WHY,
        instructions=(
            r"FROM mcr\.microsoft\.com/dotnet/sdk:10\.0 AS build",
            "RUN .*dotnet restore",
            "RUN .*dotnet publish",
            "FROM nginx:stable",
            "COPY --from=build /out/wwwroot /usr/share/nginx/html",
            "USER 1000:1000",
        ),
    ),
    "asp.net-core, with angular": Application(
        (),
        _files("dotnet: a front end in ClientApp"),
        not_built=WHY,
        instructions=(
            r"FROM mcr\.microsoft\.com/dotnet/sdk:8\.0 AS build",
            "COPY --from=node:22-slim /usr/local/bin/node",
            "WORKDIR /src/ClientApp",
            "RUN .*npm ci",
            "RUN .*dotnet restore",
            "RUN .*dotnet publish",
            r"FROM mcr\.microsoft\.com/dotnet/aspnet:8\.0",
        ),
    ),
    ".net, one file": Application(
        (),
        _files("dotnet: a program of one file"),
        not_built=WHY,
        instructions=("FROM mcr.*sdk:10", "COPY . .", r"RUN .*dotnet publish app\.cs", r"FROM mcr.*aspnet:10"),
    ),
}
