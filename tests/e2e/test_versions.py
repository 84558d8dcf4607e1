"""Versions, conditions and settings on real processes: two servers, lost drives, restarts."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.running import Cluster, S3Client

CONFLICTS = {"PreconditionFailed", "ConditionalRequestConflict"}


@pytest.fixture
def other(cluster: Cluster) -> Iterator[S3Client]:
    client = cluster.client(1)
    yield client
    client.close()


def enable(s3: S3Client, bucket: str, status: str = "Enabled") -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})


def versions(s3: S3Client, bucket: str) -> list[tuple[str, str, bool]]:
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, MaxKeys=7)
    return [
        (one["Key"], one["VersionId"], one["IsLatest"])
        for page in pages
        for one in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
    ]


def empty(s3: S3Client, bucket: str) -> None:
    for key, version, _ in versions(s3, bucket):
        s3.delete_object(Bucket=bucket, Key=key, VersionId=version)


def test_a_setting_holds_at_once_through_every_server(
    s3: S3Client, other: S3Client, bucket: str
) -> None:
    """No write after PutBucketVersioning was answered may overwrite, whichever process takes it."""
    for number in range(20):
        key = f"k{number}"
        s3.put_object(Bucket=bucket, Key=key, Body=b"before")
        enable(s3, bucket, "Suspended" if number % 2 else "Enabled")
        answer = other.put_object(Bucket=bucket, Key=key, Body=b"after")
        assert (answer["VersionId"] == "null") == bool(number % 2)
    empty(s3, bucket)


def test_versions_through_both_servers(s3: S3Client, other: S3Client, bucket: str) -> None:
    enable(s3, bucket)
    made = []
    for number in range(12):
        body = bytes([number]) * (200_000 * (number % 3))
        client = (s3, other)[number % 2]
        made.append((client.put_object(Bucket=bucket, Key="k", Body=body)["VersionId"], body))
    marker = other.delete_object(Bucket=bucket, Key="k")
    assert marker["DeleteMarker"] is True
    for version, body in made:
        got = s3.get_object(Bucket=bucket, Key="k", VersionId=version)["Body"].read()
        assert got == body
    assert sorted(versions(other, bucket)) == sorted(
        [*(("k", version, False) for version, _ in made), ("k", marker["VersionId"], True)]
    )
    with pytest.raises(ClientError) as gone:
        s3.head_object(Bucket=bucket, Key="k")
    assert gone.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    empty(s3, bucket)
    assert versions(other, bucket) == []
    s3.delete_bucket(Bucket=bucket)
    s3.create_bucket(Bucket=bucket)


@pytest.mark.parametrize(("rounds", "racers"), [(10, 16), (3, 100)])
def test_of_conditional_puts_that_race_exactly_one_wins(
    s3: S3Client, other: S3Client, bucket: str, rounds: int, racers: int
) -> None:
    """AWS: "If multiple conditional writes occur for the same object name, the first write
    operation to finish succeeds. Amazon S3 then fails subsequent writes with a 412"."""
    for number in range(rounds):
        race = Race(bucket, f"race{number}", (s3, other), racers)
        race.finish()
        assert len(race.winners) == 1, race.refusals
        assert set(race.refusals) <= CONFLICTS
        body = s3.get_object(Bucket=bucket, Key=race.key)["Body"].read()
        assert body == b"%d" % race.winners[0]
        s3.delete_object(Bucket=bucket, Key=race.key)


@pytest.mark.slow
@pytest.mark.xdist_group("disks")
@pytest.mark.parametrize("pause_s", [0.5, 4.0])
def test_a_server_that_pauses_in_a_race_makes_no_second_winner(
    own_cluster: Callable[..., Cluster], pause_s: float
) -> None:
    """What it had begun before the pause is judged by the drives as they are after it."""
    cluster = own_cluster(buckets=("races",))
    clients = (cluster.client(0), cluster.client(1))
    won = 0
    for number in range(4):
        race = Race("races", f"race{number}", clients, 16)
        time.sleep(0.02 * number)
        cluster.pause(1)
        time.sleep(pause_s)
        cluster.resume(1)
        race.finish()
        assert len(race.winners) <= 1, race.refusals
        assert set(race.refusals) <= CONFLICTS | {"SlowDownRead", "SlowDownWrite"}
        cluster.wait_ready()
        for client in clients:
            listed = client.list_objects_v2(Bucket="races", Prefix=race.key).get("Contents", [])
            bodies = [
                client.get_object(Bucket="races", Key=race.key)["Body"].read() for _ in listed
            ]
            if race.winners:
                assert bodies == [b"%d" % race.winners[0]]
        won += len(race.winners)
    assert won


