"""Many errors become one, and its message names every slot."""

from hypothesis import given
from hypothesis import strategies as st

from objstore.errors import (
    BucketMissing,
    DriveError,
    DriveFull,
    DriveOffline,
    DriveTimeout,
    Superseded,
    UploadMissing,
)
from objstore.names import Stamp
from objstore.quorum.reduce import agreed_refusal, describe_errors, newest_held

OLD, NEW = Stamp(bytes(15) + b"\1"), Stamp(bytes(15) + b"\2")


def test_the_message_says_who_failed_why() -> None:
    errors: dict[int, DriveError] = {
        3: DriveFull(),
        2: DriveOffline("no answer"),
        0: DriveOffline("no answer"),
    }
    assert describe_errors(errors) == "drives 0, 2: DriveOffline: no answer; drive 3: DriveFull"
    assert describe_errors({}) == "none failed"


FAILURES = st.sampled_from([DriveFull, DriveTimeout, BucketMissing, UploadMissing])


@given(st.dictionaries(st.integers(0, 15), FAILURES))
def test_every_slot_is_named_exactly_once(kinds: dict[int, type[DriveError]]) -> None:
    text = describe_errors({slot: kind() for slot, kind in kinds.items()}, what="slot")
    groups = [group for group in text.split("; ") if group != "none failed"]
    named = [
        int(number)
        for group in groups
        for number in group.partition(":")[0].removeprefix("slots").removeprefix("slot").split(",")
    ]
    assert sorted(named) == sorted(kinds)


def test_a_refusal_stands_only_with_enough_slots() -> None:
    errors: dict[int, DriveError] = {0: BucketMissing(), 1: BucketMissing(), 2: DriveFull()}
    assert agreed_refusal(errors, needed=2) is BucketMissing
    assert agreed_refusal(errors, needed=3) is None


def test_superseded_and_failures_are_no_refusal() -> None:
    errors: dict[int, DriveError] = {0: Superseded(OLD), 1: Superseded(NEW), 2: DriveFull()}
    assert agreed_refusal(errors, needed=1) is None
    assert newest_held(errors) == NEW
    assert newest_held({2: DriveFull()}) is None
