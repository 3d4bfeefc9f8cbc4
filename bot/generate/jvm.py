"""Dockerfiles for Java, Kotlin and Scala: built on a JDK, run on a JRE or a servlet container."""

from __future__ import annotations

import posixpath
import re
import shlex

from bot.detect.facts import JvmFacts
from bot.generate import images, write
from bot.generate.recipe import Lines, Recipe, environment, healthcheck, labels

_LAYERS = ("dependencies", "spring-boot-loader", "snapshot-dependencies", "application")
_OUTPUT = {"maven": ("target", "target"), "gradle": ("build/libs", "build/libs"), "sbt": ("target/scala-*", "target")}
_TOOLS = {"maven": "Maven", "gradle": "Gradle", "sbt": "sbt", "": "javac"}
# jars that are no programs, or hold a program without what it depends on
_OTHERS = "*-plain.jar | *-sources.jar | *-javadoc.jar | *-tests.jar | */original-*.jar"
_USER = (
    "RUN { getent passwd 1000 >/dev/null || useradd --uid 1000 --create-home app; } \\\n"
    "    && install --directory --owner=1000 --group=1000 /app"
)


def dockerfile(recipe: Recipe, facts: JvmFacts) -> tuple[str, list[str]]:
    """The Dockerfile, and why it looks like that."""
    base = recipe.image(_build_image(facts))
    why = [f"Java {facts.version}, built by {_TOOLS[facts.tool]}: {base}"]
    out = Lines()
    what = " ".join(part for part in (recipe.detection.framework, f"on Java {facts.version}") if part)
    out.add(write.comment(f"{what}, built by {_TOOLS[facts.tool]}. Written by Berth; yours to keep and change."))
    out.add(f"FROM {base} AS build", "WORKDIR /src", *recipe.arguments())
    if facts.tool == "gradle":
        out.add(*environment((("GRADLE_USER_HOME", "/root/.gradle"),)))
    if facts.tool == "sbt":
        _sbt(out, facts)
    caches = _caches(recipe, facts)
    _dependencies(out, recipe, facts, caches, why)
    out.add("COPY . .")
    _build(out, recipe, facts, caches, why)
    _collect(out, recipe, facts)
    _run_stage(out, recipe, facts, why)
    return out.render(), why


def _build_image(facts: JvmFacts) -> str:
    if facts.tool == "maven":
        return images.maven(facts.version)
    if facts.tool == "gradle" and not facts.wrapper:
        return images.gradle(facts.version)
    return images.java(facts.version, "jdk")


def _caches(recipe: Recipe, facts: JvmFacts) -> list[str]:
    if facts.tool == "maven":
        return [recipe.cache("maven", "/root/.m2")]
    if facts.tool == "gradle":
        return [recipe.cache("gradle", "/root/.gradle")]
    if facts.tool == "sbt":
        folders = {"sbt": "/root/.sbt", "ivy": "/root/.ivy2", "coursier": "/root/.cache/coursier"}
        return [recipe.cache(name, target) for name, target in folders.items()]
    return []


def _sbt(out: Lines, facts: JvmFacts) -> None:
    """sbt's launcher reads the version that the build wants and fetches it."""
    version = facts.tool_version if facts.tool_version.startswith("1.") else images.SBT
    address = f"https://repo1.maven.org/maven2/org/scala-sbt/sbt-launch/{version}/sbt-launch-{version}.jar"
    out.add(write.comment("sbt, by its launcher"))
    out.add(
        f"RUN curl --fail --silent --show-error --location --output /opt/sbt-launch.jar {address} \\\n"
        '    && printf "#!/bin/sh\\nexec java -Xss4m -Dsbt.color=false -Dsbt.supershell=false -jar /opt/sbt-launch.jar'
        ' \\"\\$@\\"\\n" >/usr/local/bin/sbt \\\n'
        "    && chmod +x /usr/local/bin/sbt"
    )


def _dependencies(out: Lines, recipe: Recipe, facts: JvmFacts, caches: list[str], why: list[str]) -> None:
    if not facts.manifests:
        return
    out.add(write.comment("before the source, so that only changed build files fetch again"))
    folders: dict[str, list[str]] = {}
    for file in facts.manifests:
        folders.setdefault(posixpath.dirname(file), []).append(file)
    out.add(*(write.copy(files, f"./{folder}/" if folder else "./") for folder, files in folders.items()))
    project = ":" + facts.folder.replace("/", ":") + ":" if facts.folder else ""
    gradle = f"{_gradle(facts)} --no-daemon --quiet {shlex.quote(project + 'dependencies')}"
    command = {
        "maven": "mvn --batch-mode --no-transfer-progress --quiet dependency:go-offline",
        "gradle": gradle,
        "sbt": "sbt update",
    }[facts.tool]
    out.add(write.comment("what cannot be told without the source is fetched by the build itself"))
    out.add(recipe.step(f"{command} || true", caches, ours=_plain(facts.folder)))
    why.append("dependencies are fetched before the source is copied")


