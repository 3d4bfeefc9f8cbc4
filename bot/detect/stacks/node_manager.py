"""The package manager of Node.js: which one, which generation of it, and which files an install needs."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bot.detect.model import Evidence
from bot.detect.parse import shell_parts
from bot.detect.scan import Scan, table, text_of
from bot.detect.stacks.node_package import Package

LOCKFILES = (  # in the order in which a repository with several is read
    ("pnpm-lock.yaml", "pnpm"),
    ("bun.lock", "bun"),
    ("bun.lockb", "bun"),
    ("yarn.lock", "yarn"),
    ("package-lock.json", "npm"),
    ("npm-shrinkwrap.json", "npm"),
)
LIFECYCLE = ("preinstall", "install", "postinstall", "prepare")
# what a lifecycle script may run without needing any source file
_HARMLESS = frozenset(
    {"husky", "is-ci", "lefthook", "simple-git-hooks", "prisma", "patch-package", "npx", "true", "echo", "only-allow"}
    | {"exit", "opencollective", "opencollective-postinstall", "ngcc", "skip-ci", "pinst", "ts-patch", "playwright"}
    | {"nuxt", "nuxi", "svelte-kit", "astro"}  # they write types, from whatever is there
)
_BESIDE_INSTALL = (".npmrc", ".yarnrc", ".yarnrc.yml", "pnpm-workspace.yaml", ".pnpmfile.cjs", "bunfig.toml")
_FOLDERS_BESIDE_INSTALL = (".yarn/releases", ".yarn/plugins", ".yarn/patches", "patches", "prisma")


@dataclass(slots=True)
class Manager:
    """The package manager, and the first file or field that says so."""

    name: str = "npm"
    version: str | None = None
    berry: bool = False
    lockfile: str | None = None
    evidence: Evidence | None = None

    @property
    def generation(self) -> str:
        """Its name as people say it: Yarn 1 and its successors share little but the name."""
        if self.name != "yarn":
            return self.name
        return f"Yarn {(self.version or '4').split('.')[0]} (berry)" if self.berry else "Yarn 1 (classic)"


def find_manager(scan: Scan, package: Package) -> Manager:
    """``packageManager`` > lockfile > ``engines`` > npm (https://nodejs.org/api/packages.html#packagemanager)."""
    present = [(file, name) for file, name in LOCKFILES if scan.has(file)]
    found = _declared(scan, package) or _by_lockfile(scan, present) or _by_habit(scan, package)
    found.lockfile = next((file for file, name in present if name == found.name), None)
    others = sorted({name for _, name in present} - {found.name})
    if others:
        scan.warn(f"there are also lockfiles of {', '.join(others)}; {found.name} is used")
    if not found.lockfile and package.all:
        scan.warn(f"there is no lockfile of {found.name}: two builds may get different packages")
    if found.name == "yarn":
        _yarn_generation(scan, found)
        if found.evidence:
            seen = found.evidence
            found.evidence = Evidence(seen.path, seen.line, seen.seen, f"{seen.says}: {found.generation}")
    if found.name == "pnpm" and not found.version:
        found.version = _pnpm_major(scan)
    return found


def _declared(scan: Scan, package: Package) -> Manager | None:
    text = text_of(package.data.get("packageManager")).strip()
    engine = table(table(package.data.get("devEngines")).get("packageManager"))
    match = re.match(r"(npm|yarn|pnpm|bun)(?:@[\^~>=v]*(\d+(?:\.\d+){0,2}(?:-[\w.]+)?))?", text)
    if match:
        named = f"packageManager names {' '.join(part for part in match.groups() if part)}"
        return Manager(match[1], match[2], evidence=scan.seen(package.path, match[0], named))
    if (name := text_of(engine.get("name"))) in ("npm", "yarn", "pnpm", "bun"):
        return Manager(name, evidence=scan.seen(package.path, '"devEngines"', f"devEngines names {name}"))
    return None


def _by_lockfile(scan: Scan, present: list[tuple[str, str]]) -> Manager | None:
    if not present:
        return None
    file, name = present[0]
    return Manager(name, evidence=scan.seen(file, "", f"lockfile of {name}"))


def _by_habit(scan: Scan, package: Package) -> Manager:
    """Without a lockfile: what only one manager reads, then ``engines``; npm when nothing says otherwise."""
    for file, name in (
        ("pnpm-workspace.yaml", "pnpm"),
        (".pnpmfile.cjs", "pnpm"),
        (".yarnrc.yml", "yarn"),
        (".yarnrc", "yarn"),
        ("bunfig.toml", "bun"),
    ):
        if scan.has(file):
            return Manager(name, evidence=scan.seen(file, "", f"configuration of {name}"))
    if package.path.endswith((".yaml", ".json5")):
        return Manager("pnpm", evidence=scan.seen(package.path, "", "only pnpm reads this kind of manifest"))
    engines = table(package.data.get("engines"))
    for name in ("pnpm", "yarn", "bun"):
        if name in engines and not re.search(r"please|use |never", text_of(engines[name]), re.IGNORECASE):
            return Manager(name, evidence=scan.seen(package.path, f'"{name}"', f"engines names {name}"))
    return Manager()


def _yarn_generation(scan: Scan, manager: Manager) -> None:
    lock = scan.text("yarn.lock")[:2000] if scan.has("yarn.lock") else ""
    if manager.version:
        manager.berry = not manager.version.startswith(("0", "1"))
    elif meta := re.search(r"^__metadata:\s*\n\s+version:\s*[\"']?(\d+)", lock, re.MULTILINE):
        manager.berry = True
        # https://yarnpkg.com/advanced/lexicon: the lockfile's format, 8 since Yarn 4, 6 since Yarn 3
        manager.version = "4" if int(meta[1]) >= 7 else "3" if int(meta[1]) == 6 else "2"
    else:
        manager.berry = scan.has(".yarnrc.yml") and "# yarn lockfile v1" not in lock
        manager.version = "4" if manager.berry else None


def _pnpm_major(scan: Scan) -> str | None:
    """The pnpm that wrote the lockfile: format 5 is pnpm 7, 6 is 8, 9 is 9 or 10."""
    match = (
        re.match(r"lockfileVersion:\s*['\"]?(\d+)", scan.text("pnpm-lock.yaml")[:200])
        if scan.has("pnpm-lock.yaml")
        else None
    )
    return {"5": "7", "6": "8", "9": "10"}.get(match[1]) if match else None


def install_files(scan: Scan, manager: Manager, package: Package, workspaces: list[Package]) -> tuple[str, ...]:
    """The files and folders that an install reads, so that only their change repeats it."""
    found = [package.path]
    if manager.lockfile:
        found.append(manager.lockfile)
    found += [file for file in _BESIDE_INSTALL if scan.has(file)]
    found += [folder for folder in _FOLDERS_BESIDE_INSTALL if folder in scan.repository.folders]
    for one in workspaces:
        found.append(one.path)
        # a client of Prisma is generated when its package is installed
        found += [folder for folder in (one.in_folder("prisma"),) if folder in scan.repository.folders]
    return tuple(dict.fromkeys(found))


def install_needs_source(scan: Scan, package: Package, workspaces: list[Package]) -> Evidence | None:
    """What makes an install read source files: lifecycle scripts of the repository's own, and local packages."""
    folders = {one.folder for one in workspaces}
    for one in (package, *workspaces):
        for script in LIFECYCLE:
            text = one.scripts.get(script)
            programs = [_program(part) for part in shell_parts(text)] if text else []
            unseen = "prisma" in programs and not scan.has(one.in_folder("prisma/schema.prisma"))
            if unseen or any(program not in _HARMLESS for program in programs):
                return scan.seen(one.path, f'"{script}"', f"the {script} script may need the source")
        for name, version in one.all.items():
            kind, _, target = version.partition(":")
            if kind in ("file", "link", "portal") and one.in_folder(target) not in folders:
                return scan.seen(one.path, f'"{name}"', f"{name} lies in the repository")
    return None


def _program(words: list[str]) -> str:
    program = words[0].split("/")[-1]
    if program in ("npx", "pnpx", "bunx") or (program in ("pnpm", "yarn") and words[1:2] in (["dlx"], ["exec"])):
        rest = [word for word in words[1:] if not word.startswith("-") and word not in ("dlx", "exec")]
        return rest[0].split("@")[0] or rest[0] if rest else program
    return program
