"""Requests signed by a second SigV4 that a test can break anywhere, and botocore's."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote, unquote

from objstore.wire.request import Request, parse_request
from objstore.wire.sigv4 import Anonymous, Verified, verify

ACCESS_KEY = "AKIDEXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
REGION = "us-east-1"
NOW = 1_369_353_600  # 20130524T000000Z
STAMP = "20130524T000000Z"
EMPTY = hashlib.sha256(b"").hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"


@dataclass(frozen=True)
class Shot:
    """A request as it goes over the wire."""

    method: str = "GET"
    target: str = "/bucket/key"
    headers: tuple[tuple[str, str], ...] = (("host", "s3.test"),)

    def adding(self, *fields: tuple[str, str]) -> "Shot":
        return replace(self, headers=(*self.headers, *fields))

    def without(self, name: str) -> "Shot":
        return replace(self, headers=tuple(f for f in self.headers if f[0].lower() != name.lower()))

    def header(self, name: str) -> str:
        return next(value for key, value in self.headers if key.lower() == name.lower())

    def changing(self, name: str, old: str, new: str) -> "Shot":
        value = self.header(name)
        assert old in value
        return self.without(name).adding((name, value.replace(old, new, 1)))

    def retarget(self, old: str, new: str) -> "Shot":
        assert old in self.target
        return replace(self, target=self.target.replace(old, new, 1))

    def parse(self) -> Request:
        return parse_request(
            method=self.method,
            raw_target=self.target,
            headers=self.headers,
            domains=(),
            secure=False,
            remote="",
            request_id="",
        )


@dataclass(frozen=True)
class Signer:
    """Every field may be set wrong on purpose."""

    access_key: str = ACCESS_KEY
    secret: str = SECRET
    date: str = STAMP[:8]
    region: str = REGION
    service: str = "s3"
    terminator: str = "aws4_request"
    stamp: str = STAMP
    unsigned: tuple[str, ...] = ()
    payload: str = EMPTY

    @property
    def scope(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/{self.terminator}"

    def hmac(self, text: str) -> str:
        key = b"AWS4" + self.secret.encode()
        for step in self.scope.split("/"):
            key = hmac.digest(key, step.encode(), "sha256")
        return hmac.digest(key, text.encode(), "sha256").hex()

    def signature(self, shot: Shot, names: Sequence[str], payload: str) -> str:
        path, _, query = shot.target.partition("?")
        pairs = [item.partition("=")[::2] for item in query.split("&") if item]
        encoded = sorted((_encode(name), _encode(value)) for name, value in pairs)
        canonical = "\n".join(
            [
                shot.method,
                path,
                "&".join(f"{name}={value}" for name, value in encoded),
                *(f"{name}:{' '.join(shot.header(name).split())}" for name in names),
                "",
                ";".join(names),
                payload,
            ]
        )
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        return self.hmac(f"AWS4-HMAC-SHA256\n{self.stamp}\n{self.scope}\n{digest}")

    def sign(self, shot: Shot) -> Shot:
        if "x-amz-date" not in dict(shot.headers) and "date" not in dict(shot.headers):
            shot = shot.adding(("x-amz-date", self.stamp))
        shot = shot.adding(("x-amz-content-sha256", self.payload))
        names = sorted({name.lower() for name, _ in shot.headers} - set(self.unsigned))
        value = (
            f"AWS4-HMAC-SHA256 Credential={self.access_key}/{self.scope}, "
            f"SignedHeaders={';'.join(names)}, "
            f"Signature={self.signature(shot, names, self.payload)}"
        )
        return shot.adding(("Authorization", value))

    def presign(
        self, shot: Shot, *, expires: str = "600", more: Mapping[str, str] | None = None
    ) -> Shot:
        names = sorted({name.lower() for name, _ in shot.headers} - set(self.unsigned))
        fields = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"{self.access_key}/{self.scope}",
            "X-Amz-Date": self.stamp,
            "X-Amz-Expires": expires,
            "X-Amz-SignedHeaders": ";".join(names),
            **(more or {}),
        }
        joint = "&" if "?" in shot.target else "?"
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in fields.items())
        shot = replace(shot, target=f"{shot.target}{joint}{query}")
        payload = dict(shot.headers).get("x-amz-content-sha256", UNSIGNED)
        return replace(
            shot,
            target=f"{shot.target}&X-Amz-Signature={self.signature(shot, names, payload)}",
        )


def _encode(text: str) -> str:
    return quote(unquote(text), safe="-._~")


def check(shot: Shot, now: int = NOW) -> Verified | Anonymous:
    """Verify a request; only ACCESS_KEY is known."""
    return verify(shot.parse(), secret_of={ACCESS_KEY: SECRET}.get, region=REGION, now_s=now)
