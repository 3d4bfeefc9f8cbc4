import stat

import pytest
from cryptography.fernet import Fernet

from bot.errors import BerthError
from bot.store.crypto import Vault, key_id, load_keys

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


@pytest.mark.parametrize("text", ["", "hunter22", "pässwörd\n\0 with everything 😀", "x" * 100_000])
def test_round_trip(text):
    vault = Vault([NEW])
    stored = vault.encrypt(text)
    assert vault.decrypt(stored) == text
    assert stored.startswith(key_id(NEW) + ":")
    assert not text or text not in stored
    assert vault.encrypt(text) != stored, "the same value twice does not look the same"


def test_rotation():
    """The newest key encrypts, all decrypt; once nothing is left of the old one it can go."""
    before = Vault([OLD]).encrypt("value")
    vault = Vault([NEW, OLD])
    assert vault.decrypt(before) == "value"
    again = vault.encrypt(vault.decrypt(before))
    assert again.startswith(key_id(NEW) + ":")
    assert Vault([NEW]).decrypt(again) == "value"


def test_wrong_key_is_named():
    stored = Vault([OLD]).encrypt("value")
    with pytest.raises(BerthError, match=f"encrypted with key {key_id(OLD)}"):
        Vault([NEW]).decrypt(stored)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:-5],
        lambda text: text[:30] + ("B" if text[30] == "A" else "A") + text[31:],
        lambda text: text[:9],
    ],
)
def test_damaged_value(spoil):
    vault = Vault([NEW])
    with pytest.raises(BerthError, match="damaged"):
        vault.decrypt(spoil(vault.encrypt("a value")))


@pytest.mark.parametrize("stored", ["", "nonsense", ":", "plain text: with a colon"])
def test_what_was_never_encrypted(stored):
    with pytest.raises(BerthError):
        Vault([NEW]).decrypt(stored)


@pytest.mark.parametrize(
    "key", ["short", "not base64 at all!", "é" * 44, NEW[:-2]], ids=["short", "words", "not ascii", "cut"]
)
def test_malformed_key(key):
    with pytest.raises(BerthError, match="not a Fernet key"):
        Vault([key])


def test_no_key():
    with pytest.raises(BerthError, match="no encryption key"):
        Vault([])


def test_error_tells_no_key():
    with pytest.raises(BerthError) as caught:
        Vault([NEW[:-2]])
    assert NEW[:-2] not in repr(caught.value)


def test_key_file_is_made_once_and_private(tmp_path):
    path = tmp_path / "keys"
    keys = load_keys("", path)
    assert len(keys) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_keys("", path) == keys
    path.write_text(f"{NEW}\n\n  {keys[0]} \n")
    assert load_keys("", path) == [NEW, keys[0]]


def test_configured_keys_win(tmp_path):
    assert load_keys(f"{NEW}, {OLD},", tmp_path / "keys") == [NEW, OLD]
    assert not (tmp_path / "keys").exists()
