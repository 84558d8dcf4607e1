"""WebsiteConfiguration: AWS's refusals, each with its sentence."""

import pytest

from objstore.wire.config_documents.website import RoutingRule, Website, read_website
from tests.unit.wire.config_documents.model import refused, request_body

INDEX = {"Suffix": "index.html"}


def sent(**website: object) -> bytes:
    return request_body("PutBucketWebsite", WebsiteConfiguration=website)


def routed(**rule: object) -> bytes:
    return sent(IndexDocument=INDEX, RoutingRules=[rule])


def test_a_site_with_a_rule() -> None:
    found = read_website(
        routed(
            Condition={"KeyPrefixEquals": "docs/", "HttpErrorCodeReturnedEquals": "404"},
            Redirect={"ReplaceKeyPrefixWith": "documents/", "HttpRedirectCode": "302"},
        )
    )
    rule = RoutingRule("docs/", "404", replace_prefix="documents/", redirect_code="302")
    assert found == Website("index.html", rules=(rule,))


@pytest.mark.parametrize(
    ("body", "reason", "message"),
    [
        (
            sent(),
            "InvalidArgument",
            "A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty",
        ),
        (sent(IndexDocument={"Suffix": ""}), "InvalidArgument", "Suffix is not well formed"),
        (sent(IndexDocument={"Suffix": "a/b"}), "InvalidArgument", "Suffix is not well formed"),
        (
            sent(IndexDocument=INDEX, RedirectAllRequestsTo={"HostName": "h"}),
            "InvalidArgument",
            "RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules.",
        ),
        (sent(RedirectAllRequestsTo={}), "MalformedXML", ""),
        (
            sent(RedirectAllRequestsTo={"HostName": "h", "Protocol": "ftp"}),
            "InvalidRequest",
            "Invalid protocol, protocol can be http or https.",
        ),
        (sent(IndexDocument=INDEX, ErrorDocument={}), "MalformedXML", ""),
        (sent(IndexDocument=INDEX, RoutingRules=[]), "MalformedXML", ""),
        (routed(), "MalformedXML", ""),
        (routed(Redirect={}), "MalformedXML", ""),
        (
            routed(Condition={}, Redirect={"HostName": "h"}),
            "InvalidRequest",
            "Condition cannot be empty.",
        ),
        (
            routed(Redirect={"ReplaceKeyPrefixWith": "a", "ReplaceKeyWith": "b"}),
            "InvalidRequest",
            "You can only define ReplaceKeyPrefix or ReplaceKey but not both.",
        ),
        (
            routed(Redirect={"HostName": "h", "HttpRedirectCode": "300"}),
            "InvalidRequest",
            "Valid codes are 3XX except 300.",
        ),
        (
            routed(Condition={"HttpErrorCodeReturnedEquals": "200"}, Redirect={"HostName": "h"}),
            "InvalidRequest",
            "Valid codes are 4XX or 5XX.",
        ),
        (
            sent(IndexDocument=INDEX, RoutingRules=[{"Redirect": {"HostName": "h"}}] * 51),
            "InvalidRequest",
            "50 rules",
        ),
    ],
)
def test_refusals(body: bytes, reason: str, message: str) -> None:
    with refused(reason, message):
        read_website(body)
