"""A witness and TLS, set up by the scripts of deploy/ on three machines, in an operator's order.

The cluster is made without both, as most are, and gets them later; from nothing it is the same
steps in one run.
"""

import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.cluster.failures import BUSY_S
from tests.cluster.hosts import Host
from tests.deploy.machines import PORT, SYSTEM_PATH, Machines
from tests.deploy.proxies import wait_until

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.xdist_group("faults")]
# The same certificate with ten days left, signed anew by the same CA.
NEAR_ITS_END = """
set -eu
openssl req -new -key server.key -subj /CN=two -out "$CA/csr"
openssl x509 -in server.crt -noout -ext subjectAltName |
    sed -n 's/IP Address/IP/; 2s/^ */subjectAltName=/p' >"$CA/ext"
echo extendedKeyUsage=serverAuth,clientAuth >>"$CA/ext"
openssl x509 -req -in "$CA/csr" -CA "$CA/ca.crt" -CAkey "$CA/ca.key" -set_serial 7 -days 10 \\
    -extfile "$CA/ext" -out "$CA/crt"
cat "$CA/crt" >server.crt
"""
SERVICE, MEMBER = "/opt/objstore/bin/objstore-service", "/opt/objstore/bin/objstore-etcd-service"
GOES_ON_S = 5.0  # from the loss of a server to the first write of the other
WHOLE_S = 60.0


def settings_with(machines: Machines, **more: str) -> Mapping[str, str]:
    """Return the settings for a witness, and what else is wanted."""
    assert machines.witness is not None
    return {"WITNESS": machines.witness.address, **more}


def files_of(machines: Machines) -> set[tuple[str, str]]:
    """Return name and digest of everything that the scripts wrote and that is to stay."""
    command = "cd /etc; find objstore* -type f -exec sha256sum {} + 2>/dev/null || true"
    return {
        (f"{host.name}/{name}", digest)
        for host in machines.network.hosts
        for digest, name in map(str.split, host.run(["sh", "-c", command]).splitlines())
    }


def certificate_of(host: Host) -> str:
    """Return what a server shows to its clients."""
    return ssl.get_server_certificate((host.address, PORT), timeout=10)


def processes(machines: Machines) -> list[object]:
    hosts = machines.network.hosts
    return [sorted((*machines.objstore_pids(one), *machines.etcd_pids(one))) for one in hosts]


def put(machines: Machines, host: Host, key: str) -> str:
    """Write; return "" or why not."""
    client = machines.client(machines.endpoint(host))
    try:
        client.put_object(Bucket="bucket", Key=key, Body=key.encode())
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    except BotoCoreError as error:
        return type(error).__name__
    finally:
        client.close()
    return ""


def get(machines: Machines, host: Host, key: str) -> bytes:
    client = machines.client(machines.endpoint(host))
    body: bytes = client.get_object(Bucket="bucket", Key=key)["Body"].read()
    return body


def wait_whole(machines: Machines) -> None:
    """Wait until nothing is found that needs a person."""
    wait_for_check(machines, code=0)


def wait_for_check(machines: Machines, *, code: int) -> str:
    """Wait until check.sh ends with `code`; return what it said then."""
    said = ""

    def is_so() -> bool:
        nonlocal said
        process = machines.start_script("check.sh", "--quiet")
        said, _ = process.communicate(timeout=60)
        return process.returncode == code

    try:
        wait_until(is_so, WHOLE_S)
    except AssertionError as error:
        raise AssertionError(said) from error
    return said


def test_both_are_turned_on_with_both_servers_stopped_and_never_while_one_runs(
    three: Machines, wheel: object
) -> None:
    three.script("deploy-2server.sh", "--wheel", str(wheel))
    three.client(three.endpoint(three.one)).create_bucket(Bucket="bucket")
    assert put(three, three.one, "before") == ""
    before = files_of(three)

    three.write_env(settings_with(three, TLS="yes"))
    three.one.run([SERVICE, "stop"])
    said = three.script("deploy-2server.sh", "--wheel", str(wheel), code=2)
    assert f"found:      {three.two.address} running without a witness and TLS" in said
    assert "both servers stopped: turning a witness and TLS on in an existing cluster" in said
    assert f"{SERVICE} stop on both servers, then run this again" in said
    assert files_of(three) == before
    assert three.witness is not None
    assert not three.etcd_pids(three.witness)

    three.two.run([SERVICE, "stop"])
    said = three.script("deploy-2server.sh", "--wheel", str(wheel))
    assert f"Ready: {three.endpoint(three.one)} and" in said
    assert "With the witness, either server may be lost and the other goes on" in said
    assert get(three, three.two, "before") == b"before"
    assert put(three, three.one, "after") == ""
    said = three.script("check.sh")
    assert said.count("etcd: 3 of 3 members answer") == 2
    assert all(line.startswith("ok") for line in said.splitlines()), said


def test_the_third_machine_gets_nothing_but_etcd_and_no_machine_the_key_of_the_ca(
    three: Machines,
) -> None:
    assert three.witness is not None
    assert three.witness.run(["ls", "/opt/objstore", "/opt/objstore/bin"]).split() == [
        "/opt/objstore:",
        "bin",
        "/opt/objstore/bin:",
        "objstore-etcd-service",
    ]
    assert "objstore:" not in three.witness.run(["cat", "/etc/passwd"])
    assert (three.ca.parent / "ca.key").stat().st_mode & 0o777 == 0o600
    key = (three.ca.parent / "ca.key").read_text().splitlines()[1]
    for host in three.network.hosts:
        assert not host.run(["sh", "-c", f"grep -rlF '{key}' /etc/objstore* || true"])
        listed = host.run(["stat", "-c", "%a %U %G", "/etc/objstore-etcd/tls/member.key"])
        assert listed.split() == ["640", "root", "objstore-etcd"]
        user = int(host.run(["id", "-u", "objstore-etcd"]))
        (pid,) = three.etcd_pids(host)
        assert f"Uid:\t{user}\t{user}" in host.run(["cat", f"/proc/{pid}/status"])


