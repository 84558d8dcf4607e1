"""Every bound in objstore, in one place, with the relations that must hold between them."""

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

# --- erasure coding -------------------------------------------------------------------
STRIPE_BYTES: Final = 1 * MIB
SLOTS_PER_SET_MIN: Final = 2
SLOTS_PER_SET_MAX: Final = 16
DRIVES_PER_POOL_MAX: Final = 1024
# A shard at or under this travels inside the record; above it, it gets a file.
INLINE_SHARD_BYTES_MAX: Final = 16 * KIB
# The record at the end of a shard file: key, headers and user metadata, with room.
SHARD_TRAILER_BYTES_MAX: Final = 256 * KIB

# --- S3 (the AWS figure each time) ----------------------------------------------------
OBJECT_PUT_BYTES_MAX: Final = 5 * GIB
OBJECT_BYTES_MAX: Final = 50 * 1024 * GIB
PART_BYTES_MIN: Final = 5 * MIB
PART_NUMBER_MAX: Final = 10_000
KEY_BYTES_MAX: Final = 1024
USER_METADATA_BYTES_MAX: Final = 2 * KIB
REDIRECT_LOCATION_BYTES_MAX: Final = 2 * KIB
LIST_KEYS_MAX: Final = 1000
DELETE_KEYS_MAX: Final = 1000
BUCKET_TAGS_MAX: Final = 50
OBJECT_TAGS_MAX: Final = 10
TAG_KEY_CHARACTERS_MAX: Final = 128
TAG_VALUE_CHARACTERS_MAX: Final = 256
CORS_RULES_MAX: Final = 100
CORS_DOCUMENT_BYTES_MAX: Final = 64 * KIB
LIFECYCLE_RULES_MAX: Final = 1000
NEWER_NONCURRENT_VERSIONS_MAX: Final = 100
RULE_ID_CHARACTERS_MAX: Final = 255
REPLICATION_RULES_MAX: Final = 1000
ROUTING_RULES_MAX: Final = 50
NOTIFICATION_RULES_MAX: Final = 100
RETENTION_DAYS_MAX: Final = 36_500
RETENTION_YEARS_MAX: Final = 100
ANNOTATION_NAME_BYTES_MAX: Final = 512
PRESIGN_SECONDS_MAX: Final = 604_800
CLOCK_SKEW_SECONDS_MAX: Final = 900
POLICY_BYTES_MAX: Final = 20 * KIB
ACL_GRANTS_MAX: Final = 100

# --- what a client may make us hold ---------------------------------------------------
DOCUMENT_BYTES_MAX: Final = 4 * MIB  # a Complete of 10,000 parts with checksums fits
XML_DEPTH_MAX: Final = 16
XML_ELEMENTS_MAX: Final = 100_000
POLICY_DEPTH_MAX: Final = 8  # a value in the list of a condition's key lies at 6
POLICIES_PARSED_MAX: Final = 128  # per worker; kept as values, which take several times the JSON
CORS_REQUEST_HEADERS_MAX: Final = 100  # names that one preflight asks for
SETTINGS_PARSED_MAX: Final = 64  # per worker: CORS configurations, and as many lifecycles
CHUNK_HEADER_BYTES_MAX: Final = 256
CHUNK_DATA_BYTES_MAX: Final = 128 * MIB
SIGNED_CHUNK_BYTES_MIN: Final = 8 * KIB
TRAILER_BYTES_MAX: Final = 4 * KIB
HEADER_LINE_BYTES_MAX: Final = 16 * KIB
IDENTITIES_MAX: Final = 1_000  # in the configuration file
QUERY_BODY_BYTES_MAX: Final = 256 * KIB  # a form of IAM or STS, read before its signature is known
POST_FIELDS_BYTES_MAX: Final = 20 * KIB  # all of a posted form in front of the file's content
POST_BOUNDARY_BYTES_MAX: Final = 70  # RFC 2046
SIGNING_KEYS_MAX: Final = 256  # derived keys kept: one per access key and day in use
CERTIFICATE_FILE_BYTES_MAX: Final = 1 * MIB  # a bundle of all public CAs has 220 KB
REQUESTS_IN_FLIGHT_MAX: Final = 1024  # per worker; beyond it 503 SlowDown

