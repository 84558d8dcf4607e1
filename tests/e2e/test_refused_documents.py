"""XML, parameters and framing that are wrong, too large, or made to hurt a parser."""

import base64
import hashlib
import socket
import time
from dataclasses import replace

import pytest

from tests.e2e.raw_http import Shot, Signer, read_answer, send
from tests.e2e.refusals import PRESENT, Row, Target, check_row, new_target
from tests.e2e.running import Cluster

BAD_XML = "400 MalformedXML"
BAD_ARGUMENT = "400 InvalidArgument"
DTD = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY l0 "ha">'
    + b"".join(b'<!ENTITY l%d "%s">' % (i, b"&l%d;" % (i - 1) * 10) for i in range(1, 30))
    + b"]>"
)


def delete(target: Target, document: bytes, *, md5: bool = True) -> Shot:
    """Return a signed DeleteObjects with this document."""
    shot = replace(target.shot("POST", None, document), query="delete")
    if md5:
        digest = hashlib.md5(document, usedforsecurity=False).digest()
        shot = shot.adding("Content-MD5", base64.b64encode(digest).decode())
    return Signer().sign(shot)


def keys(count: int) -> bytes:
    item = b"<Object><Key>present</Key></Object>"
    return b"<Delete>" + item * count + b"</Delete>"


def complete(target: Target, document: bytes, *, parts: int = 1, size: int = 10) -> Shot:
    """Return a signed Complete of an upload with some small parts."""
    listed = target.client.list_multipart_uploads(Bucket=target.bucket).get("Uploads", [])
    mine = [item for item in listed if item["Key"] == f"upload-{parts}"]
    if mine:
        upload_id = mine[0]["UploadId"]
    else:
        raise AssertionError(f"no upload with {parts} parts of {size}")
    shot = target.shot("POST", f"upload-{parts}", document)
    return Signer().sign(replace(shot, query=f"uploadId={upload_id}"))


def part(number: object, etag: str = '"d41d8cd98f00b204e9800998ecf8427e"') -> bytes:
    return f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>".encode()


def parts(*items: bytes) -> bytes:
    return b"<CompleteMultipartUpload>" + b"".join(items) + b"</CompleteMultipartUpload>"


TEN = '"' + hashlib.md5(b"0123456789", usedforsecurity=False).hexdigest() + '"'


def query(text: str, key: str | None = None, method: str = "GET") -> Row:
    """Return a row for a listing parameter that is wrong."""
    return Row(
        f"N116 {method} {text}",
        lambda t: Signer().sign(replace(t.shot(method, key), query=text)),
        BAD_ARGUMENT,
    )


