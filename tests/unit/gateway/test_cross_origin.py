"""CORS on the wire: preflights, and the headers of real answers."""

import pytest

from objstore.errors import ReadQuorumLost
from objstore.names import BucketName
from objstore.ondisk.record import Bucket
from objstore.rules.cors import VARY
from objstore.wire.config_documents.cors import CorsRule, write_cors
from tests.unit.gateway.running import ALICE, Answer, Service, gateway

PAGE = "https://page.example"
RULES = (
    CorsRule(("GET", "PUT"), (PAGE,), ("x-amz-*", "content-type"), ("ETag",), 60),
    CorsRule(("HEAD", "DELETE"), ("*",)),
)
ALLOWED = "access-control-allow-origin"
CREDENTIALS = "access-control-allow-credentials"


async def configure(service: Service, rules: tuple[CorsRule, ...] = RULES) -> None:
    def change(bucket: Bucket) -> Bucket:
        return Bucket(
            bucket.name,
            bucket.stamp,
            bucket.created_ms,
            owner=bucket.owner,
            settings={"cors": write_cors(rules)},
        )

    await service.store.change_bucket(BucketName("bucket"), change)


async def preflight(service: Service, target: str = "/bucket/key", **fields: str) -> Answer:
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    return await service.ask("OPTIONS", target, headers, signed=False)


# --- preflights --------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["/bucket", "/bucket/", "/bucket/key", "/bucket/a?uploads&x=1"])
async def test_a_preflight_needs_no_credentials(target: str) -> None:
    async with gateway() as service:
        await configure(service)
        answer = await preflight(
            service,
            target,
            Origin=PAGE,
            Access_Control_Request_Method="PUT",
            Access_Control_Request_Headers="X-Amz-Date,content-type",
        )
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers[ALLOWED] == PAGE
    assert answer.headers[CREDENTIALS] == "true"
    assert answer.headers["access-control-allow-methods"] == "GET, PUT"
    assert answer.headers["access-control-allow-headers"] == "x-amz-date, content-type"
    assert answer.headers["access-control-expose-headers"] == "ETag"
    assert answer.headers["access-control-max-age"] == "60"
    assert answer.headers["vary"] == VARY
    assert answer.headers["x-amz-request-id"]


async def test_a_preflight_to_a_bucket_that_the_host_names() -> None:
    async with gateway(domains=("s3.test",)) as service:
        await configure(service)
        for target in ("/", "/key"):
            answer = await preflight(
                service,
                target,
                Host="bucket.s3.test",
                Origin=PAGE,
                Access_Control_Request_Method="GET",
            )
            assert (answer.status, answer.headers[ALLOWED]) == (200, PAGE)


NOT_ALLOWED = (
    "CORSResponse: This CORS request is not allowed. This is usually because the evalution of"
    " Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers"
    " are not whitelisted by the resource's CORS spec."
)


@pytest.mark.parametrize(
    ("origin", "method", "headers", "status", "code", "message"),
    [
        (
            "",
            "GET",
            "",
            400,
            "BadRequest",
            "Insufficient information. Origin request header needed.",
        ),
        (PAGE, "", "", 400, "BadRequest", "Invalid Access-Control-Request-Method: null"),
        (PAGE, "TRACE", "", 400, "BadRequest", "Invalid Access-Control-Request-Method: TRACE"),
        (
            PAGE,
            "GET",
            "a b",
            400,
            "BadRequest",
            'Access-Control-Request-Headers "a b" contains invalid character.',
        ),
        ("https://other", "GET", "", 403, "AccessForbidden", NOT_ALLOWED),
        (PAGE, "POST", "", 403, "AccessForbidden", NOT_ALLOWED),
        (PAGE, "GET", "cookie", 403, "AccessForbidden", NOT_ALLOWED),
    ],
)
async def test_a_preflight_that_is_refused(
    origin: str, method: str, headers: str, status: int, code: str, message: str
) -> None:
    fields = {
        "Origin": origin,
        "Access_Control_Request_Method": method,
        "Access_Control_Request_Headers": headers,
    }
    async with gateway() as service:
        await configure(service)
        answer = await preflight(
            service, **{name: value for name, value in fields.items() if value}
        )
    assert (answer.status, answer.code) == (status, code)
    assert answer.text("Message") == message
    assert ALLOWED not in answer.headers
    if code == "AccessForbidden":
        assert (answer.text("Method"), answer.text("ResourceType")) == (method, "OBJECT")


@pytest.mark.parametrize(
    ("target", "resource"), [("/bucket/key", "OBJECT"), ("/bucket", "BUCKET"), ("/", "SERVICE")]
)
async def test_a_bucket_without_cors(target: str, resource: str) -> None:
    async with gateway() as service:
        answer = await preflight(service, target, Origin=PAGE, Access_Control_Request_Method="GET")
    assert (answer.status, answer.code) == (403, "AccessForbidden")
    assert answer.text("Message") == "CORSResponse: CORS is not enabled for this bucket."
    assert answer.text("ResourceType") == resource


