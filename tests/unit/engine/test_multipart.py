"""Multipart uploads: parts that are acknowledged become the object, whatever fails within m."""

import asyncio
import hashlib
from contextlib import suppress

import pytest

from objstore.engine.heal import heal_key
from objstore.engine.ports import Attributes, CompleteRequest, NamedPart
from objstore.errors import DriveOffline, ReadQuorumLost, RequestRefused, WriteQuorumLost
from objstore.limits import PART_BYTES_MIN, SETTLE_AGE_S
from objstore.names import ObjectKey, Scheme, UploadId
from objstore.ondisk.record import Version
from objstore.testing.faulty_drive import AnswerLost, Late, on
from objstore.testing.memory_set import BUCKET, MemorySet, memory_set
from objstore.wire.digests import Digests
from tests.unit.engine.bodies import BytesBody, get, keys, pattern, read_all

KEY = ObjectKey("big")
PART = pattern(200_000)
PARTS = {1: pattern(PART_BYTES_MIN, 1), 2: pattern(PART_BYTES_MIN + 3, 2), 7: pattern(10, 7)}
WHOLE = b"".join(PARTS.values())


async def begin(m: MemorySet, algorithm: str = "", kind: str = "") -> UploadId:
    algorithms = (algorithm,) if algorithm else ()
    attributes = Attributes(checksum_algorithms=algorithms, checksum_type=kind)
    return (await m.store.create_upload(BUCKET, KEY, attributes=attributes)).upload_id


async def send(m: MemorySet, upload: UploadId, number: int, data: bytes) -> NamedPart:
    result = await m.store.put_part(
        BUCKET, KEY, upload, number, BytesBody(data), digests=Digests(["MD5"])
    )
    await m.idle()
    return NamedPart(number, result.part.etag, result.part.checksums)


async def complete(m: MemorySet, upload: UploadId, parts: list[NamedPart]) -> Version:
    version = await m.store.complete_upload(CompleteRequest(BUCKET, KEY, upload, tuple(parts)))
    await m.idle()
    return version


@pytest.mark.parametrize("scheme", [Scheme(3, 1), Scheme(2, 2), Scheme(1, 1)], ids=str)
async def test_parts_become_the_object(scheme: Scheme) -> None:
    async with memory_set(scheme, bracketing=0) as m:
        upload = await begin(m)
        named = [await send(m, upload, number, data) for number, data in PARTS.items()]
        assert await keys(m) == []
        version = await complete(m, upload, named)
        md5s = b"".join(hashlib.md5(data).digest() for data in PARTS.values())
        assert version.etag == f"{hashlib.md5(md5s).hexdigest()}-3"
        assert await get(m, "big") == WHOLE
        # AWS: Complete may be repeated, when its answer was lost.
        assert (await complete(m, upload, named)).etag == version.etag
        reader = await m.store.open_object(BUCKET, KEY)
        middle = (PART_BYTES_MIN - 5, PART_BYTES_MIN + 5)
        assert await read_all(reader, *middle) == WHOLE[slice(*middle)]


async def test_a_part_sent_again_replaces_the_earlier_and_frees_it() -> None:
    async with memory_set(Scheme(3, 1), bracketing=0) as m:
        upload = await begin(m)
        await send(m, upload, 1, pattern(100, 1))
        await send(m, upload, 3, pattern(100, 3))
        last = await send(m, upload, 1, pattern(200, 2))
        await complete(m, upload, [last])
        assert await get(m, "big") == pattern(200, 2)
        assert all(len(drive.memory.files) == 1 for drive in m.drives)


@pytest.mark.parametrize("numbers", [(7,), (1, 7)])
async def test_an_empty_part_is_never_lacking(numbers: tuple[int, ...]) -> None:
    """AWS: "There is no minimum size limit on the last part of your multipart upload." """
    async with memory_set(Scheme(3, 1), bracketing=0) as m:
        upload = await begin(m)
        parts = {number: PARTS[number] if number != 7 else b"" for number in numbers}
        named = [await send(m, upload, number, data) for number, data in parts.items()]
        await complete(m, upload, named)
        for drive in m.drives:
            drive.pull()
            assert await get(m, "big") == b"".join(parts.values())
            drive.bring_back()
        location = await m.store.locate(BUCKET, KEY)
        assert [shard.state for shard in location.shards] == ["ok"] * 4
        m.drives[0].replace(m.clock)
        await m.walk(0, verify=True)
        for drive in m.drives[1:]:
            drive.pull()
            assert await get(m, "big") == b"".join(parts.values())
            drive.bring_back()


