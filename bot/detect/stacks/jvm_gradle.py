"""Builds by Gradle, in Groovy or Kotlin: settings, build scripts, catalogs, convention plugins of the repository."""

from __future__ import annotations

import functools
import posixpath
import re
from dataclasses import dataclass, field, replace

from bot.detect.scan import Scan
from bot.detect.stacks.jvm_build import APART, MOST_DEPENDENCIES, MOST_MODULES, Build, Module, Used, plain_name
from bot.detect.stacks.jvm_catalog import Catalog, accessor, read_catalogs
from bot.detect.stacks.jvm_script import Statement, statements, tokens

SCRIPTS = ("build.gradle.kts", "build.gradle")
SETTINGS = ("settings.gradle.kts", "settings.gradle")
_SCOPES = {
    **dict.fromkeys(("implementation", "api", "compile"), "compile"),
    **dict.fromkeys(("runtimeOnly", "runtime", "developmentOnly", "providedRuntime"), "runtime"),
    **dict.fromkeys(("compileOnly", "compileOnlyApi", "provided", "providedCompile"), "provided"),
    **dict.fromkeys(("modImplementation", "shadow", "library", "quarkusDev"), "compile"),
}
_WRAPPED = ("platform", "enforcedPlatform", "mavenBom")
_VARIABLE = re.compile(r"\$\{?(?:rootProject\.|project\.|ext\.|extra\.)*([A-Za-z_][\w.]*)\}?")
_JAVA = re.compile(r"^(?:VERSION_)?(1_8|1\.8|\d{1,2})$")
_DISTRIBUTION = re.compile(r"gradle-(\d+(?:\.\d+)*)")
MOST_SCRIPTS = 200


@dataclass(slots=True)
class Reader:
    """What is known of the whole build while its scripts are read."""

    scan: Scan
    catalogs: dict[str, Catalog] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    conventions: dict[str, str] = field(default_factory=dict)  # id of a plugin -> its script
    scripts: dict[str, list[Statement]] = field(default_factory=dict)
    folders: dict[str, str] = field(default_factory=dict)  # path of a project (":app") -> folder

    def script(self, path: str) -> list[Statement]:
        """The statements of a script, read once."""
        if path not in self.scripts:
            known = len(self.scripts) < MOST_SCRIPTS and self.scan.has(path)
            self.scripts[path] = list(statements(tokens(self.scan.text(path)))) if known else []
        return self.scripts[path]

    def filled(self, text: str) -> str:
        """A string with the variables that are known."""
        return _VARIABLE.sub(lambda match: self.variables.get(match[1], match[0]), text)[:300] if "$" in text else text


def read(scan: Scan) -> Build | None:
    """The build whose settings or build script lie at the root."""
    script = scan.repository.first(SCRIPTS)
    settings = scan.repository.first(SETTINGS)
    path = script or settings or scan.repository.first(("gradlew", "gradlew.bat"))
    if path is None:
        return None
    reader = Reader(scan)
    _properties(reader)
    reader.catalogs = read_catalogs(scan, reader.script(settings) if settings else ())
    _conventions(reader)
    included = _included(reader, settings)
    build = Build("gradle", path)
    wrapper = scan.text("gradle/wrapper/gradle-wrapper.properties") if _wrapped(scan) else ""
    found = _DISTRIBUTION.search(wrapper)
    build.wrapper = found[1] if found else ("0" if wrapper else "")
    build.modules = [_module(reader, folder, script) for folder, script in included.items()]
    root = reader.script(script) if script else []
    for module in build.modules:
        _shared(reader, module, root, script or "")
    build.manifests = _manifests(scan, included)
    return build


def _wrapped(scan: Scan) -> bool:
    """Whether the wrapper is complete; a Git repository often lacks its jar."""
    return all(
        scan.has(path)
        for path in ("gradlew", "gradle/wrapper/gradle-wrapper.jar", "gradle/wrapper/gradle-wrapper.properties")
    )


def _properties(reader: Reader) -> None:
    for line in reader.scan.text("gradle.properties").split("\n") if reader.scan.has("gradle.properties") else ():
        name, mark, value = line.partition("=")
        if mark and not name.lstrip().startswith(("#", "!")):
            reader.variables[name.strip()] = value.strip()


