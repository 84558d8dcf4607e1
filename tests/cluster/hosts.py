"""Hosts as network namespaces: machines with an address each, real TCP, and real faults.

    with Network.running(directory, servers=2) as network:
        one, two = network.hosts
        one.start(["sshd", "-D"])          # in its namespace, with its own /mnt
        network.half_cut(one, two)         # what one sends to two is lost

A host is a network namespace on a bridge that this process reaches as well. All hosts share the
file system, except for what `mounts` puts over it: /mnt is the host's directory, and /etc/hosts
knows every host by its name. A host's processes are those in its namespace, whoever started them.

Packets are lost by giving the sender a wrong hardware address for the receiver: that needs no
packet filter of the kernel, takes effect on open connections at once, and has a direction.
"""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

_NETWORKS_MAX: Final = 250
_NOBODY: Final = "02:00:00:00:00:00"  # a hardware address that no host has
_SETTLE_S: Final = 10.0
# Mounts are the command's own: `ip netns exec` gives it a mount namespace. That has a copy of every
# mount there is; disks of other tests would stay mounted by it after those have unmounted them.
_WITH_MOUNTS: Final = (
    "grep '^/dev/loop' /proc/mounts | while read -r _ place _; do umount -l \"$place\"; done; "
    'while [ "$1" != -- ]; do mount --bind "$1" "$2" || exit 1; shift 2; done; shift; exec "$@"'
)


