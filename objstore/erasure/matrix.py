"""Arithmetic in GF(2^8) and the coding matrix, as plain numpy tables.

The field is that of ISA-L: polynomial x^8 + x^4 + x^3 + x^2 + 1 (0x11d), generator 2. The coding
matrix of (k, m) is ISA-L's `gf_gen_cauchy1_matrix`: k rows of identity, then row i (from k on)
has 1 / (i xor j) in column j. Every square sub-matrix of a Cauchy matrix can be inverted, so any
k of the k + m rows decode. docs/format/shard.md pins it: these numbers are a disk format.

`multiply` is also the slow, obvious twin that the fast implementations are tested against.
"""

from collections.abc import Sequence
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from objstore.names import Scheme

Bytes = NDArray[np.uint8]

POLYNOMIAL: Final = 0x11D
ORDER: Final = 255  # of the multiplicative group
SLOTS_MAX: Final = 255  # beyond it i xor j would no longer be distinct


@cache
def _logarithms() -> tuple[Bytes, Bytes]:
    """Return (powers of 2 twice over, logarithms to base 2)."""
    powers = np.zeros(2 * ORDER, np.uint8)
    logs = np.zeros(256, np.uint8)
    value = 1
    for exponent in range(ORDER):
        powers[exponent] = powers[exponent + ORDER] = value
        logs[value] = exponent
        value <<= 1
        if value & 0x100:
            value ^= POLYNOMIAL
    return powers, logs


@cache
def products() -> Bytes:
    """Return the multiplication table: `products()[a][b]` is a times b."""
    powers, logs = _logarithms()
    table = np.zeros((256, 256), np.uint8)
    exponents = logs[1:].astype(np.intp)
    table[1:, 1:] = powers[exponents[:, None] + exponents[None, :]]
    table.flags.writeable = False
    return table


def inverse(value: int) -> int:
    """Return 1 / value."""
    assert 0 < value < 256
    powers, logs = _logarithms()
    return int(powers[ORDER - int(logs[value])])


def coding_matrix(scheme: Scheme) -> Bytes:
    """Return the N x k matrix that turns k data blocks into N shards' blocks."""
    assert scheme.slots <= SLOTS_MAX
    matrix = np.zeros((scheme.slots, scheme.k), np.uint8)
    np.fill_diagonal(matrix, 1)
    for i in range(scheme.k, scheme.slots):
        for j in range(scheme.k):
            matrix[i, j] = inverse(i ^ j)
    return matrix


def invert(matrix: Bytes) -> Bytes:
    """Return the inverse of a square matrix, by Gauss and Jordan.

    Raises:
        ZeroDivisionError: it has none. Sub-matrices of `coding_matrix` always have one.
    """
    size = len(matrix)
    table = products()
    work = np.concatenate([matrix, np.eye(size, dtype=np.uint8)], axis=1)
    for column in range(size):
        pivots = np.flatnonzero(work[column:, column])
        if not len(pivots):
            raise ZeroDivisionError("singular matrix")
        pivot = column + int(pivots[0])
        work[[column, pivot]] = work[[pivot, column]]
        work[column] = table[inverse(int(work[column, column]))][work[column]]
        for row in range(size):
            if row != column and work[row, column]:
                work[row] ^= table[work[row, column]][work[column]]
    return work[:, size:].copy()


def rebuild_matrix(scheme: Scheme, present: Sequence[int], wanted: Sequence[int]) -> Bytes:
    """Return the len(wanted) x k matrix that makes `wanted` shards of exactly k `present` ones."""
    assert len(present) == scheme.k
    coding = coding_matrix(scheme)
    return product(coding[list(wanted)], invert(coding[list(present)]))


def product(left: Bytes, right: Bytes) -> Bytes:
    """Return the matrix product."""
    out = np.zeros((len(left), right.shape[1]), np.uint8)
    multiply(left, list(right), out)
    return out


def multiply(matrix: Bytes, sources: Sequence[Bytes], out: Bytes) -> None:
    """Set row i of `out` to the sum over j of matrix[i, j] times sources[j]."""
    table = products()
    for coefficients, row in zip(matrix, out, strict=True):
        row[:] = 0
        for coefficient, source in zip(coefficients, sources, strict=True):
            if coefficient == 1:
                np.bitwise_xor(row, source, out=row)
            elif coefficient:
                np.bitwise_xor(row, table[coefficient][source], out=row)
