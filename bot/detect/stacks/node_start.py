"""The scripts of package.json: which one starts the application in production, and what it runs."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

from bot.detect.parse import js_imports, shell_parts, shell_words
from bot.detect.scan import Scan, table, text_of, texts
from bot.detect.stacks.node_package import Package
from bot.detect.stacks.node_source import resolve_file

SCRIPTS = ("start:prod", "start:production", "start", "serve", "server", "prod", "production", "serve:prod")
# programs that serve while somebody develops, unless one of the words behind them says otherwise
_DEVELOPMENT: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("vite ng react-scripts react-app-rewired craco vue-cli-service webpack parcel astro gatsby ember", ("build",)),
    ("docusaurus vitepress vuepress nest snowpack remix react-router preact rsbuild rspack qwik poi", ("build",)),
    ("nitro nitropack", ("build",)),
    ("next nuxt nuxi", ("start", "build", "export", "generate")),
    ("vinxi strapi solid-start", ("start", "build")),
    ("rw redwood", ("serve", "build")),
    ("rollup", ("-c", "--config")),
    ("expo", ("export",)),
    ("hexo", ("generate",)),
    ("nodemon ts-node-dev tsnd webpack-dev-server browser-sync live-server eleventy wrangler concurrently", ()),
    ("electron electron-forge electron-vite react-native tauri ionic storybook start-storybook gulp grunt", ()),
    ("netlify vercel swa func serverless sst firebase budo beefy", ()),
)
_BUT = {program: words for programs, words in _DEVELOPMENT for program in programs.split()}
_STATIC = frozenset({"serve", "http-server", "sirv", "lite-server", "static-server", "local-web-server", "ws"})
RUNTIMES = frozenset(
    {"node", "tsx", "ts-node", "bun", "nodemon", "ts-node-dev", "tsnd", "babel-node", "ts-node-esm", "swc-node"}
    | {"sucrase-node", "esno", "vite-node", "pm2-runtime", "pm2", "forever", "node-dev", "esmo", "jiti", "deno"}
)
DELEGATES = frozenset({"turbo", "nx", "lerna", "rush", "moon", "lage", "wsrun", "ultra"})
# what may stand before the command that serves; the build stage has done it
_PREPARES = re.compile(
    r"(?:(?:npm|pnpm|yarn|bun)\s+(?:run\s+)?(?:-s\s+)?(?:build|compile|bundle|tsc|install|ci|i)\b[\w:.-]*"
    r"|tsc|npx\s+tsc|rimraf|rm|vite\s+build|next\s+build|nest\s+build|react-scripts\s+build|webpack|ng\s+build"
    r"|nuxt\s+build|astro\s+build|prisma\s+generate|npx\s+prisma\s+generate|tsup|rollup)\b[^|;&]*"
)
_WITH_ARGUMENT = frozenset(
    {
        "-r",
        "--require",
        "--import",
        "--loader",
        "--experimental-loader",
        "--env-file",
        "-P",
        "--project",
        "--exec",
        "-x",
    }
    | {"-w", "--watch", "-C", "--conditions", "--name", "-n", "-i", "--ignore", "-e", "--ext", "--tsconfig"}
)


@dataclass(frozen=True, slots=True)
class Start:
    """A script that starts the application."""

    script: str
    text: str  # the command, other scripts followed, without what the build has done
    development: bool = False  # it is a development server
    static: str | None = None  # it serves this folder of files
    entry: str | None = None  # the file that it runs
    delegates: str | None = None  # it hands over to packages further down; their names or folders, "" for all


def find_start(scan: Scan, package: Package) -> Start | None:
    """The script that starts it in production; a development server only where there is nothing else."""
    found = [judge(scan, package, name) for name in SCRIPTS if name in package.scripts]
    real = [start for start in found if not start.development and start.delegates is None]
    handed = [start for start in found if start.delegates is not None]
    named = [start for start in found if start.script == "start"]
    return next(iter(real or handed or named), None)


def judge(scan: Scan, package: Package, name: str) -> Start:
    """What a script does, following ``npm run other`` a few times."""
    text = without_build(followed(package, package.scripts[name]))
    if (handed := _delegates(text)) is not None:
        return Start(name, text, delegates=handed)
    parts = shell_parts(text)
    program, rest = _unwrapped(parts[-1]) if parts else ("", [])
    if program == "vite" and rest[:1] == ["preview"]:
        return Start(name, text, static="")
    if program in _STATIC:
        plain = (word for word in rest if not word.startswith("-") and not re.fullmatch(r"[\d:.]+|\$.*", word))
        return Start(name, text, static=next(plain, ""))
    development = program in _BUT and not any(word in _BUT[program] for word in rest)
    watching = program in ("tsx", "node", "bun", "deno") and (
        "--watch" in rest[:3] or rest[:1] in (["watch"], ["--hot"])
    )
    entry = _entry(scan, package, program, rest)
    bundles = bool(entry) and _serves_sources(scan, package, entry or "")
    return Start(name, text, development=development or watching or bundles, entry=entry)


def _entry(scan: Scan, package: Package, program: str, rest: list[str]) -> str | None:
    if program not in RUNTIMES:
        return None
    entry = first_file(rest)
    if entry in ("start", "restart") and program in ("pm2", "forever", "pm2-runtime"):
        entry = first_file(rest[rest.index(entry) + 1 :])
    if entry and program.startswith("pm2") and entry.endswith((".json", ".config.js", ".config.cjs", ".yml", ".yaml")):
        entry = _of_ecosystem(scan, package.in_folder(entry))
    if program in ("nodemon", "ts-node-dev", "tsnd") and entry is None:
        entry = text_of(package.data.get("main")) or None
    return entry


def _of_ecosystem(scan: Scan, path: str) -> str | None:
    """The script of the first application in a configuration of pm2."""
    match = re.search(
        r"[\"']?\bscript[\"']?\s*:\s*[\"'`]([^\"'`\n]{1,200})[\"'`]", scan.code(path) if scan.has(path) else ""
    )
    return match[1].removeprefix("./") if match else None


def _unwrapped(words: list[str]) -> tuple[str, list[str]]:
    """The program and its words, without those that only start it."""
    while len(words) > 1:
        program = words[0].split("/")[-1]
        if program in ("npx", "pnpx", "bunx", "dotenvx") or (
            program in ("pnpm", "yarn", "npm") and words[1] in ("exec", "dlx")
        ):
            words = [word for word in words[1:] if word not in ("exec", "dlx", "run", "--", "-y", "--yes")]
        elif program in ("dotenv", "env-cmd", "infisical", "doppler") or words[0].startswith("-"):
            words = words[words.index("--") + 1 :] if "--" in words else words[1:]
        elif program == "bun" and words[1] in ("--bun", "run", "x"):
            words = ["bun", *words[2:]] if "." in words[-1] else words[2:]
        elif re.fullmatch(r"[A-Za-z_]\w*=.*", words[0]) or program in ("cross-env", "cross-env-shell"):
            words = words[1:]
        else:
            break
    return (words[0].split("/")[-1], words[1:]) if words else ("", [])


def first_file(words: list[str]) -> str | None:
    """The file among a runtime's words; some options take the word after them."""
    passed = iter(words)
    for word in passed:
        if word in _WITH_ARGUMENT:
            following = next(passed, "")
            if (
                word in ("-w", "--watch")
                and following.endswith((".js", ".ts", ".mjs", ".cjs"))
                and "/" not in following
            ):
                return following
        elif not word.startswith("-") and word not in ("run", "watch"):
            return word
    return None


