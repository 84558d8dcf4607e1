"""GF(256) against its definition, and the promise that any k rows decode."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.erasure.matrix import (
    POLYNOMIAL,
    coding_matrix,
    inverse,
    invert,
    product,
    products,
    rebuild_matrix,
)
from objstore.names import Scheme

BYTES = st.integers(0, 255)


def slow_product(a: int, b: int) -> int:
    """Multiply polynomials over GF(2) bit by bit, then reduce."""
    out = 0
    for bit in range(8):
        if b >> bit & 1:
            out ^= a << bit
    for bit in range(15, 7, -1):
        if out >> bit & 1:
            out ^= POLYNOMIAL << bit - 8
    return out


def test_the_table_is_multiplication_of_polynomials() -> None:
    table = products()
    assert all(
        table[a, b] == slow_product(a, b) for a in range(256) for b in range(0, 256, 1 + a % 7)
    )


@given(a=BYTES, b=BYTES, c=BYTES)
def test_multiplication_distributes_over_xor(a: int, b: int, c: int) -> None:
    table = products()
    assert table[a, b ^ c] == table[a, b] ^ table[a, c]


def test_every_value_but_zero_has_an_inverse() -> None:
    assert all(products()[value, inverse(value)] == 1 for value in range(1, 256))


def test_the_matrix_is_identity_over_cauchy() -> None:
    matrix = coding_matrix(Scheme(4, 2))
    assert np.array_equal(matrix[:4], np.eye(4, dtype=np.uint8))
    assert [[slow_product(int(matrix[i, j]), i ^ j) for j in range(4)] for i in (4, 5)] == [
        [1] * 4
    ] * 2


def test_singular_is_an_error() -> None:
    with pytest.raises(ZeroDivisionError):
        invert(np.array([[1, 2], [1, 2]], np.uint8))


@given(st.data(), st.integers(1, 8))
def test_an_inverse_undoes(data: st.DataObject, size: int) -> None:
    rows = data.draw(
        st.lists(st.lists(BYTES, min_size=size, max_size=size), min_size=size, max_size=size)
    )
    matrix = np.array(rows, np.uint8)
    try:
        undo = invert(matrix)
    except ZeroDivisionError:
        return
    assert np.array_equal(product(matrix, undo), np.eye(size, dtype=np.uint8))
    assert np.array_equal(product(undo, matrix), np.eye(size, dtype=np.uint8))


@pytest.mark.parametrize("slots", range(2, 11))
def test_any_k_rows_of_every_scheme_can_be_inverted(slots: int) -> None:
    for k in range(1, slots + 1):
        scheme = Scheme(k, slots - k)
        coding = coding_matrix(scheme)
        for present in itertools.combinations(range(slots), k):
            decode = rebuild_matrix(scheme, present, range(k))
            assert np.array_equal(product(decode, coding[list(present)]), np.eye(k, dtype=np.uint8))


def nonsingular(matrices: np.ndarray) -> bool:
    """Whether all of a stack [n, s, s] can be inverted, by elimination on all at once."""
    work = matrices.copy()
    table = products()
    inverses = np.array([0, *(inverse(value) for value in range(1, 256))], np.uint8)
    count, size, _ = work.shape
    every = np.arange(count)
    for column in range(size):
        pivot = column + (work[:, column:, column] != 0).argmax(axis=1)
        swapped = work[every, pivot].copy()
        work[every, pivot] = work[:, column]
        work[:, column] = swapped
        if not work[:, column, column].all():
            return False
        lead = table[inverses[work[:, column, column]][:, None], work[:, column]]
        work[:, column] = lead
        for row in range(column + 1, size):
            work[:, row] ^= table[work[:, row, column][:, None], lead]
    return True


@pytest.mark.parametrize("size", range(1, 9))
def test_every_square_of_the_parity_rows_of_every_scheme_up_to_16_can_be_inverted(
    size: int,
) -> None:
    """What is lost is `size` data shards, what replaces them `size` parity shards: k of N decode
    exactly when that square of the parity rows can be inverted. The parity rows of (k, m) with
    k + m <= 16 are entries 1 / (i xor j), j < k <= i < 16; all their squares are tried."""
    field = np.array(
        [[inverse(i ^ j) if i != j else 0 for j in range(16)] for i in range(16)], np.uint8
    )
    for k in range(size, 17 - size):
        # Rows and columns below cover those of every smaller k too: try only what is new.
        rows = np.array(list(itertools.combinations(range(k, 16), size)))
        columns = np.array([c for c in itertools.combinations(range(k), size) if c[-1] == k - 1])
        for chosen in columns:
            assert nonsingular(field[rows[:, :, None], chosen[None, None, :]])


def test_the_square_test_can_fail() -> None:
    assert not nonsingular(np.array([[[1, 2], [1, 2]]], np.uint8))
    assert nonsingular(np.array([[[0, 1], [1, 0]]], np.uint8))
