"""Every failure that can reach a client has a row, and looks as S3's does."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxml import etree

from objstore import errors
from objstore.s3.error_codes import (
    ERROR_CODES,
    EXCEPTIONS,
    error_document,
    error_headers,
    s3_error_of,
)

SOURCES = Path(__file__).parents[3] / "objstore"


def reasons() -> dict[str, str]:
    """Return every literal that becomes the reason of a refusal, and where it stands."""
    found = {}
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            for literal in _reasons_in(node):
                found[literal] = path.name
    return found


def _reasons_in(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Call(func=ast.Name(id="RequestRefused"), args=[first, *_]):
            places: list[ast.AST] = [first]
        case ast.Call(func=ast.Attribute(attr="expect"), keywords=keywords):
            places = [keyword.value for keyword in keywords if keyword.arg == "reason"]
        case _:
            return
    for place in places:
        # Both branches of a conditional expression, but not what it tests.
        for choice in [place.body, place.orelse] if isinstance(place, ast.IfExp) else [place]:
            if isinstance(choice, ast.Constant) and isinstance(choice.value, str):
                yield choice.value


def test_every_reason_in_the_tree_has_a_row() -> None:
    found = reasons()
    assert len(found) > 20
    missing = {reason: where for reason, where in found.items() if reason not in ERROR_CODES}
    assert not missing


def test_statuses_and_messages() -> None:
    for code, row in ERROR_CODES.items():
        assert re.fullmatch(r"[A-Z][A-Za-z0-9]+", code)
        assert 400 <= row.status < 600
        assert row.message


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (errors.RequestRefused("NoSuchKey"), "NoSuchKey", 404),
        (errors.ReadQuorumLost("1 of 4"), "SlowDownRead", 503),
        (errors.WriteQuorumLost("1 of 4"), "SlowDownWrite", 503),
        (errors.DriveOffline("x"), "InternalError", 500),
        (errors.ShardCorrupt("x"), "InternalError", 500),
        (errors.QuorumError("x"), "InternalError", 500),
        (errors.RequestRefused("NobodyKnowsThis"), "InternalError", 500),
        (ExceptionGroup("x", [ValueError()]), "InternalError", 500),
        (ZeroDivisionError(), "InternalError", 500),
    ],
)
def test_the_face_of_a_failure(error: Exception, code: str, status: int) -> None:
    shown = s3_error_of(error)
    assert (shown.code, shown.status) == (code, status)
    assert shown.is_bug == (code == "InternalError")


def test_what_went_wrong_inside_is_not_told() -> None:
    shown = s3_error_of(errors.ReadQuorumLost("/data/drive1 of server secret"))
    assert "secret" not in shown.message


def test_quorum_errors_are_mapped_one_by_one() -> None:
    assert set(errors.QuorumError.__subclasses__()) <= set(EXCEPTIONS)


def test_document() -> None:
    error = s3_error_of(errors.RequestRefused("NoSuchKey", "", Key="a<b"))
    body = error_document(error, resource="/bucket/a%3Cb", request_id="R1", host_id="H1")
    tree = etree.fromstring(body)
    assert [(child.tag, child.text) for child in tree] == [
        ("Code", "NoSuchKey"),
        ("Message", "The specified key does not exist."),
        ("Key", "a<b"),
        ("Resource", "/bucket/a%3Cb"),
        ("RequestId", "R1"),
        ("HostId", "H1"),
    ]


def test_headers() -> None:
    busy = s3_error_of(errors.WriteQuorumLost("x"))
    assert error_headers(busy) == {"Content-Type": "application/xml", "Retry-After": "1"}
    range_error = s3_error_of(errors.RequestRefused("InvalidRange", ActualObjectSize="5"))
    assert error_headers(range_error)["Content-Range"] == "bytes */5"


def test_messages_of_refusals_replace_the_default() -> None:
    assert s3_error_of(errors.RequestRefused("InvalidRequest", "why")).message == "why"
