"""`objstore admin`: what a running cluster looks like, and what it shall repair.

Speaks to any server's `/.objstore/admin/v1/`, signed with the root credential. Endpoint and
credential come from the options, from the environment (OBJSTORE_ENDPOINT, OBJSTORE_ROOT_USER,
OBJSTORE_ROOT_PASSWORD), or from the directory of a quickstart; the CA of an https endpoint from
--ca-file or OBJSTORE_CA_FILE.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, NoReturn

import msgspec
import typer
from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from objstore.cli.admin_client import AdminClient, AdminError
from objstore.cli.admin_tables import (
    certificates_line,
    compare_table,
    drives_table,
    heal_table,
    is_healing,
    location_table,
    operations_text,
    servers_table,
    sets_table,
    summary,
    usage_table,
    waiting_line,
    witness_text,
)
from objstore.cli.scrub_tables import is_scrubbing, quarantine_text, scrub_line, scrub_table
from objstore.cli.trust import CA_VARIABLE
from objstore.clock import SystemClock
from objstore.gateway.ports import ClusterInfo, LocationDocument, UsageInfo

app = typer.Typer(
    rich_markup_mode="markdown",
    help="Look at a running cluster and repair it.",
    no_args_is_help=True,
)

_DEFAULT_DIRECTORY: Final = Path("data")
_FOLLOW_INTERVAL_S: Final = 1.0

Directory = Annotated[
    Path | None,
    typer.Option("--dir", help="A quickstart's directory (./data when it is one)."),
]
Endpoint = Annotated[
    str | None,
    typer.Option("--endpoint", envvar="OBJSTORE_ENDPOINT", help="http(s)://host:port of a server."),
]
CaFile = Annotated[
    Path | None,
    typer.Option(
        "--ca-file",
        envvar=CA_VARIABLE,
        help="PEM file of the CA that signed the certificate of an https endpoint.",
    ),
]
AccessKey = Annotated[
    str | None, typer.Option("--access-key", envvar="OBJSTORE_ROOT_USER", show_envvar=True)
]
SecretKey = Annotated[
    str | None, typer.Option("--secret-key", envvar="OBJSTORE_ROOT_PASSWORD", show_envvar=True)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


@dataclass(frozen=True, slots=True)
class Access:
    """Where a cluster is, and the credential to speak to it."""

    endpoints: tuple[str, ...]
    access_key: str
    secret_key: str


class _QuickstartDocument(msgspec.Struct):
    endpoints: tuple[str, ...] = ()


def read_quickstart(directory: Path) -> Access:
    """Read the endpoints and the credential that `objstore quickstart` left in `directory`."""
    document = msgspec.json.decode(
        (directory / "quickstart.json").read_bytes(), type=_QuickstartDocument
    )
    lines = (directory / "credentials").read_text().splitlines()
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    return Access(
        document.endpoints, values["OBJSTORE_ROOT_USER"], values["OBJSTORE_ROOT_PASSWORD"]
    )


def find_access(
    *, directory: Path | None, endpoint: str | None, access_key: str | None, secret_key: str | None
) -> Access:
    """Put together what the options, the environment and a quickstart's directory say.

    Raises:
        AdminError: something is missing; the message says how to give it.
    """
    if endpoint and access_key and secret_key:
        return Access((endpoint,), access_key, secret_key)
    chosen = directory
    if chosen is None and (_DEFAULT_DIRECTORY / "quickstart.json").exists():
        chosen = _DEFAULT_DIRECTORY
    if chosen is None:
        raise AdminError(
            "no cluster to speak to: give --endpoint, --access-key and --secret-key (or"
            " OBJSTORE_ENDPOINT, OBJSTORE_ROOT_USER and OBJSTORE_ROOT_PASSWORD), or --dir with"
            " the directory of a quickstart"
        )
    try:
        found = read_quickstart(chosen)
    except (OSError, KeyError, msgspec.DecodeError) as error:
        raise AdminError(f"{chosen} is not the directory of a quickstart: {error}") from error
    return Access(
        (endpoint,) if endpoint else found.endpoints,
        access_key or found.access_key,
        secret_key or found.secret_key,
    )


def _client(
    directory: Path | None,
    endpoint: str | None,
    access_key: str | None,
    secret_key: str | None,
    ca_file: Path | None,
) -> AdminClient:
    access = find_access(
        directory=directory, endpoint=endpoint, access_key=access_key, secret_key=secret_key
    )
    region = os.environ.get("AWS_REGION", "us-east-1")
    return AdminClient(
        access.endpoints,
        access.access_key,
        access.secret_key,
        region=region,
        clock=SystemClock(),
        ca_file=ca_file,
    )


def _fail(error: AdminError) -> NoReturn:
    Console(stderr=True).print(Text(f"objstore admin: {error}", style="red"))
    raise typer.Exit(1)


def _print_json(raw: bytes) -> None:
    typer.echo(json.dumps(json.loads(raw), indent=2))


@app.command()
def info(
    directory: Directory = None,
    endpoint: Endpoint = None,
    access_key: AccessKey = None,
    secret_key: SecretKey = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Show servers, drives and sets: what is there, what is missing, what still works."""
    try:
        raw = _client(directory, endpoint, access_key, secret_key, ca_file).get("info")
    except AdminError as error:
        _fail(error)
    if as_json:
        _print_json(raw)
        return
    cluster = msgspec.json.decode(raw, type=ClusterInfo)
    console = Console()
    for table in (
        servers_table(cluster.servers),
        drives_table(cluster.drives),
        sets_table(cluster.sets),
    ):
        console.print(table)
    console.print(operations_text(cluster), end="")
    console.print(witness_text(cluster), end="")
    console.print(Text(summary(cluster)))
    if line := certificates_line(cluster):
        console.print(Text(line))
    if line := scrub_line(cluster.drives, now_ms=_now_ms()):
        console.print(Text(line))
    console.print(quarantine_text(cluster.sets), end="")