# --- time ----------------------------------------------------------------------------
CALL_DEADLINE_S: Final = 5.0  # one small call to one drive
SHARD_CALL_DEADLINE_S: Final = 20.0  # one block write, one block read, or one fsync
READ_DECISION_DEADLINE_S: Final = 1.5  # a read answers or refuses by then once slots are slow
READ_UNDECIDED_DEADLINE_S: Final = 2.5  # further, while drives that seem well are too slow to tell
WRITE_DECISION_DEADLINE_S: Final = 10.0  # a commit is decided by then
WRITE_STRAGGLER_S: Final = 1.5  # a shard that W others are ahead of by more is left to the healer
WRITE_GIVE_UP_S: Final = 0.2  # what is given up is waited for so long, and goes on by itself
LIST_HEDGE_S: Final = 0.5  # a page that takes longer is asked of the other drives too
# A server is lost to its peers when it was silent for three or four of these.
PEER_PING_INTERVAL_S: Final = 0.45
PEER_SILENT_PINGS_MAX: Final = 3
LOST_SERVER_S: Final = 2.0  # what waits for a server that went away is served or refused by then
# A server that is told to stop says so to its peers, as it may be a restart.
STOP_CALLS_S: Final = 2.0  # what peers have under way on its drives then may end within so long
STOP_AWAITED_S: Final = 20.0  # requests that need it wait for it until so long after it said so
AWAITED_TRY_S: Final = 1.0  # and are tried again so often, as something else may have helped
START_AWAITED_S: Final = 2.0  # and in a server that starts, for peers it has not met yet
HEADER_DEADLINE_S: Final = 10.0
IDLE_DEADLINE_S: Final = 120.0  # clients (90 s in Go) and proxies (60 s) close first: no race
BODY_STALL_DEADLINE_S: Final = 30.0
TLS_HANDSHAKE_DEADLINE_S: Final = 10.0
CERTIFICATE_LOOK_S: Final = 1.0  # between two looks at the files
CERTIFICATE_WARNING_S: Final = 14 * 86_400  # left, when a start warns
DRIVE_PROBE_INTERVAL_S: Final = 1.0
CLOCK_DRIFT_SECONDS_MAX: Final = 300
BUCKET_CACHE_S: Final = 1.0
SOLO_CONFIRMED_S: Final = 1.0  # what the witness said holds so long from when it was asked
SOLO_WAIT_S: Final = 1.2  # whoever begins to write alone waits so long; clocks' rates may differ
SOLO_ASK_S: Final = 0.25  # pause between two questions to the witness
SOLO_FIRST_WRITE_S: Final = 5.0  # from the loss of a server to a write of the other one
WITNESS_ANSWER_S: Final = 0.3  # for one member of the witness; then the next one is asked
ORPHAN_AGE_S: Final = 86_400
TOMBSTONE_AGE_S: Final = 3_600
SETTLE_AGE_S: Final = 600  # a version this old that was never acknowledged is not in flight

PROGRESS_INTERVAL_S: Final = 1.0
HEAL_PASS_INTERVAL_S: Final = 1.0
HEAL_PASS_INTERVAL_S_MAX: Final = 30.0
REPLACEMENT_PROBE_INTERVAL_S: Final = 2.0
HEAL_RETRY_S: Final = 5.0
REAPER_INTERVAL_S: Final = 600.0
TRASH_AGE_S: Final = 30  # downloads that began before the version was superseded go on
TRASH_INTERVAL_S: Final = 5.0
ORPHAN_PASS_S: Final = 3_600.0  # one look at every shard file's name
SHARD_REWRITE_AGE_S: Final = 60  # a stray shard file younger than this may still be written
SHARD_VERIFY_DEADLINE_S: Final = 600.0
HEAL_EXAMINED_S: Final = 60.0  # what the set said of a key holds so long for a healer
SCRUB_START_S: Final = 60.0  # after the start of a server
SCRUB_PASS_S: Final = 3 * 86_400.0  # from the beginning of a pass to that of the next
SCRUB_SAVE_S: Final = 60.0  # its position is made durable so often
SCRUB_LOOK_S: Final = 5.0  # whether it was asked for, and whether what it found is repaired
SCRUB_AGAIN_S: Final = 60.0  # what is not repaired by then is noted once more
SCRUB_PAUSE_S_MAX: Final = 5.0  # it goes on after so long, however busy the drive is
JOURNAL_CHECK_S: Final = 60.0  # for the structure of one table of a journal, in one look
LIFECYCLE_DAY_SECONDS: Final = 86_400
LIFECYCLE_AFTER_MIDNIGHT_S: Final = 300  # as far as clocks may differ
LIFECYCLE_START_S_MAX: Final = 60.0  # after the start of a server
LIFECYCLE_TICK_S: Final = 60.0  # how soon a server takes over from one that went away
LIFECYCLE_RETRY_S: Final = 3_600  # after a pass that was not complete; twice as long each time
LIFECYCLE_REST_S_MAX: Final = 1.0  # between two pages
LIFECYCLE_PROGRESS_S: Final = 60.0
DRIVE_RESERVE_BYTES_MAX: Final = 1 * GIB  # or 1 % of the drive: kept for deletions
DRIVE_SLOW_S: Final = 0.5  # a drive whose small calls take longer on average is slow
DRIVE_LEFT_BEHIND_S: Final = 1.0  # and one given up twice after longer; once if it is silent
DRIVE_SLOW_REST_S: Final = 10.0  # so long a slow drive is left out at least, twice that if it
DRIVE_SLOW_REST_S_MAX: Final = 60.0  # is slow again soon, and never longer than this

