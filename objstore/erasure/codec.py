"""Encode stripes into shards and rebuild any shard from any k of them.

One codec per scheme, by what the scheme needs (docs/format/shard.md, "Parity"):

    m = 0   nothing to compute
    k = 1   every parity shard is a copy
    m = 1   the parity shard is the xor of the data shards
    else    Reed-Solomon with ISA-L's Cauchy matrix

Codecs hold no buffers, may be used by several threads at once, and release the GIL on large
blocks. All blocks of a call have one length; the caller owns every buffer, also what is filled.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from typing import Final, Protocol

import numpy as np
import xxhash
from numpy.typing import NDArray

from objstore.erasure import isal, matrix
from objstore.errors import ConfigError
from objstore.names import Scheme

Bytes = NDArray[np.uint8]
Block = bytes | bytearray | memoryview | Bytes

_REBUILDS_KEPT: Final = 256


class Codec(Protocol):
    """What turns data blocks into parity blocks and back, for one scheme."""

    def encode(self, data: Bytes, parity: Bytes) -> None:
        """Fill `parity` [m, block] from `data` [k, block]. Rows are contiguous."""
        ...

    def rebuild(self, blocks: Mapping[int, Block], wanted: Sequence[int], out: Bytes) -> None:
        """Fill row i of `out` [len(wanted), block] with the block of shard `wanted[i]`.

        `blocks` maps at least k shards to their blocks of one stripe; with more than k, the
        lowest are used. Data and parity shards may be given and wanted.
        """
        ...


class _Nothing:
    """m = 0: no parity, so a shard can be rebuilt only from itself."""

    def __init__(self, scheme: Scheme) -> None:
        self._scheme = scheme

    def encode(self, data: Bytes, parity: Bytes) -> None:
        _check_encode(self._scheme, data, parity)

    def rebuild(self, blocks: Mapping[int, Block], wanted: Sequence[int], out: Bytes) -> None:
        chosen = _choose(self._scheme, blocks, wanted, out)
        for row, shard in zip(out, wanted, strict=True):
            row[:] = chosen[shard]


class _Copies:
    """k = 1: every shard is the data."""

    def __init__(self, scheme: Scheme) -> None:
        self._scheme = scheme

    def encode(self, data: Bytes, parity: Bytes) -> None:
        _check_encode(self._scheme, data, parity)
        parity[:] = data

    def rebuild(self, blocks: Mapping[int, Block], wanted: Sequence[int], out: Bytes) -> None:
        chosen = _choose(self._scheme, blocks, wanted, out)
        out[:] = next(iter(chosen.values()))


class _Xor:
    """m = 1: any shard is the xor of all the others."""

    def __init__(self, scheme: Scheme) -> None:
        self._scheme = scheme

    def encode(self, data: Bytes, parity: Bytes) -> None:
        _check_encode(self._scheme, data, parity)
        _xor(list(data), parity[0])

    def rebuild(self, blocks: Mapping[int, Block], wanted: Sequence[int], out: Bytes) -> None:
        chosen = _choose(self._scheme, blocks, wanted, out)
        for row, shard in zip(out, wanted, strict=True):
            if shard in chosen:
                row[:] = chosen[shard]
            else:
                _xor(list(chosen.values()), row)


def _xor(sources: Sequence[Bytes], out: Bytes) -> None:
    np.bitwise_xor(sources[0], sources[1], out=out)
    for source in sources[2:]:
        np.bitwise_xor(out, source, out=out)


class _Multiply(Protocol):
    def __call__(self, matrix: Bytes, sources: Sequence[Bytes], out: Bytes) -> None: ...


class MatrixReedSolomon:
    """Reed-Solomon by multiplying with the coding matrix, or with one made to rebuild."""

    def __init__(self, scheme: Scheme, multiply: _Multiply) -> None:
        self._scheme = scheme
        self._multiply = multiply
        self._parity_rows = matrix.coding_matrix(scheme)[scheme.k :]
        self._rebuild_matrix = lru_cache(maxsize=_REBUILDS_KEPT)(
            lambda present, wanted: matrix.rebuild_matrix(scheme, present, wanted)
        )

    def encode(self, data: Bytes, parity: Bytes) -> None:
        _check_encode(self._scheme, data, parity)
        self._multiply(self._parity_rows, list(data), parity)

    def rebuild(self, blocks: Mapping[int, Block], wanted: Sequence[int], out: Bytes) -> None:
        chosen = _choose(self._scheme, blocks, wanted, out)
        if not wanted:
            return
        rows = self._rebuild_matrix(tuple(chosen), tuple(wanted))
        self._multiply(rows, list(chosen.values()), out)


class FragmentReedSolomon:
    """Reed-Solomon through pyeclib's fragments, where ISA-L itself cannot be called."""

    def __init__(self, scheme: Scheme) -> None:
        self._scheme = scheme
        self._pyeclib = isal.PyeclibReedSolomon(scheme)

    def encode(self, data: Bytes, parity: Bytes) -> None:
        _check_encode(self._scheme, data, parity)
        self._pyeclib.encode(data, parity)

    def rebuild(self, blocks: Mapping[int, Block], wanted: Sequence[int], out: Bytes) -> None:
        chosen = _choose(self._scheme, blocks, wanted, out)
        for row, shard in enumerate(wanted):
            if shard in chosen:
                out[row] = chosen[shard]
            else:
                self._pyeclib.rebuild(chosen, [shard], out[row : row + 1])