def _now_ms() -> int:
    return SystemClock().now_ns() // 1_000_000


def _show(
    client: AdminClient,
    view: Callable[[ClusterInfo], RenderableType],
    *,
    until: Callable[[ClusterInfo], bool] | None,
    quiet: bool,
) -> bytes:
    """Show a view of the cluster, again and again `until` that is so; return its last state."""
    with Live(console=Console(quiet=quiet), auto_refresh=False) as live:
        while True:
            raw = client.get("info")
            cluster = msgspec.json.decode(raw, type=ClusterInfo)
            live.update(view(cluster), refresh=True)
            if until is None or until(cluster):
                return raw
            time.sleep(_FOLLOW_INTERVAL_S)


@app.command()
def heal(
    directory: Directory = None,
    endpoint: Endpoint = None,
    access_key: AccessKey = None,
    secret_key: SecretKey = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="Show progress until nothing is left to heal.")
    ] = False,
) -> None:
    """Compare all drives, repair what differs, and show how far that is."""
    try:
        client = _client(directory, endpoint, access_key, secret_key, ca_file)
        client.post("heal")
        raw = _show(client, _heal_view, until=_is_healed if follow else None, quiet=as_json)
    except AdminError as error:
        _fail(error)
    if as_json:
        _print_json(raw)
    elif follow:
        _print_left(msgspec.json.decode(raw, type=ClusterInfo))


@app.command()
def compare(
    directory: Directory = None,
    endpoint: Endpoint = None,
    access_key: AccessKey = None,
    secret_key: SecretKey = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="Wait until every drive within reach is compared.")
    ] = False,
) -> None:
    """Compare what all drives say they have, heal what differs, and show what that was.

    Takes seconds; drives do it by themselves every hour. Nothing of the objects is read:
    that is `heal`.
    """
    try:
        client = _client(directory, endpoint, access_key, secret_key, ca_file)
        client.post("compare")
        raw = _show(client, _compare_view, until=_is_compared if follow else None, quiet=as_json)
    except AdminError as error:
        _fail(error)
    if as_json:
        _print_json(raw)


