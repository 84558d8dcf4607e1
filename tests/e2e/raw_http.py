"""Requests as bytes on a socket, and a second, independent SigV4 that a test can break anywhere.

Nothing here repairs or checks what it is given: a test builds a request, changes what it wants
to break, and sends exactly that.
"""

import base64
import datetime as dt
import hashlib
import hmac
import http.client
import re
import socket
import time
import urllib.parse
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import xxhash
from awscrt import checksums

from tests.e2e.credentials import ACCESS_KEY, REGION, SECRET_KEY

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"
SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_CHUNKS_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


@dataclass(frozen=True)
class Shot:
    """One request, as it goes over the wire."""

    method: str = "GET"
    path: str = "/"
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    version: str = "HTTP/1.1"

    def header(self, name: str) -> str | None:
        """Return the first value of a header."""
        return next((value for key, value in self.headers if key.lower() == name), None)

    def with_header(self, name: str, value: str) -> "Shot":
        """Return the request with this header instead of any of that name."""
        kept = tuple(item for item in self.headers if item[0].lower() != name.lower())
        return replace(self, headers=(*kept, (name, value)))

    def adding(self, name: str, value: str) -> "Shot":
        """Return the request with one more header."""
        return replace(self, headers=(*self.headers, (name, value)))

    def without(self, name: str) -> "Shot":
        """Return the request without a header."""
        kept = tuple(item for item in self.headers if item[0].lower() != name.lower())
        return replace(self, headers=kept)

    def encode(self) -> bytes:
        """Return the bytes; Content-Length and Connection are set unless given."""
        target = self.path + (f"?{self.query}" if self.query else "")
        lines = [f"{self.method} {target} {self.version}"]
        names = {name.lower() for name, _ in self.headers}
        lines += [f"{name}: {value}" for name, value in self.headers]
        framed = names & {"content-length", "transfer-encoding"}
        if not framed and (self.body or self.method in ("PUT", "POST")):
            lines.append(f"Content-Length: {len(self.body)}")
        if "connection" not in names:
            lines.append("Connection: close")
        head = "\r\n".join(lines) + "\r\n\r\n"
        return head.encode("utf-8", "surrogateescape") + self.body


