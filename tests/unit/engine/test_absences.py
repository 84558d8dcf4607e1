"""Servers that are away for a moment: what needs them waits, what does not is served at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

import objstore.engine.absences as absences_module
from objstore.drive.api import Buffer
from objstore.engine.absences import Absences, Presence, worth_waiting
from objstore.engine.patient import PatientStore
from objstore.engine.ports import Attributes
from objstore.errors import ReadQuorumLost, WriteQuorumLost
from objstore.limits import STRIPE_BYTES
from objstore.names import CURRENT, BucketName, ObjectKey, Scheme
from objstore.quorum.thresholds import schemes_up_to
from objstore.testing.memory_set import BUCKET, MemorySet, memory_set
from objstore.wire.digests import Digests
from tests.unit.engine.bodies import BytesBody, get, pattern, put

EC1, EC2 = Scheme(3, 1), Scheme(2, 2)
AWAITED_S = 20.0


class TestDecision:
    @pytest.mark.parametrize(
        ("scheme", "present", "awaited", "read", "write"),
        [
            (EC1, 2, 2, True, True),  # one of two servers restarts
            (EC1, 2, 0, False, False),  # it crashed: nobody said that it is coming back
            (EC1, 1, 2, True, True),  # it restarts, and a drive of the other one is lost
            (EC1, 0, 2, False, False),  # both drives of the other one are: it cannot mend that
            (EC2, 0, 2, True, False),
            (Scheme(8, 4), 4, 3, False, True),  # 7 of 12 take what is written from now on
            (Scheme(8, 4), 6, 3, True, True),
        ],
    )
    def test_in_examples(
        self, scheme: Scheme, present: int, awaited: int, *, read: bool, write: bool
    ) -> None:
        sets = [Presence(scheme, present, awaited)]
        assert worth_waiting(sets, write=False) == read
        assert worth_waiting(sets, write=True) == write

    @given(st.sampled_from(schemes_up_to(8)), st.data(), st.booleans())
    def test_more_slots_never_make_it_worse(
        self, scheme: Scheme, data: st.DataObject, write: bool
    ) -> None:
        present = data.draw(st.integers(0, scheme.slots))
        awaited = data.draw(st.integers(0, scheme.slots - present))
        worth = worth_waiting([Presence(scheme, present, awaited)], write=write)
        assert not worth or awaited
        if present + awaited == scheme.slots and awaited:
            assert worth
        elif awaited:
            more = worth_waiting([Presence(scheme, present, awaited + 1)], write=write)
            assert more >= worth

    def test_one_set_that_can_be_mended_is_enough(self) -> None:
        sets = [Presence(EC1, 4, 0), Presence(EC1, 2, 2)]
        assert worth_waiting(sets, write=True)


@dataclass
class Two:
    """Two servers of two drives each, and a client of the first one."""

    set: MemorySet
    absences: Absences

    def goes(self) -> None:
        for drive in self.set.drives[2:]:
            drive.pull()

    def announces(self) -> None:
        self.absences.announce("two", self.set.clock.monotonic_s() + AWAITED_S)

    def is_back(self) -> None:
        for drive in self.set.drives[2:]:
            drive.bring_back()
        self.absences.returned("two")


@asynccontextmanager
async def two_servers(scheme: Scheme) -> AsyncIterator[Two]:
    async with memory_set(scheme, servers=("one", "one", "two", "two")) as m:
        absences = Absences(m.clock)
        m.store = PatientStore(m.context, absences)
        yield Two(m, absences)


class CountedBody(BytesBody):
    reads = 0

    async def read(self) -> Buffer:
        self.reads += 1
        return await super().read()


async def waits(task: "asyncio.Task[object]") -> bool:
    await asyncio.sleep(0.05)
    return not task.done()


async def list_names(on: MemorySet) -> list[str]:
    listing = await on.store.list_objects(BUCKET, prefix="", delimiter="", after="", limit=10)
    return [one.key for one in listing.objects]


class TestStore:
    async def test_a_server_that_went_without_a_word_is_not_waited_for(self) -> None:
        async with two_servers(EC1) as two:
            await put(two.set, "key", b"content")
            two.goes()
            async with asyncio.timeout(5):
                with pytest.raises(WriteQuorumLost):
                    await put(two.set, "key", b"other")
                with pytest.raises(ReadQuorumLost):
                    await get(two.set, "key")

    async def test_reads_writes_and_lists_wait_and_are_served(self) -> None:
        async with two_servers(EC1) as two:
            await put(two.set, "key", b"content")
            await put(two.set, "gone", b"content")
            two.announces()
            two.goes()
            async with asyncio.TaskGroup() as group:
                getting = group.create_task(get(two.set, "key"))
                putting = group.create_task(put(two.set, "new", b"more"))
                deleting = group.create_task(
                    two.set.store.delete_object(
                        BUCKET, ObjectKey("gone"), permission=lambda _: None
                    )
                )
                creating = group.create_task(
                    two.set.store.create_bucket(BucketName("another"), owner="me", region="x")
                )
                for task in (getting, putting, deleting, creating):
                    assert await waits(task)
                assert two.absences.waiting == 4
                two.is_back()
            assert two.absences.waiting == 0
            assert getting.result() == b"content"
            assert await list_names(two.set) == ["key", "new"]

    async def test_what_can_do_without_it_is_served_at_once(self) -> None:
        async with two_servers(EC2) as two:
            await put(two.set, "key", b"content")
            two.announces()
            two.goes()
            async with asyncio.timeout(5):
                assert await get(two.set, "key") == b"content"
            two.is_back()

    async def test_one_that_does_not_come_back_is_lost_like_any_other(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with two_servers(EC1) as two:
            two.absences.announce("two", two.set.clock.monotonic_s() + 0.2)
            two.goes()
            putting = asyncio.create_task(put(two.set, "key", b"content"))
            assert await waits(putting)
            two.set.clock.advance(0.2)
            with pytest.raises(WriteQuorumLost):
                await putting
            async with asyncio.timeout(5):
                with pytest.raises(WriteQuorumLost):
                    await put(two.set, "key", b"content")

    async def test_what_something_else_has_mended_does_not_wait_on(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(absences_module, "AWAITED_TRY_S", 0.05)
        async with two_servers(EC1) as two:
            two.announces()
            two.goes()
            putting = asyncio.create_task(put(two.set, "key", b"content"))
            assert await waits(putting)
            two.set.drives[2].bring_back()  # nobody says so
            async with asyncio.timeout(5):
                await putting
            two.is_back()

    async def test_nobody_waits_in_a_server_that_stops_itself(self) -> None:
        async with two_servers(EC1) as two:
            two.announces()
            two.goes()
            putting = asyncio.create_task(put(two.set, "key", b"content"))
            assert await waits(putting)
            two.absences.end()
            with pytest.raises(WriteQuorumLost):
                await putting

    async def test_a_body_that_was_touched_is_not_asked_for_twice(self) -> None:
        async with two_servers(EC1) as two:
            body = CountedBody(pattern(3 * STRIPE_BYTES), piece=STRIPE_BYTES)
            reading = body.read

            async def goes_while_it_comes() -> Buffer:
                if body.reads == 1:
                    two.announces()
                    two.goes()
                return await reading()

            body.read = goes_while_it_comes  # type: ignore[method-assign]
            with pytest.raises(WriteQuorumLost):
                await put_body(two.set, body)
            two.is_back()

    async def test_no_byte_of_a_body_is_read_while_it_waits(self) -> None:
        async with two_servers(EC1) as two:
            two.announces()
            two.goes()
            body = CountedBody(b"content")
            putting = asyncio.create_task(put_body(two.set, body))
            assert await waits(putting)
            assert body.reads == 0
            two.is_back()
            await putting
            assert await get(two.set, "key") == b"content"

    async def test_a_download_that_began_goes_on_where_it_was(self) -> None:
        content = pattern(9 * STRIPE_BYTES + 17)
        async with two_servers(EC1) as two:
            await put(two.set, "key", content)
            reader = await two.set.store.open_object(BUCKET, ObjectKey("key"), CURRENT)
            seen = bytearray()
            waited = False
            async with asyncio.TaskGroup() as group:
                async for piece in reader.read(5, len(content) - 5):
                    seen += piece
                    if not waited:
                        waited = True
                        two.announces()
                        two.goes()
                        group.create_task(_later(two))
            assert bytes(seen) == content[5:-5]
            assert two.absences.returns == 1


async def _later(two: Two) -> None:
    await asyncio.sleep(0.1)
    two.is_back()


async def put_body(on: MemorySet, body: BytesBody) -> None:
    await on.store.put_object(
        BUCKET, ObjectKey("key"), body, attributes=Attributes(), digests=Digests(["MD5"])
    )