async def test_a_bucket_that_is_not_there() -> None:
    async with gateway() as service:
        answer = await preflight(
            service, "/missing/key", Origin=PAGE, Access_Control_Request_Method="GET"
        )
    assert (answer.status, answer.code) == (404, "NoSuchBucket")


@pytest.mark.parametrize("value", ["\xff\xfe", "a\tb", "<script>", "\xc3\xa4"])
async def test_hostile_preflights_are_answered_in_xml(value: str) -> None:
    async with gateway() as service:
        await configure(service)
        for fields in (
            {"Origin": value, "Access_Control_Request_Method": "GET"},
            {"Origin": PAGE, "Access_Control_Request_Method": value},
            {
                "Origin": PAGE,
                "Access_Control_Request_Method": "GET",
                "Access_Control_Request_Headers": value,
            },
        ):
            answer = await preflight(service, **fields)
            assert answer.status in (400, 403)
            assert answer.code in ("BadRequest", "AccessForbidden")


# --- real answers ------------------------------------------------------------------------


async def test_a_real_answer_says_who_may_read_it() -> None:
    async with gateway() as service:
        await configure(service)
        put = await service.ask("PUT", "/bucket/k", {"Origin": PAGE}, b"x")
        got = await service.ask("GET", "/bucket/k", {"Origin": PAGE})
        head = await service.ask("HEAD", "/bucket/k", {"Origin": "https://elsewhere"})
        foreign = await service.ask("GET", "/bucket/k", {"Origin": "https://elsewhere"})
    for answer in (put, got):
        assert answer.status == 200
        assert (answer.headers[ALLOWED], answer.headers[CREDENTIALS]) == (PAGE, "true")
        assert answer.headers["vary"] == VARY
    assert head.headers[ALLOWED] == "*"  # and never the origin that asked, with credentials
    assert CREDENTIALS not in head.headers
    assert foreign.status == 200
    assert ALLOWED not in foreign.headers
    assert foreign.headers["vary"] == VARY


async def test_errors_and_redirects_say_it_too() -> None:
    """Else a page could not tell a missing object from a broken network."""
    form = (
        b'--b\r\nContent-Disposition: form-data; name="key"\r\n\r\nk\r\n'
        b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--b--\r\n'
    )
    async with gateway() as service:
        await configure(service, (CorsRule(("GET", "PUT", "POST"), (PAGE,)),))
        await service.ask("PUT", "/bucket/k", body=b"x")
        etag = (await service.ask("HEAD", "/bucket/k")).headers["etag"]
        answers = [
            await service.ask("GET", "/bucket/none", {"Origin": PAGE}),
            await service.ask("GET", "/bucket/k", {"Origin": PAGE, "If-None-Match": etag}),
            await service.ask("GET", "/bucket/k", {"Origin": PAGE}, signed=False),
            await service.ask("GET", "/bucket/k", {"Origin": PAGE}, by=ALICE),
            await service.ask("GET", "/bucket/k?acl&policy", {"Origin": PAGE}),
            await service.ask(
                "GET", "/bucket/k", {"Origin": PAGE, "Authorization": "Basic x"}, signed=False
            ),
            await service.ask(
                "POST",
                "/bucket",
                {"Origin": PAGE, "Content-Type": "multipart/form-data; boundary=b"},
                form,
                signed=False,
            ),
        ]
    assert [answer.status for answer in answers] == [404, 304, 403, 403, 400, 400, 403]
    for answer in answers:
        assert answer.headers[ALLOWED] == PAGE


async def test_nothing_is_looked_up_without_an_origin() -> None:
    async with gateway() as service:
        await configure(service)
        looked_up: list[str] = []
        head_bucket = service.store.head_bucket

        async def watched(name: BucketName) -> Bucket:
            looked_up.append(name)
            return await head_bucket(name)

        service.store.head_bucket = watched  # type: ignore[method-assign]
        without = await service.ask("GET", "/bucket/k?acl&policy")
        assert looked_up == []
        await service.ask("GET", "/bucket/k?acl&policy", {"Origin": PAGE})
        assert looked_up == ["bucket"]
    assert "vary" not in without.headers


async def test_an_answer_does_not_fail_for_the_sake_of_these_headers() -> None:
    async with gateway() as service:
        await configure(service)

        async def lost(name: BucketName) -> Bucket:
            raise ReadQuorumLost("too few")

        service.store.head_bucket = lost  # type: ignore[method-assign]
        answer = await service.ask("GET", "/bucket/k?acl&policy", {"Origin": PAGE})
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    assert ALLOWED not in answer.headers


async def test_other_services_and_no_bucket_at_all() -> None:
    async with gateway() as service:
        await configure(service)
        listing = await service.ask("GET", "/", {"Origin": PAGE})
        health = await service.ask("GET", "/minio/health/live", {"Origin": PAGE}, signed=False)
    for answer in (listing, health):
        assert answer.status == 200
        assert ALLOWED not in answer.headers
