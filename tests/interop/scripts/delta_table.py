"""deltalake (delta-rs): commits of several writers at once, time travel, merge, compaction, vacuum.

A commit is the creation of `_delta_log/N.json` if it is not there yet: a PUT with If-None-Match.
Without it two writers at once would overwrite each other's commit.
"""

from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from tests.interop.scripts.scenario import Target, run

WRITERS, COMMITS = 4, 4


def _options(target: Target, endpoint: str = "") -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": endpoint or target.endpoint,
        "AWS_REGION": target.region,
        "AWS_ACCESS_KEY_ID": target.access_key,
        "AWS_SECRET_ACCESS_KEY": target.secret_key,
        "AWS_ALLOW_HTTP": "true",
    }


def _rows(first: int, count: int) -> pa.Table:
    ids = pa.array(range(first, first + count), pa.int64())
    return pa.table({"id": ids, "half": pa.array([n % 2 for n in range(count)], pa.int64())})


def _ids(table: DeltaTable) -> list[int]:
    return sorted(table.to_pyarrow_table(columns=["id"])["id"].to_pylist())


def keeps_the_commits_of_writers_at_once(target: Target) -> None:
    """Every other writer works through the other server."""
    uri, options = f"s3://{target.bucket}/events", _options(target)
    write_deltalake(uri, _rows(0, 10), storage_options=options, partition_by=["half"])

    def appends(writer: int) -> None:
        options = _options(target, (target.endpoint, target.other_endpoint)[writer % 2])
        for commit in range(COMMITS):
            first = 1000 * (writer + 1) + 10 * commit
            write_deltalake(uri, _rows(first, 10), mode="append", storage_options=options)

    with ThreadPoolExecutor(WRITERS) as threads:
        list(threads.map(appends, range(WRITERS)))
    table = DeltaTable(uri, storage_options=options)
    assert table.version() == WRITERS * COMMITS
    assert _ids(table) == list(range(10)) + [
        1000 * (writer + 1) + n for writer in range(WRITERS) for n in range(10 * COMMITS)
    ]
    assert _ids(DeltaTable(uri, version=0, storage_options=options)) == list(range(10))


def merges_compacts_and_vacuums(target: Target) -> None:
    uri, options = f"s3://{target.bucket}/merged", _options(target)
    for part in range(4):
        write_deltalake(uri, _rows(10 * part, 10), mode="append", storage_options=options)
    table = DeltaTable(uri, storage_options=options)
    table.merge(
        _rows(35, 10), predicate="t.id = s.id", source_alias="s", target_alias="t"
    ).when_matched_update_all().when_not_matched_insert_all().execute()
    assert _ids(table) == list(range(45))
    table.delete("id < 5")
    assert table.optimize.compact()["numFilesRemoved"] > 1
    table.create_checkpoint()
    removed = table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    assert removed
    again = DeltaTable(uri, storage_options=options)
    assert _ids(again) == list(range(5, 45))
    assert len(again.history()) >= 6


run(keeps_the_commits_of_writers_at_once, merges_compacts_and_vacuums)
