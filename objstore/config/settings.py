"""Settings: a TOML file, the environment and the command line, read once into frozen values.

The command line wins over the environment, the environment over the file, the file over the
default. `SETTINGS` is the only list of what can be set; docs/operating/layouts.md shows it as a
table. Nothing is guessed: an unknown name is refused with the nearest known one.

The secrets of root and of the cluster never come from the file or the command line, where others
can read them; they come from the environment, or from files that the environment names
(config/credentials.py). The secret keys of further identities may stand in the file
(config/identities.py).
"""

import difflib
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from objstore.config.credentials import PREFIX, SECRET_VARIABLES
from objstore.config.identities import IdentitySettings, identities_of_file
from objstore.config.pools import PoolSettings, pools_of_endpoints, pools_of_file, with_parity
from objstore.config.readers import (
    Reader,
    check_names,
    integer_reader,
    read_domains,
    read_file_name,
    read_fraction,
    read_parity,
    read_set_size,
    read_switch,
    read_witness,
    refusal,
    text_reader,
)
from objstore.errors import ConfigError
from objstore.limits import (
    LIFECYCLE_DAY_SECONDS,
    REQUESTS_IN_FLIGHT_MAX,
    SCRUB_BYTES_PER_S,
    SCRUB_BYTES_PER_S_MAX,
)

