"""When a scrub is due, and where it goes on: decisions only.

A pass goes through the stages in order, and through each from its beginning to its end.
`ScrubState` says where it is, and is stored on the drive, so that a restart goes on there.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

import msgspec

from objstore.drive.job_states import ScrubState
from objstore.limits import SCRUB_PASS_S, SCRUB_START_S


class Stage(Enum):
    """What a pass reads, in this order."""

    PAGES = "pages"  # of the journal, on the medium against those in the cache
    STRUCTURE = "structure"  # the journal's trees and indexes
    BUCKETS = "buckets"
    UPLOADS = "uploads"  # and every block of their parts' shards
    ROWS = "rows"  # and their records, and every block of the shards these name
    TREE = "tree"  # of hashes, against the rows that were found whole or mended
    NAMES = "names"  # who names which file, from the files' side
    FILES = "files"  # which lie there and are nobody's


STAGES: Final = tuple(Stage)


class Due(Enum):
    """What the scrub of a drive is to do."""

    NOTHING = 0
    GO_ON = 1
    BEGIN = 2


def is_under_way(state: ScrubState) -> bool:
    """Whether a pass began that has not ended."""
    return state.started_ms > state.finished_ms


def what_is_due(
    state: ScrubState, *, now_ms: int, requested_ms: int, running_s: float, by_itself: bool
) -> Due:
    """Decide: `running_s` is how long this server runs, `by_itself` whether passes begin unasked.

    A pass that is asked for begins at once, in the place of one that is under way.
    """
    if requested_ms > state.started_ms:
        return Due.BEGIN
    if is_under_way(state) and state.asked:
        return Due.GO_ON
    if not by_itself or running_s < SCRUB_START_S:
        return Due.NOTHING  # a server that starts has more urgent things to read
    if is_under_way(state):
        return Due.GO_ON
    early = 0 <= now_ms - state.started_ms < SCRUB_PASS_S * 1000
    return Due.NOTHING if early else Due.BEGIN


def begun(state: ScrubState, *, now_ms: int, requested_ms: int, bytes_total: int) -> ScrubState:
    """Return the state at the beginning of a pass; what all passes found is kept."""
    return msgspec.structs.replace(
        state,
        # After all that was, whatever the clock says: so that what is over is known to be.
        started_ms=max(now_ms, requested_ms, state.started_ms + 1, state.finished_ms + 1),
        updated_ms=now_ms,
        asked=requested_ms > state.started_ms,
        stage=STAGES[0].value,
        bucket="",
        key="",
        order=b"",
        bytes_done=0,
        bytes_total=bytes_total,
        files_done=0,
        records_done=0,
        found={},
        repaired=0,
        unnamed=0,
        foreign=0,
    )


def counted(state: ScrubState, *, size: int = 0, files: int = 0, records: int = 0) -> ScrubState:
    """Return the state after so much was read."""
    done = state.bytes_done + size
    return msgspec.structs.replace(
        state,
        bytes_done=done,
        bytes_total=max(state.bytes_total, done),
        bytes_ever=state.bytes_ever + size,
        files_done=state.files_done + files,
        records_done=state.records_done + records,
    )


def found(state: ScrubState, kind: str) -> ScrubState:
    """Return the state after one more was found."""
    return msgspec.structs.replace(
        state, found=_one_more(state.found, kind), found_ever=_one_more(state.found_ever, kind)
    )


def repaired(state: ScrubState) -> ScrubState:
    """Return the state after one of those found was seen to be whole again."""
    return msgspec.structs.replace(
        state, repaired=state.repaired + 1, repaired_ever=state.repaired_ever + 1
    )


def _one_more(counts: Mapping[str, int], kind: str) -> dict[str, int]:
    return {**counts, kind: counts.get(kind, 0) + 1}


def at(
    state: ScrubState, stage: Stage, *, bucket: str = "", key: str = "", order: bytes = b""
) -> ScrubState:
    """Return the state at a place."""
    return msgspec.structs.replace(state, stage=stage.value, bucket=bucket, key=key, order=order)


def after(state: ScrubState, stage: Stage) -> ScrubState:
    """Return the state once a stage is done: at the beginning of the next."""
    following = STAGES[STAGES.index(stage) + 1 :]
    return at(state, following[0]) if following else msgspec.structs.replace(state, stage="")


def stages_left(state: ScrubState) -> tuple[Stage, ...]:
    """Return the stages that are not done; all when what is stored names none of them."""
    known = [stage for stage in STAGES if stage.value == state.stage]
    return STAGES[STAGES.index(known[0]) :] if known else STAGES


def ended(state: ScrubState, *, now_ms: int) -> ScrubState:
    """Return the state at the end of a pass."""
    return msgspec.structs.replace(
        state,
        stage="",
        finished_ms=max(now_ms, state.started_ms),
        updated_ms=now_ms,
        bytes_total=state.bytes_done,
        passes=state.passes + 1,
    )


def from_the_beginning(state: ScrubState) -> ScrubState:
    """Return the state with the same pass at its first stage: the journal is another one now."""
    return at(state, STAGES[0])
