"""Every operation that is served, against botocore's model of it: both ways.

A request with any one of the members that AWS documents is honoured or refused, never accepted
with the member dropped in silence; and an answer says nothing that the model does not know. Both
are driven from the operation table: an operation without a row here fails.
"""

import datetime as dt
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest

from objstore.errors import RequestRefused
from objstore.names import Scheme
from objstore.s3.call import Reply
from objstore.s3.operations import OPERATIONS
from objstore.testing.memory_set import memory_set
from objstore.wire.request import Headers, Query, Request
from objstore.wire.route import Operation
from objstore.wire.xml_reader import Node
from tests.unit.s3 import client as clients
from tests.unit.s3.answer_shapes import unknown_in_answer
from tests.unit.s3.client import MODEL, ROOT, Client, body_of

# Filled in with what there is: the id of an upload with one part, and that part's entity tag.
_UPLOAD: Final = "$upload"
_ETAG: Final = "$etag"
_BUCKET: Final = {"Bucket": "things"}
_OBJECT: Final = {"Bucket": "things", "Key": "key"}
_PART: Final = {"Bucket": "things", "Key": "big", "UploadId": _UPLOAD}
_LOCKED: Final = {"Bucket": "locked", "Key": "key"}
_ANNOTATION: Final = _OBJECT | {"AnnotationName": "note"}
_LISTED: Final = _BUCKET | {"Id": "x"}
_LATER: Final = dt.datetime(2040, 1, 1, tzinfo=dt.UTC)
_TAGGING: Final = {"TagSet": [{"Key": "k", "Value": "v"}]}
_REPLACE: Final = {"MetadataDirective": "REPLACE", "TaggingDirective": "REPLACE"}
_OWNER: Final = {"ID": ROOT.canonical_id}
_GRANT: Final = {"Grantee": _OWNER | {"Type": "CanonicalUser"}, "Permission": "READ"}
_ACL: Final = {"AccessControlPolicy": {"Owner": _OWNER, "Grants": [_GRANT]}}
_OTHER: Final = {"Bucket": "arn:aws:s3:::other"}
_POLICY: Final = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:DeleteBucket",
                "Resource": "arn:aws:s3:::things",
            }
        ],
    }
)


@dataclass(frozen=True)
class Row:
    """A request that is answered, or refused in the way of what is not configured."""

    arguments: Mapping[str, Any]
    refused: str = ""


def _putting(member: str, document: Mapping[str, Any], refused: str = "", **more: str) -> Row:
    """Return the row of an operation that sets something of a bucket."""
    return Row({**_BUCKET, member: document, **more}, refused)


def _rows_of(name: str, document: Mapping[str, Any], member: str) -> dict[str, Row]:
    """Return the rows of a kind of configuration of which a bucket may have several."""
    none = "NoSuchConfiguration"
    return {
        f"GetBucket{name}Configuration": Row(_LISTED, none),
        f"ListBucket{name}Configurations": Row(_BUCKET),
        f"PutBucket{name}Configuration": _putting(member, document, "NotImplemented", Id="x"),
        f"DeleteBucket{name}Configuration": Row(_LISTED, none),
    }


