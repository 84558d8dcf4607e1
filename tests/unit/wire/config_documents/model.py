"""botocore as the other side: it writes the requests that are read, and reads the answers."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from objstore.errors import RequestRefused
from tests.unit.s3.client import MODEL

_SERIALIZER = create_serializer("rest-xml", include_validation=False)
_PARSER = create_parser("rest-xml")


def request_body(operation: str, **arguments: Any) -> bytes:
    """Return the document that botocore sends for `arguments`."""
    model = MODEL.operation_model(operation)
    place = {name: name for name in ("Bucket", "Key") if name in model.input_shape.members}
    wire = _SERIALIZER.serialize_to_request({**place, **arguments}, model)
    body = wire["body"]
    return body.encode() if isinstance(body, str) else bytes(body)


def answer(operation: str, body: bytes) -> dict[str, Any]:
    """Return what botocore reads in an answer with that body."""
    parsed: dict[str, Any] = _PARSER.parse(
        {"status_code": 200, "headers": {}, "body": body},
        MODEL.operation_model(operation).output_shape,
    )
    parsed.pop("ResponseMetadata")
    return parsed


@contextlib.contextmanager
def refused(reason: str, message: str = "", **detail: str) -> Iterator[None]:
    """Expect a refusal with that code, whose sentence contains `message`."""
    with pytest.raises(RequestRefused) as caught:
        yield
    assert caught.value.reason == reason, caught.value
    assert message in caught.value.message
    assert detail.items() <= caught.value.detail.items()
