"""Two real servers with TLS on both ports, as docs/operating/tls.md sets them up.

The certificates are made here and last some days; every server has the same settings.
"""

import http.client
import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from prometheus_client.parser import text_string_to_metric_families

from objstore.cli.local_layout import HOST
from objstore.cli.s3_client import S3Client, S3Failed
from objstore.cli.trust import client_context
from objstore.clock import SystemClock
from objstore.config import Secrets
from tests.authority import SERVERS, Authority
from tests.e2e.content import fresh_name
from tests.e2e.credentials import ACCESS_KEY, CLUSTER_SECRET, REGION, SECRET_KEY
from tests.e2e.running import Cluster

pytestmark = pytest.mark.slow  # a cluster that starts, and loses a server

BOOK = Path(__file__).read_bytes() * 60  # some hundred KiB: shard files, and not only records
TAKEN_S = 5.0  # CERTIFICATE_LOOK_S, twice, on a busy machine


@dataclass
class Secured:
    """A cluster, and who signs for it."""

    cluster: Cluster
    directory: Path
    ca: Authority

    @property
    def ca_file(self) -> Path:
        return self.directory / "ca.crt"

    def serial(self, port: int) -> int:
        """Return the number of the certificate that a new connection is shown."""
        context = client_context(self.ca_file)
        if port in internal_ports(self.cluster):
            context.load_cert_chain(
                self.directory / "internal.crt", self.directory / "internal.key"
            )
        with (
            socket.create_connection((HOST, port), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname=HOST) as secured,
        ):
            return int(str((secured.getpeercert() or {})["serialNumber"]), 16)


def internal_ports(cluster: Cluster) -> list[int]:
    return [cluster.address(server)[1] + 2 for server in cluster.servers]


def environment(directory: Path) -> dict[str, str]:
    return {
        "OBJSTORE_TLS_CERTIFICATE": str(directory / "s3.crt"),
        "OBJSTORE_TLS_KEY": str(directory / "s3.key"),
        "OBJSTORE_INTERNAL_TLS_CERTIFICATE": str(directory / "internal.crt"),
        "OBJSTORE_INTERNAL_TLS_KEY": str(directory / "internal.key"),
        "OBJSTORE_INTERNAL_TLS_CA": str(directory / "ca.crt"),
        "OBJSTORE_INTERNAL_TLS_MUTUAL": "on",
        "OBJSTORE_CA_FILE": str(directory / "ca.crt"),
    }


def put_certificates(directory: Path, ca: Authority) -> None:
    ca.put(directory / "ca.crt")
    ca.sign(HOST, usages=SERVERS).put(directory, "s3")
    ca.sign(HOST).put(directory, "internal")


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    directory, ca = tmp_path_factory.mktemp("certificates"), Authority()
    put_certificates(directory, ca)
    with Cluster.running(
        tmp_path_factory.mktemp("secured"),
        parity=2,
        secure=True,
        environment=environment(directory),
        buckets=("books",),
    ) as cluster:
        cluster.client(0).put_object(Bucket="books", Key="one", Body=BOOK)
        yield Secured(cluster, directory, ca)


def test_objects_go_over_https_through_both_servers(secured: Secured) -> None:
    writer, reader = secured.cluster.client(0), secured.cluster.client(1)
    writer.put_object(Bucket="books", Key="one", Body=BOOK)
    assert reader.get_object(Bucket="books", Key="one")["Body"].read() == BOOK
    link = reader.generate_presigned_url("get_object", Params={"Bucket": "books", "Key": "one"})
    assert link.startswith("https://")


def test_the_command_line_speaks_https(secured: Secured) -> None:
    cluster = secured.cluster
    shown = cluster.admin("info")
    assert "certificate of the s3 port: 9.9 days left" in shown or "10.0 days left" in shown
    assert [one["port"] for one in cluster.info(1)["certificates"]] == ["s3", "internal"]
    secrets = Secrets(ACCESS_KEY, SECRET_KEY, CLUSTER_SECRET)
    client = S3Client(
        cluster.url(1), secrets, region=REGION, clock=SystemClock(), ca_file=secured.ca_file
    )
    client.put_object("books", "by the command line", b"x")
    assert client.get_object("books", "by the command line") == b"x"
    trusting_nobody = S3Client(cluster.url(1), secrets, region=REGION, clock=SystemClock())
    with pytest.raises(S3Failed, match="OBJSTORE_CA_FILE"):
        trusting_nobody.get_object("books", "by the command line")
    assert "--ca-file" in cluster.admin("info", "--ca-file", "/dev/null", fails=True)


