"""Range headers, by RFC 9110 section 14 and what S3 makes of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.errors import RequestRefused
from objstore.wire.byte_range import ByteRange, copy_source_range, select_range


@pytest.mark.parametrize(
    ("header", "size", "expected"),
    [
        (None, 10, None),
        ("bytes=0-0", 10, (0, 1)),
        ("bytes=0-", 10, (0, 10)),
        ("bytes=2-4", 10, (2, 5)),
        ("bytes=2-400", 10, (2, 10)),
        ("bytes=9-9", 10, (9, 10)),
        ("bytes=-3", 10, (7, 10)),
        ("bytes=-300", 10, (0, 10)),
        ("Bytes=1-2", 10, (1, 3)),
        ("bytes = 1-2", 10, (1, 3)),
        # An invalid range is ignored, and so are several: "Amazon S3 doesn't support retrieving
        # multiple ranges of data per GET request".
        ("bytes=5-2", 10, None),
        ("bytes=0-1,3-4", 10, None),
        ("bytes=-", 10, None),
        ("bytes=", 10, None),
        ("bytes=a-b", 10, None),
        ("bytes=+1-2", 10, None),
        ("bytes=0x1-2", 10, None),
        ("bytes=1_0-20", 100, None),
        ("bytes=\u0661-2", 10, None),  # a digit to int(), none to the grammar
        ("lines=1-2", 10, None),
        ("bytes=" + "0-1," * 1000, 10, None),
        ("bytes=" + "1" * 4000 + "-", 10, None),
    ],
)
def test_selection(header: str | None, size: int, expected: tuple[int, int] | None) -> None:
    span = select_range(header, size)
    assert (None if span is None else (span.start, span.stop)) == expected


@pytest.mark.parametrize(
    ("header", "size"),
    [("bytes=10-", 10), ("bytes=10-20", 10), ("bytes=-0", 10), ("bytes=0-", 0), ("bytes=-1", 0)],
)
def test_beyond_the_end_is_refused(header: str, size: int) -> None:
    with pytest.raises(RequestRefused) as refusal:
        select_range(header, size)
    assert refusal.value.reason == "InvalidRange"
    assert refusal.value.detail == {"RangeRequested": header, "ActualObjectSize": str(size)}


@settings(max_examples=200)
@given(st.text("bytes=-0123456789, ", max_size=30), st.integers(0, 100))
def test_whatever_is_selected_lies_inside(header: str, size: int) -> None:
    try:
        span = select_range(header, size)
    except RequestRefused:
        return
    assert span is None or 0 <= span.start < span.stop <= size


@settings(max_examples=100)
@given(st.integers(1, 10**6), st.data())
def test_agrees_with_slicing(size: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, size - 1))
    last = data.draw(st.integers(first, 2 * size))
    span = select_range(f"bytes={first}-{last}", size)
    assert span is not None
    assert range(span.start, span.stop) == range(size)[first : last + 1]
    assert span.content_range(size) == f"bytes {first}-{min(last, size - 1)}/{size}"


def test_copy_range() -> None:
    assert copy_source_range(None, 10) == ByteRange(0, 10)
    assert copy_source_range("bytes=0-9", 10) == ByteRange(0, 10)
    assert copy_source_range("bytes=3-3", 10).size == 1


@pytest.mark.parametrize(
    "header", ["bytes=0-10", "bytes=5-4", "bytes=5-", "bytes=-5", "0-5", "bytes=0-5,6-7", ""]
)
def test_copy_range_refusals(header: str) -> None:
    with pytest.raises(RequestRefused) as refusal:
        copy_source_range(header, 10)
    assert refusal.value.reason == "InvalidArgument"
