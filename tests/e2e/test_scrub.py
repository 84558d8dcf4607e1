"""`objstore admin scrub` over real processes: rot is found and repaired while clients read."""

import json
import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from objstore.testing.rot import SHARD_ROT, damage_page, root_pages, shard_files
from tests.e2e import faults
from tests.e2e.content import Content
from tests.e2e.running import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("disks")]

BUCKET = "scrub"
OBJECTS = {f"{n:02}": Content(n, (200_000, 9_000, 1_500_000)[n % 3]) for n in range(30)}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster.running(tmp_path_factory.mktemp("scrub"), buckets=(BUCKET,)) as cluster:
        client = cluster.client(0)
        for key, content in OBJECTS.items():
            client.put_object(Bucket=BUCKET, Key=key, Body=content.bytes())
        client.close()
        yield cluster


def read_all(cluster: Cluster) -> None:
    client = cluster.client(1)
    for key, content in OBJECTS.items():
        assert client.get_object(Bucket=BUCKET, Key=key)["Body"].read() == content.bytes(), key
    client.close()


def read_without_each_other_drive(cluster: Cluster, drive: int) -> None:
    """The drive that was repaired carries its share."""
    other = (drive + 1) % 4
    faults.move_away(cluster.drives[other])
    cluster.wait_missing(other)
    read_all(cluster)
    faults.move_back(cluster.drives[other])
    cluster.wait_healthy()


def scrubbed(cluster: Cluster) -> dict[str, Any]:
    """Do one pass to its end; return what each drive says, by its path."""
    text = cluster.admin("scrub", "--full-speed", "--follow", "--json", server=1)
    drives = json.loads(text)["drives"]
    return {drive["path"]: drive["scrub"] for drive in drives}


def test_damaged_shards_are_found_and_repaired(shared: Cluster) -> None:
    drive = shared.drives[1]
    files = list(shard_files(drive).values())
    kinds = list(SHARD_ROT)
    for number, kind in enumerate(kinds):
        SHARD_ROT[kind](files[number], files[len(kinds)])
    told = scrubbed(shared)[str(drive)]
    assert sum(told["found"].values()) == len(kinds)
    assert told["repaired"] == len(kinds)
    assert (told["found"]["shard missing"], told["found"]["shard misplaced"]) == (1, 1)
    again = scrubbed(shared)
    assert all(one["found"] == {} for one in again.values())
    size = sum(path.stat().st_size for path in shard_files(drive).values())
    assert again[str(drive)]["bytes_done"] > size
    read_without_each_other_drive(shared, 1)
    assert re.search(rf"{len(kinds)} found, {len(kinds)} repaired", shared.admin("info"))


def test_a_journal_damaged_under_running_processes_is_rebuilt(shared: Cluster) -> None:
    for server in (0, 1):
        shared.stop_server(server)  # which brings all of the journals into their main files
        shared.start_server(server)
        shared.wait_ready()
    shared.wait_healthy()
    read_all(shared)
    drive = shared.drives[2]
    for page in root_pages(drive, "rows", "records"):
        damage_page(drive, page, at=1)
        damage_page(drive, page, at=3)
    shared.admin("scrub", "--full-speed")
    shared.wait_until(lambda: bool(list(drive.glob("journal.broken-*"))), timeout_s=60)
    read_all(shared)
    shared.wait_healthy()
    read_all(shared)
    read_without_each_other_drive(shared, 2)
    (kept,) = drive.glob("journal.broken-*")
    assert (kept / "journal.damaged").read_text()
    shutil.rmtree(kept)