def _gradle(facts: JvmFacts) -> str:
    return "sh ./gradlew" if facts.wrapper else "gradle"


def _plain(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9_./-]*", text) is not None


def _build(out: Lines, recipe: Recipe, facts: JvmFacts, caches: list[str], why: list[str]) -> None:
    if facts.build:
        out.add(recipe.step(facts.build, caches))
        why.append(f"built by: {facts.build}")
        return
    if facts.tool == "sbt" and facts.packing == "classpath":
        # the last line that sbt prints is the classpath
        command = f"{facts.command} >/tmp/classpath && mkdir -p /out/lib"
        copy = 'IFS=: && for jar in $(tail -n 1 /tmp/classpath); do cp "$jar" /out/lib/; done'
        out.add(recipe.step(f"{command} \\\n    && {copy}", caches, ours=_plain(facts.folder)))
    elif facts.tool:
        command = facts.command.replace("./gradlew", _gradle(facts), 1)
        out.add(recipe.step(command, caches, ours=_plain(facts.folder)))
    else:
        root, file = shlex.quote(facts.source_root or "."), shlex.quote(facts.source)
        out.add(
            recipe.step(
                f"mkdir -p /out/lib lib && find lib -name '*.jar' -exec cp {{}} /out/lib/ \\; \\\n"
                f"    && javac -encoding UTF-8 -d /out/classes -cp '/out/lib/*' -sourcepath {root} {file}",
                ours=_plain(facts.source),
            )
        )
    if facts.command:
        why.append(f"built by: {facts.command}")


def _collect(out: Lines, recipe: Recipe, facts: JvmFacts) -> None:
    """Puts what the build made into /out."""
    module = shlex.quote(posixpath.join("/src", facts.folder).rstrip("/"))
    jars, target = (f"{module}/{folder}" for folder in _OUTPUT.get(facts.tool, ("", "")))
    where, step = "/out", ""
    if facts.packing in ("boot", "jar"):
        out.add(write.comment("the jar with a Main-Class; the largest, where several have one"))
        step = _pick(f"{jars}/*.jar" + (f" {jars}/*.war" if facts.war else ""))
        if facts.packing == "jar" and facts.tool == "maven":
            step += f" \\\n    && if [ -d {target}/libs ]; then cp -R {target}/libs ./; fi"
        if facts.layers:
            step += f" \\\n    && {_extract(facts)}"
    elif facts.packing == "war":
        where, step = "/out/ROOT", f'for file in {jars}/*.war; do jar xf "$file"; done'
    elif facts.packing == "quarkus":
        folder = "target" if facts.tool == "maven" else "build"
        step = f"cp -R {module}/{folder}/quarkus-app app"
    elif facts.packing in ("dist", "stage"):
        made = f"{module}/build/install/*/." if facts.packing == "dist" else f"{target}/universal/stage/."
        step = f'cp -R {made} ./ && rm -f bin/*.bat && set -- bin/* && mv "$1" bin/app'
    elif facts.packing == "classpath" and facts.tool == "maven":
        step = f"cp -R {target}/classes classes"
    if step:
        out.add(f"WORKDIR {where}", recipe.step(step, ours=_plain(facts.folder)))


def _pick(files: str) -> str:
    return (
        f"for file in {files}; do \\\n"
        f'      case "$file" in {_OTHERS}) continue ;; esac; \\\n'
        '      rm -rf META-INF && jar xf "$file" META-INF/MANIFEST.MF; \\\n'
        "      if grep -qs '^Main-Class:' META-INF/MANIFEST.MF \\\n"
        '        && { [ ! -f app.jar ] || [ "$(stat -c %s "$file")" -gt "$(stat -c %s app.jar)" ]; }; then \\\n'
        '        cp "$file" app.jar; \\\n'
        "      fi; \\\n"
        "    done; rm -rf META-INF && test -f app.jar"
    )


def _extract(facts: JvmFacts) -> str:
    """https://docs.spring.io/spring-boot/reference/packaging/efficient.html"""
    folders = "mkdir -p " + " ".join(f"layers/{name}" for name in _LAYERS)
    mode = "tools -jar app.jar extract --layers" if facts.layers == "tools" else "layertools -jar app.jar extract"
    return f"java -Djarmode={mode} --destination layers \\\n    && {folders}"


