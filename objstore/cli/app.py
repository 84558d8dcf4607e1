"""The `objstore` command."""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Final

import typer

from objstore import __version__
from objstore.cli.refusal import refuse_optimised_python

# name -> (module, attribute). Only what the command line asks for is imported, so that a server
# does not wait for what only the admin commands need.
COMMANDS: Final = {
    "server": ("objstore.cli.server", "serve"),
    "quickstart": ("objstore.cli.quickstart", "quickstart"),
}
GROUPS: Final = {
    "admin": ("objstore.cli.admin", "app"),
    "layout": ("objstore.cli.layout", "app"),
    "demo": ("objstore.cli.demo", "app"),
}


def build_app(arguments: Sequence[str]) -> typer.Typer:
    """Return the command line with what `arguments` ask for; with all of it for --help."""
    app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    app.callback()(_objstore)
    app.command("version")(version)
    known = {*COMMANDS, *GROUPS, "version"}
    asked = next((one for one in arguments if one in known), None)
    for name, (module, attribute) in COMMANDS.items():
        if asked in {None, name}:
            app.command(name)(getattr(import_module(module), attribute))
    for name, (module, attribute) in GROUPS.items():
        if asked in {None, name}:
            app.add_typer(getattr(import_module(module), attribute), name=name)
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