def _check_encode(scheme: Scheme, data: Bytes, parity: Bytes) -> None:
    assert data.ndim == 2
    assert len(data) == scheme.k
    assert parity.shape == (scheme.m, data.shape[1])


def _choose(
    scheme: Scheme, blocks: Mapping[int, Block], wanted: Sequence[int], out: Bytes
) -> dict[int, Bytes]:
    """Return the k blocks to compute from, as arrays, in order of shard."""
    assert len(blocks) >= scheme.k, "fewer than k shards do not decode"
    assert out.ndim == 2
    assert len(out) == len(wanted)
    assert all(0 <= shard < scheme.slots for shard in wanted)
    chosen = {shard: _array(blocks[shard]) for shard in sorted(blocks)[: scheme.k]}
    assert all(0 <= shard < scheme.slots for shard in chosen)
    assert all(block.shape == (out.shape[1],) for block in chosen.values())
    return chosen


def _array(block: Block) -> Bytes:
    return block if isinstance(block, np.ndarray) else np.frombuffer(block, np.uint8)


@cache
def codec_for(scheme: Scheme) -> Codec:
    """Return the codec of a scheme."""
    if scheme.m == 0:
        return _Nothing(scheme)
    if scheme.k == 1:
        return _Copies(scheme)
    if scheme.m == 1:
        return _Xor(scheme)
    library = isal.load()
    if library is None:
        return FragmentReedSolomon(scheme)
    return MatrixReedSolomon(scheme, library.multiply)


def reed_solomon_twins(scheme: Scheme) -> Iterator[tuple[str, Codec]]:
    """Yield every implementation of Reed-Solomon that works here, by name, the slow twin first."""
    yield "numpy tables", MatrixReedSolomon(scheme, matrix.multiply)
    yield "pyeclib", FragmentReedSolomon(scheme)
    library = isal.load()
    if library is not None:
        yield f"ISA-L ({library.path})", MatrixReedSolomon(scheme, library.multiply)


# The parity of `_test_pattern` under each scheme, as docs/format/shard.md fixes it.
_SELF_TEST: Final = {
    Scheme(1, 3): "4a4a63e3319c0bdb6fd487e64707abc3",
    Scheme(3, 1): "e7c6f80176607f7ede10702da8f29c2b",
    Scheme(2, 2): "4fc15202a1874ee9142f157d39071ce7",
    Scheme(4, 2): "c03964b3c31009bea5c4a4ec741ccb3e",
    Scheme(8, 8): "6a2da19ded17b8f76aae84c847067ee1",
}
_SELF_TEST_BLOCK_BYTES: Final = 4099  # not a multiple of any vector length


def self_test() -> str:
    """Prove, before a server stores anything, that encoding gives the bytes of the format.

    Returns the name of the implementation that encodes Reed-Solomon.

    Raises:
        ConfigError: a library computes something else.
    """
    for scheme, expected in _SELF_TEST.items():
        data = _test_pattern(scheme.k)
        parity = np.empty((scheme.m, _SELF_TEST_BLOCK_BYTES), np.uint8)
        codec = codec_for(scheme)
        codec.encode(data, parity)
        found = xxhash.xxh3_128_hexdigest(parity.tobytes())
        survivors = dict(list(enumerate([*data, *parity]))[-scheme.k :])
        rebuilt = np.empty_like(data)
        codec.rebuild(survivors, range(scheme.k), rebuilt)
        if found != expected or not np.array_equal(rebuilt, data):
            raise ConfigError(
                found=f"{scheme} encodes a test pattern to {found}",
                expected=expected,
                remedy="reinstall numpy and pyeclib; until then nothing can be stored or read",
            )
    library = isal.load()
    return "pyeclib" if library is None else f"ISA-L ({library.path})"


def _test_pattern(rows: int) -> Bytes:
    """Return bytes that look random and are the same for ever: squares of a counter."""
    count = np.arange(rows * _SELF_TEST_BLOCK_BYTES, dtype=np.uint32)
    mixed = (count * count + count * np.uint32(2654435761)) >> np.uint32(16)
    return mixed.astype(np.uint8).reshape(rows, _SELF_TEST_BLOCK_BYTES)
