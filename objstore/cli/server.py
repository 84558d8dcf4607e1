"""`objstore server`: run one server of a cluster."""

import asyncio
import os
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from objstore.cli.refusal import refusals_exit
from objstore.clock import SystemClock, SystemEntropy
from objstore.server.logs import configure_logs
from objstore.server.order import LogFormat
from objstore.server.plan import make_plan
from objstore.server.supervisor import Supervisor


def serve(  # noqa: PLR0913, PLR0917  typer reads one parameter for each option
    endpoints: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ENDPOINT...]",
            help="Drives: /data/drive{1...4}, or http://server{1...2}:9000/mnt/drive{1...2}. "
            "Each argument with a range is a pool.",
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Configuration file, instead of endpoints.")
    ] = None,
    address: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where to serve S3 [:9000].")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Worker processes; one for each core by default.")
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Which server of the layout this is."),
    ] = None,
    parity: Annotated[str | None, typer.Option(metavar="EC:M", help="Parity shards.")] = None,
    witness: Annotated[
        str | None,
        typer.Option(metavar="URL,URL,URL", help="etcd's client URLs: one of two servers goes on."),
    ] = None,
    log_format: Annotated[LogFormat, typer.Option(help="How log lines look.")] = LogFormat.TEXT,
    until_stdin_closes: Annotated[
        bool, typer.Option("--until-stdin-closes", hidden=True, help="Stop with the parent.")
    ] = False,
) -> None:
    """Run one server; every server of a cluster is given the same endpoints.

    Secrets come from the environment: OBJSTORE_ROOT_USER, OBJSTORE_ROOT_PASSWORD, and with
    several servers OBJSTORE_CLUSTER_SECRET (or the same names with _FILE).
    """
    configure_logs(log_format)
    options = {
        "address": address,
        "workers": workers,
        "server": server,
        "parity": parity,
        "witness": witness,
    }
    with refusals_exit():
        read = partial(
            make_plan,
            endpoints=endpoints or (),
            config=config,
            environment=os.environ,
            options=options,
            log_format=log_format,
            entropy=SystemEntropy(),
        )
        supervisor = Supervisor(read(), clock=SystemClock(), reread=read)
        code = asyncio.run(_run(supervisor, watch=until_stdin_closes))
    raise typer.Exit(code)


async def _run(supervisor: Supervisor, *, watch: bool) -> int:
    if watch:
        descriptor = sys.stdin.fileno()

        def on_input() -> None:
            if not os.read(descriptor, 4096):
                asyncio.get_running_loop().remove_reader(descriptor)
                supervisor.stop()

        asyncio.get_running_loop().add_reader(descriptor, on_input)
    return await supervisor.run()
