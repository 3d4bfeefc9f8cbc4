"""Builds by Maven: pom.xml with what it inherits from parents in the repository. https://maven.apache.org/pom.html"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field

from bot.detect.parse import parse_yaml
from bot.detect.scan import Scan, table, text_of
from bot.detect.stacks.jvm_build import MOST_DEPENDENCIES, MOST_MODULES, Build, Module, Used, plain_name
from bot.detect.xml import Element, parse_xml

# the second and later ones are for https://github.com/takari/polyglot-maven
POMS = ("pom.xml", "pom.yml", "pom.yaml", "pom.groovy", "pom.kts", "pom.rb", "pom.scala", "pom.clj", "pom.atom")
_PROPERTY = re.compile(r"\$\{([^${}]{1,200})\}")
_COORDINATES = re.compile(r"[\"']([\w.-]+):([\w.-]+)(?::[^\"'\n]{0,80})?[\"']")
# properties and settings of the compiler plugin that name a version, the strongest first
_VERSION_PROPERTIES = (
    *("maven.compiler.release", "java.version", "maven.compiler.source", "maven.compiler.target", "jdk.version"),
    *("javaVersion", "java-version", "project.java.version", "kotlin.compiler.jvmTarget", "version.java", "jdkVersion"),
)
_MAIN_PROPERTIES = ("mainClass", "main.class", "exec.mainClass", "start-class", "app.main.class", "main.verticle")


@dataclass(slots=True)
class Pom:
    """One pom.xml as it stands there; ``parent`` is that of the repository, if it is there."""

    path: str
    project: Element
    parent: Pom | None = None
    properties: dict[str, tuple[str, int]] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """The folder of the file."""
        return posixpath.dirname(self.path)

    def chain(self) -> list[Pom]:
        """The pom and those that it inherits from, the nearest first."""
        found = [self]
        while (above := found[-1].parent) is not None and above not in found and len(found) < 20:
            found.append(above)
        return found


def read(scan: Scan) -> Build | None:
    """The build whose root pom.xml lies at the root."""
    path = scan.repository.first(POMS)
    if path is None:
        return None
    build = Build("maven", path)
    if path != "pom.xml":
        build.modules.append(_polyglot(scan, path))
        build.manifests = [path]
    else:
        poms = _reactor(scan)
        build.modules = [_module(pom) for pom in poms.values()]
        if not build.modules:  # a broken pom.xml is a build by Maven all the same
            build.modules.append(Module("", path))
        build.manifests = [pom.path for pom in poms.values()] or [path]
    build.manifests += [
        one for one in scan.repository.files if one.startswith(".mvn/") and not one.endswith((".java", ".jar"))
    ]
    _link(build)
    return build


def _reactor(scan: Scan) -> dict[str, Pom]:
    """Every pom that the root one leads to, by folder."""
    poms: dict[str, Pom] = {}
    waiting = ["pom.xml"]
    for path in waiting:
        folder = posixpath.dirname(path)
        if folder in poms or len(poms) >= MOST_MODULES:
            continue
        pom = _read_pom(scan, path, poms)
        if pom is None:
            continue
        poms[folder] = pom
        profiles = list(pom.project.all("profiles", "profile"))
        for module in [
            *pom.project.all("modules", "module"),
            *pom.project.all("subprojects", "subproject"),
            *(one for profile in profiles for one in profile.all("modules", "module")),
        ]:
            below = posixpath.normpath(posixpath.join(folder, module.text.replace("\\", "/")))
            target = below if below.endswith(".xml") else posixpath.join(below, "pom.xml")
            if not target.startswith("..") and scan.has(target):
                waiting.append(target)
    return poms


def _read_pom(scan: Scan, path: str, known: dict[str, Pom], depth: int = 0) -> Pom | None:
    project, problem = parse_xml(scan.text(path))
    if project is None or project.name != "project":
        scan.warn(f"{scan.repository.full(path)} is not a project of Maven: {problem or 'it holds something else'}")
        return None
    pom = Pom(path, project)
    declared = project.first("parent")
    if declared is not None and depth < 10:
        relative = declared.value("relativePath") if declared.first("relativePath") else "../pom.xml"
        above = posixpath.normpath(posixpath.join(pom.folder, relative)) if relative else ""
        if above and not above.endswith(".xml"):
            above = posixpath.join(above, "pom.xml")
        if above and above != path and scan.has(above):
            pom.parent = known.get(posixpath.dirname(above)) or _read_pom(scan, above, known, depth + 1)
            artifact = pom.parent.project.value("artifactId") if pom.parent else ""
            if artifact != declared.value("artifactId"):
                pom.parent = None
    pom.properties = dict(pom.parent.properties) if pom.parent else {}
    for entry in (*project.all("properties"), *(one for p in _active(project) for one in p.all("properties"))):
        for item in entry.children:
            pom.properties[item.name] = (item.text, item.line)
    return pom


def _active(project: Element) -> list[Element]:
    return [
        profile
        for profile in project.all("profiles", "profile")
        if profile.value("activation", "activeByDefault") == "true"
    ]


def resolve(pom: Pom, text: str) -> str:
    """A text with properties filled in; what is unknown stays as it is."""
    for _ in range(5):
        if "${" not in text:
            break
        text = _PROPERTY.sub(lambda match: _property(pom, match[1], match[0])[:300], text)[:2000]
    return text


def _property(pom: Pom, name: str, unknown: str) -> str:
    if name in pom.properties:
        return pom.properties[name][0]
    plain = name.removeprefix("project.").removeprefix("pom.")
    if plain in ("groupId", "version", "artifactId", "packaging", "parent.version", "parent.groupId"):
        parts = plain.split(".")
        return pom.project.value(*parts) or pom.project.value("parent", parts[-1]) or unknown
    return unknown


def _module(pom: Pom) -> Module:
    project = pom.project
    module = Module(pom.folder, pom.path, resolve(pom, project.value("artifactId")))
    module.packaging = resolve(pom, project.value("packaging")) or "jar"
    for one in pom.chain():
        parent = one.project.first("parent")
        if parent is not None and one.parent is None:
            module.dependencies.append(_used(pom, one, parent, "parent"))
        for part in (one.project, *_active(one.project)):
            for dependency in part.all("dependencies", "dependency"):
                used = _used(pom, one, dependency, _scope(dependency))
                if used.scope != "test" and len(module.dependencies) < MOST_DEPENDENCIES:
                    module.dependencies.append(used)
            for managed in part.all("dependencyManagement", "dependencies", "dependency"):
                if managed.value("scope") == "import" and len(module.dependencies) < MOST_DEPENDENCIES:
                    module.dependencies.append(_used(pom, one, managed, "bom"))
            for plugin in part.all("build", "plugins", "plugin"):
                _plugin(module, pom, one, plugin)
    _versions(module, pom)
    for name in _MAIN_PROPERTIES:
        module.main_class = module.main_class or resolve(pom, pom.properties.get(name, ("", 0))[0])
    if "$" in module.main_class:
        module.main_class = ""
    folder = resolve(pom, project.value("build", "sourceDirectory"))
    if folder and "$" not in folder:
        module.sources = (posixpath.normpath(posixpath.join(pom.folder, folder)),)
    return module


def _scope(dependency: Element) -> str:
    scope = dependency.value("scope") or "compile"
    if dependency.value("type") == "test-jar" or scope == "test":
        return "test"
    return scope if scope in ("compile", "runtime", "provided") else "compile"


def _used(pom: Pom, where: Pom, element: Element, scope: str) -> Used:
    group, artifact = (resolve(pom, element.value(name)) for name in ("groupId", "artifactId"))
    return Used(
        plain_name(group, artifact),
        where.path,
        (element.first("artifactId") or element).line,
        f"<artifactId>{element.value('artifactId')}</artifactId>",
        resolve(pom, element.value("version")),
        scope,
    )


def _plugin(module: Module, pom: Pom, where: Pom, element: Element) -> None:
    group = resolve(pom, element.value("groupId")) or "org.apache.maven.plugins"
    name = f"{group}:{element.value('artifactId')}"
    used = _used(pom, where, element, "compile")
    configurations = [*element.all("configuration"), *element.all("executions", "execution", "configuration")]
    skipped = any(one.value("skip") == "true" for one in configurations)
    if name in module.plugins or skipped:
        return
    module.plugins[name] = Used(name, used.path, used.line, used.text, used.version)
    artifact = element.value("artifactId")
    for one in configurations:
        main = one.value("mainClass") or one.value("archive", "manifest", "mainClass")
        main = main or next((found.text for found in _descend(one, "mainClass")), "")
        if main and artifact != "maven-surefire-plugin" and not module.main_class:
            module.main_class = resolve(pom, main)
        if artifact == "spring-boot-maven-plugin" and (
            one.first("layers", "configuration") or one.value("layers", "enabled") == "false"
        ):
            module.layered = False
        if artifact == "maven-compiler-plugin":
            for key in ("release", "source", "target"):
                found = one.first(key)
                if found is not None:
                    module.asked.append((where.path, found.line, resolve(pom, found.text)))
        if artifact == "maven-toolchains-plugin" and (found := one.first("toolchains", "jdk", "version")):
            module.asked.insert(0, (where.path, found.line, found.text))


def _descend(element: Element, name: str) -> list[Element]:
    found = []
    for child in element.children:
        found += [child] if child.name == name else _descend(child, name)
    return found


def _versions(module: Module, pom: Pom) -> None:
    named = []
    for key in _VERSION_PROPERTIES:
        if key in pom.properties:
            value, line = pom.properties[key]
            where = next((one for one in pom.chain() if one.project.first("properties", key)), pom)
            named.append((where.path, line, resolve(pom, value)))
    asked = [one for one in (*module.asked, *named) if re.match(r"(1\.)?\d", one[2])]
    module.asked = list(dict.fromkeys(asked))


def _link(build: Build) -> None:
    """Which modules depend on which: by the artifact's name, as groups are mostly inherited."""
    by_name = {one.name: one.folder for one in build.modules if one.name}
    for module in build.modules:
        for used in module.dependencies:
            folder = by_name.get(used.name.partition(":")[2])
            if folder is not None and folder != module.folder and used.scope not in ("bom", "parent"):
                module.siblings.add(folder)


def _polyglot(scan: Scan, path: str) -> Module:
    """A pom in another notation: coordinates are found, nothing else."""
    module = Module("", path)
    text = scan.text(path)
    if path.endswith((".yml", ".yaml")):
        data = table(parse_yaml(text)[0])
        module.name, module.packaging = text_of(data.get("artifactId")), text_of(data.get("packaging")) or "jar"
        listed = data.get("dependencies")
        for one in listed if isinstance(listed, list) else []:
            group, artifact = text_of(table(one).get("groupId")), text_of(table(one).get("artifactId"))
            if artifact and text_of(table(one).get("scope")) != "test":
                seen = scan.seen(path, artifact, "")
                module.dependencies.append(Used(plain_name(group, artifact), path, seen.line or 1, artifact))
    for match in _COORDINATES.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        module.dependencies.append(Used(plain_name(match[1], match[2]), path, line, match[0]))
    return module
