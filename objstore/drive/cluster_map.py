"""cluster.json: what this server remembers of its drives when one of them is not there.

A copy lies on every drive of the server. Its use: a directory that was a mount point and is now
an ordinary empty directory is a disk that is not mounted, and no new drive to be formatted.
Copies that are damaged, of another deployment, or older than another are passed over. Blocks.
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from objstore.drive.posix import write_durably
from objstore.errors import ConfigError
from objstore.ondisk.drive_identity import ClusterDrive, ClusterMap, decode_cluster, encode_cluster
from objstore.ondisk.paths import CLUSTER_JSON, CLUSTER_JSON_NEW


def read_map(paths: Sequence[Path], deployment: str) -> ClusterMap | None:
    """Return the newest map of `deployment` among the drives at `paths`."""
    newest: ClusterMap | None = None
    for path in paths:
        with contextlib.suppress(OSError, ConfigError):
            file = path / CLUSTER_JSON
            found = decode_cluster(file.read_bytes(), where=str(file))
            older = newest is not None and found.generation <= newest.generation
            if found.deployment == deployment and not older:
                newest = found
    return newest


def next_map(
    held: ClusterMap | None, drives: Sequence[ClusterDrive], *, deployment: str, layout: str
) -> ClusterMap:
    """Return the map after `drives` were seen: they replace what was held of their places."""
    seen = {(drive.pool, drive.set, drive.slots) for drive in drives}
    kept = [
        drive
        for drive in (held.drives if held is not None else ())
        if (drive.pool, drive.set, drive.slots) not in seen
    ]
    ordered = tuple(sorted((*kept, *drives), key=lambda one: (one.pool, one.set, one.slots)))
    if held is not None and held.drives == ordered:
        return held
    generation = held.generation + 1 if held is not None else 1
    return ClusterMap(deployment=deployment, layout=layout, generation=generation, drives=ordered)


def write_map(paths: Sequence[Path], cluster: ClusterMap) -> None:
    """Put the map on every drive at `paths` that does not have it; one that fails goes without."""
    content = encode_cluster(cluster)
    for path in paths:
        with contextlib.suppress(OSError):
            file = path / CLUSTER_JSON
            if not file.exists() or file.read_bytes() != content:
                write_durably(file, content, by_way_of=path / CLUSTER_JSON_NEW)
