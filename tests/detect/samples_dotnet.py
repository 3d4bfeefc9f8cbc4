"""Repositories of .NET, traps included."""

from __future__ import annotations

from tests.detect.samples_basic import Sample, package

WEB = "Microsoft.NET.Sdk.Web"
PLAIN = "Microsoft.NET.Sdk"
PROGRAM = (
    "var builder = WebApplication.CreateBuilder(args);\n"
    "var app = builder.Build();\n"
    'app.MapGet("/", () => "one");\n'
    "app.Run();\n"
)


def project(sdk: str = WEB, target: str = "net10.0", *items: str, **properties: str) -> str:
    """A project file; an item is a line of an ItemGroup."""
    lines = [f'<Project Sdk="{sdk}">', "", "  <PropertyGroup>"]
    lines += [f"    <TargetFramework>{target}</TargetFramework>"] if target else []
    lines += [f"    <{name}>{value}</{name}>" for name, value in properties.items()]
    lines += [
        "  </PropertyGroup>",
        "",
        "  <ItemGroup>",
        *(f"    {item}" for item in items),
        "  </ItemGroup>",
        "",
        "</Project>",
    ]
    return "\n".join(lines) + "\n"


def uses(name: str, version: str = "1.0.0") -> str:
    return f'<PackageReference Include="{name}" Version="{version}" />'


def refers(path: str) -> str:
    return f'<ProjectReference Include="{path}" />'


def solution(*paths: str) -> str:
    lines = ["", "Microsoft Visual Studio Solution File, Format Version 12.00"]
    for number, path in enumerate(paths):
        name = path.rsplit("\\", 1)[-1].removesuffix(".csproj")
        lines += [f'Project("{{FAE04EC0}}") = "{name}", "{path}", "{{0000000{number}}}"', "EndProject"]
    return "\r\n".join([*lines, "Global", "EndGlobal", ""])


TESTS = project(PLAIN, "net10.0", uses("Microsoft.NET.Test.Sdk"), uses("xunit"))
OLD = """\
<?xml version="1.0" encoding="utf-8"?>
<Project ToolsVersion="15.0" xmlns="http://schemas.microsoft.com/developer/msbuild/2003">
  <PropertyGroup>
    <ProjectTypeGuids>{349c5851-65df-11da-9384-00065b846f21};{fae04ec0}</ProjectTypeGuids>
    <OutputType>Library</OutputType>
    <TargetFrameworkVersion>v4.8</TargetFrameworkVersion>
  </PropertyGroup>
</Project>
"""
LAYERS: dict[str, str | bytes] = {
    "Shop.sln": solution(
        r"src\Shop.Web\Shop.Web.csproj",
        r"src\Shop.Core\Shop.Core.csproj",
        r"src\Shop.Data\Shop.Data.csproj",
        r"tests\Shop.Tests\Shop.Tests.csproj",
    ),
    "Directory.Build.props": "<Project><PropertyGroup><TargetFramework>net8.0</TargetFramework></PropertyGroup>\n"
    "</Project>\n",
    "Directory.Packages.props": "<Project><ItemGroup /></Project>\n",
    "nuget.config": "<configuration />\n",
    "src/Shop.Web/Shop.Web.csproj": project(
        WEB, "", refers(r"..\Shop.Core\Shop.Core.csproj"), refers("../Shop.Data/Shop.Data.csproj"), AssemblyName="shop"
    ),
    "src/Shop.Web/Program.cs": PROGRAM.replace(
        "app.Run", '// app.MapHealthChecks("/no");\napp.MapHealthChecks("/ready");\napp.Run'
    ),
    "src/Shop.Core/Shop.Core.csproj": project(PLAIN, ""),
    "src/Shop.Data/Shop.Data.csproj": project(
        PLAIN,
        "",
        refers(r"..\Shop.Core\Shop.Core.csproj"),
        uses("Npgsql.EntityFrameworkCore.PostgreSQL"),
        uses("StackExchange.Redis"),
    ),
    "tests/Shop.Tests/Shop.Tests.csproj": TESTS,
}
ASP = {"stack": "csharp", "framework": "asp.net-core", "package_manager": "nuget"}
BLAZOR = {"stack": "csharp", "framework": "blazor", "package_manager": "nuget"}
WASM = "Microsoft.NET.Sdk.BlazorWebAssembly"

