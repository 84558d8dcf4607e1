"""The witness in etcd, by the JSON gateway that every member of etcd 3.4 or newer serves.

The members are asked in turn until one answers, this server's own first: it is there whenever
somebody asks. Each has WITNESS_ANSWER_S; whoever answered last is asked first the next time.
Which requests, and what they mean: etcd's documentation of KV.Range and KV.Txn.

The library aetcd (1.0.0) was tried first. It knows no TLS (its channel is always plain), comes back
17 s after a member that was away for 30 s (gRPC's pauses), goes through whatever proxy the
environment names, and takes 25 MB in every process; aiohttp, which is here anyway, does none of it.
"""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import aiohttp
import msgspec

from objstore.cluster.witness import Kept, Witness
from objstore.errors import WitnessError
from objstore.limits import WITNESS_ANSWER_BYTES_MAX, WITNESS_ANSWER_S
from objstore.quorum.solo import Epoch, decode_epoch, encode_epoch

_CONNECTIONS_MAX: Final = 4
_PIECE_BYTES: Final = 4096

T = TypeVar("T", bound=msgspec.Struct)


class _Pair(msgspec.Struct):
    """A key's value and the revision of its last change; the gateway writes numbers as texts."""

    value: bytes = b""
    mod_revision: int = 0


class _RangeAnswer(msgspec.Struct):
    kvs: tuple[_Pair, ...] = ()


class _TxnAnswer(msgspec.Struct):
    succeeded: bool = False


def epoch_key(deployment: str) -> str:
    """Return under which key a deployment's epoch is kept."""
    return f"/objstore/{deployment}/epoch"


def own_first(endpoints: Sequence[str], server: str) -> tuple[str, ...]:
    """Put the member on the host of `server` ("host:port") in front of the others."""
    own = f"//{server.rpartition(':')[0]}:"
    return tuple(sorted(endpoints, key=lambda url: own not in url))


class EtcdWitness:
    """The epoch of one deployment, in etcd."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        endpoints: Sequence[str],
        *,
        deployment: str,
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        """Ask `endpoints` (URLs) through `http`; `tls` is for https URLs, as between servers."""
        assert endpoints
        self._http = http
        self._endpoints = list(endpoints)
        self._key = _text(epoch_key(deployment).encode())
        self._tls = tls

    async def read(self) -> Kept:
        answer = await self._ask("range", {"key": self._key}, _RangeAnswer)
        if not answer.kvs:
            return Kept()
        pair = answer.kvs[0]
        try:
            return Kept(decode_epoch(pair.value), pair.mod_revision)
        except (ValueError, msgspec.MsgspecError) as error:
            raise WitnessError(f"what etcd keeps is no epoch: {pair.value[:200]!r}") from error

    async def change(self, revision: int, epoch: Epoch) -> bool:
        same = {
            "key": self._key,
            "target": "MOD",
            "result": "EQUAL",
            "mod_revision": str(revision),
        }
        put = {"request_put": {"key": self._key, "value": _text(encode_epoch(epoch))}}
        answer = await self._ask("txn", {"compare": [same], "success": [put]}, _TxnAnswer)
        return answer.succeeded

    async def _ask(self, method: str, question: object, kind: type[T]) -> T:
        """Ask the members in turn.

        A change that a member did not answer may have been made; asked of the next, it is
        refused then, for the revision is another.
        """
        body = msgspec.json.encode(question)
        why = []
        for endpoint in tuple(self._endpoints):
            try:
                async with asyncio.timeout(WITNESS_ANSWER_S):
                    answer = await self._post(f"{endpoint}/v3/kv/{method}", body)
                found = msgspec.json.decode(answer, type=kind, strict=False)
            except TimeoutError:
                why.append(f"{endpoint} does not answer")
            except (aiohttp.ClientError, OSError, ValueError, msgspec.DecodeError) as error:
                why.append(f"{endpoint}: {error}")
            except WitnessError as error:
                why.append(f"{endpoint} {error}")
            else:
                self._endpoints.sort(key=lambda one: one != endpoint)
                return found
        raise WitnessError("; ".join(why))

    async def _post(self, url: str, body: bytes) -> bytes:
        tls = True if self._tls is None else self._tls()
        async with self._http.post(url, data=body, ssl=tls, allow_redirects=False) as response:
            answer = b""
            while piece := await response.content.read(_PIECE_BYTES):
                answer += piece
                if len(answer) > WITNESS_ANSWER_BYTES_MAX:
                    raise WitnessError(f"answered over {WITNESS_ANSWER_BYTES_MAX} bytes")
            if response.status != 200:
                raise WitnessError(f"answered {response.status}: {answer[:200]!r}")
            return answer


@asynccontextmanager
async def open_etcd(
    endpoints: Sequence[str],
    *,
    deployment: str,
    tls: Callable[[], ssl.SSLContext] | None = None,
) -> AsyncIterator[EtcdWitness]:
    """Keep connections to the members for a `with` block."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=_CONNECTIONS_MAX, keepalive_timeout=30),
        timeout=aiohttp.ClientTimeout(total=None),
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as http:
        yield EtcdWitness(http, endpoints, deployment=deployment, tls=tls)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


_CONFORMS: type[Witness] = EtcdWitness
