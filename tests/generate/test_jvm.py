"""Dockerfiles of Java, Kotlin and Scala, read instruction by instruction: most of these are not built by the tests."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest

from bot.detect import Repository, detect
from bot.detect import dockerfile as dockerfiles
from bot.detect.dockerfile import Dockerfile
from bot.detect.facts import JvmFacts
from bot.generate import generate
from tests.detect.jvm_files import ACTUATOR, APP, BOOT_MAIN, BOOT_PARENT, BOOT_PLUGIN, WEB, pom
from tests.detect.samples import ALL
from tests.detect.samples_basic import Sample


def made(sample: Sample) -> tuple[JvmFacts, Dockerfile, str]:
    found = detect(Repository.from_files(sample.files), sample.settings)
    generated = generate(found, cache_id="r7")
    assert generated, found.warnings
    assert isinstance(found.facts, JvmFacts)
    text = generated.files["Dockerfile"]
    return found.facts, dockerfiles.parse(text), text


def boot(version: str, *, more: str = "", plugin: str = "") -> Sample:
    text = pom(WEB, ACTUATOR, head=BOOT_PARENT.format(version=version), plugins=BOOT_PLUGIN, more=more)
    return Sample({"pom.xml": text.replace("<build><plugins>", f"<build><plugins>{plugin}"), APP: BOOT_MAIN})


@pytest.mark.parametrize(
    ("version", "extract", "start"),
    [
        ("3.4.1", "jarmode=tools -jar app.jar extract --layers", "-jar app.jar"),
        ("3.3.0", "jarmode=tools -jar app.jar extract --layers", "-jar app.jar"),
        ("3.2.5", "jarmode=layertools -jar app.jar extract", "org.springframework.boot.loader.launch.JarLauncher"),
        ("2.7.18", "jarmode=layertools -jar app.jar extract", "org.springframework.boot.loader.JarLauncher"),
        ("2.3.0.RELEASE", "", "-jar app.jar"),
    ],
)
def test_spring_boot_is_taken_apart_as_its_version_knows(version: str, extract: str, start: str) -> None:
    _, parsed, text = made(boot(version))
    assert ("Djarmode" in text) == bool(extract)
    assert extract in text
    command = parsed.final.last("CMD")  # type: ignore[union-attr]
    assert command
    assert json.loads(command.text) == [
        "/bin/sh",
        "-c",
        f"exec env SERVER_PORT=$PORT java -XX:MaxRAMPercentage=75.0 {start}",
    ]
    layers = [one.text for one in parsed.final.instructions if one.name == "COPY"]  # type: ignore[union-attr]
    assert len(layers) == (4 if extract else 1)


def test_layers_of_ones_own_are_left_alone() -> None:
    plugin = (
        "<plugin><groupId>org.springframework.boot</groupId><artifactId>spring-boot-maven-plugin</artifactId>"
        "<configuration><layers><enabled>false</enabled></layers></configuration></plugin>"
    )
    assert "jarmode" not in made(boot("3.4.1", plugin=plugin))[2]


def test_a_war_that_starts_by_itself() -> None:
    facts, _, text = made(boot("3.4.1", more="<packaging>war</packaging>"))
    assert facts.packing == "boot"
    assert "/src/target/*.war" in text
    assert "jarmode" not in text


STEPS = {
    "java: quarkus with names of Spring": (
        "maven:3-eclipse-temurin-21",
        "eclipse-temurin:21-jre",
        ["cp -R /src/target/quarkus-app app", "/out/app/lib/ ./lib/", "QUARKUS_HTTP_HOST=0.0.0.0"],
    ),
    "java: settings alone": ("gradle:8-jdk21", "eclipse-temurin:21-jre", ["cp -R /src/app/build/quarkus-app app"]),
    "java: a war of Spring": (
        "maven:3-eclipse-temurin-8",
        "tomcat:9-jre8",
        ['jar xf "$file"', "/out/ROOT webapps/ROOT/", "WORKDIR /usr/local/tomcat", "-Dport.http=$PORT"],
    ),
    "java: a war of servlets": ("maven:3-eclipse-temurin-21", "tomcat:11-jre21", ["/src/target/*.war"]),
    "java: a war of Jakarta EE": (
        "maven:3-eclipse-temurin-21",
        "tomee:10-jre17-plus",
        ["WORKDIR /usr/local/tomee", "chown -R 1000:1000 conf logs temp webapps work"],
    ),
    "java: the Kotlin notation is not Kotlin": (
        "eclipse-temurin:21-jdk",
        "eclipse-temurin:21-jre",
        ["sh ./gradlew --no-daemon bootJar", "gradle/wrapper/gradle-wrapper.jar", "/src/build/libs/*.jar"],
    ),
    "java: dependencies of all subprojects": (
        "gradle:8-jdk21",
        "eclipse-temurin:21-jre",
        ["gradle --no-daemon --quiet :server:app:dependencies", "cp -R /src/server/app/build/install/*/. ./"],
    ),
    "scala: play": (
        "eclipse-temurin:21-jdk",
        "eclipse-temurin:21-jre",
        ["sbt-launch-1.10.1.jar", "universal/stage/.", "export APPLICATION_SECRET=", "-Dpidfile.path=/dev/null"],
    ),
    "scala: zio-http": (
        "eclipse-temurin:21-jdk",
        "eclipse-temurin:21-jre",
        ['sbt "export Runtime/fullClasspathAsJars"', "COPY --from=build /out/lib ./lib/"],
    ),
    "scala: http4s, versions elsewhere": (
        "eclipse-temurin:21-jdk",
        "eclipse-temurin:21-jre",
        ["sbt assembly", "/src/target/scala-*/*.jar"],
    ),
    "java: coordinates by properties": (
        "maven:3-eclipse-temurin-11",
        "eclipse-temurin:11-jre",
        ["dependency:copy-dependencies -DincludeScope=runtime", "COPY --from=build /out/classes ./classes/"],
    ),
    "java: dropwizard": (
        "maven:3-eclipse-temurin-21",
        "eclipse-temurin:21-jre",
        ["COPY --chown=1000:1000 --from=build /src/config.yml ./", '"server", "config.yml"'],
    ),
    "java: sources in packages alone": (
        "eclipse-temurin:21-jdk",
        "eclipse-temurin:21-jre",
        ["javac -encoding UTF-8 -d /out/classes -cp '/out/lib/*' -sourcepath src src/shop/web/Server.java"],
    ),
}


@pytest.mark.parametrize("name", STEPS)
def test_what_is_built_is_what_is_run(name: str) -> None:
    base, final, wanted = STEPS[name]
    _, parsed, text = made(ALL[name])
    assert [stage.base for stage in parsed.stages] == [base, final]
    for part in wanted:
        assert part in text.replace('\\"', '"'), text


def test_dependencies_are_fetched_by_the_build_files_alone() -> None:
    facts, parsed, _ = made(ALL["java: spring boot by a parent in the repository"])
    assert facts.manifests == ("pom.xml", "core/pom.xml", "web/pom.xml")
    steps = [f"{one.name} {one.text}" for one in parsed.stages[0].instructions]
    fetched = next(index for index, step in enumerate(steps) if "dependency:go-offline" in step)
    assert "|| true" in steps[fetched]
    assert steps.index("COPY . .") == fetched + 1
    assert [step for step in steps[:fetched] if step.startswith("COPY")] == [
        "COPY pom.xml ./",
        "COPY core/pom.xml ./core/",
        "COPY web/pom.xml ./web/",
    ]


def test_a_folder_with_a_hostile_name_stays_a_value() -> None:
    folder = "a b; touch evil $(id)"
    files: dict[str, str | bytes] = {
        "settings.gradle": f"include '{folder}'\n",
        f"{folder}/build.gradle": "plugins { id 'application' }\n",
        f"{folder}/src/main/java/Main.java": "class Main { public static void main(String[] a) {} }\n",
    }
    _, parsed, _ = made(Sample(files))
    assert not parsed.problems
    told = [one.text for one in parsed.stages[0].instructions if one.name == "RUN" and "evil" in one.text]
    assert len(told) == 3
    for text in told:
        command = json.loads(text[text.index("[") :])[2]
        words = shlex.split(command)
        assert any(folder in word for word in words), command
        assert "touch" not in words, command


def test_the_jar_is_found(tmp_path: Path) -> None:
    """The step that looks for the jar, run by a shell on what builds leave behind."""
    step = next(
        one.text
        for one in made(boot("2.3.0.RELEASE"))[1].stages[0].instructions
        if one.name == "RUN" and "META-INF" in one.text
    )
    target = tmp_path / "src" / "target"
    target.mkdir(parents=True)
    (tmp_path / "out").mkdir()
    tools = tmp_path / "bin"
    tools.mkdir()
    # a jar is a folder here: `jar xf` copies its manifest
    (tools / "jar").write_text('#!/bin/sh\nmkdir -p META-INF && sed -n 1p "$2" >META-INF/MANIFEST.MF\n')
    (tools / "jar").chmod(0o755)
    for name, main, size in (
        ("shop-1.0.jar", "", 10),
        ("shop-1.0-exec.jar", "Main-Class: a", 500),
        ("shop-1.0-thin.jar", "Main-Class: a", 50),
        ("shop-1.0-sources.jar", "Main-Class: a", 9000),
        ("original-shop-1.0.jar", "Main-Class: a", 9000),
        ("shop-1.0-plain.jar", "Main-Class: a", 9000),
        ("big.jar", "Start: a", 9000),
    ):
        (target / name).write_text(f"{main}\n{name}\n" + "x" * size)
    done = subprocess.run(
        ["/bin/sh", "-c", step.replace("/src/", f"{tmp_path}/src/")],
        cwd=tmp_path / "out",
        env={"PATH": f"{tools}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "app.jar").read_text().split("\n")[1] == "shop-1.0-exec.jar"
    (tmp_path / "out" / "app.jar").unlink()
    for one in target.iterdir():
        one.write_text("none\n")
    empty = subprocess.run(
        ["/bin/sh", "-c", step.replace("/src/", f"{tmp_path}/src/")],
        cwd=tmp_path / "out",
        env={"PATH": f"{tools}:/usr/bin:/bin"},
        capture_output=True,
        check=False,
    )
    assert empty.returncode != 0
