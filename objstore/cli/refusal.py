"""How a command says that it will not do what it was asked."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from objstore.errors import ConfigError
from objstore.server.order import EXIT_REFUSED


def describe(error: ConfigError) -> str:
    """Return a refusal as lines for people."""
    return f"objstore: refused\n{error}\n"


@contextmanager
def refusals_exit() -> Iterator[None]:
    """Print a ConfigError as three lines on standard error, and exit with code 2."""
    try:
        yield
    except ConfigError as error:
        sys.stderr.write(describe(error))
        raise SystemExit(EXIT_REFUSED) from error


def refuse_optimised_python() -> None:
    """Exit when assertions are switched off: they are part of what keeps data safe.

    Raises:
        SystemExit: Python runs with -O or PYTHONOPTIMIZE.
    """
    if sys.flags.optimize:
        sys.stderr.write(
            "objstore: refused\nfound: Python running with -O or PYTHONOPTIMIZE\n"
            "expected: assertions switched on: objstore checks its own invariants with them\n"
            "what to do: start it without -O, and unset PYTHONOPTIMIZE\n"
        )
        raise SystemExit(EXIT_REFUSED)
