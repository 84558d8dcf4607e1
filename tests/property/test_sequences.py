"""2,000 random sequences of requests, each against a deployment of its own."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any, Final, cast

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from objstore.engine import completion
from tests.property.sequences import Sequences
from tests.property.server import LAYOUTS, InProcess, loop_in_a_thread

_SEQUENCES: Final = 2000
_SETTINGS: Final = settings(
    stateful_step_count=25,
    deadline=None,
    report_multiple_bugs=False,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
    # Without Phase.explain, which runs many more sequences only to comment on a failure.
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
)
# Layouts in which any one drive may be away, reads and writes going on.
_HARDY: Final = ("3+1", "2+2", "three sets")


class HarmedSequences(Sequences):
    """Sequences during which a drive goes away and comes back, again and again.

    Another one may go when the first has been healed.
    """

    def __init__(self, served: InProcess) -> None:
        super().__init__(served)
        self._drives = served
        self._away = False
        self._drive = 0

    @precondition(lambda self: not self._away)
    @rule(drive=st.integers(0, 11), noticed=st.booleans())
    def a_drive_goes(self, drive: int, noticed: bool) -> None:
        self._drive = self._drive if self.harmed else drive
        self._drives.pull(self._drive, noticed=noticed)
        self._away = self.harmed = True

    @precondition(lambda self: self._away)
    @rule(replaced=st.booleans(), heals=st.booleans())
    def it_comes_back(self, replaced: bool, heals: bool) -> None:
        self._drives.bring_back(replaced=replaced, heals=heals)
        self._away = False
        self.harmed = not heals
        self.dirty = True


def run_sequences(machine: Callable[[InProcess], Sequences], layout: str, sequences: int) -> None:
    """Run sequences against a layout, in this process."""
    # Every part but the last has five bytes at least, instead of 5 MiB.
    assert "PART_BYTES_MIN" in vars(completion)
    vars(completion)["PART_BYTES_MIN"] = InProcess.part_bytes_min
    with loop_in_a_thread() as loop:
        run(lambda: machine(loop.open(LAYOUTS[layout])), sequences)


def run(machine: Callable[[], Sequences], sequences: int, **options: Any) -> None:
    """Run sequences."""
    run_state_machine_as_test(
        cast("type[Sequences]", machine),  # anything that makes one will do
        settings=settings(_SETTINGS, max_examples=sequences, **options),
    )


_RUNS: Final = {
    layout: partial(run_sequences, Sequences, layout, _SEQUENCES * 8 // 10 // len(LAYOUTS))
    for layout in LAYOUTS
} | {
    f"{layout}, a drive away": partial(
        run_sequences, HarmedSequences, layout, _SEQUENCES * 2 // 10 // len(_HARDY) + 1
    )
    for layout in _HARDY
}


@pytest.fixture(scope="module")
def running(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[None]]]:
    """Begin every run that is going to be asked for, two at a time."""
    asked = [getattr(item, "callspec", None) for item in request.session.items]
    names = [spec.params["run"] for spec in asked if spec is not None and "run" in spec.params]
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        yield {name: pool.submit(_RUNS[name]) for name in names if name in _RUNS}
        pool.shutdown(cancel_futures=True)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("run", _RUNS)
def test_the_server_does_what_the_model_does(run: str, running: dict[str, Future[None]]) -> None:
    running[run].result()
