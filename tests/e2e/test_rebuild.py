"""Drives that come back, empty or old: they are brought up to date, and that is proved.

The proof is always the same: afterwards another drive is taken away, so that every object has to
be read with the help of the one that was rebuilt.
"""

import shutil
import time
from collections.abc import Callable, Iterator

import pytest

from tests.e2e import faults
from tests.e2e.content import Content, fresh_name
from tests.e2e.faults import within
from tests.e2e.running import Cluster

pytestmark = pytest.mark.xdist_group("disks")

BUCKET = "rebuild"
STARTED_S = 10.0


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster.running(tmp_path_factory.mktemp("rebuild"), buckets=(BUCKET,)) as cluster:
        yield cluster


def fill(cluster: Cluster, stem: str, *, count: int = 60) -> dict[str, Content]:
    """Put objects of every kind: inline, files, multipart, empty."""
    client = cluster.client(0)
    sizes = (0, 10, 30_000, 200_000, 1_048_576, 4_000_000)
    contents = {
        f"{stem}/{number:03}": Content(1000 + number, sizes[number % len(sizes)])
        for number in range(count)
    }
    for key, content in contents.items():
        client.put_object(Bucket=BUCKET, Key=key, Body=content.bytes())
    key, content = f"{stem}/multipart", Content(5, 12_000_000)
    upload = client.create_multipart_upload(Bucket=BUCKET, Key=key)
    parts = []
    for number, start in enumerate((0, 6_000_000), 1):
        part = client.upload_part(
            Bucket=BUCKET,
            Key=key,
            UploadId=upload["UploadId"],
            PartNumber=number,
            Body=content.bytes(start, start + 6_000_000),
        )
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    client.complete_multipart_upload(
        Bucket=BUCKET, Key=key, UploadId=upload["UploadId"], MultipartUpload={"Parts": parts}
    )
    client.close()
    return contents | {key: content}


def check(cluster: Cluster, contents: dict[str, Content], absent: tuple[str, ...] = ()) -> None:
    """Read everything back through both servers."""
    for server in (0, 1):
        client = cluster.client(server)
        listed = {
            item["Key"]
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
            for item in page.get("Contents", [])
        }
        for key, content in contents.items():
            body = client.get_object(Bucket=BUCKET, Key=key)["Body"]
            assert body.read() == content.bytes(), key
        for key in absent:
            with pytest.raises(client.exceptions.NoSuchKey):
                client.get_object(Bucket=BUCKET, Key=key)
        assert set(contents) <= listed
        assert not listed & set(absent)
        client.close()


def prove(
    cluster: Cluster, rebuilt: int, contents: dict[str, Content], absent: tuple[str, ...] = ()
) -> None:
    """Take each other drive away in turn: the rebuilt one must carry its share."""
    for drive in range(4):
        if drive == rebuilt:
            continue
        faults.move_away(cluster.drives[drive])
        cluster.wait_missing(drive)
        check(cluster, contents, absent)
        faults.move_back(cluster.drives[drive])
        cluster.wait_healthy()


@pytest.mark.parametrize(
    "drive", [0, *(pytest.param(drive, marks=pytest.mark.long) for drive in (1, 2)), 3]
)
def test_an_empty_replacement_is_rebuilt(shared: Cluster, drive: int) -> None:
    contents = fill(shared, fresh_name("empty"))
    faults.move_away(shared.drives[drive])
    shared.wait_missing(drive)
    shared.drives[drive].mkdir()
    within(
        STARTED_S,
        lambda: shared.state(drive) == "rebuilding" or shared.is_healthy(),
        "the replacement is noticed",
    )
    check(shared, contents)
    shared.wait_healthy()
    assert (shared.drives[drive] / "drive.json").exists()
    shutil.rmtree(shared.drives[drive].with_name(f"{shared.drives[drive].name}.away"))
    prove(shared, drive, contents)