def _serves_sources(scan: Scan, package: Package, entry: str) -> bool:
    """Whether the started file is a script that runs a bundler's development server, as an ejected application has."""
    path = resolve_file(scan, package.in_folder(entry))
    if not path:
        return False
    modules = js_imports(scan.code(path))
    return any(name.split("/")[0] in ("webpack-dev-server", "react-dev-utils", "browser-sync") for name in modules)


def followed(package: Package, text: str, depth: int = 0) -> str:
    """A command with ``npm run other`` replaced by what that script says, where it is all or the end of it."""
    head, joined, last = text.rpartition("&&")
    match = re.fullmatch(r"(?:npm|yarn|pnpm|bun)(?:\s+run)?\s+(?:-s\s+|--silent\s+)?([\w:.-]+)", last.strip())
    if not match:
        match = re.fullmatch(r"(?:run-s|npm-run-all)(?:\s+-s|\s+--\S+)*(?:\s+[\w:.-]+)*\s+([\w:.-]+)", last.strip())
    if re.search(r"(^|&&)\s*cd\s", head):
        return text  # in that folder it is another package's script
    if match and match[1] in package.scripts and depth < 3:
        rest = followed(package, package.scripts[match[1]], depth + 1)
        return f"{head}&& {rest}" if joined else rest
    return text