async def test_an_upload_that_one_drive_missed_is_not_taken_for_none() -> None:
    """With another drive away too few are left for now; 404 would tell clients to give up."""
    async with memory_set(Scheme(3, 1), bracketing=0) as m:
        m.drives[0].pull()
        upload = await begin(m)
        m.drives[0].bring_back()
        await send(m, upload, 1, pattern(10))
        m.drives[1].pull()
        with pytest.raises(WriteQuorumLost):
            await send(m, upload, 2, pattern(10))
        m.drives[1].bring_back()
        await send(m, upload, 2, pattern(10))
        await m.store.abort_upload(BUCKET, KEY, upload)
        with pytest.raises(RequestRefused, match="NoSuchUpload"):
            await send(m, upload, 2, pattern(10))


async def test_a_complete_does_not_rest_on_another_one_that_is_taken_back() -> None:
    """Two drives have the first one's object, and a third, which has not, is away."""
    async with memory_set(Scheme(2, 2), bracketing=0) as m:
        upload = await begin(m)
        named = [await send(m, upload, 1, pattern(10))]
        for drive in range(4):
            lost = AnswerLost() if drive < 2 else DriveOffline("away")
            m.drives[drive].rules += [on("Commit", lost), on("Undo", Late(0.1))]
        with pytest.raises(WriteQuorumLost):
            await complete(m, upload, named)
        for drive in range(4):
            m.drives[drive].rules.pop(0)
        m.drives[3].pull()
        with pytest.raises(WriteQuorumLost):
            await complete(m, upload, named)
        m.drives[3].bring_back()
        await asyncio.sleep(0.2)
        await complete(m, upload, named)
        assert await get(m, "big") == pattern(10)


@pytest.mark.parametrize("completes", [False, True])
async def test_an_upload_that_ended_while_a_drive_was_away_stays_ended(completes: bool) -> None:
    """AWS: "After a multipart upload is aborted, no additional parts can be uploaded using that
    upload ID. The storage consumed by any previously uploaded parts will be freed."
    """
    async with memory_set(Scheme(3, 1), bracketing=0) as m:
        upload = await begin(m)
        part = await send(m, upload, 1, pattern(100_000))
        m.drives[0].pull()
        if completes:
            await complete(m, upload, [part])
        else:
            await m.store.abort_upload(BUCKET, KEY, upload)
        m.drives[0].bring_back()
        everything = {"prefix": "", "delimiter": "", "after_key": "", "after_upload": ""}
        assert not (await m.store.list_uploads(BUCKET, **everything, limit=10)).uploads
        with pytest.raises(RequestRefused, match="NoSuchUpload"):
            await m.store.list_parts(BUCKET, KEY, upload, after=0, limit=10)
        m.clock.advance(SETTLE_AGE_S + 1)
        await m.walk(0)
        assert len(m.drives[0].memory.files) == completes
        if completes:
            assert await get(m, "big") == pattern(100_000)


async def test_abort_frees_everything() -> None:
    async with memory_set(Scheme(3, 1), bracketing=0) as m:
        upload = await begin(m)
        named = await send(m, upload, 1, pattern(100))
        await m.store.abort_upload(BUCKET, KEY, upload)
        assert not any(drive.memory.files for drive in m.drives)
        with pytest.raises(RequestRefused, match="NoSuchUpload"):
            await complete(m, upload, [named])
        with pytest.raises(RequestRefused, match="NoSuchUpload"):
            await send(m, upload, 2, pattern(100))


@pytest.mark.parametrize("first", range(3))
async def test_drives_that_miss_different_parts(first: int) -> None:
    async with memory_set(Scheme(3, 1), bracketing=0) as m:
        upload = await begin(m)
        named = []
        for number, data in PARTS.items():
            away = m.drives[(first + number) % 4]
            away.pull()
            named.append(await send(m, upload, number, data))
            away.bring_back()
        await complete(m, upload, named)
        assert await get(m, "big") == WHOLE
        for index in range(4):
            await m.walk(index)
        for drive in m.drives:
            drive.pull()
            assert await get(m, "big") == WHOLE
            drive.bring_back()


