"""Routing: every operation botocore knows, and every parameter of those that are served."""

from typing import Any
from urllib.parse import quote, urlencode

import pytest
from botocore.model import OperationModel
from botocore.serialize import create_serializer
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.errors import RequestRefused
from objstore.wire.headers import STORED_HEADERS
from objstore.wire.parameters import NEUTRAL_HEADERS
from objstore.wire.route import SHAPES, Operation, Shape, route
from tests.unit.s3.client import MODEL, make_request

SERIALIZER = create_serializer("rest-xml", include_validation=False)
# The older of two operations with one shape; the answer serves both.
SAME_SHAPE = {
    "GetBucketLifecycle": "GetBucketLifecycleConfiguration",
    "PutBucketLifecycle": "PutBucketLifecycleConfiguration",
    "GetBucketNotification": "GetBucketNotificationConfiguration",
    "PutBucketNotification": "PutBucketNotificationConfiguration",
}
# Operations of other services that share the model: directory buckets list at their own
# endpoint, and Object Lambda answers at its own.
ELSEWHERE = {"ListDirectoryBuckets", "WriteGetObjectResponse"}
NAMES = sorted(set(MODEL.operation_names) - ELSEWHERE)
SHAPE_OF = {shape.operation: shape for shape in SHAPES}


def value_for(shape: Any, name: str) -> Any:
    """Return a value of the shape's type, so that the serializer has something to write."""
    special = {"Bucket": "bucket", "Key": "key", "CopySource": "source/key", "PartNumber": 1}
    if name in special:
        return special[name]
    if shape.type_name == "structure" and shape.is_tagged_union:
        first = next(iter(shape.members))
        return {first: value_for(shape.members[first], first)}
    if shape.type_name == "structure":
        return {
            key: value_for(member, key)
            for key, member in shape.members.items()
            if key in shape.required_members
        }
    by_type: dict[str, Any] = {
        "string": (shape.metadata.get("enum") or ["text"])[0],
        "integer": 5,
        "long": 5,
        "boolean": True,
        "timestamp": "2020-01-01T00:00:00Z",
        "blob": b"",
        "list": [],
        "map": {"k": "v"},
    }
    return by_type[shape.type_name]


def request_for(model: OperationModel, arguments: dict[str, Any], headers: Any = ()) -> Any:
    wire = SERIALIZER.serialize_to_request(arguments, model)
    path, _, fixed = wire["url_path"].partition("?")
    pairs = wire["query_string"]
    listed = list(pairs.items() if isinstance(pairs, dict) else pairs)
    query = "&".join(filter(None, [fixed, urlencode(listed, quote_via=quote)]))
    fields = {name: str(value) for name, value in {**wire["headers"], **dict(headers)}.items()}
    return make_request(wire["method"], f"{path}?{query}" if query else path, fields)


def required(model: OperationModel) -> dict[str, Any]:
    shape = model.input_shape
    if shape is None:
        return {}
    return {name: value_for(shape.members[name], name) for name in shape.required_members}


@pytest.mark.parametrize("name", NAMES)
def test_every_operation_of_the_model_is_known(name: str) -> None:
    model = MODEL.operation_model(name)
    operation = route(request_for(model, required(model)))
    assert operation.value == SAME_SHAPE.get(name, name)


def test_nothing_is_invented() -> None:
    ours = {operation.value for operation in Operation}
    assert ours - set(NAMES) == {"PostObject"}  # a form upload, which SDKs have no call for


SERVED_PARAMETERS = [
    (shape.operation.value, member)
    for shape in SHAPES
    if shape.served
    and shape.operation.value in NAMES  # PostObject is in no model
    and MODEL.operation_model(shape.operation.value).input_shape
    for member in MODEL.operation_model(shape.operation.value).input_shape.members
]


