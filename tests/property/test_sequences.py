"""600 random sequences of requests, each against a deployment of its own; `long`: 2,000."""

from collections.abc import Callable
from typing import Any, Final, cast

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from objstore.engine import completion
from tests.property.sequences import Sequences
from tests.property.server import LAYOUTS, InProcess, loop_in_a_thread

_SEQUENCES: Final = 600
_SEQUENCES_LONG: Final = 2000
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


def run(machine: Callable[[], Sequences], sequences: int, **options: Any) -> None:
    """Run sequences."""
    run_state_machine_as_test(
        cast("type[Sequences]", machine),  # anything that makes one will do
        settings=settings(_SETTINGS, max_examples=sequences, **options),
    )


def _runs(sequences: int) -> list[tuple[type[Sequences], str, int]]:
    """Share sequences out over kinds and layouts."""
    return [
        *((Sequences, layout, sequences * 8 // 10 // len(LAYOUTS)) for layout in LAYOUTS),
        *((HarmedSequences, layout, sequences * 2 // 10 // len(_HARDY) + 1) for layout in _HARDY),
    ]


_RUNS: Final = [
    *_runs(_SEQUENCES),
    *(pytest.param(*run, marks=pytest.mark.long) for run in _runs(_SEQUENCES_LONG)),
]


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("machine", "layout", "sequences"), _RUNS)
def test_the_server_does_what_the_model_does(
    machine: Callable[[InProcess], Sequences],
    layout: str,
    sequences: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Every part but the last has five bytes at least, instead of 5 MiB.
    monkeypatch.setattr(completion, "PART_BYTES_MIN", InProcess.part_bytes_min)
    with loop_in_a_thread() as loop:
        run(lambda: machine(loop.open(LAYOUTS[layout])), sequences)