@dataclass(frozen=True)
class Answer:
    """What came back; status 0 means the connection was closed without an answer."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def code(self) -> str:
        """The S3 error code of the document."""
        found = re.search(rb"<Code>([^<]*)</Code>", self.body)
        return found[1].decode() if found else ""

    @property
    def request_id(self) -> str:
        """The RequestId of the error document."""
        found = re.search(rb"<RequestId>([^<]*)</RequestId>", self.body)
        return found[1].decode() if found else ""

    def __str__(self) -> str:
        return f"{self.status} {self.code} {self.body[:300]!r}"


@dataclass(frozen=True)
class Signer:
    """How to sign; every field may be set wrong on purpose."""

    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY
    region: str = REGION
    service: str = "s3"
    terminator: str = "aws4_request"
    algorithm: str = "AWS4-HMAC-SHA256"
    age_s: float = 0.0  # how long ago the request says it was made
    scope_day: str = ""  # instead of the date's own
    unsigned: tuple[str, ...] = ()  # headers that are left out of the signature

    def stamp(self) -> str:
        """Return the request's date."""
        moment = dt.datetime.fromtimestamp(time.time() - self.age_s, dt.UTC)
        return moment.strftime("%Y%m%dT%H%M%SZ")

    def scope(self, stamp: str) -> str:
        """Return the credential scope."""
        day = self.scope_day or stamp[:8]
        return f"{day}/{self.region}/{self.service}/{self.terminator}"

    def key(self, stamp: str) -> bytes:
        """Return the signing key of the scope."""
        key = b"AWS4" + self.secret_key.encode()
        for piece in self.scope(stamp).split("/"):
            key = hmac.digest(key, piece.encode(), "sha256")
        return key

    def signature(self, shot: Shot, names: Sequence[str], payload: str, stamp: str) -> str:
        """Return the signature of a request whose signed headers are `names`."""
        canonical = "\n".join(
            [
                shot.method,
                shot.path,
                canonical_query(shot.query),
                *[f"{name}:{' '.join((shot.header(name) or '').split())}" for name in names],
                "",
                ";".join(names),
                payload,
            ]
        )
        return self.sign_text(_text_to_sign(self, canonical, stamp), stamp)

    def sign_text(self, text: str, stamp: str) -> str:
        """Return the signature of a string to sign."""
        return hmac.new(self.key(stamp), text.encode(), "sha256").hexdigest()

    def sign(self, shot: Shot, payload: str | None = None) -> Shot:
        """Return the request with an Authorization header."""
        stamp = self.stamp()
        payload = payload or hashlib.sha256(shot.body).hexdigest()
        shot = shot.with_header("x-amz-date", stamp).with_header("x-amz-content-sha256", payload)
        names = sorted({name.lower() for name, _ in shot.headers} - set(self.unsigned))
        signature = self.signature(shot, names, payload, stamp)
        return shot.with_header(
            "Authorization",
            f"{self.algorithm} Credential={self.access_key}/{self.scope(stamp)}, "
            f"SignedHeaders={';'.join(names)}, Signature={signature}",
        )

    def presign(self, shot: Shot, *, expires: str = "600", signed: tuple[str, ...] = ()) -> Shot:
        """Return the request with its signature in the query."""
        stamp = self.stamp()
        names = sorted({"host", *signed})
        fields = {
            "X-Amz-Algorithm": self.algorithm,
            "X-Amz-Credential": f"{self.access_key}/{self.scope(stamp)}",
            "X-Amz-Date": stamp,
            "X-Amz-Expires": expires,
            "X-Amz-SignedHeaders": ";".join(names),
        }
        pairs = [f"{name}={urllib.parse.quote(value, safe='')}" for name, value in fields.items()]
        query = "&".join([*([shot.query] if shot.query else []), *pairs])
        shot = replace(shot, query=query)
        signature = self.signature(shot, names, UNSIGNED, stamp)
        return replace(shot, query=f"{query}&X-Amz-Signature={signature}")


@dataclass(frozen=True)
class Chunks:
    """An aws-chunked body; every field may be set wrong on purpose."""

    data: bytes
    mode: str = SIGNED_CHUNKS
    chunk_bytes: int = 64 * 1024
    trailer: tuple[str, str] | None = None  # name and value, as sent after the last chunk
    declared: str | None = None  # the trailer's name in x-amz-trailer
    decoded_length: str | None = ""  # "" is the true one, None leaves the header out
    corrupt_chunk: int | None = None  # whose signature gets a wrong digit; -1 is the last
    drop_signatures: bool = False
    drop_last_chunk: bool = False
    trailer_signature: str | None = ""  # "" is the true one, None leaves it out
    cut: int = 0  # bytes missing at the end, which Content-Length does not promise

    def shot(self, shot: Shot, signer: Signer | None = None) -> Shot:
        """Return the whole signed request."""
        signer = signer or Signer()
        shot = shot.with_header("Content-Encoding", "aws-chunked")
        if self.decoded_length is not None:
            length = self.decoded_length or str(len(self.data))
            shot = shot.with_header("x-amz-decoded-content-length", length)
        name = self.declared or (self.trailer[0] if self.trailer else None)
        if name:
            shot = shot.with_header("x-amz-trailer", name)
        signed = signer.sign(shot, self.mode)
        stamp = signed.header("x-amz-date") or ""
        authorization = signed.header("authorization") or ""
        body = self.body(signer, stamp, authorization.rpartition("Signature=")[2])
        return replace(signed, body=body[: len(body) - self.cut])

    def body(self, signer: Signer, stamp: str, seed: str) -> bytes:
        """Return the framed body whose first signature follows `seed`."""
        pieces = [
            self.data[at : at + self.chunk_bytes]
            for at in range(0, len(self.data), self.chunk_bytes)
        ]
        if not self.drop_last_chunk:
            pieces.append(b"")
        out = bytearray()
        wrong = None if self.corrupt_chunk is None else self.corrupt_chunk % len(pieces)
        for number, piece in enumerate(pieces):
            out += b"%x" % len(piece)
            if self.mode != UNSIGNED_TRAILER:
                seed = self._sign_chunk(signer, stamp, seed, piece)
                sent = _flip(seed) if number == wrong else seed
                out += b"" if self.drop_signatures else f";chunk-signature={sent}".encode()
            out += b"\r\n"
            if piece:
                out += piece + b"\r\n"
        if self.trailer:
            out += f"{self.trailer[0]}:{self.trailer[1]}\r\n".encode()
            out += self._trailer_signature(signer, stamp, seed)
        return bytes(out) if self.drop_last_chunk else bytes(out + b"\r\n")

    def _sign_chunk(self, signer: Signer, stamp: str, seed: str, piece: bytes) -> str:
        text = "\n".join(
            [
                "AWS4-HMAC-SHA256-PAYLOAD",
                stamp,
                signer.scope(stamp),
                seed,
                EMPTY_SHA256,
                hashlib.sha256(piece).hexdigest(),
            ]
        )
        return signer.sign_text(text, stamp)

    def _trailer_signature(self, signer: Signer, stamp: str, seed: str) -> bytes:
        if self.mode != SIGNED_CHUNKS_TRAILER or self.trailer_signature is None:
            return b""
        assert self.trailer is not None
        line = f"{self.trailer[0]}:{self.trailer[1]}\n"
        digest = hashlib.sha256(line.encode()).hexdigest()
        parts = ["AWS4-HMAC-SHA256-TRAILER", stamp, signer.scope(stamp), seed, digest]
        value = self.trailer_signature or signer.sign_text("\n".join(parts), stamp)
        return f"x-amz-trailer-signature:{value}\r\n".encode()


