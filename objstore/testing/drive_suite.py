"""The contract of drive/api.py and drive/ops.py as tests: every clause, for every Drive.

A test module subclasses DriveSuite and gives it a pytest fixture `harness` that returns a
drive_harness.Harness around a fresh drive. What an implementation does not offer through the
protocol (the reaper) the Harness brings.
"""

from objstore.testing.drive_suite_keys import KeyClauses
from objstore.testing.drive_suite_listing import ListingClauses
from objstore.testing.drive_suite_rest import (
    BucketClauses,
    ShardClauses,
    StateClauses,
    UploadClauses,
)
from objstore.testing.drive_suite_tree import TreeClauses


class DriveSuite(
    KeyClauses,
    ListingClauses,
    BucketClauses,
    UploadClauses,
    ShardClauses,
    StateClauses,
    TreeClauses,
):
    """Every clause."""
