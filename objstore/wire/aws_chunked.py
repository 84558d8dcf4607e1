r"""Decode an aws-chunked body, a piece at a time. Docs: docs/protocol/aws_chunked.md.

    body      := chunk* last [trailer] CRLF
    chunk     := size [";chunk-signature=" hex64] CRLF data CRLF
    last      := "0" [";chunk-signature=" hex64] CRLF
    trailer   := (name ":" value EOL)* ["x-amz-trailer-signature:" hex64 EOL]
    EOL       := CRLF | LF

The decoder is fed bytes and returns the data among them as views of what it was fed: nothing is
copied but chunk headers and trailer lines, and it never holds more than limits.TRAILER_BYTES_MAX.
Data is handed on before the signature of its chunk is known; it may be used only once `finish`
has returned, which is how the engine commits.
"""

import hashlib
import re
from collections.abc import Collection, Mapping
from enum import Enum, auto
from types import MappingProxyType
from typing import Final

from objstore.errors import RequestRefused
from objstore.limits import (
    CHUNK_DATA_BYTES_MAX,
    CHUNK_HEADER_BYTES_MAX,
    SIGNED_CHUNK_BYTES_MIN,
    TRAILER_BYTES_MAX,
)
from objstore.wire.digests import Digests
from objstore.wire.headers import CHECKSUM_HEADERS, decode_checksum
from objstore.wire.request import Request
from objstore.wire.signing import ChunkSigner
from objstore.wire.sigv4 import Anonymous, Verified

Buffer = bytes | bytearray | memoryview

# The grammar, not int(): int(b"0x5", 16), int(b"+5", 16) and int(b" 1_0 ", 16) all succeed.
_SIGNED_HEADER: Final = re.compile(rb"([0-9a-fA-F]{1,16});chunk-signature=([0-9a-f]{64})")
_PLAIN_HEADER: Final = re.compile(rb"([0-9a-fA-F]{1,16})")
_TRAILER_LINE: Final = re.compile(rb"([A-Za-z0-9-]+):([\t -~]*)")
_HEX64: Final = re.compile(r"[0-9a-f]{64}")
_DECIMAL: Final = re.compile(r"[0-9]{1,19}")
_TRAILER_SIGNATURE: Final = "x-amz-trailer-signature"
TRAILER_NAMES: Final = frozenset(CHECKSUM_HEADERS.values())


class _State(Enum):
    HEADER = auto()
    DATA = auto()
    DATA_END = auto()
    TRAILER = auto()
    DONE = auto()


