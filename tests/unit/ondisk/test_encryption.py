"""Any range decrypts by itself, as docs/format/encryption.md says; a wrong key is told."""

import hashlib
import hmac

import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from objstore.errors import RecordUnknown
from objstore.ondisk.encryption import (
    KEY_BYTES,
    METHOD,
    SALT_BYTES,
    Encryption,
    Keystream,
    encryption_under,
    is_key_of,
)

keys = st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES)
salts = st.binary(min_size=SALT_BYTES, max_size=SALT_BYTES)


def slowly(key: bytes, salt: bytes, plain: bytes) -> bytes:
    """The page's two lines, one block and one byte at a time, from HMAC and the bare cipher."""
    prk = hmac.digest(salt, key, "sha256")
    data_key = hmac.digest(prk, b"objstore SSE-C data 1\x01", "sha256")
    block = Cipher(algorithms.AES(data_key), modes.ECB()).encryptor()
    out = bytearray()
    for index, byte in enumerate(plain):
        pad = block.update((index // 16).to_bytes(16, "big"))
        out.append(byte ^ pad[index % 16])
    return bytes(out)


@given(keys, salts, st.binary(max_size=300), st.data())
def test_any_range_decrypts_from_its_offset(
    key: bytes, salt: bytes, plain: bytes, data: st.DataObject
) -> None:
    stored = Keystream(key, salt).apply(plain)
    assert stored == slowly(key, salt, plain)
    start = data.draw(st.integers(0, len(plain)))
    stop = data.draw(st.integers(start, len(plain)))
    assert Keystream(key, salt, start).apply(stored[start:stop]) == plain[start:stop]


@given(keys, salts, st.lists(st.binary(max_size=50)), st.integers(0, 100))
def test_pieces_do_not_matter(key: bytes, salt: bytes, pieces: list[bytes], offset: int) -> None:
    keystream = Keystream(key, salt, offset)
    in_pieces = b"".join(keystream.apply(memoryview(piece)) for piece in pieces)
    assert in_pieces == Keystream(key, salt, offset).apply(b"".join(pieces))


def test_the_counter_carries_into_higher_bytes() -> None:
    """Byte 16 * 2^32 of a part belongs to a block whose number has five bytes."""
    far = 16 * 2**32 - 8
    key, salt = bytes(KEY_BYTES), bytes(SALT_BYTES)
    both = Keystream(key, salt, far).apply(bytes(16))
    assert Keystream(key, salt, far + 8).apply(bytes(8)) == both[8:]
    assert both[8:] != Keystream(key, salt).apply(bytes(8))


@given(keys, salts, salts)
def test_parts_of_other_salts_have_other_bytes(key: bytes, one: bytes, other: bytes) -> None:
    same = Keystream(key, one).apply(bytes(32)) == Keystream(key, other).apply(bytes(32))
    assert same == (one == other)


@given(keys, keys, salts)
def test_a_wrong_key_is_told(key: bytes, other: bytes, salt: bytes) -> None:
    encryption = encryption_under(key, salt)
    assert is_key_of(key, encryption)
    assert is_key_of(other, encryption) == (key == other)


def test_the_key_is_not_in_what_is_stored() -> None:
    key = bytes(range(KEY_BYTES))
    encryption = encryption_under(key, bytes(SALT_BYTES))
    assert len(encryption) < 80
    for told in (key, key[:8], key[-8:], hashlib.md5(key).digest(), hashlib.sha256(key).digest()):
        assert told not in encryption
    assert encryption != encryption_under(key, b"\x01" * SALT_BYTES)


@pytest.mark.parametrize(
    "encryption",
    [
        b"\x00",
        b"\x93",
        msgspec.msgpack.encode([METHOD, b"s"]),
        msgspec.msgpack.encode(Encryption("SSE-C AES256-GCM", bytes(16), bytes(32))),
    ],
)
def test_what_is_unknown_is_never_guessed(encryption: bytes) -> None:
    with pytest.raises(RecordUnknown):
        is_key_of(bytes(KEY_BYTES), encryption)
