"""Threads for work that is heavy on the CPU: hashing, encoding, decoding.

hashlib, numpy, xxhash and ISA-L release the GIL on large inputs, so threads run beside the event
loop. Small inputs are done at once: a thread's round trip costs more than hashing 16 KiB.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

T = TypeVar("T")

_INLINE_BYTES_MAX: Final = 32 * 1024


class Cpu:
    """A bounded pool of threads."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="cpu")

    def start(self, size: int, work: Callable[[], T]) -> Awaitable[T]:
        """Begin `work` on `size` bytes and return its future; small work is done already."""
        loop = asyncio.get_running_loop()
        if size > _INLINE_BYTES_MAX:
            return loop.run_in_executor(self._pool, work)
        done: asyncio.Future[T] = loop.create_future()
        done.set_result(work())
        return done

    async def run(self, size: int, work: Callable[[], T]) -> T:
        """Run `work` on `size` bytes and return what it returns."""
        if size > _INLINE_BYTES_MAX:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        return work()

    def close(self) -> None:
        """Stop the threads once they are idle."""
        self._pool.shutdown(wait=False, cancel_futures=True)
