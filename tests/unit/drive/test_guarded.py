"""GuardedDrive: nothing waits for long, and what is away is noticed and noticed to be back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

import objstore.drive.guarded as guarded_module
from objstore.drive.guarded import DriveState, GuardedDrive
from objstore.drive.ops import ReadStatus
from objstore.errors import (
    DriveError,
    DriveFaulty,
    DriveFull,
    DriveOffline,
    DriveReadOnly,
    DriveTimeout,
    ShardCorrupt,
    Superseded,
)
from objstore.limits import DRIVE_LEFT_BEHIND_S, DRIVE_SLOW_REST_S
from objstore.names import DriveId
from objstore.testing.drive_values import commit, data_id, put_bucket, stamp, version
from objstore.testing.fake_clock import FakeClock
from objstore.testing.faulty_drive import DriveCall, Fault, FaultyDrive, Hang, Late, always, on
from objstore.testing.memory_drive import MemoryDrive

_NAME = (data_id(1), 1, 0)


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (
        ("CALL_DEADLINE_S", 0.05),
        ("SHARD_CALL_DEADLINE_S", 0.05),
        ("DRIVE_PROBE_INTERVAL_S", 0.01),
    ):
        monkeypatch.setattr(guarded_module, name, seconds)


@asynccontextmanager
async def _guarded() -> AsyncIterator[tuple[GuardedDrive, FaultyDrive]]:
    clock = FakeClock()
    faulty = FaultyDrive(MemoryDrive(DriveId("d" * 32), clock))
    await faulty.call(put_bucket())
    async with asyncio.TaskGroup() as group:
        drive = GuardedDrive(faulty, name="d1", clock=clock, group=group)
        await asyncio.sleep(0)
        yield drive, faulty
        await drive.close()


async def _until(drive: GuardedDrive, *states: DriveState) -> None:
    async with asyncio.timeout(5):
        while drive.health.state not in states:
            await asyncio.sleep(0.005)


class TestDeadlines:
    async def test_every_call_has_one(self) -> None:
        async with _guarded() as (drive, faulty):
            sink = await drive.create_shard(*_NAME)
            faulty.rules.append(lambda call: Hang() if call.verb != "ReadStatus" else None)
            for make in (
                lambda: drive.call(commit(version(5))),
                lambda: drive.create_shard(data_id(2), 1, 0),
                lambda: drive.read_shard(*_NAME, offset=0, size=1),
                lambda: sink.write(b"x"),
                sink.finish,
            ):
                await _until(drive, DriveState.ONLINE)
                with pytest.raises(DriveTimeout):
                    await make()
            await sink.abort()

    async def test_a_drive_that_does_not_answer_is_refused_at_once(self) -> None:
        async with _guarded() as (drive, faulty):
            faulty.rules.append(always(Hang()))
            await _until(drive, DriveState.OFFLINE)
            before = len(faulty.calls)
            with pytest.raises(DriveOffline, match="does not answer"):
                await drive.call(commit(version(5)))
            assert all(call.verb == "ReadStatus" for call in faulty.calls[before:])
            faulty.rules.clear()
            await _until(drive, DriveState.ONLINE)
            await drive.call(commit(version(5)))

    async def test_waiting_calls_are_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(guarded_module, "DRIVE_CALLS_WAITING_MAX", 3)
        monkeypatch.setattr(guarded_module, "CALL_DEADLINE_S", 5)
        async with _guarded() as (drive, faulty):
            faulty.rules.append(on("Commit", Hang()))
            tasks = [asyncio.ensure_future(drive.call(commit(version(n)))) for n in range(1, 4)]
            await asyncio.sleep(0.001)
            assert drive.health.waiting >= 3
            with pytest.raises(DriveTimeout, match="wait already"):
                await drive.call(commit(version(9)))
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            assert drive.health.waiting <= 1


class TestStates:
    @pytest.mark.parametrize(
        ("error", "state", "reads", "writes"),
        [
            (DriveOffline("gone"), DriveState.OFFLINE, False, False),
            (DriveFaulty("EIO"), DriveState.FAULTY, False, False),
            (DriveFull("full"), DriveState.FULL, True, False),
            (DriveReadOnly("ro"), DriveState.READ_ONLY, True, False),
            (Superseded(stamp(1)), DriveState.ONLINE, True, True),
            (ShardCorrupt("bits"), DriveState.ONLINE, True, True),
        ],
    )
    async def test_an_error_is_noticed_at_once(
        self, error: DriveError, state: DriveState, *, reads: bool, writes: bool
    ) -> None:
        async with _guarded() as (drive, faulty):
            faulty.rules.append(on("Commit", error))
            with pytest.raises(type(error)):
                await drive.call(commit(version(5)))
            assert drive.health.state is state
            assert (drive.can_read, drive.can_write) == (reads, writes)
            if state is not DriveState.ONLINE:
                assert str(error) in drive.health.reason
            assert drive.health.errors == {type(error).__name__: 1}

    async def test_a_drive_that_goes_between_calls_is_noticed(self) -> None:
        async with _guarded() as (drive, faulty):
            await _until(drive, DriveState.ONLINE)
            faulty.rules.append(always(DriveOffline("pulled")))
            await _until(drive, DriveState.OFFLINE)
            with pytest.raises(DriveOffline, match="pulled"):
                await drive.create_shard(*_NAME)

    async def test_one_that_is_left_out_is_not_chosen_and_ends_what_it_does(self) -> None:
        async with _guarded() as (drive, _):
            clock = drive._clock
            assert isinstance(clock, FakeClock)
            drive.leave_out(20.0)
            assert (drive.can_read, drive.can_write) == (False, False)
            await drive.call(commit(version(5)))
            drive.leave_out(0.0)
            assert (drive.can_read, drive.can_write) == (True, True)
            drive.leave_out(20.0)
            clock.advance(20.0)
            assert (drive.can_read, drive.can_write) == (True, True)

    async def test_a_full_drive_is_back_when_there_is_room(self) -> None:
        async with _guarded() as (drive, faulty):
            faulty.rules.append(on("Commit", DriveFull("full")))
            faulty.rules.append(on("ReadStatus", Late(0.03)))
            with pytest.raises(DriveFull):
                await drive.call(commit(version(5)))
            assert not drive.can_write
            faulty.rules.clear()
            await _until(drive, DriveState.ONLINE)

    async def test_a_slow_drive_rests_and_comes_back(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(guarded_module, "DRIVE_SLOW_S", 0.1)
        monkeypatch.setattr(guarded_module, "DRIVE_PROBE_INTERVAL_S", 60)
        async with _guarded() as (drive, faulty):
            clock = drive._clock
            assert isinstance(clock, FakeClock)
            advance: list[float] = [1.0]

            def slow(_: DriveCall) -> Fault | None:
                clock.advance(advance[0])
                return None

            faulty.rules.append(slow)
            for _ in range(4):
                await drive.call(ReadStatus())
            shown = [drive.health.state]
            # It refuses nothing: whoever can do without it leaves it out.
            assert (drive.can_read, drive.can_write, drive.is_slow) == (True, True, True)
            advance[0] = 0.0
            for _ in range(40):
                await drive.call(ReadStatus())
            shown.append(drive.health.state)
            clock.advance(DRIVE_SLOW_REST_S)
            await drive.call(ReadStatus())
            shown.append(drive.health.state)
            assert shown == [DriveState.SLOW, DriveState.SLOW, DriveState.ONLINE]

    async def test_one_that_others_leave_behind_is_slow(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Even if it answers pings and probes as fast as ever."""
        monkeypatch.setattr(guarded_module, "CALL_DEADLINE_S", 60)
        monkeypatch.setattr(guarded_module, "SHARD_CALL_DEADLINE_S", 60)
        async with _guarded() as (drive, faulty):
            clock = drive._clock
            assert isinstance(clock, FakeClock)
            faulty.rules.append(on("create_shard", Hang()))
            shown = []
            for waited_s in (0.5, 0.5, 0.5, 1.1 * DRIVE_LEFT_BEHIND_S, 1.1 * DRIVE_LEFT_BEHIND_S):
                waiting = asyncio.ensure_future(drive.create_shard(*_NAME))
                await asyncio.sleep(0)
                clock.advance(waited_s)
                await drive.call(ReadStatus())
                waiting.cancel()
                await asyncio.wait([waiting])
                shown.append(drive.is_slow)
            assert shown == [False, False, False, False, True]
            assert "others were quicker" in drive.health.reason

    async def test_one_that_is_left_behind_and_answers_nothing_else_is_slow_at_once(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What hangs holds up those that wait already, and nobody after them."""
        for name in ("CALL_DEADLINE_S", "SHARD_CALL_DEADLINE_S", "DRIVE_PROBE_INTERVAL_S"):
            monkeypatch.setattr(guarded_module, name, 60)
        async with _guarded() as (drive, faulty):
            clock = drive._clock
            assert isinstance(clock, FakeClock)
            await drive.call(ReadStatus())
            faulty.rules.append(on("create_shard", Hang()))
            shown = []
            for waited_s in (0.5, 1.1 * DRIVE_LEFT_BEHIND_S):
                clock.advance(0.01)
                waiting = asyncio.ensure_future(drive.create_shard(*_NAME))
                await asyncio.sleep(0)
                clock.advance(waited_s)
                waiting.cancel()
                await asyncio.wait([waiting])
                shown.append(drive.is_slow)
            assert shown == [False, True]

    async def test_one_that_is_slow_again_soon_rests_longer(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(guarded_module, "DRIVE_PROBE_INTERVAL_S", 60)
        async with _guarded() as (drive, faulty):
            clock = drive._clock
            assert isinstance(clock, FakeClock)
            advance = [0.0]

            def slow(_: DriveCall) -> Fault | None:
                clock.advance(advance[0])
                return None

            faulty.rules.append(slow)
            rests = []
            for _ in range(5):
                advance[0] = 9.0
                await drive.call(ReadStatus())
                advance[0] = 0.01
                began_s = clock.monotonic_s()
                while drive.health.state is DriveState.SLOW:
                    await drive.call(ReadStatus())
                rests.append(round(clock.monotonic_s() - began_s))
            assert rests == [10, 20, 40, 60, 60]

    async def test_a_call_given_up_early_says_nothing_of_the_drive(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(guarded_module, "CALL_DEADLINE_S", 60)
        monkeypatch.setattr(guarded_module, "DRIVE_PROBE_INTERVAL_S", 60)
        async with _guarded() as (drive, faulty):
            clock = drive._clock
            assert isinstance(clock, FakeClock)
            faulty.rules.append(on("Commit", Hang()))
            drive._latency_s = before = 0.4
            for _ in range(50):
                waiting = asyncio.ensure_future(drive.call(commit(version(5))))
                await asyncio.sleep(0)
                waiting.cancel()
                await asyncio.wait([waiting])
            assert drive.health.latency_s == before

    async def test_calls_and_latencies_are_counted(self) -> None:
        async with _guarded() as (drive, _):
            before = drive.health
            await drive.call(commit(version(5)))
            after = drive.health
            assert after.calls == before.calls + 1
            assert sum(after.latency_counts) == sum(before.latency_counts) + 1
            assert after.status is not None


async def test_close_ends_the_probe() -> None:
    async with asyncio.timeout(5), _guarded() as (drive, faulty):
        await drive.close()
        await asyncio.sleep(0.05)
        before = len(faulty.calls)
        await asyncio.sleep(0.05)
        assert len(faulty.calls) == before