INTERNAL_PORT_OFFSET: Final = 2
WORKERS_MAX: Final = 256
_PORT_MAX: Final = 65_535


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything an operator may set, apart from the secrets of root and of the cluster.

    See `SETTINGS` for the meanings.
    """

    pools: tuple[PoolSettings, ...] = ()
    identities: tuple[IdentitySettings, ...] = ()
    host: str = ""  # listen on every interface
    port: int = 9000
    server: str = ""
    internal_port: int = 0  # 0: see `internal_port_of`
    workers: int = 1
    region: str = "us-east-1"
    domains: tuple[str, ...] = ()
    reduced_redundancy_parity: int = 1
    bracketing_fraction: float = 0.01
    direct_io: bool = True
    sigv2_links: bool = True
    ssec_over_http: bool = False
    metrics_public: bool = False
    requests_in_flight: int = REQUESTS_IN_FLIGHT_MAX
    lifecycle_day_seconds: int = LIFECYCLE_DAY_SECONDS
    scrub_bytes_per_second: int = SCRUB_BYTES_PER_S
    tls_certificate: str = ""  # "": the S3 port is served without TLS
    tls_key: str = ""
    internal_tls_certificate: str = ""  # "": the internal port is served without TLS
    internal_tls_key: str = ""
    internal_tls_ca: str = ""
    internal_tls_mutual: bool = True
    stale_reads: bool = False
    witness: tuple[str, ...] = ()  # client URLs of etcd; (): two servers need each other to write

    def internal_port_of(self, server: str = "") -> int:
        """Return the internal port of `server` ("host:port"); of this one when it is ""."""
        if self.internal_port:
            return self.internal_port
        return (int(server.rpartition(":")[2]) if server else self.port) + INTERNAL_PORT_OFFSET


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
        text_reader(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]*):[0-9]{1,5}", '"host:port" or ":port"'),
    ),
    Setting(
        "server",
        '""',
        "which server of the layout this is, as host:port; empty: the one whose host is this "
        "machine and whose port is address's",
        text_reader(
            r"((\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5})?", '"host:port" as in an endpoint'
        ),
    ),
    Setting(
        "internal_port",
        "0",
        "the port for other servers, never public; 0: each server's S3 port + 2",
        integer_reader(0, _PORT_MAX),
    ),
    Setting(
        "workers", "0", "worker processes; 0: one for each core", integer_reader(0, WORKERS_MAX)
    ),
    Setting(
        "region",
        '"us-east-1"',
        "the region that clients sign for",
        text_reader(
            r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?", "lower-case letters, digits and hyphens"
        ),
    ),
    Setting(
        "domains",
        "[]",
        "host names under which bucket.NAME addresses a bucket; in the environment separated by "
        "commas",
        read_domains,
    ),
    Setting(
        "parity",
        "by set size",
        'parity shards of every object, as "EC:1"; a pool in the file may have its own',
        read_parity,
    ),
    Setting(
        "set_size",
        "largest fitting",
        "slots in each set, 2 to 16; a pool in the file may have its own",
        read_set_size,
    ),
    Setting(
        "reduced_redundancy_parity",
        '"EC:1"',
        "parity shards of an object of the class REDUCED_REDUNDANCY, at most its set's",
        read_parity,
    ),
    Setting(
        "bracketing_fraction",
        "0.01",
        "share of uploads that are decoded again from a random choice of their shards before "
        "they are answered",
        read_fraction,
    ),
    Setting(
        "direct_io",
        "true",
        "write large shards past the page cache where the file system allows it",
        read_switch,
    ),
    Setting(
        "sigv2_links",
        "true",
        "accept presigned URLs and forms by Signature Version 2, which boto3 and the AWS CLI make"
        " by default",
        read_switch,
    ),
    Setting(
        "ssec_over_http",
        "false",
        "a switch for tests, and for a proxy on this machine that ends TLS: accept the keys of "
        "SSE-C over plain HTTP, where anybody on the way can read them",
        read_switch,
    ),
    Setting(
        "metrics_public",
        "false",
        "answer /metrics without a credential, to everybody",
        read_switch,
    ),
    Setting(
        "requests_in_flight",
        str(REQUESTS_IN_FLIGHT_MAX),
        "requests one worker serves at a time; more are answered 503 SlowDown",
        integer_reader(1, REQUESTS_IN_FLIGHT_MAX * 16),
    ),
    Setting(
        "lifecycle_day_seconds",
        str(LIFECYCLE_DAY_SECONDS),
        "a switch for tests: how long a day of a lifecycle rule is; the same on every server",
        integer_reader(1, LIFECYCLE_DAY_SECONDS),
    ),
    Setting(
        "scrub_bytes_per_second",
        str(SCRUB_BYTES_PER_S),
        "how fast each drive is read to find what has rotted (docs/operating/scrub.md); 0: only "
        "when `objstore admin scrub` asks for it",
        integer_reader(0, SCRUB_BYTES_PER_S_MAX),
    ),
    *(
        Setting(name, '""', f"{meaning} (PEM); docs/operating/tls.md", read_file_name)
        for name, meaning in (
            ("tls_certificate", "S3 is served by TLS with this file: certificate, then its chain"),
            ("tls_key", "the private key of tls_certificate"),
            ("internal_tls_certificate", "servers talk by TLS, each with this file, as above"),
            ("internal_tls_key", "the private key of internal_tls_certificate"),
            ("internal_tls_ca", "who may sign the certificates of other servers"),
        )
    ),
    Setting(
        "internal_tls_mutual",
        "true",
        "a server that connects to the internal port needs a certificate too; false: the cluster "
        "secret alone proves it",
        read_switch,
    ),
    Setting(
        "stale_reads",
        "false",
        "reads that too few drives answer to be certain are answered from those that are left, "
        "maybe with something older (docs/operating/failures.md)",
        read_switch,
    ),
    Setting(
        "witness",
        "[]",
        "etcd's client URLs, the same on both of two servers: either may write alone while the "
        "other is away (docs/operating/witness.md); in the environment separated by commas",
        read_witness,
    ),
)
_BY_NAME: Final = {setting.name: setting for setting in SETTINGS}
_FILE_ONLY: Final = ("pools", "identities")
_OTHER_VARIABLES: Final = (
    "CONFIG",
    "ENDPOINTS",
    "BUCKETS",
    *SECRET_VARIABLES,
    *(f"{name}_FILE" for name in SECRET_VARIABLES),
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
        name: _BY_NAME[name].read(name, document[name]) for name in document.keys() - {*_FILE_ONLY}
    }
    values |= explicit
    if "identities" in document:
        assert config is not None
        values["identities"] = identities_of_file(document["identities"], config)
    pools = pools_of_file(document.get("pools", []))
    named = tuple(endpoints) or tuple(environment.get(PREFIX + "ENDPOINTS", "").split())
    if named and pools:
        raise ConfigError(
            found=f"drives in {config} and also {' '.join(named)}",
            expected="the drives in one place",
            remedy="leave out the endpoints, or the pools of the file",
        )
    pools = pools or pools_of_endpoints(named)
    return _assemble(values, with_parity(pools, values, explicit), cores)


def _assemble(
    values: dict[str, object], pools: tuple[PoolSettings, ...], cores: int | None
) -> Settings:
    host, _, port = str(values.pop("address", ":9000")).rpartition(":")
    fields: dict[str, Any] = {n: v for n, v in values.items() if n not in {"parity", "set_size"}}
    fields["workers"] = values.get("workers") or cores or len(os.sched_getaffinity(0))
    settings = replace(Settings(pools=pools, host=host, port=int(port)), **fields)
    _check_ports(settings)
    _check_tls(settings)
    _check_witness(settings)
    return settings


def _check_ports(settings: Settings) -> None:
    if not 0 < settings.port <= _PORT_MAX:
        raise refusal("address", f":{settings.port}", f"a port from 1 to {_PORT_MAX}")
    internal = settings.internal_port_of()
    if internal == settings.port or internal > _PORT_MAX:
        raise ConfigError(
            found=f"internal port {internal} for S3 port {settings.port}",
            expected=f"an internal port up to {_PORT_MAX} that is not the S3 port",
            remedy="set internal_port to a free port",
        )


def _check_tls(settings: Settings) -> None:
    """Refuse half of a pair: nobody means that. What is in the files is server/plan.py's to say."""
    for names in (
        ("tls_certificate", "tls_key"),
        ("internal_tls_certificate", "internal_tls_key", "internal_tls_ca"),
    ):
        given = [name for name in names if getattr(settings, name)]
        if given and len(given) < len(names):
            missing = [name for name in names if name not in given]
            raise ConfigError(
                found=f"{' and '.join(given)} without {' and '.join(missing)}",
                expected=f"all of {', '.join(names)}, or none of them",
                remedy=f"set {' and '.join(missing)}, or leave out {' and '.join(given)}",
            )


def _check_witness(settings: Settings) -> None:
    """Refuse TLS without its files. That there are two servers is the layout's to say."""
    if any(one.startswith("https:") for one in settings.witness) and not settings.internal_tls_ca:
        raise ConfigError(
            found=f"witness = {settings.witness[0]} ... without internal_tls_ca",
            expected="the certificates of the port between servers: by them etcd's members are "
            "believed, and this server shows its own",
            remedy="set internal_tls_certificate, internal_tls_key and internal_tls_ca, or write "
            "http:// and keep etcd's port to a private network",
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
                expected="no secrets in a configuration file, except those of [[identities]]",
                remedy=f"set {PREFIX}ROOT_USER, {PREFIX}ROOT_PASSWORD and {PREFIX}CLUSTER_SECRET "
                "in the environment, or the same names with _FILE",
            )
    check_names(f"{path}", document, (*_BY_NAME, *_FILE_ONLY))
    return document


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
