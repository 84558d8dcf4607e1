"""Policies of forms: read as AWS reads them, and held against the fields."""
# ruff: noqa: E501 - a row of a table is one line

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objstore.errors import RequestRefused
from objstore.limits import OBJECT_PUT_BYTES_MAX
from objstore.names import BucketName
from objstore.wire.post_policy import SizeRange, check_policy, read_policy
from tests.unit.wire.posted_forms import LATER, policy_text
from tests.unit.wire.signed_requests import NOW

BUCKET = BucketName("bucket")
KEY = ["starts-with", "$key", "a/"]
BASE: list[Any] = [{"bucket": "bucket"}, KEY]


def check(fields: dict[str, str], *conditions: Any, base: list[Any] = BASE) -> None:
    policy = read_policy(policy_text([*base, *conditions]))
    check_policy(policy, {"policy": "p", **fields}, bucket=BUCKET, now_s=NOW)


def denial(action: Callable[[], object]) -> str:
    with pytest.raises(RequestRefused) as refusal:
        action()
    assert refusal.value.reason == "AccessDenied"
    return refusal.value.message.removeprefix("Invalid according to Policy: ")


# --- what fits -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "conditions"),
    [
        ({}, []),
        ({"acl": "private"}, [{"acl": "private"}]),
        ({"acl": "private"}, [["eq", "$acl", "private"]]),
        ({"content-type": "image/png"}, [["starts-with", "$Content-Type", "image/"]]),
        ({"content-type": "anything"}, [["starts-with", "$Content-Type", ""]]),
        # AWS says: "Content-Types values for a starts-with condition that include commas are
        # interpreted as lists. Each value in the list must meet the condition"
        ({"content-type": "image/png, image/gif"}, [["starts-with", "$Content-Type", "image/"]]),
        # AWS says: "Each form field that you specify in a form (except x-amz-signature, file,
        # policy, and field names that have an x-ignore- prefix) must appear in the list"
        ({"x-ignore-me": "1", "x-amz-signature": "s"}, []),
        ({"awsaccesskeyid": "a", "signature": "s"}, []),
        ({"acl": "private"}, [{"aCL": "private"}]),
        ({"content-type": "a"}, [["StArTs-WiTh", "$CoNtEnT-TyPe", "a"]]),
        ({"x-amz-meta-a": "\\$x"}, [["eq", "$x-amz-meta-a", "\\$x"]]),
        ({"bucket": "bucket"}, []),
    ],
)
def test_forms_that_keep_their_policy(fields: dict[str, str], conditions: list[Any]) -> None:
    check({"key": "a/b", **fields}, *conditions)


# --- what does not ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "conditions", "message"),
    [
        ({"key": "b"}, [], 'Policy Condition failed: ["starts-with", "$key", "a/"]'),
        ({"acl": "public-read"}, [{"acl": "private"}], 'Policy Condition failed: ["eq", "$acl", "private"]'),
        ({}, [{"acl": "private"}], 'Policy Condition failed: ["eq", "$acl", "private"]'),
        ({}, [["starts-with", "$acl", ""]], 'Policy Condition failed: ["starts-with", "$acl", ""]'),
        ({}, [["eq", "$x-amz-meta-a", 'q"']], 'Policy Condition failed: ["eq", "$x-amz-meta-a", "q\\""]'),
        ({"x-amz-meta-a": "1"}, [], "Extra input fields: x-amz-meta-a"),
        ({"x-amz-meta-a": "1", "b": "2"}, [], "Extra input fields: x-amz-meta-a, b"),
        ({"x-amz-credential": "c"}, [], "Extra input fields: x-amz-credential"),
        ({"content-type": "image/png,text/html"}, [["starts-with", "$Content-Type", "image/"]], 'Policy Condition failed: ["starts-with", "$Content-Type", "image/"]'),
        ({"content-type": "Image/png"}, [["starts-with", "$Content-Type", "image/"]], 'Policy Condition failed: ["starts-with", "$Content-Type", "image/"]'),
        ({"x-amz-meta-a": "b,a"}, [["starts-with", "$x-amz-meta-a", "a"]], 'Policy Condition failed: ["starts-with", "$x-amz-meta-a", "a"]'),
        ({}, [{"bucket": "other"}], 'Policy Condition failed: ["eq", "$bucket", "other"]'),
        ({"bucket": "other"}, [], 'Policy Condition failed: ["eq", "$bucket", "bucket"]'),
        ({"content-length-range": "1"}, [["content-length-range", 0, 1]], "Extra input fields: content-length-range"),
    ],
)  # fmt: skip
def test_forms_that_do_not(fields: dict[str, str], conditions: list[Any], message: str) -> None:
    assert denial(lambda: check({"key": "a/b", **fields}, *conditions)) == message


def test_the_bucket_needs_a_condition_as_fields_do() -> None:
    assert denial(lambda: check({"key": "a/b"}, base=[KEY])) == "Extra input fields: bucket"


@pytest.mark.parametrize(
    ("expiration", "expired"),
    [
        ("2013-05-24T00:00:01Z", False),
        ("2013-05-24T00:00:01.000Z", False),
        ("2013-05-24T00:00:00Z", True),
        ("2013-05-24T00:00:00.999Z", True),
        ("2012-12-31T23:59:59Z", True),
        ("9999-12-31T23:59:59Z", False),
    ],
)
def test_expiration(expiration: str, expired: bool) -> None:
    policy = read_policy(policy_text(BASE, expiration))
    assert (policy.expires_s <= NOW) == expired
    if expired:
        message = denial(lambda: check_policy(policy, {"key": "a/"}, bucket=BUCKET, now_s=NOW))
        assert message == "Policy expired."


