"""When a scrub begins and where it goes on."""

import msgspec
import pytest

from objstore.background.scrub_plan import (
    STAGES,
    Due,
    Stage,
    after,
    at,
    begun,
    counted,
    ended,
    found,
    is_under_way,
    repaired,
    stages_left,
    what_is_due,
)
from objstore.drive.job_states import ScrubState
from objstore.limits import SCRUB_PASS_S, SCRUB_START_S

NOW_MS = 10_000_000_000
PASS_MS = int(SCRUB_PASS_S * 1000)


def due(
    state: ScrubState,
    *,
    now_ms: int = NOW_MS,
    requested_ms: int = 0,
    running_s: float = SCRUB_START_S,
    by_itself: bool = True,
) -> Due:
    return what_is_due(
        state,
        now_ms=now_ms,
        requested_ms=requested_ms,
        running_s=running_s,
        by_itself=by_itself,
    )


def begin(state: ScrubState, *, now_ms: int = NOW_MS, requested_ms: int = 0) -> ScrubState:
    return begun(state, now_ms=now_ms, requested_ms=requested_ms, bytes_total=1000)


FRESH = ScrubState()
RUNNING = begin(FRESH)
DONE = ended(RUNNING, now_ms=NOW_MS + 5)


class TestWhatIsDue:
    def test_a_drive_that_was_never_read_is_read_once_the_server_has_started(self) -> None:
        assert due(FRESH, running_s=SCRUB_START_S - 1) is Due.NOTHING
        assert due(FRESH) is Due.BEGIN

    def test_a_pass_goes_on_after_a_restart(self) -> None:
        assert due(RUNNING, running_s=0) is Due.NOTHING
        assert due(RUNNING) is Due.GO_ON

    def test_the_next_pass_begins_some_days_after_the_last_began(self) -> None:
        assert due(DONE, now_ms=NOW_MS + PASS_MS - 1) is Due.NOTHING
        assert due(DONE, now_ms=NOW_MS + PASS_MS) is Due.BEGIN

    def test_a_clock_that_went_back_does_not_put_it_off_for_ever(self) -> None:
        assert due(DONE, now_ms=NOW_MS - 1) is Due.BEGIN

    @pytest.mark.parametrize("state", [FRESH, RUNNING, DONE])
    @pytest.mark.parametrize("by_itself", [True, False])
    def test_one_that_is_asked_for_begins_at_once(self, state: ScrubState, by_itself: bool) -> None:
        asked = NOW_MS + 100
        assert due(state, requested_ms=asked, running_s=0, by_itself=by_itself) is Due.BEGIN
        began = begin(state, now_ms=asked + 3, requested_ms=asked)
        assert began.asked
        # A crash does not end it, and it is done once.
        assert due(began, requested_ms=asked, running_s=0, by_itself=by_itself) is Due.GO_ON
        over = ended(began, now_ms=asked + 10)
        assert due(over, now_ms=asked + 11, requested_ms=asked, by_itself=by_itself) is Due.NOTHING

    def test_without_a_pace_nothing_begins_or_goes_on_by_itself(self) -> None:
        for state in (FRESH, RUNNING, DONE):
            assert due(state, now_ms=NOW_MS + 2 * PASS_MS, by_itself=False) is Due.NOTHING


class TestAPass:
    def test_goes_through_every_stage_in_order_from_wherever_it_was_stored(self) -> None:
        state, seen = RUNNING, []
        while state.stage:
            stage = stages_left(state)[0]
            seen.append(stage)
            state = after(state, stage)
        assert tuple(seen) == STAGES
        for stage in STAGES:
            stored = msgspec.msgpack.decode(
                msgspec.msgpack.encode(at(RUNNING, stage, bucket="b", key="k", order=b"o")),
                type=ScrubState,
            )
            assert stages_left(stored) == STAGES[STAGES.index(stage) :]
            assert (stored.bucket, stored.key, stored.order) == ("b", "k", b"o")

    def test_reads_everything_when_what_is_stored_names_no_stage(self) -> None:
        unknown = msgspec.structs.replace(RUNNING, stage="of a newer version")
        assert stages_left(unknown) == STAGES

    def test_the_next_stage_begins_at_its_beginning(self) -> None:
        state = after(at(RUNNING, Stage.ROWS, bucket="b", key="k", order=b"o"), Stage.ROWS)
        assert (state.bucket, state.key, state.order) == ("", "", b"")

    def test_is_under_way_until_it_has_ended_whatever_the_clock_says(self) -> None:
        state = FRESH
        for now_ms in (NOW_MS, NOW_MS - 500, 0, NOW_MS, 7):
            state = begin(state, now_ms=now_ms)
            assert is_under_way(state)
            state = ended(state, now_ms=now_ms - 3)
            assert not is_under_way(state)

    def test_counts_for_itself_and_for_ever(self) -> None:
        state = RUNNING
        for number in range(1, 4):
            state = counted(state, size=10, files=1, records=2)
            state = repaired(found(found(state, "shard"), "record"))
            assert (state.bytes_done, state.bytes_ever) == (10, 10 * number)
            assert state.found == {"shard": 1, "record": 1}
            assert state.found_ever == {"shard": number, "record": number}
            assert (state.repaired, state.repaired_ever) == (1, number)
            assert (state.files_done, state.records_done) == (1, 2)
            state = ended(state, now_ms=NOW_MS)
            assert state.passes == number
            state = begin(state)
        assert (state.bytes_done, state.found, state.repaired) == (0, {}, 0)
