"""A client that sends what botocore's model makes of arguments and reads answers twice.

botocore's serializer and parser give shapes that are AWS's; everything between them is plain: one
connection that is kept open, bytes that are signed as they are. Beside the parsed answer there is
the raw one, and nothing in it may be unknown to botocore's model.
"""

import datetime as dt
import http.client
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import unquote_plus

from botocore.awsrequest import HeadersDict
from botocore.parsers import ResponseParserFactory

from tests.e2e.raw_http import Shot, Signer
from tests.property.server import Served
from tests.unit.s3.answer_shapes import unknown_in_answer
from tests.unit.s3.client import MODEL, serialized


def _seconds(value: Any) -> int:
    """Read a time of either form: seconds are all that S3 shows."""
    text = str(value)
    if text.endswith("Z"):
        return int(dt.datetime.fromisoformat(text).timestamp())
    return int(parsedate_to_datetime(text).timestamp())


def _parser() -> Any:
    factory = ResponseParserFactory()
    factory.set_parser_defaults(timestamp_parser=_seconds)
    return factory.create_parser("rest-xml")


_PARSER: Final = _parser()
# What encoding-type=url encodes, by the path to it.
_ENCODED: Final = frozenset(
    [
        "Key",
        "Prefix",
        "Delimiter",
        "Marker",
        "NextMarker",
        "KeyMarker",
        "NextKeyMarker",
        "StartAfter",
    ]
)


@dataclass(frozen=True)
class Answered:
    """One answer: raw, and as botocore reads it."""

    status: int
    headers: Mapping[str, str]  # lower-case names
    body: bytes
    out: dict[str, Any]
    code: str  # the error code, "" for none; of a HEAD the status is all there is

    def __str__(self) -> str:
        return f"{self.status} {self.code} {dict(self.headers)} {self.body[:600]!r}"


@dataclass(frozen=True)
class _At(Signer):
    """A signer at a moment that is given."""

    moment_ns: int = 0

    def stamp(self) -> str:
        moment = dt.datetime.fromtimestamp(self.moment_ns // 1_000_000_000, dt.UTC)
        return moment.strftime("%Y%m%dT%H%M%SZ")


class Connection:
    """One connection to a server, made again when the server closes it."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self._connect()

    def _connect(self) -> None:
        self._socket = socket.create_connection(self.address, timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def send(self, shots: list[Shot]) -> None:
        """Send requests one behind the other."""
        self._socket.sendall(b"".join(shot.encode() for shot in shots))

    def read(self, operation: str, method: str) -> Answered:
        """Read the next answer."""
        status = int(self._file.readline().split(b" ")[1])
        parsed = http.client.parse_headers(self._file)
        headers = {name.lower(): value for name, value in parsed.items()}
        empty = method == "HEAD" or status in (204, 304)
        body = b"" if empty else self._file.read(int(headers["content-length"]))
        if headers.get("connection") == "close":  # after a body that was refused unread
            self.close()
            self._connect()
        return read_answer(operation, status, headers, body)


class Wire:
    """A client that uses the addresses of a server in turn."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._connections = [Connection(address) for address in served.addresses]

    def close(self) -> None:
        for connection in self._connections:
            connection.close()

    def call(self, operation: str, **arguments: Any) -> Answered:
        """Call an operation by AWS's name."""
        (answer,) = self.call_all([(operation, arguments)])
        return answer

    def call_all(self, calls: list[tuple[str, dict[str, Any]]]) -> list[Answered]:
        """Send several requests at once and read their answers one after the other."""
        connection = self._connections.pop(0)
        self._connections.append(connection)
        host = "{}:{}".format(*connection.address)
        shots = [self._shot(operation, arguments, host) for operation, arguments in calls]
        connection.send(shots)
        return [
            connection.read(operation, shot.method)
            for (operation, _), shot in zip(calls, shots, strict=True)
        ]

    def _shot(self, operation: str, arguments: dict[str, Any], host: str) -> Shot:
        method, target, headers, body = serialized(operation, arguments)
        path, _, query = target.partition("?")
        fields = {"Host": host, **headers, "Connection": "keep-alive"}
        shot = Shot(method, path, query, tuple(fields.items()), body)
        return _At(moment_ns=self._served.now_ns()).sign(shot)


def read_answer(operation: str, status: int, headers: Mapping[str, str], body: bytes) -> Answered:
    """Read an answer with botocore's parser, and complain of what its model does not know."""
    model = MODEL.operation_model(operation)
    streams = model.has_streaming_output and status < 300
    strange = unknown_in_answer(model, status, headers, b"" if streams else body)
    assert not strange, f"{operation}: {strange} in {headers} {body[:600]!r}"
    raw = {
        "status_code": status,
        "headers": HeadersDict(headers),
        "body": b"" if streams else body,
    }
    out = dict(_PARSER.parse(raw, model.output_shape))
    out.pop("ResponseMetadata")
    code = out.pop("Error")["Code"] if "Error" in out else ""
    if streams:
        out["Body"] = body
    if out.get("EncodingType") == "url":
        out = _decoded(out)
        del out["EncodingType"]
    return Answered(status, headers, body, out, code)


def _decoded(value: Any, name: str = "") -> Any:
    """Undo encoding-type=url, as botocore's handlers do."""
    if isinstance(value, dict):
        return {key: _decoded(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    return unquote_plus(value) if name in _ENCODED else value
