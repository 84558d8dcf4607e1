"""Every operation that is served, against botocore's model of it: both ways.

A request with any one of the members that AWS documents is honoured or refused, never accepted
with the member dropped in silence; and an answer says nothing that the model does not know. Both
are driven from the operation table: an operation without a row here fails.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
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
from tests.unit.s3.client import MODEL, Client, body_of

# Filled in with what there is: the id of an upload with one part, and that part's entity tag.
_UPLOAD: Final = "$upload"
_ETAG: Final = "$etag"
_BUCKET: Final = {"Bucket": "bucket"}
_OBJECT: Final = {"Bucket": "bucket", "Key": "key"}
_PART: Final = {"Bucket": "bucket", "Key": "big", "UploadId": _UPLOAD}
_LOCKED: Final = {"Bucket": "locked", "Key": "key"}
_LATER: Final = dt.datetime(2040, 1, 1, tzinfo=dt.UTC)
_REPLACE: Final = {"MetadataDirective": "REPLACE", "TaggingDirective": "REPLACE"}
_TAGGING: Final = {"TagSet": [{"Key": "k", "Value": "v"}]}
_POLICY: Final = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*",'
    ' "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket/none"}]}'
)
_CORS_RULE: Final = {"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}
_LIFECYCLE_RULE: Final = {
    "ID": "r",
    "Filter": {"Prefix": "a"},
    "Status": "Enabled",
    "Expiration": {"Days": 1},
}
_ENCRYPTED: Final = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
_WEBSITE: Final = {"IndexDocument": {"Suffix": "index.html"}}
_REPLICATED: Final = {
    "Prefix": "",
    "Status": "Enabled",
    "Destination": {"Bucket": "arn:aws:s3:::locked"},
}
_REPLICATION: Final = {"Role": "arn:aws:iam::1:role/r", "Rules": [_REPLICATED]}
_EXPORTED: Final = {"Bucket": "arn:aws:s3:::bucket", "Format": "CSV"}
_FAMILIES: Final[dict[str, dict[str, Any]]] = {
    "Analytics": {"Id": "one", "StorageClassAnalysis": {}},
    "IntelligentTiering": {
        "Id": "one",
        "Status": "Enabled",
        "Tierings": [{"Days": 90, "AccessTier": "ARCHIVE_ACCESS"}],
    },
    "Inventory": {
        "Id": "one",
        "Destination": {"S3BucketDestination": _EXPORTED},
        "IsEnabled": True,
        "IncludedObjectVersions": "All",
        "Schedule": {"Frequency": "Daily"},
    },
    "Metrics": {"Id": "one"},
}
# What nothing acts on is refused whatever it says.
_IDLE: Final = "NotImplemented"
_NO_TABLES: Final = "MetadataConfigurationNotFound"


@dataclass(frozen=True)
class Row:
    """A request that is answered, or refused in the way of what is not configured."""

    arguments: Mapping[str, Any]
    refused: str = ""
    always: bool = False  # whatever else the request says


# One row for each operation that is served.
ROWS: Final[dict[str, Row]] = {
    "ListBuckets": Row({}),
    "CreateBucket": Row(
        {"Bucket": "new-bucket", "CreateBucketConfiguration": {"Tags": _TAGGING["TagSet"]}}
    ),
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
    "CopyObject": Row({"Bucket": "bucket", "Key": "copy", "CopySource": "bucket/key", **_REPLACE}),
    "GetObjectAttributes": Row(_OBJECT | {"ObjectAttributes": ["ETag", "Checksum", "ObjectSize"]}),
    "CreateMultipartUpload": Row(_OBJECT),
    "UploadPart": Row(_PART | {"PartNumber": 2, "Body": b"body"}),
    "UploadPartCopy": Row(_PART | {"PartNumber": 2, "CopySource": "bucket/key"}),
    "ListParts": Row(_PART),
    # "If key-marker is not specified, the upload-id-marker parameter is ignored."
    "ListMultipartUploads": Row(_BUCKET | {"KeyMarker": "a"}),
    "CompleteMultipartUpload": Row(
        _PART | {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": _ETAG}]}}
    ),
    "AbortMultipartUpload": Row(_PART),
    "GetBucketVersioning": Row(_BUCKET),
    "PutBucketVersioning": Row(_BUCKET | {"VersioningConfiguration": {"Status": "Enabled"}}),
    "GetBucketAcl": Row(_BUCKET),
    "GetObjectAcl": Row(_OBJECT),
    "GetBucketTagging": Row({"Bucket": "locked"}),
    "PutBucketTagging": Row(_BUCKET | {"Tagging": _TAGGING}),
    "DeleteBucketTagging": Row(_BUCKET),
    "GetObjectTagging": Row(_OBJECT),
    "PutObjectTagging": Row(_OBJECT | {"Tagging": _TAGGING}),
    "DeleteObjectTagging": Row(_OBJECT),
    "GetBucketPolicy": Row(_BUCKET, "NoSuchBucketPolicy"),
    "GetBucketPolicyStatus": Row(_BUCKET, "NoSuchBucketPolicy"),
    "GetBucketCors": Row(_BUCKET, "NoSuchCORSConfiguration"),
    "GetBucketEncryption": Row(_BUCKET, "ServerSideEncryptionConfigurationNotFoundError"),
    "GetBucketLifecycleConfiguration": Row(_BUCKET, "NoSuchLifecycleConfiguration"),
    "GetBucketLogging": Row(_BUCKET),
    "GetBucketNotificationConfiguration": Row(_BUCKET),
    "GetBucketOwnershipControls": Row(_BUCKET),
    "GetPublicAccessBlock": Row(_BUCKET, "NoSuchPublicAccessBlockConfiguration"),
    "GetBucketReplication": Row(_BUCKET, "ReplicationConfigurationNotFoundError"),
    "GetBucketRequestPayment": Row(_BUCKET),
    "GetBucketWebsite": Row(_BUCKET, "NoSuchWebsiteConfiguration"),
    "GetBucketAccelerateConfiguration": Row(_BUCKET),
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
    "PutBucketCors": Row(_BUCKET | {"CORSConfiguration": {"CORSRules": [_CORS_RULE]}}),
    "DeleteBucketCors": Row(_BUCKET),
    "PutBucketLifecycleConfiguration": Row(
        _BUCKET | {"LifecycleConfiguration": {"Rules": [_LIFECYCLE_RULE]}}
    ),
    "DeleteBucketLifecycle": Row(_BUCKET),
    "PutBucketEncryption": Row(
        _BUCKET | {"ServerSideEncryptionConfiguration": {"Rules": [_ENCRYPTED]}}, _IDLE, always=True
    ),
    "DeleteBucketEncryption": Row(_BUCKET),
    "PutBucketNotificationConfiguration": Row(_BUCKET | {"NotificationConfiguration": {}}),
    "PutBucketLogging": Row(_BUCKET | {"BucketLoggingStatus": {}}),
    "PutBucketWebsite": Row(_BUCKET | {"WebsiteConfiguration": _WEBSITE}, _IDLE, always=True),
    "DeleteBucketWebsite": Row(_BUCKET),
    "PutBucketReplication": Row(
        {"Bucket": "locked", "ReplicationConfiguration": _REPLICATION}, _IDLE, always=True
    ),
    "DeleteBucketReplication": Row(_BUCKET),
    "PutBucketRequestPayment": Row(
        _BUCKET | {"RequestPaymentConfiguration": {"Payer": "BucketOwner"}}
    ),
    "PutBucketAccelerateConfiguration": Row(
        _BUCKET | {"AccelerateConfiguration": {"Status": "Suspended"}}
    ),
    "GetBucketAbac": Row(_BUCKET),
    "PutBucketAbac": Row(_BUCKET | {"AbacStatus": {"Status": "Disabled"}}),
    "GetBucketMetadataConfiguration": Row(_BUCKET, _NO_TABLES),
    "DeleteBucketMetadataConfiguration": Row(_BUCKET, _NO_TABLES),
    "GetBucketMetadataTableConfiguration": Row(_BUCKET, _NO_TABLES),
    "DeleteBucketMetadataTableConfiguration": Row(_BUCKET, _NO_TABLES),
    **{
        f"{verb}Bucket{family}Configuration": Row(_BUCKET | {"Id": "one"}, "NoSuchConfiguration")
        for verb in ("Get", "Delete")
        for family in _FAMILIES
    },
    **{f"ListBucket{family}Configurations": Row(_BUCKET) for family in _FAMILIES},
    **{
        f"PutBucket{family}Configuration": Row(
            _BUCKET | {"Id": "one", f"{family}Configuration": configuration}, _IDLE, always=True
        )
        for family, configuration in _FAMILIES.items()
    },
    "PutBucketPolicy": Row(_BUCKET | {"Policy": _POLICY}),
    "DeleteBucketPolicy": Row(_BUCKET),
    "PutBucketOwnershipControls": Row(
        _BUCKET | {"OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}}
    ),
    "DeleteBucketOwnershipControls": Row(_BUCKET),
    "PutPublicAccessBlock": Row(
        _BUCKET | {"PublicAccessBlockConfiguration": {"BlockPublicAcls": True}}
    ),
    "DeletePublicAccessBlock": Row(_BUCKET),
    "PutBucketAcl": Row({"Bucket": "written", "ACL": "private"}),
    "PutObjectAcl": Row({"Bucket": "written", "Key": "key", "ACL": "private"}),
    "GetObjectAnnotation": Row(_OBJECT | {"AnnotationName": "a"}, "NoSuchAnnotation", always=True),
    "ListObjectAnnotations": Row(_OBJECT),
    "DeleteObjectAnnotation": Row(_OBJECT | {"AnnotationName": "a"}),
    "RestoreObject": Row(_OBJECT, "InvalidObjectState", always=True),
}
# Forms have no model: tests/unit/wire/test_post_form.py reads them field by field.
_WITHOUT_MODEL: Final = frozenset({Operation.POST_OBJECT})
# Accepted without being looked at, and why that drops nothing.
NEUTRAL: Final = {
    "OptionalObjectAttributes": "RestoreStatus is the only one, and nothing is ever archived",
    "RequestPayer": "no bucket is requester-pays, so confirming that one would pay is empty",
    "BucketNamespace": "all accounts share the global one; the other is refused",
    "SkipDestinationValidation": "an empty configuration, the only one taken, has no destination",
    "ContentLength": "the HTTP library reads it; it is the body's size",
}
# Values that mean something; without one here a member gets the last of its enumeration, or a
# value of its type.
VALUES: Final[dict[str, Any]] = {
    "ACL": "public-read",
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
class Case:
    """A request with one more member; `path` leads to it, through lists too."""

    operation: str
    path: tuple[str, ...]
    shape: Any = field(repr=False)

    @property
    def location(self) -> str:
        """The name of the header, parameter or element that carries it."""
        name = self.shape.serialization.get("name", self.path[-1])
        return str(name.lower() if self.shape.serialization.get("location") == "header" else name)

    def __str__(self) -> str:
        return f"{self.operation}-{'.'.join(self.path)}"


def cases() -> Iterator[Case]:
    """Yield every member of every operation's input that its row does not have already."""
    for name, row in ROWS.items():
        shape = MODEL.operation_model(name).input_shape
        for member, found in [] if shape is None else shape.members.items():
            if found.type_name == "structure":
                held = row.arguments.get(member, {})
                yield from _leaves(name, (member,), found, held)
            elif member not in row.arguments:
                yield Case(name, (member,), found)


