"""The parsers behind Java, Kotlin and Scala: XML, scripts of Gradle and sbt, configuration files."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.detect import Repository, detect
from bot.detect.scan import Scan
from bot.detect.stacks import jvm_config, jvm_gradle, jvm_maven
from bot.detect.stacks.jvm_build import fits
from bot.detect.stacks.jvm_script import statements, tokens
from bot.detect.versions import resolve_java
from bot.detect.xml import parse_xml
from tests.detect.jvm_files import APP, BOOT_HEAD, BOOT_MAIN, BOOT_PLUGIN, BOOT_POM, WEB, modules, pom
from tests.detect.samples import ALL

BUILDS = sorted(name for name in ALL if name.startswith(("java:", "kotlin:", "scala:")))


def scan(files: dict[str, str | bytes]) -> Scan:
    return Scan(Repository.from_files(files))


def test_xml_keeps_lines_and_forgets_namespaces() -> None:
    root, problem = parse_xml(
        '\n<?xml version="1.0"?>\n<a xmlns="urn:x">\n  <!-- <b>0</b> -->\n  <b><![CDATA[ 1 ]]></b></a>'
    )
    assert problem is None
    assert root
    assert root.name == "a"
    found = root.first("b")
    assert found
    assert (found.text, found.line) == ("1", 5)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<a>",
        '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        '<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
        "<a>" * 100 + "</a>" * 100,
        "<a>" + "<b/>" * 50_000 + "</a>",
    ],
)
def test_xml_that_is_not_read(text: str) -> None:
    root, problem = parse_xml(text)
    assert root is None
    assert problem


def test_scripts_in_both_languages() -> None:
    script = (
        '// implementation \'no:no:1\'\n/* dependencies { } */\nval x = """a { b"""\n'
        "dependencies {\n  implementation(\n    'a:b:1', // 'no'\n    \"c:d:$v\"\n  )\n"
        "  api 'e:f:1', {\n    exclude x\n  }\n}\n"
        'tasks.named<Jar>("jar") { enabled = false }\n'
    )
    found = [(one.blocks, one.head, [token.text for token in one.strings]) for one in statements(tokens(script))]
    assert found == [
        ((), "val", ["a { b"]),
        ((), "dependencies", []),
        (("dependencies",), "implementation", ["a:b:1", "c:d:$v"]),
        (("dependencies",), "api", ["e:f:1"]),
        (("dependencies", 'api "e:f:1",'), "exclude", []),
        ((), "tasks.named", ["jar"]),
        (('tasks.named < Jar >("jar")',), "enabled", []),
    ]


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("ab1 \n\t{}()[]\"'/*\\$.,=:;`<>%+-é"), max_size=200))
def test_any_script_is_read(text: str) -> None:
    for one in statements(tokens(text)):
        assert one.tokens
        assert one.text


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("ab.A_ \n\t{}$?:=#!\\-[]\"'@%1"), max_size=200))
def test_any_configuration_is_read(text: str) -> None:
    for name in ("application.properties", "application.yml", "application.conf"):
        look = scan({f"src/main/resources/{name}": text})
        found = jvm_config.read(look, [""])
        jvm_config.find_port(look, found, *found.entries)
        jvm_config.find_required(look, found)
        jvm_config.find_services(look, found)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(BUILDS), st.data())
def test_damaged_builds_have_an_answer(name: str, data: st.DataObject) -> None:
    files = dict(ALL[name].files)
    path = data.draw(st.sampled_from(sorted(files)))
    content = files[path]
    raw = content.encode() if isinstance(content, str) else content
    place = data.draw(st.integers(0, len(raw)))
    files[path] = raw[:place] + data.draw(st.binary(max_size=6)) + raw[place + data.draw(st.integers(0, 12)) :]
    found = detect(Repository.from_files(files), ALL[name].settings)
    assert not any("gave up" in text or "was not looked at" in text for text in found.warnings), found.warnings


def test_configuration_of_each_kind() -> None:
    look = scan(
        {
            "src/main/resources/application.properties": "# a\nserver.port = ${PORT:1}\nlong=a\\\n  b\n"
            "%dev.x=1\n%prod.y=2\n",
            "src/main/resources/application-test.yml": "server: {port: 2}\n",
            "src/main/resources/application.conf": 'ktor { deployment { port = 3, port = ${?PORT} } }\n"a.b": ${KEY}\n',
            "config/application.yml": "spring:\n  datasource:\n    url: jdbc:mysql://db/x\n"
            "    password: ${DB_PASSWORD}\n",
        }
    )
    found = jvm_config.read(look, [""])
    assert found.text("server.port") == "1"
    assert found.text("long") == "ab"
    assert found.text("y") == "2"
    assert not found.text("x")
    assert found.text("spring.datasource.url") == "jdbc:mysql://db/x"
    port = jvm_config.find_port(look, found, "ktor.deployment.port")
    assert port
    assert (port[0], port[2]) == (3, True)
    assert [(key, seen.path, seen.line) for key, seen in jvm_config.find_required(look, found)] == [
        ("KEY", "src/main/resources/application.conf", 2),
        ("DB_PASSWORD", "config/application.yml", 4),
    ]
    assert [(name, seen.line) for name, seen in jvm_config.find_services(look, found)] == [("mysql", 3)]


def test_coordinates() -> None:
    assert fits("org.a", "org.a:x")
    assert not fits("org.a", "org.a.b:x")
    assert not fits("org.a", "org.ab:x")
    assert fits("org.a.*", "org.a.b:x")
    assert fits("org.a.*", "org.a:x")
    assert not fits("org.a.*", "org.ab:x")
    assert fits("org.a:x-*", "org.a:x-core")
    assert not fits("org.a:x", "org.a:x-core")


def test_modules_know_what_they_depend_on() -> None:
    files: dict[str, str | bytes] = {
        "settings.gradle": "include 'core', 'app'\n",
        "core/build.gradle": "dependencies { api 'io.javalin:javalin:6.3.0' }\n",
        "app/build.gradle": "dependencies { implementation project(path: ':core') }\n",
    }
    build = jvm_gradle.read(scan(files))
    assert build
    app = next(one for one in build.modules if one.folder == "app")
    assert [one.folder for one in build.closure(app)] == ["app", "core"]
    assert build.manifests == ["settings.gradle", "core/build.gradle", "app/build.gradle"]


def test_evidence_names_the_line() -> None:
    build = jvm_maven.read(scan({"pom.xml": BOOT_POM}))
    assert build
    line = BOOT_POM.split("\n").index("      <artifactId>spring-boot-starter-web</artifactId>") + 1
    assert next(one.line for one in build.modules[0].dependencies if one.name == WEB) == line


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        *(("1.8", "8"), ("8", "8"), ("11.0.2", "11"), ("17.0.9-tem", "17"), ("18", "21"), ("temurin-21.0.1", "21")),
        *(("25", "25"), ("99", "25"), ("garbage", "21"), ("", "21"), ("1.5", "8")),
    ],
)
def test_versions_of_java(text: str, tag: str) -> None:
    assert resolve_java(text).tag == tag


def test_versions_of_java_that_can_be_had() -> None:
    images = {"eclipse-temurin:17-jre", "eclipse-temurin:17-jdk", "python:3.11-slim"}
    assert resolve_java("11", images).tag == "17"
    assert resolve_java("", images).tag == "17"
    resolved = resolve_java("21", images)
    assert resolved.tag == "17"
    assert resolved.warning
    assert resolve_java("", newest=17).tag == "17"


def test_several_applications_are_a_question() -> None:
    files: dict[str, str | bytes] = {
        "pom.xml": pom(artifact="parent", head=BOOT_HEAD, more="<packaging>pom</packaging>" + modules("a", "b", "c")),
        "c/pom.xml": pom(artifact="c"),
        "c/src/main/java/shop/Tool.java": "package shop;\nclass Tool { public static void main(String[] a) {} }\n",
    }
    for name in "ab":
        files[f"{name}/pom.xml"] = pom(WEB, artifact=name, plugins=BOOT_PLUGIN)
        files[f"{name}/{APP}"] = BOOT_MAIN
    found = detect(Repository.from_files(files))
    assert [(one.root, one.framework) for one in found.applications] == [("a", "spring-boot"), ("b", "spring-boot")]
    assert any("a is built, not b" in text and "Set start_command" in text for text in found.warnings)


@pytest.mark.slow
def test_hostile_builds_are_quick() -> None:
    for text in ("{" * 200_000, "a {\n" * 50_000, "'\"" * 100_000, "a." * 200_000, "x(" * 100_000, "${" * 100_000):
        files: dict[str, str | bytes] = {
            "build.gradle": text,
            "settings.gradle": text,
            "pom.xml": text,
            "gradle/libs.versions.toml": "",
            "src/main/java/Main.java": "import x;\n" + text,
            "src/main/resources/application.properties": "a=" + text,
            "src/main/resources/application.yml": text,
            "src/main/resources/application.conf": text,
        }
        for left_out in ((), ("pom.xml",)):
            start = time.process_time()
            found = detect(Repository.from_files({path: one for path, one in files.items() if path not in left_out}))
            assert time.process_time() - start < 3
            assert found.stack == "java"
            assert len(json.dumps(found.to_json())) < 100_000
