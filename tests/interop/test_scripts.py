"""Libraries: each script runs what its users do, in the interop clients' own interpreter.

What a script checks is in the script; one fails here when any of its scenarios does, and shows
what it printed about each of them.
"""

from pathlib import Path

import pytest

from tests.e2e.running import Cluster
from tests.interop import clients

pytestmark = pytest.mark.interop

PYTHON = (
    "boto3_crt",
    "boto3_sdk",
    "delta_table",
    "django_storage",
    "duckdb_httpfs",
    "iceberg_table",
    "minio_py",
    "object_store",
    "pyarrow_dataset",
    "s3fs_files",
)
NODE = ("aws_sdk", "minio_js")
HERE = Path(__file__).parent


@pytest.mark.parametrize("name", PYTHON)
def test_python(cluster: Cluster, bucket: str, tmp_path: Path, name: str) -> None:
    server = PYTHON.index(name) % 2
    script = clients.python_script(cluster.url(server), cluster.url(1 - server), tmp_path, name)
    assert "passed" in script(bucket)


@pytest.mark.parametrize("name", NODE)
def test_node(cluster: Cluster, bucket: str, tmp_path: Path, name: str) -> None:
    script = clients.node_script(cluster.url(NODE.index(name) % 2), tmp_path, name)
    assert "passed" in script(bucket)


def test_every_script_is_run() -> None:
    assert {path.stem for path in (HERE / "scripts").glob("*.py")} == {*PYTHON, "scenario"}
    assert {path.stem for path in (HERE / "node").glob("*.mjs")} == {*NODE, "scenario"}
