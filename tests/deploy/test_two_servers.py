"""The scripts of deploy/, in the order in which an operator would run them, on two machines."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.cluster.hosts import Host
from tests.deploy.machines import Machines, missing_program
from tests.deploy.packages import as_version
from tests.deploy.proxies import HAPROXY_PORT, start_haproxy, wait_until

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.xdist_group("faults")]
SECRETS = ("root_user", "root_password", "cluster_secret")


def test_a_dry_run_changes_nothing(machines: Machines, wheel: Path) -> None:
    said = machines.script("deploy-2server.sh", "--dry-run", "--wheel", wheel)
    for part in ("useradd", "-m venv", "objstore.toml", "objstore-service start", "scp "):
        assert part in said
    for host in machines.network.hosts:
        assert host.run(["ls", "/opt"]) == ""
        assert "objstore" not in host.run(["cat", "/etc/passwd"])


def test_a_drive_that_is_not_mounted_is_refused(machines: Machines, wheel: Path) -> None:
    pattern = "/mnt/absent{1...2}"
    said = machines.script("deploy-2server.sh", "--drives", pattern, "--wheel", wheel, code=2)
    assert "found:      /mnt/absent1, on which nothing is mounted" in said
    assert "what to do: mkfs the disk" in said
    for host in machines.network.hosts:
        assert host.run(["ls", "/opt"]) == ""


def test_two_machines_become_one_cluster(machines: Machines, wheel: Path) -> None:
    said = machines.script("deploy-2server.sh", "--wheel", wheel)
    assert "Ready: " in said
    assert "One server lost: reading goes on, whichever it is; writing stops." in said
    for name in SECRETS[1:]:
        assert machines.secret(name) not in said
    one, two = (machines.client(machines.endpoint(host)) for host in machines.network.hosts)
    one.create_bucket(Bucket="bucket")
    one.put_object(Bucket="bucket", Key="key", Body=b"content")
    assert two.get_object(Bucket="bucket", Key="key")["Body"].read() == b"content"


def test_it_runs_as_a_user_of_its_own_who_alone_reads_the_secrets(machines: Machines) -> None:
    for host in machines.network.hosts:
        user = int(host.run(["id", "-u", "objstore"]))
        assert user != 0
        for pid in machines.objstore_pids(host):
            assert Path(f"/proc/{pid}").stat().st_uid == user
            # A secret on a command line is everybody's.
            words = Path(f"/proc/{pid}/cmdline").read_text()
            assert not any(machines.secret(name) in words for name in SECRETS)
        listed = host.run(["stat", "-c", "%a %U %G", "/etc/objstore/secrets/cluster_secret"])
        assert listed.split() == ["640", "root", "objstore"]
        assert host.run(["stat", "-c", "%a", "/etc/objstore/secrets"]).strip() == "750"


def test_to_run_it_again_changes_nothing(machines: Machines, wheel: Path) -> None:
    hosts = machines.network.hosts
    state = ["sha256sum", *(f"/etc/objstore/secrets/{name}" for name in SECRETS)]
    state += ["/etc/objstore/objstore.toml", "/etc/objstore/server.env", "/etc/passwd"]
    before = [(host.run(state), machines.objstore_pids(host)) for host in hosts]
    machines.script("deploy-2server.sh", "--wheel", wheel)
    assert [(host.run(state), machines.objstore_pids(host)) for host in hosts] == before


def test_another_layout_is_refused(machines: Machines, wheel: Path) -> None:
    said = machines.script("deploy-2server.sh", "--parity", "EC:1", "--wheel", wheel, code=2)
    assert 'parity = "EC:2"' in said
    assert "a layout cannot be changed under its data" in said


def test_what_is_well_is_not_reported_to_cron(machines: Machines) -> None:
    assert machines.script("check.sh", "--quiet") == ""
    assert "ok   settings: the same on both servers" in machines.script("check.sh")


def test_what_needs_a_person_is_found(machines: Machines) -> None:
    file = "/etc/objstore/objstore.toml"
    certificate = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 5"
    machines.two.run(
        ["sh", "-c", f"""
        cd /etc/objstore && cp -p {file} {file}.kept
        {certificate} -subj /CN=two -keyout key.pem -out certificate.pem 2>/dev/null
        echo 'internal_tls_certificate = "certificate.pem"' >>{file}"""]
    )  # fmt: skip
    said = machines.script("check.sh", "--quiet", code=2)
    machines.two.run(["mv", f"{file}.kept", file])
    settings, certificates = sorted(said.splitlines(), key=lambda line: "certificate " in line)
    assert re.fullmatch(r"fail settings: .* differs between the servers.*", settings)
    subject = f"fail {machines.two.address}, certificate /etc/objstore/certificate.pem: "
    assert certificates.startswith(f"{subject}4 days left")


def test_an_upgrade_under_load_fails_no_request(
    machines: Machines, wheel: Path, tmp_path: Path
) -> None:
    if absent := missing_program("haproxy"):
        pytest.skip(f"not installed: {absent} (tests/deploy/install.sh)")
    newer = as_version(wheel, "0.99.0", tmp_path)
    with writing(machines) as written:
        said = machines.script("rolling-upgrade.sh", "--wheel", newer)
    assert said.count("whole again after") == 2
    for host in machines.network.hosts:
        assert host.run(["readlink", "/opt/objstore/current"]).startswith("versions/0.99.0-")
        assert host.run(["readlink", "/opt/objstore/previous"]).startswith("versions/0.1.0-")
    assert not written.failed, written.failed[:3]
    assert len(written.keys) > 50
    client = machines.client(machines.endpoint(machines.two))
    for key in written.keys:
        assert client.get_object(Bucket="bucket", Key=key)["Body"].read() == key.encode()


def test_a_server_that_is_down_is_found_and_keeps_others_running(machines: Machines) -> None:
    machines.two.run(["/opt/objstore/bin/objstore-service", "stop"])
    said = machines.script("check.sh", "--quiet", code=2)
    assert f"fail {machines.two.address}, service: not running" in said
    assert f"server {machines.two.address}:9000: offline" in said
    # Nothing is taken away from a cluster that has lost something.
    refused = machines.script("rolling-upgrade.sh", "--restart", code=2)
    assert "a whole cluster before a server is taken away from it" in refused
    machines.two.run(["/opt/objstore/bin/objstore-service", "start"])


def test_uninstall_asks_first(machines: Machines) -> None:
    refused = machines.script("uninstall.sh", answers="no\n", code=2)
    assert "nothing was changed" in refused
    refused = machines.script("uninstall.sh", "--yes", "--delete-data", answers="yes\n", code=2)
    assert "EVERYTHING STORED" in refused
    assert all(machines.objstore_pids(host) for host in machines.network.hosts)


def test_uninstall_keeps_what_is_stored_unless_told_to(machines: Machines) -> None:
    machines.script("uninstall.sh", answers="yes\n")
    for host in machines.network.hosts:
        assert not machines.objstore_pids(host)
        assert host.run(["ls", "/opt"]) == ""
        assert "drive.json" in host.run(["ls", "/mnt/drive1"])
        assert "root_password" in host.run(["ls", "/etc/objstore/secrets"])
    machines.two.run(["touch", "/mnt/drive1/notes"])
    answer = f"{machines.one.address} {machines.two.address}\n"
    options = ("--yes", "--delete-data", "--delete-settings")
    machines.script("uninstall.sh", *options, answers=answer)
    assert machines.one.run(["ls", "-A", "/mnt/drive1", "/opt"]).split() == [
        "/mnt/drive1:",
        "/opt:",
    ]
    assert machines.two.run(["ls", "-A", "/mnt/drive1"]).split() == ["notes"]
    assert "objstore" not in machines.one.run(["cat", "/etc/passwd"])


class Written:
    """What clients wrote, and what failed although they repeated it."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.failed: list[str] = []


