"""Identities: found by every name they have, and by nothing else."""

import hashlib
import re
import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from objstore.iam.identities import ANONYMOUS_ID, Identities, Identity, derived_canonical_id

ROOT = Identity("rootuser", "root's secret", root=True)
ALICE = Identity("alice", "alice's secret", "Alice", "a1" * 32, "Alice@Example.com")
BOB = Identity("bob", "bob's secret", canonical_id="bob.the-builder_1")
ALL = Identities([ALICE, ROOT, BOB])


def test_each_is_found_by_every_name() -> None:
    for one in (ROOT, ALICE, BOB):
        assert ALL.by_access_key(one.access_key) is one
        assert ALL.by_canonical_id(one.canonical_id) is one
        assert ALL.secret_of(one.access_key) == one.secret
    assert ALL.root is ROOT
    assert ALL.by_email("alice@example.COM") is ALICE


@given(text=st.text(max_size=8) | st.sampled_from(["", "Alice", "alice ", "\udcff", "a1" * 32]))
def test_nobody_is_found_by_another_name(text: str) -> None:
    if text not in {"rootuser", "alice", "bob"}:
        assert ALL.by_access_key(text) is None
        assert ALL.secret_of(text) is None
    assert ALL.by_email(text) is None


def test_a_canonical_id_that_was_not_chosen_is_the_one_that_objects_had_before() -> None:
    """Records and answers from when access keys were owners stay true."""
    expected = hashlib.sha256(b"objstore owner rootuser").hexdigest()
    assert ROOT.canonical_id == derived_canonical_id("rootuser") == expected
    assert ALICE.canonical_id == "a1" * 32


def test_accounts_and_arns_follow_from_the_canonical_id() -> None:
    for one in (ROOT, ALICE, BOB):
        assert re.fullmatch(r"[0-9]{12}", one.account)
    assert len({one.account for one in (ROOT, ALICE, BOB)}) == 3
    assert ALICE.account == Identity("other", "x", canonical_id=ALICE.canonical_id).account
    assert ROOT.arn == f"arn:aws:iam::{ROOT.account}:root"
    assert ALICE.arn == f"arn:aws:iam::{ALICE.account}:user/alice"
    assert Identity("k", "s", canonical_id="pinned").account == "348944097144"


def test_stored_owners() -> None:
    assert ALL.owner(ALICE.canonical_id) is ALICE
    assert ALL.owner("alice") is ALICE  # as records held owners before canonical ids
    assert ALL.owner("") is ROOT
    assert ALL.owner("somebody") is None
    assert ALL.owner(ANONYMOUS_ID) is None


def test_a_secret_is_not_shown() -> None:
    assert "secret" not in repr(ALICE).replace("secret=", "")


def test_the_operator_s_page_says_how_to_compute_an_account_number() -> None:
    page = (Path(__file__).parents[3] / "docs" / "operating" / "identities.md").read_text("utf-8")
    found = re.search(r"python3 -c '(import hashlib.*?)' CANONICAL-ID", page, re.DOTALL)
    assert found is not None
    command = [sys.executable, "-c", found[1], ALICE.canonical_id]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.strip() == ALICE.account
