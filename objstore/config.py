"""Settings: a TOML file, the environment and the command line, read once into frozen values.

The command line wins over the environment, the environment over the file, the file over the
default. `SETTINGS` is the only list of what can be set; docs/operating/layouts.md shows it as a
table. Nothing is guessed: an unknown name is refused with the nearest known one.

Secrets never come from the file or the command line, where others can read them; they come
from the environment, or from files that the environment names (`load_secrets`).
"""

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from objstore.errors import ConfigError
from objstore.limits import REQUESTS_IN_FLIGHT_MAX, SLOTS_PER_SET_MAX, SLOTS_PER_SET_MIN

PREFIX: Final = "OBJSTORE_"
INTERNAL_PORT_OFFSET: Final = 2
WORKERS_MAX: Final = 256
ROOT_USER_CHARACTERS_MIN: Final = 3
ROOT_PASSWORD_CHARACTERS_MIN: Final = 8
CLUSTER_SECRET_CHARACTERS_MIN: Final = 32
_PORT_MAX: Final = 65_535

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
class LiteralDrive:
    """One drive of a pool whose author says which drive holds which shards."""

    endpoint: str
    shards: tuple[str, ...]  # letters: data A, B, C ..., parity P, Q, R ...; may be empty


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """One pool: either `endpoints`, or `literal` drives with their shards."""

    endpoints: tuple[str, ...] = ()
    parity: int | None = None  # None: what topology/layout.py takes for the set size
    set_size: int | None = None  # None: the largest that treats the servers alike
    literal: tuple[LiteralDrive, ...] = ()

    def __post_init__(self) -> None:
        assert bool(self.endpoints) != bool(self.literal)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything an operator may set, secrets apart. See `SETTINGS` for the meanings."""

    pools: tuple[PoolSettings, ...] = ()
    host: str = ""  # listen on every interface
    port: int = 9000
    server: str = ""
    internal_port: int = 0  # 0: see `internal_port_of`
    workers: int = 1
    region: str = "us-east-1"
    domains: tuple[str, ...] = ()
    bracketing_fraction: float = 0.01
    direct_io: bool = True
    sigv2_links: bool = True
    metrics_public: bool = False
    requests_in_flight: int = REQUESTS_IN_FLIGHT_MAX

    def internal_port_of(self, server: str = "") -> int:
        """Return the internal port of `server` ("host:port"); of this one when it is ""."""
        if self.internal_port:
            return self.internal_port
        return (int(server.rpartition(":")[2]) if server else self.port) + INTERNAL_PORT_OFFSET


@dataclass(frozen=True, slots=True)
class Secrets:
    """The root credential of S3, and what servers prove themselves to each other with."""

    root_user: str
    root_password: str = field(repr=False)
    cluster_secret: str = field(repr=False)


# --- readers: from TOML's types or from text to a checked value -------------------------

Reader = Callable[[str, object], object]


def _refuse(name: str, value: object, expected: str, remedy: str = "") -> ConfigError:
    return ConfigError(
        found=f"{name} = {value!r}", expected=expected, remedy=remedy or f"correct {name}"
    )


def _integer(low: int, high: int) -> Callable[[str, object], int]:
    def read(name: str, value: object) -> int:
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise _refuse(name, value, f"a whole number from {low} to {high}")
        return value

    return read


def _fraction(name: str, value: object) -> float:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,9})?", value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise _refuse(name, value, "a number from 0 to 1")
    return float(value)


def _switch(name: str, value: object) -> bool:
    if isinstance(value, str):
        value = {"on": True, "true": True, "off": False, "false": False}.get(value, value)
    if not isinstance(value, bool):
        raise _refuse(name, value, "true or false (in the environment also on or off)")
    return value


def _text(grammar: str, expected: str) -> Reader:
    def read(name: str, value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(grammar, value):
            raise _refuse(name, value, expected)
        return value

    return read


def _domains(name: str, value: object) -> tuple[str, ...]:
    names = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    label = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
    if not isinstance(names, list | tuple) or not all(
        isinstance(one, str) and re.fullmatch(rf"{label}(?:\.{label})*", one) for one in names
    ):
        raise _refuse(name, value, 'a list of lower-case host names, such as ["s3.example.com"]')
    for one in names:
        for other in names:
            if one is not other and (one == other or one.endswith("." + other)):
                raise _refuse(
                    name,
                    value,
                    f"domains of which none ends in another ({one} could mean a bucket of {other})",
                )
    return tuple(names)


def _parity(name: str, value: object) -> int:
    if isinstance(value, str) and (match := re.fullmatch(r"(?:EC:)?([0-9]{1,2})", value)):
        value = int(match[1])
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value:
        raise _refuse(name, value, 'parity shards per object, as "EC:1" or 1')
    return value


_set_size = _integer(SLOTS_PER_SET_MIN, SLOTS_PER_SET_MAX)


@dataclass(frozen=True, slots=True)
class Setting:
    """One row: what it is called, its default as written in TOML, and what it means."""

    name: str
    default: str
    meaning: str
    read: Reader

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return PREFIX + self.name.upper()


SETTINGS: Final = (
    Setting(
        "address",
        '":9000"',
        'where S3 is served: "host:port" or ":port" for every interface',
        _text(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]*):[0-9]{1,5}", '"host:port" or ":port"'),
    ),
    Setting(
        "server",
        '""',
        "which server of the layout this is, as host:port; empty: the one whose host is this "
        "machine and whose port is address's",
        _text(
            r"((\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5})?", '"host:port" as in an endpoint'
        ),
    ),
    Setting(
        "internal_port",
        "0",
        "the port for other servers, never public; 0: each server's S3 port + 2",
        _integer(0, _PORT_MAX),
    ),
    Setting("workers", "0", "worker processes; 0: one for each core", _integer(0, WORKERS_MAX)),
    Setting(
        "region",
        '"us-east-1"',
        "the region that clients sign for",
        _text(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?", "lower-case letters, digits and hyphens"),
    ),
    Setting(
        "domains",
        "[]",
        "host names under which bucket.NAME addresses a bucket; in the environment separated by "
        "commas",
        _domains,
    ),
    Setting(
        "parity",
        "by set size",
        'parity shards of every object, as "EC:1"; a pool in the file may have its own',
        _parity,
    ),
    Setting(
        "set_size",
        "largest fitting",
        "slots in each set, 2 to 16; a pool in the file may have its own",
        _set_size,
    ),
    Setting(
        "bracketing_fraction",
        "0.01",
        "share of uploads that are decoded again from a random choice of their shards before "
        "they are answered",
        _fraction,
    ),
    Setting(
        "direct_io",
        "true",
        "write large shards past the page cache where the file system allows it",
        _switch,
    ),
    Setting(
        "sigv2_links",
        "true",
        "accept presigned URLs and forms by Signature Version 2, which boto3 and the AWS CLI make by"
        " default",
        _switch,
    ),
    Setting(
        "metrics_public",
        "false",
        "answer /metrics without a credential",
        _switch,
    ),
    Setting(
        "requests_in_flight",
        str(REQUESTS_IN_FLIGHT_MAX),
        "requests one worker serves at a time; more are answered 503 SlowDown",
        _integer(1, REQUESTS_IN_FLIGHT_MAX * 16),
    ),
)
_BY_NAME: Final = {setting.name: setting for setting in SETTINGS}
_FILE_ONLY: Final = ("pools",)
_POOL_KEYS: Final = ("endpoints", "parity", "set_size", "drives")
_DRIVE_KEYS: Final = ("endpoint", "shards")
_SECRET_VARIABLES: Final = ("ROOT_USER", "ROOT_PASSWORD", "CLUSTER_SECRET")
_OTHER_VARIABLES: Final = (
    "CONFIG",
    "ENDPOINTS",
    "BUCKETS",
    *_SECRET_VARIABLES,
    *(f"{name}_FILE" for name in _SECRET_VARIABLES),
)


def settings_table() -> str:
    """Return the settings as the Markdown table that docs/operating/layouts.md shows."""
    rows = ["| name in the file | environment | default | meaning |", "|---|---|---|---|"]
    rows += [f"| `{s.name}` | `{s.variable}` | {s.default} | {s.meaning} |" for s in SETTINGS]
    return "\n".join(rows) + "\n"


# --- loading --------------------------------------------------------------------------


def load_settings(
    *,
    endpoints: Sequence[str] = (),
    config: Path | None = None,
    environment: Mapping[str, str],
    options: Mapping[str, object] | None = None,
    cores: int | None = None,
) -> Settings:
    """Read the settings for one server.

    Args:
        endpoints: drives from the command line. Each one with a range is a pool of its own;
            those without make one pool together. A relative path is of the working directory.
        config: the TOML file.
        environment: `os.environ`, or what a test puts in its place.
        options: the command line's options by the names in `SETTINGS`; None is "not given".
        cores: what `workers = 0` stands for; by default the cores this process may use.

    Raises:
        ConfigError: anything unknown, malformed or contradicting.
    """
    _check_variables(environment)
    named_file = environment.get(PREFIX + "CONFIG")
    config = config or (Path(named_file) if named_file else None)
    document = _read_file(config) if config is not None else {}
    explicit = _environment_values(environment) | _option_values(options or {})
    values = {
        name: _BY_NAME[name].read(name, document[name]) for name in document.keys() - {"pools"}
    }
    values |= explicit
    pools = _pools_of_file(document.get("pools", []))
    named = tuple(endpoints) or tuple(environment.get(PREFIX + "ENDPOINTS", "").split())
    if named and pools:
        raise ConfigError(
            found=f"drives in {config} and also {' '.join(named)}",
            expected="the drives in one place",
            remedy="leave out the endpoints, or the pools of the file",
        )
    pools = pools or _pools_of_endpoints(named)
    return _assemble(values, _with_parity(pools, values, explicit), cores)


def _assemble(
    values: dict[str, object], pools: tuple[PoolSettings, ...], cores: int | None
) -> Settings:
    host, _, port = str(values.pop("address", ":9000")).rpartition(":")
    fields: dict[str, Any] = {n: v for n, v in values.items() if n not in {"parity", "set_size"}}
    fields["workers"] = values.get("workers") or cores or len(os.sched_getaffinity(0))
    settings = replace(Settings(pools=pools, host=host, port=int(port)), **fields)
    _check_ports(settings)
    return settings


def _check_ports(settings: Settings) -> None:
    if not 0 < settings.port <= _PORT_MAX:
        raise _refuse("address", f":{settings.port}", f"a port from 1 to {_PORT_MAX}")
    internal = settings.internal_port_of()
    if internal == settings.port or internal > _PORT_MAX:
        raise ConfigError(
            found=f"internal port {internal} for S3 port {settings.port}",
            expected=f"an internal port up to {_PORT_MAX} that is not the S3 port",
            remedy="set internal_port to a free port",
        )


def _read_file(path: Path) -> dict[str, object]:
    try:
        document: dict[str, object] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            found=f"{path}: {error.strerror}",
            expected="a configuration file that can be read",
            remedy="correct the path or its permissions",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            found=f"{path}: {error}",
            expected="a file in TOML",
            remedy="correct it at the place named; config/ has examples",
        ) from error
    for name in document:
        if re.search(r"password|secret|credential|access_?key|root_user", name):
            raise ConfigError(
                found=f"{name} in {path}",
                expected="no secrets in a configuration file",
                remedy=f"set {PREFIX}ROOT_USER, {PREFIX}ROOT_PASSWORD and {PREFIX}CLUSTER_SECRET "
                "in the environment, or the same names with _FILE",
            )
    _check_names(f"{path}", document, (*_BY_NAME, *_FILE_ONLY))
    return document


def _check_names(where: str, table: Mapping[str, object], known: Sequence[str]) -> None:
    for name in table:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
            raise ConfigError(
                found=f"{name} in {where}",
                expected=f"one of {', '.join(sorted(known))}",
                remedy=f"write {near[0]}" if near else f"remove {name}",
            )


def _check_variables(environment: Mapping[str, str]) -> None:
    """Refuse a variable that looks like a misspelt setting; leave others to their owners."""
    known = [setting.name.upper() for setting in SETTINGS] + list(_OTHER_VARIABLES)
    for variable in environment:
        name = variable.removeprefix(PREFIX)
        if name == variable or name in known:
            continue
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
        if near:
            raise ConfigError(
                found=f"{variable} in the environment",
                expected=f"the name of a setting, such as {PREFIX}{near[0]}",
                remedy=f"write {PREFIX}{near[0]}, or unset {variable}",
            )


def _environment_values(environment: Mapping[str, str]) -> dict[str, object]:
    return {
        s.name: s.read(s.variable, environment[s.variable])
        for s in SETTINGS
        if s.variable in environment
    }


def _option_values(options: Mapping[str, object]) -> dict[str, object]:
    assert options.keys() <= _BY_NAME.keys(), options.keys() - _BY_NAME.keys()
    return {
        name: _BY_NAME[name].read("--" + name.replace("_", "-"), value)
        for name, value in options.items()
        if value is not None
    }


# --- pools ----------------------------------------------------------------------------


def _absolute(endpoint: str) -> str:
    """Make a relative local path absolute. What looks like a host stays, to be refused."""
    if not endpoint or re.match(r"[^/]*:", endpoint):
        return endpoint
    return os.path.abspath(endpoint)  # noqa: PTH100  Path.absolute would keep ".."


def _pools_of_endpoints(endpoints: Sequence[str]) -> tuple[PoolSettings, ...]:
    absolute = [_absolute(one) for one in endpoints]
    ranged = [one for one in absolute if "{" in one]
    if ranged and len(ranged) < len(absolute):
        single = next(one for one in absolute if "{" not in one)
        raise ConfigError(
            found=f"{single!r} without a range beside {ranged[0]!r} with one",
            expected="a range in every argument (each is a pool), or in none (one pool)",
            remedy="write each pool with its range, or list every drive; "
            "or use a configuration file",
        )
    if ranged:
        return tuple(PoolSettings(endpoints=(one,)) for one in ranged)
    return (PoolSettings(endpoints=tuple(absolute)),) if absolute else ()


def _pools_of_file(tables: object) -> tuple[PoolSettings, ...]:
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise _refuse("pools", tables, "one [[pools]] section for each pool")
    return tuple(_pool(f"pool {index}", table) for index, table in enumerate(tables, start=1))


def _pool(where: str, table: dict[str, object]) -> PoolSettings:
    _check_names(where, table, _POOL_KEYS)
    parity = _parity(f"{where} parity", table["parity"]) if "parity" in table else None
    size = _set_size(f"{where} set_size", table["set_size"]) if "set_size" in table else None
    endpoints = _names(f"{where} endpoints", table.get("endpoints", []))
    literal = _literal(where, table.get("drives", []))
    if bool(endpoints) == bool(literal) or (literal and size is not None):
        raise ConfigError(
            found=f"{where} with {', '.join(table) or 'nothing in it'}",
            expected="either endpoints, or drives with their shards (and then no set_size)",
            remedy="keep one of the two",
        )
    return PoolSettings(
        endpoints=endpoints,
        parity=parity,
        set_size=size,
        literal=literal,
    )


def _literal(where: str, tables: object) -> tuple[LiteralDrive, ...]:
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise _refuse(
            f"{where} drives", tables, 'a list such as [{ endpoint = "/d1", shards = ["A"] }, ...]'
        )
    drives = []
    for number, table in enumerate(tables, start=1):
        place = f"{where} drive {number}"
        _check_names(place, table, _DRIVE_KEYS)
        endpoint = table.get("endpoint")
        if not isinstance(endpoint, str) or "shards" not in table:
            raise _refuse(
                place, table, 'endpoint = "..." and shards = ["A", ...] ([] holds nothing)'
            )
        drives.append(LiteralDrive(endpoint, _names(f"{place} shards", table["shards"])))
    return tuple(drives)


def _names(where: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise _refuse(where, value, "a list of texts")
    return tuple(value)


def _with_parity(
    pools: tuple[PoolSettings, ...], values: Mapping[str, object], explicit: Mapping[str, object]
) -> tuple[PoolSettings, ...]:
    """Give each pool its parity and set size: explicit ones win, then its own, then the file's."""

    def chosen(name: str, own: int | None) -> int | None:
        value = explicit.get(name, own if own is not None else values.get(name))
        assert value is None or isinstance(value, int)
        return value

    return tuple(
        pool
        if pool.literal and not explicit.keys() & {"parity"}
        else PoolSettings(
            endpoints=pool.endpoints,
            parity=chosen("parity", pool.parity),
            set_size=None if pool.literal else chosen("set_size", pool.set_size),
            literal=pool.literal,
        )
        for pool in pools
    )


