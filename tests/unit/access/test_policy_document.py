"""Policies are read as AWS reads them, and refused with its sentences."""

import json
from time import thread_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.access.policy_document import Effect, parse_policy
from objstore.access.principals import NamedPrincipal
from objstore.access.stored_policy import stored_policy
from objstore.errors import RequestRefused
from objstore.limits import POLICY_BYTES_MAX, POLICY_DEPTH_MAX
from tests.unit.access.policies import (
    ALICE,
    BUCKET,
    BUCKET_ARN,
    OBJECTS_ARN,
    OWNER,
    ROOT,
    ask,
    document,
    policy,
    resource,
    statement,
)


def refusal(data: bytes) -> RequestRefused:
    with pytest.raises(RequestRefused) as refused:
        parse_policy(data, bucket=BUCKET)
    assert refused.value.reason == "MalformedPolicy"
    return refused.value


def reason_of(data: bytes) -> str:
    """Return why a policy is refused, "" when it is not."""
    try:
        parse_policy(data, bucket=BUCKET)
    except RequestRefused as refused:
        return refused.reason
    return ""


NO_JSON = "This policy contains invalid Json"
NO_PRINCIPAL = "Invalid principal in policy"
NO_ACTION = "Policy has invalid action"
NO_RESOURCE = "Policy has invalid resource"
NO_KEY = "Policy has an invalid condition key"
NOT_APPLICABLE = "Action does not apply to any resource(s) in statement"
NOT_COMBINED = "Conditions do not apply to combination of actions and resources in statement"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "Policies must be valid JSON and the first byte must be '{'"),
        (b"[]", "Policies must be valid JSON and the first byte must be '{'"),
        (b" {}", "Policies must be valid JSON and the first byte must be '{'"),
        (b"\xef\xbb\xbf{}", "Policies must be valid JSON and the first byte must be '{'"),
        (b"{", NO_JSON),
        (b"{}}", NO_JSON),
        (b'{"Version": "2012-10-17",}', NO_JSON),
        (b"{'Version': '2012-10-17'}", NO_JSON),
        (b'{"Id": "a\nb"}', NO_JSON),
        (b'{"Id": "\xff"}', NO_JSON),
        (b'{"Id": "\\ud800"}', NO_JSON),
        (b'{"Id": NaN}', NO_JSON),
        (b'{"Id": -Infinity}', NO_JSON),
        (b'{"Id": "a", "Id": "b"}', NO_JSON),
        (b'{"Statement": ' + b"[" * POLICY_DEPTH_MAX + b"]" * POLICY_DEPTH_MAX + b"}", NO_JSON),
        (b'{"Statement": ' + b"[" * 20_000, NO_JSON),
        (b"{}", "Missing required field Statement"),
        (b'{"statement": []}', "Unknown field statement"),
        (b'{"Statement": []}', "Could not parse the policy: Statement is empty!"),
        (b'{"Statement": ["x"]}', "Could not parse the policy: Statement is not an object"),
        (b'{"Statement": {}}', "Missing required field Effect"),
        (b'{"Version": "2012-10-18"}', "The policy must contain a valid version string"),
        (b'{"Version": 2012}', "The policy must contain a valid version string"),
        (b'{"Version": null}', "The policy must contain a valid version string"),
        (b'{"Id": 5, "Statement": []}', "The policy must contain a valid id string"),
        (
            b"{" + b" " * POLICY_BYTES_MAX + b"}",
            "Policy exceeds the maximum allowed document size.",
        ),
    ],
)
def test_documents_that_are_refused(data: bytes, message: str) -> None:
    assert refusal(data).message == message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"Effect": None}, "Missing required field Effect"),
        ({"Principal": None}, "Missing required field Principal"),
        ({"Action": None}, "Missing required field Action"),
        ({"Resource": None}, "Missing required field Resource"),
        ({"Effect": "allow"}, "Invalid effect: allow"),
        ({"Effect": ["Allow"]}, "Invalid effect: "),
        ({"Sid": 5}, "Statement IDs (SID) must be strings"),
        ({"Foo": "x"}, "Unknown field Foo"),
        ({"NotPrincipal": "*"}, "Statement contains both Principal and NotPrincipal"),
        ({"NotAction": "s3:*"}, "Statement contains both Action and NotAction"),
        ({"NotResource": OBJECTS_ARN}, "Statement contains both Resource and NotResource"),
        ({"Principal": None, "NotPrincipal": "*"}, "Allow with NotPrincipal is not allowed."),
        ({"Principal": {"AWS": "alice"}}, NO_PRINCIPAL),
        ({"Action": []}, NO_ACTION),
        ({"Action": ""}, NO_ACTION),
        ({"Action": ["s3:GetObject", 5]}, NO_ACTION),
        ({"Action": {"s3:GetObject": ""}}, NO_ACTION),
        ({"Action": ["s3:GetObject", "s3:NoSuchAction"]}, NO_ACTION),
        ({"Action": "sqs:SendMessage"}, NO_ACTION),
        ({"Resource": []}, NO_RESOURCE),
        ({"Resource": ""}, NO_RESOURCE),
        ({"Resource": [OBJECTS_ARN, 5]}, NO_RESOURCE),
        ({"Resource": "*"}, NO_RESOURCE),
        ({"Resource": "bkt/*"}, NO_RESOURCE),
        ({"Resource": "arn:aws:s3:::other/*"}, NO_RESOURCE),
        ({"Resource": [OBJECTS_ARN, "arn:aws:s3:::bkt2/*"]}, NO_RESOURCE),
        ({"Resource": "arn:aws:s3:::*"}, NO_RESOURCE),
        ({"Resource": "arn:aws:s3:::b*/x"}, NO_RESOURCE),
        ({"Resource": "arn:aws:s3:::/bkt/x"}, NO_RESOURCE),
        ({"Resource": "arn:aws:s3:us-east-1::bkt/x"}, NO_RESOURCE),
        ({"Resource": "arn:aws:s3::123456789012:bkt/x"}, NO_RESOURCE),
        ({"Resource": "arn:aws:sns:::bkt/x"}, NO_RESOURCE),
        ({"Resource": "arn:minio:s3:::bkt/x"}, NO_RESOURCE),
        ({"Resource": f"{BUCKET_ARN}/${{aws:username"}, NO_RESOURCE),
        ({"Resource": None, "NotResource": "arn:aws:s3:::other/*"}, NO_RESOURCE),
        ({"Resource": BUCKET_ARN}, NOT_APPLICABLE),
        ({"Action": "s3:ListBucket"}, NOT_APPLICABLE),
        ({"Action": ["s3:GetObject", "s3:ListBucket"]}, NOT_APPLICABLE),
        ({"Action": "s3:ListAllMyBuckets", "Resource": [BUCKET_ARN, OBJECTS_ARN]}, NOT_APPLICABLE),
        ({"Action": "s3:GetObject*", "Resource": BUCKET_ARN}, NOT_APPLICABLE),
        ({"Condition": []}, "Condition is not an object"),
        ({"Condition": {"Bool": "x"}}, "Condition Bool is not an object"),
        ({"Condition": {"Foo": {"aws:SourceIp": "x"}}}, "Invalid Condition type : Foo"),
        (
            {"Condition": {"StringEquals": {"aws:UserAgent": []}}},
            "Condition StringEquals has invalid values for aws:UserAgent",
        ),
        (
            {"Condition": {"StringEquals": {"aws:UserAgent": ["a", None]}}},
            "Condition StringEquals has invalid values for aws:UserAgent",
        ),
        (
            {"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/99"}}},
            "Invalid value in condition IpAddress : 10.0.0.0/99",
        ),
        ({"Condition": {"StringEquals": {"s3:NoSuchKey": "x"}}}, NO_KEY),
        ({"Condition": {"StringEquals": {"s3:ExistingObjectTag": "x"}}}, NO_KEY),
        ({"Condition": {"StringEquals": {"prefix": "x"}}}, NO_KEY),
        ({"Condition": {"StringEquals": {"s3:*": "x"}}}, NO_KEY),
        ({"Condition": {"StringEquals": {"": "x"}}}, NO_KEY),
        ({"Condition": {"StringEquals": {"s3:prefix": "x"}}}, NOT_COMBINED),
        ({"Condition": {"StringEquals": {"s3:x-amz-acl": "x"}}}, NOT_COMBINED),
        (
            {
                "Action": ["s3:ListBucket", "s3:GetObject"],
                "Resource": [BUCKET_ARN, OBJECTS_ARN],
                "Condition": {"StringEquals": {"s3:prefix": "x"}},
            },
            NOT_COMBINED,
        ),
    ],
)
def test_statements_that_are_refused(fields: dict[str, Any], message: str) -> None:
    assert refusal(document(statement(**fields))).message == message
    # One good statement before it makes it no better.
    assert refusal(document(statement(), statement(**fields))).message == message


