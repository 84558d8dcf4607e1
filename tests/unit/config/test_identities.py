"""`[[identities]]` sections: what they may say, and that no refusal shows a secret."""

from pathlib import Path

import pytest

from objstore.config import IdentitySettings, load_settings
from objstore.config.identities import files_open_to_others
from objstore.errors import ConfigError
from objstore.limits import IDENTITIES_MAX

SECRET = "hWn3-secret-of-alice"
ALICE = f"[[identities]]\naccess_key = 'alice'\nsecret_key = '{SECRET}'\n"


def load(text: str, tmp_path: Path) -> tuple[IdentitySettings, ...]:
    path = tmp_path / "objstore.toml"
    path.write_text(text, encoding="utf-8")
    return load_settings(config=path, environment={}, cores=1).identities


def test_without_sections_there_are_none(tmp_path: Path) -> None:
    assert load("", tmp_path) == ()


def test_everything_that_a_section_may_say(tmp_path: Path) -> None:
    text = (
        ALICE + f'display_name = "Alice Ä."\ncanonical_id = "{"a1" * 32}"\nemail = "a@b.example"\n'
    )
    text += "[[identities]]\naccess_key = 'root'\n".replace("root", "operator")
    one, other = load(text, tmp_path)
    assert one == IdentitySettings(
        access_key="alice",
        secret_key=SECRET,
        display_name="Alice Ä.",
        canonical_id="a1" * 32,
        email="a@b.example",
        secret_in=str(tmp_path / "objstore.toml"),
    )
    assert other == IdentitySettings("operator")
    assert SECRET not in repr(one)


def test_a_secret_key_in_a_file_of_its_own(tmp_path: Path) -> None:
    """Its path is relative to the configuration file, wherever the server was started."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "alice").write_text(SECRET + "\n")
    (one,) = load(
        "[[identities]]\naccess_key = 'alice'\nsecret_key_file = 'keys/alice'\n", tmp_path
    )
    assert (one.secret_key, one.secret_in) == (SECRET, str(tmp_path / "keys" / "alice"))


def test_the_files_that_everybody_may_read(tmp_path: Path) -> None:
    found = load(ALICE, tmp_path)
    path = tmp_path / "objstore.toml"
    path.chmod(0o640)
    assert files_open_to_others(found) == ()
    path.chmod(0o644)
    assert files_open_to_others([*found, *found, IdentitySettings("root")]) == (str(path),)
    path.unlink()
    assert files_open_to_others(found) == ()


@pytest.mark.parametrize(
    ("text", "found", "remedy"),
    [
        ("identities = 3", "identities that are no sections", "correct"),
        ("identities = ['x']", "identities that are no sections", "correct"),
        ("[identities]\naccess_key = 'alice'", "identities that are no sections", "correct"),
        ("[[identities]]", "identity 1 without an access_key", "identity 1"),
        (ALICE + "[[identities]]", "identity 2 without an access_key", "identity 2"),
        (ALICE + "acess_key = 'x'", "acess_key in identity 1", "write access_key"),
        (ALICE + "secret = 'x'", "secret in identity 1", "write secret_key"),
        (ALICE + "mail = 'a@b.c'", "mail in identity 1", "write email"),
        ("[[identity]]", "identity in", "write identities"),
        (ALICE + "secret_key_file = 'x'", "identity 1 with secret_key and", "keep one"),
        ("[[identities]]\naccess_key = 5", "identity 1 access_key that is no text", "correct"),
        ("[[identities]]\naccess_key = 'ab'", "identity 1 access_key with 2", "draw one"),
        ("[[identities]]\naccess_key = 'a/b/c'", "identity 1 access_key with a char", "draw one"),
        ("[[identities]]\naccess_key = 'minioadmin'", "access_key with a well-known", "draw one"),
        (ALICE.replace(SECRET, "1234567"), "identity 1 secret_key with 7", "draw one"),
        (ALICE.replace(SECRET, "Password123"), "secret_key with a well-known", "draw one"),
        (ALICE.replace(f"'{SECRET}'", "12345678"), "secret_key that is no text", "correct"),
        (
            "[[identities]]\naccess_key = 'alice'\nsecret_key_file = '/nowhere/at/all'",
            "identity 1 secret_key_file = '/nowhere/at/all'",
            "correct the path",
        ),
        (ALICE + "canonical_id = ''", "identity 1 canonical_id = ''", "correct"),
        (ALICE + "canonical_id = 'a b'", "identity 1 canonical_id = 'a b'", "correct"),
        (ALICE + f"canonical_id = '{'a' * 129}'", "identity 1 canonical_id", "correct"),
        (ALICE + 'canonical_id = "a\\n"', "identity 1 canonical_id", "correct"),
        (ALICE + "display_name = ''", "identity 1 display_name = ''", "correct"),
        (ALICE + 'display_name = "a\\u0000b"', "identity 1 display_name", "correct"),
        (ALICE + "display_name = 5", "identity 1 display_name = 5", "correct"),
        (ALICE + "email = 'alice'", "identity 1 email = 'alice'", "correct"),
        (ALICE + "email = 'a b@c.d'", "identity 1 email", "correct"),
        (ALICE * (IDENTITIES_MAX + 1), "identities = 1001", "correct"),
    ],
)
def test_refused(text: str, found: str, remedy: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load(text, tmp_path)
    assert found in refused.value.found
    assert remedy in refused.value.remedy
    assert refused.value.expected
    assert SECRET not in str(refused.value)
