"""How a Node application is built and started, beyond what its scripts say by themselves."""

from __future__ import annotations

import posixpath
import re
from itertools import pairwise

from bot.detect.frameworks import Framework
from bot.detect.parse import shell_parts, shell_words
from bot.detect.scan import Scan, text_of
from bot.detect.stacks import node_start as starting
from bot.detect.stacks.node_framework import DOCUMENTS, programs
from bot.detect.stacks.node_frontend import Serving
from bot.detect.stacks.node_manager import Manager
from bot.detect.stacks.node_package import Package
from bot.detect.stacks.node_start import Start
from bot.detect.stacks.node_workspaces import beneath

_BUILDS = ("build:prod", "build:production", "build")
_TYPESCRIPT = (".ts", ".mts", ".cts", ".tsx")
# programs whose package has another name
_OWNERS = {
    "nest": "@nestjs/cli",
    "strapi": "@strapi/strapi",
    "rw": "@redwoodjs/core",
    "nuxi": "nuxt",
    "tsnd": "ts-node-dev",
    "babel-node": "@babel/node",
    "remix-serve": "@remix-run/serve",
    "react-router-serve": "@react-router/serve",
    "dotenv": "dotenv-cli",
    "swc-node": "@swc-node/register",
    "ts-node-esm": "ts-node",
    "nitro": "nitropack",
    "sucrase-node": "sucrase",
}


def find_build(
    scan: Scan, package: Package, framework: Framework | None, start: Start | None, serving: Serving
) -> str | None:
    """The build command: a script, the framework's own, or the TypeScript compiler where the start needs its output."""
    if package.data.get("nx"):
        return f"nx build {package.name} --configuration=production" if "build" in package.scripts else None
    names = [name for name in serving.build_scripts or _BUILDS if name in package.scripts]
    names = [name for name in names if not _does_nothing(package.scripts[name])]
    if framework and not serving.build_scripts:
        # the documents of a library are built by a script of another name
        others = [name for name in package.scripts if "build" in name and framework.name in _runs(package, name)]
        if others and not any(name in others for name in names) and framework.name in DOCUMENTS:
            names = sorted(others)
    if names:
        return f"npm run {names[0]}"
    if framework and framework.build and (not framework.serves or framework.weight >= 30):
        return framework.build
    if framework and framework.name == "nestjs":
        return "nest build"
    if framework and framework.name == "adonisjs" and scan.has(package.in_folder("ace.js")):
        return "node ace build"
    return "tsc" if _is_compiled(scan, package, start) else None


def with_beneath(scan: Scan, package: Package, root: Package, members: list[Package], manager: Manager) -> str | None:
    """A build that begins with the packages of the workspace that the application uses; None where none is built."""
    used = [one for one in beneath(package, members) if "build" in one.scripts and not one.data.get("nx")]
    names = [package.name, *(one.name for one in used)]
    if not used or not all(re.fullmatch(r"(@[\w.~-]+/)?[\w.~-]+", name) for name in names):
        return None
    if scan.has("turbo.json") and "turbo" in root.all:
        return f"turbo run build --filter={package.name}"
    if scan.has("nx.json") and "nx" in root.all:
        return f"nx run-many --target=build --projects={','.join(names)}"
    if manager.name == "pnpm":
        return f"pnpm --filter {package.name}... run build"
    if manager.name == "yarn":
        return " && ".join(f"yarn workspace {name} run build" for name in [*names[1:], names[0]])
    folders = [posixpath.relpath(one.folder, package.folder) for one in used]
    if not all(re.fullmatch(r"[\w./-]+", folder) for folder in folders):
        return None
    built = [f"{manager.name} run build --prefix {folder}" for folder in folders]
    return " && ".join([*built, f"{manager.name} run build"])


def _runs(package: Package, name: str) -> set[str]:
    return programs(Package(package.path, {}, scripts={"build": package.scripts[name]}))


def _does_nothing(text: str) -> bool:
    return re.fullmatch(r"(echo\b.*|true|exit 0|:)", text) is not None


def _is_compiled(scan: Scan, package: Package, start: Start | None) -> bool:
    """Whether the start command runs what the TypeScript compiler has to write first."""
    if not scan.has(package.in_folder("tsconfig.json")):
        return False
    if start and start.entry:
        first = posixpath.normpath(start.entry).split("/")[0]
        out = posixpath.normpath(text_of(starting.compiler_options(scan, package).get("outDir")) or "dist").split("/")[
            0
        ]
        there = scan.has(package.in_folder(start.entry))
        return first in ("dist", "build", "out", "lib", out) and not there
    return False


def command(
    scan: Scan, package: Package, framework: Framework | None, start: Start | None, entry: str | None
) -> str | None:
    """What starts the server in production, without a package manager in between where that is possible."""
    name = framework.name if framework else ""
    if package.data.get("nx"):
        return nx_start(package, name)
    real = bool(start and not start.development and start.static is None and start.delegates is None)
    if name == "next.js" and framework and (not real or re.search(r"\bnext start\b", start.text if start else "")):
        return framework.start
    if name == "adonisjs":
        return _adonis(scan, package)
    if real and start and not (name == "nestjs" and re.match(r"nest start\b", start.text)):
        return direct(package, start)
    if name == "nestjs":
        return f"node {_nest_main(scan, package)}"
    if framework and framework.start:
        return framework.start
    if start and start.entry and start.delegates is None:
        return f"{_runner(package, start.entry)} {start.entry}"
    if entry:
        local = posixpath.relpath(entry, package.folder or ".")
        return f"{_runner(package, local)} {local}"
    return None


