"""restic: a repository that is backed up to, looked into, thinned out, checked and restored."""

import json
from pathlib import Path

import pytest

from tests.e2e.content import Content
from tests.e2e.running import Cluster
from tests.interop import clients
from tests.interop.clients import check_tree, write_file, write_tree

pytestmark = pytest.mark.interop

MIB = 1024 * 1024


def test_backups(cluster: Cluster, bucket: str, tmp_path: Path) -> None:
    """Backed up through one server, thinned out, checked and restored through the other."""
    one = clients.restic(cluster.url(0), tmp_path, bucket)
    two = clients.restic(cluster.url(1), tmp_path, bucket)
    home = tmp_path / "home"
    tree = write_tree(home)
    tree["large"] = Content(11, 20 * MIB)  # more than one pack
    write_file(home / "large", tree["large"])
    one("init")
    one("backup", home)
    tree["new"], tree["b.bin"] = Content(12, 3 * MIB), Content(13, 200)
    for name in ("new", "b.bin"):
        write_file(home / name, tree[name])
    one("backup", "--tag", "second", home)
    first, second = json.loads(two("snapshots", "--json"))
    changes = two("diff", first["id"], second["id"])
    assert "home/new" in changes
    assert "home/large" not in changes
    two("forget", "--keep-last", "1", "--prune")
    two("check", "--read-data")
    two("restore", "latest", "--target", tmp_path / "restored")
    (found,) = (tmp_path / "restored").rglob("home")
    check_tree(found, tree)
    remaining = json.loads(one("snapshots", "--json"))
    assert [item["tags"] for item in remaining] == [["second"]]
    one("check")
