"""`objstore quickstart DIR`: a whole cluster on this machine, with one command."""

import os
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from objstore.cli import quickstart_dir
from objstore.cli.credentials import FILE_NAME, Credentials, load_credentials
from objstore.cli.local_cluster import ClusterFailed, LocalCluster
from objstore.cli.local_layout import LocalLayout, layout_of_file, uniform_layout
from objstore.cli.refusal import refusals_exit
from objstore.cli.s3_client import S3Client, S3Failed
from objstore.cli.trust import CA_VARIABLE
from objstore.clock import SystemClock, SystemEntropy
from objstore.config import SETTINGS, Secrets
from objstore.quorum.thresholds import degraded_scheme, read_quorum_any, write_quorum
from objstore.server.order import EXIT_REFUSED
from objstore.topology.survival import Quorums, summarise, xor_notes

SERVERS: Final = 2
DRIVES: Final = 2
REGION: Final = "us-east-1"
_TLS_VARIABLES: Final = frozenset(
    {CA_VARIABLE, *(one.variable for one in SETTINGS if "tls_" in one.name)}
)
_EXIT_FAILED: Final = 1
_LOOK_S: Final = 0.5
_QUORUMS: Final = Quorums(
    write=lambda scheme, missing: write_quorum(degraded_scheme(scheme, missing)),
    read=lambda scheme: read_quorum_any(scheme.slots),
    degraded=degraded_scheme,
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asked for."""

    directory: Path
    port: int
    parity: int
    workers: int
    layout: Path | None
    buckets: tuple[str, ...]


def quickstart(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where the drives lie; made when it is missing.")
    ],
    port: Annotated[
        int, typer.Option(help="S3 of server 1; the next servers are 10 higher each.")
    ] = 9000,
    parity: Annotated[
        int, typer.Option(min=0, help="Parity shards of every object, on four drives.")
    ] = 1,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Worker processes of each server.")
    ] = None,
    layout: Annotated[
        Path | None,
        typer.Option(help="A layout file (see config/), instead of two servers with two drives."),
    ] = None,
) -> None:
    """Run two servers with two drives each on this machine, ready for any S3 client.

    OBJSTORE_BUCKETS=a,b creates buckets; OBJSTORE_ROOT_USER and OBJSTORE_ROOT_PASSWORD set the
    key, which is otherwise drawn and kept in DIR/credentials. Ctrl-C stops all; started again on
    the same DIR it continues. The OBJSTORE_TLS_... settings of the environment make it serve by
    TLS, and OBJSTORE_CA_FILE names who signed the certificates.
    """
    named = os.environ.get("OBJSTORE_BUCKETS", "")
    buckets = tuple(filter(None, (one.strip() for one in named.split(","))))
    with refusals_exit():
        wish = Wish(
            directory=directory.absolute(),
            port=port,
            parity=parity,
            workers=workers or 0,
            layout=layout,
            buckets=buckets,
        )
        raise typer.Exit(run(wish))


def run(wish: Wish) -> int:
    """Start the cluster, say how to use it, and wait; return the exit code.

    Raises:
        ConfigError: the directory, a port, a secret or the layout is not what it has to be.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    cluster, credentials = _prepare(wish)
    _say(f"Starting {len(cluster.servers)} server(s), {_count_drives(cluster.local)} drives ...")
    cluster.start()
    try:
        cluster.wait_ready(give_up=stop.is_set)
        if not stop.is_set():
            _create_buckets(cluster, wish.buckets)
            _say(describe(cluster, credentials))
            return _watch(cluster, stop)
    except (ClusterFailed, S3Failed) as error:
        sys.stderr.write(f"objstore: {error}\n")
        refused = any(cluster.exit_code(server) == EXIT_REFUSED for server in cluster.servers)
        return EXIT_REFUSED if refused else _EXIT_FAILED
    finally:
        _say("Stopping ...")
        cluster.stop()
        _say("Stopped. Start it again with the same command; everything is kept.")
    return 0


def _prepare(wish: Wish) -> tuple[LocalCluster, Credentials]:
    """Check everything that can be checked before anything is started."""
    tls = {name: value for name, value in os.environ.items() if name in _TLS_VARIABLES}
    secure = bool(tls.get("OBJSTORE_TLS_CERTIFICATE"))
    if wish.layout is None:
        local = uniform_layout(
            wish.directory,
            servers=SERVERS,
            drives=DRIVES,
            parity=wish.parity,
            base_port=wish.port,
            secure=secure,
        )
    else:
        local = layout_of_file(wish.directory, wish.layout, base_port=wish.port, secure=secure)
    workers = wish.workers or max(1, len(os.sched_getaffinity(0)) // local.servers)
    endpoints = tuple(local.endpoint(server) for server in range(1, local.servers + 1))
    local.check_ports()
    quickstart_dir.claim(wish.directory, local, endpoints)
    credentials = load_credentials(wish.directory, environment=os.environ, entropy=SystemEntropy())
    cluster = LocalCluster(
        wish.directory,
        local,
        credentials.secrets,
        workers=workers,
        environment=tls,
    )
    return cluster, credentials


def _create_buckets(cluster: LocalCluster, buckets: Sequence[str]) -> None:
    client = S3Client(
        cluster.endpoint(),
        cluster.credentials,
        region=REGION,
        clock=SystemClock(),
        ca_file=cluster.ca_file,
    )
    for bucket in buckets:
        client.create_bucket(bucket)


def _watch(cluster: LocalCluster, stop: threading.Event) -> int:
    """Wait for the user; say so when a server ends by itself."""
    ended: set[int] = set()
    while not stop.wait(_LOOK_S):
        for server in cluster.servers:
            if server not in ended and not cluster.is_running(server):
                ended.add(server)
                code = cluster.exit_code(server)
                _say(f"Server {server} ended ({code}); its log: {cluster.log_path(server)}")
        if len(ended) == len(cluster.servers):
            return _EXIT_FAILED
    return 0


# --- what is printed --------------------------------------------------------------------


def describe(cluster: LocalCluster, credentials: Credentials) -> str:
    """Say where the cluster is, what it survives, and how to use it."""
    lines = ["", "Ready."]
    for server, endpoint in enumerate(cluster.endpoints, start=1):
        drives = ", ".join(str(path) for path in cluster.local.drives[server - 1])
        lines.append(f"  server {server}  S3 {endpoint}  drives {drives}")
    lines += ["", *_describe_key(cluster, credentials), "", "What this layout survives"]
    lines += [f"  {line}" for line in _describe_layout(cluster.local)]
    lines += ["", *_describe_clients(cluster), "", "Ctrl-C stops all."]
    return "\n".join(lines)


def _describe_key(cluster: LocalCluster, credentials: Credentials) -> list[str]:
    if credentials.from_environment:
        return ["Key: OBJSTORE_ROOT_USER and OBJSTORE_ROOT_PASSWORD of the environment"]
    secrets = credentials.secrets
    return [
        f"Key (kept in {cluster.directory / FILE_NAME})",
        f"  access key  {secrets.root_user}",
        f"  secret key  {secrets.root_password}",
    ]


def _describe_layout(local: LocalLayout) -> list[str]:
    lines = []
    for one in local.layout.sets:
        scheme = one.scheme
        lines.append(
            f"{scheme}: {scheme.k} data and {scheme.m} parity shard(s) on {len(one.drives)} "
            f"drives, {scheme.slots / scheme.k:.2f} times the data"
        )
    return [*lines, *summarise(local.layout, _QUORUMS), *xor_notes(local.layout)]


def _describe_clients(cluster: LocalCluster) -> list[str]:
    endpoint, secrets = cluster.endpoint(), _shown(cluster.credentials)
    user, password = secrets
    remote = (
        f":s3,provider=Other,access_key_id={user},secret_access_key={password},"
        f"endpoint='{endpoint}':"
    )
    return [
        "boto3",
        "  import boto3",
        f"  s3 = boto3.client('s3', endpoint_url='{endpoint}', region_name='{REGION}',",
        f"      aws_access_key_id='{user}', aws_secret_access_key='{password}')",
        "aws",
        f"  export AWS_ACCESS_KEY_ID={user} AWS_SECRET_ACCESS_KEY={password}",
        f"  export AWS_DEFAULT_REGION={REGION} AWS_ENDPOINT_URL={endpoint}",
        "  aws s3 mb s3://photos && aws s3 cp FILE s3://photos/",
        "rclone",
        f'  rclone copy FILE "{remote}photos"',
    ]


def _shown(secrets: Secrets) -> tuple[str, str]:
    return secrets.root_user, secrets.root_password


def _count_drives(local: LocalLayout) -> int:
    return sum(map(len, local.drives))


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
