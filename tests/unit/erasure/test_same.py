"""Blocks are the same when every byte is."""

import pytest

from objstore.erasure.same import same_bytes


@pytest.mark.parametrize("size", [0, 1, 7, 8, 4096, 524_293])
def test_every_byte_counts(size: int) -> None:
    block = bytes(range(256)) * (size // 256 + 1)
    block = block[:size]
    view = memoryview(b"?" + block)[1:]
    assert same_bytes(block, view)
    assert not same_bytes(block, block + b"x")
    for at in {0, size // 2, size - 1} if size else ():
        other = bytearray(block)
        other[at] ^= 1
        assert not same_bytes(memoryview(other), view)