@contextmanager
def writing(machines: Machines) -> Iterator[Written]:
    """Write and read through the load balancer of each machine, with boto3's standard retries."""
    written, stopping = Written(), threading.Event()
    retries = Config(retries={"mode": "standard"})

    def work(host: Host) -> None:
        client = machines.client(f"http://{host.address}:{HAPROXY_PORT}", config=retries)
        count = 0
        while not stopping.is_set():
            count += 1
            key = f"{host.name}/{count}"
            try:
                client.put_object(Bucket="bucket", Key=key, Body=key.encode())
                client.get_object(Bucket="bucket", Key=key)["Body"].read()
                written.keys.append(key)
            except (ClientError, BotoCoreError) as error:
                written.failed.append(f"{key}: {error}")
            time.sleep(0.02)
        client.close()

    hosts = machines.network.hosts
    balancers = [start_haproxy(host) for host in hosts]
    threads = [threading.Thread(target=work, args=(host,)) for host in hosts]
    try:
        for host in hosts:
            wait_until(partial(_listens, host), 20)
        for thread in threads:
            thread.start()
        yield written
    finally:
        stopping.set()
        for thread in threads:
            if thread.is_alive():
                thread.join()
        for balancer in balancers:
            balancer.terminate()
            balancer.wait(20)


def _listens(host: Host) -> bool:
    try:
        with socket.create_connection((host.address, HAPROXY_PORT), timeout=2):
            return True
    except OSError:
        return False
