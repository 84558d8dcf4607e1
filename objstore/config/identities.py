"""`[[identities]]` sections: who may sign besides root, with the secret keys or files of them.

Each value is checked here; what two identities may not share, and that none is root again, is
iam/directory.py's to say, which knows root. docs/operating/identities.md is the operator's page.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_IROTH
from typing import Final

from objstore.config.credentials import check_access_key, check_secret, read_secret_file
from objstore.config.readers import check_names, refusal, text_reader
from objstore.errors import ConfigError
from objstore.limits import IDENTITIES_MAX

SECRET_KEY_CHARACTERS_MIN: Final = 8
_KEYS: Final = (
    "access_key",
    "secret_key",
    "secret_key_file",
    "display_name",
    "canonical_id",
    "email",
)
_READERS: Final = {
    "display_name": text_reader(r"[^\x00-\x1f\x7f-\x9f]{1,128}", "1 to 128 printable characters"),
    "canonical_id": text_reader(
        r"[A-Za-z0-9._-]{1,128}", "1 to 128 letters, digits and . _ -; best 64 hexadecimal digits"
    ),
    "email": text_reader(r"[^\s@<>\x00-\x1f]{1,64}@[A-Za-z0-9.-]{1,190}", "an address with one @"),
}


@dataclass(frozen=True, slots=True)
class IdentitySettings:
    """One section. Without a secret key it only describes root, and is refused otherwise."""

    access_key: str
    secret_key: str = field(default="", repr=False)
    display_name: str = ""
    canonical_id: str = ""  # "": derived from the access key
    email: str = ""
    secret_in: str = ""  # the file in which the secret key stands


def identities_of_file(tables: object, file: Path) -> tuple[IdentitySettings, ...]:
    """Read the sections of a configuration file.

    Raises:
        ConfigError: a name is unknown, or a value is malformed, missing or there twice. No
            message contains a secret key.
    """
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ConfigError(
            found="identities that are no sections",  # what stands there may be a secret
            expected="one [[identities]] section for each identity",
            remedy="correct identities",
        )
    if len(tables) > IDENTITIES_MAX:
        raise refusal("identities", len(tables), f"at most {IDENTITIES_MAX} sections")
    return tuple(
        _identity(f"identity {number}", table, file) for number, table in enumerate(tables, start=1)
    )


def _identity(where: str, table: dict[str, object], file: Path) -> IdentitySettings:
    check_names(where, table, _KEYS)
    if "access_key" not in table:
        raise ConfigError(
            found=f"{where} without an access_key",
            expected="an access_key in every [[identities]] section",
            remedy=f"add one to {where}",
        )
    access_key = check_access_key(f"{where} access_key", _text(where, table, "access_key"))
    secret, secret_in = _secret_key(where, table, file)
    told = {
        name: read(f"{where} {name}", table[name])
        for name, read in _READERS.items()
        if name in table
    }
    return IdentitySettings(access_key, secret, secret_in=secret_in, **told)


def _secret_key(where: str, table: Mapping[str, object], file: Path) -> tuple[str, str]:
    """Return the secret key and the file it came from; "" and "" when there is none."""
    if "secret_key" in table and "secret_key_file" in table:
        raise ConfigError(
            found=f"{where} with secret_key and secret_key_file",
            expected="the secret key in one place",
            remedy="keep one of the two",
        )
    if "secret_key" in table:
        value, secret_in = _text(where, table, "secret_key"), file
    elif "secret_key_file" in table:
        secret_in = file.parent / _text(where, table, "secret_key_file")
        value = read_secret_file(f"{where} secret_key_file", secret_in)
    else:
        return "", ""
    name = f"{where} secret_key"
    return check_secret(name, value, SECRET_KEY_CHARACTERS_MIN), str(secret_in)


def _text(where: str, table: Mapping[str, object], name: str) -> str:
    value = table[name]
    if not isinstance(value, str):
        raise ConfigError(  # without the value: it may be a secret
            found=f"{where} {name} that is no text",
            expected="a text between quotation marks",
            remedy=f"correct {name} of {where}",
        )
    return value


def files_open_to_others(identities: Iterable[IdentitySettings]) -> tuple[str, ...]:
    """Return the files that hold secret keys and that every user of this machine may read."""
    files = dict.fromkeys(one.secret_in for one in identities if one.secret_in)
    return tuple(file for file in files if _open_to_others(Path(file)))


def _open_to_others(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & S_IROTH)
    except OSError:
        return False  # it was read a moment ago; whoever took it away knows of it