# --- queues --------------------------------------------------------------------------
STAMP_RETRIES_MAX: Final = 8
CONDITION_TRIES_MAX: Final = 16
CONDITION_PAUSE_S: Final = 0.01
CONDITION_PAUSE_S_MAX: Final = 0.3
SETTING_TRIES_MAX: Final = 8
WITNESS_ENDPOINTS_MAX: Final = 9
WITNESS_ANSWER_BYTES_MAX: Final = 64 * KIB
MOVING_READS_MAX: Final = 16  # readings of a key that is written all the time
MOVING_PAUSE_S: Final = 0.01  # for what is still on its way; each is twice as long
MOVING_PAUSE_S_MAX: Final = 0.32
READ_WINDOW_STRIPES: Final = 2  # a download holds two windows: one sent, one read ahead
READ_HEDGE_S: Final = 0.3  # a shard that takes longer is made up for by parity
DRIVE_CALLS_WAITING_MAX: Final = 4096
HEALS_AT_ONCE_MAX: Final = 16  # how many are good is found out (background/heal_pace.py)
REBUILD_PLACES: Final = 8  # of a drive: so many small shard files are rebuilt at once
REBUILD_PLACE_BYTES: Final = 512 * KIB  # data takes a place for each of these, at most all
QUARANTINE_SHOWN_MAX: Final = 16  # keys that cannot be healed now, by name
SCRUB_ROWS_MAX: Final = 64  # of the journal in one look
SCRUB_FILES_AT_ONCE_MAX: Final = 4  # at full speed
SCRUB_OPEN_FINDINGS_MAX: Final = 10_000  # that are looked at again until they are repaired
SCRUB_BYTES_PER_S: Final = 16 * MIB  # of one drive; 10 TB take a week
SCRUB_BYTES_PER_S_MAX: Final = 16 * GIB
LIFECYCLE_ACTIONS_AT_ONCE_MAX: Final = 8
READ_GROUP_OPS_MAX: Final = 64
KEY_ROWS_MAX: Final = 128  # of one key in one answer
LIST_ROWS_EXAMINED_MAX: Final = 20_000  # then a page ends early and says where to go on
TREE_LEAF_LEVEL: Final = 2  # of the nodes a journal keeps: 16^2 keys each, on average
TREE_NODES_MAX: Final = 1000  # in one answer
TREE_CHECK_ENTRIES: Final = 4096  # added up in one transaction; about 10 ms
COMPARE_SPANS_AT_ONCE_MAX: Final = 16
COMPARE_CHECKS_MAX: Final = 64  # leaves that one comparison adds up anew
COMPARE_INTERVAL_S: Final = 3_600.0  # between two comparisons of a drive with its set
DRIVE_IO_THREADS: Final = 4  # per drive and process, each with one buffer
DRIVE_IO_BUFFER_BYTES: Final = 1 * MIB
SHARD_FILES_OPEN_MAX: Final = 128  # per drive and process
ORPHANS_REMEMBERED_MAX: Final = 10_000
GROUP_COMMIT_OPS_MAX: Final = 256
RPC_FRAME_BYTES_MAX: Final = 8 * MIB

# A whole stripe fits into what a client may send as one chunk.
assert STRIPE_BYTES <= CHUNK_DATA_BYTES_MAX
# An inline shard fits many times into a frame, so that a page of records does too.
assert INLINE_SHARD_BYTES_MAX * 128 <= RPC_FRAME_BYTES_MAX
assert INLINE_SHARD_BYTES_MAX * KEY_ROWS_MAX * 2 <= RPC_FRAME_BYTES_MAX
assert LIST_KEYS_MAX * (KEY_BYTES_MAX + 512) <= RPC_FRAME_BYTES_MAX
# A deletion that a healer did not hear of is not forgotten before it asks again.
assert HEAL_EXAMINED_S + CALL_DEADLINE_S < TOMBSTONE_AGE_S
assert TREE_NODES_MAX * (KEY_BYTES_MAX + 512) <= RPC_FRAME_BYTES_MAX
# What is due at midnight is due by every server's clock when the pass begins.
assert LIFECYCLE_AFTER_MIDNIGHT_S >= CLOCK_DRIFT_SECONDS_MAX
# A server that went away without a word is noticed before a request has waited too long for it.
assert (PEER_SILENT_PINGS_MAX + 1) * PEER_PING_INTERVAL_S + WRITE_GIVE_UP_S <= LOST_SERVER_S
assert DRIVE_SLOW_S < DRIVE_LEFT_BEHIND_S < WRITE_STRAGGLER_S < LOST_SERVER_S
assert START_AWAITED_S <= LOST_SERVER_S < STOP_AWAITED_S
assert READ_DECISION_DEADLINE_S < CALL_DEADLINE_S < WRITE_DECISION_DEADLINE_S
assert SOLO_ASK_S < SOLO_CONFIRMED_S < SOLO_WAIT_S
assert LOST_SERVER_S + 4 * SOLO_ASK_S + SOLO_WAIT_S < SOLO_FIRST_WRITE_S
# A member that hangs is passed over before what was known has run out.
assert 2 * WITNESS_ANSWER_S + SOLO_ASK_S < SOLO_CONFIRMED_S