def _copies(facts: JvmFacts) -> list[str]:
    if facts.packing == "boot" and facts.layers:
        return [f"COPY --from=build /out/layers/{name}/ ./" for name in _LAYERS]
    if facts.packing == "quarkus":
        return [
            "COPY --from=build /out/app/lib/ ./lib/",
            "COPY --from=build /out/app/*.jar ./",
            "COPY --from=build /out/app/app/ ./app/",
            "COPY --from=build /out/app/quarkus/ ./quarkus/",
        ]
    if facts.packing in ("dist", "stage"):
        return ["COPY --from=build /out ./"]
    if facts.packing in ("classpath", "sources"):
        classes = ["COPY --from=build /out/classes ./classes/"] if facts.tool != "sbt" else []
        return ["COPY --from=build /out/lib ./lib/", *classes]
    return ["COPY --from=build /out ./"]


def _run_stage(out: Lines, recipe: Recipe, facts: JvmFacts, why: list[str]) -> None:
    if facts.packing == "war":
        _server(out, recipe, facts, why)
    else:
        base = recipe.image(images.java(facts.version, "jre"))
        why.append(f"runs on {base}: a runtime without a compiler")
        out.part(f"FROM {base}", *labels(recipe))
        out.add(write.comment("an unprivileged user, whom newer images have already"), _USER, "WORKDIR /app")
        if facts.layers or facts.packing == "quarkus":
            out.add(write.comment("in layers: what changes seldom comes first"))
            why.append("the jar is taken apart, so that a change of the code is a small layer")
        out.add(*_copies(facts))
    for path in facts.assets:
        file = posixpath.splitext(path)[1] in (".yml", ".yaml")
        target = f"./{posixpath.dirname(path)}/" if file and "/" in path else "./" if file else f"./{path}/"
        out.add(write.copy([f"/src/{path}"], target, options=f"--chown={images.USER} --from=build"))
    if facts.assets:
        why.append(f"read at run time, so copied: {', '.join(facts.assets)}")
    out.add(*environment((*facts.environment, ("PORT", str(recipe.port)))))
    out.add("USER " + images.USER, f"EXPOSE {recipe.port}", *healthcheck(probe(recipe, facts)))
    start = recipe.detection.start_command or facts.start
    if facts.prepare:
        out.add(write.comment("made at each start: an image is no place for keys"))
        start = f"{facts.prepare} && {start}"
        why.append("a key that nobody sets is made when it starts, and ends with the container")
    out.add(write.command(start))
    why.append(f"started by: {recipe.detection.start_command}")


def _server(out: Lines, recipe: Recipe, facts: JvmFacts, why: list[str]) -> None:
    base = recipe.image(images.servlets(facts.server, facts.version))
    why.append(f"a war, so it runs in {base}")
    home = f"/usr/local/{facts.server.partition(':')[0]}"
    out.part(f"FROM {base}", *labels(recipe), f"WORKDIR {home}")
    out.add(write.comment("its port becomes a property, and no port is open for commands"))
    out.add(
        'RUN sed -i -e "s/port=\\"8080\\"/port=\\"\\${port.http}\\"/" -e "s/port=\\"8005\\"/port=\\"-1\\"/"'
        " conf/server.xml \\\n"
        "    && rm -rf webapps/* && mkdir -p conf/Catalina logs temp work \\\n"
        "    && chown -R 1000:1000 conf logs temp webapps work"
    )
    out.add(f"COPY --chown={images.USER} --from=build /out/ROOT webapps/ROOT/")


def probe(recipe: Recipe, _facts: JvmFacts) -> list[str]:
    """Words that end with 0 when the application answers with less than 500; the images have curl."""
    path = shlex.quote(recipe.detection.health_path) if recipe.detection.health_path.isprintable() else "/"
    asked = f"curl --silent --max-time 4 --output /dev/null --write-out '%{{http_code}}' http://127.0.0.1:$PORT{path}"
    return ["/bin/sh", "-c", f"{asked} | grep -q '^[1-4]'"]


_IGNORED = (
    *("target", "*/target", "*/*/target", "build", "*/build", "*/*/build", "**/.gradle", "**/node_modules"),
    *("project/target", "project/project", ".bsp", ".metals", ".bloop", "*.iml"),
)


def ignored(_facts: JvmFacts) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What stays out of the build."""
    return (("made by builds, and by editors", _IGNORED),)
