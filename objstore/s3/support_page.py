"""docs/protocol/s3-support.md, generated: what is served, with which parameters.

Written by `python -m objstore.s3.support_page > docs/protocol/s3-support.md`.
"""

import sys
from collections.abc import Iterable, Iterator
from typing import Final

from objstore.s3.error_codes import ERROR_CODES
from objstore.s3.operations import OPERATIONS, BodyKind, Spec
from objstore.wire.headers import METADATA_PREFIX, STORED_HEADERS
from objstore.wire.parameters import BODY_CHECKSUMS
from objstore.wire.route import EXPECTED_OWNER, EXPECTED_SOURCE_OWNER, SHAPES, Level, Shape

_INTRODUCTION: Final = """\
# S3 operations

Generated from the operation table (`objstore/s3/operations.py`) by
`python -m objstore.s3.support_page`; a test holds it current. Every operation of the S3 API is in
it. A request for one that is not served answers `501 NotImplemented` and says what to do instead
(those that nothing else comes near: that this page lists what is), and so does a parameter
that S3 has and objstore does not, unless its value asks for what happens anyway (for example
`x-amz-acl: private`). Nothing that S3 documents is dropped in silence.

Every request may carry the headers of authentication, transfer and tracing. Every operation but
ListBuckets and CreateBucket reads `x-amz-expected-bucket-owner`, and copies
`x-amz-source-expected-bucket-owner`: an account number or a canonical id. Objects keep
{stored}, `x-amz-website-redirect-location` (stored and returned; no website is served) and up
to 2 KB of `x-amz-meta-*`. In the tables, `x-amz-checksum-*` stands for
{checksums}.
"""
_HEADER: Final = """
## {title}

| operation | request | query parameters | x-amz- headers | remarks |
|---|---|---|---|---|
"""
_TARGET: Final = {Level.SERVICE: "/", Level.BUCKET: "/bucket", Level.OBJECT: "/bucket/key"}
_TITLES: Final = {
    Level.SERVICE: "The service",
    Level.BUCKET: "Buckets",
    Level.OBJECT: "Objects",
}


def render() -> str:
    """Return the page."""
    return "".join(_pieces())


def _pieces() -> Iterator[str]:
    yield _INTRODUCTION.format(
        stored=_code(STORED_HEADERS.values()), checksums=_code(sorted(BODY_CHECKSUMS))
    )
    for level, title in _TITLES.items():
        yield _HEADER.format(title=title)
        yield from (_row(shape) for shape in SHAPES if shape.served and shape.level is level)
    yield "\n## Not served\n\n"
    for operation in sorted(OPERATIONS, key=lambda operation: operation.value):
        spec = OPERATIONS[operation]
        if not spec.served:
            yield f"- {operation.value}: {spec.note}\n"
    yield "\n## Errors\n\n| code | status | message |\n|---|---|---|\n"
    yield from (f"| {code} | {row.status} | {row.message} |\n" for code, row in ERROR_CODES.items())


def _row(shape: Shape) -> str:
    spec = OPERATIONS[shape.operation]
    target = _TARGET[shape.level]
    if shape.selector:
        target += f"?{shape.selector}"
    if shape.needs:
        target += f"&{shape.needs}"
    request = f"`{shape.method} {target}`"
    if shape.copies:
        request += " with `x-amz-copy-source`"
    cells = (
        shape.operation.value,
        request,
        _code(sorted(shape.query)),
        _code(_headers(shape)),
        _remarks(spec),
    )
    return f"| {' | '.join(cells)} |\n"


def _remarks(spec: Spec) -> str:
    document = "reads an XML document" if spec.body is BodyKind.DOCUMENT else ""
    if spec.needs_digest:
        document += " with `Content-MD5` or a checksum"
    return "; ".join(text for text in (document, spec.note) if text)


def _headers(shape: Shape) -> list[str]:
    names = set(shape.headers) - {
        EXPECTED_OWNER,
        EXPECTED_SOURCE_OWNER,
    }  # the introduction has them
    if names >= BODY_CHECKSUMS:
        names = (names - BODY_CHECKSUMS) | {"x-amz-checksum-*"}
    if METADATA_PREFIX in names:
        names = (names - {METADATA_PREFIX}) | {"x-amz-meta-*"}
    return sorted(names)


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    sys.stdout.write(render())
