"""`objstore demo`: demonstrations that prove what the layouts promise.

Each starts its own cluster in a temporary directory, says what it does, verifies every byte by
sha256, and exits with 1 when a promise is broken.
"""

import asyncio
from collections.abc import Awaitable, Callable

import typer
from rich.console import Console

from objstore.cli.demos.bitrot import bitrot
from objstore.cli.demos.documented_layout import documented_layout
from objstore.cli.demos.drive_pull import drive_pull
from objstore.cli.demos.server_down import server_down
from objstore.cli.demos.stage import PromiseBroken

app = typer.Typer(
    rich_markup_mode="markdown",
    no_args_is_help=True,
    help="Demonstrations that prove what layouts promise.",
)


def _run(demonstration: Callable[[Console], Awaitable[None]]) -> None:
    console = Console(highlight=False)

    async def run() -> None:
        await demonstration(console)

    broken: list[BaseException] = []
    try:
        asyncio.run(run())
    except* PromiseBroken as group:  # a load may have run beside it
        broken += group.exceptions
    if broken:
        console.print("\n[red]A promise was broken.[/red]")
        raise typer.Exit(1)
    console.print("\n[green]Every promise was kept.[/green]")


@app.command("drive-pull")
def _drive_pull() -> None:
    """Pull each of four drives in turn under load and replace it by an empty one."""
    _run(drive_pull)


@app.command("server-down")
def _server_down() -> None:
    """Kill a server: what EC:1 refuses, and what EC:2 serves."""
    _run(server_down)


@app.command("bitrot")
def _bitrot() -> None:
    """Flip bytes in shards and journals under the running server."""
    _run(bitrot)


@app.command("documented-layout")
def _documented_layout() -> None:
    """Run the guide's 4 + 1 as written, show where its claim fails, then the repaired 4 + 2."""
    _run(documented_layout)
