"""CORSConfiguration: AWS's refusals, each with its sentence."""

import pytest

from objstore.limits import CORS_RULES_MAX
from objstore.wire.config_documents.cors import CorsRule, read_cors
from tests.unit.wire.config_documents.model import refused, request_body


def rule(inner: str = "", *, method: str = "GET", origin: str = "*") -> str:
    return (
        f"<CORSRule><AllowedMethod>{method}</AllowedMethod>"
        f"<AllowedOrigin>{origin}</AllowedOrigin>{inner}</CORSRule>"
    )


def body(*rules: str) -> bytes:
    return f"<CORSConfiguration>{''.join(rules)}</CORSConfiguration>".encode()


def test_what_botocore_sends() -> None:
    sent = request_body(
        "PutBucketCors",
        CORSConfiguration={
            "CORSRules": [
                {
                    "AllowedMethods": ["GET", "PUT"],
                    "AllowedOrigins": ["http://*.example.com", "https://a.example"],
                    "AllowedHeaders": ["x-amz-*", "*"],
                    "ExposeHeaders": ["ETag"],
                    "MaxAgeSeconds": 3000,
                    "ID": "one",
                }
            ]
        },
    )
    assert read_cors(sent) == (
        CorsRule(
            ("GET", "PUT"),
            ("http://*.example.com", "https://a.example"),
            ("x-amz-*", "*"),
            ("ETag",),
            3000,
            "one",
        ),
    )


@pytest.mark.parametrize(
    ("wrong", "reason", "message"),
    [
        (rule(method="PATCH"), "InvalidRequest", "Unsupported method is PATCH"),
        (rule(method="get"), "InvalidRequest", "Found unsupported HTTP method in CORS config."),
        (
            rule(origin="http://*.*"),
            "InvalidRequest",
            'AllowedOrigin "http://*.*" can not have more than one wildcard.',
        ),
        (
            rule("<AllowedHeader>*-*</AllowedHeader>"),
            "InvalidRequest",
            'AllowedHeader "*-*" can not have more than one wildcard.',
        ),
        (
            rule("<ExposeHeader>x-*</ExposeHeader>"),
            "InvalidRequest",
            'ExposeHeader "x-*" contains wildcard.',
        ),
        (rule("<ID>" + "a" * 256 + "</ID>"), "InvalidArgument", "allowed limit of 255"),
        (rule("<MaxAgeSeconds>-1</MaxAgeSeconds>"), "MalformedXML", ""),
        (rule("<MaxAgeSeconds>day</MaxAgeSeconds>"), "MalformedXML", ""),
        # R19: nothing that could split a header
        (rule(origin="http://a&#13;&#10;X: y"), "InvalidRequest", "AllowedOrigin"),
        (rule("<ExposeHeader>a&#10;b</ExposeHeader>"), "InvalidRequest", "ExposeHeader"),
        (rule("<AllowedHeader>a b</AllowedHeader>"), "InvalidRequest", "AllowedHeader"),
        (rule(origin=""), "InvalidRequest", "AllowedOrigin"),
        ("<CORSRule><AllowedMethod>GET</AllowedMethod></CORSRule>", "MalformedXML", ""),
        ("<CORSRule><AllowedOrigin>*</AllowedOrigin></CORSRule>", "MalformedXML", ""),
        ("", "MalformedXML", ""),
    ],
)
def test_refusals(wrong: str, reason: str, message: str) -> None:
    with refused(reason, message):
        read_cors(body(wrong))


def test_a_hundred_rules() -> None:
    # AWS says: "You can add up to 100 rules to the configuration."
    assert len(read_cors(body(*[rule()] * CORS_RULES_MAX))) == 100
    with refused("InvalidRequest", "should not exceed allowed limit of 100 rules"):
        read_cors(body(*[rule()] * (CORS_RULES_MAX + 1)))


def test_the_size_of_the_document() -> None:
    # AWS says: "The document is limited to 64 KB in size."
    with refused("MaxMessageLengthExceeded"):
        read_cors(body(rule(origin="a" * 66_000)))
