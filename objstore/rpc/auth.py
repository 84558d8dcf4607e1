"""How servers prove themselves to each other. Rules: docs/protocol/rpc.md, "Keys" and "Tokens".

Pure: bytes, values and the time come in; a verdict comes out. What is refused is refused alike,
whatever was wrong with it, so that a stranger learns nothing from the answer.
"""

import hmac
import re
import struct
from dataclasses import dataclass
from typing import Final, Literal

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from objstore.errors import RpcError

SECRET_CHARACTERS_MIN: Final = 32
NONCE_BYTES: Final = 16
SHARD_SKEW_MS: Final = 30_000

_SCHEME: Final = "objstore-1"
_GRAMMAR: Final = re.compile(r"objstore-1 ([0-9]{1,15}) ([0-9a-f]{32}) ([0-9a-f]{64})")
_SALT: Final = b"objstore rpc 1"


class TokenRefused(RpcError):
    """The caller did not prove that it knows the cluster secret, now and for this request."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The two keys that come from the cluster secret."""

    call: bytes
    answer: bytes

    def __repr__(self) -> str:
        return "Keys(...)"  # never the keys: this may end in a log


def derive_keys(secret: str) -> Keys:
    """Derive both keys from the cluster secret."""
    assert len(secret) >= SECRET_CHARACTERS_MIN

    def derive(info: bytes) -> bytes:
        return HKDF(hashes.SHA256(), 32, _SALT, info).derive(secret.encode())

    return Keys(call=derive(b"call"), answer=derive(b"answer"))


@dataclass(frozen=True, slots=True)
class Target:
    """What a token is for: one request to one server."""

    audience: str
    method: str
    path: str
    query: str = ""


@dataclass(frozen=True, slots=True)
class Token:
    """A token that was checked."""

    time_ms: int
    nonce: str


def _mac(key: bytes, *parts: str) -> str:
    return hmac.new(key, "\n".join(parts).encode(), "sha256").hexdigest()


def _token_mac(keys: Keys, target: Target, time_ms: str, nonce: str) -> str:
    return _mac(
        keys.call,
        "request",
        target.audience,
        target.method,
        target.path,
        target.query,
        time_ms,
        nonce,
    )


def sign(keys: Keys, target: Target, *, time_ms: int, nonce: str) -> str:
    """Return the value of the Authorization header for one request."""
    stated = str(time_ms)
    return f"{_SCHEME} {stated} {nonce} {_token_mac(keys, target, stated, nonce)}"


def check(keys: Keys, target: Target, header: str, *, now_ms: int, skew_ms: int) -> Token:
    """Return the token in `header` if it proves the caller; the nonce's newness is not checked.

    Raises:
        TokenRefused: it does not. The MAC is checked first, so that the rest is said only of
            tokens that one who knows the secret made.
    """
    parsed = _GRAMMAR.fullmatch(header)
    if parsed is None:
        raise TokenRefused("no token of this protocol")
    time_text, nonce, mac = parsed.groups()
    if not hmac.compare_digest(_token_mac(keys, target, time_text, nonce), mac):
        raise TokenRefused("wrong token")
    time_ms = int(time_text)
    if abs(now_ms - time_ms) > skew_ms:
        raise TokenRefused(f"token is {(now_ms - time_ms) / 1000:.0f} s old by this clock")
    return Token(time_ms, nonce)


def prove_welcome(
    keys: Keys, *, caller_nonce: str, nonce: str, time_ms: int, claims: bytes
) -> bytes:
    """Return the answerer's proof, fresh because it covers the caller's nonce."""
    said = "\n".join(("welcome", caller_nonce, nonce, str(time_ms), "")).encode() + claims
    return hmac.digest(keys.answer, said, "sha256")


def prove_join(keys: Keys, *, caller_nonce: str, nonce: str, claims: bytes) -> bytes:
    """Return the caller's proof, fresh because it covers the answerer's nonce."""
    said = "\n".join(("join", nonce, caller_nonce, "")).encode() + claims
    return hmac.digest(keys.call, said, "sha256")


def same(proof: bytes, expected: bytes) -> Literal[True]:
    """Compare in constant time.

    Raises:
        TokenRefused: they differ.
    """
    if not hmac.compare_digest(proof, expected):
        raise TokenRefused("wrong proof")
    return True


class ReplayTable:
    """The nonces that were used lately, in a table of fixed size that processes may share.

    A nonce's bucket is decided by its first bytes; a bucket has 16 places of 16 bytes: 12 bytes
    of the nonce, 4 bytes of the second until which it counts. Without a free place the nonce is
    refused. Two processes that get the same nonce in the same few microseconds can both take it:
    no lock is held, because what a token allows is idempotent (a shard's name is written once).
    """

    _PLACES: Final = 16
    _PLACE_BYTES: Final = 16
    _BUCKET_BYTES: Final = _PLACES * _PLACE_BYTES
    _UNTIL: Final = struct.Struct("<" + "12xI" * _PLACES)
    _PLACE: Final = struct.Struct("<12sI")

    def __init__(self, table: memoryview) -> None:
        """Use `table`: zeroed, writable, a multiple of 256 bytes, kept as long as this lives."""
        assert len(table) >= self._BUCKET_BYTES
        assert len(table) % self._BUCKET_BYTES == 0
        self._table = table
        self._buckets = len(table) // self._BUCKET_BYTES

    def take(self, nonce: str, *, now_s: int, keep_s: int) -> None:
        """Remember `nonce`.

        Raises:
            TokenRefused: it was used before, or its bucket is full.
        """
        raw = bytes.fromhex(nonce)
        tag = raw[4:]
        start = (int.from_bytes(raw[:4], "little") % self._buckets) * self._BUCKET_BYTES
        bucket = bytes(self._table[start : start + self._BUCKET_BYTES])
        if tag in bucket:
            raise TokenRefused("token was used before")
        for place, until_s in enumerate(self._UNTIL.unpack(bucket)):
            if until_s < now_s:
                at = start + place * self._PLACE_BYTES
                self._PLACE.pack_into(self._table, at, tag, now_s + keep_s)
                return
        raise TokenRefused("too many requests within a minute")


REPLAY_TABLE_BYTES: Final = 4 * 1024 * 1024  # 262,144 nonces: 4,000 a second for a minute
REPLAY_KEEP_S: Final = 2 * SHARD_SKEW_MS // 1000 + 1
