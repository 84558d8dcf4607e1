"""Which members of the witness answer this server: one line "ok|warn|fail etcd: WORDS".

    python etcd_state.py OBJSTORE_TOML

Runs on a server, as root. It asks every member that the setting `witness` names for its health,
with the certificates of the port between servers where the URLs are https. Nothing is printed
without a witness. Exits with 1 unless all answer. Needs the standard library alone.
"""

import http.client
import json
import ssl
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ANSWER_S = 3.0  # a member asks a majority before it answers
ANSWER_BYTES_MAX = 10_000
# A member that was the leader and is gone leaves the others without a majority until they have
# elected another, 1 to 2 s: that is no finding.
ATTEMPTS = 8
PAUSE_S = 0.5


def members_of(settings: Mapping[str, Any]) -> list[str]:
    """Return the URLs in the setting, which is a list or a text with commas."""
    value = settings.get("witness") or []
    return [one.strip() for one in value.split(",")] if isinstance(value, str) else list(value)


def opener_of(members: Sequence[str], settings: Mapping[str, Any]) -> urllib.request.OpenerDirector:
    """Return what asks members: as the servers do, and through no proxy."""
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if members[0].startswith("https:"):
        context = ssl.create_default_context(cafile=settings["internal_tls_ca"])
        context.load_cert_chain(settings["internal_tls_certificate"], settings["internal_tls_key"])
        handlers.append(urllib.request.HTTPSHandler(context=context))
    return urllib.request.build_opener(*handlers)


def trouble_of(member: str, opener: urllib.request.OpenerDirector) -> str:
    """Return why a member is not well; "" when it is, and agrees with a majority."""
    try:
        with opener.open(f"{member}/health", timeout=ANSWER_S) as answer:
            text = answer.read(ANSWER_BYTES_MAX)
    except urllib.error.HTTPError as error:
        text = error.read(ANSWER_BYTES_MAX)
    except (OSError, http.client.HTTPException) as error:
        return str(getattr(error, "reason", error))
    try:
        # "true" as a text in etcd 3.4 and later; nobody knows of a later one.
        well = str(json.loads(text)["health"]).lower() == "true"
    except (ValueError, KeyError, TypeError):
        return f"its answer is {text[:100]!r}"
    return "" if well else "it reaches no majority"


def verdict(troubles: Mapping[str, str]) -> tuple[str, str]:
    """Return the level and the words: one member may be lost, and with it the last reserve."""
    well = sum(not why for why in troubles.values())
    majority = len(troubles) // 2 + 1
    level = "ok" if well == len(troubles) else "warn" if well >= majority else "fail"
    lost: Sequence[str] = [f"{member} does not ({why})" for member, why in troubles.items() if why]
    return level, "; ".join([f"{well} of {len(troubles)} members answer", *lost])


def main() -> int:
    """Print the fact; 1 unless every member answers."""
    settings = tomllib.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if not (members := members_of(settings)):
        return 0
    opener = opener_of(members, settings)
    for attempt in range(ATTEMPTS):
        time.sleep(PAUSE_S if attempt else 0)
        level, words = verdict({member: trouble_of(member, opener) for member in members})
        if level != "fail":
            break
    sys.stdout.write(f"{level} etcd: {words}\n")
    return 0 if level == "ok" else 1


if __name__ == "__main__":
    sys.exit(main())
