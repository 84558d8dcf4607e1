// The AWS SDK for JavaScript: commands, streams, multipart uploads, pages, waiters, links, conditions.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import {
  CopyObjectCommand,
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  S3Client,
  paginateListObjectsV2,
  waitUntilObjectExists,
  waitUntilObjectNotExists,
} from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { run } from "./scenario.mjs";

const MIB = 1024 * 1024;
const client = new S3Client({ forcePathStyle: true, maxAttempts: 1 });

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

async function storesAndReadsObjects({ bucket, directory }) {
  const body = randomBytes(3 * MIB + 1);
  const put = await client.send(
    new PutObjectCommand({
      Bucket: bucket,
      Key: "dir/a b ü+%.bin",
      Body: body,
      ContentType: "application/x-test",
      CacheControl: "max-age=60",
      Metadata: { who: "node" },
    }),
  );
  assert.ok(put.ETag);
  assert.ok(put.ChecksumCRC32);
  const got = await client.send(new GetObjectCommand({ Bucket: bucket, Key: "dir/a b ü+%.bin" }));
  assert.equal(got.ContentType, "application/x-test");
  assert.equal(got.CacheControl, "max-age=60");
  assert.deepEqual(got.Metadata, { who: "node" });
  assert.equal(sha256(await got.Body.transformToByteArray()), sha256(body));
  const range = await client.send(
    new GetObjectCommand({ Bucket: bucket, Key: "dir/a b ü+%.bin", Range: "bytes=5-9" }),
  );
  assert.deepEqual(Buffer.from(await range.Body.transformToByteArray()), body.subarray(5, 10));
  // A file's stream is sent in signed or unsigned chunks with a trailing checksum.
  await writeFile(join(directory, "up"), body);
  await client.send(
    new PutObjectCommand({
      Bucket: bucket,
      Key: "stream",
      Body: createReadStream(join(directory, "up")),
      ContentLength: body.length,
      ChecksumAlgorithm: "CRC32C",
    }),
  );
  const head = await client.send(
    new HeadObjectCommand({ Bucket: bucket, Key: "stream", ChecksumMode: "ENABLED" }),
  );
  assert.equal(head.ContentLength, body.length);
  assert.ok(head.ChecksumCRC32C);
  await assert.rejects(
    client.send(new GetObjectCommand({ Bucket: bucket, Key: "nothing" })),
    { name: "NoSuchKey" },
  );
  await assert.rejects(client.send(new HeadObjectCommand({ Bucket: bucket, Key: "nothing" })), {
    name: "NotFound",
  });
}

