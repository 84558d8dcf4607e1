"""Links between servers on one machine that can be cut, without privileges.

The servers call each other by `PEER_HOST`, an address of the loopback network on which nobody but
the forwarders of this module listens; they themselves listen on 127.0.0.1. A cut link loses nothing
and delivers nothing: connections stay open and silent, as when packets are lost, and go on
when it is mended. Only links between two servers are told apart, so there are exactly two.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

from objstore.cli.local_layout import HOST, LocalLayout
from objstore.errors import ConfigError

PEER_HOST: Final = "127.0.0.2"
_PIECE_BYTES: Final = 256 * 1024
_INTERNAL: Final = 2  # of a server's ports, as LocalLayout gives them


@dataclass(slots=True)
class Links:
    """The two ways between server 1 and server 2; a way is open while its event is set."""

    _ways: dict[int, asyncio.Event] = field(default_factory=dict)  # by who sends

    def __post_init__(self) -> None:
        for server in (1, 2):
            self._ways[server] = asyncio.Event()
        self.join()

    def cut(self, *senders: int) -> None:
        """Deliver nothing of what these servers send."""
        for server in senders:
            self._ways[server].clear()

    def join(self) -> None:
        """Deliver everything again."""
        for way in self._ways.values():
            way.set()

    @contextlib.asynccontextmanager
    async def running(self, local: LocalLayout) -> AsyncIterator[None]:
        """Forward while the block runs.

        Raises:
            ConfigError: this machine has no such address, or its ports are taken.
        """
        assert local.servers == 2, "links of two servers"
        async with contextlib.AsyncExitStack() as stack:
            for server in (1, 2):
                listener = await self._listen(local.s3_port(server) + _INTERNAL, target=server)
                # Not waited for: what a cut holds back would keep it.
                stack.callback(listener.close)
            try:
                yield
            finally:
                self.join()

    async def _listen(self, port: int, *, target: int) -> asyncio.Server:
        async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._forward(reader, writer, port, target)
            writer.close()

        try:
            return await asyncio.start_server(forward, PEER_HOST, port)
        except OSError as error:
            raise ConfigError(
                found=f"{PEER_HOST}:{port} cannot be listened on: {error.strerror}",
                expected="a loopback network (127.0.0.0/8), as Linux has, to cut between servers",
                remedy="leave partition out of --faults",
            ) from error

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, target: int
    ) -> None:
        sender = 3 - target
        for way in self._ways.values():
            await way.wait()  # a connection takes packets of both
        back, onward = await asyncio.open_connection(HOST, port)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, onward, self._ways[sender]))
                group.create_task(self._pump(back, writer, self._ways[target]))
        except* OSError:
            pass
        finally:
            onward.close()

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, way: asyncio.Event
    ) -> None:
        """Copy one way until its sender has ended, and then end it too."""
        try:
            while piece := await source.read(_PIECE_BYTES):
                await way.wait()
                sink.write(piece)
                await sink.drain()
            await way.wait()
        finally:
            sink.close()
