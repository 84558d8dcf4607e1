"""pyiceberg with a catalog in SQLite: append, scan, schema changes, overwrite, snapshots."""

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.expressions import EqualTo, GreaterThanOrEqual
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import StringType

from tests.interop.scripts.scenario import Target, run

FILE_IO = ("pyiceberg.io.pyarrow.PyArrowFileIO", "pyiceberg.io.fsspec.FsspecFileIO")


def _catalog(target: Target, file_io: str) -> SqlCatalog:
    name = file_io.rpartition(".")[2]
    catalog = SqlCatalog(
        name,
        **{
            "uri": f"sqlite:///{target.directory}/{name}.db",
            "warehouse": f"s3://{target.bucket}/{name}",
            "py-io-impl": file_io,
            "s3.endpoint": target.endpoint,
            "s3.access-key-id": target.access_key,
            "s3.secret-access-key": target.secret_key,
            "s3.region": target.region,
        },
    )
    catalog.create_namespace("shop")
    return catalog


def _rows(first: int, count: int, kind: str) -> pa.Table:
    return pa.table(
        {
            "id": pa.array(range(first, first + count), pa.int64()),
            "kind": pa.array([kind] * count, pa.string()),
        }
    )


def _works(target: Target, file_io: str) -> None:
    catalog = _catalog(target, file_io)
    table = catalog.create_table("shop.orders", schema=_rows(0, 1, "").schema)
    with table.update_spec() as spec:
        spec.add_field("kind", IdentityTransform(), "kind")
    table.append(pa.concat_tables([_rows(0, 1000, "paper"), _rows(1000, 1000, "ink")]))
    table.append(_rows(2000, 500, "ink"))
    ink = table.scan(row_filter=EqualTo("kind", "ink"), selected_fields=("id",)).to_arrow()
    assert sorted(ink["id"].to_pylist()) == list(range(1000, 2500))
    before = table.current_snapshot()
    assert before is not None
    table.delete(GreaterThanOrEqual("id", 2000))
    with table.update_schema() as update:
        update.add_column("note", StringType())
    table.overwrite(_rows(0, 1, "paper"), overwrite_filter=EqualTo("kind", "paper"))
    again = catalog.load_table("shop.orders")
    assert again.scan().to_arrow().num_rows == 1001
    assert again.scan(snapshot_id=before.snapshot_id).to_arrow().num_rows == 2500
    assert again.scan(limit=1).to_arrow().column_names == ["id", "kind", "note"]
    again.append(_rows(9000, 1, "late"))
    table.append(_rows(9001, 1, "later"))  # `table` is stale: the commit is repeated on the newer
    rows = (
        catalog.load_table("shop.orders").scan(row_filter=GreaterThanOrEqual("id", 9000)).to_arrow()
    )
    assert sorted(rows["kind"].to_pylist()) == ["late", "later"]
    catalog.purge_table("shop.orders")


def works_with_arrow_files(target: Target) -> None:
    _works(target, FILE_IO[0])


def works_with_fsspec_files(target: Target) -> None:
    _works(target, FILE_IO[1])


run(works_with_arrow_files, works_with_fsspec_files)
