import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.deploy import settings, variables
from bot.deploy.variables import Snapshot, Variable
from bot.errors import BerthError, NotFoundError
from bot.store import tables
from tests.deploy.conftest import World


@pytest.mark.parametrize(
    ("given_values", "checked"),
    [
        ({"port": 3000, "memory": "512m"}, {"port": 3000, "memory": 512 * 1024 * 1024}),
        ({"memory": "1.5g"}, {"memory": 1536 * 1024 * 1024}),
        ({"root": "./services//web/"}, {"root": "services/web"}),
        (
            {"start_command": "python app.py", "mode": "pull_request"},
            {"start_command": "python app.py", "mode": "pull_request"},
        ),
        ({"port": None}, {}),
        ({"previews": "3", "log_excerpts": "true"}, {"previews": 3, "log_excerpts": True}),
    ],
)
def test_settings_are_checked_and_normalised(given_values: dict[str, object], checked: dict[str, object]) -> None:
    assert settings.check_settings(given_values) == checked


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"prot": 1}, "there is no setting 'prot'"),
        ({"port": 0}, "setting port must be at least 1"),
        ({"port": "x"}, "setting port must be a whole number"),
        ({"framework": "cobol"}, "setting framework must be one of "),
        ({"root": "../etc"}, "folder inside the repository"),
        ({"root": "/etc"}, "folder inside the repository"),
        ({"start_command": "a\nb"}, "one line"),
        ({"health_path": "healthz"}, "must start with /"),
        ({"health_path": "/a b"}, "must start with /"),
        ({"memory": "1m"}, "at least 6m"),
        ({"memory": "lots"}, "setting memory must be a size, for example 512m"),
        ({"previews": -1}, "setting previews must be at least 0"),
        ({"log_excerpts": "perhaps"}, "setting log_excerpts must be true or false"),
        ({"mode": "sometimes"}, "setting mode must be 'all', 'pull_request' or 'off'"),
    ],
)
def test_bad_settings_are_named(values: dict[str, object], words: str) -> None:
    with pytest.raises(BerthError, match=words):
        settings.check_settings(values)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("port: 1\nport: [3\n]x", "line 3 is not valid YAML"),
        ("- a", "must hold keys and values"),
        ("a: &x 1\nb: *x", "aliases"),
        ("port: 3000\nfoo: 1", ".berth.yml: there is no setting 'foo'"),
        ("log_excerpts: true", "log_excerpts is not read from the repository"),
        ("x" * 70_000, "more than 64000 bytes"),
        ("a: [" * 15_000, "nested too deeply"),
        ("[" * 30_000, "nested too deeply"),
    ],
)
def test_a_bad_repository_file_is_explained(text: str, words: str) -> None:
    with pytest.raises(BerthError, match=words):
        settings.read_repository_file(text)


def test_a_repository_file() -> None:
    assert settings.read_repository_file("port: 3000\nhealth_path: /up\n") == {"port": 3000, "health_path": "/up"}
    assert settings.read_repository_file("# nothing\n") == {}
    assert settings.read_repository_file("start_command: sh -c 'a && b'") == {"start_command": "sh -c 'a && b'"}


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    with contextlib.suppress(BerthError):
        assert isinstance(settings.read_repository_file(text), dict)


def test_variables_are_layered_and_forks_see_none() -> None:
    layers = [
        Variable("A", "environment", "environment", 7),
        Variable("A", "application"),
        Variable("A", "previews", "previews"),
        Variable("B", "previews", "previews"),
        Variable("C", "other", "environment", 8),
    ]

    def seen(kind: str, environment_id: int) -> dict[str, str]:
        return {v.name: v.value for v in variables.resolve_variables(layers, kind, environment_id)}

    assert seen("production", 1) == {"A": "application"}
    assert seen("branch", 1) == {"A": "previews", "B": "previews"}
    assert seen("branch", 7) == {"A": "environment", "B": "previews"}
    assert seen("fork_pr", 7) == {}


def test_a_snapshot_survives_the_round_trip() -> None:
    snapshot = Snapshot({"port": 1}, (Variable("A", "s3cret", secret=True), Variable("B", "plain")))
    assert Snapshot.from_json(snapshot.to_json()) == snapshot
    assert snapshot.secrets() == ["s3cret"]


@pytest.mark.anyio
async def test_set_and_effective(world: World) -> None:
    await settings.set_settings(world.store, world.application_id, {"port": 3000, "health_path": "/up"})
    found = {
        entry.key: (entry.value, entry.source)
        for entry in await settings.effective_settings(
            world.store, world.application_id, {"port": 4000, "framework": "flask"}, {"start_command": "x", "port": 1}
        )
    }
    assert found["port"] == (3000, "set in Berth")
    assert found["framework"] == ("flask", ".berth.yml")
    assert found["start_command"] == ("x", "detected")
    assert found["strategy"] == ("blue_green", "default")
    assert found["cpus"] == (None, "default")
    await settings.set_settings(world.store, world.application_id, {"port": None})
    assert "port" not in await settings.stored_settings(world.store, world.application_id)


@pytest.mark.anyio
async def test_one_bad_setting_changes_nothing(world: World) -> None:
    with pytest.raises(BerthError):
        await settings.set_settings(world.store, world.application_id, {"port": 3000, "memory": "x"})
    assert await settings.stored_settings(world.store, world.application_id) == {}
    with pytest.raises(NotFoundError):
        await settings.set_settings(world.store, 999, {"port": 3000})


@pytest.mark.anyio
async def test_variables_are_encrypted_and_versioned(world: World) -> None:
    async def put(value: str) -> None:
        await variables.set_variables(
            world.store, world.vault, world.application_id, [Variable("KEY", value, secret=True)]
        )

    await put("one-secret")
    await put("two-secret")
    rows = await world.store.all(tables.variables.select())
    assert [row["version"] for row in rows] == [2]
    assert "secret" not in json.dumps(rows[0]["value_enc"])
    listed = await variables.list_variables(world.store, world.vault, world.application_id)
    assert [(v.name, v.value, v.secret, v.build) for v in listed] == [("KEY", "two-secret", True, False)]
    await variables.unset_variable(world.store, world.application_id, "KEY")
    with pytest.raises(NotFoundError):
        await variables.unset_variable(world.store, world.application_id, "KEY")


@pytest.mark.anyio
@pytest.mark.parametrize(
    "variable",
    [
        Variable("1A", "x"),
        Variable("A B", "x"),
        Variable("PORT", "1"),
        Variable("BERTH_SHA", "1"),
        Variable("A", "x\0y"),
        Variable("A", "x", "environment"),
    ],
)
async def test_bad_variables_are_refused_and_nothing_is_set(world: World, variable: Variable) -> None:
    with pytest.raises(BerthError):
        await variables.set_variables(world.store, world.vault, world.application_id, [Variable("GOOD", "x"), variable])
    assert await variables.list_variables(world.store, world.vault, world.application_id) == []