def test_members_speak_to_nobody_without_a_certificate_of_the_ca(three: Machines) -> None:
    trusting = ssl.create_default_context(cafile=three.ca)
    for host in three.network.hosts:
        with pytest.raises(OSError, match=r"(?i)certificate required|bad certificate|reset"):
            urllib.request.urlopen(
                f"https://{host.address}:2379/health", context=trusting, timeout=10
            )
        with pytest.raises((OSError, urllib.error.HTTPError)):
            urllib.request.urlopen(f"http://{host.address}:2379/health", timeout=10)


def test_to_run_it_again_changes_nothing_but_a_certificate_near_its_end(
    three: Machines, wheel: object
) -> None:
    directory = three.directory / "own" / three.two.name / "etc/objstore/tls"
    subprocess.run(
        ["sh", "-c", NEAR_ITS_END],
        cwd=directory,
        env={"PATH": SYSTEM_PATH, "CA": str(three.ca.parent)},
        check=True,
        capture_output=True,
    )
    before, running, ca = files_of(three), processes(three), three.ca.read_bytes()
    said = three.script("deploy-2server.sh", "--wheel", str(wheel))
    assert said.count("a new certificate") == 1
    changed = {name.split("/", 1)[1] for name, digest in files_of(three) - before}
    assert changed == {"objstore/tls/server.crt", "objstore/tls/server.key"}
    assert processes(three) == running
    assert three.ca.read_bytes() == ca
    # Without a restart: every process looks at its files once a second.
    new = (directory / "server.crt").read_text()
    wait_until(lambda: certificate_of(three.two) == new, 20)


@pytest.mark.parametrize("wanted", [{"TLS": "yes"}, {"WITNESS": "on"}])
def test_what_was_turned_on_is_not_turned_off_by_leaving_it_out(
    three: Machines, wheel: object, wanted: Mapping[str, str]
) -> None:
    on = settings_with(three, TLS="yes")
    three.write_env({name: on[name] for name in wanted})
    said = three.script("deploy-2server.sh", "--wheel", str(wheel), code=2)
    three.write_env(on)
    assert '"Changing what deploy-2server.sh set up"' in said


def test_a_server_dies_with_its_member_and_writes_go_on_at_the_other(three: Machines) -> None:
    three.kill([*three.objstore_pids(three.two), *three.etcd_pids(three.two)])
    died_s = time.monotonic()
    while why := put(three, three.one, "alone"):
        assert time.monotonic() < died_s + GOES_ON_S + BUSY_S, why
        time.sleep(0.05)
    print(f"the first write without server 2 after {time.monotonic() - died_s:.2f} s")
    said = three.script("check.sh", "--quiet", code=2)
    assert f"fail {three.two.address}, service: not running" in said
    assert f"warn {three.two.address}, etcd's member: not running" in said
    member = f"https://{three.two.address}:2379"
    assert f"warn {three.one.address}, etcd: 2 of 3 members answer; {member} does not" in said
    assert f"fail {three.one.address}, epoch: solo {three.one.address}:9000" in said

    three.two.run([MEMBER, "start"])
    three.two.run([SERVICE, "start"])
    wait_whole(three)
    assert get(three, three.two, "alone") == b"alone"


def test_a_member_less_is_a_warning(three: Machines) -> None:
    assert three.witness is not None
    three.kill(three.etcd_pids(three.witness))
    said = wait_for_check(three, code=1)  # the other two may have to choose a leader first
    assert said.count("warn") == 3
    assert f"warn {three.witness.address}, etcd's member: not running" in said


def test_a_member_that_lost_its_data_is_not_started_empty(three: Machines, wheel: object) -> None:
    assert three.witness is not None
    assert not three.etcd_pids(three.witness)
    three.witness.run(["mv", "/var/lib/objstore-etcd/data", "/var/lib/kept"])
    said = three.script("deploy-2server.sh", "--wheel", str(wheel), code=2)
    assert f"no data of etcd's member on witness ({three.witness.address})" in said
    assert '"A member that lost its data"' in said
    three.witness.run(["mv", "/var/lib/kept", "/var/lib/objstore-etcd/data"])


def test_uninstall_leaves_no_member_and_keeps_the_epoch_unless_told_to(three: Machines) -> None:
    three.script("uninstall.sh", "--yes")
    for host in three.network.hosts:
        assert not three.etcd_pids(host)
        assert host.run(["ls", "/var/lib/objstore-etcd"]).split() == ["data", "formed"]
    answer = f"{three.one.address} {three.two.address}\n"
    options = ("--yes", "--delete-data", "--delete-settings")
    three.script("uninstall.sh", *options, answers=answer)
    for host in three.network.hosts:
        assert host.run(["ls", "/var/lib", "/opt", "/var/log"]).split() == [
            "/opt:",
            "/var/lib:",
            "/var/log:",
        ]
        assert "objstore" not in host.run(["sh", "-c", "cat /etc/passwd; ls /etc"])
    assert three.ca.exists()