DOTNET: dict[str, Sample] = {
    "dotnet: web api": Sample(
        {"Shop.csproj": project(), "Program.cs": PROGRAM},
        {
            **ASP,
            "language_version": "10.0",
            "port": 8080,
            "root": ".",
            "start_command": "dotnet Shop.dll",
            "build_command": "dotnet publish Shop.csproj -c Release -o /out",
        },
    ),
    "dotnet: layers of a solution": Sample(
        LAYERS,
        {
            **ASP,
            "root": ".",
            "language_version": "8.0",
            "start_command": "dotnet shop.dll",
            "health_path": "/ready",
            "services": ("postgresql", "redis"),
            "applications": (),
        },
    ),
    "dotnet: a solution in slnx": Sample(
        {
            "Shop.slnx": '<Solution>\n  <Project Path="src/Shop/Shop.csproj" />\n</Solution>\n',
            "src/Shop/Shop.csproj": project(),
            "src/Other/Other.csproj": project(),
        },
        {**ASP, "start_command": "dotnet Shop.dll"},
    ),
    "dotnet: a solution filter": Sample(
        {
            "Shop.slnf": '{"solution": {"path": "all.sln", "projects": ["src\\\\Shop\\\\Shop.csproj"]}}',
            "src/Shop/Shop.csproj": project(),
            "src/Alpha/Alpha.csproj": project(),
        },
        {**ASP, "start_command": "dotnet Shop.dll"},
    ),
    "dotnet: several web projects": Sample(
        {
            "Shop.sln": solution(r"Shop.Api\Shop.Api.csproj", r"Shop.Admin\Shop.Admin.csproj"),
            "Shop.Api/Shop.Api.csproj": project(),
            "Shop.Admin/Shop.Admin.csproj": project(),
        },
        {**ASP, "start_command": "dotnet Shop.Api.dll"},
    ),
    "dotnet: another web project by its command": Sample(
        {
            "Shop.sln": solution(r"Shop.Api\Shop.Api.csproj", r"Shop.Admin\Shop.Admin.csproj"),
            "Shop.Api/Shop.Api.csproj": project(),
            "Shop.Admin/Shop.Admin.csproj": project(),
        },
        {**ASP, "start_command": "dotnet Shop.Admin.dll"},
        {"start_command": "dotnet Shop.Admin.dll"},
    ),
    "dotnet: the Procfile names one": Sample(
        {
            "Procfile": "web: dotnet out/Shop.Admin.dll\n",
            "Shop.sln": solution(r"Shop.Api\Shop.Api.csproj", r"Shop.Admin\Shop.Admin.csproj"),
            "Shop.Api/Shop.Api.csproj": project(),
            "Shop.Admin/Shop.Admin.csproj": project(),
        },
        {**ASP, "start_command": "dotnet Shop.Admin.dll"},
    ),
    "dotnet: one project below, nothing at the root": Sample(
        {"README.md": "", "backend/Shop.csproj": project(), "backend/Program.cs": PROGRAM},
        {**ASP, "root": "backend", "start_command": "dotnet Shop.dll"},
    ),
    "dotnet: a solution below": Sample(
        {
            "README.md": "",
            "src/Shop.sln": solution(r"Web\Web.csproj"),
            "src/Web/Web.csproj": project(),
            "src/Core/Core.csproj": project(PLAIN),
        },
        {**ASP, "root": "src"},
    ),
    "dotnet: projects below that need each other": Sample(
        {
            "README.md": "",
            "src/Web/Web.csproj": project(WEB, "net9.0", refers(r"..\Core\Core.csproj")),
            "src/Core/Core.csproj": project(PLAIN, "net9.0"),
        },
        {**ASP, "root": "src", "language_version": "9.0"},
    ),
    "dotnet: beside a front end": Sample(
        {
            "api/Api.csproj": project(),
            "api/Program.cs": PROGRAM,
            "web/package.json": package({"react": "18"}, dev={"vite": "5"}, scripts={"build": "vite build"}),
        },
        {**ASP, "root": "api"},
    ),
    "dotnet: pages of documentation at the root": Sample(
        {"index.html": "", "src/Shop/Shop.csproj": project(), "src/Shop/Program.cs": PROGRAM},
        {**ASP, "root": "src/Shop"},
    ),
    "dotnet: a front end in ClientApp": Sample(
        {
            "Shop.csproj": project(WEB, "net8.0", SpaRoot="ClientApp\\").replace(
                "</Project>",
                '<Target Name="P" AfterTargets="ComputeFilesToPublish"><Exec Command="npm run build" /></Target>\n'
                "</Project>",
            ),
            "ClientApp/package.json": package(
                {"@angular/core": "17"}, scripts={"build": "ng build", "start": "ng serve"}
            ),
            "ClientApp/package-lock.json": '{"lockfileVersion": 3}\n',
            "Program.cs": PROGRAM,
        },
        {**ASP, "root": "."},
    ),
    "dotnet: a front end that nothing builds": Sample(
        {
            "Shop.csproj": project(WEB, "net8.0"),
            "ClientApp/package.json": package({"react": "18"}, scripts={"build": "react-scripts build"}),
            "Program.cs": PROGRAM + 'services.AddSpaStaticFiles(c => c.RootPath = "ClientApp/build");\n',
        },
        ASP,
    ),
    "dotnet: a client of Visual Studio": Sample(
        {
            "Shop.sln": solution(r"shop.server\shop.server.csproj"),
            "shop.server/shop.server.csproj": project(
                WEB, "net9.0", refers(r"..\shop.client\shop.client.esproj"), SpaRoot="..\\shop.client"
            ),
            "shop.client/shop.client.esproj": '<Project Sdk="Microsoft.VisualStudio.JavaScript.Sdk/1.0" />',
            "shop.client/package.json": package({"react": "19"}, dev={"vite": "6"}, scripts={"build": "vite build"}),
        },
        {**ASP, "root": "."},
    ),
    "dotnet: scripts of Node.js at the root": Sample(
        {
            "Shop.csproj": project(),
            "Program.cs": PROGRAM,
            "package.json": package(dev={"tailwindcss": "3"}, scripts={"build": "tailwindcss -o wwwroot/site.css"}),
        },
        ASP,
    ),
    "dotnet: mvc with an express proxy in its tools": Sample(
        {
            "Shop.csproj": project(),
            "Program.cs": PROGRAM,
            "package.json": package({"express": "4"}, scripts={"start": "node server.js"}),
            "server.js": "require('express')().listen(3000)",
        },
        ASP,
    ),
    "dotnet: blazor web app": Sample(
        {
            "Shop.csproj": project(),
            "Program.cs": PROGRAM.replace("var app", "builder.Services.AddRazorComponents();\nvar app"),
            "Components/App.razor": "<Routes />\n",
        },
        BLAZOR,
    ),
    "dotnet: blazor server": Sample(
        {"Shop.csproj": project(WEB, "net6.0"), "Startup.cs": "services.AddServerSideBlazor();\n", "App.razor": ""},
        {**BLAZOR, "language_version": "6.0"},
    ),
    "dotnet: razor pages are not blazor": Sample(
        {
            "Shop.csproj": project(),
            "Program.cs": PROGRAM.replace(
                "var app", "// AddServerSideBlazor\nbuilder.Services.AddRazorPages();\nvar app"
            ),
            "Pages/Index.cshtml": "",
        },
        ASP,
    ),
    "dotnet: blazor in the browser alone": Sample(
        {"Shop.csproj": project(WASM), "Program.cs": "", "App.razor": "", "wwwroot/index.html": ""},
        {**BLAZOR, "output_dir": "wwwroot", "spa_fallback": True, "port": 8080, "start_command": None},
    ),
    "dotnet: blazor in the browser with its server": Sample(
        {
            "Shop.sln": solution(r"Server\Shop.Server.csproj", r"Client\Shop.Client.csproj"),
            "Server/Shop.Server.csproj": project(
                WEB,
                "net8.0",
                refers(r"..\Client\Shop.Client.csproj"),
                uses("Microsoft.AspNetCore.Components.WebAssembly.Server"),
            ),
            "Client/Shop.Client.csproj": project(WASM, "net8.0"),
        },
        {**BLAZOR, "start_command": "dotnet Shop.Server.dll", "applications": (), "output_dir": None},
    ),
    "dotnet: blazor in the browser beside an api": Sample(
        {
            "Shop.sln": solution(r"Api\Api.csproj", r"Client\Client.csproj"),
            "Api/Api.csproj": project(),
            "Client/Client.csproj": project(WASM),
        },
        {**ASP, "start_command": "dotnet Api.dll"},
    ),
    "dotnet: a console program": Sample(
        {"Tool.csproj": project(PLAIN, OutputType="Exe"), "Program.cs": 'Console.WriteLine("one");\n'},
        {"stack": "csharp", "framework": ".net", "package_manager": "nuget", "start_command": "dotnet Tool.dll"},
    ),
    "dotnet: a listener without a framework": Sample(
        {
            "Tool.csproj": project(PLAIN, OutputType="Exe"),
            "Program.cs": 'var l = new HttpListener();\nl.Prefixes.Add("http://*:9090/");\n',
        },
        {"framework": ".net", "port": 9090},
    ),
    "dotnet: a worker": Sample(
        {"W.csproj": project("Microsoft.NET.Sdk.Worker")}, {"stack": "csharp", "framework": ".net"}
    ),
    "dotnet: a console program with the shared framework": Sample(
        {
            "Shop.csproj": project(
                PLAIN, "net8.0", '<FrameworkReference Include="Microsoft.AspNetCore.App" />', OutputType="Exe"
            )
        },
        ASP,
    ),
    "dotnet: a library with the shared framework beside a web project": Sample(
        {
            "Shop.sln": solution(r"Auth\Auth.csproj", r"Zoo\Zoo.csproj"),
            "Auth/Auth.csproj": project(PLAIN, "net8.0", '<FrameworkReference Include="Microsoft.AspNetCore.App" />'),
            "Zoo/Zoo.csproj": project(),
        },
        {**ASP, "start_command": "dotnet Zoo.dll"},
    ),
    "dotnet: only a library": Sample(
        {"Lib.csproj": project(PLAIN)}, {"stack": "csharp", "framework": ".net", "start_command": None}
    ),
    "dotnet: a library with a web sample": Sample(
        {
            "Lib.sln": solution(r"src\Lib\Lib.csproj", r"samples\Web\Web.csproj"),
            "src/Lib/Lib.csproj": project(PLAIN),
            "src/Runner/Runner.csproj": project(PLAIN, OutputType="Exe"),
            "samples/Web/Web.csproj": project(),
        },
        {"stack": "csharp", "framework": ".net", "start_command": "dotnet Runner.dll"},
    ),
    "dotnet: a desktop program": Sample(
        {"App.csproj": project(PLAIN, "net8.0-windows", OutputType="WinExe", UseWPF="true")},
        {"stack": "csharp", "framework": ".net", "start_command": None},
    ),
    "dotnet: made for windows": Sample(
        {
            "Shop.sln": solution(r"Shop\Shop.csproj"),
            "Shop/Shop.csproj": OLD,
            "Shop/packages.config": "<packages />",
            "Shop/Web.config": "",
        },
        {"stack": "csharp", "framework": ".net", "package_manager": "nuget", "start_command": None},
    ),
    "dotnet: a web project beside one made for windows": Sample(
        {"Old/Old.csproj": OLD, "New/New.csproj": project(), "All.sln": solution(r"Old\Old.csproj", r"New\New.csproj")},
        {**ASP, "start_command": "dotnet New.dll"},
    ),
    "dotnet: aspire": Sample(
        {
            "Shop.sln": solution(r"Shop.AppHost\Shop.AppHost.csproj", r"Shop.Api\Shop.Api.csproj"),
            "Shop.AppHost/Shop.AppHost.csproj": project(
                PLAIN, "net9.0", refers(r"..\Shop.Api\Shop.Api.csproj"), OutputType="Exe"
            ).replace("<PropertyGroup>", '<Sdk Name="Aspire.AppHost.Sdk" Version="9.0.0" />\n  <PropertyGroup>', 1),
            "Shop.Api/Shop.Api.csproj": project(WEB, "net9.0", uses("Aspire.Npgsql.EntityFrameworkCore.PostgreSQL")),
        },
        {**ASP, "start_command": "dotnet Shop.Api.dll", "services": ("postgresql",)},
    ),
    "dotnet: f sharp beside it": Sample(
        {
            "Shop.sln": solution(r"Web\Web.csproj", r"Rules\Rules.fsproj"),
            "Web/Web.csproj": project(WEB, "net8.0", refers(r"..\Rules\Rules.fsproj")),
            "Rules/Rules.fsproj": project(PLAIN, "net8.0"),
        },
        {**ASP, "start_command": "dotnet Web.dll"},
    ),
    "dotnet: f sharp alone": Sample(
        {"App.fsproj": project(), "Program.fs": "", "public/index.html": ""}, {"stack": "none"}
    ),
    "dotnet: f sharp with tests in c sharp": Sample(
        {"App/App.fsproj": project(), "App.Tests/App.Tests.csproj": TESTS, "App.sln": solution(r"App\App.fsproj")},
        {"stack": "none"},
    ),
    "dotnet: visual basic alone": Sample({"App.vbproj": project(), "wwwroot/index.html": ""}, {"stack": "none"}),
    "dotnet: only tests": Sample({"T.csproj": TESTS}, {"stack": "none"}),
    "dotnet: several frameworks": Sample(
        {"Shop.csproj": project(WEB, "", TargetFrameworks="net8.0;net10.0;netstandard2.0")},
        {"language_version": "10.0"},
    ),
    "dotnet: a framework by a property": Sample(
        {
            "common.props": "<Project><PropertyGroup><Net>net9.0</Net></PropertyGroup></Project>",
            "src/Shop/Shop.csproj": project(WEB, "$(Net)").replace(
                "<PropertyGroup>", '<Import Project="..\\..\\common.props" />\n  <PropertyGroup>', 1
            ),
            "Shop.sln": solution(r"src\Shop\Shop.csproj"),
        },
        {"language_version": "9.0"},
    ),
    "dotnet: a framework that has ended long ago": Sample(
        {"Shop.csproj": project(WEB, "netcoreapp2.1")}, {"language_version": "3.1"}
    ),
    "dotnet: global.json pins the SDK": Sample(
        {"Shop.csproj": project(WEB, "net8.0"), "global.json": '{"sdk": {"version": "8.0.404"}} // comment'},
        {"language_version": "8.0"},
    ),
    "dotnet: global.json allows newer ones": Sample(
        {
            "Shop.csproj": project(WEB, "net9.0"),
            "global.json": '{"sdk": {"version": "8.0.100", "rollForward": "latestMajor"}}',
        },
        {"language_version": "9.0"},
    ),
    "dotnet: UTF-16 and a byte order mark": Sample(
        {
            "Shop.csproj": ('<?xml version="1.0" encoding="utf-16"?>\r\n' + project()).encode("utf-16"),
            "Shop.sln": "\ufeff" + solution("Shop.csproj"),
        },
        ASP,
    ),
    "dotnet: a project that ends in the middle": Sample(
        {"Shop.csproj": project()[:120], "Program.cs": PROGRAM}, {**ASP, "start_command": "dotnet Shop.dll"}
    ),
    "dotnet: entities without end": Sample(
        {
            "Shop.csproj": '<!DOCTYPE p [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>\n'
            '<Project Sdk="Microsoft.NET.Sdk.Web">&b;</Project>',
            "Program.cs": PROGRAM,
        },
        {"stack": "csharp", "framework": ".net"},
    ),
    "dotnet: references that lead nowhere": Sample(
        {"Shop.csproj": project(WEB, "net8.0", refers(r"..\..\..\etc\passwd.csproj"), refers(r"lib\Gone.csproj"))}, ASP
    ),
    "dotnet: names with spaces and quotes": Sample(
        {"My 'Shop'/My Shop.csproj": project(), "All.sln": solution("My 'Shop'\\My Shop.csproj")},
        {**ASP, "start_command": "dotnet 'My Shop.dll'"},
    ),
    "dotnet: the address in the settings": Sample(
        {
            "Shop.csproj": project(),
            "appsettings.json": '{\n  // ours\n  "Kestrel": {"Endpoints": {"Web": {"Url": "http://localhost:5005"}}}\n}\n',
        },
        {"port": 5005},
    ),
    "dotnet: the address in the code": Sample(
        {"Shop.csproj": project(), "Program.cs": PROGRAM.replace("app.Run()", 'app.Run("http://0.0.0.0:5123")')},
        {"port": 5123},
    ),
    "dotnet: the code reads PORT": Sample(
        {
            "Shop.csproj": project(),
            "Program.cs": 'var port = Environment.GetEnvironmentVariable("PORT") ?? "3001";\n' + PROGRAM,
        },
        {"port": 3001},
    ),
    "dotnet: a development address is no port": Sample(
        {
            "Shop.csproj": project(),
            "Properties/launchSettings.json": '{"profiles": {"http": {"applicationUrl": "http://localhost:5199"}}}',
        },
        {"port": 8080},
    ),
    "dotnet: values that somebody has to give": Sample(
        {
            "Shop.csproj": project(
                WEB, "net10.0", uses("Pomelo.EntityFrameworkCore.MySql"), uses("MongoDB.Driver"), uses("AWSSDK.S3")
            ),
            "Program.cs": 'var key = Environment.GetEnvironmentVariable("API_KEY") ?? throw new Exception();\n'
            'var url = builder.Configuration["Mail:Url"] ?? throw new Exception();\n' + PROGRAM,
            "appsettings.json": """\
{
  "ConnectionStrings": {
    "Shop": "Server=localhost;Database=shop",
    "Files": "Data Source=shop.db",
    "Bus": ""
  },
  "Jwt": {"Issuer": "shop", "Key": "<your key>", "Note": ""},
  "Smtp": {"Password": "${SMTP_PASSWORD}"}
}
""",
        },
        {
            "required_env": (
                *("API_KEY", "Mail__Url", "ConnectionStrings__Shop", "ConnectionStrings__Bus"),
                *("Jwt__Key", "Smtp__Password"),
            ),
            "services": ("mysql", "mongodb", "s3"),
        },
    ),
    "dotnet: compiled ahead of time": Sample(
        {"Shop.csproj": project(PublishAot="true", RuntimeIdentifier="linux-x64")}, ASP
    ),
    "dotnet: a program of one file": Sample(
        {
            "app.cs": "#!/usr/bin/env dotnet\n#:sdk Microsoft.NET.Sdk.Web\n#:package StackExchange.Redis@2.8.0\n"
            + PROGRAM
        },
        {**ASP, "services": ("redis",), "start_command": "dotnet app.dll", "language_version": "10.0"},
    ),
    "dotnet: a program of one file without the web": Sample(
        {"hello.cs": '#:package Humanizer@2.14.1\nConsole.WriteLine("one");\n'},
        {"stack": "csharp", "framework": ".net"},
    ),
    "dotnet: a lone Program.cs": Sample({"Program.cs": PROGRAM}, {**ASP, "start_command": "dotnet app.dll"}),
    "dotnet: a lone program": Sample(
        {"Program.cs": "class Program { static void Main(string[] args) { } }\n", "Other.cs": ""},
        {"stack": "csharp", "framework": ".net"},
    ),
    "dotnet: a class is no program": Sample({"Thing.cs": "public class Thing { }\n"}, {"stack": "none"}),
    "dotnet: its own Dockerfile": Sample(
        {**LAYERS, "Dockerfile": "FROM mcr.microsoft.com/dotnet/aspnet:8.0\nEXPOSE 8080\nCMD dotnet shop.dll\n"},
        {"stack": "dockerfile", "underlying_stack": "csharp", "framework": "asp.net-core", "package_manager": "nuget"},
    ),
    "dotnet: a client for it in a repository of Node.js": Sample(
        {
            "package.json": package({"express": "4"}, scripts={"start": "node server.js"}),
            "server.js": "require('express')().listen(3000)",
            "clients/dotnet/Client.csproj": project(PLAIN),
        },
        {"stack": "node", "framework": "express"},
    ),
}
