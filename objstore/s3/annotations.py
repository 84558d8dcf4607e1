"""Annotations of objects: there are none, and none can be made."""

from typing import Final

from objstore.errors import RequestRefused
from objstore.limits import ANNOTATION_NAME_BYTES_MAX, LIST_KEYS_MAX
from objstore.names import Versioning
from objstore.ondisk.record import Version
from objstore.s3.call import Call, Reply, xml_reply
from objstore.s3.object_version import current_version
from objstore.s3.paging import count_parameter, text_parameter
from objstore.wire.documents import flat_result

_NAME: Final = "annotationName"
_RESERVED: Final = ("aws", "s3")


def _check_name(call: Call) -> str:
    """Return the annotation's name.

    "Annotation names are UTF-8 encoded and cannot start with aws or s3 (case-insensitive). Length
    Constraints: Minimum length of 1. Maximum length of 512 bytes."
    """
    name = call.request.query.get(_NAME) or ""
    if len(name.encode()) > ANNOTATION_NAME_BYTES_MAX:
        raise RequestRefused("AnnotationNameTooLong")
    if not name or name.lower().startswith(_RESERVED):
        raise RequestRefused("InvalidAnnotationName")
    return name


async def get_object_annotation(call: Call) -> Reply:
    """Answer GetObjectAnnotation."""
    name = _check_name(call)
    await current_version(call)
    raise RequestRefused("NoSuchAnnotation", AnnotationName=name)


async def list_object_annotations(call: Call) -> Reply:
    """Answer ListObjectAnnotations."""
    limit = count_parameter(call, "max-annotation-results", LIST_KEYS_MAX)
    prefix = text_parameter(call, "annotation-prefix")
    if token := text_parameter(call, "continuation-token"):
        raise RequestRefused(  # no list ended with one
            "InvalidArgument",
            "The continuation token provided is incorrect",
            ArgumentName="continuation-token",
            ArgumentValue=token[:100],
        )
    version = await current_version(call)
    fields = [("Bucket", call.bucket), ("Key", call.key)]
    if prefix:
        fields.append(("AnnotationPrefix", prefix))
    fields += [("MaxAnnotationResults", str(limit)), ("AnnotationCount", "0")]
    result = flat_result("ListObjectAnnotationsResult", fields)
    return xml_reply(result, await _version_header(call, version))


async def delete_object_annotation(call: Call) -> Reply:
    """Answer DeleteObjectAnnotation; deleting what is not there succeeds."""
    _check_name(call)
    version = await current_version(call)
    return Reply(204, await _version_header(call, version))


async def _version_header(call: Call, version: Version) -> dict[str, str]:
    """Return the header that names the object's version, as these operations spell it."""
    bucket = await call.store.head_bucket(call.bucket)
    if bucket.versioning is Versioning.OFF:
        return {}
    return {"x-amz-object-version-id": version.version_id}
