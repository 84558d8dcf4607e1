"""Histories of real servers under the nemeses are possible; the long form is run.py."""

from pathlib import Path

import pytest

from tests.history import campaign

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("faults"), pytest.mark.timeout(300)]
_DURATION_S = 15.0  # with start, healing and reads in the end, under a minute each


@pytest.mark.parametrize(("seed", "parity"), [(1, 2), (2, 1)])
async def test_a_history_is_possible(tmp_path: Path, seed: int, parity: int) -> None:
    verdict = await campaign.run(tmp_path, seed=seed, duration_s=_DURATION_S, parity=parity)
    print(verdict)
    assert verdict.good, str(verdict)
    assert len(verdict.events) > 100


async def test_a_history_over_links_that_lose_and_reset_is_possible(tmp_path: Path) -> None:
    """F22: three in ten pieces lost and sent again, one in fifty a reset, 500 kB/s."""
    verdict = await campaign.run(tmp_path, seed=22, duration_s=8, parity=1, names=("bad links",))
    print(verdict, [one.what for one in verdict.mishaps][-1:])
    assert verdict.good, str(verdict)
    assert len(verdict.events) > 50
    assert " reset" in verdict.mishaps[-1].what
