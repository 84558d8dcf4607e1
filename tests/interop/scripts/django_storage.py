"""django-storages: uploaded files and static files of a Django site."""

import json
import os

import boto3
import django
import requests
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import call_command

from tests.interop.scripts.scenario import Target, run

MIB = 1024 * 1024


def _configure(target: Target) -> None:
    options = {
        "bucket_name": target.bucket,
        "endpoint_url": target.endpoint,
        "access_key": target.access_key,
        "secret_key": target.secret_key,
        "region_name": target.region,
        "addressing_style": "path",
        "signature_version": "s3v4",
    }
    static = target.directory / "static"
    (static / "css").mkdir(parents=True)
    (static / "css" / "site.css").write_text("body { background: url('../logo.svg') }\n" * 100)
    (static / "logo.svg").write_text("<svg/>")
    settings.configure(
        INSTALLED_APPS=["django.contrib.staticfiles"],
        SECRET_KEY="of this test",
        STATIC_URL="static/",
        STATICFILES_DIRS=[static],
        STORAGES={
            "default": {
                "BACKEND": "storages.backends.s3.S3Storage",
                "OPTIONS": options
                | {"location": "media", "file_overwrite": False, "default_acl": "private"},
            },
            "staticfiles": {
                "BACKEND": "storages.backends.s3.S3ManifestStaticStorage",
                "OPTIONS": options | {"location": "static", "gzip": True},
            },
        },
    )
    django.setup()


def keeps_uploaded_files(target: Target) -> None:
    _configure(target)
    media = storages["default"]
    data = os.urandom(9 * MIB)
    name = media.save("reports/März 2026.bin", ContentFile(data))
    assert (name, media.size(name)) == ("reports/März 2026.bin", len(data))
    assert media.exists(name)
    with media.open(name) as file:
        assert file.read() == data
    other = media.save("reports/März 2026.bin", ContentFile(b"another"))
    assert other != name
    assert sorted(media.listdir("reports")[1]) == sorted(
        item.rpartition("/")[2] for item in (name, other)
    )
    assert requests.get(media.url(other), timeout=10).content == b"another"
    assert requests.get(media.url(other).partition("?")[0], timeout=10).status_code == 403
    assert media.get_modified_time(other).tzinfo
    with media.open("log.txt", "w") as file:
        file.write("line one\n")
        file.write("line two\n")
    with media.open("log.txt", "r") as file:
        assert file.read() == "line one\nline two\n"
    for item in (name, other, "log.txt"):
        media.delete(item)
        assert not media.exists(item)


def collects_static_files(target: Target) -> None:
    """Static files are public: their URLs carry no signature; a bucket policy allows it."""
    s3 = boto3.client("s3")
    s3.delete_public_access_block(Bucket=target.bucket)
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{target.bucket}/static/*",
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    s3.put_bucket_policy(Bucket=target.bucket, Policy=json.dumps(policy))
    call_command("collectstatic", interactive=False, verbosity=0)
    static = storages["staticfiles"]
    url = static.url("css/site.css")
    assert "?" not in url
    assert "/site." in url
    answer = requests.get(url, timeout=10)
    assert answer.headers["Content-Type"].startswith("text/css"), answer.text
    assert answer.headers["Content-Encoding"] == "gzip"
    assert ".svg" in answer.text
    private = f"{target.endpoint}/{target.bucket}/media/anything"
    assert requests.get(private, timeout=10).status_code == 403
    call_command("collectstatic", interactive=False, verbosity=0, clear=True)
    assert static.exists("staticfiles.json")


run(keeps_uploaded_files, collects_static_files)