@pytest.mark.parametrize(
    "fields",
    [
        {"Sid": "Allow get requests originating from www.example.com."},
        {"Sid": ""},
        {"Action": "*", "Resource": [BUCKET_ARN, OBJECTS_ARN]},
        {"Action": "*"},
        {"Action": "s3:*", "Resource": BUCKET_ARN},
        {"Action": ["S3:GETOBJECT", "s3:getobject"]},
        {"Action": "s3:Get*", "Resource": BUCKET_ARN},
        {"Resource": "arn:aws-cn:s3:::bkt/x"},
        {"Resource": "arn:aws-us-gov:s3:::bkt/x"},
        {"Resource": "arn:aws:s3::*:bkt/x"},
        {"Resource": [OBJECTS_ARN, OBJECTS_ARN]},
        {"Resource": f"{BUCKET_ARN}/a b/ä/**/?.txt"},
        {"Resource": f"{BUCKET_ARN}/${{aws:username}}/*"},
        {"Resource": None, "NotResource": OBJECTS_ARN},
        {"Action": None, "NotAction": "s3:DeleteBucket"},
        {"Action": None, "NotAction": "s3:Put*", "Condition": {"Null": {"s3:prefix": True}}},
        {"Effect": "Deny", "Principal": None, "NotPrincipal": {"AWS": ALICE.account}},
        {"Condition": {}},
        {"Condition": {"StringLike": {}}},
        {"Condition": {"Bool": {"aws:SecureTransport": False}}},
        {"Condition": {"NumericLessThan": {"s3:signatureAge": 600_000}}},
        {"Condition": {"StringEquals": {"S3:ExistingObjectTag/Team": ["a", "b"]}}},
        {"Condition": {"ForAnyValue:StringLikeIfExists": {"aws:Referer": "http://e.com/*"}}},
        {"Condition": {"StringEquals": {"aws:KeyOfTomorrow": "x", "jwt:sub": "y"}}},
        {
            "Action": ["s3:ListBucket", "s3:ListBucketVersions"],
            "Resource": BUCKET_ARN,
            "Condition": {"StringLike": {"s3:prefix": ["", "home/*"], "s3:delimiter": "/"}},
        },
        {
            "Action": "s3:*",
            "Resource": [BUCKET_ARN, OBJECTS_ARN],
            "Condition": {"StringLike": {"s3:prefix": "home/*"}},
        },
        {
            "Action": "s3:PutObject",
            "Condition": {
                "StringNotEquals": {"s3:x-amz-server-side-encryption": "AES256"},
                "StringEquals": {"s3:RequestObjectTag/security": "public"},
                "StringLike": {"s3:x-amz-copy-source": "bkt/public/*", "s3:x-amz-acl": "p*"},
                "Null": {"s3:if-none-match": "false"},
                "NumericLessThanEquals": {"s3:object-lock-remaining-retention-days": "10"},
            },
        },
    ],
)  # fmt: skip
def test_statements_that_are_accepted(fields: dict[str, Any]) -> None:
    policy(statement(**fields))


