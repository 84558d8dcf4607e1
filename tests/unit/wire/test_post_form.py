"""The parser of forms, fed whole, by the byte and in any pieces, with everything wrong once."""

import time
import tracemalloc
from collections.abc import Iterable, Sequence
from email import message_from_bytes, policy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.errors import RequestRefused
from objstore.limits import POST_FIELDS_BYTES_MAX
from objstore.wire.header_parameters import read_parameterised
from objstore.wire.post_form import (
    Event,
    FileData,
    FileEnd,
    FileStart,
    FormField,
    FormParser,
    read_boundary,
)
from tests.unit.wire.posted_forms import BOUNDARY, Part, encode, field, file

MALFORMED = "MalformedPOSTRequest"
TOO_LARGE = "MaxPostPreDataLengthExceededError"
NOT_ONE_FILE = "InvalidArgument"
END = FileEnd()


def run(pieces: Iterable[bytes], boundary: str = BOUNDARY) -> tuple[list[Event], str]:
    """Return the events, the file in one piece, and the reason of the refusal or ""."""
    parser = FormParser(boundary)
    events: list[Event] = []
    try:
        for piece in pieces:
            events += parser.feed(piece)
        parser.finish()
    except RequestRefused as refusal:
        return _joined(events), refusal.reason
    return _joined(events), ""


def _joined(events: Sequence[Event]) -> list[Event]:
    joined: list[Event] = []
    for event in events:
        if isinstance(event, FileData) and joined and isinstance(joined[-1], FileData):
            joined[-1] = FileData(memoryview(bytes(joined[-1].data) + bytes(event.data)))
        else:
            joined.append(event)
    return joined


def content(data: bytes) -> list[Event]:
    return [FileData(memoryview(data))] if data else []


def split(body: bytes, cuts: Iterable[int]) -> list[bytes]:
    ends = sorted({cut % (len(body) + 1) for cut in cuts} | {len(body)})
    return [body[start:end] for start, end in zip([0, *ends], ends, strict=False)]


# --- what is well-formed ---------------------------------------------------------------


def test_a_form_as_browsers_send_it() -> None:
    body = encode([field("key", "a/${filename}"), field("Content-Type", "image/png"), file(b"PNG")])
    assert run([body]) == (
        [
            FormField("key", "a/${filename}"),
            FormField("Content-Type", "image/png"),
            FileStart("cat.png", "image/png"),
            *content(b"PNG"),
            END,
        ],
        "",
    )


def test_fields_may_have_a_filename_and_the_file_none() -> None:
    """The name alone decides which part is the file."""
    bare = Part(("content-disposition:form-data;name=FILE",), b"x")
    events, reason = run([encode([file(b"foo.txt", "key", name="key"), bare])])
    assert reason == ""
    assert events == [FormField("key", "foo.txt"), FileStart("", ""), *content(b"x"), END]


def test_what_is_below_the_file_is_ignored() -> None:
    # AWS says: "The file or text content must be the last field in the form. Any fields below it
    # are ignored."
    body = encode([file(b"x"), field("key", "late"), file(b"y" * 50_000, name="other")])
    assert run([body]) == ([FileStart("cat.png", "image/png"), *content(b"x"), END], "")


@pytest.mark.parametrize("data", [b"", b"\r", b"\n", b"\r\n", b"--", b"\r\n--", b"\r\n\r\n--x\r\n"])
def test_a_file_that_looks_like_framing(data: bytes) -> None:
    events, reason = run([encode([file(data)])])
    assert reason == ""
    assert events[1:] == [*content(data), END]


@pytest.mark.parametrize(
    "body",
    [
        encode([file(b"x")], preamble=b"This is a multipart message."),
        encode([file(b"x")], preamble=b"\r\n"),
        encode([file(b"x")], padding=b" \t"),
        encode([file(b"x")], padding=b" "),
        encode([file(b"x")], end=b"--"),
        encode([file(b"x")], end=b"--\r\nepilogue\r\n--" + BOUNDARY.encode()),
        encode(
            [Part((*file(b"").headers, "X-Other: 1", "content-transfer-encoding: BINARY"), b"x")]
        ),
    ],
)
def test_what_rfc_2046_allows(body: bytes) -> None:
    assert run([body]) == ([FileStart("cat.png", "image/png"), *content(b"x"), END], "")


def test_a_part_without_content_needs_no_line_end_of_its_own() -> None:
    # RFC 2046: "body-part := MIME-part-headers [CRLF *OCTET]"
    body = encode([field("a", ""), file(b"x")]).replace(b"\r\n\r\n\r\n", b"\r\n\r\n", 1)
    assert run([body])[0][0] == FormField("a", "")


# --- twins -----------------------------------------------------------------------------

NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters='\r\n\0"\\'), min_size=1, max_size=8
)
BYTES = st.lists(
    st.sampled_from(
        [b"\r\n--", b"\r", b"\n", b"-", BOUNDARY[:9].encode(), b"\r\n\r\n", b"a", "ü".encode()]
    ),
    max_size=8,
).map(b"".join)


@st.composite
def forms(draw: st.DrawFn) -> list[Part]:
    names = draw(st.lists(NAMES.filter(lambda name: name.lower() != "file"), max_size=5))
    parts = [field(name, draw(BYTES)) for name in names]
    at = draw(st.integers(0, len(parts)))
    content = draw(BYTES | st.binary(max_size=300))
    return [*parts[:at], file(content, draw(NAMES)), *parts[at:]]


def by_splitting(body: bytes) -> list[Event]:
    """Parse a whole, well-formed form: slow and obvious."""
    _, *chunks, _ = (b"\r\n" + body).split(b"\r\n--" + BOUNDARY.encode())
    events: list[Event] = []
    for chunk in chunks:
        head, _, content_ = chunk.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        lines = [line.split(": ", 1) for line in head.decode().split("\r\n")]
        headers = {name.lower(): value for name, value in lines}
        disposition = read_parameterised(headers["content-disposition"])
        assert disposition is not None
        name = disposition.parameters["name"]
        if name.lower() == "file":
            filename = disposition.parameters.get("filename", "")
            events.append(FileStart(filename, headers.get("content-type", "")))
            return [*events, *content(content_), END]
        events.append(FormField(name, content_.decode()))
    return events


@given(forms(), st.lists(st.integers(0, 2000), max_size=12))
def test_any_split_gives_what_splitting_the_whole_gives(parts: list[Part], cuts: list[int]) -> None:
    body = encode(parts)
    assert run(split(body, cuts)) == (by_splitting(body), "")


@settings(max_examples=30)
@given(forms())
def test_byte_by_byte(parts: list[Part]) -> None:
    body = encode(parts)
    assert run(split(body, range(len(body)))) == (by_splitting(body), "")


@given(forms())
def test_the_email_package_reads_the_same_contents(parts: list[Part]) -> None:
    body = encode(parts)
    head = f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n".encode()
    message = message_from_bytes(head + body, policy=policy.HTTP)
    contents = [part.get_payload(decode=True) for part in message.iter_parts()]
    assert contents == [part.content for part in parts]
    events, _ = run([body])
    fields = [event.value.encode() for event in events if isinstance(event, FormField)]
    data = b"".join(bytes(event.data) for event in events if isinstance(event, FileData))
    assert contents[: len(fields) + 1] == [*fields, data]


@given(forms(), st.data())
def test_broken_forms_are_refused_alike_however_they_are_split(
    parts: list[Part], data: st.DataObject
) -> None:
    body = bytearray(encode(parts))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(body[: data.draw(st.integers(0, len(body)))])
    events, reason = run([cut])
    bytewise, reason_bytewise = run(split(cut, range(len(cut))))
    assert reason == reason_bytewise
    if not reason:
        assert events == bytewise


@given(forms(), st.integers(1, 10_000))
def test_a_form_that_ends_early_is_refused(parts: list[Part], missing: int) -> None:
    body = encode(parts, end=b"--")
    cut = body[: -(missing % len(body)) or -1]
    assert run([cut])[1] in (MALFORMED, NOT_ONE_FILE)


# --- what is not -----------------------------------------------------------------------


