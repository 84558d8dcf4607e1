"""Clients that go on through a fault, and how long each of their requests took."""

import contextlib
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from botocore.exceptions import BotoCoreError, ClientError

from tests.e2e.running import Cluster, S3Client

SERVED = "served"


@dataclass(frozen=True)
class Answer:
    """One request: what was asked, when it began and ended, what came of it."""

    verb: str
    server: int
    began_s: float
    took_s: float
    code: str  # SERVED, an S3 error's code, or the name of the client's own exception


@dataclass
class Answers:
    """The answers of some time."""

    every: list[Answer] = field(default_factory=list)

    def of(self, *verbs: str) -> "Answers":
        """Return the answers to requests of some kinds."""
        return Answers([a for a in self.every if a.verb in verbs])

    def codes(self) -> Counter[str]:
        """Count the codes."""
        return Counter(answer.code for answer in self.every)

    def between(self, since_s: float, until_s: float = math.inf) -> "Answers":
        """Return the answers to requests that began in a span of time."""
        return Answers([a for a in self.every if since_s <= a.began_s < until_s])

    def slowest_s(self) -> float:
        """Return how long the slowest took."""
        return max((answer.took_s for answer in self.every), default=0.0)

    def __str__(self) -> str:
        verbs = sorted({answer.verb for answer in self.every})
        parts = [
            f"{verb}: {dict(self.of(verb).codes())}, slowest {self.of(verb).slowest_s():.2f} s"
            for verb in verbs
        ]
        return "; ".join(parts)


def ask(verb: str, server: int, request: Callable[[], object]) -> Answer:
    """Send one request and tell what came of it."""
    began_s = time.monotonic()
    code = SERVED
    try:
        request()
    except ClientError as error:
        code = error.response["Error"]["Code"]
    except BotoCoreError as error:
        code = type(error).__name__
    return Answer(verb, server, began_s, time.monotonic() - began_s, code)


class Traffic:
    """A few clients that put, get and list through some servers all the time.

    They read `key`, which is there before, and write keys of their own.
    """

    def __init__(
        self,
        cluster: Cluster,
        bucket: str,
        *,
        servers: Sequence[int],
        clients: int = 4,
        pause_s: float = 0.05,
        size: int = 100_000,
    ) -> None:
        self._bucket = bucket
        self._pause_s = pause_s
        self._body = bytes(size)
        self._stopping = threading.Event()
        self._answers = Answers()
        self._cluster = cluster
        reader = cluster.client(servers[0])
        for number in range(clients):
            reader.put_object(Bucket=bucket, Key=f"there{number}", Body=self._body)
        self._threads = [
            threading.Thread(
                target=self._work, args=(number, servers[number % len(servers)]), daemon=True
            )
            for number in range(clients)
        ]

    @contextlib.contextmanager
    def running(self) -> Iterator[Answers]:
        """Send requests while the block runs; what it gives grows meanwhile."""
        for thread in self._threads:
            thread.start()
        try:
            yield self._answers
        finally:
            self._stopping.set()
            for thread in self._threads:
                thread.join(90)
                assert not thread.is_alive(), "a client hangs"

    def _work(self, number: int, server: int) -> None:
        client: S3Client = self._cluster.client(server)
        count = 0
        while not self._stopping.is_set():
            count += 1
            key = f"written{number}/{count % 20}"
            for verb, request in (
                ("put", partial(client.put_object, Key=key, Body=self._body)),
                ("get", partial(_read, client, Key=f"there{number}")),
                ("list", partial(client.list_objects_v2, MaxKeys=50)),
                ("delete", partial(client.delete_object, Key=key)),
            ):
                asked = partial(request, Bucket=self._bucket)
                self._answers.every.append(ask(verb, server, asked))
            self._stopping.wait(self._pause_s)


def _read(client: S3Client, **which: str) -> None:
    """Read an object to its end."""
    client.get_object(**which)["Body"].read()