def test_what_is_kept() -> None:
    data = json.dumps(
        {
            "Id": "policy",
            "Statement": {**statement(), "Sid": "one", "Effect": "Deny", "Action": "s3:get*Acl"},
        }
    ).encode()
    read = parse_policy(data, bucket=BUCKET)
    assert (read.version, read.id) == ("2008-10-17", "policy")  # the default of AWS
    (only,) = read.statements
    assert (only.sid, only.effect) == ("one", Effect.DENY)
    assert only.actions == {"s3:GetObjectAcl", "s3:GetObjectVersionAcl", "s3:GetBucketAcl"}


@pytest.mark.parametrize(
    ("fields", "reads"),
    [
        ({}, False),
        ({"Condition": {"Null": {"s3:RequestObjectTag/a": "true"}}, "Action": "s3:Put*"}, False),
        ({"Condition": {"StringEquals": {"S3:ExistingObjectTag/a": "b"}}}, True),
        ({"Condition": {"StringLike": {"aws:userid": "${s3:existingObjectTag/a}"}}}, True),
        ({"Resource": f"{BUCKET_ARN}/${{s3:ExistingObjectTag/a}}/*"}, True),
    ],
)
def test_whether_a_policy_asks_for_an_object_s_tags(fields: dict[str, Any], reads: bool) -> None:
    assert policy(statement(**fields)).reads_tags is reads


def test_the_longest_policy() -> None:
    """AWS: "Bucket policies are limited to 20 KB in size." """
    data = document(statement())
    longest = data[:-1] + b" " * (20 * 1024 - len(data)) + b"}"
    assert parse_policy(longest, bucket=BUCKET) == parse_policy(data, bucket=BUCKET)
    assert refusal(longest[:-1] + b" }").message.startswith("Policy exceeds")


