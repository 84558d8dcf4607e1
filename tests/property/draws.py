"""What the rules draw from: few values of each kind, chosen so that they collide."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote, urlencode

from hypothesis import strategies as st

from tests.model.listings import Ask
from tests.model.objects import Conditions, Source
from tests.model.values import DIGESTS, Attributes, Version

MIB: Final = 1024 * 1024
BUCKETS: Final = ("one-bucket", "two-bucket")
# Keys that one another are prefixes of, that paths would merge, and that encodings would confuse.
KEYS: Final = ("a", "a/", "a/b", "a//b", "..", "a/../b", "é/ü", "%2F", "a+b c&d", "a/b/c")
OTHER_ETAG: Final = "f" * 32

buckets = st.sampled_from([BUCKETS[0]] * 7 + [BUCKETS[1]])
new_keys = st.sampled_from(["a", "a", "a", "a/", "a/b", *KEYS])
choices = st.integers(0, 999)  # which of those there are
seldom = st.sampled_from([False, False, False, True])


@dataclass(frozen=True)
class Wanted:
    """What a request is about: a new key, or which of the keys and versions there are."""

    bucket: str
    new_key: str
    choice: int


places = st.builds(Wanted, buckets, new_keys, choices)


@lru_cache(maxsize=128)
def body_of(size: int, seed: int) -> bytes:
    """Return bytes that differ from seed to seed and, in large bodies, from stripe to stripe."""
    unit = bytes((seed * 31 + at * 7 + (at >> 3)) % 251 for at in range(min(size, 997)))
    return (unit * (size // 997 + 1))[:size]


_METADATA: Final[list[dict[str, str]]] = [
    {},
    {"color": "blue"},
    {"a": "1", "b-c": "x, y"},
    {"name": "é ü"},
]
_HEADERS: Final[list[dict[str, str]]] = [
    {},
    {"ContentType": "text/plain"},
    {"CacheControl": "no-store", "ContentLanguage": "de", "ContentEncoding": "gzip"},
    {"ContentDisposition": 'attachment; filename="x"', "ContentType": "a/b; charset=c"},
    {"WebsiteRedirectLocation": "/elsewhere"},
]
_TAGS: Final[list[dict[str, str]]] = [{}, {"k": "v"}, {"k": "w", "é": "ü +=@"}, {"empty": ""}]
bodies = st.builds(
    body_of, st.sampled_from([0, 1, 5, 6, 7, 8, 100, 100, 60_000, MIB + 17]), st.integers(0, 2)
)
described = st.builds(
    Attributes,
    st.sampled_from(_HEADERS),
    st.sampled_from(_METADATA),
    st.sampled_from(_TAGS),
    st.sampled_from(["STANDARD", "STANDARD", "STANDARD", "REDUCED_REDUNDANCY"]),
)
tag_sets = st.sampled_from(_TAGS)
algorithms = st.sampled_from(["", "", "", "", "", *DIGESTS])
# What an upload chooses; the first is none, and then a part may bring any.
uploads_choose = st.sampled_from(
    [("", ""), ("", ""), ("CRC32", "COMPOSITE"), ("CRC32C", "FULL_OBJECT"), ("SHA256", "COMPOSITE"),
     ("CRC64NVME", "FULL_OBJECT"), ("XXHASH3", "COMPOSITE")]
)  # fmt: skip
# Of a part: nothing, less than every part but the last has to have, just that, more, and files.
part_sizes = st.sampled_from(["none", "less", "least", "least", "least", "more", "stripes"])
part_numbers = st.sampled_from([1, 1, 2, 2, 3, 10_000])
delimiters = st.sampled_from(["", "", "/", "/", "b", "//", "%"])
prefixes = st.sampled_from(["", "", "a", "a/", "a/b", ".", "é", "z", "a//"])
limits = st.sampled_from([0, 1, 1, 2, 2, 3, 3, 1000, 1000])
asks = st.builds(Ask, prefixes, delimiters, limits)
markers = st.sampled_from(["", "", "a", "a/", "a/b", "b", "é", "a//", "zzz"])
Span = tuple[int | None, int | None]


@dataclass(frozen=True)
class Selection:
    """What of an object is asked for: a range, a part, or both, which is refused."""

    span: Span | None = None
    part: int | None = None


_SPANS: Final[list[Span]] = [
    (0, None), (0, 0), (1, 3), (5, 4), (None, 1), (None, 0), (None, 5 * MIB), (4, None),
    (59_999, 60_001), (MIB - 1, MIB), (MIB, 2 * MIB), (10 * MIB, None),
]  # fmt: skip
selections = st.sampled_from(
    [Selection()] * 12
    + [Selection(span) for span in _SPANS]
    + [Selection(part=number) for number in (1, 1, 2, 3, 10_000)]
    + [Selection((0, 1), 1)]
)
copied_spans = st.sampled_from([None, None, (0, 0), (0, 4), (1, 5), (5, 4), (0, 59_999)])

# Conditions by what they say about the object they meet: "own" is its entity tag, a number is so
# many seconds after its last change.
Drawn = dict[str, str | int]
_READ_CONDITIONS: Final[list[Drawn]] = [
    {},
    {"if_match": "own"},
    {"if_match": "other"},
    {"if_match": "*"},
    {"if_none_match": "own"},
    {"if_none_match": "other"},
    {"if_none_match": "*"},
    {"modified_since": -1},
    {"modified_since": 0},
    {"unmodified_since": -1},
    {"unmodified_since": 0},
    {"if_match": "own", "unmodified_since": -1},
    {"if_none_match": "other", "modified_since": 0},
    {"if_match": "own", "if_none_match": "own"},
]
read_conditions: st.SearchStrategy[Drawn] = st.sampled_from([{}] * 20 + _READ_CONDITIONS)
write_conditions: st.SearchStrategy[Drawn] = st.sampled_from(
    [{}, {}, {}, {}, {"if_match": "own"}, {"if_match": "other"}, {"if_none_match": "*"}]
)
delete_conditions: st.SearchStrategy[Drawn] = st.sampled_from(
    [{}] * 7
    + [
        {"if_match": "own"},
        {"if_match": "other"},
        {"if_match": "*"},
        {"size": 0},
        {"size": 1},
        {"modified": 0},
        {"modified": -1},
        {"if_match": "own", "size": 0, "modified": 0},
    ]
)


def conditions_on(drawn: Drawn, version: Version | None) -> Conditions:
    """Return the conditions that were drawn, with what they say about `version` filled in."""
    etags = {"own": version.etag if version is not None else OTHER_ETAG, "other": OTHER_ETAG}
    modified = (version.modified if version is not None else None) or 1_700_000_000
    size = len(version.body) if version is not None else 0
    filled: dict[str, Any] = {
        name: etags.get(value, value)
        if isinstance(value, str)
        else value + (size if name == "size" else modified)
        for name, value in drawn.items()
    }
    return Conditions(**filled)


# --- as requests say it -------------------------------------------------------------------


@dataclass(frozen=True)
class _Named:
    """How one operation names the conditions."""

    if_match: str
    if_none_match: str
    modified_since: str
    unmodified_since: str
    modified: str = "IfMatchLastModifiedTime"
    size: str = "IfMatchSize"


_READ: Final = _Named("IfMatch", "IfNoneMatch", "IfModifiedSince", "IfUnmodifiedSince")
_SOURCE: Final = _Named(*(f"CopySource{name}" for name in list(vars(_READ).values())[:4]))


def condition_arguments(conditions: Conditions, *, source: bool = False) -> dict[str, Any]:
    """Return the conditions as botocore names them."""
    arguments: dict[str, Any] = {}
    for own, name in vars(_SOURCE if source else _READ).items():
        value = getattr(conditions, own)
        if value is not None:
            quotes = isinstance(value, str) and value != "*"
            arguments[name] = f'"{value}"' if quotes else value
    return arguments


def delete_entry(arguments: dict[str, str | None], conditions: Conditions) -> dict[str, Any]:
    """Return an entry of a DeleteObjects."""
    entry: dict[str, Any] = {name: text for name, text in arguments.items() if name != "Bucket"}
    said = {
        "ETag": conditions.if_match,
        "LastModifiedTime": conditions.modified,
        "Size": conditions.size,
    }
    return entry | {name: value for name, value in said.items() if value is not None}


def attribute_arguments(attributes: Attributes) -> dict[str, Any]:
    """Return what is stored beside the bytes."""
    said: dict[str, Any] = {"Metadata": attributes.metadata, **attributes.headers}
    if attributes.tags:  # "The tag-set must be encoded as URL Query parameters"
        said["Tagging"] = urlencode(attributes.tags, quote_via=quote)
    if attributes.storage_class != "STANDARD":
        said["StorageClass"] = attributes.storage_class
    return said


def selection_arguments(selection: Selection) -> dict[str, Any]:
    """Return a Range header, a partNumber, or both."""
    arguments: dict[str, Any] = {}
    if selection.span is not None:
        first, last = ("" if number is None else str(number) for number in selection.span)
        arguments["Range"] = f"bytes={first}-{last}"
    if selection.part is not None:
        arguments["PartNumber"] = selection.part
    return arguments


def source_argument(source: Source) -> str:
    """Return x-amz-copy-source."""
    name = f"{source.bucket}/{quote(source.key)}"
    version = source.version_id
    return name if version is None else f"{name}?versionId={version.bound}"
