"""What one server says of the cluster, a line a fact: "ok|warn|fail SUBJECT: WORDS".

    python cluster_state.py SERVER_ENV OBJSTORE HOST:PORT

Runs on a server, as root: it reads the files that SERVER_ENV names, asks the server's health and
`objstore admin info`, and exits with 1 when anything but "ok" was found. Needs the standard
library alone. The scripts wait by it, and check.sh prints it.
"""

import json
import os
import ssl
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROBE_S = 5.0
ADMIN_S = 60.0
# Above these shares of a drive in use, a person should think about it, or act now.
USED_WARN, USED_FAIL = 0.80, 0.90

VERSIONS, ROOM = "versions", "room on "

Fact = tuple[str, str, str]  # level, subject, words


def read_environment(path: Path) -> dict[str, str]:
    """Return the variables of a file of NAME=VALUE lines."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def ca_of(settings: dict[str, Any]) -> str | None:
    """Return whose certificates are believed besides those of the system's CAs: the cluster's."""
    return settings.get("internal_tls_ca") if settings.get("tls_certificate") else None


def health(endpoint: str, ca: str | None) -> Fact:
    """Ask for the health of the whole, as this server sees it."""
    context = ssl.create_default_context()
    if ca is not None:
        context.load_verify_locations(ca)
    url = f"{endpoint}/.objstore/health"
    try:
        with urllib.request.urlopen(url, timeout=PROBE_S, context=context) as answer:
            return "ok", "health", f"{answer.status}: objects can be read and written"
    except urllib.error.HTTPError as error:
        return "fail", "health", f"{error.code}: {error.read(2000).decode('utf-8', 'replace')}"
    except OSError as error:
        return "fail", "health", f"no answer from {endpoint}: {error}"


def admin_info(objstore: str, endpoint: str, variables: dict[str, str]) -> dict[str, Any]:
    """Return what `objstore admin info` says; RuntimeError with its words when it fails."""
    secrets = {
        name: Path(variables[f"{name}_FILE"]).read_text(encoding="utf-8").strip()
        for name in ("OBJSTORE_ROOT_USER", "OBJSTORE_ROOT_PASSWORD")
    }
    settings = tomllib.loads(Path(variables["OBJSTORE_CONFIG"]).read_text(encoding="utf-8"))
    done = subprocess.run(  # noqa: S603  the program this script was given
        [objstore, "admin", "info", "--json", "--endpoint", endpoint],
        env={"PATH": os.environ["PATH"], "AWS_REGION": settings.get("region", "us-east-1")}
        | ({"OBJSTORE_CA_FILE": ca} if (ca := ca_of(settings)) else {})
        | secrets,
        capture_output=True,
        text=True,
        timeout=ADMIN_S,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(" ".join(done.stderr.split()))
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def server_facts(servers: list[dict[str, Any]]) -> Iterator[Fact]:
    """Every server has to be there, with one version everywhere."""
    for one in servers:
        words = f"{one['state']} {one.get('reason', '')}".strip()
        yield ("ok" if one["state"] == "online" else "fail"), f"server {one['address']}", words
    versions = {one.get("version", "") for one in servers} - {""}
    if len(versions) > 1:
        yield "warn", VERSIONS, f"{', '.join(sorted(versions))}: finish the upgrade"


def drive_facts(drives: list[dict[str, Any]]) -> Iterator[Fact]:
    """Every drive has to be online, with all that was ever written to it, and with room."""
    for one in drives:
        subject = f"drive {one['server']}{one['path']}"
        if one["state"] == "unused":
            continue
        if one["state"] != "online" or not one.get("trusted", True):
            words = f"{one['state']} {one.get('reason', '')}".strip()
            yield "fail", subject, words
        else:
            yield "ok", subject, f"online, {one.get('objects', 0)} versions"
        if one.get("total_bytes"):
            yield room_fact(one["server"] + one["path"], one["free_bytes"], one["total_bytes"])


def room_fact(drive: str, free_bytes: int, total_bytes: int) -> Fact:
    """Say how full a drive is."""
    used = 1 - free_bytes / total_bytes
    level = "fail" if used >= USED_FAIL else "warn" if used >= USED_WARN else "ok"
    return level, ROOM + drive, f"{used:.0%} used, {free_bytes / 1e9:.1f} GB free"


def set_facts(sets: list[dict[str, Any]]) -> Iterator[Fact]:
    """Every set has to have all its slots, and no version that lacks a shard."""
    for one in sets:
        words = f"{one['scheme']}: {one['online']} of {one['slots']} slots, {one['trusted']} whole"
        if one["degraded"]:
            words += f", {one['degraded']} versions to be healed"
        whole = one["online"] == one["trusted"] == one["slots"] and not one["healing_drives"]
        whole = whole and not one["degraded"]
        level = "ok" if whole else "warn" if one["can_read"] and one["can_write"] else "fail"
        yield level, f"set {one['pool']}.{one['index']}", words


def epoch_facts(witness: dict[str, Any] | None) -> Iterator[Fact]:
    """With a witness: neither server may have anything that the other lacks, before it stops."""
    if witness is None:
        return
    if not witness["answers"]:
        yield "fail", "witness", str(witness.get("reason", "")) or "it does not answer"
    else:
        yield "ok", "witness", "it answers"
    words = f"{witness.get('mode') or 'not known'} {witness.get('server', '')}".strip()
    yield ("ok" if witness.get("mode") == "whole" else "fail"), "epoch", words


def all_facts(variables: dict[str, str], objstore: str, address: str) -> Iterator[Fact]:
    """Everything, in the order in which a person would look."""
    settings = tomllib.loads(Path(variables["OBJSTORE_CONFIG"]).read_text(encoding="utf-8"))
    scheme = "https" if settings.get("tls_certificate") else "http"
    endpoint = f"{scheme}://{address}"
    yield health(endpoint, ca_of(settings))
    try:
        info = admin_info(objstore, endpoint, variables)
    except (OSError, RuntimeError, subprocess.TimeoutExpired, json.JSONDecodeError) as error:
        yield "fail", "admin info", str(error)
        return
    yield from server_facts(info["servers"])
    yield from drive_facts(info["drives"])
    yield from set_facts(info["sets"])
    yield from epoch_facts(info.get("witness"))


def main() -> int:
    """Print the facts; 1 when the cluster is not whole."""
    environment, objstore, address = sys.argv[1:]
    whole = True
    for fact in all_facts(read_environment(Path(environment)), objstore, address):
        level, subject, words = fact
        sys.stdout.write(f"{level} {subject}: {words}\n")
        whole = whole and (level == "ok" or not concerns_redundancy(fact))
    return 0 if whole else 1


def concerns_redundancy(fact: Fact) -> bool:
    """Whether a fact says that something is away: room and versions keep nobody from going on."""
    return fact[1] != VERSIONS and not fact[1].startswith(ROOM)


if __name__ == "__main__":
    sys.exit(main())
