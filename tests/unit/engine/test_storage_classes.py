"""REDUCED_REDUNDANCY: less parity where the set has it to spare, and nothing else is different."""

import pytest

from objstore.background.heal_queue import heal_missed_once
from objstore.engine.ports import Attributes, CompleteRequest, NamedPart
from objstore.errors import ReadQuorumLost
from objstore.limits import PART_BYTES_MIN, STRIPE_BYTES
from objstore.names import REDUCED_REDUNDANCY, STANDARD, ObjectKey, Scheme
from objstore.ondisk.record import Version
from objstore.testing.memory_set import BUCKET, MemorySet, memory_set
from objstore.wire.digests import Digests
from tests.unit.engine.bodies import BytesBody, get, pattern

REDUCED = Attributes(storage_class=REDUCED_REDUNDANCY)
DATA = {"large": pattern(2 * STRIPE_BYTES + 7), "small": b"hello", "empty": b""}


async def put(m: MemorySet, key: str, data: bytes, attributes: Attributes = REDUCED) -> Version:
    version = await m.store.put_object(
        BUCKET, ObjectKey(key), BytesBody(data), attributes=attributes, digests=Digests(["MD5"])
    )
    await m.idle()
    return version


async def scheme_of(m: MemorySet, key: str) -> Scheme:
    version = (await m.store.open_object(BUCKET, ObjectKey(key))).version
    assert version.storage_class == REDUCED_REDUNDANCY
    return version.scheme


@pytest.mark.parametrize(
    ("scheme", "reduced"),
    [
        (Scheme(2, 2), Scheme(3, 1)),
        (Scheme(1, 3), Scheme(3, 1)),
        (Scheme(4, 4), Scheme(7, 1)),
        (Scheme(3, 1), Scheme(3, 1)),
        (Scheme(1, 1), Scheme(1, 1)),
        (Scheme(4, 0), Scheme(4, 0)),
    ],
    ids=str,
)
async def test_an_object_survives_what_its_scheme_does(scheme: Scheme, reduced: Scheme) -> None:
    async with memory_set(scheme) as m:
        for key, data in DATA.items():
            assert (await put(m, key, data)).scheme == reduced
            assert (await put(m, f"{key}-standard", data, Attributes())).scheme == scheme
        for drive in m.drives if reduced.m else ():
            drive.pull()
            for key, data in DATA.items():
                assert await get(m, key) == data
            drive.bring_back()
        listing = await m.store.list_objects(BUCKET, prefix="", delimiter="", after="", limit=10)
        assert {one.key: one.storage_class for one in listing.objects} == {
            name: storage_class
            for key in DATA
            for name, storage_class in ((key, REDUCED_REDUNDANCY), (f"{key}-standard", STANDARD))
        }


async def test_beyond_its_parity_only_the_standard_class_is_read() -> None:
    async with memory_set(Scheme(4, 4)) as m:
        await put(m, "reduced", DATA["large"])
        await put(m, "standard", DATA["large"], Attributes())
        for drive in m.drives[:3]:
            drive.pull()
        assert await get(m, "standard") == DATA["large"]
        with pytest.raises(ReadQuorumLost):
            await get(m, "reduced")


async def test_what_was_written_with_more_parity_comes_back_to_its_class() -> None:
    async with memory_set(Scheme(2, 2)) as m:
        m.drives[1].pull()
        for key, data in DATA.items():
            assert (await put(m, key, data)).scheme == Scheme(2, 2)
        m.drives[1].bring_back()
        while await heal_missed_once(m.background, m.handle):
            await m.idle()
        for key, data in DATA.items():
            assert await scheme_of(m, key) == Scheme(3, 1)
            assert await get(m, key) == data


async def test_healing_keeps_both_classes_as_they_are() -> None:
    async with memory_set(Scheme(2, 2)) as m:
        for key, data in DATA.items():
            await put(m, key, data)
            await put(m, f"{key}-standard", data, Attributes())
        m.drives[2].replace(m.clock)
        await m.walk(2)
        for key, data in DATA.items():
            assert await scheme_of(m, key) == Scheme(3, 1)
            standard = await m.store.open_object(BUCKET, ObjectKey(f"{key}-standard"))
            assert standard.version.scheme == Scheme(2, 2)
            m.drives[0].pull()
            assert await get(m, key) == data
            m.drives[0].bring_back()


async def test_uploads_in_parts_and_copies_have_a_class_too() -> None:
    async with memory_set(Scheme(2, 2), bracketing=0) as m:
        key, parts = ObjectKey("mp"), (pattern(PART_BYTES_MIN, 1), pattern(10, 2))
        upload = await m.store.create_upload(BUCKET, key, attributes=REDUCED)
        assert (upload.scheme, upload.storage_class) == (Scheme(3, 1), REDUCED_REDUNDANCY)
        named = []
        for number, data in enumerate(parts, 1):
            result = await m.store.put_part(
                BUCKET, key, upload.upload_id, number, BytesBody(data), digests=Digests(["MD5"])
            )
            named.append(NamedPart(number, result.part.etag))
        await m.store.complete_upload(CompleteRequest(BUCKET, key, upload.upload_id, tuple(named)))
        await m.idle()
        assert await scheme_of(m, "mp") == Scheme(3, 1)
        source = await m.store.open_object(BUCKET, key)
        copied = await m.store.copy_object(
            source, BUCKET, ObjectKey("copy"), attributes=Attributes(), digests=Digests(["MD5"])
        )
        await m.idle()
        assert (copied.scheme, copied.storage_class) == (Scheme(2, 2), STANDARD)
        m.drives[3].pull()
        assert await get(m, "mp") == b"".join(parts)
        assert await get(m, "copy") == b"".join(parts)
