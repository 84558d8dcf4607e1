"""How an object is cut: stripes of fixed size, each cut into k blocks.

A stripe is `stripe_bytes` of one part's data; the last may be shorter. Each stripe is cut into k
blocks of ceil(stripe / k) bytes, the last of them padded with zeros, so every block of a stripe,
parity too, has one length. A shard is one slot's blocks, stripe after stripe. All of it is
arithmetic on sizes: where a byte lies never has to be looked up.
"""


def block_bytes(stripe_size: int, k: int) -> int:
    """Return the length of each block of a stripe that holds `stripe_size` bytes of data."""
    assert stripe_size >= 0
    assert k >= 1
    return -(-stripe_size // k)


def stripe_count(size: int, stripe_bytes: int) -> int:
    """Return how many stripes hold `size` bytes of data; none for an empty part."""
    assert size >= 0
    assert stripe_bytes >= 1
    return -(-size // stripe_bytes)


def stripe_size(index: int, size: int, stripe_bytes: int) -> int:
    """Return how many bytes of data stripe `index` of a part of `size` bytes holds."""
    assert 0 <= index < stripe_count(size, stripe_bytes)
    return min(stripe_bytes, size - index * stripe_bytes)


def stripes_of_range(start: int, stop: int, stripe_bytes: int) -> range:
    """Return the indexes of the stripes that bytes `start` to `stop` (exclusive) touch."""
    assert 0 <= start <= stop
    assert stripe_bytes >= 1
    first = start // stripe_bytes
    return range(first, first if start == stop else stripe_count(stop, stripe_bytes))


def shard_data_bytes(size: int, k: int, stripe_bytes: int) -> int:
    """Return the length of a shard of a part of `size` bytes, without checksums or framing."""
    whole, rest = divmod(size, stripe_bytes)
    return whole * block_bytes(stripe_bytes, k) + block_bytes(rest, k)
