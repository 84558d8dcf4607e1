"""Who this server is, and which peers it accepts: one deployment, one layout, one time."""

import asyncio
from collections.abc import Mapping
from typing import Final

import msgspec

from objstore.clock import Clock
from objstore.errors import RpcError
from objstore.rpc.session import HEARS_LEAVING

METHOD_STATE: Final = "state"

_encoder = msgspec.msgpack.Encoder()


class ServerState(msgspec.Struct, frozen=True, array_like=True):
    """What a server says of itself to a peer that asks."""

    server: str
    deployment: str  # "" while its drives are empty
    forming: bool  # the deployment is new, and this server has not begun to serve
    formatted: bool  # its drives are in the deployment
    version: str
    started_ms: int
    time_ms: int
    configuration: str = ""  # a short hash of it; "": this server's version does not say


_state_decoder = msgspec.msgpack.Decoder(ServerState)


class Membership:
    """This server among its peers."""

    def __init__(
        self,
        *,
        server: str,
        servers: tuple[str, ...],
        layout: str,
        version: str,
        clock: Clock,
        witness: tuple[str, ...] = (),
    ) -> None:
        """Speak for `server`, one of the layout's `servers`; `layout` is its fingerprint."""
        self.server = server
        self.peers = tuple(peer for peer in servers if peer != server)
        self.deployment = ""
        self.forming = False
        self.formatted = False
        self.configuration = ""  # which one this process runs, as a short hash
        self.serving = False  # this process has opened the drives and can serve them
        # Set once every peer has asked since the drives here are in the deployment.
        self.everybody_knows = asyncio.Event()
        self._told: set[str] = set()
        self._layout = layout
        self._witness = ",".join(witness)
        self._version = version
        self._clock = clock
        self._started_ms = clock.now_ns() // 1_000_000

    def claims(self) -> Mapping[str, str]:
        """Return what this server says when a session opens."""
        return {
            "server": self.server,
            "layout": self._layout,
            "deployment": self.deployment,
            "version": self._version,
            "serving": "yes" if self.serving else "no",
            **dict([HEARS_LEAVING]),
            "witness": self._witness,
        }

    def admit(self, claims: Mapping[str, str]) -> str:
        """Return why a peer with these claims is not one to talk to, or ""."""
        server = claims.get("server", "")
        if server not in self.peers:
            return f"{server or 'it'} is no other server of this layout"
        if claims.get("layout") != self._layout:
            return (
                "it has another layout: every server needs the same drives, in the same order, "
                f"with the same parity (its layout is {claims.get('layout')}, here {self._layout})"
            )
        if (witness := claims.get("witness", "")) != self._witness:
            return (
                "it has another witness: with one, a server may write alone, and only a server "
                f"that asks the same one knows of it (its witness is {witness or 'off'}, here it "
                f"is {self._witness or 'off'})"
            )
        theirs = claims.get("deployment", "")
        if theirs and self.deployment and theirs != self.deployment:
            return f"its drives belong to deployment {theirs}, those here to {self.deployment}"
        return ""

    def awaits(self, claims: Mapping[str, str]) -> str:
        """Return what a process that serves waits for before it talks to this peer, or "".

        While servers agree on a deployment a process answers that has no drives open, and that
        hangs up when it is done. A session with it would end in the middle of the first requests.
        """
        starting = self.serving and claims.get("serving") != "yes"
        return "it is starting" if starting else ""

    def state(self) -> ServerState:
        """Return what this server says when it is asked."""
        return ServerState(
            server=self.server,
            deployment=self.deployment,
            forming=self.forming,
            formatted=self.formatted,
            version=self._version,
            started_ms=self._started_ms,
            time_ms=self._clock.now_ns() // 1_000_000,
            configuration=self.configuration,
        )

    async def answer_state(self, payload: bytes) -> bytes:
        """Answer the method `state`; the payload is the name of the server that asks."""
        if self.formatted:
            self._told.add(payload.decode("utf-8", "replace"))
            if self._told.issuperset(self.peers):
                self.everybody_knows.set()
        return _encoder.encode(self.state())


def decode_state(payload: bytes) -> ServerState:
    """Return the state that a peer answered.

    Raises:
        RpcError: it is none.
    """
    try:
        return _state_decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RpcError(f"the peer sent a state that is none: {error}") from error