def _conventions(reader: Reader) -> None:
    """Scripts of buildSrc and of included builds that are plugins: the file's name is the plugin's identifier."""
    for path in reader.scan.repository.files:
        if "/src/main/" in path and path.endswith((".gradle", ".gradle.kts")) and len(reader.conventions) < 100:
            name = posixpath.basename(path).removesuffix(".kts").removesuffix(".gradle")
            folder = path.partition("/src/main/kotlin/")[2] or path.partition("/src/main/groovy/")[2]
            package = posixpath.dirname(folder).replace("/", ".")
            reader.conventions.setdefault(f"{package}.{name}" if package else name, path)


def _included(reader: Reader, settings: str | None) -> dict[str, str]:
    """Folders of the build's projects with their scripts ("" where a project has none), the root first."""
    scan = reader.scan
    found: dict[str, str] = {"": scan.repository.first(SCRIPTS) or ""}
    names: list[str] = []
    moved: dict[str, str] = {}
    for statement in reader.script(settings) if settings else ():
        words = [token.text for token in statement.strings]
        if statement.head == "include":
            names += [word.strip(":").replace("/", ":") for word in words]
        elif "projectDir" in statement.text and len(words) == 2:
            moved[words[0].strip(":")] = posixpath.normpath(words[1].replace("$rootDir/", "").lstrip("/"))
    for name in names[:MOST_MODULES]:
        folder = moved.get(name, name.replace(":", "/"))
        own = posixpath.basename(folder)
        scripts = (*SCRIPTS, f"{own}.gradle.kts", f"{own}.gradle")
        script = scan.repository.first(f"{folder}/{one}" for one in scripts)
        if script or folder in scan.repository.folders:
            found[folder] = script or ""
            reader.folders[":" + name] = folder
    if len(found) == 1:  # included by code that was not understood
        for script in (path for name in SCRIPTS for path in scan.repository.named(name, 4)):
            folder = posixpath.dirname(script)
            if folder and not APART.search(folder) and len(found) < MOST_MODULES:
                found.setdefault(folder, script)
                reader.folders[":" + folder.replace("/", ":")] = folder
    return found


def _module(reader: Reader, folder: str, script: str) -> Module:
    path = script or reader.scan.repository.first((*SCRIPTS, *SETTINGS, "gradlew", "gradlew.bat")) or ""
    module = Module(folder, path, posixpath.basename(folder))
    if script:
        _apply(reader, module, script, set())
    return module


@functools.lru_cache(maxsize=4096)
def _elsewhere(blocks: tuple[str, ...]) -> bool:
    return any(re.match(r"(subprojects|project|configure)\b", block) for block in blocks)


def _apply(reader: Reader, module: Module, path: str, seen: set[str]) -> None:
    """What a script says for a module, with the scripts and convention plugins that it applies."""
    if path in seen or len(seen) > 20:
        return
    seen.add(path)
    for statement in reader.script(path):
        if _elsewhere(statement.blocks):
            continue  # not about this module; what root scripts say for others is read with those
        _statement(reader, module, statement, path, seen)


def _shared(reader: Reader, module: Module, root: list[Statement], path: str) -> None:
    """What the root script says in ``subprojects``, and about this project alone."""
    if not module.folder:
        return
    names = {name for name, folder in reader.folders.items() if folder == module.folder}
    for statement in root:
        head = statement.blocks[0] if statement.blocks else ""
        project = re.match(r"project\(\s*\"?([^\")]+)", head)
        if head.startswith("project") and project and project[1].strip("\"' ") not in names:
            continue
        if re.match(r"(subprojects|allprojects|configure|project)\b", head):
            _statement(reader, module, statement, path, {path})


def _statement(reader: Reader, module: Module, statement: Statement, path: str, seen: set[str]) -> None:
    blocks, head = statement.blocks, statement.head
    inner = next((block for block in reversed(blocks) if not block.startswith(("allprojects", "subprojects"))), "")
    if blocks and blocks[0].startswith(("buildscript", "pluginManagement")):
        return
    _remember(reader, statement)
    if inner == "plugins" or head == "apply" or head.endswith((".apply", "apply.plugin")):
        _plugin(reader, module, statement, path, seen)
    elif _in_dependencies(blocks):
        _dependency(reader, module, statement, path)
    elif any(block.startswith("dependencyManagement") for block in blocks) and head == "mavenBom":
        for token in statement.strings[:1]:
            _add(reader, module, token.text, Used("", path, statement.line, statement.text, "", "bom"))
    _main(reader, module, statement)
    _java(reader, module, statement, path)
    if head in ("layered", "bootJar.layered") and not statement.opens:
        module.layered = "false" not in statement.text


def _in_dependencies(blocks: tuple[str, ...]) -> bool:
    """Inside of ``dependencies``, also in a block of one of its declarations or of a source set."""
    return any(block == "dependencies" or block.endswith(".dependencies") for block in blocks[-3:]) and not any(
        "Test" in block or block.startswith("test") for block in blocks
    )


