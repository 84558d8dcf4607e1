"""What clients may see: served where the layout can, refused with 503 where it cannot."""

from pathlib import Path

import pytest

from objstore.cli.chaos.judgement import Failure, Hurt, complaint_about
from objstore.cli.chaos.plan import Fault, How, Kind, shape_of
from objstore.cli.local_layout import uniform_layout

SHAPE = shape_of(uniform_layout(Path("/there"), servers=2, drives=2, parity=2, base_port=20_000))
KILLED = Hurt(Fault(Kind.SERVER, How.KILLED, 2), 10, 20)
DRIVE = Hurt(Fault(Kind.DRIVE, How.REPLACED, 1, 1), 10, 20)


def failed(verb: str, *, server: int, status: int, code: str = "", at_s: float = 15) -> Failure:
    return Failure(verb, "key", server, at_s, at_s + 1, status, code)


@pytest.mark.parametrize(
    ("hurts", "failure", "excused"),
    [
        ([], failed("GET", server=1, status=503, code="SlowDownRead"), False),
        ([DRIVE], failed("PUT", server=1, status=503, code="SlowDownWrite"), False),
        ([DRIVE], failed("GET", server=2, status=0, code="ServerDisconnectedError"), False),
        ([KILLED], failed("PUT", server=1, status=503, code="SlowDownWrite"), True),
        ([KILLED], failed("PUT", server=1, status=503, code="SlowDownWrite", at_s=30), False),
        ([KILLED], failed("GET", server=1, status=503, code="SlowDownRead"), False),
        ([KILLED], failed("GET", server=2, status=503, code="SlowDownRead"), True),
        ([KILLED], failed("GET", server=2, status=0, code="ClientOSError"), True),
        ([KILLED], failed("GET", server=1, status=0, code="ClientOSError"), False),
        ([KILLED], failed("PUT", server=1, status=500, code="InternalError"), False),
        ([KILLED], failed("PUT", server=1, status=503, code=""), False),
        ([KILLED, DRIVE], failed("GET", server=1, status=503, code="SlowDownRead"), True),
    ],
)
def test_a_failure_is_excused_by_what_the_layout_cannot_do(
    hurts: list[Hurt], failure: Failure, excused: bool
) -> None:
    assert (complaint_about(SHAPE, hurts, failure) == "") == excused