def _leaves(name: str, path: tuple[str, ...], shape: Any, held: Any) -> Iterator[Case]:
    for member, found in shape.members.items():
        inner = held.get(member) if isinstance(held, dict) else None
        within = (*path, member)
        if found.type_name == "list" and found.member.type_name == "structure":
            yield from _leaves(name, within, found.member, (inner or [{}])[0])
        elif found.type_name == "structure":
            yield from _leaves(name, within, found, inner or {})
        elif inner is None:
            yield Case(name, within, found)


def value_of(shape: Any, name: str) -> Any:
    """Return a value for a member."""
    if name in VALUES:
        return VALUES[name]
    match shape.type_name:
        case "string":
            return list(shape.enum)[-1] if getattr(shape, "enum", None) else "x"
        case "timestamp":
            return _LATER
        case "boolean":
            return True
        case "integer" | "long":
            return 1
        case "list":
            return [value_of(shape.member, name)]
        case "map":
            return {"name": "value"}
        case _:
            raise AssertionError(shape)


def with_member(shape: Any, held: Any, path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """Return arguments with one more member somewhere inside, and what has to be beside it."""
    first, *rest = path
    made = dict(held or {})
    inner = made.get(first)
    within = shape.members[first]
    if not rest:
        made[first] = value
    elif within.type_name == "list":
        made[first] = [with_member(within.member, (inner or [{}])[0], tuple(rest), value)]
    else:
        made[first] = with_member(within, inner, tuple(rest), value)
    for name in shape.required_members:
        made.setdefault(name, _least(shape.members[name], name))
    return made


def _least(shape: Any, name: str) -> Any:
    """Return a value for a member that has to be there."""
    if shape.type_name == "structure":
        return {inner: _least(shape.members[inner], inner) for inner in shape.required_members}
    if shape.type_name == "list" and shape.member.type_name == "structure":
        return [_least(shape.member, name)]
    return value_of(shape, name)


def _filled(value: Any, known: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _filled(item, known) for name, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, known) for item in value]
    return known.get(value, value) if isinstance(value, str) else value


