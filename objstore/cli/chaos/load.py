"""The clients of a chaos run: each writes, reads, lists and deletes keys of its own.

Every answer is compared with what the key may hold at that moment; every failure is kept, to be
judged when it is known what was hurt.
"""

import asyncio
import hashlib
import re
from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass, field
from random import Random
from typing import Final, TypeVar
from urllib.parse import quote
from xml.sax.saxutils import unescape

from objstore.cli.chaos.judgement import Failure
from objstore.cli.chaos.ledger import Content, Ledger
from objstore.cli.demos.client import DemoClient, S3Refusal
from objstore.cli.demos.stage import BUCKET
from objstore.clock import Clock, Entropy

CLIENTS: Final = 4
KEYS_EACH: Final = 24
_SIZES: Final = (0, 1, 5_000, 49_104, 49_105, 300_000, 300_000, (1 << 20) + 1, 3_000_000)
_VERBS: Final = ("PUT",) * 9 + ("GET",) * 8 + ("DELETE",) * 2 + ("LIST",)
_PAUSE_S: Final = 0.01
_NO_SUCH_KEY: Final = (404, "NoSuchKey")
_KEY: Final = re.compile(r"<Key>([^<]*)</Key>")

_T = TypeVar("_T")


@dataclass(slots=True)
class Load:
    """What the clients did and saw."""

    clients: tuple[DemoClient, ...]
    clock: Clock
    entropy: Entropy
    ledger: Ledger = field(default_factory=Ledger)
    served: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)  # answers that no fault excuses
    slowest_s: float = 0.0
    slowest: str = "none"

    async def work(self, number: int, seed: int, stop: asyncio.Event) -> None:
        """Be one client until `stop`."""
        random = Random(seed)  # noqa: S311  to be repeated, not to be secret
        while not stop.is_set():
            server = random.randrange(len(self.clients)) + 1
            key = f"chaos/{number}/{random.randrange(KEYS_EACH)}"
            match random.choice(_VERBS):
                case "PUT":
                    await self.put(key, random.choice(_SIZES), server)
                case "GET":
                    await self.get(key, server)
                case "DELETE":
                    await self.delete(key, server)
                case _:
                    await self.list_all(f"chaos/{number}/", server)
            await asyncio.sleep(_PAUSE_S)

    async def put(self, key: str, size: int, server: int) -> None:
        """Store random bytes."""
        data = self.entropy.draw(size)
        storing = self.clients[server - 1].put(BUCKET, key, data)
        await self._change("PUT", key, server, hashlib.sha256(data).hexdigest(), storing)

    async def delete(self, key: str, server: int) -> None:
        """Delete a key, whether it is there or not."""
        await self._change(
            "DELETE", key, server, None, self.clients[server - 1].delete(BUCKET, key)
        )

    async def get(self, key: str, server: int) -> bool:
        """Read a key and compare; tell whether it was answered."""
        try:
            data = await self._ask("GET", key, server, self.clients[server - 1].get(BUCKET, key))
            found: Content = hashlib.sha256(data).hexdigest()
        except S3Refusal as refusal:
            if (refusal.status, refusal.code) != _NO_SUCH_KEY:
                return False
            found = None
        if found not in self.ledger.possible(key):
            what = "it is not there" if found is None else "bytes that are not its content"
            self.wrong.append(f"GET {key} from server {server}: {what}")
        return True

    async def list_all(self, prefix: str, server: int) -> bool:
        """List and compare; tell whether it was answered."""
        target = f"/{BUCKET}?list-type=2&prefix={quote(prefix, safe='')}"
        try:
            page = await self._ask(
                "LIST", prefix, server, self.clients[server - 1].call("GET", target)
            )
        except S3Refusal:
            return False
        listed = {unescape(one) for one in _KEY.findall(page.decode())}
        known = {key for key in self.ledger.every_key() if key.startswith(prefix)}
        for key in sorted(listed | known):
            possible = self.ledger.possible(key)
            if key in listed and possible == {None}:
                self.wrong.append(
                    f"LIST {prefix} from server {server}: shows {key}, which is deleted"
                )
            if key not in listed and None not in possible:
                self.wrong.append(f"LIST {prefix} from server {server}: lacks {key}")
        return True

    async def _change(
        self, verb: str, key: str, server: int, content: Content, doing: Awaitable[object]
    ) -> None:
        try:
            await self._ask(verb, key, server, doing)
        except S3Refusal as refusal:
            self.ledger.fail(key, content, refusal.status)
        else:
            self.ledger.acknowledge(key, content)

    async def _ask(self, verb: str, key: str, server: int, doing: Awaitable[_T]) -> _T:
        """Send one request, time it, and keep its failure."""
        began_s = self.clock.monotonic_s()
        try:
            answer = await doing
        except S3Refusal as refusal:
            if verb != "GET" or (refusal.status, refusal.code) != _NO_SUCH_KEY:
                self._fail(verb, key, server, began_s, refusal)
                raise
            self._time(verb, key, server, began_s)
            raise
        self._time(verb, key, server, began_s)
        return answer

    def _fail(self, verb: str, key: str, server: int, began_s: float, refusal: S3Refusal) -> None:
        ended_s = self.clock.monotonic_s()
        failure = Failure(verb, key, server, began_s, ended_s, refusal.status, refusal.code)
        self.failures.append(failure)
        self._note_time(ended_s - began_s, str(failure))

    def _time(self, verb: str, key: str, server: int, began_s: float) -> None:
        self.served[verb] += 1
        self._note_time(self.clock.monotonic_s() - began_s, f"{verb} {key} from server {server}")

    def _note_time(self, took_s: float, what: str) -> None:
        if took_s > self.slowest_s:
            self.slowest_s, self.slowest = took_s, what
