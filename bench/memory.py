"""The most memory each process of a cluster holds while eight 1 GiB uploads run at once."""

import asyncio
import contextlib
import re
from collections.abc import Mapping
from pathlib import Path

from bench.traffic import Access, burst
from tests.e2e.running import Cluster

GIB = 1024**3
UPLOADS = 8
PROMISED_MIB = 200.0


def measure(
    cluster: Cluster, access: Access, bucket: str, *, object_bytes: int = GIB
) -> dict[str, float]:
    """Run the uploads and return, for each process, the highest resident set in MiB.

    The figure is the kernel's VmHWM: nothing is missed between samples. Files that processes
    share, such as libraries, are counted for each of them.
    """
    chunk = memoryview(bytearray(b"objstore" * (object_bytes // 8)))
    paths = [f"/{bucket}/memory/{number}" for number in range(UPLOADS)]
    heads = access.requests("PUT", paths, object_bytes)
    asyncio.run(burst(access, heads, concurrency=UPLOADS, body=chunk))
    found: dict[str, float] = {}
    for server in cluster.servers:
        for pid in cluster.pids(server):
            with contextlib.suppress(OSError):
                found[f"server {server + 1}, process {len(found) + 1}"] = _peak_mib(pid)
    return found


def _peak_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text("utf-8")
    match = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(match[1]) / 1024 if match else 0.0


def describe(memory_mib: Mapping[str, float]) -> str:
    """Return the result as one sentence."""
    if not memory_mib:
        return ""
    most = max(memory_mib.values())
    kept = "kept" if most < PROMISED_MIB else "missed"
    return (
        f"\nMemory while {UPLOADS} uploads of 1 GiB run: at most {most:,.0f} MiB in one process "
        f"(promised: under {PROMISED_MIB:,.0f} MiB; {kept}). "
        + ", ".join(f"{name}: {value:,.0f}" for name, value in memory_mib.items())
    )