def without_build(text: str) -> str:
    """A command without the builds before it, which have their own place in an image."""
    parts = text.split("&&")
    if len(parts) == 1 or any(char in text for char in "|;\n`"):
        return text
    kept = [part for part in parts[:-1] if not _PREPARES.fullmatch(part.strip())]
    return "&&".join([*kept, parts[-1]]).strip()


def _delegates(text: str) -> str | None:
    """Where a script of the root hands over to: ``cd server && npm start``, ``turbo run start --filter=web``."""
    if match := re.match(r"cd\s+(?:\./)?([\w./-]+)\s*&&\s*(?:npm|yarn|pnpm|bun|node|npx)\b", text):
        return match[1].strip("/")
    words = shell_words(text)
    program = words[0].split("/")[-1] if words else ""
    if program in ("npx", "yarn", "pnpm", "bunx") and len(words) > 1 and words[1] in DELEGATES:
        program, words = words[1], words[1:]
    if program in DELEGATES:
        return _after(words, ("--filter", "--scope", "-F", "--project", "-p")) or _nx_target(program, words)
    if program in ("npm", "pnpm", "yarn", "bun"):
        inner = _after(words, ("--prefix", "--workspace", "-w", "--filter", "-F", "-C", "--dir", "--cwd"))
        if inner:
            return inner
        if words[1:2] == ["workspace"] and len(words) > 2:
            return words[2]
        if words[1:2] == ["workspaces"] or any(word in ("-r", "--recursive", "--workspaces", "-ws") for word in words):
            return ""
    if program in ("concurrently", "npm-run-all", "run-p", "run-s") and re.search(
        r"client|front|server|back|--prefix", text
    ):
        return ""
    return None


def _nx_target(program: str, words: list[str]) -> str:
    """``nx serve web`` and ``nx run web:serve`` name a project."""
    if program != "nx" or len(words) < 3:
        return ""
    if words[1] == "run":
        return words[2].split(":")[0]
    return words[2] if not words[2].startswith("-") else ""


def _after(words: list[str], options: tuple[str, ...]) -> str:
    for place, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in options:
            found = value if equals else next(iter(words[place + 1 : place + 2]), "")
            return re.sub(r"^\.\.\.|\.\.\.$|^\./|/$|^\{|\}$", "", found)
    return ""


def source_of(scan: Scan, package: Package, path: str) -> str | None:
    """The source that a compiler writes to ``dist/…``: ``dist/main.js`` comes from ``src/main.ts``."""
    parts = posixpath.normpath(path).split("/")
    if len(parts) < 2 or parts[0] not in ("dist", "build", "out", "lib", ".output", "bin", "output"):
        return None
    stem = re.sub(r"\.[mc]?js$", "", "/".join(parts[1:]))
    for folder in ("src", "", "server", "source"):
        found = resolve_file(scan, package.in_folder(posixpath.join(folder, stem.removeprefix("src/"))))
        if found:
            return found
    return None


def compiler_options(scan: Scan, package: Package) -> dict[str, object]:
    """``compilerOptions`` of the package's TypeScript, with those of one local file that it extends."""
    path = package.in_folder("tsconfig.json")
    data = table(scan.json(path)) if scan.has(path) else {}
    above = next(iter(texts(data.get("extends"))), text_of(data.get("extends")))
    inherited: dict[str, object] = {}
    if above.startswith("."):
        target = posixpath.normpath(
            posixpath.join(package.folder, above if above.endswith(".json") else above + ".json")
        )
        inherited = table(table(scan.json(target)).get("compilerOptions")) if scan.has(target) else {}
    return inherited | table(data.get("compilerOptions"))
