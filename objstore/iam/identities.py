"""Identities: who signs requests, and by which names each of them is found.

An identity has an access key, which requests carry; a canonical id, which records of buckets and
objects carry as their owner; and an account of its own, which policies and
x-amz-expected-bucket-owner name. Account and ARN follow from the canonical id, so that they are
the same on every server and after every start.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

# "Amazon S3 ... the anonymous user's canonical user ID" of objects that nobody signed for.
ANONYMOUS_ID: Final = "65a011a29cdf8ec533ec3d1ccaae921c"
_ACCOUNTS: Final = 10**12


@dataclass(frozen=True, slots=True)
class Identity:
    """One who may sign requests."""

    access_key: str
    secret: str = field(repr=False)
    display_name: str = ""
    canonical_id: str = ""  # "": derived from the access key
    email: str = ""
    root: bool = False

    def __post_init__(self) -> None:
        if not self.canonical_id:
            object.__setattr__(self, "canonical_id", derived_canonical_id(self.access_key))

    @property
    def account(self) -> str:
        """Its account number, 12 digits."""
        digest = hashlib.sha256(b"objstore account " + self.canonical_id.encode()).digest()
        return f"{int.from_bytes(digest) % _ACCOUNTS:012}"

    @property
    def name(self) -> str:
        """Its name within its account."""
        return self.access_key

    @property
    def arn(self) -> str:
        """What policies call it."""
        return f"arn:aws:iam::{self.account}:{'root' if self.root else f'user/{self.name}'}"


def derived_canonical_id(access_key: str) -> str:
    """Return the canonical id that goes with an access key when no other was chosen."""
    return hashlib.sha256(b"objstore owner " + access_key.encode()).hexdigest()


class Identities:
    """All identities, root among them; never changed once made."""

    def __init__(self, identities: Iterable[Identity]) -> None:
        """Take identities of which no two share an access key, canonical id, account or email."""
        self._all = tuple(identities)
        (self.root,) = (one for one in self._all if one.root)
        self._by_access_key = {_digest(one.access_key): one for one in self._all}
        self._by_canonical_id = {one.canonical_id: one for one in self._all}
        self._accounts = frozenset(one.account for one in self._all)
        self._by_email = {one.email.casefold(): one for one in self._all if one.email}
        assert len(self._by_access_key) == len(self._by_canonical_id) == len(self._all)

    def by_access_key(self, access_key: str) -> Identity | None:
        """Return who has an access key.

        It is found by its digest: how long a search takes tells nothing about how much of a
        guessed access key is right.
        """
        return self._by_access_key.get(_digest(access_key))

    def by_canonical_id(self, canonical_id: str) -> Identity | None:
        """Return who has a canonical id."""
        return self._by_canonical_id.get(canonical_id)

    def has_account(self, account: str) -> bool:
        """Tell whether an account number is an identity's."""
        return account in self._accounts

    def by_email(self, email: str) -> Identity | None:
        """Return who has an email address, however its letters are written."""
        return self._by_email.get(email.casefold())

    def secret_of(self, access_key: str) -> str | None:
        """Return the secret of an access key, None for an unknown one."""
        found = self.by_access_key(access_key)
        return None if found is None else found.secret

    def owner(self, stored: str) -> Identity | None:
        """Return whom a stored owner names: by canonical id, or in older records by access key.

        A record without an owner is root's. None: an identity that is not known any more.
        """
        if not stored:
            return self.root
        return self.by_canonical_id(stored) or self.by_access_key(stored)


def _digest(access_key: str) -> bytes:
    return hashlib.sha256(access_key.encode("utf-8", "surrogatepass")).digest()
