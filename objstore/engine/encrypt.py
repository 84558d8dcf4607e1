"""Encryption on the way into the engine, and decryption on the way out of it.

docs/format/encryption.md. Below this, ciphertext is content like any other: stripes, parity,
checksums of blocks, healing and re-coding never see a key.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Self

from objstore.drive.api import Buffer
from objstore.engine.cpu import Cpu
from objstore.engine.ports import Body, ObjectReader
from objstore.engine.sets import Context
from objstore.ondisk.encryption import SALT_BYTES, Keystream, encryption_under
from objstore.ondisk.record import Version
from objstore.wire.customer_key import CustomerKey
from objstore.wire.digests import Digests


@dataclass(frozen=True, slots=True)
class Intake:
    """A body on its way to the drives.

    Of a plain body `sent` and `kept` are the same digests. Of one that is encrypted, `sent` takes
    the plaintext while it is read, and `kept` the ciphertext.
    """

    body: Body  # the bytes that are going to be stored
    sent: Digests  # of what the client sent; they hold its promises and become the checksums
    kept: Digests  # of what is stored; its MD5 is the ETag
    encryption: bytes = b""  # as the version's record has it
    salt: bytes = b""  # as the part's record has it

    @classmethod
    def plain(cls, body: Body, digests: Digests) -> Self:
        """Store a body as it is."""
        return cls(body, digests, digests)

    @property
    def etag(self) -> str:
        """The ETag of what was stored, once all of it passed."""
        return self.kept.value("MD5").hex()


def intake_of(
    context: Context,
    body: Body,
    digests: Digests,
    key: CustomerKey | None,
    *,
    encryption: bytes = b"",
) -> Intake:
    """Return how a body is stored: encrypted under `key`, or as it is without one.

    `encryption` is that of the upload a part belongs to; a body of its own gets a new one.
    """
    if key is None:
        return Intake.plain(body, digests)
    salt = context.entropy.draw(SALT_BYTES)
    body = EncryptedBody(body, digests, Keystream(key.secret, salt), context.cpu)
    encryption = encryption or new_encryption(context, key)
    return Intake(body, digests, Digests(("MD5",)), encryption, salt)


def new_encryption(context: Context, key: CustomerKey | None) -> bytes:
    """Return the `encryption` of a new version or upload; b"" without a key."""
    if key is None:
        return b""
    return encryption_under(key.secret, context.entropy.draw(SALT_BYTES))


class EncryptedBody:
    """The ciphertext of a body, which is hashed as it was sent."""

    def __init__(self, body: Body, digests: Digests, keystream: Keystream, cpu: Cpu) -> None:
        self._body = body
        self._digests = digests
        self._keystream = keystream
        self._cpu = cpu

    @property
    def size(self) -> int | None:
        """That of the plaintext; encryption keeps lengths."""
        return self._body.size

    async def read(self) -> Buffer:
        """Return the next piece; empty at the end. See Body."""
        piece = await self._body.read()
        return await self._cpu.run(len(piece), partial(self._encrypt, piece))

    def _encrypt(self, piece: Buffer) -> bytes:
        self._digests.update(piece)
        return self._keystream.apply(piece)


class DecryptedObject:
    """An object under a customer's key, read with that key; an ObjectReader."""

    def __init__(self, source: ObjectReader, key: CustomerKey, cpu: Cpu) -> None:
        assert source.version.encryption
        self._source = source
        self._key = key
        self._cpu = cpu

    @property
    def version(self) -> Version:
        """The version that answers."""
        return self._source.version

    async def read(self, start: int, stop: int) -> AsyncIterator[Buffer]:
        """Yield bytes `start` to `stop` (exclusive) of the plaintext."""
        begin = 0
        for part in self.version.parts:
            first, last = max(start, begin), min(stop, begin + part.size)
            if first < last:
                keystream = Keystream(self._key.secret, part.salt, first - begin)
                async for piece in self._source.read(first, last):
                    yield await self._cpu.run(len(piece), partial(keystream.apply, piece))
            begin += part.size
