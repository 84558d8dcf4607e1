"""Reed-Solomon with the ISA-L that pyeclib ships.

Two ways to the same bytes. `IsaL` calls `ec_encode_data` of the shared library in the pyeclib
wheel through ctypes, on the caller's numpy buffers: nothing is copied or allocated and the GIL is
released for the call. `PyeclibReedSolomon` goes through pyeclib's own interface, for
installations where that library is not to be found; it copies, and frames each fragment with an
80-byte header that never leaves this module.

ISA-L's Cauchy coefficients depend on k alone, so both agree with erasure/matrix.py.
"""

import ctypes
import importlib.metadata
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from typing import Final, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from pyeclib.ec_iface import ECDriver

from objstore.names import Scheme

Bytes = NDArray[np.uint8]

_TABLE_BYTES: Final = 32  # of ISA-L's expanded tables, for each coefficient
_FRAGMENT_HEADER_BYTES: Final = 80  # of liberasurecode
_SYSTEM_LIBRARY: Final = "libisal.so.2"
_TABLES_KEPT: Final = 4096
_HEADERS_KEPT: Final = 64


class _Function(Protocol):
    argtypes: list[object]
    restype: object

    def __call__(self, *args: object) -> None: ...


class IsaL:
    """The library, and multiplication of a matrix by blocks with it."""

    def __init__(self, library: ctypes.CDLL, path: str) -> None:
        self.path = path
        self._init_tables = cast("_Function", library.ec_init_tables)
        self._init_tables.argtypes = [
            ctypes.c_int,
            ctypes.c_int,
            ctypes.c_char_p,
            ctypes.c_void_p,
        ]
        self._init_tables.restype = None
        self._encode_data = cast("_Function", library.ec_encode_data)
        self._encode_data.argtypes = [
            ctypes.c_int,
            ctypes.c_int,
            ctypes.c_int,
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_void_p,
        ]
        self._encode_data.restype = None
        self._tables = lru_cache(maxsize=_TABLES_KEPT)(self._expand)

    def multiply(self, matrix: Bytes, sources: Sequence[Bytes], out: Bytes) -> None:
        """Set row i of `out` to the sum over j of matrix[i, j] times sources[j].

        `sources` are contiguous and as long as a row of `out`, whose rows are contiguous.
        """
        rows, columns = matrix.shape
        length = out.shape[1]
        assert len(sources) == columns
        assert len(out) == rows
        assert length < 1 << 31
        if length == 0:
            return
        tables = self._tables(matrix.tobytes(), rows, columns)
        self._encode_data(
            length,
            columns,
            rows,
            tables.ctypes.data,
            _pointers(sources, length),
            _pointers(list(out), length),
        )

    def _expand(self, matrix: bytes, rows: int, columns: int) -> Bytes:
        tables = np.empty(_TABLE_BYTES * rows * columns, np.uint8)
        self._init_tables(columns, rows, matrix, tables.ctypes.data)
        return tables


def _pointers(blocks: Sequence[Bytes], length: int) -> ctypes.Array[ctypes.c_void_p]:
    """Return the addresses of the blocks. Whoever calls keeps the blocks alive."""
    for block in blocks:
        # What C is about to trust.
        assert block.dtype == np.uint8
        assert block.shape == (length,)
        assert block.flags.c_contiguous
    return (ctypes.c_void_p * len(blocks))(*(block.ctypes.data for block in blocks))


@cache
def load() -> IsaL | None:
    """Find ISA-L, in the pyeclib wheel or in the system, or return None."""
    for path in _candidates():
        try:
            return IsaL(ctypes.CDLL(path), path)
        except (OSError, AttributeError):  # not there, not loadable, or not ISA-L
            continue
    return None


def _candidates() -> Iterator[str]:
    for file in importlib.metadata.files("pyeclib") or []:
        if file.name.startswith("libisal") and ".so" in file.name:
            yield str(file.locate())
    yield _SYSTEM_LIBRARY


class PyeclibReedSolomon:
    """Reed-Solomon through pyeclib's interface, without its fragment headers."""

    def __init__(self, scheme: Scheme) -> None:
        self._scheme = scheme
        self._driver = ECDriver(k=scheme.k, m=scheme.m, ec_type="isa_l_rs_cauchy")
        self._headers = lru_cache(maxsize=_HEADERS_KEPT)(self._draw_headers)

    def encode(self, data: Bytes, parity: Bytes) -> None:
        """Fill `parity` [m, block] from `data` [k, block]."""
        if data.shape[1] == 0:
            return
        fragments = self._driver.encode(data.tobytes())
        for row, fragment in zip(parity, fragments[self._scheme.k :], strict=True):
            row[:] = np.frombuffer(fragment, np.uint8, offset=_FRAGMENT_HEADER_BYTES)

    def rebuild(self, blocks: Mapping[int, Bytes], wanted: Sequence[int], out: Bytes) -> None:
        """Fill `out` with the `wanted` shards' blocks, none of which is in `blocks`."""
        if out.shape[1] == 0:
            return
        headers = self._headers(out.shape[1])
        fragments = [headers[shard] + block.tobytes() for shard, block in blocks.items()]
        # liberasurecode rebuilds at most m at once, as many as it can miss; so do we.
        for row, rebuilt in zip(
            out, self._driver.reconstruct(fragments, list(wanted)), strict=True
        ):
            row[:] = np.frombuffer(rebuilt, np.uint8, offset=_FRAGMENT_HEADER_BYTES)

    def _draw_headers(self, block: int) -> list[bytes]:
        """Return the headers of fragments with blocks of that length, whatever they hold."""
        fragments = self._driver.encode(bytes(self._scheme.k * block))
        return [fragment[:_FRAGMENT_HEADER_BYTES] for fragment in fragments]
