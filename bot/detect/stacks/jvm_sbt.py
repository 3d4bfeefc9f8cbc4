"""Builds by sbt: build.sbt, project/*.sbt and project/*.scala. https://www.scala-sbt.org/1.x/docs/"""

from __future__ import annotations

import posixpath
import re

from bot.detect.scan import Scan
from bot.detect.stacks.jvm_build import APART, MOST_DEPENDENCIES, Build, Module, Used, plain_name
from bot.detect.stacks.jvm_script import Statement, Token, statements, tokens

_FILES = 40


def read(scan: Scan) -> Build | None:
    """The build whose build.sbt, or project/build.properties, lies at the root."""
    path = scan.repository.first(("build.sbt", "project/Build.scala", "project/build.properties"))
    if path is None:
        path = next((one for one in scan.repository.inside("") if one.endswith(".sbt")), None)
    if path is None:
        return None
    build = Build("sbt", path)
    for line in scan.text("project/build.properties").split("\n") if scan.has("project/build.properties") else ():
        name, _, value = line.partition("=")
        if name.strip() == "sbt.version" and re.fullmatch(r"\d+\.\d+\.\d+", value.strip()):
            build.tool_version = value.strip()
    root = Module("", path)
    build.modules = [root]
    scripts = [one for one in scan.repository.inside("") if one.endswith(".sbt")]
    meta = [one for one in scan.repository.inside("project") if one.endswith((".sbt", ".scala"))]
    meta += [
        one for one in scan.repository.files if one.startswith("project/src/main/scala/") and one.endswith(".scala")
    ]
    words = {one: tokens(scan.text(one)) for one in [*scripts, *meta][:_FILES]}
    shared: dict[str, list[Used]] = {}
    for one in meta[:_FILES]:
        shared |= _values(words.get(one, []), one)
    for one in meta[:_FILES]:
        _plugins(words.get(one, []), one, root)
        root.dependencies += _libraries(words.get(one, []), one, "runtime") if one.endswith(".scala") else []
    for one in scripts[:_FILES]:
        shared |= _lists(words.get(one, []), one, shared)
        _projects(words.get(one, []), one, build, shared)
    for one in scan.repository.named("build.sbt", 3):
        folder = posixpath.dirname(one)
        if folder and not APART.search(folder) and not folder.startswith("project"):
            module = next((found for found in build.modules if found.folder == folder), None)
            if module is None:
                module = Module(folder, one, posixpath.basename(folder))
                build.modules.append(module)
            module.path = one
            for statement in statements(tokens(scan.text(one))):
                _statement(module, statement, one, shared)
    build.manifests = [*scripts, *(["project/build.properties"] if build.tool_version else []), *meta]
    build.manifests += [one.path for one in build.modules if one.path not in build.manifests]
    return build


def _libraries(words: list[Token], path: str, scope: str = "compile") -> list[Used]:
    """Every ``"group" %% "artifact" % "version"``; those for tests are left out."""
    found: list[Used] = []
    for place, token in enumerate(words):
        if token.text not in ("%", "%%", "%%%") or token.kind != "mark" or place == 0 or place + 1 >= len(words):
            continue
        group, artifact = words[place - 1], words[place + 1]
        if group.kind != "string" or artifact.kind != "string" or "." not in group.text + "." * (token.text != "%"):
            continue
        if place >= 2 and words[place - 2].text == "%":
            continue  # the version and the configuration
        if len(found) >= MOST_DEPENDENCIES:
            break
        after = [one.text.lower() for one in words[place + 2 : place + 8]]
        if "test" in after[: after.index(",") if "," in after else len(after)]:
            continue
        name = plain_name(group.text, artifact.text)
        version = words[place + 3].text if place + 3 < len(words) and words[place + 3].kind == "string" else ""
        text = f'"{group.text}" {token.text} "{artifact.text}"'
        found.append(Used(name, path, token.line, text, version, scope))
    return found


def _values(words: list[Token], path: str) -> dict[str, list[Used]]:
    """``val http4s = "org.http4s" %% …`` and lists of them, by name."""
    found: dict[str, list[Used]] = {}
    if not path.endswith(".scala"):
        return found
    starts = [place for place, token in enumerate(words) if token.kind == "name" and token.text == "val"]
    for place, end in zip(starts, [*starts[1:], len(words)], strict=False):
        if place + 1 < len(words):
            libraries = _libraries(words[place:end], path)
            names = [one.text for one in words[place + 2 : end] if one.kind == "name" and one.text in found]
            inner = [used for name in names for used in found[name]]
            if libraries or inner:
                found[words[place + 1].text] = [*libraries, *inner]
    return found


