"""Headers: what an object keeps, checksums, and what never goes back out."""

import base64
from urllib.parse import urlencode

import pytest

from objstore.errors import RequestRefused
from objstore.wire.digests import Digests
from objstore.wire.headers import (
    CHECKSUM_BYTES,
    CHECKSUM_TYPES,
    ChecksumClaim,
    decode_checksum,
    integer,
    object_headers,
    parameter,
    printable,
    read_checksum,
    read_content_md5,
    read_stored_headers,
    read_upload_checksum,
    read_user_metadata,
    text_of,
)
from tests.unit.s3.client import make_request

CRC = base64.b64encode(bytes(4)).decode()
SHA = base64.b64encode(bytes(32)).decode()


def reason_of(refusal: pytest.ExceptionInfo[RequestRefused]) -> str:
    return refusal.value.reason


def test_stored_headers() -> None:
    request = make_request(
        "PUT",
        "/bucket/key",
        {
            "Content-Type": "text/plain",
            "Cache-Control": "no-cache",
            "Content-Disposition": 'attachment; filename="ü"',
            "Content-Encoding": "aws-chunked,gzip",
            "Content-Language": "de",
            "Expires": "Thu, 01 Dec 1994 16:00:00 GMT",
            "Content-Length": "4",
            "X-Other": "x",
        },
    )
    assert read_stored_headers(request) == {
        "content-type": "text/plain",
        "cache-control": "no-cache",
        "content-disposition": 'attachment; filename="ü"',
        "content-encoding": "gzip",
        "content-language": "de",
        "expires": "Thu, 01 Dec 1994 16:00:00 GMT",
    }


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("aws-chunked", None),
        ("AWS-Chunked", None),
        ("gzip", "gzip"),
        ("gzip, aws-chunked", "gzip"),
        ("aws-chunked, gzip, br", "gzip,br"),
        ("", None),
    ],
)
def test_content_encoding_keeps_what_describes_the_object(sent: str, kept: str | None) -> None:
    request = make_request("PUT", "/bucket/key", {"Content-Encoding": sent})
    assert read_stored_headers(request).get("content-encoding") == kept


def test_content_type_has_a_default() -> None:
    # AWS says: "Default: binary/octet-stream"
    assert read_stored_headers(make_request("PUT", "/bucket/key")) == {
        "content-type": "binary/octet-stream"
    }


def test_user_metadata() -> None:
    request = make_request(
        "PUT",
        "/bucket/key?x-amz-meta-signed=q&X-Amz-Meta-Both=query",
        {"X-Amz-Meta-Name": "a b", "x-amz-meta-both": "header", "x-amz-meta-empty": ""},
    )
    assert read_user_metadata(request) == {
        "name": "a b",
        "both": "header",
        "empty": "",
        "signed": "q",
    }


def test_metadata_limit() -> None:
    def metadata(size: int) -> dict[str, str]:
        request = make_request("PUT", "/bucket/key", {"x-amz-meta-ab": "x" * (size - 2)})
        return read_user_metadata(request)

    assert metadata(2048)
    with pytest.raises(RequestRefused) as refusal:
        metadata(2049)
    assert reason_of(refusal) == "MetadataTooLarge"


@pytest.mark.parametrize("bad", ["a\rb", "a\nb", "a\x00b", "a\tb", "a\x7fb"])
def test_control_characters_never_come_back_in_a_header(bad: str) -> None:
    # R19, N102: reject CR/LF/control in stored metadata and overrides
    with pytest.raises(RequestRefused) as refusal:
        printable("x-amz-meta-a", bad)
    assert reason_of(refusal) == "InvalidArgument"


@pytest.mark.parametrize(
    "decoded",
    [
        "größe 日本".encode().decode("latin-1"),
        "größe 日本".encode().decode("utf-8", "surrogateescape"),
    ],
)
def test_text_of_a_header_however_it_was_decoded(decoded: str) -> None:
    assert text_of(decoded) == "größe 日本"


