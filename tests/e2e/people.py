"""Identities of a real cluster, their buckets, and a call of every operation there is.

`ROWS` has what each served operation is called with on a bucket of Alice's; a new operation
without a row fails a test.
"""

import json
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import boto3
import urllib3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from urllib3.filepost import encode_multipart_formdata

from objstore.iam.identities import Identity
from tests.e2e.content import fresh_name
from tests.e2e.credentials import ACCESS_KEY
from tests.e2e.raw_http import Answer
from tests.e2e.running import Cluster, S3Client

ROOT = Identity(ACCESS_KEY, "", root=True)
ALICE = Identity("alice-key", "the secret of alice", "Alice", "a1" * 32, "alice@example.com")
BOB = Identity("bob-key", "the secret of bob")
SECTIONS = f"""
[[identities]]
access_key = "{ALICE.access_key}"
secret_key = "{ALICE.secret}"
display_name = "{ALICE.display_name}"
canonical_id = "{ALICE.canonical_id}"
email = "{ALICE.email}"

[[identities]]
access_key = "{BOB.access_key}"
secret_key_file = "bob.secret"
"""


def client_of(cluster: Cluster, who: Identity, server: int = 0, service: str = "s3") -> S3Client:
    return cluster.client(server, access_key=who.access_key, secret_key=who.secret, service=service)


def unsigned(client: S3Client) -> S3Client:
    """Return a client that signs nothing."""
    return boto3.client(
        "s3",
        endpoint_url=client.meta.endpoint_url,
        region_name=client.meta.region_name,
        config=Config(
            signature_version=UNSIGNED,
            s3={"addressing_style": "path"},
            retries={"total_max_attempts": 1},
        ),
    )


@dataclass(frozen=True)
class Scene:
    """A bucket with an object `key`, another `gone`, and an upload of `upload`."""

    owner: S3Client
    bucket: str
    upload_id: str
    copied: str  # what copies read: bucket/key

    def stored(self) -> dict[str, Any]:
        """Return all that refused requests must not change."""
        objects = self.owner.list_object_versions(Bucket=self.bucket)
        uploads = self.owner.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])
        tags = self.owner.get_object_tagging(Bucket=self.bucket, Key="key")["TagSet"]
        return {
            "objects": {one["Key"]: one["ETag"] for one in objects.get("Versions", [])},
            "uploads": [one["UploadId"] for one in uploads],
            "tags": tags,
            "acl": self.owner.get_bucket_acl(Bucket=self.bucket)["Grants"],
            "versioning": self.owner.get_bucket_versioning(Bucket=self.bucket).get("Status"),
        }


def new_scene(owner: S3Client, copied: str, name: str = "", **creation: Any) -> Scene:
    bucket = name or fresh_name("scene")
    owner.create_bucket(Bucket=bucket, **creation)
    for key in ("key", "gone"):
        owner.put_object(Bucket=bucket, Key=key, Body=b"what is there", Tagging="a=b")
    upload = owner.create_multipart_upload(Bucket=bucket, Key="upload")
    return Scene(owner, bucket, upload["UploadId"], copied)


Arguments = Callable[[Scene], Mapping[str, Any]]


def bucket(**more: Any) -> Arguments:
    return lambda scene: {"Bucket": scene.bucket, **more}


def key(name: str = "key", /, **more: Any) -> Arguments:
    return lambda scene: {"Bucket": scene.bucket, "Key": name, **more}


def upload(**more: Any) -> Arguments:
    return lambda scene: {
        "Bucket": scene.bucket,
        "Key": "upload",
        "UploadId": scene.upload_id,
        **more,
    }


def copying(arguments: Arguments) -> Arguments:
    return lambda scene: {**arguments(scene), "CopySource": scene.copied}


