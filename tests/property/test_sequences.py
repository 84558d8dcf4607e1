"""2,000 random sequences of requests, each against a deployment of its own."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, run_state_machine_as_test

from objstore.engine import multipart
from tests.model.values import Attributes
from tests.property import draws
from tests.property.listing_rules import ListingRules
from tests.property.object_rules import ObjectRules
from tests.property.server import LAYOUTS, InProcess, Loop, loop_in_a_thread
from tests.property.upload_rules import UploadRules
from tests.property.world import FEATURES

# Without Phase.explain, which would run many more sequences only to comment on a failure.
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
_EACH = 400 if len(LAYOUTS) == 5 else -(-2000 // len(LAYOUTS))


class Sequences(ObjectRules, ListingRules, UploadRules):
    """Every rule there is, after a beginning that gives them something to work on."""

    @initialize(
        status=st.sampled_from(["", "Enabled", "Suspended"]),
        content=st.lists(st.tuples(draws.new_keys, draws.bodies), max_size=5),
        uploads=st.lists(st.tuples(draws.new_keys, draws.uploads_choose), max_size=2),
        parts=st.lists(st.tuples(draws.part_sizes, draws.part_numbers), max_size=3),
    )
    def begin(
        self,
        status: str,
        content: list[tuple[str, bytes]],
        uploads: list[tuple[str, tuple[str, str]]],
        parts: list[tuple[str, int]],
    ) -> None:
        bucket = draws.BUCKETS[0]
        self.create_bucket(bucket)
        if status and FEATURES["versioning"]:
            self.put_bucket_versioning(bucket, status)
        for key, body in content:
            self.put_plain_object(draws.Wanted(bucket, key, 0), body)
        for at, (key, chosen) in enumerate(uploads):
            self.create_multipart_upload(draws.Wanted(bucket, key, 0), Attributes(), chosen)
            for size, number in parts:
                self.upload_part(at, number, size, 0)


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
            phases=_PHASES,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