def test_metrics_tell_until_when_certificates_hold(secured: Secured) -> None:
    cluster = secured.cluster
    secrets = Secrets(ACCESS_KEY, SECRET_KEY, CLUSTER_SECRET)
    client = S3Client(
        cluster.url(0), secrets, region=REGION, clock=SystemClock(), ca_file=secured.ca_file
    )
    page = client.request("GET", "/minio/v2/metrics/cluster").body.decode()
    left = {
        sample.labels["port"]: sample.value / 86_400
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == "objstore_tls_certificate_expiry_seconds"
    }
    assert left.keys() == {"s3", "internal"}
    assert all(9 < days < 10 for days in left.values())


@pytest.mark.parametrize("internal", [False, True])
def test_plain_http_on_a_tls_port_is_answered_in_words(secured: Secured, internal: bool) -> None:
    port = secured.cluster.address(0)[1] + (2 if internal else 0)
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    connection.request("GET", "/books/one")
    answer = connection.getresponse()
    assert answer.status == 400
    assert b"https://" in answer.read()
    connection.close()


def test_the_internal_port_is_closed_without_a_certificate(secured: Secured) -> None:
    context = client_context(secured.ca_file)
    port = internal_ports(secured.cluster)[0]
    with (
        socket.create_connection((HOST, port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=HOST) as half,  # the alert comes after it
        pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"),
    ):
        half.recv(4096)


def test_certificates_are_renewed_while_a_client_goes_on(secured: Secured) -> None:
    """No request fails, connections that are open stay, new ones are shown the new certificate."""
    cluster = secured.cluster
    ports = [cluster.address(0)[1], cluster.address(1)[1], *internal_ports(cluster)]
    before = [secured.serial(port) for port in ports]
    pids = [cluster.pids(server) for server in cluster.servers]
    done, stop = [0], threading.Event()
    failed: list[Exception] = []

    def go_on() -> None:
        client = cluster.client(0)
        while not stop.is_set():
            key = fresh_name("kept")
            try:
                client.put_object(Bucket="books", Key=key, Body=BOOK[:40_000])
                assert client.get_object(Bucket="books", Key=key)["Body"].read() == BOOK[:40_000]
                done[0] += 1
            except (BotoCoreError, ClientError, AssertionError) as error:
                failed.append(error)

    load = threading.Thread(target=go_on)
    load.start()
    try:
        put_certificates(secured.directory, secured.ca)
        cluster.wait_until(
            lambda: all(
                secured.serial(port) != old for port, old in zip(ports, before, strict=True)
            ),
            TAKEN_S,
        )
        after = done[0]
        cluster.wait_until(lambda: done[0] > after + 3)
    finally:
        stop.set()
        load.join()
    assert not failed
    assert [cluster.pids(server) for server in cluster.servers] == pids
    assert "new certificate files are in use" in cluster.logs()


def test_a_broken_renewal_is_logged_and_the_old_certificate_stays(secured: Secured) -> None:
    """A process that crashes meanwhile waits for better files, and does not stop the server."""
    cluster = secured.cluster
    port = cluster.address(0)[1]
    before = secured.serial(port)
    good = (secured.directory / "s3.crt").read_bytes()
    (secured.directory / "s3.crt").write_bytes(good[: len(good) // 2])
    cluster.wait_until(lambda: "new certificate files are refused" in cluster.logs(), TAKEN_S)
    assert secured.serial(port) == before
    supervisor, *processes = cluster.pids(0)
    for pid in processes:
        os.kill(pid, signal.SIGKILL)
    cluster.wait_until(lambda: "certificate files can not be used" in cluster.logs())
    (secured.directory / "s3.crt").write_bytes(good)
    cluster.wait_ready()
    assert cluster.pids(0)[0] == supervisor


def test_a_server_with_a_certificate_of_another_ca_is_refused_with_the_reason(
    secured: Secured, tmp_path: Path
) -> None:
    """Its peer says so in its log and status, and goes on without it."""
    cluster = secured.cluster
    put_certificates(tmp_path, Authority("Somebody else"))
    cluster.kill(1)
    cluster.start_server(1, **environment(tmp_path))

    def seen() -> str:
        (peer,) = [
            one for one in cluster.info(0)["servers"] if one["address"].endswith(str(port(1)))
        ]
        return f"{peer['state']} {peer['reason']}"

    def port(server: int) -> int:
        return cluster.address(server)[1]

    cluster.wait_until(lambda: "its certificate is refused" in seen(), 20)
    assert seen().startswith("offline")
    assert "internal_tls_ca" in seen()
    assert "its certificate is refused" in cluster.logs()
    reader = cluster.client(0)
    deadline = time.monotonic() + 10
    while True:  # 2 + 2: reads survive the loss of a server, once it is noticed
        try:
            assert reader.get_object(Bucket="books", Key="one")["Body"].read() == BOOK
            break
        except reader.exceptions.ClientError:
            assert time.monotonic() < deadline
    cluster.kill(1)
    cluster.start_server(1)
    cluster.wait_ready()