TAGS = {"Tagging": {"TagSet": [{"Key": "new", "Value": "tag"}]}}
PARTS = {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": "0" * 32}]}}
DELETED = {"Delete": {"Objects": [{"Key": "gone"}]}}
OPEN_ALL = {
    "BlockPublicAcls": False,
    "IgnorePublicAcls": False,
    "BlockPublicPolicy": False,
    "RestrictPublicBuckets": False,
}


ENCRYPTED = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
# What those have in them of which a bucket may have many.
FAMILIES: dict[str, dict[str, Any]] = {
    "Analytics": {"StorageClassAnalysis": {}},
    "IntelligentTiering": {"Status": "Enabled", "Tierings": []},
    "Inventory": {
        "Destination": {"S3BucketDestination": {"Bucket": "arn:aws:s3:::b", "Format": "CSV"}},
        "IsEnabled": True,
        "IncludedObjectVersions": "All",
        "Schedule": {"Frequency": "Daily"},
    },
    "Metrics": {},
}
# Answers of status 403: nothing is in an archive, so nothing can be restored from one.
_FORBIDDEN = {"AccessDenied", "InvalidObjectState"}


def _policy(scene: Scene) -> Mapping[str, Any]:
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{scene.bucket}/*",
    }
    return {"Bucket": scene.bucket, "Policy": json.dumps({"Statement": [statement]})}


# What each operation is called with. In this order everything that is needed stays in place.
ROWS: dict[str, Arguments] = {
    "HeadBucket": bucket(),
    "GetBucketLocation": bucket(),
    "ListObjects": bucket(),
    "ListObjectsV2": bucket(),
    "ListObjectVersions": bucket(),
    "ListMultipartUploads": bucket(),
    "PutObject": key("new", Body=b"x"),
    "PostObject": key("new"),
    "GetObject": key(),
    "HeadObject": key(),
    "GetObjectAttributes": key(ObjectAttributes=["ETag"]),
    "CopyObject": copying(key("copy")),
    "CreateMultipartUpload": key("another"),
    "UploadPart": upload(PartNumber=1, Body=b"x"),
    "UploadPartCopy": copying(upload(PartNumber=1)),
    "ListParts": upload(),
    "CompleteMultipartUpload": upload(**PARTS),
    "AbortMultipartUpload": upload(),
    "DeleteObject": key("gone"),
    "DeleteObjects": bucket(**DELETED),
    "DeleteBucket": bucket(),
    "GetBucketVersioning": bucket(),
    "PutBucketVersioning": bucket(VersioningConfiguration={"Status": "Enabled"}),
    "GetBucketAcl": bucket(),
    "PutBucketAcl": bucket(ACL="public-read"),
    "GetObjectAcl": key(),
    "PutObjectAcl": key(ACL="public-read"),
    "GetBucketTagging": bucket(),
    "PutBucketTagging": bucket(**TAGS),
    "DeleteBucketTagging": bucket(),
    "GetObjectTagging": key(),
    "PutObjectTagging": key(**TAGS),
    "DeleteObjectTagging": key(),
    "GetBucketPolicy": bucket(),
    "GetBucketPolicyStatus": bucket(),
    "PutBucketPolicy": _policy,
    "DeleteBucketPolicy": bucket(),
    "GetBucketCors": bucket(),
    "GetBucketEncryption": bucket(),
    "GetBucketLifecycleConfiguration": bucket(),
    "GetBucketLogging": bucket(),
    "GetBucketNotificationConfiguration": bucket(),
    "GetBucketOwnershipControls": bucket(),
    "PutBucketOwnershipControls": bucket(
        OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    ),
    "DeleteBucketOwnershipControls": bucket(),
    "GetPublicAccessBlock": bucket(),
    "PutPublicAccessBlock": bucket(PublicAccessBlockConfiguration=OPEN_ALL),
    "DeletePublicAccessBlock": bucket(),
    "GetBucketReplication": bucket(),
    "GetBucketRequestPayment": bucket(),
    "GetBucketWebsite": bucket(),
    "GetBucketAccelerateConfiguration": bucket(),
    "GetObjectLockConfiguration": bucket(),
    "PutObjectLockConfiguration": bucket(ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"}),
    "GetObjectRetention": key(),
    "PutObjectRetention": key(Retention={"Mode": "GOVERNANCE", "RetainUntilDate": "2099-01-01"}),
    "GetObjectLegalHold": key(),
    "PutObjectLegalHold": key(LegalHold={"Status": "ON"}),
    "PutBucketCors": bucket(
        CORSConfiguration={"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]}
    ),
    "PutBucketLifecycleConfiguration": bucket(
        LifecycleConfiguration={
            "Rules": [
                {"Filter": {"Prefix": "x"}, "Status": "Enabled", "Expiration": {"Days": 9999}}
            ]
        }
    ),
    "PutBucketEncryption": bucket(ServerSideEncryptionConfiguration={"Rules": [ENCRYPTED]}),
    "PutBucketNotificationConfiguration": bucket(NotificationConfiguration={}),
    "PutBucketLogging": bucket(BucketLoggingStatus={}),
    "PutBucketWebsite": bucket(WebsiteConfiguration={"IndexDocument": {"Suffix": "i"}}),
    "PutBucketReplication": bucket(ReplicationConfiguration={"Role": "r", "Rules": []}),
    "PutBucketRequestPayment": bucket(RequestPaymentConfiguration={"Payer": "BucketOwner"}),
    "PutBucketAccelerateConfiguration": bucket(AccelerateConfiguration={"Status": "Suspended"}),
    "GetBucketAbac": bucket(),
    "PutBucketAbac": bucket(AbacStatus={"Status": "Disabled"}),
    "GetBucketMetadataConfiguration": bucket(),
    "DeleteBucketMetadataConfiguration": bucket(),
    "GetBucketMetadataTableConfiguration": bucket(),
    "DeleteBucketMetadataTableConfiguration": bucket(),
    "GetObjectAnnotation": key(AnnotationName="a"),
    "ListObjectAnnotations": key(),
    "DeleteObjectAnnotation": key(AnnotationName="a"),
    "RestoreObject": key(RestoreRequest={"Days": 1}),
}
ROWS |= {f"DeleteBucket{name}": bucket() for name in ("Cors", "Lifecycle", "Encryption")}
ROWS |= {f"DeleteBucket{name}": bucket() for name in ("Website", "Replication")}
for _family, _configuration in FAMILIES.items():
    ROWS[f"ListBucket{_family}Configurations"] = bucket()
    for _verb in ("Get", "Delete"):
        ROWS[f"{_verb}Bucket{_family}Configuration"] = bucket(Id="one")
    ROWS[f"PutBucket{_family}Configuration"] = bucket(
        Id="one", **{f"{_family}Configuration": {"Id": "one", **_configuration}}
    )
OF_NO_BUCKET = {"ListBuckets", "CreateBucket"}


def code_of(client: S3Client, operation: str, arguments: Mapping[str, Any]) -> str:
    """Return the code of the refusal, "" when it is answered."""
    if operation == "PostObject":
        return post(client, arguments).code
    try:
        client._make_api_call(operation, dict(arguments))
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        # The answer to a HEAD has no document, so its code is the status.
        code = error.response["Error"]["Code"].replace("403", "AccessDenied")
        assert (code in _FORBIDDEN) == (status == 403)
        return str(code)
    return ""


def post(client: S3Client, arguments: Mapping[str, Any]) -> Answer:
    """Post a form, which a client that signs nothing does not sign; more arguments are fields."""
    named = {"ExpectedBucketOwner": "x-amz-expected-bucket-owner", "ACL": "acl"}
    more = {named[name]: value for name, value in arguments.items() if name in named}
    fields = {"key": arguments["Key"], **more}
    if client.meta.config.signature_version is not UNSIGNED:
        made = client.generate_presigned_post(
            arguments["Bucket"],
            arguments["Key"],
            Fields=more,
            Conditions=[{name: value} for name, value in more.items()],
        )
        fields = made["fields"]
    body, content_type = encode_multipart_formdata({**fields, "file": ("name", b"data")})
    url = urllib.parse.urljoin(client.meta.endpoint_url, f"/{arguments['Bucket']}")
    answer = urllib3.request("POST", url, body=body, headers={"Content-Type": content_type})
    return Answer(answer.status, dict(answer.headers), answer.data)
