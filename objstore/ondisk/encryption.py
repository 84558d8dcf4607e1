"""Encryption under a customer's key, as it lies on the drives.

Format page: docs/format/encryption.md. Pure: whoever calls brings the salts. AES-256 in counter
mode keeps every length, and decrypts from any offset; it proves nothing about who wrote the bytes.
"""

import hmac
from typing import Final

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from objstore.errors import RecordUnknown

SALT_BYTES: Final = 16
KEY_BYTES: Final = 32
METHOD: Final = "SSE-C AES256-CTR"
_COUNTER_BYTES: Final = 16  # and those of a block
_CHECK_LABEL: Final = b"objstore SSE-C check 1"
_DATA_LABEL: Final = b"objstore SSE-C data 1"

Buffer = bytes | bytearray | memoryview


class Encryption(msgspec.Struct, frozen=True, array_like=True):
    """How a version's bytes are encrypted, and what a right key is told by."""

    method: str
    check_salt: bytes
    check: bytes


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Encryption)


def encryption_under(key: bytes, check_salt: bytes) -> bytes:
    """Return the `encryption` of a new version or upload under `key`, with a fresh salt."""
    assert len(check_salt) == SALT_BYTES
    return _encoder.encode(Encryption(METHOD, check_salt, _check(key, check_salt)))


def is_key_of(key: bytes, encryption: bytes) -> bool:
    """Tell whether `key` is the one that `encryption` was made under.

    Raises:
        RecordUnknown: `encryption` says nothing that this reader knows.
    """
    known = _decode(encryption)
    return hmac.compare_digest(_check(key, known.check_salt), known.check)


def _check(key: bytes, salt: bytes) -> bytes:
    assert len(key) == KEY_BYTES
    return hmac.digest(key, _CHECK_LABEL + salt, "sha256")


def _decode(encryption: bytes) -> Encryption:
    try:
        decoded = _decoder.decode(encryption)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordUnknown(f"encryption does not decode: {error}") from error
    if decoded.method != METHOD:
        raise RecordUnknown(f"encryption by {decoded.method!r} is unknown here")
    return decoded


class Keystream:
    """Encrypts or decrypts the bytes of one part, in order, from an offset on.

    Both are the same operation. Not thread-safe: one `apply` at a time.
    """

    def __init__(self, key: bytes, salt: bytes, offset: int = 0) -> None:
        assert len(key) == KEY_BYTES
        assert len(salt) == SALT_BYTES, "a part that is not encrypted"
        block, skipped = divmod(offset, _COUNTER_BYTES)
        data_key = HKDF(SHA256(), KEY_BYTES, salt, _DATA_LABEL).derive(key)
        counter = modes.CTR(block.to_bytes(_COUNTER_BYTES, "big"))
        self._context = Cipher(algorithms.AES(data_key), counter).encryptor()
        self._context.update(bytes(skipped))

    def apply(self, data: Buffer) -> bytes:
        """Return the next bytes, encrypted or decrypted."""
        return self._context.update(data)