# --- secrets --------------------------------------------------------------------------


def load_secrets(environment: Mapping[str, str]) -> Secrets:
    """Read the secrets, each from its variable or from the file that `..._FILE` names.

    Raises:
        ConfigError: one is missing, given twice, too short, or a well-known default. The
            message never contains it.
    """
    user = _secret(environment, "ROOT_USER", ROOT_USER_CHARACTERS_MIN)
    password = _secret(environment, "ROOT_PASSWORD", ROOT_PASSWORD_CHARACTERS_MIN)
    cluster = _secret(environment, "CLUSTER_SECRET", CLUSTER_SECRET_CHARACTERS_MIN)
    if not re.fullmatch(r"[A-Za-z0-9._~+@-]{3,128}", user):
        raise _refused_secret(
            "ROOT_USER",
            "a character that S3 signatures cannot carry, or more than 128 characters",
            "3 to 128 letters, digits and . _ ~ + @ -",
        )
    if len({user, password, cluster}) < 3:
        raise _refused_secret(
            "ROOT_PASSWORD", "the same value as another secret", "three different values"
        )
    return Secrets(root_user=user, root_password=password, cluster_secret=cluster)


def _secret(environment: Mapping[str, str], name: str, characters_min: int) -> str:
    variable, file_variable = PREFIX + name, f"{PREFIX}{name}_FILE"
    direct, named = environment.get(variable), environment.get(file_variable)
    if bool(direct) == bool(named):
        raise ConfigError(
            found=f"both {variable} and {file_variable}" if direct else f"no {variable}",
            expected=f"{variable} in the environment, or {file_variable} naming a file with it",
            remedy=f"set one of the two, with at least {characters_min} characters",
        )
    value = direct or _read_secret(file_variable, Path(named or ""))
    if len(value) < characters_min:
        raise _refused_secret(
            name, f"{len(value)} characters", f"at least {characters_min} characters"
        )
    if not value.isprintable() or value != value.strip():
        raise _refused_secret(name, "spaces at an end, or control characters", "printable text")
    if value.lower() in _WELL_KNOWN or len(set(value)) < characters_min // 4:
        raise _refused_secret(
            name, "a well-known value that anybody would try first", "a value of your own"
        )
    return value


def _read_secret(variable: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            found=f"{variable} = {str(path)!r}, which cannot be read as text",
            expected="a file that holds the secret and nothing else",
            remedy="correct the path or the file's permissions",
        ) from error


def _refused_secret(name: str, found: str, expected: str) -> ConfigError:
    return ConfigError(
        found=f"{PREFIX}{name} with {found}",
        expected=expected,
        remedy='draw one, for example with: python3 -c "import secrets; '
        'print(secrets.token_urlsafe(32))"',
    )