def _remember(reader: Reader, statement: Statement) -> None:
    """``def x = '1'``, ``val x = "1"``, ``ext.x = '1'``, ``set('x', '1')``, ``x = '1'`` inside of ``ext``."""
    words = statement.tokens
    if len(reader.variables) > 2000:
        return
    if statement.head in ("set", "ext.set", "extra.set") and len(statement.strings) == 2:
        reader.variables.setdefault(statement.strings[0].text, statement.strings[1].text)
        return
    equals = next((place for place, token in enumerate(words) if token.text == "="), 0)
    if equals and equals + 1 < len(words) and words[equals + 1].kind in ("string", "number"):
        before = words[equals - 1]
        name = before.text if before.kind == "name" else ""
        if before.text == "]" and equals >= 2:
            name = words[equals - 2].text
        if name:
            reader.variables.setdefault(name, words[equals + 1].text)


def _plugin(reader: Reader, module: Module, statement: Statement, path: str, seen: set[str]) -> None:
    words = [token.text for token in statement.tokens]
    strings = [token.text for token in statement.strings]
    if "false" in words and "apply" in words:
        return
    if statement.head == "apply" and "from" in words:
        for name in strings[:1]:
            target = posixpath.normpath(re.sub(r"^\$\{?(rootDir|rootProject\.projectDir|projectDir)\}?/", "", name))
            here = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
            _apply(reader, module, target if reader.scan.has(target) else here, seen)
        return
    name = version = ""
    if "libs" in words or any(word in reader.catalogs for word in words):
        name, version = _catalog_plugin(reader, words)
    elif strings and "(" in words and "kotlin" in words[:2]:
        name = f"org.jetbrains.kotlin.{strings[0]}"
    elif strings:
        name = strings[0]
        version = strings[1] if len(strings) > 1 else ""
    elif len(words) == 1:  # application, war, `java-library` in Kotlin
        name = words[0]
    if not name:
        return
    name = reader.filled(name)
    module.plugins.setdefault(name, Used(name, path, statement.line, statement.text, reader.filled(version)))
    if name == "war":
        module.packaging = "war"
    if name in reader.conventions:
        _apply(reader, module, reader.conventions[name], seen)


def _catalog_plugin(reader: Reader, words: list[str]) -> tuple[str, str]:
    place = next(index for index, word in enumerate(words) if word in reader.catalogs)
    dotted = "".join(words[place + 1 :]).partition(")")[0].strip(".")
    found = dotted.removeprefix("plugins.").removesuffix(".get().pluginId").partition(".get(")[0].partition("(")[0]
    return reader.catalogs[words[place]].plugins.get(found, ("", ""))


def _dependency(reader: Reader, module: Module, statement: Statement, path: str) -> None:
    words = [token.text for token in statement.tokens]
    strings = [token.text for token in statement.strings]
    if not words:
        return
    configuration = words[0] if statement.tokens[0].kind in ("name", "string") else ""
    if configuration == "add" and strings:
        configuration, strings = strings[0], strings[1:]
    elif statement.tokens[0].kind == "string":
        strings = strings[1:]  # "implementation"("group:artifact") in Kotlin
    scope = _SCOPES.get(configuration) or ("bom" if configuration == "mavenBom" else "")
    if not scope:
        return
    if any(word in _WRAPPED for word in words[1:4]):
        scope = "bom"
    told = Used("", path, statement.line, statement.text, "", scope)
    if "project" in words or "projects" in words:
        _sibling(reader, module, words, strings)
        return
    place = next((i for i, word in enumerate(words) if word in reader.catalogs and i + 1 < len(words)), None)
    if place is not None and words[place + 1] == ".":
        _from_catalog(reader, module, words, place, told)
        return
    if "group" in words and "name" in words:  # group: 'a', name: 'b', version: 'c'
        named = {
            words[i]: statement.tokens[i + 2].text
            for i in range(len(words) - 2)
            if words[i] in ("group", "name", "version") and words[i + 1] in (":", "=")
        }
        if named.get("group") and named.get("name"):
            _add(reader, module, f"{named['group']}:{named['name']}:{named.get('version', '')}", told)
        return
    if "kotlin" in words[1:4]:
        return
    if len(strings) in (2, 3) and ":" not in "".join(strings) and "(" in words:
        _add(reader, module, ":".join(strings), told)
        return
    for text in strings:
        _add(reader, module, text, told)


