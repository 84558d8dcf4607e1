"""What this machine can do in the same minute: a figure of objstore is read as a ratio to it."""

import asyncio
import hashlib
import mmap
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from bench.traffic import Access, burst

MIB = 1024 * 1024
_AIOHTTP = """
import asyncio, sys, uvloop
from aiohttp import web
async def answer(request):
    return web.Response(body=b"x" * 100)
async def main():
    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(site._server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()
uvloop.run(main())
"""


def md5_mib_per_s(data: memoryview) -> float:
    """MD5 of the same bytes on one core: the ceiling of an ETag."""
    began = time.perf_counter()
    hashlib.md5(data, usedforsecurity=False).hexdigest()
    return len(data) / MIB / (time.perf_counter() - began)


def loopback_mib_per_s(data: memoryview) -> float:
    """The same bytes through a TCP connection to a thread of this process."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        received = threading.Thread(target=_receive, args=(listener, len(data)))
        received.start()
        with socket.create_connection(listener.getsockname()) as sender:
            began = time.perf_counter()
            sender.sendall(data)
            sender.recv(1)
            seconds = time.perf_counter() - began
        received.join()
    return len(data) / MIB / seconds


def _receive(listener: socket.socket, count: int) -> None:
    buffer = bytearray(MIB)
    connection, _ = listener.accept()
    with connection:
        while count:
            count -= connection.recv_into(buffer)
        connection.sendall(b"x")


def durable_mib_per_s(directory: Path, size: int, *, files: int = 4) -> float:
    """The same number of bytes to new files, past the page cache where that can be, synced."""
    block = mmap.mmap(-1, MIB)
    block.write(os.urandom(MIB))
    flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY
    paths = [directory / f"probe{number}" for number in range(files)]
    began = time.perf_counter()
    for path in paths:
        fd = _open_direct(path, flags)
        for _ in range(size // MIB // files):
            os.write(fd, block)
        os.fdatasync(fd)
        os.close(fd)
    seconds = time.perf_counter() - began
    for path in paths:
        path.unlink()
    return size // MIB // files * files / seconds


def _open_direct(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_DIRECT, 0o600)
    except OSError:
        return os.open(path, flags, 0o600)


def durable_small_per_s(directory: Path, *, count: int = 200) -> float:
    """4 KiB appended and synced, one after the other."""
    path = directory / "probe"
    fd = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    block = os.urandom(4096)
    began = time.perf_counter()
    for _ in range(count):
        os.write(fd, block)
        os.fdatasync(fd)
    seconds = time.perf_counter() - began
    os.close(fd)
    path.unlink()
    return count / seconds


class TrivialServer:
    """An aiohttp server that answers 100 bytes and does nothing else, in its own process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _AIOHTTP], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self._port = int(self._process.stdout.readline())

    def requests_per_s(self, *, count: int, concurrency: int) -> float:
        """Measure with the same load generator as everything else."""
        access = Access("127.0.0.1", self._port, "", "")
        head = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n\r\n".encode()
        return asyncio.run(burst(access, [head] * count, concurrency=concurrency)).per_s

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