async function uploadsInParts({ bucket }) {
  const body = randomBytes(17 * MIB + 5);
  let loaded = 0;
  const upload = new Upload({
    client,
    params: { Bucket: bucket, Key: "large", Body: Readable.from(pieces(body)) },
    partSize: 5 * MIB,
    queueSize: 3,
  });
  upload.on("httpUploadProgress", (progress) => (loaded = Math.max(loaded, progress.loaded)));
  const done = await upload.done();
  assert.match(done.ETag, /-4"$/);
  assert.equal(loaded, body.length);
  const got = await client.send(new GetObjectCommand({ Bucket: bucket, Key: "large" }));
  assert.equal(sha256(await got.Body.transformToByteArray()), sha256(body));
  const part = await client.send(
    new GetObjectCommand({ Bucket: bucket, Key: "large", PartNumber: 4 }),
  );
  assert.equal(part.PartsCount, 4);
  assert.equal((await part.Body.transformToByteArray()).length, 2 * MIB + 5);
}

function* pieces(body) {
  for (let start = 0; start < body.length; start += MIB) yield body.subarray(start, start + MIB);
}

async function listsCopiesAndDeletes({ bucket }) {
  const keys = Array.from({ length: 25 }, (_, n) => `list/${String(n).padStart(2, "0")} ü`);
  await Promise.all(
    keys.map((Key) => client.send(new PutObjectCommand({ Bucket: bucket, Key, Body: "x" }))),
  );
  const found = [];
  const pages = paginateListObjectsV2({ client, pageSize: 10 }, { Bucket: bucket, Prefix: "list/" });
  for await (const page of pages) found.push(...page.Contents.map((item) => item.Key));
  assert.deepEqual(found, keys);
  await client.send(
    new CopyObjectCommand({
      Bucket: bucket,
      Key: "copied",
      CopySource: `${bucket}/${encodeURIComponent(keys[0])}`,
    }),
  );
  await waitUntilObjectExists({ client, maxWaitTime: 10 }, { Bucket: bucket, Key: "copied" });
  const gone = await client.send(
    new DeleteObjectsCommand({
      Bucket: bucket,
      Delete: { Objects: [...keys, "never there"].map((Key) => ({ Key })) },
    }),
  );
  assert.equal(gone.Deleted.length, 26);
  assert.equal(gone.Errors, undefined);
  await waitUntilObjectNotExists({ client, maxWaitTime: 10 }, { Bucket: bucket, Key: keys[0] });
  await client.send(new HeadBucketCommand({ Bucket: bucket }));
}

async function sharesLinks({ bucket }) {
  const put = await getSignedUrl(
    client,
    new PutObjectCommand({ Bucket: bucket, Key: "shared", ContentType: "text/x-test" }),
    { expiresIn: 60 },
  );
  const sent = await fetch(put, {
    method: "PUT",
    body: "by a link",
    headers: { "Content-Type": "text/x-test" },
  });
  assert.equal(sent.status, 200, await sent.text());
  const get = await getSignedUrl(
    client,
    new GetObjectCommand({
      Bucket: bucket,
      Key: "shared",
      ResponseContentDisposition: 'attachment; filename="ä.txt"',
    }),
  );
  const got = await fetch(get);
  assert.equal(await got.text(), "by a link");
  assert.equal(got.headers.get("content-type"), "text/x-test");
  const forged = await fetch(get.replace("shared", "stream"));
  assert.equal(forged.status, 403);
  await forged.arrayBuffer();
}

async function letsOneOfManyWritersWin({ bucket }) {
  const claims = await Promise.allSettled(
    Array.from({ length: 8 }, (_, writer) =>
      client.send(
        new PutObjectCommand({ Bucket: bucket, Key: "lock", Body: `${writer}`, IfNoneMatch: "*" }),
      ),
    ),
  );
  const lost = claims.filter((claim) => claim.status === "rejected");
  assert.equal(lost.length, 7);
  for (const { reason } of lost)
    assert.ok(["PreconditionFailed", "ConditionalRequestConflict"].includes(reason.name), reason);
  const { ETag } = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: "lock" }));
  const next = { Bucket: bucket, Key: "lock", Body: "next", IfMatch: ETag };
  await client.send(new PutObjectCommand(next));
  await assert.rejects(client.send(new PutObjectCommand(next)), { name: "PreconditionFailed" });
  await assert.rejects(
    client.send(new GetObjectCommand({ Bucket: bucket, Key: "lock", IfMatch: ETag })),
    { name: "PreconditionFailed" },
  );
}

async function keepsVersionsAndTags({ bucket }) {
  const Bucket = `${bucket}-node`;
  await client.send(new CreateBucketCommand({ Bucket }));
  await client.send(
    new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: "Enabled" } }),
  );
  const one = await client.send(
    new PutObjectCommand({ Bucket, Key: "doc", Body: "1", Tagging: "team=blue" }),
  );
  const two = await client.send(new PutObjectCommand({ Bucket, Key: "doc", Body: "2" }));
  await client.send(new DeleteObjectCommand({ Bucket, Key: "doc" }));
  const listed = await client.send(new ListObjectVersionsCommand({ Bucket }));
  assert.deepEqual(
    listed.Versions.map((item) => item.VersionId),
    [two.VersionId, one.VersionId],
  );
  assert.equal(listed.DeleteMarkers.length, 1);
  const tags = await client.send(
    new GetObjectTaggingCommand({ Bucket, Key: "doc", VersionId: one.VersionId }),
  );
  assert.deepEqual(tags.TagSet, [{ Key: "team", Value: "blue" }]);
  for (const { VersionId } of [...listed.Versions, ...listed.DeleteMarkers])
    await client.send(new DeleteObjectCommand({ Bucket, Key: "doc", VersionId }));
  await client.send(new DeleteBucketCommand({ Bucket }));
}

await run(
  storesAndReadsObjects,
  uploadsInParts,
  listsCopiesAndDeletes,
  sharesLinks,
  letsOneOfManyWritersWin,
  keepsVersionsAndTags,
);
