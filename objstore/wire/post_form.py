r"""Take a form apart that a browser posts, a piece at a time. Docs: docs/protocol/post_form.md.

    form      = [text CRLF] "--" boundary mark *(delimiter mark) delimiter "--" [anything]
    mark      = *(SP / HT) CRLF part
    part      = *(name ":" value CRLF) CRLF content
    delimiter = CRLF "--" boundary

The parser is fed bytes and returns events. What lies in the file comes as views of what it was
fed: nothing is copied but fields, lines, and the few bytes at the end of a piece that may begin a
delimiter. Everything in front of the file's content is at most limits.POST_FIELDS_BYTES_MAX bytes,
which bounds the number, the lines and the size of fields; so is what frames parts behind it.

"The file or text content must be the last field in the form. Any fields below it are ignored."
"""

import re
from enum import Enum, auto
from typing import Final, NamedTuple

from objstore.errors import RequestRefused
from objstore.limits import POST_BOUNDARY_BYTES_MAX, POST_FIELDS_BYTES_MAX
from objstore.wire.header_parameters import read_parameterised

MEDIA_TYPE: Final = "multipart/form-data"
FILE_FIELD: Final = "file"
# RFC 2046: "Boundary delimiters must not end with a space", and have at most 70 characters.
_BOUNDARY: Final = re.compile(
    rf"[0-9A-Za-z'()+_,./:=? -]{{0,{POST_BOUNDARY_BYTES_MAX - 1}}}[0-9A-Za-z'()+_,./:=?-]"
)
_HEADER: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*:([^\x00\r]*)")
_READ: Final = frozenset({"content-disposition", "content-type", "content-transfer-encoding"})
# RFC 7578: what these say is what every part is; base64 and quoted-printable are "deprecated".
_PLAIN_ENCODINGS: Final = frozenset({"7bit", "8bit", "binary"})


class FormField(NamedTuple):
    """A field in front of the file."""

    name: str
    value: str


class FileStart(NamedTuple):
    """The file begins; `filename` and `content_type` are "" when the client said none."""

    filename: str
    content_type: str


class FileData(NamedTuple):
    """The next bytes of the file: a view of what was fed."""

    data: memoryview


class FileEnd(NamedTuple):
    """The file is complete. The form is when `finish` returns."""


Event = FormField | FileStart | FileData | FileEnd


class _State(Enum):
    PREAMBLE = auto()  # in front of the first delimiter
    MARK = auto()  # the two bytes behind a delimiter
    PADDING = auto()  # the rest of a delimiter's line
    HEADERS = auto()
    VALUE = auto()  # of a field
    FILE = auto()
    IGNORED = auto()  # the content of a field behind the file
    EPILOGUE = auto()  # behind the last delimiter


_CONTENTS: Final = frozenset({_State.PREAMBLE, _State.VALUE, _State.FILE, _State.IGNORED})


