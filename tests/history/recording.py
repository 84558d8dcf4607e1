"""Clients that use a few keys at once through every server, and write down what came of it."""

import asyncio
import hashlib
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from urllib.parse import quote

from objstore.cli.demos.client import DemoClient, S3Refusal
from tests.history.events import Event, Outcome, Value, Verb

BUCKET = "history"
_VERBS = (
    *((Verb.PUT,) * 5), *((Verb.GET,) * 8), *((Verb.DELETE,) * 2), *((Verb.CREATE,) * 2),
    *((Verb.SWAP,) * 3), *((Verb.SEEN,) * 2),
)  # fmt: skip
# Inside the record, in one file, and in files of several stripes.
_SIZES = (40, 2_000, 70_000, 70_000, 1_200_000)
_MISSING = (404, "NoSuchKey")
_ENTRY = re.compile(
    r"<Contents>.*?<Key>([^<]*)</Key>.*?<ETag>&quot;([0-9a-f]{32})&quot;</ETag>", re.DOTALL
)
_NOT_SENT = "ClientConnectorError"  # nobody listens
_DOWN_S = 0.2
_DEFINITE = frozenset({412, 404})


def content_of(value: str, size: int) -> bytes:
    """Return bytes that name their value and that no other value's are a part of."""
    line = f"{value} {hashlib.sha256(value.encode()).hexdigest()}\n".encode()
    return (line * (size // len(line) + 1))[: max(size, len(line))]


@dataclass
class Recorder:
    """The history so far. Keys change every few seconds, so that each has a short history."""

    clients: tuple[DemoClient, ...]
    zero_s: float = field(default_factory=time.monotonic)  # events' times count from here
    keys_at_once: int = 4
    key_age_s: float = 6.0
    events: list[Event] = field(default_factory=list)
    codes: Counter[str] = field(default_factory=Counter)
    _by_etag: dict[str, tuple[str, str]] = field(default_factory=dict)  # -> key, value
    _by_digest: dict[bytes, str] = field(default_factory=dict)
    _count: int = 0

    async def work(self, name: str, seed: int, stop: asyncio.Event) -> None:
        """Be one client until `stop`."""
        random = Random(seed)
        held: dict[str, tuple[str, str]] = {}  # key -> what it was seen to hold: value, ETag
        while not stop.is_set():
            age = int(self._now() / self.key_age_s)
            key = f"{age:04d}/{random.randrange(self.keys_at_once)}"
            server = random.randrange(len(self.clients))
            verb = random.choice(_VERBS)
            if verb is Verb.SWAP and key not in held:
                verb = Verb.GET
            who = f"{name} by {server + 1}"
            if verb is Verb.GET:
                await self._get(key, server, who, held)
            elif verb is Verb.SEEN:
                await self._list(f"{age:04d}/", server, who)
            else:
                await self._write(verb, key, server, who, held, random.choice(_SIZES))
            await asyncio.sleep(random.random() * 0.02)

    async def read_all(self) -> int:
        """Read every key through every server, in the end; return how many reads were served."""
        before = len(self.events)
        for server in range(len(self.clients)):
            for key in sorted({event.key for event in self.events[:before]}):
                await self._get(key, server, f"end by {server + 1}", {})
        return len(self.events) - before

    async def _write(
        self, verb: Verb, key: str, server: int, who: str,
        held: dict[str, tuple[str, str]], size: int,
    ) -> None:  # fmt: skip
        self._count += 1
        value: Value = None if verb is Verb.DELETE else f"v{self._count}"
        expected, headers, body, etag = None, {}, b"", ""
        if value is not None:
            body = content_of(value, size)
            etag = hashlib.md5(body).hexdigest()
            self._by_etag[etag] = (key, value)
            self._by_digest[hashlib.sha256(body).digest()] = value
        if verb is Verb.CREATE:
            headers = {"if-none-match": "*"}
        elif verb is Verb.SWAP:
            expected, old = held[key]
            headers = {"if-match": f'"{old}"'}
        method = "DELETE" if verb is Verb.DELETE else "PUT"
        start = self._now()
        outcome = Outcome.OK
        try:
            await self.clients[server].call(method, f"/{BUCKET}/{quote(key)}", body, headers)
        except S3Refusal as refusal:
            self._note(refusal)
            if refusal.code == _NOT_SENT:
                await asyncio.sleep(_DOWN_S)
                return
            refused = refusal.status in _DEFINITE and verb in {Verb.CREATE, Verb.SWAP}
            outcome = Outcome.REFUSED if refused else Outcome.MAYBE
        if value is not None and outcome is Outcome.OK:
            held[key] = (value, etag)
        self._add(Event(verb, key, start, self._now(), outcome, value, expected, who))

    async def _get(self, key: str, server: int, who: str, held: dict[str, tuple[str, str]]) -> None:
        start = self._now()
        try:
            body = await self.clients[server].call("GET", f"/{BUCKET}/{quote(key)}")
        except S3Refusal as refusal:
            if (refusal.status, refusal.code) == _MISSING:
                self._add(Event(Verb.GET, key, start, self._now(), client=who))
            else:
                self._note(refusal)
                await asyncio.sleep(_DOWN_S if refusal.code == _NOT_SENT else 0)
            return
        value = self._by_digest.get(hashlib.sha256(body).digest(), f"unknown {body[:80]!r}")
        self._add(Event(Verb.GET, key, start, self._now(), value=value, client=who))
        held[key] = (value, hashlib.md5(body).hexdigest())

    async def _list(self, prefix: str, server: int, who: str) -> None:
        start = self._now()
        target = f"/{BUCKET}?list-type=2&prefix={quote(prefix, safe='')}"
        try:
            page = (await self.clients[server].call("GET", target)).decode()
        except S3Refusal as refusal:
            self._note(refusal)
            await asyncio.sleep(_DOWN_S if refusal.code == _NOT_SENT else 0)
            return
        end = self._now()
        shown = dict(_ENTRY.findall(page))
        assert page.count("<Contents>") == len(shown), page
        for number in range(self.keys_at_once):
            key = f"{prefix}{number}"
            value: Value = None
            if key in shown:
                of, value = self._by_etag.get(shown[key], (key, f"unknown {shown[key]}"))
                value = value if of == key else f"{value} of {of}"
            self._add(Event(Verb.SEEN, key, start, end, value=value, client=who))

    def _now(self) -> float:
        return time.monotonic() - self.zero_s

    def _note(self, refusal: S3Refusal) -> None:
        self.codes[f"{refusal.status} {refusal.code}"] += 1

    def _add(self, event: Event) -> None:
        self.codes[f"{event.verb}: {event.outcome}"] += 1
        self.events.append(event)
