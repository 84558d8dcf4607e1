"""A million inputs for everything on the internal port that reads what a stranger sent.

SECURITY.md, "Between servers": "random bytes fuzz (10^6 inputs, no 500/crash)". Readers are called
directly, because a million connections would take minutes; a thousand inputs go over TCP too.
The inputs are the same in every run.
"""

import asyncio
import random
from collections.abc import Iterator
from contextlib import suppress

import pytest

from objstore.drive.serve import DriveServer
from objstore.errors import RpcError
from objstore.rpc.auth import SHARD_SKEW_MS, Target, TokenRefused, check, sign
from objstore.rpc.frame import (
    Answer,
    Cancel,
    Join,
    Ping,
    Request,
    Welcome,
    decode_claims,
    decode_message,
    encode_claims,
    encode_frame,
    join_frames,
)
from objstore.rpc.session import CallFailed
from objstore.wire.certificate import read_one
from tests.authority import Authority
from tests.unit.rpc.peers import KEYS, Shelf, identity, listener, rpc_server

pytestmark = pytest.mark.slow

TOKENS = 401_000
MESSAGES = 400_000
CLAIMS = 100_000
CALLS = 90_000
CERTIFICATES = 8_000
REQUESTS = 1_000
assert TOKENS + MESSAGES + CLAIMS + CALLS + CERTIFICATES + REQUESTS == 1_000_000

NOW_MS = 1_800_000_000_000
TARGET = Target("server-a", "PUT", "/v1/shard/0/0/1/ab/1/0")
TOKEN = sign(KEYS, TARGET, time_ms=NOW_MS, nonce="0123456789abcdef" * 2).encode()


def inputs(count: int, *samples: bytes) -> Iterator[bytes]:
    """Yield noise, and samples with some bytes changed, cut out, or put twice."""
    rng = random.Random(count)
    for number in range(count):
        if number % 4 == 0:
            yield rng.randbytes(rng.randrange(200))
            continue
        changed = bytearray(samples[number % len(samples)])
        for _ in range(1 + number % 3):
            at = rng.randrange(len(changed) + 1)
            match rng.randrange(3):
                case 0:
                    changed[at : at + 1] = rng.randbytes(1)
                case 1:
                    del changed[at : at + rng.randrange(8)]
                case _:
                    changed[at:at] = changed[: rng.randrange(16)]
        yield bytes(changed)


def test_no_header_but_the_token_itself_gets_in() -> None:
    let_in = set()
    for header in inputs(TOKENS, TOKEN):
        try:
            check(KEYS, TARGET, header.decode("latin-1"), now_ms=NOW_MS, skew_ms=SHARD_SKEW_MS)
            let_in.add(header)
        except TokenRefused:
            pass
    assert let_in <= {TOKEN}


def test_every_message_is_frames_or_refused() -> None:
    frames = [
        encode_frame(Request(1, "drive", b"x" * 40)),
        encode_frame(Answer(2**40, b"y")),
        encode_frame(Cancel(3)),
        encode_frame(Ping(NOW_MS)),
        encode_frame(Welcome("ab" * 16, NOW_MS, b"\x80", bytes(32))),
        encode_frame(Join(b"\x80", bytes(32))),
    ]
    refused = 0
    for message in inputs(MESSAGES, *(join_frames([one]) for one in frames), join_frames(frames)):
        try:
            assert isinstance(decode_message(message), tuple)
        except RpcError:
            refused += 1
    assert refused > MESSAGES // 4


def test_all_claims_are_texts_or_refused() -> None:
    sample = encode_claims({"server": "server1:9000", "layout": "ab" * 16, "serving": "yes"})
    for claims in inputs(CLAIMS, sample):
        with suppress(RpcError):
            assert all(isinstance(value, str) for value in decode_claims(claims).values())


async def test_every_call_of_a_drive_that_is_not_here_fails_in_its_own_words() -> None:
    server = DriveServer({})
    samples = (b"\x92\xa50/0/1\x91\x00", b"\x92\xa50/0/1\x93\x05\xa1b\xc4\x03key")
    for payload in inputs(CALLS, *samples):
        with pytest.raises(CallFailed):
            await server.call(payload)


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
def test_every_certificate_is_read_or_refused() -> None:
    """A caller's certificate was verified before it is read; it may still be strange."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    made = x509.load_pem_x509_certificate(Authority().sign("server1", "::1").certificate)
    for der in inputs(CERTIFICATES, made.public_bytes(Encoding.DER)):
        with suppress(ValueError):
            read_one(der)


async def test_no_request_is_answered_with_more_than_a_refusal() -> None:
    head = b"PUT /v1/shard/0/0/1/ab/1/0 HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
    upgrade = (
        b"GET /v1/session HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    samples = (
        upgrade,
        head + b"Authorization: " + TOKEN + b"\r\nContent-Length: 4\r\n\r\n\0\0\0\0",
    )
    sock, shelf = listener(), Shelf()
    async with rpc_server(identity("server-a"), shelf=shelf).listening(sock):
        port = sock.getsockname()[1]
        for raw in inputs(REQUESTS, *samples):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(raw + b"\r\n\r\n")
            writer.write_eof()
            async with asyncio.timeout(20):
                try:
                    answer = await reader.read()
                except ConnectionError:
                    answer = b""  # it hung up with bytes of ours unread
            assert not answer or answer[9:12] in {b"400", b"403"}, (raw, answer)
            writer.close()
    assert shelf.shards == {}
