"""What a Complete must say about its upload, by AWS's documentation of the request."""

import base64
import hashlib
from typing import Any

import pytest

from objstore.engine.completion import completion
from objstore.engine.ports import CompleteRequest, NamedPart
from objstore.errors import RequestRefused
from objstore.limits import PART_BYTES_MIN
from objstore.names import NO_STAMP, BucketName, DataId, ObjectKey, UploadId
from objstore.ondisk.record import Part, Upload, UploadedPart
from objstore.wire.digests import Digests, encode

BUCKET, KEY, UPLOAD = BucketName("bucket"), ObjectKey("key"), UploadId("u")
DATA = {1: b"a" * PART_BYTES_MIN, 2: b"b" * PART_BYTES_MIN, 3: b"c"}
WHOLE = b"".join(DATA.values())


def digest(algorithm: str, data: bytes) -> str:
    digests = Digests([algorithm])
    digests.update(data)
    return encode(digests.value(algorithm))


def composite(algorithm: str) -> str:
    joined = b"".join(base64.b64decode(digest(algorithm, data)) for data in DATA.values())
    return f"{digest(algorithm, joined)}-3"


def upload_of(algorithm: str, kind: str) -> Upload:
    return Upload(
        UPLOAD, BUCKET, KEY, NO_STAMP, 0, 1, 0, (0,), 1 << 20,
        checksum_algorithm=algorithm, checksum_type=kind,
    )  # fmt: skip


def held(*algorithms: str, numbers: dict[int, bytes] = DATA) -> dict[int, UploadedPart]:
    return {
        number: UploadedPart(
            UPLOAD,
            NO_STAMP,
            0,
            Part(
                number,
                len(data),
                hashlib.md5(data).hexdigest(),
                DataId(b""),
                {name: digest(name, data) for name in algorithms},
            ),
        )
        for number, data in numbers.items()
    }


def named(
    parts: dict[int, UploadedPart], *algorithms: str, without: int = 0
) -> tuple[NamedPart, ...]:
    return tuple(
        NamedPart(
            number,
            one.part.etag,
            {name: one.part.checksums[name] for name in algorithms if number != without},
        )
        for number, one in parts.items()
    )


def ask(parts: tuple[NamedPart, ...], **more: Any) -> CompleteRequest:
    return CompleteRequest(BUCKET, KEY, UPLOAD, parts, **more)


def refused(upload: Upload, parts: dict[int, UploadedPart], request: CompleteRequest) -> str:
    with pytest.raises(RequestRefused) as refusal:
        completion(upload, parts, request)
    return refusal.value.reason


@pytest.mark.parametrize(
    ("algorithm", "kind", "value"),
    [
        ("", "", digest("CRC64NVME", WHOLE)),
        ("CRC64NVME", "FULL_OBJECT", digest("CRC64NVME", WHOLE)),
        ("CRC32", "FULL_OBJECT", digest("CRC32", WHOLE)),
        ("CRC32C", "COMPOSITE", composite("CRC32C")),
        ("SHA512", "COMPOSITE", composite("SHA512")),
        ("MD5", "COMPOSITE", composite("MD5")),
        ("XXHASH3", "COMPOSITE", composite("XXHASH3")),
    ],
)
def test_the_checksum_of_the_whole(algorithm: str, kind: str, value: str) -> None:
    """AWS: x-amz-checksum-type "determines how part-level checksums are combined"."""
    name = algorithm or "CRC64NVME"
    upload, parts = upload_of(algorithm, kind), held(name)
    whole_kind = kind or "FULL_OBJECT"
    for sent in ({}, {name: value}, {name: value.partition("-")[0]}):
        request = ask(named(parts, name), checksums=sent, checksum_type=whole_kind, size=len(WHOLE))
        made = completion(upload, parts, request)
        assert (made.checksums, made.checksum_type) == ({name: value}, whole_kind)
        assert made.size == len(WHOLE)
    wrong = digest(name, b"other")
    assert refused(upload, parts, ask(named(parts, name), checksums={name: wrong})) == "BadDigest"
    for malformed in ("bad", "", f"{value}x", digest("SHA1", b"")):
        request = ask(named(parts, name), checksums={name: malformed})
        assert refused(upload, parts, request) == "InvalidRequest"


def test_a_composite_value_for_another_count_of_parts() -> None:
    upload, parts = upload_of("SHA256", "COMPOSITE"), held("SHA256")
    value = composite("SHA256").replace("-3", "-2")
    request = ask(named(parts, "SHA256"), checksums={"SHA256": value})
    assert refused(upload, parts, request) == "BadDigest"