class FormParser:
    """Push bytes in with `feed`, take events out of what it returns, end with `finish`.

    Fed the same bytes, it returns the same events and refuses with the same reason, however they
    are split; only the pieces of the file differ.
    """

    __slots__ = (
        "_after_file",
        "_delimiter",
        "_headers",
        "_held",
        "_line",
        "_name",
        "_room",
        "_state",
        "_unsent",
        "_value",
    )

    def __init__(self, boundary: str) -> None:
        """Start at the first byte of a body; `boundary` is from `read_boundary`."""
        assert _BOUNDARY.fullmatch(boundary) is not None
        self._delimiter = f"\r\n--{boundary}".encode("ascii")
        self._state = _State.PREAMBLE
        self._room = POST_FIELDS_BYTES_MAX  # how many bytes of fields and framing may still come
        self._after_file = False
        self._line = bytearray()  # the beginning of a line whose end was not fed yet
        self._headers: dict[str, str] = {}  # of the part
        self._name = ""  # of the part
        self._value = bytearray()  # of the field
        self._held = b""  # content that is the beginning of the delimiter so far
        self._unsent = 0  # how much of that is no content, because nobody sent it
        self._begin_content()

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes of the body and return what they complete.

        Raises:
            RequestRefused: MalformedPOSTRequest; MaxPostPreDataLengthExceededError;
                InvalidArgument, when there is not exactly one file.
        """
        events: list[Event] = []
        at = 0
        while at < len(data) and self._state is not _State.EPILOGUE:
            if self._state in _CONTENTS:
                at = self._feed_content(data, at, events)
            elif self._state is _State.MARK:
                at = self._feed_mark(data, at)
            else:
                at = self._feed_line(data, at, events)
        return events

    def finish(self) -> None:
        """Say that no more bytes come.

        Raises:
            RequestRefused: MalformedPOSTRequest, when the form is not complete.
        """
        if self._state is not _State.EPILOGUE:
            raise _malformed()

    # --- what lies between delimiters ------------------------------------------------

    def _begin_content(self) -> None:
        """Take the line end in front as the beginning of a delimiter.

        So a form may begin with its first delimiter, and a part may have no content at all.
        """
        self._held = b"\r\n"
        self._unsent = len(self._held)

    def _feed_content(self, data: bytes, at: int, events: list[Event]) -> int:
        """Take content up to a delimiter or the end of `data`; return where it ends."""
        if self._held:
            return self._feed_held(data, at, events)
        found = data.find(self._delimiter, at)
        if found >= 0:
            self._take(memoryview(data)[at:found], events)
            self._end_content(events)
            return found + len(self._delimiter)
        # A delimiter has one CR, its first byte: one that began and goes on begins at the last.
        begun = data.rfind(b"\r", max(at, len(data) - len(self._delimiter) + 1))
        if begun < 0 or not self._delimiter.startswith(data[begun:]):
            begun = len(data)
        self._take(memoryview(data)[at:begun], events)
        self._held = data[begun:]
        return len(data)

    def _feed_held(self, data: bytes, at: int, events: list[Event]) -> int:
        more = data[at : at + len(self._delimiter) - len(self._held)]
        joined = self._held + more
        if not self._delimiter.startswith(joined):
            content = memoryview(self._held)[self._unsent :]
            self._held, self._unsent = b"", 0
            self._take(content, events)
            return at  # where a delimiter may begin
        if len(joined) == len(self._delimiter):
            self._held, self._unsent = b"", 0
            self._end_content(events)
        else:
            self._held = joined
        return at + len(more)

    def _take(self, content: memoryview, events: list[Event]) -> None:
        if not content:
            return
        if self._state is _State.FILE:
            events.append(FileData(content))
        elif self._state is not _State.IGNORED:
            self._spend(len(content))
            if self._state is _State.VALUE:
                self._value += content

    def _end_content(self, events: list[Event]) -> None:
        if self._state is _State.VALUE:
            self._spend(len(self._delimiter))
            events.append(FormField(self._name, _text(bytes(self._value))))
            self._value.clear()
        elif self._state is _State.FILE:
            events.append(FileEnd())
            self._after_file = True
            self._room = POST_FIELDS_BYTES_MAX
        else:
            self._spend(len(self._delimiter))
        self._state = _State.MARK

    def _spend(self, count: int) -> None:
        self._room -= count
        if self._room < 0:
            raise self._too_long()

    def _too_long(self) -> RequestRefused:
        if self._state is _State.PREAMBLE:  # the boundary is another form's
            return _malformed()
        if self._after_file:
            return RequestRefused("MaxMessageLengthExceeded")
        return RequestRefused(
            "MaxPostPreDataLengthExceededError",
            MaxPostPreDataLengthBytes=str(POST_FIELDS_BYTES_MAX),
        )

    # --- lines -----------------------------------------------------------------------

    def _feed_mark(self, data: bytes, at: int) -> int:
        """Take the two bytes behind a delimiter; nothing has to follow if they are dashes."""
        more = data[at : at + 2 - len(self._line)]
        self._line += more
        self._spend(len(more))
        if self._line == b"--":
            if not self._after_file:
                raise _not_one_file(0)
            self._line.clear()
            self._state = _State.EPILOGUE
        elif self._line == b"\r\n":
            self._line.clear()
            self._state = _State.HEADERS
        elif len(self._line) == 2:
            self._state = _State.PADDING
        return at + len(more)

    def _feed_line(self, data: bytes, at: int, events: list[Event]) -> int:
        """Take bytes up to the end of a line, act on it when it is whole, return where it ends."""
        stop = min(len(data), at + self._room)
        end = data.find(b"\n", at, stop)
        if end < 0:
            self._line += data[at:stop]
            self._room -= stop - at
            if stop < len(data):
                raise self._too_long()
            return stop
        self._line += data[at:end]
        self._room -= end + 1 - at
        line = bytes(self._line)
        self._line.clear()
        if not line.endswith(b"\r"):
            raise _malformed()
        self._take_line(line[:-1], events)
        return end + 1

    def _take_line(self, line: bytes, events: list[Event]) -> None:
        """Act on a line, which is without its end."""
        if self._state is _State.PADDING:
            if line.strip(b" \t"):
                raise _malformed()
            self._state = _State.HEADERS
        elif line:
            self._take_header(_text(line))
        else:
            self._begin_part(events)

    def _take_header(self, line: str) -> None:
        found = _HEADER.fullmatch(line)
        if found is None:
            raise _malformed()
        name = found[1].lower()
        if name not in _READ:
            return  # RFC 7578: "Other header fields MUST be ignored"
        if name in self._headers:
            raise _malformed()
        self._headers[name] = found[2].strip(" \t")

    def _begin_part(self, events: list[Event]) -> None:
        headers, self._headers = self._headers, {}
        if headers.get("content-transfer-encoding", "binary").lower() not in _PLAIN_ENCODINGS:
            raise _malformed()
        disposition = read_parameterised(headers.get("content-disposition", ""))
        if disposition is None or disposition.value != "form-data":
            raise _malformed()
        name = disposition.parameters.get("name")
        if name is None:
            raise _malformed()
        self._name = name
        is_file = name.lower() == FILE_FIELD
        if self._after_file:
            if is_file:
                raise _not_one_file(2)
            self._state = _State.IGNORED
        elif is_file:
            filename = disposition.parameters.get("filename", "")
            events.append(FileStart(filename, headers.get("content-type", "")))
            self._state = _State.FILE
        else:
            self._state = _State.VALUE
        self._begin_content()


def read_boundary(content_type: str) -> str | None:
    """Return the boundary that a Content-Type names; None when it is no form's.

    Raises:
        RequestRefused: MalformedPOSTRequest, for a form without a boundary that RFC 2046 allows.
    """
    words, _, _ = content_type.partition(";")
    if words.strip(" \t").lower() != MEDIA_TYPE:
        return None
    read = read_parameterised(content_type)
    boundary = "" if read is None else read.parameters.get("boundary", "")
    if _BOUNDARY.fullmatch(boundary) is None:
        raise _malformed()
    return boundary


def _text(data: bytes) -> str:
    """Return a field's or a header's text; "the form must be UTF-8 encoded"."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _malformed() from error


def _malformed() -> RequestRefused:
    return RequestRefused("MalformedPOSTRequest")


def _not_one_file(count: int) -> RequestRefused:
    return RequestRefused(
        "InvalidArgument",
        "POST requires exactly one file upload per request.",
        ArgumentName=FILE_FIELD,
        ArgumentValue=str(count),
    )
