"""One address in front of several servers, as a load balancer in TCP mode gives it.

Each connection goes to the next server that accepts it; a server that refuses is passed over.
"""

import itertools
import select
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

_CONNECT_S = 2.0
_PIECE_BYTES = 256 * 1024


class Forwarder:
    """Forwards connections to `targets`, (host, port) each."""

    def __init__(self, targets: Sequence[tuple[str, int]]) -> None:
        self._targets = tuple(targets)
        self._turns = itertools.count()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._closing = False
        self._threads: list[threading.Thread] = []

    @property
    def url(self) -> str:
        """The endpoint that clients use."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @contextmanager
    def running(self) -> Iterator["Forwarder"]:
        """Forward while the block runs."""
        self._start(self._accept)
        try:
            yield self
        finally:
            self._closing = True
            with suppress(OSError):  # wakes what waits in accept
                self._listener.shutdown(socket.SHUT_RDWR)
            for thread in self._threads:
                thread.join(10)
            self._listener.close()

    def _start(self, work: Callable[..., None], *arguments: socket.socket) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closing:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._forward, client)

    def _forward(self, client: socket.socket) -> None:
        with client:
            server = self._connect()
            if server is None:
                return
            with server, suppress(OSError):
                self._pump(client, server)

    def _connect(self) -> socket.socket | None:
        turn = next(self._turns)
        for offset in range(len(self._targets)):
            with suppress(OSError):
                target = self._targets[(turn + offset) % len(self._targets)]
                return socket.create_connection(target, timeout=_CONNECT_S)
        return None

    def _pump(self, client: socket.socket, server: socket.socket) -> None:
        """Copy both ways until either side ends."""
        others = {client: server, server: client}
        while not self._closing:
            readable, _, _ = select.select(list(others), [], [], 0.5)
            for source in readable:
                piece = source.recv(_PIECE_BYTES)
                if not piece:
                    return
                others[source].sendall(piece)
