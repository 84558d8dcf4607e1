"""VersioningConfiguration: what botocore sends is read, what is written botocore reads."""

import pytest

from objstore.wire.config_documents.versioning import (
    Status,
    Versioning,
    read_versioning,
    write_versioning,
)
from tests.unit.wire.config_documents.model import answer, refused, request_body


@pytest.mark.parametrize("status", ["Enabled", "Suspended"])
def test_round_trip(status: Status) -> None:
    body = request_body("PutBucketVersioning", VersioningConfiguration={"Status": status})
    assert read_versioning(body) == Versioning(status)
    assert answer("GetBucketVersioning", write_versioning(Versioning(status))) == {"Status": status}
    assert read_versioning(write_versioning(Versioning(status))) == Versioning(status)


def test_never_enabled() -> None:
    # AWS: "If the versioning state has never been set on a bucket, it has no versioning state; a
    # GetBucketVersioning request does not return a versioning state value."
    assert answer("GetBucketVersioning", write_versioning(Versioning())) == {}


def test_mfa_delete() -> None:
    disabled = request_body(
        "PutBucketVersioning",
        VersioningConfiguration={"Status": "Enabled", "MFADelete": "Disabled"},
    )
    assert read_versioning(disabled) == Versioning("Enabled")
    enabled = disabled.replace(b"Disabled", b"Enabled")
    with refused("NotImplemented", "MFA delete"):
        read_versioning(enabled)


@pytest.mark.parametrize(
    ("inner", "reason"),
    [
        ("", "IllegalVersioningConfigurationException"),
        ("<MfaDelete>Disabled</MfaDelete>", "IllegalVersioningConfigurationException"),
        ("<Status/>", "MalformedXML"),
        ("<Status>enabled</Status>", "MalformedXML"),
        ("<Status>Off</Status>", "MalformedXML"),
        ("<Status>Enabled</Status><MfaDelete>maybe</MfaDelete>", "MalformedXML"),
        ("<Status>Enabled</Status><Status>Enabled</Status>", "MalformedXML"),
        ("<Surprise/>", "MalformedXML"),
    ],
)
def test_refusals(inner: str, reason: str) -> None:
    body = f"<VersioningConfiguration>{inner}</VersioningConfiguration>".encode()
    with refused(reason):
        read_versioning(body)