@pytest.mark.parametrize("how", ["latin-1", "utf-8"])
def test_bytes_that_are_no_utf8_are_latin1(how: str) -> None:
    decoded = b"gr\xf6\xdfe".decode(how, "surrogateescape" if how == "utf-8" else "strict")
    assert text_of(decoded) == "größe"


def test_response_headers() -> None:
    headers = object_headers({"content-type": "a/b"}, {"plain": "x", "name": "größe"})
    assert headers == {
        "Content-Type": "a/b",
        "x-amz-meta-plain": "x",
        "x-amz-meta-name": "=?UTF-8?B?Z3LDtsOfZQ==?=",
    }


def test_hoisted_parameters() -> None:
    # SDKs that presign put x-amz- headers into the query, where AWS honours them.
    request = make_request("PUT", "/bucket/key?X-Amz-Acl=private&acl-like=1")
    assert parameter(request, "x-amz-acl") == "private"
    assert parameter(request, "acl-like") is None
    assert parameter(request, "x-amz-storage-class") is None


@pytest.mark.parametrize(
    ("headers", "claim"),
    [
        ({}, ChecksumClaim()),
        ({"x-amz-checksum-crc32": CRC}, ChecksumClaim("CRC32", bytes(4))),
        (
            {"x-amz-checksum-sha256": SHA, "x-amz-sdk-checksum-algorithm": "SHA256"},
            ChecksumClaim("SHA256", bytes(32)),
        ),
        (
            {"x-amz-trailer": "x-amz-checksum-crc32c"},
            ChecksumClaim("CRC32C", None, trailing=True),
        ),
        (
            {
                "x-amz-trailer": "x-amz-checksum-crc64nvme",
                "x-amz-sdk-checksum-algorithm": "crc64nvme",
            },
            ChecksumClaim("CRC64NVME", None, trailing=True),
        ),
        ({"x-amz-checksum-mode": "ENABLED"}, ChecksumClaim()),
        ({"x-amz-checksum-algorithm": "xxhash64"}, ChecksumClaim("XXHASH64")),
        (
            {"x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-crc32": CRC},
            ChecksumClaim("CRC32", bytes(4)),
        ),
    ],
)
def test_checksum_claims(headers: dict[str, str], claim: ChecksumClaim) -> None:
    assert read_checksum(make_request("PUT", "/bucket/key", headers)) == claim


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_a_link_with_the_checksum_of_no_bytes_claims_nothing_about_the_body(algorithm: str) -> None:
    """The SDK for JavaScript makes them so by default; a header, or another value, is a claim."""
    header = f"x-amz-checksum-{algorithm.lower()}"
    nothing = base64.b64encode(Digests([algorithm]).value(algorithm)).decode()
    other = base64.b64encode(b"x" * CHECKSUM_BYTES[algorithm]).decode()

    def of_link(value: str) -> ChecksumClaim:
        query = urlencode({header: value, "x-amz-sdk-checksum-algorithm": algorithm})
        return read_checksum(make_request("PUT", f"/bucket/key?{query}"))

    assert of_link(nothing) == ChecksumClaim(algorithm)
    assert of_link(other).value == b"x" * CHECKSUM_BYTES[algorithm]
    with pytest.raises(RequestRefused):
        of_link("AAAA")
    claimed = read_checksum(make_request("PUT", "/bucket/key", {header: nothing}))
    assert claimed.value == base64.b64decode(nothing)


@pytest.mark.parametrize(
    "headers",
    [
        # Case N077: two algorithms; in header and trailer
        {"x-amz-checksum-crc32": CRC, "x-amz-checksum-sha256": SHA},
        {"x-amz-checksum-crc32": CRC, "x-amz-trailer": "x-amz-checksum-crc32"},
        {"x-amz-trailer": "x-amz-checksum-crc32,x-amz-checksum-sha1"},
        {"x-amz-checksum-crc32": "AAAA"},
        {"x-amz-checksum-crc32": SHA},
        {"x-amz-checksum-crc32": "not base64!"},
        {"x-amz-checksum-crc32": ""},
        {"x-amz-sdk-checksum-algorithm": "CRC32"},
        {"x-amz-sdk-checksum-algorithm": "CRC16", "x-amz-checksum-crc32": CRC},
        {"x-amz-sdk-checksum-algorithm": "SHA1", "x-amz-checksum-crc32": CRC},
        {"x-amz-checksum-algorithm": "SHA1", "x-amz-checksum-crc32": CRC},
        {"x-amz-checksum-algorithm": "SHA1", "x-amz-trailer": "x-amz-checksum-crc32"},
        {"x-amz-checksum-algorithm": "CRC16"},
    ],
)
def test_checksum_refusals(headers: dict[str, str]) -> None:
    with pytest.raises(RequestRefused) as refusal:
        read_checksum(make_request("PUT", "/bucket/key", headers))
    assert reason_of(refusal) == "InvalidRequest"


