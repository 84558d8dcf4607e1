"""Under a customer's key: what lies on the drives, and what stays exact above it."""

import base64
import hashlib
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from objstore.background.heal_queue import heal_missed_once
from objstore.engine.ports import Attributes, CompleteRequest, NamedPart
from objstore.errors import RequestRefused
from objstore.limits import PART_BYTES_MIN, STRIPE_BYTES
from objstore.names import ObjectKey, Scheme
from objstore.ondisk.encryption import Keystream, is_key_of
from objstore.ondisk.record import Version
from objstore.testing.memory_set import BUCKET, MemorySet, memory_set
from objstore.wire.customer_key import CustomerKey
from objstore.wire.digests import Digests, combine_checksums
from tests.unit.engine.bodies import BytesBody, get, pattern, read_all

SECRET = bytes(range(32))
KEY = CustomerKey(SECRET, base64.b64encode(hashlib.md5(SECRET).digest()).decode())
UNDER_KEY = Attributes(
    customer_key=KEY, checksum_algorithms=("CRC64NVME",), checksum_type="FULL_OBJECT"
)
SIZES = (0, 1, 15, 16, 17, 40_000, STRIPE_BYTES - 1, STRIPE_BYTES, 2 * STRIPE_BYTES + 7)


def crc64(data: bytes) -> str:
    digests = Digests(("CRC64NVME",))
    digests.update(data)
    return digests.encoded()["CRC64NVME"]


async def put(m: MemorySet, key: str, data: bytes, piece: int = 100_000) -> Version:
    version = await m.store.put_object(
        BUCKET,
        ObjectKey(key),
        BytesBody(data, piece),
        attributes=UNDER_KEY,
        digests=Digests(["CRC64NVME"]),
    )
    await m.idle()
    return version


async def get_with_key(m: MemorySet, key: str, start: int = 0, stop: int | None = None) -> bytes:
    found = await m.store.open_object(BUCKET, ObjectKey(key))
    return await read_all(m.store.decrypted(found, KEY), start, stop)


def slowly(version: Version, plain: bytes) -> bytes:
    """The twin: the ciphertext of each part, computed in one go."""
    out, begin = b"", 0
    for part in version.parts:
        out += Keystream(SECRET, part.salt).apply(plain[begin : begin + part.size])
        begin += part.size
    return out


@pytest.mark.parametrize("size", SIZES)
async def test_what_is_stored_is_ciphertext_of_the_same_size(size: int) -> None:
    plain = pattern(size)
    async with memory_set(Scheme(3, 1)) as m:
        version = await put(m, "k", plain, piece=999_983)
        assert version.size == size
        stored = await get(m, "k")
        assert stored == slowly(version, plain)
        assert is_key_of(SECRET, version.encryption)
        # AWS: objects encrypted by SSE-C "have ETags that are not an MD5 digest of their object
        # data".
        assert version.etag == hashlib.md5(stored).hexdigest()
        assert version.checksums == {"CRC64NVME": crc64(plain)}
        assert await get_with_key(m, "k") == plain


async def test_the_same_data_twice_has_nothing_in_common() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        one, other = await put(m, "one", bytes(1000)), await put(m, "other", bytes(1000))
        assert one.etag != other.etag
        assert one.encryption != other.encryption
        assert one.parts[0].salt != other.parts[0].salt
        assert await get(m, "one") != await get(m, "other")


async def test_promises_are_held_against_the_plaintext() -> None:
    """Content-MD5 and checksums speak of what the client sent."""
    plain = pattern(300_000)
    async with memory_set(Scheme(3, 1)) as m:
        for data in (plain, plain + b"x"):
            digests = Digests(["MD5", "CRC64NVME"])
            digests.expect_content_md5(hashlib.md5(plain).digest())
            digests.expect("CRC64NVME", base64.b64decode(crc64(plain)))
            body = BytesBody(data)
            done = m.store.put_object(
                BUCKET, ObjectKey("k"), body, attributes=UNDER_KEY, digests=digests
            )
            if data == plain:
                await done
                continue
            with pytest.raises(RequestRefused, match="BadDigest"):
                await done
        assert await get_with_key(m, "k") == plain


async def upload(m: MemorySet, key: str, parts: list[bytes]) -> Version:
    name = ObjectKey(key)
    begun = await m.store.create_upload(BUCKET, name, attributes=Attributes(customer_key=KEY))
    named = []
    for number, data in enumerate(parts, 1):
        result = await m.store.put_part(
            BUCKET,
            name,
            begun.upload_id,
            number,
            BytesBody(data),
            digests=Digests(()),
            customer_key=KEY,
        )
        assert result.part.etag != hashlib.md5(data).hexdigest()
        named.append(NamedPart(number, result.part.etag))
    version = await m.store.complete_upload(
        CompleteRequest(BUCKET, name, begun.upload_id, tuple(named))
    )
    await m.idle()
    assert version.encryption == begun.encryption
    return version