def with_headers(*headers: str) -> bytes:
    return encode([Part(headers, b"x"), file(b"x")])


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", MALFORMED),
        (b"key=value", MALFORMED),
        (b"--" + BOUNDARY.encode(), MALFORMED),
        (encode([]), NOT_ONE_FILE),
        (b"--" + BOUNDARY.encode() + b"--", NOT_ONE_FILE),
        (encode([field("key", "x")]), NOT_ONE_FILE),
        (encode([file(b"x"), file(b"y")]), NOT_ONE_FILE),
        (encode([file(b"x"), file(b"y", name="File")]), NOT_ONE_FILE),
        (encode([file(b"x")], end=b""), MALFORMED),
        (encode([file(b"x")], end=b"X--"), MALFORMED),
        (encode([file(b"x")], end=b"\r\n"), MALFORMED),
        (encode([file(b"x")], padding=b"x"), MALFORMED),
        (encode([file(b"x")], padding=b"\r"), MALFORMED),
        (encode([file(b"x")], padding=b" x"), MALFORMED),
        (encode([file(b"x")], boundary="other"), MALFORMED),
        (encode([file(b"x")]).replace(b"\r\n", b"\n"), MALFORMED),
        (with_headers(), MALFORMED),
        (with_headers("Content-Type: text/plain"), MALFORMED),
        (with_headers("Content-Disposition: form-data"), MALFORMED),
        (with_headers('Content-Disposition: attachment; name="a"'), MALFORMED),
        (with_headers('Content-Disposition: form-data; name="a'), MALFORMED),
        (with_headers("Content-Disposition: form-data; name=a; name=b"), MALFORMED),
        (with_headers(*2 * ["Content-Disposition: form-data; name=a"]), MALFORMED),
        (with_headers("Content-Disposition: form-data;", " name=a"), MALFORMED),
        (with_headers("Content-Disposition: form-data; name=a", "no header"), MALFORMED),
        (with_headers("Content-Disposition: form-data; name=a\rb"), MALFORMED),
        (
            with_headers(
                "Content-Disposition: form-data; name=a", "Content-Transfer-Encoding: base64"
            ),
            MALFORMED,
        ),
        (encode([field("key", b"\xff"), file(b"x")]), MALFORMED),
        (encode([field("key", "x" * POST_FIELDS_BYTES_MAX), file(b"x")]), TOO_LARGE),
        (encode([*200 * [field("key", "x" * 100)], file(b"x")]), TOO_LARGE),
        (encode([file(b"x")], preamble=b"x" * POST_FIELDS_BYTES_MAX), MALFORMED),
        (with_headers(f"X-Long: {'x' * POST_FIELDS_BYTES_MAX}"), TOO_LARGE),
        (encode([file(b"x")], padding=b" " * POST_FIELDS_BYTES_MAX), TOO_LARGE),
        (encode([file(b"x"), *400 * [field("y", "")]]), "MaxMessageLengthExceeded"),
    ],
)
def test_what_is_refused(body: bytes, reason: str) -> None:
    assert run([body])[1] == reason
    assert run(split(body, range(len(body))))[1] == reason


def test_exactly_what_fits_in_front_of_the_file_is_accepted() -> None:
    framing = encode([field("key", ""), file(b"")]).index(b"image/png\r\n\r\n") + 13
    room = POST_FIELDS_BYTES_MAX - framing
    # The first line end of a form counts, whether it is sent or not.
    assert run([encode([field("key", "x" * (room - 2)), file(b"x")])])[1] == ""
    assert run([encode([field("key", "x" * (room - 1)), file(b"x")])])[1] == TOO_LARGE


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        (f"multipart/form-data; boundary={BOUNDARY}", BOUNDARY),
        ('Multipart/Form-Data;charset=utf-8; boundary="a b"', "a b"),
        (f"multipart/form-data; boundary={'x' * 70}", "x" * 70),
        ("multipart/mixed; boundary=x", None),
        ("application/x-www-form-urlencoded", None),
        ("", None),
    ],
)
def test_boundaries(content_type: str, boundary: str | None) -> None:
    assert read_boundary(content_type) == boundary


@pytest.mark.parametrize(
    "parameters",
    [
        "",
        "; boundary=",
        '; boundary=""',
        '; boundary="a "',
        f"; boundary={'x' * 71}",
        "; boundary=a; boundary=b",
        '; boundary="ü"',
        '; boundary="a\r\nb"',
        "; boundary=x, text/plain",
    ],
)
def test_boundaries_that_are_none(parameters: str) -> None:
    with pytest.raises(RequestRefused) as refusal:
        read_boundary(f"multipart/form-data{parameters}")
    assert refusal.value.reason == MALFORMED


# --- what it costs ---------------------------------------------------------------------


def test_the_file_is_not_copied() -> None:
    data = b"z" * 1_000_000
    parser = FormParser(BOUNDARY)
    parser.feed(encode([file(b"")]).rpartition(b"\r\n--")[0])
    (event,) = parser.feed(data)
    assert isinstance(event, FileData)
    assert event.data.obj is data


@pytest.mark.parametrize(
    "unit", [b"\r", b"\r\n--", f"\r\n--{BOUNDARY[:-1]}".encode(), b"\r\n--" + b"-" * 60]
)
@pytest.mark.parametrize("piece_bytes", [1, 100, 1_000_000])
def test_no_content_makes_it_slow_or_large(unit: bytes, piece_bytes: int) -> None:
    data = (unit * 200_000)[: 20_000 * piece_bytes][:2_000_000]
    parser = FormParser(BOUNDARY)
    parser.feed(encode([file(b"")]).rpartition(b"\r\n--")[0])
    tracemalloc.start()
    began = time.process_time()
    fed = 0
    for at in range(0, len(data), piece_bytes):
        for event in parser.feed(data[at : at + piece_bytes]):
            assert isinstance(event, FileData)
            fed += len(event.data)
    spent_s = time.process_time() - began
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(data) - fed < len(BOUNDARY) + 4
    assert spent_s < 10
    assert peak < 2 * piece_bytes + 100_000  # this loop holds the piece before


def test_fields_byte_by_byte_cost_no_more_than_their_length() -> None:
    body = encode([field("a", "x" * 9000), *100 * [field("b", "")], file(b"")])[:20_000]
    began = time.process_time()
    run(split(body, range(len(body))))
    assert time.process_time() - began < 2
