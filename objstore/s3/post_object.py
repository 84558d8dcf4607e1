"""PostObject: a form that a browser posts is a PutObject whose headers are the form's fields.

So what PutObject reads, refuses and keeps is what this does. docs/protocol/post_form.md has the
fields.
"""

import re
from dataclasses import replace
from typing import Final
from urllib.parse import quote, urlencode

from objstore.errors import RequestRefused
from objstore.s3.call import Call, Reply, check_object_key, location_of
from objstore.s3.put_object import put_object
from objstore.wire.config_documents.tagging import read_object_tagging, write_tagging_header
from objstore.wire.headers import STORED_HEADERS
from objstore.wire.post_fields import IGNORED_PREFIX, KEY_FIELD, Fields, missing_field
from objstore.wire.post_signature import SIGNATURE_FIELDS
from objstore.wire.request import Headers, Query, Request
from objstore.wire.route import Operation, route
from objstore.wire.xml_writer import bare_document, leaves

# Fields whose name is not the header's.
_RENAMED: Final = {"acl": "x-amz-acl"}
# Without the prefix x-amz-, these fields mean what PutObject's headers of these names mean. Any
# other one means nothing: forms have buttons, and uploaders send names of their own.
_HEADER_FIELDS: Final = frozenset(STORED_HEADERS) | {"content-md5", "if-match", "if-none-match"}
# They frame a request's body, or make it another request.
_NO_FIELDS: Final = frozenset(
    {
        "x-amz-content-sha256",
        "x-amz-decoded-content-length",
        "x-amz-te",
        "x-amz-trailer",
        "x-amz-copy-source",
    }
)
_CARRIED: Final = ("referer", "user-agent")
_URL: Final = re.compile(
    r"(?i:https?)://[A-Za-z0-9._~%!$&'()*+,;=:@\[\]-]+(?:[/?][!-\"$-~]*)?(?:#[!-~]*)?"
)
_STATUSES: Final = {"200": 200, "201": 201}
_NO_CONTENT: Final = 204
_SEE_OTHER: Final = 303


def put_request(request: Request, fields: Fields) -> Request:
    """Return the PutObject that a form asks for; nothing beside the form counts.

    Raises:
        RequestRefused: InvalidArgument, for a key that is missing or none, or for a field that
            cannot be one; NotImplemented, as for the headers of a PutObject; MalformedXML.
    """
    key = fields.get(KEY_FIELD)
    if key is None:
        raise missing_field(KEY_FIELD)
    # Of the request itself, what policies ask for.
    carried = [(name, value) for name in _CARRIED if (value := request.headers.get(name))]
    headers = [("host", request.host), *carried, *_headers(fields)]
    put = replace(
        request,
        method="PUT",
        query=Query(""),
        headers=Headers(headers),
        key=check_object_key(key),
    )
    operation = route(put)  # which refuses what PutObject does not read
    assert operation is Operation.PUT_OBJECT
    return put


def _headers(fields: Fields) -> list[tuple[str, str]]:
    headers = []
    for name, value in fields.items():
        if name in SIGNATURE_FIELDS or name.startswith(IGNORED_PREFIX):
            continue
        if name in _NO_FIELDS:
            raise RequestRefused(
                "InvalidArgument", f"{name} cannot be a field of a form.", ArgumentName=name
            )
        if name == "tagging":
            headers.append(("x-amz-tagging", _tagging_header(value)))
        elif name in _HEADER_FIELDS or name in _RENAMED or name.startswith("x-amz-"):
            # As the bytes of a header become a str; wire.headers.text_of reads it again.
            headers.append((_RENAMED.get(name, name), value.encode().decode("latin-1")))
    return headers


def _tagging_header(xml: str) -> str:
    """Return x-amz-tagging for the document of the `tagging` field."""
    return write_tagging_header(read_object_tagging(xml.encode()))


async def post_object(call: Call) -> Reply:
    """Answer PostObject; the gateway has made the call's request from its form."""
    fields = call.form
    if fields is None:
        raise RequestRefused(
            "PreconditionFailed",
            Condition="Bucket POST must be of the enclosure-type multipart/form-data",
        )
    stored = await put_object(call)
    etag = stored.headers["ETag"]
    redirect = fields.get("success_action_redirect", fields.get("redirect", ""))
    target = _redirect(redirect, [("bucket", call.bucket), ("key", call.key), ("etag", etag)])
    if target is not None:
        return Reply(_SEE_OTHER, stored.headers | {"Location": target})
    location = location_of(call)
    headers = stored.headers | {"Location": location}
    status = _STATUSES.get(fields.get("success_action_status", ""), _NO_CONTENT)
    if status != 201:
        return Reply(status, headers)
    document = [("Location", location), ("Bucket", call.bucket), ("Key", call.key), ("ETag", etag)]
    body = bare_document("PostResponse", leaves(document))
    return Reply(status, headers | {"Content-Type": "application/xml"}, body)


def _redirect(url: str, parameters: list[tuple[str, str]]) -> str | None:
    """Return where to send the browser, or None.

    "If Amazon S3 cannot interpret the URL, it acts as if the field is not present."
    """
    if _URL.fullmatch(url) is None:
        return None
    before, sharp, fragment = url.partition("#")
    joint = "&" if "?" in before else "?"
    return before + joint + urlencode(parameters, quote_via=quote) + sharp + fragment