class Decoder:
    """Push bytes in with `feed`, take data out of what it returns, end with `finish`.

    Fed the same bytes, it returns the same data and refuses with the same reason, however they
    are split.
    """

    __slots__ = (
        "_chunk",
        "_declared",
        "_line",
        "_received",
        "_remaining",
        "_short_chunk",
        "_signature",
        "_signer",
        "_state",
        "_trailer_bytes",
        "_trailer_signed",
        "_trailers",
        "decoded_bytes",
    )

    def __init__(
        self,
        *,
        decoded_bytes: int,
        signer: ChunkSigner | None,
        trailers: Collection[str] | None,
    ) -> None:
        """Start at the first byte of a body.

        Args:
            decoded_bytes: how many bytes of data there must be.
            signer: holds each chunk's signature against its data; None in the unsigned mode.
            trailers: the lower-case names that must come in the trailer, and no others; None
                in the mode that has no trailer.
        """
        assert signer is not None or trailers is not None
        self.decoded_bytes = decoded_bytes
        self._signer = signer
        self._declared = None if trailers is None else frozenset(trailers)
        self._state = _State.HEADER
        self._line = bytearray()  # the beginning of a line whose end was not fed yet
        self._remaining = 0  # of the current chunk
        self._received = 0
        self._signature = ""  # of the current chunk
        self._short_chunk = False  # the chunk before may be only the last one
        self._chunk = hashlib.sha256()
        self._trailer_bytes = 0
        self._trailer_signed = False
        self._trailers: dict[str, str] = {}

    @property
    def done(self) -> bool:
        """Whether the body is complete. Any byte after that is refused."""
        return self._state is _State.DONE

    @property
    def hashes(self) -> bool:
        """Whether `feed` hashes all data, so that large input is better fed in a thread."""
        return self._signer is not None

    @property
    def trailers(self) -> Mapping[str, str]:
        """What came in the trailer, by lower-case name. Complete and verified once `done`."""
        return MappingProxyType(self._trailers)

    def feed(self, data: Buffer) -> list[memoryview]:
        """Take the next bytes of the body and return the pieces of data among them.

        The pieces are views of `data`, which must stay as it is while they are used.

        Raises:
            RequestRefused: IncompleteBody (the framing is broken, or there is more or less data
                than was declared), SignatureDoesNotMatch, InvalidChunkSizeError (a chunk below
                8 KiB that is not the last, in a signed mode), MalformedTrailerError.
        """
        view = memoryview(data)
        pieces: list[memoryview] = []
        at = 0
        while at < len(view):
            if self._state is _State.DATA:
                piece = view[at : at + self._remaining]
                self._take_data(piece)
                pieces.append(piece)
                at += len(piece)
            elif self._state is _State.DONE:
                raise _broken("There are bytes after the end of the body.")
            else:
                at = self._feed_line(view, at)
        return pieces

    def finish(self) -> None:
        """Say that no more bytes come.

        Raises:
            RequestRefused: IncompleteBody, when the body is not complete.
        """
        if self._state is not _State.DONE:
            raise _broken("The body ended early.")

    def _take_data(self, piece: memoryview) -> None:
        if self._signer is not None:
            self._chunk.update(piece)
        self._remaining -= len(piece)
        if self._remaining == 0:
            self._check_chunk()
            self._state = _State.DATA_END

    def _check_chunk(self) -> None:
        if self._signer is not None:
            self._signer.check_chunk(self._signature, self._chunk)
            self._chunk = hashlib.sha256()

    def _feed_line(self, view: memoryview, at: int) -> int:
        """Take bytes up to the end of a line, act on it when it is whole, return where it ends."""
        room = self._line_room()
        window = bytes(view[at : at + room])
        end = window.find(b"\n")
        if end < 0:
            self._line += window
            if len(window) == room:
                raise self._too_long()
            return at + len(window)
        self._line += window[:end]
        line = bytes(self._line)
        self._line.clear()
        self._take_line(line)
        return at + end + 1

    def _line_room(self) -> int:
        if self._state is _State.HEADER:
            most = CHUNK_HEADER_BYTES_MAX
        elif self._state is _State.DATA_END or self._declared is None:
            most = len(b"\r\n")
        else:
            most = TRAILER_BYTES_MAX - self._trailer_bytes
        return most - len(self._line)

    def _too_long(self) -> RequestRefused:
        if self._state is _State.TRAILER and self._declared is not None:
            return _bad_trailer("The trailer is too long.")
        return _broken("A line in the framing does not end where it should.")

    def _take_line(self, line: bytes) -> None:
        """Act on a line, which is without its LF."""
        in_trailer = self._state is _State.TRAILER
        if line.endswith(b"\r"):
            line = line[:-1]
        elif not (in_trailer and line):  # trailers may end with LF alone, as some clients send
            raise _broken("A line in the framing does not end with CRLF.")
        if in_trailer:
            self._trailer_bytes += len(line) + 2
            self._take_trailer_line(line)
        elif self._state is _State.HEADER:
            self._take_header(line)
        elif line:
            raise _broken("A chunk's data does not end where its header says.")
        else:
            self._state = _State.HEADER

    def _take_header(self, line: bytes) -> None:
        found = (_PLAIN_HEADER if self._signer is None else _SIGNED_HEADER).fullmatch(line)
        if found is None:
            raise _broken("A chunk's header is malformed.")
        size = int(found[1], 16)
        if self._signer is not None:
            self._signature = found[2].decode("ascii")
            self._check_size(size)
        if size > self.decoded_bytes - self._received:
            raise _broken("There is more data than x-amz-decoded-content-length says.")
        if size:
            self._received += size
            self._remaining = size
            self._state = _State.DATA
            return
        self._check_chunk()
        if self._received != self.decoded_bytes:
            raise _broken("There is less data than x-amz-decoded-content-length says.")
        self._state = _State.TRAILER

    def _check_size(self, size: int) -> None:
        """Bound a signed chunk: "each chunk, except the last, must be at least 8 KB"."""
        if size and self._short_chunk:
            raise RequestRefused("InvalidChunkSizeError")
        if size > CHUNK_DATA_BYTES_MAX:
            raise _broken(f"A signed chunk has at most {CHUNK_DATA_BYTES_MAX} bytes.")
        self._short_chunk = size < SIGNED_CHUNK_BYTES_MIN

    def _take_trailer_line(self, line: bytes) -> None:
        if not line:
            self._end()
            return
        if self._declared is None:
            raise _broken("There are bytes after the last chunk.")
        found = _TRAILER_LINE.fullmatch(line)
        if found is None:
            raise _bad_trailer("A line of the trailer is malformed.")
        name = found[1].decode("ascii").lower()
        value = found[2].decode("ascii").strip(" \t")
        if name == _TRAILER_SIGNATURE and self._signer is not None:
            self._take_trailer_signature(value)
            return
        if name not in self._declared:
            raise _bad_trailer("The trailer has a name that x-amz-trailer does not.")
        if name in self._trailers or self._trailer_signed:
            raise _bad_trailer("The trailer repeats a name, or goes on after its signature.")
        self._trailers[name] = value

    def _take_trailer_signature(self, claimed: str) -> None:
        assert self._signer is not None
        self._require_declared()
        if self._trailer_signed:
            raise _bad_trailer("The trailer has two signatures.")
        if _HEX64.fullmatch(claimed) is None:
            raise _broken("The trailer's signature is malformed.")
        lines = "".join(f"{name}:{value}\n" for name, value in self._trailers.items())
        self._signer.check_trailer(claimed, hashlib.sha256(lines.encode("ascii")))
        self._trailer_signed = True

    def _require_declared(self) -> None:
        if self._declared is not None and self._trailers.keys() != self._declared:
            raise _bad_trailer("A trailer that x-amz-trailer names was not sent.")

    def _end(self) -> None:
        self._require_declared()
        signed = self._declared is not None and self._signer is not None
        if signed and not self._trailer_signed:
            raise _broken("The trailer's signature is missing.")
        self._state = _State.DONE