def canonical_query(query: str) -> str:
    """Return the query as SigV4 sorts and encodes it."""
    pairs = [item.partition("=")[::2] for item in query.split("&") if item]
    encoded = [
        (_encode(urllib.parse.unquote(name)), _encode(urllib.parse.unquote(value)))
        for name, value in pairs
    ]
    return "&".join(f"{name}={value}" for name, value in sorted(encoded))


_DIGESTS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "crc32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "crc32c": lambda data: checksums.crc32c(data).to_bytes(4, "big"),
    "crc64nvme": lambda data: checksums.crc64nvme(data).to_bytes(8, "big"),
    "sha1": lambda data: hashlib.sha1(data, usedforsecurity=False).digest(),
    "sha256": lambda data: hashlib.sha256(data).digest(),
    "sha512": lambda data: hashlib.sha512(data).digest(),
    "md5": lambda data: hashlib.md5(data, usedforsecurity=False).digest(),
    "xxhash64": xxhash.xxh64_digest,
    "xxhash3": xxhash.xxh3_64_digest,
    "xxhash128": xxhash.xxh3_128_digest,
}
CHECKSUM_NAMES: Final = tuple(_DIGESTS)


def checksum(algorithm: str, data: bytes) -> str:
    """Return the base64 value of an x-amz-checksum-* header."""
    return base64.b64encode(_DIGESTS[algorithm](data)).decode()


def send(address: tuple[str, int], request: Shot | bytes, *, timeout_s: float = 10) -> Answer:
    """Send one request, as it is, and read the answer."""
    data = request.encode() if isinstance(request, Shot) else request
    method = data.split(b" ", 1)[0].decode("ascii", "replace")
    with socket.create_connection(address, timeout=timeout_s) as connection:
        try:
            connection.sendall(data)
            return read_answer(connection, method)
        except (ConnectionError, http.client.BadStatusLine):
            return Answer(0)


def read_answer(connection: socket.socket, method: str = "GET") -> Answer:
    """Read one answer from a socket."""
    response = http.client.HTTPResponse(connection, method=method)
    try:
        response.begin()
        body = response.read()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, body)
    finally:
        response.close()


def _encode(text: str) -> str:
    return urllib.parse.quote(text, safe="-_.~")


def _flip(signature: str) -> str:
    return ("1" if signature[0] == "0" else "0") + signature[1:]


def _text_to_sign(signer: Signer, canonical: str, stamp: str) -> str:
    digest = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
    return "\n".join([signer.algorithm, stamp, signer.scope(stamp), digest])