def test_a_composite_upload_needs_the_checksum_of_each_part() -> None:
    """AWS: "The complete request must include the checksum for each part."."""
    upload, parts = upload_of("SHA256", "COMPOSITE"), held("SHA256")
    with pytest.raises(RequestRefused, match="missing for part 2") as refusal:
        completion(upload, parts, ask(named(parts, "SHA256", without=2)))
    assert refusal.value.reason == "InvalidRequest"
    # A checksum of the whole object needs none.
    for algorithm, kind in (("CRC32", "FULL_OBJECT"), ("", "")):
        parts = held(algorithm or "CRC64NVME")
        assert completion(upload_of(algorithm, kind), parts, ask(named(parts))).checksums


def test_the_checksum_of_a_part_that_is_wrong() -> None:
    """AWS: InvalidPart, "one or more of the specified parts could not be found"; before whatever
    else is wrong with the request.
    """
    upload, parts = upload_of("SHA256", "COMPOSITE"), held("SHA256")
    for value in ("bad", digest("SHA256", b"other")):
        first, *rest = named(parts, "SHA256")
        wrong = NamedPart(first.number, first.etag, {"SHA256": value})
        request = ask((wrong, *rest), checksums={"SHA256": "bad"})
        assert refused(upload, parts, request) == "InvalidPart"


def test_checksums_that_the_upload_has_not() -> None:
    """AWS: "Checksum Type mismatch occurred, expected checksum Type: ..."."""
    upload, parts = upload_of("SHA256", "COMPOSITE"), held("SHA256")
    ok = named(parts, "SHA256")
    foreign = (NamedPart(1, ok[0].etag, {"CRC32": digest("CRC32", DATA[1])}), *ok[1:])
    for request in (
        ask(foreign),
        ask(ok, checksums={"CRC32": digest("CRC32", WHOLE)}),
        ask(ok, checksum_algorithm="CRC32"),
    ):
        with pytest.raises(RequestRefused, match="expected checksum Type: sha256") as refusal:
            completion(upload, parts, request)
        assert refusal.value.reason == "InvalidRequest"
    assert completion(upload, parts, ask(ok, checksum_algorithm="SHA256")).parts


def test_a_part_of_an_upload_without_an_algorithm_may_have_brought_its_own() -> None:
    upload, parts = upload_of("", ""), held("CRC64NVME", "SHA1")
    made = completion(upload, parts, ask(named(parts, "SHA1")))
    assert set(made.checksums) == {"CRC64NVME"}
    wrong = tuple(NamedPart(p.number, p.etag, {"SHA1": "x"}) for p in named(parts))
    assert refused(upload, parts, ask(wrong)) == "InvalidPart"


@pytest.mark.parametrize(
    ("algorithm", "kind", "sent"),
    [
        ("", "", "COMPOSITE"),
        ("CRC32", "FULL_OBJECT", "COMPOSITE"),
        ("SHA1", "COMPOSITE", "FULL_OBJECT"),
    ],
)
def test_another_type_than_the_upload_s(algorithm: str, kind: str, sent: str) -> None:
    """AWS: "If the checksum type doesn't match the checksum type that was specified for the
    object during the CreateMultipartUpload request, it'll result in a BadDigest error."
    """
    name = algorithm or "CRC64NVME"
    parts = held(name)
    request = ask(named(parts, name), checksum_type=sent)
    assert refused(upload_of(algorithm, kind), parts, request) == "BadDigest"


@pytest.mark.parametrize("numbers", [(1, 3), (2, 3), (3,)])
def test_parts_with_additional_checksums_are_consecutive(numbers: tuple[int, ...]) -> None:
    """AWS: "when a additional checksum [...] is applied to each part, the PartNumber must start
    at 1 and the part numbers must be consecutive. Otherwise [...] InvalidPartOrder".
    """
    for algorithm, kind in (("SHA256", "COMPOSITE"), ("CRC32", "FULL_OBJECT")):
        parts = held(algorithm, numbers={number: DATA[number] for number in numbers})
        upload = upload_of(algorithm, kind)
        assert refused(upload, parts, ask(named(parts, algorithm))) == "InvalidPartOrder"
    parts = held("CRC64NVME", numbers={number: DATA[number] for number in numbers})
    assert completion(upload_of("", ""), parts, ask(named(parts))).parts


@pytest.mark.parametrize("size", [0, len(WHOLE) - 1, len(WHOLE) + 1])
def test_another_size(size: int) -> None:
    """AWS: "If there's a mismatch between the specified object size value and the actual object
    size value, it results in an HTTP 400 InvalidRequest error."
    """
    parts = held("CRC64NVME")
    assert refused(upload_of("", ""), parts, ask(named(parts), size=size)) == "InvalidRequest"


def test_parts_from_before_the_default_checksum() -> None:
    upload, parts = upload_of("", ""), held()
    made = completion(upload, parts, ask(named(parts)))
    assert (made.checksums, made.checksum_type) == ({}, "")
    request = ask(named(parts), checksums={"CRC64NVME": digest("CRC64NVME", WHOLE)})
    assert refused(upload, parts, request) == "InvalidRequest"
