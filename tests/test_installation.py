import stat
from pathlib import Path

import pytest

from bot import installation
from bot.errors import BerthError
from bot.store.crypto import load_keys


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_operator_token_is_made_once_and_read_by_its_owner_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token = installation.operator_token(tmp_path)
    assert len(token) > 30
    assert installation.operator_token(tmp_path) == token
    assert mode(tmp_path / "operator-token") == 0o600
    assert token not in capsys.readouterr().out, "standard output that is no terminal is somebody's log"


@pytest.mark.parametrize("content", ["", "\n"])
def test_a_file_that_a_kill_or_a_full_disk_left_empty_is_no_token_and_no_key(tmp_path: Path, content: str) -> None:
    for name in ("operator-token", "secret.key"):
        (tmp_path / name).write_text(content)
    assert installation.operator_token(tmp_path)
    assert load_keys("", tmp_path / "secret.key")


def test_what_is_in_the_data_folder_is_not_for_others(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    (folder / "logs").mkdir(mode=0o755)
    installation.make_folders(folder)
    installation.make_database(folder / "berth.db")
    assert {mode(folder / name) for name in ("logs", "git", "edge", "tmp", "hooks")} == {0o700}
    assert mode(folder / "berth.db") == 0o600


def test_a_data_folder_has_one_server(tmp_path: Path) -> None:
    release = installation.lock(tmp_path)
    with pytest.raises(BerthError, match="Another berth serve"):
        installation.lock(tmp_path)
    release()
    installation.lock(tmp_path)()