@dataclass(eq=False)
class Host:
    """One machine. Its directory is its /mnt."""

    name: str
    address: str
    namespace: str
    link: str  # this side of its cable
    directory: Path
    mounts: dict[Path, Path] = field(default_factory=dict)  # what -> where, for its commands
    _throttle: "_Throttle | None" = None
    _started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def command(self, command: Sequence[str | Path]) -> list[str]:
        """Return the command that runs `command` on this host."""
        pairs = [str(path) for pair in self.mounts.items() for path in pair]
        inside = ["sh", "-c", _WITH_MOUNTS, "sh", *pairs, "--", *map(str, command)]
        return ["ip", "netns", "exec", self.namespace, *inside]

    def start(self, command: Sequence[str | Path], **options: Any) -> subprocess.Popen[bytes]:
        """Start a program on this host; it ends with the network at the latest."""
        self._started.append(subprocess.Popen(self.command(command), **options))
        return self._started[-1]

    def run(self, command: Sequence[str | Path], *, timeout_s: float = 60) -> str:
        """Run a program that must succeed on this host; return what it printed."""
        return _run(*self.command(command), timeout_s=timeout_s)

    # --- faults of the whole machine -------------------------------------------------------

    def pids(self) -> list[int]:
        """Return every process on this host."""
        return [int(pid) for pid in _run("ip", "netns", "pids", self.namespace).split()]

    def kill(self) -> None:
        """SIGKILL every process, and wait until none is left."""
        self.unthrottle()
        deadline = time.monotonic() + _SETTLE_S
        while pids := self.pids():
            assert time.monotonic() < deadline, f"{self.name}: {pids} can not be killed"
            self._signal(pids, signal.SIGKILL)
            time.sleep(0.02)
        while self._started:
            self._started.pop().wait(_SETTLE_S)

    def freeze(self) -> None:
        """SIGSTOP every process: connections stay, the kernel acknowledges, nothing answers."""
        self._signal(self.pids(), signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen host go on."""
        self._signal(self.pids(), signal.SIGCONT)

    def throttle(self, share: float, *, period_s: float = 0.2) -> None:
        """Let every process run for only this share of the time, until `unthrottle`."""
        assert self._throttle is None, f"{self.name} is throttled"
        self._throttle = _Throttle(self, share, period_s)

    def unthrottle(self) -> None:
        """Let a throttled host run at full speed again."""
        if self._throttle is not None:
            self._throttle.stop()
            self._throttle = None

    def unplug(self) -> None:
        """Pull the cable: nothing comes in or goes out, and nobody is told."""
        _run("ip", "link", "set", self.link, "down")

    def plug(self) -> None:
        """Put the cable back."""
        _run("ip", "link", "set", self.link, "up")

    def slow_link(self, bytes_per_s: int) -> None:
        """Let no more than this through its cable, each way; what is too much waits or is lost."""
        rate = f"{8 * bytes_per_s}bit"
        shaped = ("root", "tbf", "rate", rate, "burst", "16kb", "latency", "400ms")
        _run("tc", "qdisc", "replace", "dev", self.link, *shaped)
        _run("tc", "-n", self.namespace, "qdisc", "replace", "dev", "eth0", *shaped)

    def restore_link(self) -> None:
        """Take `slow_link` back."""
        for where in ((), ("-n", self.namespace)):
            device = "eth0" if where else self.link
            if "tbf" in _run("tc", *where, "qdisc", "show", "dev", device):
                _run("tc", *where, "qdisc", "del", "dev", device, "root")

    def _signal(self, pids: Sequence[int], number: int) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


class _Throttle:
    """A thread that freezes and thaws a host many times a second."""

    def __init__(self, host: Host, share: float, period_s: float) -> None:
        self._host = host
        self._run_s, self._rest_s = share * period_s, (1 - share) * period_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._alternate, name=f"throttle {host.name}")
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _alternate(self) -> None:
        pids = self._host.pids()
        while not self._stopping.is_set():
            self._host._signal(pids, signal.SIGSTOP)
            self._stopping.wait(self._rest_s)
            self._host._signal(pids, signal.SIGCONT)
            time.sleep(self._run_s)
        self._host.thaw()


class Network:
    """Hosts on one bridge. Names and addresses are its own, whatever else runs on the machine."""

    def __init__(self, directory: Path, names: Sequence[str]) -> None:
        """Make the hosts; their directories lie in `directory`. Close it, whatever happens."""
        self.number = _take_bridge()
        self.bridge = f"objs{self.number}"
        self.hosts: list[Host] = []
        self._lost: set[tuple[Host, Host]] = set()
        try:
            _run("ip", "addr", "add", f"{self.address_of(254)}/24", "dev", self.bridge)
            _run("ip", "link", "set", self.bridge, "up")
            for index, name in enumerate(names, start=1):
                self._add_host(index, name, directory)
            self._name_hosts(directory)
        except BaseException:
            self.close()
            raise

    @classmethod
    @contextlib.contextmanager
    def running(cls, directory: Path, *, servers: int) -> Iterator["Network"]:
        """Make server1, server2, ... for a `with` block."""
        network = cls(directory, [f"server{number}" for number in range(1, servers + 1)])
        try:
            yield network
        finally:
            network.close()

    def address_of(self, number: int) -> str:
        """Return an address on this network; hosts have 1, 2, ..., and this process 254."""
        return f"198.18.{self.number}.{number}"

    def close(self) -> None:
        """Kill what runs on the hosts and take everything away."""
        for host in self.hosts:
            host.kill()
        _remove(self.bridge)

    # --- faults between hosts --------------------------------------------------------------

    def half_cut(self, source: Host, target: Host) -> None:
        """Lose every packet from `source` to `target`; those the other way arrive."""
        entry = (target.address, "lladdr", _NOBODY, "dev", "eth0", "nud", "permanent")
        _run("ip", "-n", source.namespace, "neigh", "replace", *entry)
        self._lost.add((source, target))

    def lose(self, ways: Iterable[tuple[Host, Host]]) -> None:
        """Lose every packet on these ways, each from a host to another."""
        for source, target in ways:
            self.half_cut(source, target)

    def cut(self, one: Host, other: Host) -> None:
        """Lose every packet between two hosts."""
        self.half_cut(one, other)
        self.half_cut(other, one)

    def isolate(self, host: Host) -> None:
        """Cut a host off from all others; clients on this machine still reach it."""
        for other in self.hosts:
            if other is not host:
                self.cut(host, other)

    def join(self) -> None:
        """Let all packets between hosts through again."""
        for source, target in self._lost:
            entry = (target.address, "dev", "eth0")
            _run("ip", "-n", source.namespace, "neigh", "del", *entry)
        self._lost.clear()

    def heal(self) -> None:
        """Take back every fault, except that what was killed stays dead."""
        self.join()
        for host in self.hosts:
            host.unthrottle()
            host.thaw()
            host.plug()
            host.restore_link()

    # --- making ----------------------------------------------------------------------------

    def _add_host(self, index: int, name: str, directory: Path) -> None:
        host = Host(
            name=name,
            address=self.address_of(index),
            namespace=f"{self.bridge}-{name}",
            link=f"{self.bridge}v{index}",
            directory=directory / name,
        )
        host.directory.mkdir(parents=True, exist_ok=True)
        host.mounts = {host.directory: Path("/mnt"), directory / "hosts": Path("/etc/hosts")}
        _run("ip", "netns", "add", host.namespace)
        self.hosts.append(host)
        peer = ("peer", "name", "eth0", "netns", host.namespace)
        _run("ip", "link", "add", host.link, "type", "veth", *peer)
        _run("ip", "link", "set", host.link, "master", self.bridge, "up")
        inside = ("ip", "-n", host.namespace)
        _run(*inside, "addr", "add", f"{host.address}/24", "dev", "eth0")
        _run(*inside, "link", "set", "lo", "up")
        _run(*inside, "link", "set", "eth0", "up")

    def _name_hosts(self, directory: Path) -> None:
        lines = ["127.0.0.1 localhost", *(f"{host.address} {host.name}" for host in self.hosts)]
        (directory / "hosts").write_text("\n".join(lines) + "\n", encoding="utf-8")


def hosts_work() -> bool:
    """Tell whether this machine lets us make hosts."""
    try:
        number = _take_bridge()
        try:
            _run("ip", "netns", "add", f"objs{number}-probe")
            _run("ip", "link", "add", f"objs{number}v1", "type", "veth", "peer", "name", "eth0",
                 "netns", f"objs{number}-probe")  # fmt: skip
        finally:
            _remove(f"objs{number}")
    except (OSError, AssertionError, subprocess.CalledProcessError):
        return False
    return True


def _take_bridge() -> int:
    """Make the first bridge that nobody has; the kernel lets one process have each name.

    It is labelled with who made it, so that what a killed process left behind is taken over.
    """
    for number in range(_NETWORKS_MAX):
        bridge = f"objs{number}"
        _remove_if_left_behind(bridge)
        done = _try("ip", "link", "add", bridge, "type", "bridge")
        if done.returncode == 0:
            _run("ip", "link", "set", bridge, "alias", f"pid {os.getpid()}")
            return number
        if "exists" not in done.stderr:
            raise OSError(f"no bridge: {done.stderr}")
    raise AssertionError("all networks are taken")


def _remove_if_left_behind(bridge: str) -> None:
    try:
        label = Path(f"/sys/class/net/{bridge}/ifalias").read_text(encoding="ascii").split()
    except OSError:
        return
    if len(label) == 2 and not Path(f"/proc/{label[1]}").exists():
        _remove(bridge)


def _remove(bridge: str) -> None:
    """Remove a network. The bridge goes last: its name is what holds the others'."""
    for line in _run("ip", "netns", "list").splitlines():
        namespace = line.split()[0]
        if namespace.startswith(f"{bridge}-"):
            for pid in _try("ip", "netns", "pids", namespace).stdout.split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            _try("ip", "netns", "del", namespace)
    # A namespace that has gone takes its cables along, but later, so their names would be taken.
    for path in Path("/sys/class/net").glob(f"{bridge}v*"):
        _try("ip", "link", "del", path.name)
    _try("ip", "link", "del", bridge)


def _try(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def _run(*command: str, timeout_s: float = 60) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
    return done.stdout
