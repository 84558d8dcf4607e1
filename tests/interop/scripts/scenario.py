"""Run what a client's users do, one scenario after another, and say how each went.

A script of this directory runs in the interpreter of the interop clients, not in that of the
tests: `python -m tests.interop.scripts.NAME BUCKET`, with AWS's variables in the environment. It
ends with 1 if a scenario failed; the others have run all the same.
"""

import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory


@dataclass(frozen=True, slots=True)
class Target:
    """Where a scenario works, and as whom."""

    endpoint: str  # http://HOST:PORT
    other_endpoint: str  # of another server of the same cluster
    bucket: str  # exists and is empty before the first scenario
    access_key: str
    secret_key: str
    region: str
    directory: Path  # empty, for files; gone when the script ends

    @property
    def host(self) -> str:
        """HOST:PORT of the endpoint."""
        return self.endpoint.partition("://")[2]


Scenario = Callable[[Target], None]


def run(*scenarios: Scenario) -> None:
    """Run every scenario on the bucket that the command line names; exit 1 if one failed."""
    failed = 0
    with TemporaryDirectory() as directory:
        target = Target(
            endpoint=os.environ["AWS_ENDPOINT_URL"],
            other_endpoint=os.environ["OTHER_ENDPOINT_URL"],
            bucket=sys.argv[1],
            access_key=os.environ["AWS_ACCESS_KEY_ID"],
            secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
            region=os.environ["AWS_REGION"],
            directory=Path(directory),
        )
        for scenario in scenarios:
            failed += not _succeeds(scenario, target)
    sys.exit(bool(failed))


def _succeeds(scenario: Scenario, target: Target) -> bool:
    started_s = time.monotonic()
    try:
        scenario(target)
    except Exception:  # noqa: BLE001  the next scenario runs all the same
        print(f"FAILED {scenario.__name__}\n{traceback.format_exc()}", flush=True)
        return False
    print(f"passed {scenario.__name__} ({time.monotonic() - started_s:.1f} s)", flush=True)
    return True


def raised(error: type[Exception], action: Callable[[], object]) -> Exception:
    """Return the error that an action has to raise."""
    try:
        action()
    except error as problem:
        return problem
    raise AssertionError(f"did not raise {error.__name__}")
