"""Health, metrics and the operator's routes, as they are reached over HTTP."""

import msgspec
import pytest

from objstore.gateway.ports import ClusterInfo, HealthDocument, LocationDocument
from objstore.names import BucketName
from tests.unit.gateway.running import ACCESS_KEY, REGION, Service, gateway

INFO = "/.objstore/admin/v1/info"
HEAL = "/.objstore/admin/v1/heal"
LOCATE = "/.objstore/admin/v1/locate"
SCRAPE = "/minio/v2/metrics/cluster"


async def test_probes_need_no_credential() -> None:
    async with gateway() as service:
        for method in ("GET", "HEAD"):
            for path in ("live", "ready", "cluster", "cluster/read"):
                answer = await service.ask(method, f"/minio/health/{path}", signed=False)
                assert (answer.status, answer.body) == (200, b"")
        answer = await service.ask("GET", "/.objstore/health", signed=False)
        assert msgspec.json.decode(answer.body, type=HealthDocument).can_write
        service.cluster.status = msgspec.structs.replace(service.cluster.status, local=2)
        probe = "/minio/health/cluster?maintenance=true"
        assert (await service.ask("GET", probe, signed=False)).status == 412
        service.cluster.is_ready = False
        answer = await service.ask("GET", "/minio/health/cluster", signed=False)
        assert (answer.status, answer.headers["x-minio-server-status"]) == (503, "offline")


@pytest.mark.parametrize(("method", "path"), [("GET", INFO), ("POST", HEAL), ("GET", LOCATE)])
async def test_admin_routes_are_the_root_s(method: str, path: str) -> None:
    async with gateway() as service:
        unsigned = await service.ask(method, path, signed=False)
        assert (unsigned.status, unsigned.code) == (403, "AccessDenied")
        head = service.head(method, path).replace(ACCESS_KEY.encode(), b"somebody")
        answer = await service.send_raw(head, method)
        assert (answer.status, answer.code) == (403, "InvalidAccessKeyId")
        assert service.cluster.heals == 0


async def test_info_and_heal() -> None:
    async with gateway() as service:
        answer = await service.ask("GET", INFO)
        assert answer.headers["content-type"] == "application/json"
        assert msgspec.json.decode(answer.body, type=ClusterInfo) == await service.cluster.info()
        assert (await service.ask("POST", HEAL)).status == 202
        assert service.cluster.heals == 1
        assert (await service.ask("GET", HEAL)).code == "MethodNotAllowed"
        assert (await service.ask("GET", "/.objstore/admin/v1/stop")).code == "NotImplemented"


async def test_locate() -> None:
    async with gateway() as service:
        await service.ask("PUT", "/bucket/a%2Fb", body=b"data")
        answer = await service.ask("GET", f"{LOCATE}?bucket=bucket&key=a%2Fb")
        document = msgspec.json.decode(answer.body, type=LocationDocument)
        assert (document.key, document.size, document.scheme) == ("a/b", 4, "1 + 0")
        assert [shard.letter for shard in document.shards] == ["A"]
        missing = await service.ask("GET", f"{LOCATE}?bucket=bucket&key=none")
        assert (missing.status, missing.code) == (404, "NoSuchKey")
        assert (await service.ask("GET", LOCATE)).code == "InvalidArgument"


async def test_a_scrape_is_signed_unless_metrics_are_public() -> None:
    async with gateway() as service:
        assert (await service.ask("GET", SCRAPE, signed=False)).status == 403
        answer = await service.ask("GET", SCRAPE)
        assert answer.status == 200
        assert b"minio_cluster_drive_online_total 1.0" in answer.body
        assert (await service.ask("GET", "/metrics", signed=False)).code == "NoSuchBucket"
    async with gateway(metrics_public=True) as service:
        await service.ask("GET", "/bucket/none")
        for path in (SCRAPE, "/metrics"):
            answer = await service.ask("GET", path, signed=False)
            assert answer.status == 200
            assert answer.headers["content-type"].startswith("text/plain; version=")
            count = b'objstore_s3_requests_total{operation="GetObject",status="404"} 1.0'
            assert count in answer.body


async def test_a_token_opens_the_metrics_and_nothing_else() -> None:
    token = "abcdefghijklmnopqrst-1234"
    async with gateway(metrics_token=token) as service:
        await create_bucket(service, "metrics")

        async def ask(path: str, authorization: str) -> int:
            headers = {"Authorization": authorization}
            return (await service.ask("GET", path, headers, signed=False)).status

        for path in (SCRAPE, "/metrics"):
            for scheme in ("Bearer", "bearer"):
                assert await ask(path, f"{scheme} {token}") == 200
            for wrong in (f"Bearer {token[:-1]}", f"Bearer {token}x", "Bearer ", f"Basic {token}"):
                assert await ask(path, wrong) in (400, 403)
            assert (await service.ask("GET", path, signed=False)).status == 403
        for path in (INFO, "/bucket", "/metrics?list-type=2"):
            assert await ask(path, f"Bearer {token}") in (400, 403)
        assert b"<ListBucketResult" in (await service.ask("GET", "/metrics")).body
    async with gateway() as service:
        answer = await service.ask("GET", SCRAPE, {"Authorization": "Bearer "}, signed=False)
        assert answer.status in (400, 403)


async def create_bucket(service: Service, name: str) -> None:
    await service.store.create_bucket(BucketName(name), owner=ACCESS_KEY, region=REGION)


async def test_reserved_paths_take_no_bucket_s_place() -> None:
    async with gateway(metrics_public=True, domains=("s3.test",)) as service:
        await create_bucket(service, "metrics")
        listing = await service.ask("GET", "/metrics")
        assert b"<ListBucketResult" in listing.body
        await service.ask("PUT", "/metrics/key", body=b"x")
        assert (await service.ask("GET", "/metrics/key")).body == b"x"
        assert (await service.ask("GET", "/.objstore/other")).status == 400
        # A virtual-host bucket has keys under these names.
        answer = await service.ask(
            "GET", "/minio/health/live", {"Host": "bucket.s3.test"}, signed=False
        )
        assert answer.code == "AccessDenied"
