"""Secrets: from the environment, or from files that the environment names."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from objstore.errors import ConfigError

PREFIX: Final = "OBJSTORE_"
ROOT_USER_CHARACTERS_MIN: Final = 3
ROOT_PASSWORD_CHARACTERS_MIN: Final = 8
CLUSTER_SECRET_CHARACTERS_MIN: Final = 43
CLUSTER_SECRET_BYTES_MIN: Final = 32
METRICS_TOKEN_CHARACTERS_MIN: Final = 20
SECRET_VARIABLES: Final = ("ROOT_USER", "ROOT_PASSWORD", "CLUSTER_SECRET", "METRICS_TOKEN")
# RFC 6750, section 2.1: what may stand behind "Bearer".
_BEARER_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")

# How many random bits a character carries at most, by the narrowest alphabet that has them all.
_BITS_OF_CHARACTER: Final = (
    (r"[0-9]+", 3.32),
    (r"[0-9A-F]+|[0-9a-f]+", 4.0),
    (r"[A-Z2-7]+=*|[a-z2-7]+=*", 5.0),
    (r".+", 6.0),
)

# What people leave in place, or copy from documents.
_WELL_KNOWN: Final = frozenset(
    {"12345678", "123456789", "1234567890", "admin", "admin123", "administrator"}
    | {"akiaiosfodnn7example", "wjalrxutnfemi/k7mdeng/bpxrficyexamplekey"}  # AWS's documents
    | {"changeme", "changeme123", "default", "letmein", "minio", "minio123", "minioadmin"}
    | {"minioadmin123", "objstore", "objstore123", "objstoreadmin", "passw0rd", "password"}
    | {"password1", "password123", "qwertyui", "root", "rootpass", "rootroot", "rustfsadmin"}
    | {"secret", "secretkey", "secretsecret", "test", "testtest"}
)


@dataclass(frozen=True, slots=True)
class Secrets:
    """The root credential of S3, what servers prove themselves to each other with, and scrapes."""

    root_user: str
    root_password: str = field(repr=False)
    cluster_secret: str = field(repr=False)
    metrics_token: str = field(default="", repr=False)  # "": no token opens the metrics


def load_secrets(environment: Mapping[str, str]) -> Secrets:
    """Read the secrets, each from its variable or from the file that `..._FILE` names.

    Raises:
        ConfigError: one is missing, given twice, too short, or a well-known default. The
            message never contains it.
    """
    user = _secret(environment, "ROOT_USER", ROOT_USER_CHARACTERS_MIN)
    check_access_key(f"{PREFIX}ROOT_USER", user)
    password = _secret(environment, "ROOT_PASSWORD", ROOT_PASSWORD_CHARACTERS_MIN)
    cluster = _secret(environment, "CLUSTER_SECRET", CLUSTER_SECRET_CHARACTERS_MIN)
    _check_random(f"{PREFIX}CLUSTER_SECRET", cluster)
    if len({user, password, cluster}) < 3:
        raise refused_secret(
            f"{PREFIX}ROOT_PASSWORD", "the same value as another secret", "three different values"
        )
    token = _metrics_token(environment)
    if token in (user, password, cluster):
        raise refused_secret(
            f"{PREFIX}METRICS_TOKEN", "the same value as another secret", "a value of its own"
        )
    return Secrets(user, password, cluster, token)


def _metrics_token(environment: Mapping[str, str]) -> str:
    name = "METRICS_TOKEN"
    if not any(environment.get(f"{PREFIX}{name}{suffix}") for suffix in ("", "_FILE")):
        return ""
    token = _secret(environment, name, METRICS_TOKEN_CHARACTERS_MIN)
    if not _BEARER_TOKEN.fullmatch(token):
        raise refused_secret(
            PREFIX + name,
            "characters that cannot follow 'Bearer' in a header",
            "letters, digits and - . _ ~ + /, as RFC 6750 has it",
        )
    return token


def _secret(environment: Mapping[str, str], name: str, characters_min: int) -> str:
    variable, file_variable = PREFIX + name, f"{PREFIX}{name}_FILE"
    direct, named = environment.get(variable), environment.get(file_variable)
    if bool(direct) == bool(named):
        raise ConfigError(
            found=f"both {variable} and {file_variable}" if direct else f"no {variable}",
            expected=f"{variable} in the environment, or {file_variable} naming a file with it",
            remedy=f"set one of the two, with at least {characters_min} characters",
        )
    value = direct or read_secret_file(file_variable, Path(named or ""))
    return check_secret(variable, value, characters_min)


def check_secret(name: str, value: str, characters_min: int) -> str:
    """Return `value` when it can serve as a secret; `name` is what the refusal calls it.

    Raises:
        ConfigError: it is too short, unprintable or well known. The message never contains it.
    """
    if len(value) < characters_min:
        raise refused_secret(
            name, f"{len(value)} characters", f"at least {characters_min} characters"
        )
    if not value.isprintable() or value != value.strip():
        raise refused_secret(name, "spaces at an end, or control characters", "printable text")
    if value.lower() in _WELL_KNOWN or len(set(value)) < characters_min // 4:
        raise refused_secret(
            name, "a well-known value that anybody would try first", "a value of your own"
        )
    return value


def _check_random(name: str, value: str) -> None:
    """Refuse what can not be 32 random bytes, however it is written.

    Nobody types this secret, so nothing is lost by asking for a whole key. That it was drawn and
    not thought up can not be told from it; that it is too short for 32 bytes can.
    """
    bits = next(b for grammar, b in _BITS_OF_CHARACTER if re.fullmatch(grammar, value))
    if len(value.rstrip("=")) * bits < CLUSTER_SECRET_BYTES_MIN * 8:
        raise refused_secret(
            name,
            f"{len(value)} characters, which carry at most {len(value) * bits / 8:.0f} bytes",
            f"{CLUSTER_SECRET_BYTES_MIN} random bytes: 64 hexadecimal digits, or 43 characters of "
            "base64",
        )


def check_access_key(name: str, value: str) -> str:
    """Return `value` when it can serve as an access key.

    Raises:
        ConfigError: it cannot; the message never contains it.
    """
    value = check_secret(name, value, ROOT_USER_CHARACTERS_MIN)
    if not re.fullmatch(r"[A-Za-z0-9._~+@-]{3,128}", value):
        raise refused_secret(
            name,
            "a character that S3 signatures cannot carry, or more than 128 characters",
            "3 to 128 letters, digits and . _ ~ + @ -",
        )
    return value


def read_secret_file(name: str, path: Path) -> str:
    """Return the secret that a file holds; `name` is the setting that names the file.

    Raises:
        ConfigError: it cannot be read as text.
    """
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            found=f"{name} = {str(path)!r}, which cannot be read as text",
            expected="a file that holds the secret and nothing else",
            remedy="correct the path or the file's permissions",
        ) from error


def refused_secret(name: str, found: str, expected: str) -> ConfigError:
    """Return the refusal of a secret, without it."""
    return ConfigError(
        found=f"{name} with {found}",
        expected=expected,
        remedy='draw one, for example with: python3 -c "import secrets; '
        'print(secrets.token_urlsafe(32))"',
    )
