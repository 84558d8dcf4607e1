"""Object lock: configuration, retention and legal hold, as documents and as headers."""

import pytest

from objstore.wire.config_documents.object_lock import (
    DefaultRetention,
    ObjectLock,
    Retention,
    read_legal_hold,
    read_legal_hold_header,
    read_object_lock,
    read_retention,
    read_retention_headers,
    retention_headers,
)
from tests.unit.wire.config_documents.model import refused, request_body

NEW_YEAR = "2030-01-01T00:00:00Z"
NEW_YEAR_MS = 1_893_456_000_000


def sent(default: dict[str, object] | None, *, enabled: str = "Enabled") -> bytes:
    whole: dict[str, object] = {"ObjectLockEnabled": enabled}
    if default is not None:
        whole["Rule"] = {"DefaultRetention": default}
    return request_body("PutObjectLockConfiguration", ObjectLockConfiguration=whole)


def test_configuration() -> None:
    assert read_object_lock(sent(None)) == ObjectLock()
    assert read_object_lock(sent({"Mode": "GOVERNANCE", "Days": 30})) == ObjectLock(
        DefaultRetention("GOVERNANCE", 30)
    )
    assert read_object_lock(sent({"Mode": "COMPLIANCE", "Years": 7})) == ObjectLock(
        DefaultRetention("COMPLIANCE", years=7)
    )


@pytest.mark.parametrize(
    ("default", "reason"),
    [
        ({}, "MalformedXML"),
        ({"Mode": "GOVERNANCE"}, "MalformedXML"),
        ({"Days": 1}, "MalformedXML"),
        # AWS: "The DefaultRetention period can be either Days or Years but you must select one.
        # You cannot specify Days and Years at the same time."
        ({"Mode": "GOVERNANCE", "Days": 1, "Years": 1}, "MalformedXML"),
        ({"Mode": "governance", "Days": 1}, "MalformedXML"),
        ({"Mode": "GOVERNANCE", "Days": 0}, "InvalidRetentionPeriod"),
        ({"Mode": "GOVERNANCE", "Years": -1}, "InvalidRetentionPeriod"),
        ({"Mode": "GOVERNANCE", "Days": 36_501}, "InvalidRetentionPeriod"),
        ({"Mode": "GOVERNANCE", "Years": 101}, "InvalidRetentionPeriod"),
        ({"Mode": "GOVERNANCE", "Days": 1, "DefaultEventHold": {"Days": 1}}, "NotImplemented"),
    ],
)
def test_configuration_refusals(default: dict[str, object], reason: str) -> None:
    with refused(reason):
        read_object_lock(sent(default))


@pytest.mark.parametrize(
    "inner",
    [
        "",
        "<ObjectLockEnabled>Disabled</ObjectLockEnabled>",
        "<ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule/>",
        "<Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule>",
    ],
)
def test_a_configuration_that_enables_nothing(inner: str) -> None:
    with refused("MalformedXML"):
        read_object_lock(f"<ObjectLockConfiguration>{inner}</ObjectLockConfiguration>".encode())


def test_retention() -> None:
    body = request_body(
        "PutObjectRetention",
        Key="k",
        Retention={"Mode": "GOVERNANCE", "RetainUntilDate": NEW_YEAR},
    )
    assert read_retention(body) == Retention("GOVERNANCE", NEW_YEAR_MS)
    assert read_retention(b"<Retention/>") is None


@pytest.mark.parametrize(
    ("inner", "reason"),
    [
        ("<Mode>GOVERNANCE</Mode>", "MalformedXML"),
        (f"<RetainUntilDate>{NEW_YEAR}</RetainUntilDate>", "MalformedXML"),
        (
            f"<Mode>governance</Mode><RetainUntilDate>{NEW_YEAR}</RetainUntilDate>",
            "MalformedXML",
        ),
        ("<Mode>GOVERNANCE</Mode><RetainUntilDate>later</RetainUntilDate>", "MalformedXML"),
        ("<EventHold>ON</EventHold>", "NotImplemented"),
    ],
)
def test_retention_refusals(inner: str, reason: str) -> None:
    with refused(reason):
        read_retention(f"<Retention>{inner}</Retention>".encode())


@pytest.mark.parametrize("inner", ["", "<Status>on</Status>", "<Status>abc</Status>", "<Status/>"])
def test_legal_hold_refusals(inner: str) -> None:
    with refused("MalformedXML"):
        read_legal_hold(f"<LegalHold>{inner}</LegalHold>".encode())


def test_headers() -> None:
    assert read_retention_headers(None, None) is None
    retention = read_retention_headers("COMPLIANCE", "2030-01-01T00:00:00.250Z")
    assert retention == Retention("COMPLIANCE", NEW_YEAR_MS + 250)
    assert retention_headers(retention, hold=True) == {
        "x-amz-object-lock-mode": "COMPLIANCE",
        "x-amz-object-lock-retain-until-date": "2030-01-01T00:00:00.250Z",
        "x-amz-object-lock-legal-hold": "ON",
    }
    assert retention_headers(None, hold=None) == {}
    assert [read_legal_hold_header(value) for value in ("ON", "OFF", None)] == [True, False, None]


@pytest.mark.parametrize(
    ("mode", "until", "message"),
    [
        ("GOVERNANCE", None, "must both be supplied"),
        (None, NEW_YEAR, "must both be supplied"),
        ("governance", NEW_YEAR, "Unknown wormMode directive."),
        ("GOVERNANCE", "tomorrow", "must be provided in ISO 8601 format"),
        ("GOVERNANCE", "Tue, 01 Jan 2030 00:00:00 GMT", "must be provided in ISO 8601 format"),
    ],
)
def test_header_refusals(mode: str | None, until: str | None, message: str) -> None:
    with refused("InvalidArgument", message):
        read_retention_headers(mode, until)
    with refused("InvalidArgument", "Legal Hold must be either of 'ON' or 'OFF'"):
        read_legal_hold_header("on")
