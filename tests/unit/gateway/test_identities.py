"""Several identities on one gateway: whose signature it is decides what is answered."""

import pytest

from objstore.names import BucketName, ObjectKey
from tests.unit.gateway.running import ALICE, BOB, ROOT, gateway

ADMIN = "/.objstore/admin/v1"


async def test_each_has_buckets_of_their_own() -> None:
    async with gateway() as service:
        assert (await service.ask("PUT", "/alices", by=ALICE)).status == 200
        assert (await service.ask("PUT", "/alices/k", body=b"x", by=ALICE)).status == 200
        assert (await service.ask("GET", "/alices/k", by=ALICE)).body == b"x"
        assert (await service.ask("GET", "/alices/k", by=ROOT)).body == b"x"
        for method, body in (("GET", None), ("PUT", b"y"), ("DELETE", None)):
            answer = await service.ask(method, "/alices/k", body=body, by=BOB)
            assert (answer.status, answer.code) == (403, "AccessDenied")
        again = await service.ask("PUT", "/alices", by=BOB)
        assert (again.status, again.code) == (409, "BucketAlreadyExists")
        held = service.store.objects[BucketName("alices"), ObjectKey("k")]
        assert (held.data, held.version.owner) == (b"x", ALICE.canonical_id)


async def test_a_refused_upload_is_not_asked_for() -> None:
    """Who waits for "100 Continue" is refused before a byte of the body."""
    async with gateway() as service:
        head = service.head(
            "PUT", "/bucket/k", {"Content-Length": "5", "Expect": "100-continue"}, by=ALICE
        )
        answer = await service.send_raw(head, "PUT")
    assert (answer.status, answer.code) == (403, "AccessDenied")


async def test_a_secret_is_good_for_its_own_access_key() -> None:
    async with gateway() as service:
        head = service.head("GET", "/", by=ALICE)
        swapped = head.replace(ALICE.access_key.encode(), BOB.access_key.encode())
        answer = await service.send_raw(swapped, "GET")
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{ADMIN}/info"),
        ("POST", f"{ADMIN}/heal"),
        ("GET", f"{ADMIN}/locate?bucket=bucket&key=k"),
        ("GET", f"{ADMIN}/none"),
        ("GET", "/minio/v2/metrics/cluster"),
        ("GET", "/minio/v2/metrics/node"),
    ],
)
async def test_what_is_the_operator_s_is_root_s_alone(method: str, path: str) -> None:
    async with gateway() as service:
        answer = await service.ask(method, path, by=ALICE)
        assert (answer.status, answer.code) == (403, "AccessDenied")
        assert service.cluster.heals == 0
