"""How a request was signed, as conditions ask for it."""

from objstore.access.request_context import UNSIGNED, SignatureFacts
from objstore.iam.identities import Identity
from objstore.s3.call import Call
from objstore.s3.post_object import put_request
from objstore.s3.signature_facts import signature_facts
from tests.unit.s3.client import IDENTITIES, ROOT, BytesBody, make_request
from tests.unit.s3.fake_store import FakeStore

V4, V2 = "AWS4-HMAC-SHA256", "AWS"
NOW_MS = 1_700_000_000_123  # 2023-11-14T22:13:20.123Z


def facts(
    target: str = "/bucket/k",
    headers: dict[str, str] | None = None,
    *,
    form: dict[str, str] | None = None,
    caller: Identity | None = ROOT,
) -> SignatureFacts:
    return signature_facts(
        Call(
            store=FakeStore(),
            request=make_request("GET", target, headers),
            body=BytesBody(b"", 0),
            caller=caller,
            identities=IDENTITIES,
            region="",
            digests=None,
            now_ms=NOW_MS,
            form=form,
        )
    )


def test_headers() -> None:
    assert facts(headers={"authorization": f"{V4} Credential=x"}) == SignatureFacts(
        "REST-HEADER", V4
    )


def test_links() -> None:
    signed = "/bucket/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20231114T221310Z"
    assert facts(signed) == SignatureFacts("REST-QUERY-STRING", V4, 10_123)
    later = signed.replace("221310", "221400")  # as far as clocks may differ
    assert facts(later) == SignatureFacts("REST-QUERY-STRING", V4, 0)
    old = "/bucket/k?AWSAccessKeyId=x&Signature=y&Expires=1"
    assert facts(old) == SignatureFacts("REST-QUERY-STRING", V2)


def test_forms() -> None:
    assert facts(form={"x-amz-algorithm": V4}) == SignatureFacts("POST", V4)
    assert facts(form={"awsaccesskeyid": "x"}) == SignatureFacts("POST", V2)


def test_nobody() -> None:
    assert facts(caller=None) == UNSIGNED
    assert facts(form={}, caller=None) == UNSIGNED


def test_a_form_keeps_what_its_request_says_of_itself() -> None:
    """Its fields are no headers of the browser's."""
    headers = {
        "content-type": "multipart/form-data; boundary=x",
        "user-agent": "browser",
        "referer": "http://here/",
    }
    fields = {"key": "k", "user-agent": "other", "referer": "http://there/"}
    put = put_request(make_request("POST", "/bucket", headers), fields)
    assert put.headers.get("user-agent") == "browser"
    assert put.headers.get("referer") == "http://here/"
    assert put_request(make_request("POST", "/bucket"), fields).headers.get("referer") is None
