"""Node.js: servers, front ends that are built and then served as files, and frameworks that do both."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field, replace
from functools import partial

from bot.detect.facts import NodeFacts
from bot.detect.finding import Answer, Finding, Overrides
from bot.detect.frameworks import BY_NAME, Framework
from bot.detect.model import Application, Evidence
from bot.detect.parse import shell_parts
from bot.detect.scan import Scan, text_of
from bot.detect.stacks import bun, deno_config
from bot.detect.stacks import node_build as building
from bot.detect.stacks import node_framework as signs
from bot.detect.stacks import node_frontend as frontend
from bot.detect.stacks import node_manager as managing
from bot.detect.stacks import node_meta as meta
from bot.detect.stacks import node_native as native
from bot.detect.stacks import node_package as packages
from bot.detect.stacks import node_role as roles
from bot.detect.stacks import node_source as source
from bot.detect.stacks import node_workspaces as workspaces
from bot.detect.stacks.node_assets import FrontEnd
from bot.detect.stacks.node_client import POSTBUILD, find_client
from bot.detect.stacks.node_details import add_needs, add_source_details, public_variables
from bot.detect.stacks.node_lone import find_lone
from bot.detect.stacks.node_package import Package
from bot.detect.stacks.node_relay import INSTALLS_ALL, find_relay
from bot.detect.stacks.node_role import Role
from bot.detect.stacks.ruby_gems import lists_only_tools

# files that may mean an application in their folder
MANIFESTS = packages.NAMES

# what only turns sources into assets or looks after them: beside another stack's manifest it makes no Node application
ASSET_TOOLS = frozenset(
    {"vite", "webpack", "webpack-cli", "esbuild", "rollup", "gulp", "grunt", "tailwindcss", "postcss", "autoprefixer"}
    | {"sass", "less", "prettier", "eslint", "husky", "lint-staged", "typescript", "laravel-mix", "laravel-vite-plugin"}
    | {"@rails/webpacker", "alpinejs", "jquery", "bootstrap", "htmx.org", "stylelint", "npm-run-all", "concurrently"}
    | {"@hotwired/turbo-rails", "@hotwired/stimulus", "axios", "daisyui", "cypress", "@playwright/test", "playwright"}
)
_CHECKERS = re.compile(
    r"(eslint|prettier|stylelint|husky|lint-staged|@commitlint/|commitlint|markdownlint|semantic-release|@semantic-release/"
    r"|cspell|htmlhint|htmllint|jest|mocha|cypress|@playwright/|playwright|live-server|browser-sync|http-server|serve$|gh-pages"
    r"|@types/|eslint-|prettier-|stylelint-|@biomejs/|release-it|standard-version|all-contributors|uglify|clean-css|terser)"
)
OTHER_MANIFESTS = (
    *("requirements.txt", "pyproject.toml", "Pipfile", "setup.py", "manage.py", "Gemfile", "composer.json", "go.mod"),
    *("pom.xml", "build.gradle", "build.gradle.kts", "build.sbt", "Cargo.toml", "mix.exs", "index.php", "artisan"),
    *(
        "environment.yml",
        "poetry.lock",
        "uv.lock",
        "settings.gradle",
        "settings.gradle.kts",
        "config.ru",
        "global.json",
    ),
    *(
        "Package.swift",
        "shard.yml",
        "stack.yaml",
        "pubspec.yaml",
        "dune-project",
        "gleam.toml",
        "project.clj",
        "deps.edn",
    ),
    *("rebar.config", "_config.yml", "hugo.toml", "mkdocs.yml", "wp-config.php", "Directory.Build.props", "app.py"),
)
_OTHER_ENDINGS = (".csproj", ".fsproj", ".sln", ".slnx", ".cabal", ".nimble", ".gemspec")


@dataclass(slots=True)
class App:
    """The package that is the application, inside a workspace or alone, and what is known about it."""

    scan: Scan
    root: Package
    role: Role
    members: list[Package]
    choices: list[Role] = field(default_factory=list)
    clear: bool = True  # which of the choices is meant
    below: bool = False  # the applications lie in folders with packages of their own
    relay: Role | None = None  # the server below, which the root installs, builds and starts

    @property
    def package(self) -> Package:
        """The package of the application."""
        return self.role.package

    @property
    def folder(self) -> str:
        """The folder of the application, "" for the root."""
        return self.role.package.folder


def find(scan: Scan) -> Finding | None:
    """What a package.json, or a lone server file without one, says."""
    root = packages.read_package(scan)
    if root is None:
        return find_lone(scan)
    app = _applications(scan, root)
    row = app.role.framework
    reason = bun.find_reason(scan, app.package, app.role.files, row)
    stack = "bun" if reason else "node"
    finding = Finding(stack, row.name if row else None, app.role.serves, partial(_told, app, reason))
    if reason:
        finding.add(15, reason)
    _weigh(app, finding)
    return finding


def _told(app: App, reason: Evidence | None, given: Overrides) -> Answer:
    answer = _answer(app, given)
    if reason is None:
        return answer
    return bun.adjust(answer, app.scan, app.package, entry=app.role.entry, given=given, reason=reason)


def _applications(scan: Scan, root: Package) -> App:
    """The root if it is an application itself, otherwise those of the workspace, the likeliest first."""
    own = roles.look(scan, root, root)
    members = workspaces.find_workspaces(scan, root)
    named = next((one for one in members if one.folder == scan.kept.get("application")), None)
    if named:
        return App(scan, root, roles.look(scan, named, root), members)
    handed = own.start.delegates if own.start else None
    if not members or (own.application and handed is None and _stands_at_root(scan, own)):
        below = not members and not own.application and (handed is not None or not own.entry)
        if below and (relay := find_relay(scan, root, own)):
            return App(scan, root, replace(relay, package=root), members, relay=relay)
        return App(scan, root, own, members, below=below and _has_packages_below(scan))
    found = [roles.look(scan, one, root) for one in members]
    applications = [role for role in found if role.application]
    apart = [role for role in applications if not roles.is_apart(role.package.folder)]
    choices = apart or applications
    if not choices:
        return App(scan, root, own, members)
    wanted = {handed} if handed else set()
    choices.sort(key=lambda role: roles.rank(role, wanted))
    ranks = [roles.rank(role, wanted)[:3] for role in choices]
    clear = len(choices) == 1 or ranks[0] != ranks[1]
    return App(scan, root, choices[0], members, choices, clear)


def workspace_of(scan: Scan) -> Scan | None:
    """The look at the whole workspace, where a folder that somebody named belongs to one further up."""
    folder = above = scan.repository.root
    while above:
        above = above.rpartition("/")[0]
        outer = Scan(scan.repository.at(above), scan.images)
        inner = folder[len(above) :].strip("/")
        package = packages.read_package(outer)
        if package and any(one.folder == inner for one in workspaces.find_workspaces(outer, package)):
            outer.kept["application"] = inner
            return outer
    return None


def _stands_at_root(scan: Scan, role: Role) -> bool:
    """Whether the root of a workspace is an application, and does not only hold the packages of the others."""
    if role.entry or role.page or role.really_starts:
        return True
    row = role.framework.name if role.framework else ""
    return row in signs.programs(role.package) or row in signs.configured(scan, role.package)


def _has_packages_below(scan: Scan) -> bool:
    return any(0 < path.count("/") <= 2 for name in MANIFESTS for path in scan.repository.named(name, 2))


def _weigh(app: App, finding: Finding) -> None:
    scan, package, role = app.scan, app.package, app.role
    finding.add(30, scan.seen(app.root.path, "", app.root.path))
    if app.folder:
        finding.add(5, scan.seen(package.path, "", f"an application of the workspace: {app.folder}"))
    if role.framework:
        _weigh_framework(app, finding, role.framework)
    start = role.start
    if start and not start.development and start.delegates is None:
        finding.add(20, scan.seen(package.path, f'"{start.script}"', f"script {start.script}: {start.text}"))
    if role.bundled:
        name = frontend.bundler(package) or "parcel"
        finding.add(25, scan.seen(package.path, f'"{name}"', f"bundled by {name}"))
    if "electron" in package.all:
        finding.add(30, scan.seen(package.path, '"electron"', "a desktop application"))
    if "build" in package.scripts:
        finding.add(10, scan.seen(package.path, '"build"', "has a build script"))
    if role.server:
        from_file = next(path for path in role.files if source.serves_http(scan, path))
        finding.add(20, scan.seen(from_file, "", "the code serves HTTP"))
    elif role.entry:
        finding.add(5, scan.seen(role.entry, "", "looks like the entry"))
    _limit(app, finding)
    web = scan.procfile.get("web")
    if web and _is_node(web[0]):
        finding.limit = 100
        finding.add(30, scan.seen("Procfile", web[0], "the Procfile starts Node", web[1]))


def _weigh_framework(app: App, finding: Finding, row: Framework) -> None:
    for one in (app.package, app.root):
        name = next((name for name in row.packages if name in one.all), None)
        if name:
            weight = 35 if name in one.dependencies or not row.serves or row.weight >= 30 else 15
            finding.add(weight, app.scan.seen(one.path, f'"{name}"', f"depends on {name}: {row.name}"))
            return
    finding.add(25, app.scan.seen(app.package.path, row.name, f"a script runs {row.name}"))


def _limit(app: App, finding: Finding) -> None:
    """What it cannot be more than, where package.json may only be the tools of something else."""
    scan, package, role = app.scan, app.package, app.role
    row, start = role.framework, role.start
    real = role.serves and bool(role.really_starts or role.server or (row and row.serves and row.weight >= 30))
    other = scan.repository.first(name for name in OTHER_MANIFESTS if name != "Gemfile" or not lists_only_tools(scan))
    other = other or next((path for path in scan.repository.inside("") if path.endswith(_OTHER_ENDINGS)), None)
    if other and not real:
        # the asset pipeline of another stack
        only_tools = set(package.all) <= ASSET_TOOLS or not package.dependencies or not role.serves
        finding.limit = 25 if only_tools else 45
        finding.add(0, scan.seen(other, "", "another stack's manifest beside package.json"))
    elif start and _is_foreign(start.text):
        finding.limit = 25
        finding.add(0, scan.seen(package.path, start.text, "the start script runs no JavaScript"))
    elif not role.serves and {"archetypes", "themes", "content"} & scan.repository.folders and not role.entry:
        finding.limit = 25
        finding.add(0, scan.seen(package.path, "", "it only looks after a site of another generator"))
    elif app.below:
        finding.limit = 25
        finding.add(0, scan.seen(package.path, "", "it only starts packages in folders below"))
    elif not role.serves and role.page and (not start or start.development or start.static is not None):
        # pages, and tools that look after them
        if not role.bundled and all(_CHECKERS.match(name) or name in ASSET_TOOLS for name in package.all):
            finding.limit = 25
    elif not role.serves and not start:
        finding.limit = 40
    if deno_config.claims(scan):
        finding.limit = min(finding.limit, 45)


_FOREIGN = frozenset(
    {
        "dotnet",
        "python",
        "python3",
        "uvicorn",
        "gunicorn",
        "flask",
        "go",
        "cargo",
        "php",
        "mvn",
        "gradle",
        "ruby",
        "rails",
    }
    | {
        "bundle",
        "docker",
        "docker-compose",
        "mvnw",
        "gradlew",
        "hugo",
        "jekyll",
        "mkdocs",
        "zola",
        "mix",
        "java",
        "sbt",
        "air",
        "foreman",
    }
)


def _is_foreign(command: str) -> bool:
    parts = shell_parts(command)
    return bool(parts) and all(part[0].split("/")[-1] in _FOREIGN for part in parts)


def _is_node(command: str) -> bool:
    parts = shell_parts(command)
    programs = ("node", "npm", "yarn", "pnpm", "npx", "next", "nuxt", "bun", "pm2-runtime", "nest", "strapi")
    return bool(parts) and parts[-1][0].split("/")[-1] in programs


def _answer(app: App, overrides: Overrides) -> Answer:
    scan, package, role = app.scan, app.package, app.role
    framework = BY_NAME.get(text_of(overrides.get("framework"))) or role.framework
    manager = managing.find_manager(scan, app.root)
    version, version_evidence = packages.find_version(scan, app.root)
    answer = Answer(None, framework.name if framework else None, manager.name, version)
    answer.evidence += [item for item in (manager.evidence, version_evidence) if item]
    serving = meta.decide(scan, package, framework, role.start)
    answer.evidence += serving.evidence
    if package.data.get("nx") and serving.kind == "static":
        serving.output = building.nx_output(package)
    build = building.find_build(scan, package, framework, role.start, serving)
    if build and build.startswith("npm run "):
        build = manager.name + build.removeprefix("npm")
        if app.folder and build == f"{manager.name} run build":
            build = building.with_beneath(scan, package, app.root, app.members, manager) or build
    front = None
    if app.relay:
        serving.build_environment = (*serving.build_environment, INSTALLS_ALL)
        build = build or f"{manager.name} run {POSTBUILD}"
    elif serving.kind == "server" and not app.folder and not app.members:
        front, build = find_client(scan, package, role.files, build)
        answer.evidence += front.evidence if front else ()
    build = text_of(overrides.get("build_command")) or build
    given = text_of(overrides.get("start_command"))
    if serving.kind == "static" and (
        given or (_procfile_start(scan) and not frontend.serves_files(_procfile_start(scan)))
    ):
        serving.kind, serving.output = "server", None
    start = given or (None if serving.kind == "static" else _procfile_start(scan) or serving.start)
    if not start and serving.kind != "static":
        server = app.relay.package if app.relay else package
        start = building.command(scan, server, framework, role.start, role.entry)
        start = f"cd {shlex.quote(server.folder)} && {start}" if app.relay and start else start
    answer.start_command, answer.build_command = start, build
    answer.output_dir, answer.spa_fallback = serving.output, serving.spa and serving.kind == "static"
    if serving.kind == "static":
        answer.port = 8080
    else:
        add_source_details(scan, app.relay.package if app.relay else package, role.files, answer)
    answer.facts = _facts(app, answer, manager, serving, front)
    if not start and serving.kind != "static":
        answer.facts = None
        _warn_of_no_start(app)
    _list_choices(app, answer)
    add_needs(scan, app.relay.package if app.relay else package, role.files, answer)
    return answer


def _facts(
    app: App, answer: Answer, manager: managing.Manager, serving: frontend.Serving, front: FrontEnd | None
) -> NodeFacts:
    scan, package = app.scan, app.package
    source_needed = managing.install_needs_source(scan, app.root, app.members)
    if source_needed:
        answer.evidence.append(source_needed)
    nx = bool(package.data.get("nx"))
    build, run = native.needed(app.root, package)
    return NodeFacts(
        version=answer.language_version or "",
        manager=manager.name,
        manager_version=manager.version,
        yarn_berry=manager.berry,
        lockfile=manager.lockfile,
        manifests=managing.install_files(
            scan, manager, app.root, [one for one in app.members if not one.data.get("nx")]
        ),
        has_dependencies=bool(app.root.all or app.members),
        install_needs_source=source_needed is not None,
        folder="" if nx else app.folder,
        build=answer.build_command,
        build_environment=serving.build_environment,
        output=serving.output,
        serve=serving.kind,
        start=answer.start_command,
        keep_development=building.needs_development(app.root if nx else package, answer.start_command),
        prune=building.needs_prune(app.root, answer.build_command),
        environment=(*serving.environment, *native.browser(package)),
        packages=run,
        build_packages=build,
        writes_cache=".next/cache" if answer.framework == "next.js" else None,
        prisma=native.uses_prisma(package),
        dist_folder=serving.dist_folder,
        public_folder=package.in_folder("public") in scan.repository.folders,
        hashed=frontend.hashed_folders(scan, package) if serving.kind == "static" else (),
        fallback_page=serving.fallback,
        workspace=package.name if app.folder and not nx else "",
        scripts_after_install=any(
            name in one.scripts for one in (app.root, *app.members) for name in managing.LIFECYCLE
        ),
        public_variables=public_variables(scan, package),
        front_end=front.facts if front else None,
        front_end_folder=front.folder if front else "",
        not_found_page="/404.html" if serving.kind == "static" and not serving.spa else None,
    )


def _warn_of_no_start(app: App) -> None:
    scan, package = app.scan, app.package
    path = scan.repository.full(package.path)
    if not app.role.serves and any(key in package.data for key in ("bin", "exports", "module", "types", "files")):
        scan.warn(
            f"{path} describes a library or a command-line tool: nothing in it serves HTTP."
            " Set start_command if there is something to start"
        )
        return
    scan.warn(
        f"no start command: {path} has no start script, and there is no server.js."
        ' Add "scripts": {"start": "node server.js"}, or set start_command'
    )


def _list_choices(app: App, answer: Answer) -> None:
    if len(app.choices) < 2:
        return
    answer.applications = [_listed(role) for role in app.choices]
    names = ", ".join(role.package.folder for role in app.choices[:12])
    if app.clear:
        why = Evidence(app.scan.repository.full(app.package.path), None, app.folder, f"chosen among: {names}")
        answer.evidence.append(why)
    else:
        app.scan.warn(f"several workspaces are applications: {names}. Set root to one of them; {app.folder} is used")


def _listed(role: Role) -> Application:
    row = role.framework
    return Application(role.package.folder, role.package.name[:100], "node", row.name if row else None)


def _procfile_start(scan: Scan) -> str:
    web = scan.procfile.get("web")
    return web[0] if web else ""