class Race:
    """Clients that put one key at once, if it is not there, through two servers."""

    def __init__(
        self, bucket: str, key: str, clients: tuple[S3Client, S3Client], racers: int
    ) -> None:
        self.key = key
        self.winners: list[int] = []
        self.refusals: list[str] = []
        self._bucket = bucket
        self._clients = clients
        self._barrier = threading.Barrier(racers)
        self._threads = [
            threading.Thread(target=self._run, args=(number,)) for number in range(racers)
        ]
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        """Wait until every client has its answer."""
        for thread in self._threads:
            thread.join(90)
            assert not thread.is_alive(), "a client hangs"

    def _run(self, number: int) -> None:
        self._barrier.wait()
        try:
            self._clients[number % 2].put_object(
                Bucket=self._bucket, Key=self.key, Body=b"%d" % number, IfNoneMatch="*"
            )
        except ClientError as error:
            self.refusals.append(error.response["Error"]["Code"])
        else:
            self.winners.append(number)


def test_a_counter_raised_by_compare_and_set_counts_every_raise(
    s3: S3Client, other: S3Client, bucket: str
) -> None:
    s3.put_object(Bucket=bucket, Key="counter", Body=b"0")
    raised = [0, 0, 0, 0]
    refusals: set[str] = set()

    def run(number: int) -> None:
        client = (s3, other)[number % 2]
        until = time.monotonic() + 4
        while time.monotonic() < until:
            got = client.get_object(Bucket=bucket, Key="counter")
            value = int(got["Body"].read())
            try:
                client.put_object(
                    Bucket=bucket, Key="counter", Body=b"%d" % (value + 1), IfMatch=got["ETag"]
                )
            except ClientError as error:
                refusals.add(error.response["Error"]["Code"])
            else:
                raised[number] += 1

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(raised))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(raised)
    assert refusals <= CONFLICTS
    assert int(s3.get_object(Bucket=bucket, Key="counter")["Body"].read()) == sum(raised)
    s3.delete_object(Bucket=bucket, Key="counter")


@pytest.mark.timeout(180)
def test_versions_survive_a_lost_drive_and_a_restart(tmp_path: Path) -> None:
    with Cluster.running(tmp_path, servers=1, buckets=("b-versions",)) as cluster:
        s3 = cluster.client(0)
        enable(s3, "b-versions")
        made: dict[str, bytes] = {}
        for number in range(6):
            body = bytes([number]) * 150_000
            put = s3.put_object(Bucket="b-versions", Key="k", Body=body, Tagging=f"number={number}")
            made[put["VersionId"]] = body
        away = cluster.drives[1].with_name("away")
        cluster.drives[1].rename(away)
        cluster.wait_missing(1)
        for number in range(6, 9):
            body = bytes([number]) * 150_000
            put = s3.put_object(Bucket="b-versions", Key="k", Body=body)
            made[put["VersionId"]] = body
        first = next(iter(made))
        del made[first]
        s3.delete_object(Bucket="b-versions", Key="k", VersionId=first)
        _check(s3, made)
        away.rename(cluster.drives[1])
        cluster.kill(0)
        cluster.start_server(0)
        cluster.wait_ready()
        _check(s3, made)
        # Another drive goes for good: what the first one missed has to have come back.
        cluster.wait_healthy()
        cluster.drives[2].rename(cluster.drives[2].with_name("gone"))
        cluster.wait_missing(2)
        _check(s3, made)
        s3.close()


def _check(s3: S3Client, made: dict[str, bytes]) -> None:
    assert {version for _, version, _ in versions(s3, "b-versions")} == set(made)
    for version, body in made.items():
        got: Any = s3.get_object(Bucket="b-versions", Key="k", VersionId=version)
        assert got["Body"].read() == body