@pytest.mark.parametrize(("name", "member"), SERVED_PARAMETERS)
def test_a_parameter_is_read_or_refused_and_never_dropped(name: str, member: str) -> None:
    """Nothing that S3 documents is ignored in silence."""
    model = MODEL.operation_model(name)
    shape = model.input_shape.members[member]
    where = shape.serialization.get("location")
    if where not in ("header", "querystring"):
        return  # the path, or in the body, which is read strictly
    wire_name = shape.serialization["name"]
    request = request_for(model, {**required(model), member: value_for(shape, member)})
    ours = next(shape for shape in SHAPES if shape.operation.value == name)
    try:
        operation = route(request)
    except RequestRefused as refusal:
        refused = (refusal.reason, bool(refusal.message))
        assert refused in (("NotImplemented", True), ("InvalidArgument", True))
        return
    assert operation is ours.operation
    if where == "querystring":
        assert wire_name in ours.query | {ours.selector, ours.needs}
    else:
        assert is_read(wire_name.lower(), ours)


READ_CONDITIONS = {
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "range",
    "content-length",
    "content-md5",
}
# Values that value_for() makes and that ask for what happens anyway.
HARMLESS = {
    "x-amz-acl": "private",
    "x-amz-tagging-directive": "COPY",
    "x-amz-object-annotation-directive": "COPY",
    "x-amz-storage-class": "STANDARD",
    "x-amz-optional-object-attributes": "RestoreStatus",
}


def is_read(header: str, shape: Shape) -> bool:
    return (
        header in shape.headers
        or header in NEUTRAL_HEADERS
        or header in STORED_HEADERS
        or header in READ_CONDITIONS
        or header in HARMLESS
    )


PRESIGNED = (
    "X-Amz-Algorithm=a&X-Amz-Credential=c&X-Amz-Date=d&X-Amz-Expires=1&X-Amz-SignedHeaders=host"
    "&X-Amz-Signature=s&X-Amz-Security-Token=t"
)


@pytest.mark.parametrize(
    ("method", "target", "headers", "operation"),
    [
        ("GET", "/", {}, Operation.LIST_BUCKETS),
        ("GET", "/?x-id=ListBuckets", {}, Operation.LIST_BUCKETS),
        ("GET", "/bucket", {}, Operation.LIST_OBJECTS),
        ("GET", "/bucket?list-type=2&prefix=a", {}, Operation.LIST_OBJECTS_V2),
        ("GET", "/bucket?location", {}, Operation.GET_BUCKET_LOCATION),
        ("GET", "/bucket?location=", {}, Operation.GET_BUCKET_LOCATION),
        ("GET", "/bucket/key", {}, Operation.GET_OBJECT),
        ("GET", "/bucket/key?cache-buster=7", {}, Operation.GET_OBJECT),
        ("GET", "/bucket/key?uploadId=x", {}, Operation.LIST_PARTS),
        ("PUT", "/bucket/key", {}, Operation.PUT_OBJECT),
        ("PUT", "/bucket/key", {"x-amz-copy-source": "a/b"}, Operation.COPY_OBJECT),
        ("PUT", "/bucket/key?x-amz-copy-source=a%2Fb", {}, Operation.COPY_OBJECT),
        ("PUT", "/bucket/key?partNumber=1&uploadId=x", {}, Operation.UPLOAD_PART),
        (
            "PUT",
            "/bucket/key?partNumber=1&uploadId=x",
            {"x-amz-copy-source": "a/b"},
            Operation.UPLOAD_PART_COPY,
        ),
        ("POST", "/bucket/key?uploads", {}, Operation.CREATE_MULTIPART_UPLOAD),
        ("POST", "/bucket/key?uploadId=x", {}, Operation.COMPLETE_MULTIPART_UPLOAD),
        ("DELETE", "/bucket/key?uploadId=x", {}, Operation.ABORT_MULTIPART_UPLOAD),
        ("DELETE", "/bucket/key", {}, Operation.DELETE_OBJECT),
        ("POST", "/bucket", {}, Operation.POST_OBJECT),
        ("POST", "/bucket?delete", {}, Operation.DELETE_OBJECTS),
        ("GET", "/bucket?inventory", {}, Operation.LIST_BUCKET_INVENTORY),
        ("GET", "/bucket?inventory&id=x", {}, Operation.GET_BUCKET_INVENTORY),
        ("PUT", "/bucket?inventory&id=x", {}, Operation.PUT_BUCKET_INVENTORY),
        ("DELETE", "/bucket?inventory&id=x", {}, Operation.DELETE_BUCKET_INVENTORY),
        ("GET", "/bucket/k?annotation&annotationName=x", {}, Operation.GET_OBJECT_ANNOTATION),
        ("GET", "/bucket/k?annotation", {}, Operation.LIST_OBJECT_ANNOTATIONS),
        (
            "PUT",
            "/bucket",
            {"x-amz-bucket-object-lock-enabled": "true"},
            Operation.CREATE_BUCKET,
        ),
        # a presigned URL
        (
            "GET",
            f"/bucket/key?{PRESIGNED}",
            {},
            Operation.GET_OBJECT,
        ),
        # values that ask for what happens anyway
        ("PUT", "/bucket/key", {"x-amz-acl": "private"}, Operation.PUT_OBJECT),
        (
            "PUT",
            "/bucket",
            {"x-amz-object-ownership": "BucketOwnerEnforced"},
            Operation.CREATE_BUCKET,
        ),
        ("PUT", "/bucket/key", {"x-amz-user-agent": "x"}, Operation.PUT_OBJECT),
        # the version of the API that is served; the SDK for C++ says it with every request
        ("PUT", "/bucket/key", {"x-amz-api-version": "2006-03-01"}, Operation.PUT_OBJECT),
        # unknown on a read: ignored, as on AWS
        ("GET", "/bucket/key", {"x-amz-surprise": "1"}, Operation.GET_OBJECT),
    ],
)
def test_shapes(method: str, target: str, headers: dict[str, str], operation: Operation) -> None:
    assert route(make_request(method, target, headers)) is operation