ROWS = [
    Row("N110 DTD", lambda t: delete(t, DTD + keys(1)), BAD_XML),
    Row(
        "N110 entity",
        lambda t: delete(t, DTD + b"<Delete><Object><Key>&x;</Key></Object></Delete>"),
        BAD_XML,
    ),
    Row("N110 entity in Complete", lambda t: complete(t, DTD + parts(part("&x;"))), BAD_XML),
    Row("N111 laughs", lambda t: delete(t, LAUGHS + b"<Delete>&l29;</Delete>"), BAD_XML),
    Row("N112 10 MB", lambda t: delete(t, keys(300_000)), f"{BAD_XML} | 400 EntityTooLarge"),
    Row("N112 depth", lambda t: delete(t, b"<a>" * 10_000 + b"</a>" * 10_000), BAD_XML),
    Row("N112 1,001 keys", lambda t: delete(t, keys(1001)), BAD_XML),
    Row("N112 no keys", lambda t: delete(t, b"<Delete></Delete>"), BAD_XML),
    Row("N112 empty body", lambda t: delete(t, b""), f"{BAD_XML} | 400 MissingRequestBodyError"),
    Row("N112 not XML", lambda t: delete(t, b"{}"), BAD_XML),
    Row("N112 another document", lambda t: delete(t, b"<Tagging></Tagging>"), BAD_XML),
    Row("N112 not UTF-8", lambda t: delete(t, b"<Delete>\xff</Delete>"), BAD_XML),
    Row("N113 empty Complete", lambda t: complete(t, b""), f"{BAD_XML} | 400 InvalidRequest"),
    Row("N113 no parts", lambda t: complete(t, parts()), BAD_XML),
    Row("N113 unknown part", lambda t: complete(t, parts(part(7))), "400 InvalidPart"),
    Row("N113 another ETag", lambda t: complete(t, parts(part(1))), "400 InvalidPart"),
    Row(
        "N113 wrong order",
        lambda t: complete(t, parts(part(2, TEN), part(1, TEN)), parts=2),
        "400 InvalidPartOrder",
    ),
    Row(
        "N113 a part twice",
        lambda t: complete(t, parts(part(1, TEN), part(1, TEN)), parts=2),
        "400 InvalidPartOrder",
    ),
    Row(
        "N113 small part",
        lambda t: complete(t, parts(part(1, TEN), part(2, TEN)), parts=2),
        "400 EntityTooSmall",
    ),
    Row("N113 part 0", lambda t: complete(t, parts(part(0))), f"{BAD_ARGUMENT} | {BAD_XML}"),
    Row("N113 part -1", lambda t: complete(t, parts(part(-1))), f"{BAD_ARGUMENT} | {BAD_XML}"),
    Row(
        "N113 part 10001", lambda t: complete(t, parts(part(10_001))), f"{BAD_ARGUMENT} | {BAD_XML}"
    ),
    Row("N113 part 0x1", lambda t: complete(t, parts(part("0x1"))), f"{BAD_ARGUMENT} | {BAD_XML}"),
    Row("N114 no digest", lambda t: delete(t, keys(1), md5=False), "400 InvalidRequest"),
    *(
        Row(
            f"N115 {value}",
            lambda t, value=value: Signer().sign(t.shot().adding("Range", value)),  # type: ignore[misc]
            "416 InvalidRange",
        )
        for value in ("bytes=1000-", "bytes=1000-2000", f"bytes={10**30}-", "bytes=-0")
    ),
    query("max-keys=-1"),
    query("max-keys=abc"),
    query("max-keys=0x10"),
    query("max-keys=%2B5"),
    query("max-keys=1_0"),
    query("list-type=2&max-keys=-1"),
    query("list-type=2&continuation-token=%00"),
    query("list-type=2&continuation-token=garbage"),
    query("encoding-type=gzip"),
    query("uploads&max-uploads=-1"),
    query("partNumber=0&uploadId=abc", "present", "PUT"),
    query("partNumber=10001&uploadId=abc", "present", "PUT"),
    query("partNumber=0x1&uploadId=abc", "present", "PUT"),
]


@pytest.fixture(scope="module")
def target(cluster: Cluster) -> Target:
    made = new_target(cluster)
    for count in (1, 2):
        key = f"upload-{count}"
        upload = made.client.create_multipart_upload(Bucket=made.bucket, Key=key)
        for number in range(1, count + 1):
            made.client.upload_part(
                Bucket=made.bucket,
                Key=key,
                UploadId=upload["UploadId"],
                PartNumber=number,
                Body=b"0123456789",
            )
    return made


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name.replace(" ", "-"))
def test_a_wrong_document_is_refused(target: Target, row: Row) -> None:
    began = time.monotonic()
    check_row(target, row)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("value", ["bytes=10-5", "bytes=a-b", "lines=1-2", "bytes=", "bytes"])
def test_a_range_that_says_nothing_is_ignored(target: Target, value: str) -> None:
    """N115, RFC 9110: a Range that does not parse is as if it were not there."""
    shot = Signer().sign(target.shot().adding("Range", value))
    answer = send(target.cluster.address(0), shot)
    assert (answer.status, answer.body) == (200, PRESENT)


