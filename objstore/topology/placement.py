"""Placement: in which set a key lives, and which slot holds which of its shards.

These functions are part of the on-disk format: an object is found where they say, so for a
given input they answer the same for ever (tests/unit/topology/test_placement.py keeps golden
values). Both hash with BLAKE2b (RFC 7693), each under its own personalisation, so that the
choice of the set tells nothing about the rotation.
"""

import hashlib
from typing import Final

from objstore.names import BucketName, ObjectKey
from objstore.topology.layout import SetLayout

_DIGEST_BYTES: Final = 8
_SET: Final = b"objstore set"
_ROTATION: Final = b"objstore rotate"


def place_set(key: bytes, bucket: BucketName, object_key: ObjectKey, sets: int) -> int:
    """Return which of `sets` holds the object. `key` is the deployment's id.

    The hash is keyed, so a client that does not know the deployment cannot choose names that
    all fall into one set.
    """
    assert sets >= 1
    assert len(key) <= hashlib.blake2b.MAX_KEY_SIZE
    return _hash(_SET, key, bucket, object_key) % sets


def shard_slots(layout: SetLayout, bucket: BucketName, key: ObjectKey) -> tuple[int, ...]:
    """Return for each shard of the object its slot: a rotation that the name decides.

    With slots alternating between servers, rotating keeps data and parity equally spread over
    the servers for each object, and over all objects every slot has each role equally often.
    A literal layout is not rotated.
    """
    count = layout.scheme.slots
    if not layout.rotate:
        return tuple(range(count))
    start = _hash(_ROTATION, b"", bucket, key) % count
    return tuple((start + shard) % count for shard in range(count))


def _hash(purpose: bytes, key: bytes, bucket: str, object_key: str) -> int:
    # A bucket's name has no slash, so the joined name is unambiguous.
    name = f"{bucket}/{object_key}".encode()
    digest = hashlib.blake2b(name, digest_size=_DIGEST_BYTES, key=key, person=purpose)
    return int.from_bytes(digest.digest(), "little")
