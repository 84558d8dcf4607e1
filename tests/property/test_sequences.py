"""2,000 random sequences of requests, each against a deployment of its own."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from objstore.engine import multipart
from tests.property.listing_rules import ListingRules
from tests.property.object_rules import ObjectRules
from tests.property.server import LAYOUTS, InProcess, Loop, loop_in_a_thread
from tests.property.upload_rules import UploadRules

_EACH = 400 if len(LAYOUTS) == 5 else -(-2000 // len(LAYOUTS))


class Sequences(ObjectRules, ListingRules, UploadRules):
    """Every rule there is."""


@pytest.fixture(scope="module")
def loop() -> Iterator[Loop]:
    with loop_in_a_thread() as running:
        yield running


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every part but the last have five bytes at least instead of 5 MiB."""
    monkeypatch.setattr(multipart, "PART_BYTES_MIN", InProcess.part_bytes_min)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_server_does_what_the_model_does(layout: str, loop: Loop) -> None:
    run_state_machine_as_test(
        lambda: Sequences(loop.open(LAYOUTS[layout])),
        settings=settings(
            max_examples=_EACH,
            stateful_step_count=20,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