# One row for each operation that is served.
ROWS: Final[dict[str, Row]] = {
    "ListBuckets": Row({}),
    "CreateBucket": Row({"Bucket": "new-bucket"}),
    "HeadBucket": Row(_BUCKET),
    "DeleteBucket": Row({"Bucket": "empty"}),
    "GetBucketLocation": Row(_BUCKET),
    "ListObjects": Row(_BUCKET),
    "ListObjectsV2": Row(_BUCKET),
    "ListObjectVersions": Row(_BUCKET),
    "DeleteObjects": Row(_BUCKET | {"Delete": {"Objects": [{"Key": "key"}]}}),
    "PutObject": Row(_OBJECT | {"Body": b"body"}),
    "GetObject": Row(_OBJECT),
    "HeadObject": Row(_OBJECT),
    "DeleteObject": Row(_OBJECT),
    # Without REPLACE the metadata of the source counts: "COPY is the default behavior".
    "CopyObject": Row({"Bucket": "things", "Key": "copy", "CopySource": "things/key", **_REPLACE}),
    "GetObjectAttributes": Row(_OBJECT | {"ObjectAttributes": ["ETag", "Checksum", "ObjectSize"]}),
    "RestoreObject": Row(_OBJECT | {"RestoreRequest": {"Days": 1}}, "InvalidObjectState"),
    "CreateMultipartUpload": Row(_OBJECT),
    "UploadPart": Row(_PART | {"PartNumber": 2, "Body": b"body"}),
    "UploadPartCopy": Row(_PART | {"PartNumber": 2, "CopySource": "things/key"}),
    "ListParts": Row(_PART),
    # "If key-marker is not specified, the upload-id-marker parameter is ignored."
    "ListMultipartUploads": Row(_BUCKET | {"KeyMarker": "a"}),
    "CompleteMultipartUpload": Row(
        _PART | {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": _ETAG}]}}
    ),
    "AbortMultipartUpload": Row(_PART),
    "GetBucketVersioning": Row(_BUCKET),
    "PutBucketVersioning": _putting("VersioningConfiguration", {"Status": "Enabled"}),
    "GetBucketAcl": Row(_BUCKET),
    "PutBucketAcl": Row({"Bucket": "acls", **_ACL}),
    "GetObjectAcl": Row(_OBJECT),
    "PutObjectAcl": Row({"Bucket": "acls", "Key": "key", **_ACL}),
    "GetBucketTagging": Row({"Bucket": "locked"}),
    "PutBucketTagging": _putting("Tagging", _TAGGING),
    "DeleteBucketTagging": Row(_BUCKET),
    "GetObjectTagging": Row(_OBJECT),
    "PutObjectTagging": Row(_OBJECT | {"Tagging": _TAGGING}),
    "DeleteObjectTagging": Row(_OBJECT),
    "GetBucketPolicy": Row(_BUCKET, "NoSuchBucketPolicy"),
    "GetBucketPolicyStatus": Row(_BUCKET, "NoSuchBucketPolicy"),
    "PutBucketPolicy": Row(_BUCKET | {"Policy": _POLICY}),
    "DeleteBucketPolicy": Row(_BUCKET),
    "GetBucketCors": Row(_BUCKET, "NoSuchCORSConfiguration"),
    "PutBucketCors": _putting(
        "CORSConfiguration",
        {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]},
    ),
    "DeleteBucketCors": Row(_BUCKET),
    "GetBucketEncryption": Row(_BUCKET, "ServerSideEncryptionConfigurationNotFoundError"),
    "PutBucketEncryption": _putting(
        "ServerSideEncryptionConfiguration",
        {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]},
        "NotImplemented",
    ),
    "DeleteBucketEncryption": Row(_BUCKET),
    "GetBucketLifecycleConfiguration": Row(_BUCKET, "NoSuchLifecycleConfiguration"),
    "PutBucketLifecycleConfiguration": _putting(
        "LifecycleConfiguration",
        {"Rules": [{"Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}]},
    ),
    "DeleteBucketLifecycle": Row(_BUCKET),
    "GetBucketLogging": Row(_BUCKET),
    "PutBucketLogging": _putting("BucketLoggingStatus", {}),
    "GetBucketNotificationConfiguration": Row(_BUCKET),
    "PutBucketNotificationConfiguration": _putting("NotificationConfiguration", {}),
    "GetBucketOwnershipControls": Row(_BUCKET),
    "PutBucketOwnershipControls": _putting(
        "OwnershipControls", {"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]}
    ),
    "DeleteBucketOwnershipControls": Row(_BUCKET),
    "GetPublicAccessBlock": Row(_BUCKET, "NoSuchPublicAccessBlockConfiguration"),
    "PutPublicAccessBlock": _putting("PublicAccessBlockConfiguration", {"BlockPublicAcls": True}),
    "DeletePublicAccessBlock": Row(_BUCKET),
    "GetBucketReplication": Row(_BUCKET, "ReplicationConfigurationNotFoundError"),
    "PutBucketReplication": _putting(
        "ReplicationConfiguration",
        {
            "Role": "arn:aws:iam::123456789012:role/r",
            "Rules": [{"Status": "Enabled", "Prefix": "", "Destination": _OTHER}],
        },
        "InvalidRequest",  # of a bucket without versions
    ),
    "DeleteBucketReplication": Row(_BUCKET),
    "GetBucketRequestPayment": Row(_BUCKET),
    "PutBucketRequestPayment": _putting("RequestPaymentConfiguration", {"Payer": "BucketOwner"}),
    "GetBucketWebsite": Row(_BUCKET, "NoSuchWebsiteConfiguration"),
    "PutBucketWebsite": _putting(
        "WebsiteConfiguration", {"IndexDocument": {"Suffix": "index.html"}}, "NotImplemented"
    ),
    "DeleteBucketWebsite": Row(_BUCKET),
    "GetBucketAccelerateConfiguration": Row(_BUCKET),
    "PutBucketAccelerateConfiguration": _putting(
        "AccelerateConfiguration", {"Status": "Suspended"}
    ),
    "GetBucketAbac": Row(_BUCKET),
    "PutBucketAbac": _putting("AbacStatus", {"Status": "Disabled"}),
    "GetBucketMetadataConfiguration": Row(_BUCKET, "MetadataConfigurationNotFound"),
    "DeleteBucketMetadataConfiguration": Row(_BUCKET, "MetadataConfigurationNotFound"),
    "GetBucketMetadataTableConfiguration": Row(_BUCKET, "MetadataConfigurationNotFound"),
    "DeleteBucketMetadataTableConfiguration": Row(_BUCKET, "MetadataConfigurationNotFound"),
    **_rows_of(
        "Analytics",
        {"Id": "x", "StorageClassAnalysis": {}},
        "AnalyticsConfiguration",
    ),
    **_rows_of(
        "IntelligentTiering",
        {
            "Id": "x",
            "Status": "Enabled",
            "Tierings": [{"Days": 100, "AccessTier": "ARCHIVE_ACCESS"}],
        },
        "IntelligentTieringConfiguration",
    ),
    **_rows_of(
        "Inventory",
        {
            "Id": "x",
            "IsEnabled": True,
            "IncludedObjectVersions": "All",
            "Schedule": {"Frequency": "Daily"},
            "Destination": {"S3BucketDestination": {"Format": "CSV", **_OTHER}},
        },
        "InventoryConfiguration",
    ),
    **_rows_of("Metrics", {"Id": "x"}, "MetricsConfiguration"),
    "GetObjectLockConfiguration": Row({"Bucket": "locked"}),
    "PutObjectLockConfiguration": Row(
        {"Bucket": "locked", "ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"}}
    ),
    "GetObjectRetention": Row(_LOCKED),
    "PutObjectRetention": Row(
        _LOCKED | {"Retention": {"Mode": "GOVERNANCE", "RetainUntilDate": _LATER}}
    ),
    "GetObjectLegalHold": Row(_LOCKED),
    "PutObjectLegalHold": Row(_LOCKED | {"LegalHold": {"Status": "ON"}}),
    "GetObjectAnnotation": Row(_ANNOTATION, "NoSuchAnnotation"),
    "ListObjectAnnotations": Row(_OBJECT),
    "DeleteObjectAnnotation": Row(_ANNOTATION),
}
# Forms have no model: tests/unit/wire/test_post_form.py reads them field by field.
_WITHOUT_MODEL: Final = frozenset({Operation.POST_OBJECT})
# Accepted without being looked at, and why that drops nothing.
NEUTRAL: Final = {
    "OptionalObjectAttributes": "RestoreStatus is the only one, and nothing is ever archived",
    "RequestPayer": "no bucket is requester-pays, so confirming that one would pay is empty",
    "GetObjectAnnotation.ChecksumMode": "no annotation is ever there to have a checksum",
    "SkipDestinationValidation": "only a configuration without destinations is taken",
    "ContentLength": "the HTTP library reads it; it is the body's size",
}
# Values that mean something; without one here a member gets the last of its enumeration, or a
# value of its type.
VALUES: Final[dict[str, Any]] = {
    "ACL": "public-read",
    "BucketNamespace": "account-regional",
    "BypassGovernanceRetention": True,
    "ChecksumAlgorithm": "SHA256",
    "ChecksumType": "COMPOSITE",
    "ContentLength": 4,
    "ContentMD5": "hBotaJqKa7FhFpAb/LD9JQ==",
    "CopySourceRange": "bytes=0-1",
    "CreateBucketConfiguration": {"LocationConstraint": "eu-test-1"},
    "EncodingType": "url",
    "ObjectLockLegalHoldStatus": "ON",
    "ObjectLockMode": "GOVERNANCE",
    "ObjectLockRetainUntilDate": _LATER,
    "ObjectOwnership": "ObjectWriter",
    "OptionalObjectAttributes": ["RestoreStatus"],
    "Range": "bytes=0-1",
    "ServerSideEncryption": "aws:kms",
    "StorageClass": "GLACIER",
    "Tagging": "k=v",
    "VersionId": "null",
    "Body": b"body",
}


# --- what of a request is looked at -----------------------------------------------------------


class ReadHeaders(Headers):
    """Headers that remember which of them somebody asked for by name."""

    def __init__(self, held: Headers, read: set[str]) -> None:
        super().__init__(held.items())
        self.read = read

    def get(self, name: str) -> str | None:
        self.read.add(name.lower())
        return super().get(name)

    def all(self, name: str) -> list[str]:
        self.read.add(name.lower())
        return super().all(name)

    def __contains__(self, name: object) -> bool:
        self.read.add(str(name).lower())
        return super().__contains__(name)


class ReadQuery(Query):
    """A query that remembers which of its parameters somebody asked for by name."""

    def __init__(self, held: Query, read: set[str]) -> None:
        super().__init__(held.raw)
        self.read = read

    def get(self, name: str) -> str | None:
        self.read.add(name)
        return super().get(name)

    def has(self, name: str) -> bool:
        self.read.add(name)
        return super().has(name)

    def all(self, name: str) -> list[str]:
        self.read.add(name)
        return super().all(name)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the set that collects the names of all headers, parameters and elements asked for."""
    names: set[str] = set()
    make_request = clients.make_request

    def recorded(*arguments: Any, **options: Any) -> Request:
        made = make_request(*arguments, **options)
        return replace(
            made, headers=ReadHeaders(made.headers, names), query=ReadQuery(made.query, names)
        )

    monkeypatch.setattr(clients, "make_request", recorded)
    for method in ("text_of", "all", "one"):
        _record(monkeypatch, method, names)
    return names


def _record(monkeypatch: pytest.MonkeyPatch, method: str, names: set[str]) -> None:
    original = getattr(Node, method)

    def recorded(node: Node, name: str) -> Any:
        names.add(name)
        return original(node, name)

    monkeypatch.setattr(Node, method, recorded)


# --- requests ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Member:
    """A member of an operation's input; `path` leads to it, "[]" through the items of a list."""

    path: tuple[str, ...]
    shape: Any

    @property
    def location(self) -> str:
        """The name of the header, parameter or element that carries it."""
        name = self.shape.serialization.get("name", self.path[-1])
        return str(name.lower() if self.shape.serialization.get("location") == "header" else name)


def members_of(operation: str) -> Iterator[Member]:
    """Yield every member of an operation's input that its row does not have already."""
    shape = MODEL.operation_model(operation).input_shape
    if shape is not None:
        yield from _leaves((), shape, ROWS[operation].arguments)


def _leaves(path: tuple[str, ...], shape: Any, held: Any) -> Iterator[Member]:
    for name, found in shape.members.items():
        inner = held.get(name) if isinstance(held, Mapping) else None
        within = (*path, name)
        if found.type_name == "list" and found.member.type_name == "structure":
            yield from _leaves((*within, "[]"), found.member, (inner or [{}])[0])
        elif found.type_name == "structure":
            yield from _leaves(within, found, inner or {})
        elif inner is None:
            yield Member(within, found)


def value_of(shape: Any, name: str) -> Any:
    """Return a value for a member."""
    if name in VALUES:
        return VALUES[name]
    if shape.type_name == "list":
        return [value_of(shape.member, name)]
    if shape.type_name == "string" and getattr(shape, "enum", None):
        return list(shape.enum)[-1]
    return _OF_TYPE[shape.type_name]


_OF_TYPE: Final[dict[str, Any]] = {
    "string": "x",
    "timestamp": _LATER,
    "boolean": True,
    "integer": 1,
    "long": 1,
    "map": {"name": "value"},
}


def with_member(held: Any, path: tuple[str, ...], value: Any) -> Any:
    """Return arguments with one more member somewhere inside."""
    if not path:
        return value
    first, rest = path[0], path[1:]
    if first == "[]":
        items = held or [{}]
        return [with_member(items[0], rest, value), *items[1:]]
    held = held or {}
    return {**held, first: with_member(held.get(first), rest, value)}


def completed(value: Any, shape: Any) -> Any:
    """Return a value with every member that botocore requires in its structures."""
    if shape.type_name == "list" and isinstance(value, list):
        return [completed(item, shape.member) for item in value]
    if shape.type_name != "structure" or not isinstance(value, Mapping):
        return value
    made = {name: completed(item, shape.members[name]) for name, item in value.items()}
    for name in set(shape.required_members) - set(made):
        inner = shape.members[name]
        default: Any = {} if inner.type_name == "structure" else value_of(inner, name)
        made[name] = completed(default, inner)
    return made


def _filled(value: Any, known: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {name: _filled(item, known) for name, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, known) for item in value]
    return known.get(value, value) if isinstance(value, str) else value


async def _furnish(client: Client) -> dict[str, str]:
    """Make buckets, an object in each and an upload with a part."""
    for bucket in ("things", "empty", "acls"):
        await client("CreateBucket", Bucket=bucket)
    await client("CreateBucket", Bucket="locked", ObjectLockEnabledForBucket=True)
    await client("PutBucketTagging", Bucket="locked", Tagging=_TAGGING)
    controls = {**ROWS["PutBucketOwnershipControls"].arguments, "Bucket": "acls"}
    await client("PutBucketOwnershipControls", **controls)
    await client("PutObject", **_OBJECT, Body=b"body")
    await client("PutObject", Bucket="acls", Key="key", Body=b"body")
    retained = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": _LATER}
    held = {"ObjectLockLegalHoldStatus": "OFF"}
    await client("PutObject", **_LOCKED, Body=b"body", **retained, **held)
    made = await client("CreateMultipartUpload", Bucket="things", Key="big")
    upload = {"Bucket": "things", "Key": "big", "UploadId": made["UploadId"]}
    part = await client("UploadPart", **upload, PartNumber=1, Body=b"part")
    return {_UPLOAD: made["UploadId"], _ETAG: part["ETag"]}


@asynccontextmanager
async def furnished() -> AsyncIterator[tuple[Client, dict[str, str]]]:
    """Run handlers over an engine in memory; the second value are the names that were chosen."""
    async with memory_set(Scheme(1, 1)) as m:
        client = Client(real_store=m.store)
        yield client, await _furnish(client)


async def ask(
    client: Client, operation: str, arguments: Mapping[str, Any]
) -> Reply | RequestRefused:
    """Send a request."""
    try:
        reply = await client.reply(operation, **arguments)
        return replace(reply, body=await body_of(reply))
    except RequestRefused as refusal:
        return refusal


# --- the tests --------------------------------------------------------------------------------


def test_every_operation_that_is_served_has_a_row() -> None:
    served = {operation for operation, spec in OPERATIONS.items() if spec.served}
    assert set(ROWS) == {operation.value for operation in served - _WITHOUT_MODEL}


@pytest.mark.parametrize("operation", ROWS)
async def test_answers_say_only_what_the_model_knows(operation: str) -> None:
    row = ROWS[operation]
    async with furnished() as (client, known):
        reply = await ask(client, operation, _filled(row.arguments, known))
    if isinstance(reply, RequestRefused):
        assert reply.reason == row.refused
        return
    assert not row.refused
    model = MODEL.operation_model(operation)
    assert isinstance(reply.body, bytes)
    body = b"" if model.has_streaming_output or operation == "GetBucketPolicy" else reply.body
    headers = {name.lower(): text for name, text in reply.headers.items()}
    assert not unknown_in_answer(model, reply.status, headers, body)


@pytest.mark.parametrize("operation", ROWS)
async def test_no_member_is_dropped_in_silence(operation: str, read: set[str]) -> None:
    """Requests that only read share what they are about; others find it as it was made."""
    members = list(members_of(operation))
    reads = MODEL.operation_model(operation).http["method"] in ("GET", "HEAD")
    if ROWS[operation].refused and not reads:
        return  # nothing of it is ever accepted
    dropped: list[str] = []
    for group in [members] if reads else [[member] for member in members]:
        async with furnished() as (client, known):
            for member in group:
                value = value_of(member.shape, member.path[-1])
                arguments = with_member(dict(ROWS[operation].arguments), member.path, value)
                arguments = completed(arguments, MODEL.operation_model(operation).input_shape)
                read.clear()
                reply = await ask(client, operation, _filled(arguments, known))
                name = ".".join(member.path)
                neutral = {member.path[-1], f"{operation}.{name}"} & set(NEUTRAL)
                if not neutral and not _is_honoured(reply, member, ROWS[operation], read):
                    dropped.append(f"{name} ({member.location})")
    assert not dropped


def _is_honoured(reply: Reply | RequestRefused, member: Member, row: Row, read: set[str]) -> bool:
    """Whether a request was refused for its member, or somebody looked at it."""
    if isinstance(reply, RequestRefused) and reply.reason != row.refused:
        return True
    # Of a map names that begin with it are looked through.
    return member.shape.type_name == "map" or member.location in read