async def _furnish(client: Client) -> dict[str, str]:
    """Make buckets, an object in each and an upload with a part."""
    for bucket in ("bucket", "empty", "locked"):
        await client("CreateBucket", Bucket=bucket)
    await client("CreateBucket", Bucket="written", ObjectOwnership="ObjectWriter")
    await client("PutObject", Bucket="written", Key="key", Body=b"body")
    versioning = {**ROWS["PutBucketVersioning"].arguments, "Bucket": "locked"}
    await client("PutBucketVersioning", **versioning)
    await client("PutObjectLockConfiguration", **ROWS["PutObjectLockConfiguration"].arguments)
    retained = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": _LATER}
    await client("PutObject", **_OBJECT, Body=b"body")
    held = {"ObjectLockLegalHoldStatus": "OFF"}
    await client("PutObject", **_LOCKED, Body=b"body", **retained, **held)
    await client("PutBucketTagging", Bucket="locked", Tagging=_TAGGING)
    made = await client("CreateMultipartUpload", Bucket="bucket", Key="big")
    upload = {"Bucket": "bucket", "Key": "big", "UploadId": made["UploadId"]}
    part = await client("UploadPart", **upload, PartNumber=1, Body=b"part")
    return {_UPLOAD: made["UploadId"], _ETAG: part["ETag"]}


