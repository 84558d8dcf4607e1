"""The configurations of deploy/proxy on hosts: as they are, but for addresses and paths."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.cluster.hosts import Host
from tests.deploy.machines import DEPLOY, SYSTEM_PATH

PROXIES = DEPLOY / "proxy"
HAPROXY_PORT = 80
NGINX_PORT = 8080  # as in the file it is 80, which HAProxy has on the same host


def start_haproxy(host: Host) -> "subprocess.Popen[bytes]":
    """Start HAProxy with its file untouched: it finds server1 and server2 by name."""
    return _start(
        host, ["haproxy", "-db", "-f", PROXIES / "haproxy.cfg"], host.directory / "haproxy"
    )


def start_nginx(host: Host, directory: Path) -> "subprocess.Popen[bytes]":
    """Start nginx; only where it writes and listens is another place."""
    text = (PROXIES / "nginx.conf").read_text()
    for old, new in (
        ("/run/nginx.pid", f"{directory}/nginx.pid"),
        ("/var/log/nginx", str(directory)),
        ("listen 80 ", f"listen {NGINX_PORT} "),
    ):
        assert old in text
        text = text.replace(old, new)
    file = directory / "nginx.conf"
    file.write_text(text)
    return _start(host, ["nginx", "-g", "daemon off;", "-c", file], directory / "nginx")


def start_keepalived(
    host: Host, number: int, addresses: tuple[str, str], shared: str, directory: Path
) -> "subprocess.Popen[bytes]":
    """Start keepalived with the addresses of this network."""
    text = (PROXIES / f"keepalived-server{number}.conf").read_text()
    text = text.replace("198.51.100.1\n", f"{addresses[0]}\n")
    text = text.replace("198.51.100.2\n", f"{addresses[1]}\n").replace(
        "203.0.113.10/", f"{shared}/"
    )
    assert "198.51.100" not in text
    file = directory / f"keepalived{number}.conf"
    file.write_text(text)
    pids = [f"--{kind}={directory}/{kind}{number}" for kind in ("pid", "vrrp_pid", "checkers_pid")]
    check: list[str | Path] = ["keepalived", "--config-test", "-f", file, *pids]
    subprocess.run(host.command(check), check=True, timeout=30, env={"PATH": SYSTEM_PATH})
    command: list[str | Path] = ["keepalived", "--dont-fork", "--log-console", "-f", file, *pids]
    return _start(host, command, directory / f"keepalived{number}")


def wait_until(condition: Callable[[], bool], timeout_s: float) -> float:
    """Return how many seconds it took until a condition held."""
    started = time.monotonic()
    while not condition():
        waited = time.monotonic() - started
        assert waited < timeout_s, f"waited {waited:.1f} s in vain"
        time.sleep(0.05)
    return time.monotonic() - started


def _start(host: Host, command: list[str | Path], log: Path) -> "subprocess.Popen[bytes]":
    with log.with_suffix(".log").open("ab") as output:
        return host.start(
            command,
            env={"PATH": SYSTEM_PATH},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
