"""From settings to identities: what two of them may not share, and how root is described."""

import pytest

from objstore.config import IdentitySettings, Secrets
from objstore.errors import ConfigError
from objstore.iam.directory import identities_of
from objstore.iam.identities import ANONYMOUS_ID, Identity, derived_canonical_id

SECRETS = Secrets("rootuser", "root password", "0123456789abcdef0123456789abcdef")
ALICE = IdentitySettings("alice", "secret of alice", "Alice", "a1" * 32, "alice@example.com")


def test_root_is_always_there() -> None:
    found = identities_of(SECRETS, ())
    assert found.root == Identity("rootuser", "root password", "objstore", root=True)
    assert found.root.canonical_id == derived_canonical_id("rootuser")


def test_declared_identities() -> None:
    found = identities_of(SECRETS, (ALICE, IdentitySettings("bob", "secret of bob")))
    alice = found.by_access_key("alice")
    assert alice == Identity("alice", "secret of alice", "Alice", "a1" * 32, "alice@example.com")
    assert not alice.root
    bob = found.by_access_key("bob")
    assert bob is not None
    assert (bob.canonical_id, bob.display_name) == (derived_canonical_id("bob"), "")


def test_a_section_without_a_secret_key_describes_root() -> None:
    section = IdentitySettings("rootuser", display_name="Operations", canonical_id="c" * 64)
    found = identities_of(SECRETS, (ALICE, section))
    assert found.root.canonical_id == "c" * 64
    assert (found.root.display_name, found.root.secret) == ("Operations", "root password")


@pytest.mark.parametrize(
    ("sections", "found"),
    [
        ([IdentitySettings("rootuser", "another secret")], "identity 1 with the access_key of"),
        ([IdentitySettings("alice")], "identity 1 without a secret key"),
        ([ALICE, IdentitySettings("b", "root password")], "identity 2 with the secret of root"),
        ([IdentitySettings("b", SECRETS.cluster_secret)], "identity 1 with the secret of root"),
        ([ALICE, ALICE], "identity 2: its access_key is that of identity 1"),
        ([IdentitySettings("rootuser")] * 2, "identity 2: its access_key is that of identity 1"),
        ([ALICE, IdentitySettings("b", "s" * 9, "", "a1" * 32)], "identity 2: its canonical_id"),
        ([ALICE, IdentitySettings("b", "s" * 9, "", "alice")], "identity 2: its canonical_id"),
        ([IdentitySettings("a1" * 32, "s" * 9), ALICE], "identity 2: its canonical_id"),
        ([IdentitySettings("b", "s" * 9, "", ANONYMOUS_ID)], "is that of the anonymous user"),
        ([IdentitySettings("b", "s" * 9, "", derived_canonical_id("rootuser"))], "root: its canon"),
        ([IdentitySettings("b", "s" * 9, "", "rootuser")], "root: its access_key is that of"),
        (
            [ALICE, IdentitySettings("b", "s" * 9, email="ALICE@example.com")],
            "identity 2: its email is that of identity 1",
        ),
        (
            [ALICE, IdentitySettings("b", "s" * 9, "", Identity("x", "", "", "a1" * 32).account)],
            "identity 2: its canonical_id",
        ),
    ],
)
def test_refused(sections: list[IdentitySettings], found: str) -> None:
    """One name means one identity; no message shows an access key or a secret."""
    with pytest.raises(ConfigError) as refused:
        identities_of(SECRETS, sections)
    assert found in refused.value.found
    for section in sections:
        assert not section.secret_key or section.secret_key not in str(refused.value)
    assert "rootuser" not in str(refused.value)