# --- the file's length -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("conditions", "least", "most"),
    [
        ([], 0, OBJECT_PUT_BYTES_MAX),
        ([["content-length-range", 1, 10]], 1, 10),
        ([["Content-Length-Range", "1", "10"]], 1, 10),
        ([["content-length-range", 0, 10**18]], 0, OBJECT_PUT_BYTES_MAX),
        ([["content-length-range", 5, 20], ["content-length-range", 0, 10]], 5, 10),
    ],
)
def test_size_ranges(conditions: list[Any], least: int, most: int) -> None:
    assert read_policy(policy_text(conditions)).sizes == SizeRange(least, most)


def test_sizes_have_both_bounds_among_them() -> None:
    sizes = SizeRange(2, 4)
    for size in (2, 4):
        sizes.check_most(size)
        sizes.check_least(size)
    with pytest.raises(RequestRefused) as large:
        sizes.check_most(5)
    assert (large.value.reason, large.value.detail) == (
        "EntityTooLarge",
        {"ProposedSize": "5", "MaxSizeAllowed": "4"},
    )
    with pytest.raises(RequestRefused) as small:
        sizes.check_least(1)
    assert (small.value.reason, small.value.detail) == (
        "EntityTooSmall",
        {"ProposedSize": "1", "MinSizeAllowed": "2"},
    )


# --- what is no policy -----------------------------------------------------------------


def encoded(text: str | bytes) -> str:
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


def whole(**members: Any) -> str:
    document = {"expiration": LATER, "conditions": [], **members}
    return encoded(json.dumps({name: held for name, held in document.items() if held is not None}))


BAD_EXPIRATIONS = (
    "",
    "2030-01-01",
    "2030-01-01 00:00:00Z",
    "2030-01-01T00:00:00",
    "2030-13-01T00:00:00Z",
    "2030-02-30T00:00:00Z",
    "2030-01-01T00:00:60Z",
    "+030-01-01T00:00:00Z",
    "2030-01-01T00:00:00+00:00",
    1,
)
BAD_CONDITIONS: tuple[Any, ...] = (
    {},
    {"a": "b", "c": "d"},
    {"a": 1},
    {"a": None},
    [],
    ["eq"],
    ["eq", "$key"],
    ["eq", "$key", "a", "b"],
    ["eq", "key", "a"],
    ["eq", "$key", 1],
    ["ends-with", "$key", "a"],
    [1, "$key", "a"],
    ["eq", 1, "a"],
    "x",
    1,
    None,
)
BAD_RANGES: tuple[list[Any], ...] = (
    [],
    [0],
    [0, 1, 2],
    [-1, 0],
    [2, 1],
    ["0x1", 5],
    ["+1", 5],
    ["1_0", 50],
    [" 1", 5],
    [1.5, 2],
    [True, 2],
    [0, 10**19],
)


@pytest.mark.parametrize(
    "policy",
    [
        "",
        "!",
        "e30",
        encoded(b"\xff"),
        encoded("{"),
        encoded("[]"),
        encoded("{}"),
        encoded("[" * 10_000),
        encoded('{"conditions":' + "[" * 10_000),
        encoded('{"x":' * 3000),
        encoded('{"expiration":"' + LATER + '","conditions":[["content-length-range",0,' + "9" * 9000 + "]]}"),
        encoded('{"expiration":"' + LATER + '","conditions":[["eq","$key","\\q"]]}'),
        whole(expiration=None),
        whole(conditions=None),
        whole(EXPIRATION=LATER),
        whole(CONDITIONS=[]),
        whole(version="1"),
        whole(conditions={}),
        *[whole(expiration=text) for text in BAD_EXPIRATIONS],
        *[whole(conditions=[item]) for item in BAD_CONDITIONS],
        *[whole(conditions=[["content-length-range", *bounds]]) for bounds in BAD_RANGES],
    ],
)  # fmt: skip
def test_documents_that_are_no_policy(policy: str) -> None:
    with pytest.raises(RequestRefused) as refusal:
        read_policy(policy)
    assert refusal.value.reason == "InvalidPolicyDocument"
    assert refusal.value.message.startswith("Invalid Policy: ")


def test_escapes_that_json_does_not_have() -> None:
    # AWS says: the characters that must be escaped are, among others, "\$ Dollar symbol" and
    # "\v Vertical tab"
    conditions = r'[["eq","$key","\$a\v\\$\u00fc\n"]]'
    raw = f'{{"expiration":"{LATER}","conditions":{conditions}}}'
    (condition,) = read_policy(encoded(raw)).conditions
    assert condition.value == "$a\v\\$ü\n"


def test_base64_in_lines_is_read() -> None:
    text = base64.encodebytes(base64.b64decode(policy_text(BASE))).decode()
    assert "\n" in text
    assert read_policy(text) == read_policy(text.replace("\n", "\r\n"))


@given(st.text(max_size=200).map(encoded) | st.text(max_size=50))
def test_any_text_is_a_policy_or_refused(text: str) -> None:
    with pytest.raises(RequestRefused) as refusal:
        read_policy(text)
    assert refusal.value.reason == "InvalidPolicyDocument"


@given(st.dictionaries(st.sampled_from(["a", "b", "x-ignore-c"]), st.sampled_from(["1", "12"])))
def test_a_form_is_allowed_exactly_when_every_field_is_covered_and_every_condition_holds(
    fields: dict[str, str],
) -> None:
    conditions = [{"bucket": "bucket"}, ["starts-with", "$a", "1"]]
    policy = read_policy(policy_text(conditions))
    try:
        check_policy(policy, fields, bucket=BUCKET, now_s=NOW)
        allowed = True
    except RequestRefused:
        allowed = False
    assert allowed == ("a" in fields and "b" not in fields)
