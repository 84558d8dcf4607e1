"""Clients that put, get and delete all the time, and know what each answer has to be."""

import contextlib
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from botocore.exceptions import BotoCoreError, ClientError

from tests.e2e.content import Content, sha256_of
from tests.e2e.running import Cluster, S3Client

# Inside a record, inside a stripe, several stripes.
SIZES = (0, 1, 4096, 40_000, 700_000, 3_000_001)

PAUSE_S = 0.03  # of a client, before each request: there is always one, and other tests go on too


@dataclass
class Entry:
    """What may be under a key: one content (None is "deleted") once it is certain."""

    possible: list[Content | None] = field(default_factory=lambda: [None])


@dataclass
class Outcome:
    """What the clients saw."""

    puts: int = 0
    gets: int = 0
    deletes: int = 0
    errors: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    slowest: str = ""

    @property
    def requests(self) -> int:
        """How many requests were answered."""
        return self.puts + self.gets + self.deletes


class Load:
    """`workers` threads, each with its own keys, so that each knows what its keys hold."""

    def __init__(
        self,
        cluster: Cluster,
        bucket: str,
        *,
        workers: int = 4,
        seed: int = 1,
        servers: tuple[int, ...] = (0, 1),
        sizes: tuple[int, ...] = SIZES,
    ) -> None:
        self._cluster = cluster
        self._bucket = bucket
        self._servers = servers
        self._sizes = sizes
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self.outcome = Outcome()
        self.entries: dict[str, Entry] = {}
        self._threads = [
            threading.Thread(target=self._work, args=(number, random.Random(seed * 1000 + number)))
            for number in range(workers)
        ]

    @contextlib.contextmanager
    def running(self) -> Iterator["Load"]:
        """Work while the block runs."""
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self.stop()

    def stop(self) -> None:
        """Finish what is in flight."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a client hangs"

    def wait_for(self, requests: int, *, timeout_s: float = 60) -> None:
        """Return when that many more requests were answered."""
        goal = self.outcome.requests + requests
        deadline = time.monotonic() + timeout_s
        while self.outcome.requests < goal:
            assert time.monotonic() < deadline, f"too slow: {self.outcome}"
            time.sleep(0.02)

    def check(self, *, errors: int = 0) -> None:
        """Assert that no client saw a wrong byte, and at most so many errors."""
        assert not self.outcome.wrong, self.outcome.wrong[:5]
        found = self.outcome.errors
        assert len(found) <= errors, f"{len(found)} errors, e.g. {found[:5]}"

    def check_everything(self, server: int = 0) -> None:
        """Read back every key: whatever was acknowledged is there, and nothing else."""
        client = self._cluster.client(server)
        wrong = [
            f"{key}: {problem}"
            for key, entry in sorted(self.entries.items())
            for problem in [self._problem(client, key, entry)]
            if problem
        ]
        listed = {
            item["Key"]
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket)
            for item in page.get("Contents", [])
        }
        client.close()
        alive = {key for key, entry in self.entries.items() if entry.possible != [None]}
        certain = {key for key in alive if None not in self.entries[key].possible}
        assert not wrong, wrong[:5]
        assert certain <= listed <= alive, (sorted(certain - listed), sorted(listed - alive))

    def _work(self, number: int, rng: random.Random) -> None:
        clients = [self._cluster.client(server) for server in self._servers]
        serial = 0
        while not self._stopping.wait(PAUSE_S):
            serial += 1
            key = f"worker{number}/key{rng.randrange(40)}"
            entry = self.entries.setdefault(key, Entry())
            client = rng.choice(clients)
            began = time.monotonic()
            action = rng.choices(("put", "get", "delete"), weights=(5, 5, 1))[0]
            if action == "put":
                seed = (number * 1_000_003 + serial) * 31
                self._put(client, key, entry, Content(seed, rng.choice(self._sizes)))
            elif action == "get":
                self._get(client, key, entry)
            else:
                self._delete(client, key, entry)
            took = time.monotonic() - began
            if took > self.outcome.slowest_s:
                self.outcome.slowest_s = took
                self.outcome.slowest = f"{action} {key}"
        for client in clients:
            client.close()

    def _put(self, client: S3Client, key: str, entry: Entry, content: Content) -> None:
        entry.possible = [*entry.possible, content]
        try:
            client.put_object(Bucket=self._bucket, Key=key, Body=content.bytes())
        except (BotoCoreError, ClientError) as error:
            self._failed("PUT", key, entry, error)
        else:
            entry.possible = [content]
            with self._lock:
                self.outcome.puts += 1

    def _delete(self, client: S3Client, key: str, entry: Entry) -> None:
        entry.possible = [*entry.possible, None]
        try:
            client.delete_object(Bucket=self._bucket, Key=key)
        except (BotoCoreError, ClientError) as error:
            self._failed("DELETE", key, entry, error)
        else:
            entry.possible = [None]
            with self._lock:
                self.outcome.deletes += 1

    def _get(self, client: S3Client, key: str, entry: Entry) -> None:
        try:
            problem = self._problem(client, key, entry)
        except (BotoCoreError, ClientError) as error:
            self._failed("GET", key, entry, error)
            return
        with self._lock:
            self.outcome.gets += 1
            if problem:
                self.outcome.wrong.append(f"GET {key}: {problem}")

    def _failed(self, verb: str, key: str, entry: Entry, error: Exception) -> None:
        with self._lock:
            self.outcome.errors.append(f"{verb} {key}: {type(error).__name__}: {error}")
        time.sleep(0.05)

    def _problem(self, client: S3Client, key: str, entry: Entry) -> str:
        """Read a key and compare; what was seen once must stay (old or new, never a mix)."""
        try:
            answer = client.get_object(Bucket=self._bucket, Key=key)
            with contextlib.closing(answer["Body"]) as body:
                seen = sha256_of(body.iter_chunks(1024 * 1024))
        except client.exceptions.NoSuchKey:
            if None in entry.possible:
                entry.possible = [None]
                return ""
            return f"missing, expected one of {entry.possible}"
        for content in entry.possible:
            if content is not None and content.sha256 == seen:
                entry.possible = [content]
                return ""
        return f"sha256 {seen} of {answer['ContentLength']} bytes, expected {entry.possible}"
