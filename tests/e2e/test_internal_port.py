"""The port between servers lets nobody in without a fresh token of the cluster's own secret.

docs/protocol/rpc.md: "Whatever is wrong, the answer is an empty 403".
"""

import hmac
import random
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from tests.e2e.credentials import CLUSTER_SECRET, SECRET_KEY
from tests.e2e.raw_http import Answer, Shot, Signer, send
from tests.e2e.running import Cluster

SHARD = f"/v1/shard/0/0/0/{'0' * 32}/1/0"


@dataclass(frozen=True)
class Token:
    """What the Authorization header of an internal request is made of."""

    audience: str
    method: str = "GET"
    path: str = SHARD
    query: str = "offset=0&size=1"
    secret: str = CLUSTER_SECRET
    info: bytes = b"call"
    age_s: float = 0.0
    nonce: str = ""

    def header(self) -> str:
        """Return the header's value."""
        key = hmac.digest(b"objstore rpc 1", self.secret.encode(), "sha256")
        key = hmac.digest(key, self.info + b"\x01", "sha256")
        now_ms = int((time.time() - self.age_s) * 1000)
        nonce = self.nonce or random.randbytes(16).hex()
        fields = [
            "request",
            *(self.audience, self.method, self.path, self.query, str(now_ms), nonce),
        ]
        mac = hmac.digest(key, "\n".join(fields).encode(), "sha256").hex()
        return f"objstore-1 {now_ms} {nonce} {mac}"


def internal(cluster: Cluster, server: int = 0) -> tuple[str, int]:
    host, port = cluster.address(server)
    return host, port + 2


def name_of(cluster: Cluster, server: int = 0) -> str:
    return "{}:{}".format(*cluster.address(server))


def ask(cluster: Cluster, token: Token, *, sent: Token | None = None) -> Answer:
    """Send the request that `sent` describes with the header that `token` makes."""
    sent = sent or token
    headers = (("Host", name_of(cluster)), ("Authorization", token.header()))
    shot = Shot(sent.method, sent.path, sent.query, headers)
    return send(internal(cluster), shot)


def test_a_right_token_gets_in(cluster: Cluster) -> None:
    """Without this the refusals below would prove nothing."""
    assert ask(cluster, Token(name_of(cluster))).status == 409


WRONG: dict[str, Callable[[Token], Token]] = {
    "another secret": lambda t: replace(t, secret="another-secret-of-the-same-length-000"),
    "the root credential": lambda t: replace(t, secret=SECRET_KEY),
    "the key of answers": lambda t: replace(t, info=b"answer"),
    "too old": lambda t: replace(t, age_s=60),
    "from the future": lambda t: replace(t, age_s=-60),
    "for another server": lambda t: replace(t, audience="127.0.0.1:1"),
}
CHANGED: dict[str, Callable[[Token], Token]] = {
    "to another method": lambda t: replace(t, method="PUT"),
    "to another shard": lambda t: replace(t, path=SHARD[:-1] + "1"),
    "to another drive": lambda t: replace(t, path=SHARD.replace("0/0/0", "0/0/2")),
    "to a path above": lambda t: replace(t, path=SHARD + "/../x"),
    "to another range": lambda t: replace(t, query="offset=0&size=2"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_token_is_refused(cluster: Cluster, name: str) -> None:
    answer = ask(cluster, WRONG[name](Token(name_of(cluster))))
    assert (answer.status, answer.body) == (403, b"")


@pytest.mark.parametrize("name", CHANGED)
def test_a_token_is_worth_one_request_only(cluster: Cluster, name: str) -> None:
    token = Token(name_of(cluster))
    answer = ask(cluster, token, sent=CHANGED[name](token))
    assert (answer.status, answer.body) == (403, b"")


def test_a_token_is_worth_it_once(cluster: Cluster) -> None:
    token = Token(name_of(cluster), nonce="ab" * 16)
    assert ask(cluster, token).status == 409
    for _ in range(5):
        assert ask(cluster, token).status == 403


@pytest.mark.parametrize("path", [SHARD, "/v1/session", "/", "/v1", "/metrics", "/v1/../v1/shard"])
@pytest.mark.parametrize(
    "header", [None, "", "objstore-1", "objstore-1 1 2 3", "Bearer x", "objstore-1 " + "9" * 9999]
)
def test_no_token_is_refused(cluster: Cluster, path: str, header: str | None) -> None:
    shot = Shot("GET", path, headers=(("Host", name_of(cluster)),))
    if header is not None:
        shot = shot.adding("Authorization", header)
    answer = send(internal(cluster), shot)
    assert answer.status in (400, 403, 404), answer
    assert answer.status == 403 or path not in (SHARD, "/v1/session") or len(header or "") > 8000


def test_an_s3_signature_opens_nothing(cluster: Cluster) -> None:
    shot = Signer().sign(Shot("GET", SHARD, headers=(("Host", name_of(cluster)),)))
    assert send(internal(cluster), shot).status == 403


def test_the_public_port_has_no_shards(cluster: Cluster) -> None:
    token = Token(name_of(cluster))
    headers = (("Host", name_of(cluster)), ("Authorization", token.header()))
    answer = send(cluster.address(0), Shot("GET", SHARD, token.query, headers))
    assert answer.status in (400, 403, 404)
    assert answer.code


def test_noise_on_both_ports_harms_nobody(cluster: Cluster, bucket: str) -> None:
    rng = random.Random(1)
    before = set(cluster.pids(0))
    for number in range(300):
        address = internal(cluster) if number % 2 else cluster.address(0)
        start = rng.choice(
            [b"", b"GET / HTTP/1.1\r\n", b"PUT " + SHARD.encode() + b" HTTP/1.1\r\n"]
        )
        with socket.create_connection(address, timeout=5) as connection:
            connection.sendall(start + rng.randbytes(rng.randrange(1, 3000)))
    client = cluster.client()
    client.put_object(Bucket=bucket, Key="key", Body=b"x")
    assert client.get_object(Bucket=bucket, Key="key")["Body"].read() == b"x"
    client.close()
    assert set(cluster.pids(0)) == before