async def ask(
    operation: str, arguments: Mapping[str, Any], read: set[str]
) -> Reply | RequestRefused:
    """Send a request to handlers over an engine in memory; only this one is recorded."""
    async with memory_set(Scheme(1, 1)) as m:
        await m.store.delete_bucket(next(iter(await m.store.list_buckets())).name)
        client = Client(real_store=m.store)
        filled = _filled(dict(arguments), await _furnish(client))
        read.clear()
        try:
            reply = await client.reply(operation, **filled)
            return replace(reply, body=await body_of(reply))
        except RequestRefused as refusal:
            return refusal


# --- the tests --------------------------------------------------------------------------------


def test_every_operation_that_is_served_has_a_row() -> None:
    served = {operation for operation, spec in OPERATIONS.items() if spec.served}
    assert set(ROWS) == {operation.value for operation in served - _WITHOUT_MODEL}


@pytest.mark.parametrize("operation", ROWS)
async def test_answers_say_only_what_the_model_knows(operation: str, read: set[str]) -> None:
    row = ROWS[operation]
    reply = await ask(operation, row.arguments, read)
    if isinstance(reply, RequestRefused):
        assert reply.reason == row.refused
        return
    assert not row.refused
    model = MODEL.operation_model(operation)
    assert isinstance(reply.body, bytes)
    body = b"" if model.has_streaming_output or operation == "GetBucketPolicy" else reply.body
    headers = {name.lower(): text for name, text in reply.headers.items()}
    assert not unknown_in_answer(model, reply.status, headers, body)


@pytest.mark.parametrize("case", list(cases()), ids=str)
async def test_no_member_is_dropped_in_silence(case: Case, read: set[str]) -> None:
    value = value_of(case.shape, case.path[-1])
    row = ROWS[case.operation]
    whole = MODEL.operation_model(case.operation).input_shape
    reply = await ask(case.operation, with_member(whole, row.arguments, case.path, value), read)
    if isinstance(reply, RequestRefused) and (reply.reason != row.refused or row.always):
        return
    if case.path[-1] in NEUTRAL:
        return
    if case.shape.type_name == "map":  # names that begin with it, which are all looked through
        return
    assert case.location in read, f"{case.location} was accepted and nobody looked at it"
