"""Bounds are what S3 says, and stand in the relations the code counts on."""

import ast
from pathlib import Path

from objstore import limits

ROOT = Path(__file__).parents[2]
BOUNDS = {name: value for name, value in vars(limits).items() if name.isupper()}


def test_every_bound_is_a_positive_number() -> None:
    assert all(isinstance(value, int | float) and value > 0 for value in BOUNDS.values())


def test_the_figures_of_s3() -> None:
    """AWS, "Amazon S3 multipart upload limits" and "Object key naming"."""
    assert limits.PART_NUMBER_MAX == 10_000
    assert limits.PART_BYTES_MIN == 5 * 1024**2
    assert limits.OBJECT_PUT_BYTES_MAX == 5 * 1024**3
    assert limits.KEY_BYTES_MAX == 1024
    assert limits.USER_METADATA_BYTES_MAX == 2048
    assert limits.LIST_KEYS_MAX == limits.DELETE_KEYS_MAX == 1000
    assert limits.PRESIGN_SECONDS_MAX == 7 * 24 * 3600
    assert limits.CLOCK_SKEW_SECONDS_MAX == 15 * 60


def test_the_bound_on_objects_cuts_off_nothing_that_parts_may_make() -> None:
    assert limits.PART_NUMBER_MAX * limits.OBJECT_PUT_BYTES_MAX <= limits.OBJECT_BYTES_MAX


def test_an_inline_object_is_one_stripe() -> None:
    """Every slot's share of it is inline, so it is at most 16 inline shards long."""
    assert limits.INLINE_SHARD_BYTES_MAX * limits.SLOTS_PER_SET_MAX <= limits.STRIPE_BYTES


def test_the_records_of_one_key_fit_into_a_frame() -> None:
    record = limits.SHARD_TRAILER_BYTES_MAX + 16 * (limits.INLINE_SHARD_BYTES_MAX + 64)
    assert 4 * record <= limits.RPC_FRAME_BYTES_MAX


def test_a_peer_may_be_as_wrong_as_s3_lets_a_client_be_at_most() -> None:
    assert limits.CLOCK_DRIFT_SECONDS_MAX < limits.CLOCK_SKEW_SECONDS_MAX


def test_every_bound_is_used() -> None:
    """A bound that nothing reads bounds nothing."""
    used = set()
    for path in (ROOT / "objstore").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                used.add(node.id)
            elif isinstance(node, ast.Attribute):
                used.add(node.attr)
    assert set(BOUNDS) <= used, set(BOUNDS) - used
