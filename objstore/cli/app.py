"""The `objstore` command."""

import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Final

import typer

from objstore import __version__
from objstore.cli.refusal import refuse_optimised_python

# Only what the command line asks for is imported, so that a server does not wait for what only
# the admin commands need; `objstore --help` imports all of it.


def _add_server(app: typer.Typer) -> None:
    from objstore.cli.server import serve  # noqa: PLC0415

    app.command("server")(serve)


def _add_quickstart(app: typer.Typer) -> None:
    from objstore.cli.quickstart import quickstart  # noqa: PLC0415

    app.command("quickstart")(quickstart)


def _add_admin(app: typer.Typer) -> None:
    from objstore.cli import admin  # noqa: PLC0415

    app.add_typer(admin.app, name="admin")


def _add_layout(app: typer.Typer) -> None:
    from objstore.cli import layout  # noqa: PLC0415

    app.add_typer(layout.app, name="layout")


def _add_demo(app: typer.Typer) -> None:
    from objstore.cli import demo  # noqa: PLC0415

    app.add_typer(demo.app, name="demo")


def _add_chaos(app: typer.Typer) -> None:
    from objstore.cli.chaos.command import chaos  # noqa: PLC0415

    app.command("chaos")(chaos)


COMMANDS: Final[dict[str, Callable[[typer.Typer], None]]] = {
    "quickstart": _add_quickstart,
    "server": _add_server,
    "admin": _add_admin,
    "layout": _add_layout,
    "demo": _add_demo,
    "chaos": _add_chaos,
}


def build_app(arguments: Sequence[str]) -> typer.Typer:
    """Return the command line with the command that `arguments` name, or else with all."""
    app = typer.Typer(
        rich_markup_mode="markdown",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(_objstore)
    app.command("version")(version)
    asked = next((one for one in arguments if not one.startswith("-")), "")
    for name, add in COMMANDS.items():
        if asked == name or asked not in COMMANDS:
            add(app)
    return app


def version() -> None:
    """Print the version."""
    typer.echo(f"objstore {__version__}")


def _show_version(value: Annotated[bool, typer.Option()]) -> None:
    if value:
        version()
        raise typer.Exit


def _objstore(
    show: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """An S3-compatible object store that erasure-codes over servers and drives."""


def main() -> None:
    """Run the command line."""
    refuse_optimised_python()
    build_app(sys.argv[1:])()