def test_statement_ids_are_unique_where_there_are_any() -> None:
    """AWS: "The Sid value must be unique within a JSON policy." """
    policy(statement(), statement())
    policy(statement(Sid="a"), statement(Sid="b"))
    refused = refusal(document(statement(Sid="a"), statement(Sid="a")))
    assert refused.message == "Statement IDs (SID) in a single policy must be unique."


def test_the_refusal_says_what_was_wrong() -> None:
    assert refusal(document(statement(Resource="arn:x"))).detail == {"Detail": "arn:x"}
    detail = refusal(document(statement(Principal={"AWS": "x"}))).detail
    assert detail == {"Detail": '"AWS" : "x"'}


def test_principals_have_to_exist_where_somebody_knows() -> None:
    def known(named: NamedPrincipal) -> bool:
        return named.value in ("*", ALICE.account)

    data = document(statement(), statement(Principal={"AWS": ALICE.account}))
    parse_policy(data, bucket=BUCKET, known=known)
    with pytest.raises(RequestRefused, match="Invalid principal in policy"):
        parse_policy(document(statement(Principal={"AWS": "9" * 12})), bucket=BUCKET, known=known)


def test_a_stored_policy_is_read_once() -> None:
    data = document(statement())
    assert stored_policy(data, BUCKET) is stored_policy(bytes(data), BUCKET)


@pytest.mark.parametrize("data", [b"", b"{}", document({**statement(), "New": "x"})])
def test_a_stored_policy_that_can_not_be_read_denies_everything(data: bytes) -> None:
    closed = stored_policy(data, BUCKET)
    for who in (ROOT, OWNER, ALICE):
        assert not ask(who, "s3:GetObject", resource(), policy=closed).allowed
        assert not ask(who, "s3:ListBucket", resource(None), policy=closed).allowed
    assert ask(OWNER, "s3:DeleteBucketPolicy", resource(None), policy=closed).allowed


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    fields = ["Version", "Statement", "Effect", "Principal", "Action", "Resource", "Condition"]
    names = st.sampled_from([*fields, "AWS", "StringLike", "aws:SourceIp", "x"])
    return st.lists(leaves, max_size=3) | st.dictionaries(names, leaves, max_size=5)


WORDS = st.sampled_from(
    ["*", "Allow", "s3:*", "s3:GetObject", OBJECTS_ARN, BUCKET_ARN, "2012-10-17", "${x", ""]
)
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5) | WORDS, nested)


@given(st.dictionaries(st.sampled_from(["Version", "Id", "Statement"]), JSON))
@settings(max_examples=150, deadline=None)
def test_any_json_is_read_or_refused(value: object) -> None:
    assert reason_of(json.dumps(value).encode()) in ("", "MalformedPolicy")


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "Effect": st.sampled_from(["Allow", "Deny"]) | JSON,
            "Principal": WORDS | JSON,
            "Action": WORDS | JSON,
            "Resource": WORDS | JSON,
            "Condition": st.dictionaries(
                st.sampled_from(["StringLike", "Null", "IpAddress", "x"]),
                st.dictionaries(st.sampled_from(["aws:SourceIp", "s3:prefix", "y"]), JSON),
                max_size=2,
            )
            | JSON,
        },
    )
)
@settings(max_examples=150, deadline=None)
def test_any_statement_is_read_or_refused(value: dict[str, Any]) -> None:
    assert reason_of(document(value)) in ("", "MalformedPolicy")


HOSTILE = [
    statement(Resource=f"{BUCKET_ARN}/" + "*a?a" * 4_500),
    statement(Resource=[f"{OBJECTS_ARN}a?{number}ab*" for number in range(500)]),
    statement(
        Action=[f"s3:*{first}*{second}*t" for first in "abcdefg?" for second in "abcdegilnoprtuv"]
    ),
    statement(Condition={"StringLike": {"aws:UserAgent": [f"*a?{n}" for n in range(1_900)]}}),
    statement(Condition={"StringLike": {f"aws:x{n}": "*" for n in range(1_000)}}),
    {"x": "[" * 20_000},
    {"x": "\\" * 9_000},
    {"x": "\x00" * 3_000},
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_policy_takes_long_to_read(hostile: dict[str, Any]) -> None:
    data = document(hostile)
    assert len(data) <= POLICY_BYTES_MAX
    took_s = []
    for _ in range(3):  # the machine may do something else in one of them
        began_s = thread_time()
        assert reason_of(data) in ("", "MalformedPolicy")
        took_s.append(thread_time() - began_s)
    assert min(took_s) < 0.3