def _add(reader: Reader, module: Module, text: str, told: Used) -> None:
    parts = reader.filled(text).split("@")[0].split(":")
    if len(parts) >= 2 and parts[0] and parts[1] and len(module.dependencies) < MOST_DEPENDENCIES:
        version = parts[2] if len(parts) > 2 else ""
        module.dependencies.append(replace(told, name=plain_name(parts[0], parts[1]), version=version))


def _sibling(reader: Reader, module: Module, words: list[str], strings: list[str]) -> None:
    if strings:
        folder = reader.folders.get(":" + strings[0].strip(":"))
    else:  # projects.core.model, the type-safe way
        after = words[words.index("projects") + 1 :] if "projects" in words else []
        wanted = "".join(after).partition(")")[0].strip(".").replace(".", ":").lower()
        found = (name for name in reader.folders if re.sub(r"[-_]", "", name).strip(":").lower() == wanted)
        folder = reader.folders.get(next(found, ""))
    if folder is not None:
        module.siblings.add(folder)


def _from_catalog(reader: Reader, module: Module, words: list[str], place: int, told: Used) -> None:
    catalog = reader.catalogs[words[place]]
    named = "".join(words[place + 1 :]).partition(")")[0].partition("(")[0].strip(".").removesuffix(".get")
    bundle = named.removeprefix("bundles.")
    for name in [named] if bundle == named else catalog.bundles.get(bundle, []):
        if name in catalog.libraries and len(module.dependencies) < MOST_DEPENDENCIES:
            coordinate, version = catalog.libraries[name]
            module.dependencies.append(replace(told, name=coordinate, version=version))


def _main(reader: Reader, module: Module, statement: Statement) -> None:
    """``mainClass = 'x'``, ``mainClass.set("x")``, ``mainClassName = "x"``, ``attributes 'Main-Class': 'x'``."""
    words = [token.text for token in statement.tokens]
    strings = [token.text for token in statement.strings]
    if not strings or module.main_class:
        return
    named = next((word for word in words if word in ("mainClass", "mainClassName")), "")
    if named and not any("test" in block.lower() for block in statement.blocks):
        module.main_class = reader.filled(strings[-1])
    elif "Main-Class" in strings and strings.index("Main-Class") + 1 < len(strings):
        module.main_class = reader.filled(strings[strings.index("Main-Class") + 1])
    if not re.fullmatch(r"[\w.$]+", module.main_class) or "$" in module.main_class:
        module.main_class = ""


def _java(reader: Reader, module: Module, statement: Statement, path: str) -> None:
    words = [token.text for token in statement.tokens]
    asks = {"languageVersion": 0, "jvmToolchain": 0, "sourceCompatibility": 1, "targetCompatibility": 1, "jvmTarget": 1}
    named = next((word for word in words if word in asks), "")
    if not named and words[:2] == ["options", "."] and "release" in words:
        named = "release"
    if not named:
        return
    place = words.index(named)
    if (catalog := next((word for word in words[place:] if word in reader.catalogs), "")) and "versions" in words:
        dotted = "".join(words[words.index("versions") + 2 :]).partition(".get(")[0].partition(")")[0]
        text = next((v for k, v in reader.catalogs[catalog].versions.items() if accessor(k) == dotted), "")
        if _JAVA.match(text):
            module.asked.insert(0 if asks.get(named) == 0 else len(module.asked), (path, statement.line, text))
        return
    for token in statement.tokens[place + 1 :]:
        text = reader.filled(token.text)
        if token.kind == "name":
            text = reader.variables.get(token.text, token.text)
        found = _JAVA.match(text.strip("\"'").removeprefix("JVM_").removeprefix("JavaVersion."))
        if found:
            entry = (path, statement.line, found[1].replace("_", "."))
            module.asked.insert(0 if asks.get(named) == 0 else len(module.asked), entry)
            return


def _manifests(scan: Scan, included: dict[str, str]) -> list[str]:
    """What Gradle reads before it compiles: scripts, properties, catalogs, wrapper, and the builds of its plugins."""
    found = [
        path for path in (*SETTINGS, *SCRIPTS, "gradle.properties", "gradlew", "gradle.lockfile") if scan.has(path)
    ]
    found += [path for path in included.values() if path and path not in found]
    logic = tuple(
        {
            path.partition("/")[0] + "/"
            for path in scan.repository.files
            if path.startswith(("buildSrc/", "build-logic/"))
        }
    )
    found += [path for path in scan.repository.files if path.startswith(("gradle/", *logic)) and path.count("/") < 12]
    return list(dict.fromkeys(found))[:400]