def test_a_thousand_ranges_are_bounded(target: Target) -> None:
    """N115: S3 has no multipart ranges; the whole object is the answer, or a refusal."""
    ranges = "bytes=" + ",".join(f"{i}-{i}" for i in range(1000))
    answer = send(target.cluster.address(0), Signer().sign(target.shot().adding("Range", ranges)))
    assert answer.status in (200, 400, 416)
    assert len(answer.body) < 10_000


@pytest.mark.parametrize("name", ["If-Match", "If-None-Match", "Accept", "Range"])
def test_a_header_made_to_hurt_a_parser_is_fast(target: Target, name: str) -> None:
    """N117: no regular expression of ours backtracks."""
    for value in ("a" * 8000, '"' * 8000, ("," * 4000) + '"', "bytes=" + "1-," * 2000):
        began = time.monotonic()
        answer = send(target.cluster.address(0), Signer().sign(target.shot().adding(name, value)))
        assert time.monotonic() - began < 1
        assert answer.status in (200, 304, 400, 412, 416), answer


SMUGGLING = {
    "content-length and transfer-encoding": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "two content-lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n",
    "negative content-length": b"Content-Length: -5\r\n",
    "content-length with a plus": b"Content-Length: +5\r\n",
    "content-length in hex": b"Content-Length: 0x5\r\n",
    "unknown transfer-encoding": b"Transfer-Encoding: xchunked\r\n",
    "folded header": b"Content-Length: 5\r\nX-A: b\r\n c\r\n",
    "space before the colon": b"Content-Length : 5\r\n",
    "NUL in a header": b"Content-Length: 5\r\nX-A: a\x00b\r\n",
    "bare CR": b"Content-Length: 5\r\nX-A: a\rX-B: b\r\n",
    "over-long header": b"Content-Length: 5\r\nX-A: " + b"a" * 100_000 + b"\r\n",
    "thousands of headers": b"Content-Length: 5\r\n" + b"X-A: b\r\n" * 5_000,
}


@pytest.mark.parametrize("framing", SMUGGLING.values(), ids=SMUGGLING.keys())
def test_a_request_that_can_be_read_in_two_ways_runs_nothing(
    target: Target, framing: bytes
) -> None:
    """N118: what follows such a request is never executed, and the connection ends."""
    before = target.stored()
    inner = Signer().sign(target.shot("PUT", "smuggled", b"x")).encode()
    head = f"PUT /{target.bucket}/new HTTP/1.1\r\nHost: {target.host}\r\n".encode()
    data = head + framing + b"\r\nhello" + inner
    answers = exchange(target, data)
    assert b" 200 " not in answers, answers[:500]
    assert target.stored() == before


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET /\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\n\r\n",
        b"G\x00T / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"A" * 100_000,
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
    ids=["http2", "http09", "tls", "no-host", "nul", "no-line", "long-target"],
)
def test_what_is_not_http_gets_an_error_or_nothing(target: Target, data: bytes) -> None:
    answers = exchange(target, data)
    assert b" 200 " not in answers
    assert b"Traceback" not in answers
    assert target.stored()


def test_pipelined_requests_are_answered_in_order_or_refused(target: Target) -> None:
    """N118: a flood on one connection harms nobody."""
    one = Signer().sign(target.shot()).with_header("Connection", "keep-alive").encode()
    with socket.create_connection(target.cluster.address(0), timeout=30) as connection:
        connection.sendall(one * 200)
        for _ in range(20):
            assert read_answer(connection).body == PRESENT
            break  # the parser of the standard library reads ahead: one answer is enough
    assert send(target.cluster.address(0), Signer().sign(target.shot())).body == PRESENT


def exchange(target: Target, data: bytes) -> bytes:
    """Send bytes, say that nothing more comes, and return all that comes back."""
    answers = bytearray()
    with socket.create_connection(target.cluster.address(0), timeout=15) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65_536):
                answers += piece
        except (ConnectionError, TimeoutError):
            pass
    return bytes(answers)
