"""Every exception objstore raises on purpose, and who is to blame for each.

The tree, which tests/unit/test_errors.py checks against the classes below:

    ObjstoreError
      RequestRefused            the client: `reason` is the S3 error code, one table in s3/
      ConfigError               the operator: found, expected, remedy
      RpcError                  a peer could not be reached or did not answer properly
      WitnessError              the witness could not be asked, or what it keeps is no epoch
      DriveError                one drive could not do what was asked; the set may still
        DriveOffline            missing, unreachable, moved away, or not the drive expected
        DriveTimeout            it did not answer within its deadline
        DriveFull               no room left (bytes or inodes)
        DriveReadOnly           it refuses every write
        DriveFaulty             an I/O error, or a journal that is not a database any more
        RecordUnknown           the record is there and its checksum does not match
        ShardMissing            the drive works and has no such shard
        ShardCorrupt            the shard is there and a checksum or its length is wrong
        DriveRefusal            the drive works and the order of versions says no
          Superseded            it holds the same or a newer stamp for that key: `held`
          BucketMissing         this drive knows no such bucket
          BucketNotEmpty        the bucket still has objects on this drive
          UploadMissing         this drive knows no such upload
      QuorumError               too few slots agreed
        ReadQuorumLost
        WriteQuorumLost
"""

from collections.abc import Mapping

from objstore.names import Stamp


class ObjstoreError(Exception):
    """Root of every expected failure. Anything else that escapes is a bug."""


class RequestRefused(ObjstoreError):
    """The request is at fault. `reason` is the S3 error code; s3/error_codes.py has its row.

    `detail` becomes extra elements of the error document (`Key`, `Region`, ...).
    """

    def __init__(self, reason: str, message: str = "", **detail: str) -> None:
        super().__init__(f"{reason}: {message}" if message else reason)
        self.reason = reason
        self.message = message
        self.detail = detail
        self.headers: dict[str, str] = {}

    def with_headers(self, headers: Mapping[str, str]) -> "RequestRefused":
        """Add headers to the response, and return this refusal."""
        self.headers.update(headers)
        return self


class ConfigError(ObjstoreError):
    """The operator's input, or what lies on a drive, is not what it has to be."""

    def __init__(self, *, found: str, expected: str, remedy: str) -> None:
        super().__init__(f"found: {found}\nexpected: {expected}\nwhat to do: {remedy}")
        self.found = found
        self.expected = expected
        self.remedy = remedy


class RpcError(ObjstoreError):
    """A peer could not be reached, did not authenticate, or broke the protocol."""


class WitnessError(ObjstoreError):
    """The witness (etcd) could not be asked, did not answer in time, or keeps no epoch of ours."""


class DriveError(ObjstoreError):
    """One drive failed; the set may still succeed."""


class DriveOffline(DriveError):
    """The drive, or the server that holds it, cannot be reached or is not the one expected."""


class DriveTimeout(DriveError):
    """The drive did not answer within its deadline."""


class DriveFull(DriveError):
    """The drive has no room left."""


class DriveReadOnly(DriveError):
    """The drive refuses every write."""


class DriveFaulty(DriveError):
    """The drive answered with an I/O error, or its journal is no database any more."""


class RecordUnknown(DriveError):
    """A record fails its checksum: what it said is unknown, never absent."""


class ShardMissing(DriveError):
    """The drive works, and does not hold the shard."""


class ShardCorrupt(DriveError):
    """The drive holds the shard, and its checksum or length does not match."""


class DriveRefusal(DriveError):
    """The drive works; what was asked contradicts what it holds."""


class Superseded(DriveRefusal):
    """The drive holds `held`, which is the same as or newer than the stamp offered."""

    def __init__(self, held: Stamp) -> None:
        super().__init__(held.hex())
        self.held = held


class BucketMissing(DriveRefusal):
    """This drive knows no such bucket."""


class BucketNotEmpty(DriveRefusal):
    """The bucket still holds objects or uploads on this drive."""


class UploadMissing(DriveRefusal):
    """This drive knows no such upload."""


class QuorumError(ObjstoreError):
    """Too few slots agreed."""


class ReadQuorumLost(QuorumError):
    """Too few slots answered for a fresh read, or too few shards to decode."""


class WriteQuorumLost(QuorumError):
    """Too few slots could commit."""
