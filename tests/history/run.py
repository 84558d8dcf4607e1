"""Campaigns of a minute, one after the other: `python -m tests.history.run MINUTES [SEED]`.

Each has the next seed and a fresh cluster, EC:2 and EC:1 in turn. A history that is not possible is
printed with its seed and with what the nemeses did meanwhile, and ends it with 1; the directory
with the servers' logs and the whole history is kept.
"""

import asyncio
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.history import campaign

_EACH_S = 60.0


def main(arguments: list[str]) -> int:
    """Run; return the exit code."""
    if not 1 <= len(arguments) <= 2 or not all(re.fullmatch("[0-9]{1,9}", a) for a in arguments):
        sys.stderr.write(f"{__doc__}")
        return 2
    minutes, seed, *_ = (*map(int, arguments), 1)
    ends_s = time.monotonic() + 60 * minutes
    while time.monotonic() < ends_s:
        directory = Path(tempfile.mkdtemp(prefix="objstore-history-"))
        duration_s = min(_EACH_S, max(10.0, ends_s - time.monotonic()))
        parity = 2 - seed % 2
        verdict = asyncio.run(
            campaign.run(directory, seed=seed, duration_s=duration_s, parity=parity)
        )
        print(f"EC:{parity} {verdict}", flush=True)
        if not verdict.good:
            print(f"its directory, with {campaign.HISTORY_FILE}: {directory}")
            return 1
        shutil.rmtree(directory, ignore_errors=True)
        seed += 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
