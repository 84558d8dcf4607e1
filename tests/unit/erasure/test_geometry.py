"""Cutting is arithmetic: checked against doing it byte by byte."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.erasure.geometry import (
    block_bytes,
    shard_data_bytes,
    stripe_count,
    stripe_size,
    stripes_of_range,
)

STRIPES = st.integers(1, 64)
SIZES = st.integers(0, 1000)


@given(size=SIZES, stripe_bytes=STRIPES)
def test_stripes_add_up_to_the_part(size: int, stripe_bytes: int) -> None:
    sizes = [
        stripe_size(index, size, stripe_bytes) for index in range(stripe_count(size, stripe_bytes))
    ]
    assert sum(sizes) == size
    assert all(found == stripe_bytes for found in sizes[:-1])
    assert all(0 < found <= stripe_bytes for found in sizes)


@given(size=SIZES, stripe_bytes=STRIPES, k=st.integers(1, 16))
def test_a_shard_is_as_long_as_its_blocks(size: int, stripe_bytes: int, k: int) -> None:
    blocks = [
        block_bytes(stripe_size(index, size, stripe_bytes), k)
        for index in range(stripe_count(size, stripe_bytes))
    ]
    assert shard_data_bytes(size, k, stripe_bytes) == sum(blocks)
    assert k * sum(blocks) >= size


@given(size=st.integers(0, 10_000), k=st.integers(1, 16))
def test_a_block_has_room_and_no_more(size: int, k: int) -> None:
    assert (block_bytes(size, k) - 1) * k < size or size == 0
    assert block_bytes(size, k) * k >= size


@settings(max_examples=200)
@given(start=SIZES, length=SIZES, stripe_bytes=STRIPES)
def test_a_range_reads_exactly_the_stripes_of_its_bytes(
    start: int, length: int, stripe_bytes: int
) -> None:
    touched = {byte // stripe_bytes for byte in range(start, start + length)}
    assert set(stripes_of_range(start, start + length, stripe_bytes)) == touched


def test_there_is_no_stripe_behind_the_last() -> None:
    with pytest.raises(AssertionError):
        stripe_size(1, 10, 10)