@pytest.mark.parametrize("algorithm", CHECKSUM_BYTES)
def test_checksum_lengths(algorithm: str) -> None:
    size = CHECKSUM_BYTES[algorithm]
    assert decode_checksum(algorithm, base64.b64encode(bytes(size)).decode()) == bytes(size)
    for wrong in (size - 1, size + 1):
        with pytest.raises(RequestRefused):
            decode_checksum(algorithm, base64.b64encode(bytes(wrong)).decode())


def test_content_md5() -> None:
    def read(value: str) -> bytes | None:
        return read_content_md5(make_request("PUT", "/bucket/key", {"Content-MD5": value}))

    assert read_content_md5(make_request("PUT", "/bucket/key")) is None
    assert read(base64.b64encode(bytes(16)).decode()) == bytes(16)
    for bad in ("", "x", "AAAA", base64.b64encode(bytes(17)).decode(), "é" * 24):
        with pytest.raises(RequestRefused) as refusal:
            read(bad)
        assert reason_of(refusal) == "InvalidDigest"  # N078


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, ("", "")),
        ({"x-amz-checksum-algorithm": "crc32"}, ("CRC32", "COMPOSITE")),
        ({"x-amz-checksum-algorithm": "CRC64NVME"}, ("CRC64NVME", "FULL_OBJECT")),
        (
            {"x-amz-checksum-algorithm": "CRC32C", "x-amz-checksum-type": "FULL_OBJECT"},
            ("CRC32C", "FULL_OBJECT"),
        ),
    ],
)
def test_upload_checksum(headers: dict[str, str], expected: tuple[str, str]) -> None:
    assert read_upload_checksum(make_request("POST", "/b-ucket/key?uploads", headers)) == expected


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-checksum-algorithm": "MD4"},
        {"x-amz-checksum-type": "FULL_OBJECT"},
        {"x-amz-checksum-algorithm": "SHA256", "x-amz-checksum-type": "FULL_OBJECT"},
        {"x-amz-checksum-algorithm": "CRC64NVME", "x-amz-checksum-type": "COMPOSITE"},
        {"x-amz-checksum-algorithm": "XXHASH3", "x-amz-checksum-type": "FULL_OBJECT"},
        {"x-amz-checksum-algorithm": "MD5", "x-amz-checksum-type": "FULL_OBJECT"},
        {"x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": "OTHER"},
    ],
)
def test_upload_checksum_refusals(headers: dict[str, str]) -> None:
    with pytest.raises(RequestRefused) as refusal:
        read_upload_checksum(make_request("POST", "/b-ucket/key?uploads", headers))
    assert reason_of(refusal) == "InvalidRequest"


def test_every_algorithm_has_its_types() -> None:
    assert set(CHECKSUM_TYPES) == set(CHECKSUM_BYTES)


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", " 1", "1 ", "1_0", "0x1", "1.0", "\u0661", "9" * 20]
)
def test_integers_have_a_grammar(text: str) -> None:
    with pytest.raises(RequestRefused) as refusal:
        integer("max-keys", text, least=0, most=10**18)
    assert reason_of(refusal) == "InvalidArgument"  # N116


def test_integer_bounds() -> None:
    assert integer("n", "007", least=1, most=7) == 7
    for text in ("0", "8"):
        with pytest.raises(RequestRefused):
            integer("n", text, least=1, most=7)
