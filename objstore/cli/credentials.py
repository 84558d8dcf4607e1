"""A quickstart's secrets: drawn on its first start, kept in a file that only its owner reads."""

import base64
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from objstore.clock import Entropy
from objstore.config import Secrets, load_secrets
from objstore.errors import ConfigError

FILE_NAME: Final = "credentials"
_MODE: Final = 0o600
_USER_BYTES: Final = 10
_PASSWORD_BYTES: Final = 25
_CLUSTER_SECRET_BYTES: Final = 35  # 32 have to be; base32 needs no padding for 35
_LINE: Final = re.compile(r"(OBJSTORE_[A-Z_]+)=(.+)")
_NAMES: Final = ("OBJSTORE_ROOT_USER", "OBJSTORE_ROOT_PASSWORD", "OBJSTORE_CLUSTER_SECRET")


@dataclass(frozen=True, slots=True)
class Credentials:
    """Secrets, and whether the file has them (and not only the environment)."""

    secrets: Secrets
    from_environment: bool


def load_credentials(
    directory: Path, *, environment: Mapping[str, str], entropy: Entropy
) -> Credentials:
    """Return the secrets of the quickstart in `directory`; draw and keep those it lacks.

    The root credential is the environment's where it is given there, and then it is not written
    down.

    Raises:
        ConfigError: a secret is too short, well known, or only half of the credential is given;
            or the file is damaged.
    """
    path = directory / FILE_NAME
    given = {name: environment[name] for name in _NAMES if environment.get(name)}
    if ("OBJSTORE_ROOT_USER" in given) != ("OBJSTORE_ROOT_PASSWORD" in given):
        raise ConfigError(
            found="only one of OBJSTORE_ROOT_USER and OBJSTORE_ROOT_PASSWORD in the environment",
            expected="both, or neither",
            remedy=f"set both, or unset both to use those of {path}",
        )
    kept = _read(path)
    drawn = {name: _draw(name, entropy) for name in _NAMES if name not in {*given, *kept}}
    if drawn:
        _write(path, kept | drawn)
    secrets = load_secrets(kept | drawn | given)
    return Credentials(secrets, "OBJSTORE_ROOT_USER" in given)


def _draw(name: str, entropy: Entropy) -> str:
    count = dict(zip(_NAMES, (_USER_BYTES, _PASSWORD_BYTES, _CLUSTER_SECRET_BYTES), strict=True))
    return base64.b32encode(entropy.draw(count[name])).decode()


def _read(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(path, str(error)) from error
    found = {}
    for line in filter(None, map(str.strip, lines)):
        match = _LINE.fullmatch(line)
        if match is None or match[1] not in _NAMES:
            raise _damaged(path, "a line that is none of " + ", ".join(f"{n}=..." for n in _NAMES))
        found[match[1]] = match[2]
    return found


def _write(path: Path, values: Mapping[str, str]) -> None:
    """Write the file beside its place and rename it, so that a crash leaves the old one whole."""
    beside = path.with_suffix(".new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write("".join(f"{name}={values[name]}\n" for name in _NAMES if name in values))
        file.flush()
        os.fsync(file.fileno())
    beside.rename(path)


def _damaged(path: Path, problem: str) -> ConfigError:
    return ConfigError(
        found=f"{path}: {problem}",
        expected="the secrets that quickstart wrote there",
        remedy="correct the file, or remove it: new ones are drawn (clients then need the new key)",
    )