@pytest.mark.parametrize(
    ("method", "target", "headers", "reason"),
    [
        ("PATCH", "/bucket/key", {}, "MethodNotAllowed"),
        ("PUT", "/", {}, "MethodNotAllowed"),
        ("POST", "/bucket/key", {}, "MethodNotAllowed"),
        ("HEAD", "/bucket?acl", {}, "MethodNotAllowed"),
        ("GET", "/bucket/key?policy", {}, "MethodNotAllowed"),
        ("GET", "/bucket/key?list-type=2", {}, "MethodNotAllowed"),
        ("DELETE", "/bucket?versioning", {}, "MethodNotAllowed"),
        ("OPTIONS", "/bucket/key", {}, "MethodNotAllowed"),  # preflights never come here
        ("GET", "/bucket?acl&policy", {}, "InvalidArgument"),
        ("GET", "/bucket/key?uploadId=x&acl", {}, "InvalidArgument"),
        ("GET", "/bucket?list-type=1", {}, "InvalidArgument"),
        ("PUT", "/bucket/key?versionId=x", {}, "InvalidArgument"),
        ("PUT", "/bucket/key?partNumber=1", {}, "InvalidArgument"),
        ("GET", "/bucket/key?prefix=x", {}, "InvalidArgument"),
        # an unknown sub-resource is never ignored
        ("GET", "/bucket?surprise", {}, "NotImplemented"),
        ("GET", "/bucket/key?surprise=", {}, "NotImplemented"),
        ("PUT", "/bucket/key?surprise=1", {}, "NotImplemented"),
        ("DELETE", "/bucket/key?surprise=1", {}, "NotImplemented"),
        ("GET", "/bucket?events=s3:ObjectCreated:*", {}, "NotImplemented"),
        # conditions, tags, ACLs, locks, encryption, websites, appends where they have no meaning
        ("PUT", "/bucket?versioning", {"If-None-Match": "*"}, "NotImplemented"),
        ("PUT", "/bucket/key?partNumber=1&uploadId=u", {"If-Match": "x"}, "NotImplemented"),
        ("DELETE", "/bucket", {"If-Match": "x"}, "NotImplemented"),
        ("PUT", "/bucket/key?partNumber=1&uploadId=u", {"x-amz-tagging": "a=b"}, "NotImplemented"),
        ("PUT", "/bucket/key?tagging", {"x-amz-acl": "public-read"}, "NotImplemented"),
        ("PUT", "/bucket?versioning", {"x-amz-grant-read": "id=1"}, "NotImplemented"),
        ("PUT", "/bucket?acl", {"x-amz-object-ownership": "ObjectWriter"}, "NotImplemented"),
        (
            "DELETE",
            "/bucket?policy",
            {"x-amz-confirm-remove-self-bucket-access": "true"},
            "NotImplemented",
        ),
        ("DELETE", "/bucket/key", {"x-amz-object-lock-mode": "COMPLIANCE"}, "NotImplemented"),
        ("PUT", "/bucket/key", {"x-amz-server-side-encryption": "AES256"}, "NotImplemented"),
        ("GET", "/bucket/key", {"x-amz-server-side-encryption": "AES256"}, "NotImplemented"),
        ("PUT", "/bucket/key", {"x-amz-server-side-encryption": "aws:kms"}, "NotImplemented"),
        (
            "DELETE",
            "/bucket/key",
            {"x-amz-server-side-encryption-customer-key": "k"},
            "NotImplemented",
        ),
        (
            "PUT",
            "/bucket/key",
            {"x-amz-copy-source-server-side-encryption-customer-key": "k"},
            "NotImplemented",
        ),
        (
            "PUT",
            "/bucket/key?uploadId=u&partNumber=1",
            {"x-amz-website-redirect-location": "/x"},
            "NotImplemented",
        ),
        ("PUT", "/bucket/key", {"x-amz-write-offset-bytes": "5"}, "NotImplemented"),
        ("PUT", "/bucket", {"x-amz-bucket-namespace": "account-regional"}, "NotImplemented"),
        ("PUT", "/bucket?cors", {"x-amz-bucket-object-lock-enabled": "true"}, "NotImplemented"),
        # an expected owner where there is no bucket yet, or no source
        ("PUT", "/bucket", {"x-amz-expected-bucket-owner": "111122223333"}, "NotImplemented"),
        ("GET", "/", {"x-amz-expected-bucket-owner": "111122223333"}, "NotImplemented"),
        ("PUT", "/bucket/k", {"x-amz-source-expected-bucket-owner": "1"}, "NotImplemented"),
        ("PUT", "/bucket/key", {"x-amz-checksum-blake3": "x"}, "NotImplemented"),
        ("PUT", "/bucket/key", {"x-amz-surprise": "1"}, "NotImplemented"),
        ("PUT", "/bucket/key", {"x-amz-api-version": "2026-01-01"}, "NotImplemented"),
        ("DELETE", "/bucket/key", {"x-amz-meta-a": "1"}, "NotImplemented"),
        # the same, hoisted into a presigned URL
        ("PUT", "/bucket/key?tagging&x-amz-acl=public-read", {}, "NotImplemented"),
        ("DELETE", "/bucket/key?X-Amz-Tagging=a%3Db", {}, "NotImplemented"),
        # a copy source where nothing is copied
        ("PUT", "/bucket", {"x-amz-copy-source": "a/b"}, "NotImplemented"),
        ("DELETE", "/bucket/key", {"x-amz-copy-source": "a/b"}, "NotImplemented"),
    ],
)
def test_refusals(method: str, target: str, headers: dict[str, str], reason: str) -> None:
    with pytest.raises(RequestRefused) as refusal:
        route(make_request(method, target, headers))
    assert refusal.value.reason == reason


NAMES_IN_QUERIES = st.sampled_from(
    ["acl", "uploads", "uploadId", "list-type", "x", "prefix", "versionId", "partNumber", ""]
)


@settings(max_examples=200)
@given(
    st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "BREW"]),
    st.sampled_from(["/", "/bucket", "/bucket/key"]),
    st.lists(st.tuples(NAMES_IN_QUERIES, st.sampled_from(["", "1", "2"])), max_size=4),
)
def test_any_request_is_routed_or_refused(
    method: str, path: str, pairs: list[tuple[str, str]]
) -> None:
    try:
        operation = route(make_request(method, f"{path}?{urlencode(pairs)}"))
    except RequestRefused:
        return
    assert SHAPE_OF[operation].method == method