def nx_start(package: Package, framework: str) -> str:
    """What Nx has built is started from where it was written to."""
    out = nx_output(package)
    if framework == "next.js":
        return f"next start {out} --port ${{PORT}}"
    return f"node {out}/main.js"


def nx_output(package: Package) -> str:
    """``outputPath`` of a project's build; Nx's own place where it says none."""
    targets = package.data.get("targets") or package.data.get("architect")
    build = targets.get("build") if isinstance(targets, dict) else None
    options = build.get("options") if isinstance(build, dict) else None
    path = text_of(options.get("outputPath")) if isinstance(options, dict) else ""
    clean = posixpath.normpath(re.sub(r"^\{workspaceRoot\}/|^/", "", path) or f"dist/{package.folder}")
    return f"dist/{package.folder}" if clean.startswith("..") or "{" in clean else clean


def direct(package: Package, start: Start) -> str:
    """The script's own text, so that signals reach the server; through npm where scripts stand before or after it."""
    around = (f"pre{start.script}", f"post{start.script}")
    if any(name in package.scripts and not _builds(package.scripts[name]) for name in around):
        return f"npm run {start.script}"
    text = starting.without_build(starting.followed(package, package.scripts[start.script]))
    text = _foreground(re.sub(r"^NODE_ENV=production\s+", "", text), start)
    words = shell_words(text)
    if (words and words[0] in ("npm", "yarn", "pnpm")) or "$npm_" in text:
        return f"npm run {start.script}"
    return text


def _builds(text: str) -> bool:
    """Whether a script before the start only builds, which the image has done."""
    return starting.without_build(f"{text} && x") == "x"


def _foreground(text: str, start: Start) -> str:
    """pm2 and forever put the server behind them; in a container it is the one process."""
    words = shell_words(text)
    if words and words[0] in ("pm2", "forever", "pm2-runtime") and start.entry:
        return f"node {start.entry}"
    return text


def _runner(package: Package, entry: str) -> str:
    """Node itself, or for TypeScript a runner among the dependencies; newer releases of Node run it as it is."""
    if not entry.endswith(_TYPESCRIPT):
        return "node"
    return next((name for name in ("tsx", "ts-node") if name in package.all), "node")


def _nest_main(scan: Scan, package: Package) -> str:
    folder = posixpath.normpath(text_of(starting.compiler_options(scan, package).get("outDir")) or "dist")
    folder = "dist" if folder.startswith(("/", "..")) or "$" in folder else folder
    configured = scan.json(package.in_folder("nest-cli.json")) if scan.has(package.in_folder("nest-cli.json")) else {}
    entry = text_of((configured or {}).get("entryFile")) or "main"
    return f"{folder}/{entry.removesuffix('.js')}.js"


def _adonis(scan: Scan, package: Package) -> str:
    """Adonis is built into a folder with a package.json of its own; the scripts are meant to run inside of it."""
    major = re.search(r"\d+", package.all.get("@adonisjs/core", ""))
    if major and int(major[0]) < 6 and "adonisrc.ts" not in scan.repository.inside(package.folder):
        return "node build/server.js" if int(major[0]) == 5 else "node server.js"
    return "node build/bin/server.js"


def needs_development(package: Package, start: str | None) -> bool:
    """Whether the start command runs a program, or loads a module, that only development dependencies bring."""
    text = start or ""
    for script in re.findall(r"\b(?:npm|yarn|pnpm|bun) run ([\w:.-]+)", text):
        text += " && " + starting.followed(package, package.scripts.get(script, ""))
    names = set()
    for part in shell_parts(text):
        program = part[0].split("/")[-1]
        names |= {
            program,
            *(word for word in part[1:] if re.fullmatch(r"[\w.-]+", word) and program in ("npx", "dotenv")),
        }
        loaded = [word for option, word in pairwise(part) if option in ("-r", "--require", "--import")]
        loaded += [word for option, word in pairwise(part) if option.endswith("loader")]
        names |= {"/".join(word.split("/")[:2]) if word.startswith("@") else word.split("/")[0] for word in loaded}
    names |= {"cross-env"} & set(shell_words(text))
    owners = {_OWNERS.get(name, name) for name in names}
    return any(owner in package.development and owner not in package.dependencies for owner in owners)


def needs_prune(root: Package, build: str | None) -> bool:
    """Whether everything is installed first and cut down afterwards, instead of production packages alone.

    A build needs development packages; so does a ``prepare`` script such as husky's, which npm runs on each install.
    """
    hooks = ("prepare", "postinstall", "preinstall")
    return bool(build) or (bool(root.development) and any(name in root.scripts for name in hooks))