async def test_a_replaced_drive_gets_the_parts_of_uploads_in_progress() -> None:
    async with memory_set(Scheme(3, 1), bracketing=0) as m:
        upload = await begin(m)
        named = [await send(m, upload, number, data) for number, data in PARTS.items()]
        m.drives[0].replace(m.clock)
        await m.walk(0)
        m.drives[1].replace(m.clock)
        await m.walk(1)
        m.drives[2].pull()
        await complete(m, upload, named)
        assert await get(m, "big") == WHOLE


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [([2, 1], "InvalidPartOrder"), ([1, 1], "InvalidPartOrder"), ([5], "InvalidPart")],
)
async def test_a_wrong_list_is_refused(numbers: list[int], reason: str) -> None:
    async with memory_set(Scheme(3, 1), bracketing=0) as m:
        upload = await begin(m)
        etags = {n: (await send(m, upload, n, pattern(10, n))).etag for n in (1, 2)}
        with pytest.raises(RequestRefused, match=reason):
            await complete(m, upload, [NamedPart(n, etags.get(n, "0" * 32)) for n in numbers])
        with pytest.raises(RequestRefused, match="EntityTooSmall"):
            await complete(m, upload, [NamedPart(n, etags[n]) for n in (1, 2)])
        with pytest.raises(RequestRefused, match="InvalidPart"):
            await complete(m, upload, [NamedPart(1, "0" * 32)])


async def test_full_object_and_composite_checksums() -> None:
    async with memory_set(Scheme(3, 1), bracketing=0) as m:
        data = dict(enumerate(PARTS.values(), 1))
        for algorithm, kind in [
            ("", ""),
            ("CRC32", "FULL_OBJECT"),
            ("CRC64NVME", ""),
            ("SHA256", "COMPOSITE"),
        ]:
            upload = await begin(m, algorithm, kind)
            named = [await send(m, upload, n, part) for n, part in data.items()]
            version = await complete(m, upload, named)
            name = algorithm or "CRC64NVME"
            whole = Digests([name])
            whole.update(WHOLE)
            if kind == "COMPOSITE":
                assert version.checksums[name].endswith("-3")
                assert version.checksum_type == "COMPOSITE"
            else:
                assert version.checksums == {name: whole.encoded()[name]}
                assert version.checksum_type == "FULL_OBJECT"


async def test_a_part_keeps_the_checksum_its_client_sent() -> None:
    async with memory_set(Scheme(3, 1), bracketing=0) as m:
        upload = await begin(m)
        digests = Digests(["MD5", "SHA1", "SHA256"])
        digests.expect("SHA1", hashlib.sha1(b"x").digest())
        digests.expect("SHA256", hashlib.sha256(b"x").digest(), reason="XAmzContentSHA256Mismatch")
        result = await m.store.put_part(BUCKET, KEY, upload, 1, BytesBody(b"x"), digests=digests)
        assert set(result.part.checksums) == {"CRC64NVME", "SHA1"}


async def _part_without(m: MemorySet, drive: int, upload: UploadId) -> NamedPart:
    """Send a part that one drive misses."""
    m.drives[drive].pull()
    named = await send(m, upload, 1, PART)
    m.drives[drive].bring_back()
    return named


@pytest.mark.parametrize("scheme", [Scheme(2, 1), Scheme(3, 1), Scheme(4, 2)], ids=str)
async def test_a_complete_needs_every_part_on_w_of_the_drives_that_take_it(scheme: Scheme) -> None:
    """Where W drives have the record and fewer a part, nobody could read what was acknowledged."""
    async with memory_set(scheme, bracketing=0) as m:
        upload = await begin(m)
        for drive in m.drives[2 : 1 + scheme.m]:
            drive.pull()
        named = await _part_without(m, 0, upload)
        m.drives[1].pull()
        with pytest.raises(WriteQuorumLost, match="lacks 1"):
            await complete(m, upload, [named])
        m.drives[1].bring_back()
        await complete(m, upload, [named])
        assert await get(m, "big") == PART


async def test_a_drive_with_parts_takes_a_complete_that_it_missed() -> None:
    """Whoever completed it died when only drives had it that can not make the object."""
    async with memory_set(Scheme(2, 1), bracketing=0) as m:
        upload = await begin(m)
        named = await _part_without(m, 0, upload)
        m.drives[2].rules.append(on("Commit", DriveOffline("missed it")))
        for drive in m.drives:
            drive.rules.append(on("Undo", DriveOffline("nobody asks")))
        with pytest.raises(WriteQuorumLost):
            await complete(m, upload, [named])
        await m.idle()
        for drive in m.drives:
            drive.rules.clear()
        with pytest.raises(ReadQuorumLost):
            await get(m, "big")
        m.clock.advance(SETTLE_AGE_S + 1)
        for target in (2, 0, 1):
            with suppress(ReadQuorumLost):
                await heal_key(m.context, m.handle, BUCKET, KEY, frozenset({target}), verify=True)
        m.drives[1].pull()
        assert await get(m, "big") == PART
