"""Every operation has an action, and every action is one that AWS has."""

import gzip
import json
from pathlib import Path

import botocore
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.access.actions import ACTIONS, DECIDED_BY_BUCKET, Target, matching_actions
from objstore.access.condition_keys import COMMON_S3_KEYS, KNOWN_KEYS, key_family
from objstore.access.operation_actions import OPERATION_ACTIONS, VERSION_ACTIONS, action_of
from objstore.access.wildcard import Text, glob
from objstore.wire.route import SHAPES, Level, Operation

MODEL = Path(botocore.__file__).parent / "data" / "s3" / "2006-03-01" / "service-2.json.gz"
# Of another service or another name in our route: directory buckets, Object Lambda, old forms.
OF_NO_ROUTE = {
    "GetBucketLifecycle",
    "GetBucketNotification",
    "ListDirectoryBuckets",
    "PutBucketLifecycle",
    "PutBucketNotification",
    "WriteGetObjectResponse",
}


def test_every_operation_of_the_model_has_an_action() -> None:
    operations = set(json.loads(gzip.decompress(MODEL.read_bytes()))["operations"])
    ours = {operation.value for operation in OPERATION_ACTIONS}
    assert operations - OF_NO_ROUTE <= ours
    assert ours - operations == {"PostObject"}


def test_an_operation_s_action_is_performed_on_what_the_operation_addresses() -> None:
    """Other than a bucket's listing of uploads and the keys that a document names."""
    targets = {
        Level.SERVICE: Target.NEITHER,
        Level.BUCKET: Target.BUCKET,
        Level.OBJECT: Target.OBJECT,
    }
    elsewhere = {Operation.POST_OBJECT, Operation.DELETE_OBJECTS}
    for shape in SHAPES:
        if shape.operation not in elsewhere:
            action = ACTIONS[OPERATION_ACTIONS[shape.operation]]
            assert action.target is targets[shape.level], shape.operation


@pytest.mark.parametrize(
    ("operation", "action", "of_version"),
    [
        (Operation.HEAD_OBJECT, "s3:GetObject", "s3:GetObjectVersion"),
        (Operation.DELETE_OBJECT, "s3:DeleteObject", "s3:DeleteObjectVersion"),
        (Operation.PUT_OBJECT_ACL, "s3:PutObjectAcl", "s3:PutObjectVersionAcl"),
        (Operation.PUT_OBJECT_TAGGING, "s3:PutObjectTagging", "s3:PutObjectVersionTagging"),
        (Operation.GET_OBJECT_RETENTION, "s3:GetObjectRetention", "s3:GetObjectRetention"),
        (Operation.HEAD_BUCKET, "s3:ListBucket", "s3:ListBucket"),
        (Operation.DELETE_BUCKET_CORS, "s3:PutBucketCORS", "s3:PutBucketCORS"),
    ],
)  # fmt: skip
def test_names(operation: Operation, action: str, of_version: str) -> None:
    """N137: "To get a specific version, you must have s3:GetObjectVersion", and so on."""
    assert action_of(operation, versioned=False) == action
    assert action_of(operation, versioned=True) == of_version


def test_actions_on_versions_take_the_version_s_condition_key() -> None:
    for plain, versioned in VERSION_ACTIONS.items():
        assert ACTIONS[versioned].takes("s3:versionid")
        assert ACTIONS[plain].target is ACTIONS[versioned].target is Target.OBJECT


def test_rows_name_keys_that_there_are() -> None:
    for action in ACTIONS.values():
        assert action.keys <= KNOWN_KEYS
        assert not action.keys & COMMON_S3_KEYS
        assert all(key_family(key) == key for key in action.keys)


def test_what_the_bucket_decides_is_done_to_objects() -> None:
    assert all(ACTIONS[name].target is Target.OBJECT for name in DECIDED_BY_BUCKET)


@pytest.mark.parametrize(
    ("pattern", "some", "none"),
    [
        ("*", "s3:PutObject", ""),
        ("s3:*", "s3:ListAllMyBuckets", ""),
        ("S3:getobject", "s3:GetObject", "s3:GetObjectAcl"),
        ("s3:Get*Tagging", "s3:GetBucketTagging", "s3:PutBucketTagging"),
        ("s3:?etObject", "s3:GetObject", "s3:PutObjectAcl"),
        ("s3:*Object", "s3:DeleteObject", "s3:DeleteObjectVersion"),
    ],
)
def test_patterns(pattern: str, some: str, none: str) -> None:
    found = matching_actions(pattern)
    assert some in found
    assert none not in found


@pytest.mark.parametrize(
    "pattern",
    [
        *("", "s3", "s3:", "s3*", "GetObject", "s3:Nothing", "s3:Nothing*", "ec2:*"),
        *("*:GetObject", "s?:GetObject", "s3:GetObject ", "s3:getobject\n"),
    ],
)
def test_what_is_no_action(pattern: str) -> None:
    assert not matching_actions(pattern)


@given(st.sampled_from(sorted(ACTIONS)), st.data())
@settings(max_examples=300, deadline=None)
def test_a_pattern_names_exactly_the_actions_it_matches(name: str, data: st.DataObject) -> None:
    letters = list(name.lower())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(3, len(letters)))
        stop = data.draw(st.integers(start, len(letters)))
        letters[start:stop] = data.draw(st.sampled_from(["*", "?", "*?", "?*"]))
    pattern = "".join(letters)
    one_by_one = {name for name in ACTIONS if glob(pattern).matches(Text(name.lower()))}
    assert matching_actions(pattern) == one_by_one