PARTS = [pattern(PART_BYTES_MIN, 1), pattern(PART_BYTES_MIN + 5, 2), pattern(33, 3)]
WHOLE = b"".join(PARTS)


async def test_parts_have_keys_of_their_own() -> None:
    async with memory_set(Scheme(3, 1), bracketing=0) as m:
        version = await upload(m, "big", PARTS)
        assert len({part.salt for part in version.parts}) == 3
        assert await get(m, "big") == slowly(version, WHOLE)
        assert await get_with_key(m, "big") == WHOLE
        md5s = b"".join(bytes.fromhex(part.etag) for part in version.parts)
        assert version.etag == f"{hashlib.md5(md5s).hexdigest()}-3"
        sums = [(crc64(data), len(data)) for data in PARTS]
        assert version.checksums == {"CRC64NVME": combine_checksums("CRC64NVME", sums)}


async def test_any_range_of_parts_decrypts() -> None:
    async with memory_set(Scheme(3, 1), bracketing=0) as m:
        await upload(m, "big", PARTS)
        drawn = random.Random(5)
        near = [0, 1, 16, STRIPE_BYTES, len(PARTS[0]), len(PARTS[0]) + len(PARTS[1]), len(WHOLE)]
        for _ in range(60):
            bounds = sorted(
                min(max(drawn.choice(near) + drawn.randint(-40, 40), 0), len(WHOLE))
                for _ in range(2)
            )
            assert await get_with_key(m, "big", *bounds) == WHOLE[slice(*bounds)], bounds


@given(st.binary(min_size=1, max_size=200), st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
async def test_any_range_of_a_small_object(plain: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(plain)))
    stop = data.draw(st.integers(start, len(plain)))
    async with memory_set(Scheme(1, 1), bracketing=0) as m:
        await put(m, "k", plain, piece=data.draw(st.integers(1, 50)))
        assert await get_with_key(m, "k", start, stop) == plain[start:stop]


async def test_a_lost_drive_is_rebuilt_without_the_key() -> None:
    async with memory_set(Scheme(3, 1), bracketing=0) as m:
        sizes = {"empty": 0, "inline": 100, "file": STRIPE_BYTES + 9}
        for key, size in sizes.items():
            await put(m, key, pattern(size))
        await upload(m, "parts", PARTS)
        m.drives[1].pull()
        m.drives[1].replace(m.clock)
        await m.walk(1)
        for drive in m.drives:  # each in turn: the rebuilt one has to carry its share
            drive.pull()
            for key, size in sizes.items():
                assert await get_with_key(m, key) == pattern(size)
            assert await get_with_key(m, "parts") == WHOLE
            drive.bring_back()


async def test_what_was_written_with_more_parity_is_coded_again_without_the_key() -> None:
    async with memory_set(Scheme(3, 1), bracketing=0) as m:
        m.drives[3].pull()
        before = await put(m, "k", pattern(STRIPE_BYTES + 9))
        parts = await upload(m, "parts", PARTS)
        assert before.scheme == parts.scheme == Scheme(2, 2)
        m.drives[3].bring_back()
        assert await heal_missed_once(m.background, m.handle) == 2
        await m.idle()
        for key, old in (("k", before), ("parts", parts)):
            now = (await m.store.open_object(BUCKET, ObjectKey(key))).version
            assert now.scheme == Scheme(3, 1)
            assert (now.encryption, now.etag) == (old.encryption, old.etag)
            assert [part.salt for part in now.parts] == [part.salt for part in old.parts]
        assert await get_with_key(m, "k") == pattern(STRIPE_BYTES + 9)
        assert await get_with_key(m, "parts") == WHOLE


async def test_nobody_writes_to_an_upload_without_its_key() -> None:
    """The handlers refuse it; the engine holds that they do, for such a part would be lost."""
    async with memory_set(Scheme(3, 1), bracketing=0) as m:
        for begun, key in ((KEY, None), (None, KEY)):
            name = ObjectKey("k")
            made = await m.store.create_upload(
                BUCKET, name, attributes=Attributes(customer_key=begun)
            )
            with pytest.raises(AssertionError):
                await m.store.put_part(
                    BUCKET,
                    name,
                    made.upload_id,
                    1,
                    BytesBody(b"x"),
                    digests=Digests(["MD5"]),
                    customer_key=key,
                )