def open_decoder(request: Request, who: Verified | Anonymous) -> Decoder | None:
    """Return the decoder of a request's body, or None when the body is not aws-chunked.

    Raises:
        RequestRefused: MissingContentLength without x-amz-decoded-content-length, InvalidArgument
            when that is no number, InvalidRequest for a trailer that is not supported or that
            the payload mode has no place for.
    """
    mode = who.payload
    declared = _declared_trailers(request)
    if declared and not mode.has_trailer:
        raise RequestRefused(
            "InvalidRequest",
            "x-amz-trailer needs an x-amz-content-sha256 of a streaming mode with a trailer.",
        )
    if not mode.chunked:
        return None
    seed = who.seed if isinstance(who, Verified) else None
    assert (seed is not None) == mode.chunks_signed
    return Decoder(
        decoded_bytes=_decoded_length(request),
        signer=seed,
        trailers=declared if mode.has_trailer else None,
    )


def expect_trailers(trailers: Mapping[str, str], digests: Digests) -> None:
    """Hold the body's digests to the checksum that came in its trailer.

    Raises:
        RequestRefused: InvalidRequest, when it is no digest of its algorithm, or of an algorithm
            that is not computed for this body.
    """
    for algorithm, name in CHECKSUM_HEADERS.items():
        text = trailers.get(name)
        if text is None:
            continue
        if algorithm not in digests.algorithms:
            raise RequestRefused("InvalidRequest", f"{name} cannot be a trailer of this request.")
        digests.expect(algorithm, decode_checksum(algorithm, text))


def _decoded_length(request: Request) -> int:
    text = request.headers.get("x-amz-decoded-content-length")
    if text is None:
        raise RequestRefused(
            "MissingContentLength",
            "You must provide the x-amz-decoded-content-length HTTP header.",
        )
    if _DECIMAL.fullmatch(text) is None:
        raise RequestRefused(
            "InvalidArgument",
            "x-amz-decoded-content-length has to be a number of bytes.",
            ArgumentName="x-amz-decoded-content-length",
        )
    return int(text)


def _declared_trailers(request: Request) -> frozenset[str]:
    text = request.headers.get("x-amz-trailer")
    if text is None:
        return frozenset()
    names = [item.strip().lower() for item in text.split(",")]
    if any(name not in TRAILER_NAMES for name in names):
        raise RequestRefused(
            "InvalidRequest", "The value specified in the x-amz-trailer header is not supported"
        )
    if len(names) > 1:
        raise RequestRefused(
            "InvalidRequest",
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
        )
    return frozenset(names)


def _broken(message: str) -> RequestRefused:
    return RequestRefused("IncompleteBody", message)


def _bad_trailer(message: str) -> RequestRefused:
    return RequestRefused("MalformedTrailerError", message)