def _lists(words: list[Token], path: str, shared: dict[str, list[Used]]) -> dict[str, list[Used]]:
    """The same in a build.sbt: ``val web = Seq("org.http4s" %% …)``, which projects name after it."""
    found: dict[str, list[Used]] = {}
    for statement in statements(words):
        texts = [token.text for token in statement.tokens]
        if statement.blocks or "val" not in texts[:2] or {"project", "Project", "crossProject"} & set(texts):
            continue
        place = texts.index("val") + 1
        known = shared | found
        inner = [used for token in statement.tokens[place + 1 :] for used in known.get(token.text, ())]
        libraries = [*_libraries(statement.tokens, path), *inner]
        if place < len(texts) and libraries:
            found[texts[place]] = libraries[:MOST_DEPENDENCIES]
    return found


def _plugins(words: list[Token], path: str, root: Module) -> None:
    for statement in statements(words):
        if statement.head == "addSbtPlugin" and len(found := statement.strings) >= 2:
            name = f"{found[0].text}:{found[1].text}"
            version = found[2].text if len(found) > 2 else ""
            root.plugins.setdefault(name, Used(name, path, statement.line, statement.text, version))


def _projects(script: list[Token], path: str, build: Build, shared: dict[str, list[Used]]) -> None:
    """Projects of a build.sbt: what follows ``lazy val x = project`` is about x, the rest about the root."""
    root = build.modules[0]
    by_name: dict[str, Module] = {}
    current = root
    waiting: list[tuple[Module, list[str]]] = []
    for statement in statements(script):
        words = [token.text for token in statement.tokens]
        if not statement.blocks and "val" in words[:3]:
            current = root
            if "project" in words or "Project" in words or "crossProject" in words:
                name = words[words.index("val") + 1]
                folder = _folder(statement, name)
                current = root if folder in ("", ".") else Module(folder, path, name)
                by_name[name] = current
                if current is not root:
                    build.modules.append(current)
        elif not statement.blocks and words and words[0] not in (".", ")", "in"):
            current = root
        if "dependsOn" in words:
            waiting.append((current, words[words.index("dependsOn") :]))
        _statement(current, statement, path, shared)
    for module, words in waiting:
        module.siblings |= {by_name[word].folder for word in words if word in by_name and by_name[word] is not module}


def _folder(statement: Statement, name: str) -> str:
    words = [token.text for token in statement.tokens]
    if "file" in words:
        place = words.index("file")
        found = next((one for one in statement.tokens[place:] if one.kind == "string"), None)
        return posixpath.normpath(found.text).lstrip("/") if found else name
    return name


def _statement(module: Module, statement: Statement, path: str, shared: dict[str, list[Used]]) -> None:
    words = [token.text for token in statement.tokens]
    if len(module.dependencies) > MOST_DEPENDENCIES:
        return
    module.dependencies += _libraries(statement.tokens, path)
    for place, token in enumerate(statement.tokens):
        if token.kind == "name" and token.text in shared:
            before = words[place - 1] if place else ""
            if before != "val" and token.text not in ("version", "name"):
                module.dependencies += shared[token.text]
        if token.kind == "name" and token.text in ("PlayScala", "PlayJava", "PlayService", "PlayMinimalJava"):
            module.plugins.setdefault(token.text, Used(token.text, path, token.line, statement.text))
        if token.kind == "name" and token.text in ("JavaAppPackaging", "JavaServerAppPackaging", "DockerPlugin"):
            module.plugins.setdefault("native-packager", Used(token.text, path, token.line, statement.text))
    if "mainClass" in words and not module.main_class:
        found = [one.text for one in statement.tokens[words.index("mainClass") :] if one.kind == "string"]
        module.main_class = found[0] if found and re.fullmatch(r"[\w.]+", found[0]) else ""
    if "-release" in [one.text for one in statement.strings] or "--release" in [one.text for one in statement.strings]:
        listed = [one.text for one in statement.strings]
        place = next(index for index, one in enumerate(listed) if one.endswith("-release"))
        if place + 1 < len(listed) and re.fullmatch(r"\d+", listed[place + 1]):
            module.asked.append((path, statement.line, listed[place + 1]))
