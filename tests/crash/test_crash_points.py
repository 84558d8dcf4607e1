"""F1, F3, F4, F12, F24, F35: an operation that ends anywhere leaves the old or the new.

What CI runs is a sample spread over all operations; `.ci/run crashpoints` runs every one.
"""

from pathlib import Path

import pytest

from tests.crash.crash_trials import PLANTS, summary_of
from tests.crash.disk_faults import run_preloaded
from tests.crash.operations import OPERATIONS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
TRIALS = 4  # of each operation
TIMEOUT_S = 200


def run(tmp_path: Path, module: str, *arguments: str) -> None:
    printed = run_preloaded(tmp_path, f"tests.crash.{module}", *arguments, timeout_s=TIMEOUT_S)
    summary = summary_of(printed)
    assert not summary["wrong"], "\n".join(summary["wrong"])
    assert len(summary["trials"]) == len(OPERATIONS)
    assert all(summary["rules"].values()), summary["rules"]


def test_a_kill_at_any_change_of_a_drive(tmp_path: Path) -> None:
    run(tmp_path, "crash_trials", "kill", "--limit", str(TRIALS))


def test_a_power_cut_at_any_change_of_a_drive(tmp_path: Path) -> None:
    run(tmp_path, "crash_trials", "states", "--limit", str(TRIALS))


def test_an_error_of_any_storage_call(tmp_path: Path) -> None:
    run(tmp_path, "error_trials", "--limit", str(2 * TRIALS))


@pytest.mark.parametrize("bug", PLANTS)
def test_a_planted_bug_is_found(tmp_path: Path, bug: str) -> None:
    """The trials are worth something: they notice a sync that is left out."""
    module = "tests.crash.crash_trials"
    arguments = ("states", "--operations", "put-large", "--limit", "12", "--plant", bug)
    summary = summary_of(run_preloaded(tmp_path, module, *arguments, timeout_s=TIMEOUT_S))
    assert any(complaint.startswith("rule") for complaint in summary["wrong"])
    assert any(complaint.startswith("states") for complaint in summary["wrong"])


def test_a_crash_at_any_change_that_formats_a_drive(tmp_path: Path) -> None:
    module = "tests.crash.format_trials"
    summary = summary_of(run_preloaded(tmp_path, module, "--limit", "30", timeout_s=TIMEOUT_S))
    assert not summary["wrong"], "\n".join(summary["wrong"])
    assert set(summary["trials"]) == {"kill format", "states format"}


def test_a_failed_sync_of_the_journal_undermines_no_later_commit(tmp_path: Path) -> None:
    printed = run_preloaded(tmp_path, "tests.crash.log_trials", timeout_s=TIMEOUT_S)
    summary = summary_of(printed)
    assert not summary["wrong"], "\n".join(summary["wrong"])
    assert summary["trials"] == {"log": 2}