def _compare_view(cluster: ClusterInfo) -> RenderableType:
    return compare_table(cluster.drives, _now_ms())


def _is_compared(cluster: ClusterInfo) -> bool:
    return not cluster.comparing


def _heal_view(cluster: ClusterInfo) -> RenderableType:
    return heal_table(cluster.drives)


def _is_healed(cluster: ClusterInfo) -> bool:
    """Whether the run is over and no drive within reach has anything left to catch up with.

    What can not be healed now is no reason to go on waiting: it is named.
    """
    return not cluster.healing and not is_healing(cluster.drives, quarantined=_quarantined(cluster))


def _quarantined(cluster: ClusterInfo) -> int:
    return sum(one.quarantined for one in cluster.sets)


def _print_left(cluster: ClusterInfo) -> None:
    """Name what waits for drives that are away, and what nothing can repair now."""
    console = Console()
    if line := waiting_line(cluster.drives):
        console.print(Text(line))
    console.print(quarantine_text(cluster.sets), end="")


@app.command()
def scrub(  # noqa: PLR0913, PLR0917 -- a parameter for each option, as typer has it
    directory: Directory = None,
    endpoint: Endpoint = None,
    access_key: AccessKey = None,
    secret_key: SecretKey = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="Show progress until all is read and repaired.")
    ] = False,
    full_speed: Annotated[
        bool,
        typer.Option("--full-speed", help="Read as fast as the drives can, not at their pace."),
    ] = False,
) -> None:
    """Read everything on every drive now, to find and repair what has rotted."""
    try:
        client = _client(directory, endpoint, access_key, secret_key, ca_file)
        client.post("scrub", **({"full-speed": "true"} if full_speed else {}))
        raw = _show(client, _scrub_view, until=_is_scrubbed if follow else None, quiet=as_json)
    except AdminError as error:
        _fail(error)
    if as_json:
        _print_json(raw)
    elif follow:
        _print_left(msgspec.json.decode(raw, type=ClusterInfo))


def _scrub_view(cluster: ClusterInfo) -> RenderableType:
    return scrub_table(cluster.drives, now_ms=_now_ms())


def _is_scrubbed(cluster: ClusterInfo) -> bool:
    """Whether no pass that was asked for runs, and what it found is repaired or quarantined."""
    return not is_scrubbing(cluster.drives, quarantined=_quarantined(cluster))


@app.command()
def usage(
    directory: Directory = None,
    endpoint: Endpoint = None,
    access_key: AccessKey = None,
    secret_key: SecretKey = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what every bucket holds: objects, versions, and their sizes before encoding."""
    try:
        raw = _client(directory, endpoint, access_key, secret_key, ca_file).get("usage")
    except AdminError as error:
        _fail(error)
    if as_json:
        _print_json(raw)
    else:
        Console().print(usage_table(msgspec.json.decode(raw, type=UsageInfo)))


@app.command()
def locate(
    target: Annotated[str, typer.Argument(metavar="BUCKET/KEY")],
    directory: Directory = None,
    endpoint: Endpoint = None,
    access_key: AccessKey = None,
    secret_key: SecretKey = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Show which shard of an object lies on which server and drive, and in which state."""
    try:
        bucket, key = _split_target(target)
        client = _client(directory, endpoint, access_key, secret_key, ca_file)
        raw = client.get("locate", bucket=bucket, key=key)
    except AdminError as error:
        _fail(error)
    if as_json:
        _print_json(raw)
        return
    location = msgspec.json.decode(raw, type=LocationDocument)
    console = Console()
    console.print(location_table(location))


def _split_target(target: str) -> tuple[str, str]:
    bucket, _, key = target.removeprefix("s3://").partition("/")
    if not bucket or not key:
        raise AdminError(f"{target!r} is not BUCKET/KEY")
    return bucket, key
