"""Range requests: which bytes of an object are wanted.

RFC 9110, section 14, as S3 narrows it: one range; a header that is not understood, or that asks
for several ranges, is ignored and the whole object answers.
"""

import re
from dataclasses import dataclass

from objstore.errors import RequestRefused

# At most 999 digits: beyond every size, far below what int() refuses, and cheap to read.
_ONE_RANGE = re.compile(r"bytes[ ]*=[ ]*([0-9]{0,999})-([0-9]{0,999})[ ]*", re.IGNORECASE)
_CLOSED_RANGE = re.compile(r"bytes=([0-9]{1,19})-([0-9]{1,19})")


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes `start` up to and not including `stop`."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        """How many bytes it covers."""
        return self.stop - self.start

    def content_range(self, whole: int) -> str:
        """Return the value of Content-Range for an object of `whole` bytes."""
        return f"bytes {self.start}-{self.stop - 1}/{whole}"


def select_range(header: str | None, size: int) -> ByteRange | None:
    """Return what `header` selects of an object of `size` bytes; None means the whole object.

    Raises:
        RequestRefused: InvalidRange, when the range begins at or after the object's end.
    """
    found = _ONE_RANGE.fullmatch(header) if header is not None else None
    if found is None:
        return None
    first, last = found[1], found[2]
    if not first:
        return _suffix(last, size, header or "")
    start = int(first)
    # "An int-range is invalid if the last-pos value is present and less than first-pos"; an
    # invalid one is ignored.
    if last and int(last) < start:
        return None
    if start >= size:
        raise _unsatisfiable(header or "", size)
    return ByteRange(start, min(int(last) + 1, size) if last else size)


def _suffix(length: str, size: int, header: str) -> ByteRange | None:
    if not length:
        return None
    if int(length) == 0 or size == 0:
        raise _unsatisfiable(header, size)
    return ByteRange(max(0, size - int(length)), size)


def _unsatisfiable(header: str, size: int) -> RequestRefused:
    return RequestRefused("InvalidRange", RangeRequested=header, ActualObjectSize=str(size))


def copy_source_range(header: str | None, size: int) -> ByteRange:
    """Return what x-amz-copy-source-range selects of a source of `size` bytes.

    "The range value must use the form bytes=first-last, where the first and last are the
    zero-based byte offsets to copy."

    Raises:
        RequestRefused: InvalidArgument, when it has another form or leaves the source.
    """
    if header is None:
        return ByteRange(0, size)
    found = _CLOSED_RANGE.fullmatch(header)
    if found is None or int(found[2]) < int(found[1]):
        raise RequestRefused(
            "InvalidArgument",
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first"
            " and last are the zero-based offsets of the first and last bytes to copy",
            ArgumentName="x-amz-copy-source-range",
            ArgumentValue=header,
        )
    if int(found[2]) >= size:
        raise RequestRefused(
            "InvalidArgument",
            f"Range specified is not valid for source object of size: {size}",
            ArgumentName="x-amz-copy-source-range",
            ArgumentValue=header,
        )
    return ByteRange(int(found[1]), int(found[2]) + 1)
