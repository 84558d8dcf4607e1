"""The model of what a power cut leaves promises what POSIX does, and no more."""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.crash.crash_states import DriveModel, Loss
from tests.crash.disk_faults import Event, Kind
from tests.crash.error_trials import repeated_syncs

NOWHERE = Path("/nonexistent")
EIO = 5


def event(
    kind: Kind,
    path: str = "",
    *,
    other: str = "",
    offset: int = 0,
    data: bytes = b"",
    failed: int = 0,
) -> Event:
    return Event(kind, 0, path, other, failed, 7, offset, data)


MADE = (event(Kind.CREATE, "d/new"), event(Kind.WRITE, data=b"x" * 1024))
SYNCED = (*MADE, event(Kind.SYNC))
NAMED = (*SYNCED, event(Kind.SYNC_DIR, "d"))


def after(events: Sequence[Event], loss: Loss, seed: int = 0) -> dict[str, bytes]:
    model = DriveModel(NOWHERE, {})
    for one in events:
        model.apply(one)
    return model.after(loss, random.Random(seed))[0]


@pytest.mark.parametrize("loss", Loss)
def test_what_was_synced_with_its_directory_stays(loss: Loss) -> None:
    assert after(NAMED, loss) == {"d/new": b"x" * 1024}


@pytest.mark.parametrize(
    ("events", "loss", "left"),
    [
        (MADE, Loss.KEPT, {"d/new": b"x" * 1024}),
        (MADE, Loss.DROPPED, {}),
        (MADE, Loss.NAMES, {"d/new": bytes(1024)}),
        (SYNCED, Loss.DROPPED, {}),  # without its directory it is lost, however well it was synced
        (SYNCED, Loss.NAMES, {"d/new": b"x" * 1024}),
        ((*NAMED, event(Kind.UNLINK, "d/new")), Loss.DROPPED, {"d/new": b"x" * 1024}),
        ((*NAMED, event(Kind.UNLINK, "d/new")), Loss.KEPT, {}),
        (
            (*NAMED, event(Kind.RENAME, "d/new", other="t/old")),
            Loss.DROPPED,
            {"d/new": b"x" * 1024},
        ),
        ((*NAMED, event(Kind.RENAME, "d/new", other="t/old")), Loss.KEPT, {"t/old": b"x" * 1024}),
    ],
)
def test_what_was_not_synced_may_be_lost(
    events: Sequence[Event], loss: Loss, left: dict[str, bytes]
) -> None:
    assert after(events, loss) == left


def test_what_a_failed_sync_lost_no_later_sync_brings_back() -> None:
    failing = (*MADE, event(Kind.SYNC_DIR, "d"), event(Kind.SYNC, failed=EIO), event(Kind.SYNC))
    assert after(failing, Loss.DROPPED) == {"d/new": b""}
    assert after(failing, Loss.KEPT) == {"d/new": b"x" * 1024}
    written_again = (*failing, MADE[1], event(Kind.SYNC))
    assert after(written_again, Loss.DROPPED) == {"d/new": b"x" * 1024}
    assert repeated_syncs(failing)
    assert not repeated_syncs((*failing[:-1], MADE[1], event(Kind.SYNC)))


def test_a_torn_write_is_there_up_to_a_sector() -> None:
    seen = {
        after((*MADE, event(Kind.SYNC_DIR, "d")), Loss.TORN, seed)["d/new"] for seed in range(99)
    }
    assert seen == {b"", b"x" * 512, b"x" * 1024}