def test_writes_and_deletes_during_a_rebuild(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(buckets=(BUCKET,))
    contents = fill(cluster, "before", count=150)
    faults.replace_by_empty(cluster.drives[2])
    client = cluster.client(0)
    gone = [key for number, key in enumerate(contents) if number % 3 == 0]
    for key in gone:
        client.delete_object(Bucket=BUCKET, Key=key)
        del contents[key]
    for key in list(contents)[::2]:
        contents[key] = Content(len(key), 150_000)
        client.put_object(Bucket=BUCKET, Key=key, Body=contents[key].bytes())
    contents |= fill(cluster, "during", count=20)
    client.close()
    cluster.wait_healthy()
    prove(cluster, 2, contents, tuple(gone))


@pytest.mark.parametrize("drive", [0, 3])
def test_an_old_drive_that_returns_is_brought_up_to_date(shared: Cluster, drive: int) -> None:
    """Deletions included: nothing that was deleted meanwhile comes back."""
    stem = fresh_name("old")
    contents = fill(shared, stem)
    faults.move_away(shared.drives[drive])
    shared.wait_missing(drive)
    client = shared.client(1)
    gone = tuple(list(contents)[::3])
    for key in gone:
        client.delete_object(Bucket=BUCKET, Key=key)
        del contents[key]
    changed = list(contents)[::2]
    for key in changed:
        contents[key] = Content(len(key), 400_000)
        client.put_object(Bucket=BUCKET, Key=key, Body=contents[key].bytes())
    contents |= fill(shared, f"{stem}-new", count=12)
    client.close()
    faults.move_back(shared.drives[drive])
    shared.wait_healthy()
    prove(shared, drive, contents, gone)


def test_a_bucket_that_was_deleted_stays_deleted(shared: Cluster) -> None:
    names = [fresh_name("bucket") for _ in range(2)]
    client = shared.client(0)
    client.create_bucket(Bucket=names[0])
    faults.move_away(shared.drives[3])
    shared.wait_missing(3)
    client.delete_bucket(Bucket=names[0])
    client.create_bucket(Bucket=names[1])
    faults.move_back(shared.drives[3])
    shared.wait_healthy()
    faults.move_away(shared.drives[0])
    shared.wait_missing(0)
    for server in (0, 1):
        found = {item["Name"] for item in shared.client(server).list_buckets()["Buckets"]}
        assert names[1] in found
        assert names[0] not in found
    faults.move_back(shared.drives[0])
    shared.wait_healthy()
    client.close()


def test_progress_is_shown_while_a_drive_is_rebuilt(own_cluster: Callable[..., Cluster]) -> None:
    """Point 9: state, progress with rate and remaining time, for people and for programs."""
    cluster = own_cluster(buckets=(BUCKET,))
    objects = (
        150  # a rate is told once a second: the rebuild has to take some, on a fast machine too
    )
    client = cluster.client(0)
    for number in range(objects):
        client.put_object(Bucket=BUCKET, Key=str(number), Body=Content(number, 8_000_000).bytes())
    client.close()
    faults.replace_by_empty(cluster.drives[1])
    seen = []
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        drive = cluster.drive_info(1)
        if drive["state"] == "rebuilding" and drive["progress"]:
            seen.append(drive["progress"])
        elif seen and cluster.is_healthy():
            break
        time.sleep(0.1)
    assert seen, "no progress was shown"
    done = [progress["objects_done"] for progress in seen]
    assert done == sorted(done)
    assert max(progress["objects_total"] for progress in seen) >= objects
    assert any(progress["bytes_per_s"] > 0 for progress in seen)
    assert any(progress["remaining_s"] is not None for progress in seen)


def test_heal_repairs_what_was_lost_unnoticed(shared: Cluster) -> None:
    """Shard files that vanished from a healthy drive: `admin heal` finds and restores them."""
    contents = fill(shared, fresh_name("heal"))
    for file in (shared.drives[1] / "shards").rglob("*"):
        if file.is_file():
            file.unlink()
    shared.admin("heal", "--follow", "--json")
    shared.wait_healthy()
    prove(shared, 1, contents)
