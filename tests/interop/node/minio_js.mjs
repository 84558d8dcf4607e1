// minio-js: streams and files, listing, composing, links, forms, tags, versions.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import * as minio from "minio";
import { run } from "./scenario.mjs";

const MIB = 1024 * 1024;

function connect({ host, port, accessKey, secretKey, region }) {
  return new minio.Client({
    endPoint: host,
    port,
    useSSL: false,
    accessKey,
    secretKey,
    region,
    partSize: 5 * MIB,
  });
}

async function all(stream) {
  const items = [];
  for await (const item of stream) items.push(item);
  return items;
}

async function storesFilesAndStreams(target) {
  const client = connect(target);
  const { bucket, directory } = target;
  const body = randomBytes(12 * MIB + 3);
  await writeFile(join(directory, "up"), body);
  await client.fPutObject(bucket, "dir/a b ü.bin", join(directory, "up"), {
    "Content-Type": "application/x-test",
    "X-Amz-Meta-Who": "minio-js",
  });
  await client.fGetObject(bucket, "dir/a b ü.bin", join(directory, "down"));
  assert.ok(body.equals(await readFile(join(directory, "down"))));
  const stat = await client.statObject(bucket, "dir/a b ü.bin");
  assert.equal(stat.size, body.length);
  assert.equal(stat.metaData["content-type"], "application/x-test");
  assert.equal(stat.metaData.who, "minio-js");
  await client.putObject(bucket, "stream", Readable.from([body.subarray(0, MIB), body.subarray(MIB)]));
  assert.ok(body.equals(await buffer(await client.getObject(bucket, "stream"))));
  const part = await buffer(await client.getPartialObject(bucket, "stream", 5 * MIB, 7));
  assert.ok(body.subarray(5 * MIB, 5 * MIB + 7).equals(part));
  await assert.rejects(client.statObject(bucket, "nothing"), { code: "NotFound" });
}

async function listsAndRemoves(target) {
  const client = connect(target);
  const { bucket } = target;
  const names = Array.from({ length: 12 }, (_, n) => `list/${"abc"[n % 3]}/${n} ü`).sort();
  for (const name of names) await client.putObject(bucket, name, "x");
  const level = await all(client.listObjectsV2(bucket, "list/", false));
  assert.deepEqual(level.map((item) => item.prefix), ["list/a/", "list/b/", "list/c/"]);
  for (const list of [client.listObjectsV2(bucket, "list/", true), client.listObjects(bucket, "list/", true)])
    assert.deepEqual((await all(list)).map((item) => item.name), names);
  await client.removeObjects(bucket, names);
  assert.deepEqual(await all(client.listObjectsV2(bucket, "list/", true)), []);
  assert.ok((await client.listBuckets()).some((item) => item.name === bucket));
}

async function copiesAndComposes(target) {
  const client = connect(target);
  const { bucket } = target;
  const first = randomBytes(5 * MIB);
  await client.putObject(bucket, "first", first);
  await client.putObject(bucket, "second", "end");
  await client.composeObject(
    new minio.CopyDestinationOptions({ Bucket: bucket, Object: "both" }),
    ["first", "second"].map((name) => new minio.CopySourceOptions({ Bucket: bucket, Object: name })),
  );
  const both = await buffer(await client.getObject(bucket, "both"));
  assert.ok(Buffer.concat([first, Buffer.from("end")]).equals(both));
  await client.copyObject(bucket, "copied", `/${bucket}/second`);
  assert.equal((await buffer(await client.getObject(bucket, "copied"))).toString(), "end");
}

async function sharesLinksAndForms(target) {
  const client = connect(target);
  const { bucket } = target;
  const put = await client.presignedPutObject(bucket, "shared", 60);
  assert.equal((await fetch(put, { method: "PUT", body: "by a link" })).status, 200);
  const get = await client.presignedGetObject(bucket, "shared", 60, {
    "response-content-type": "text/x-test",
  });
  const got = await fetch(get);
  assert.equal(got.headers.get("content-type"), "text/x-test");
  assert.equal(await got.text(), "by a link");
  const policy = client.newPostPolicy();
  policy.setBucket(bucket);
  policy.setKey("form/one");
  policy.setExpires(new Date(Date.now() + 60_000));
  policy.setContentType("text/plain");
  policy.setContentLengthRange(1, 100);
  const { postURL, formData } = await client.presignedPostPolicy(policy);
  const form = new FormData();
  for (const [name, value] of Object.entries(formData)) form.append(name, value);
  form.append("file", new Blob(["in a form"]), "one.txt");
  const sent = await fetch(postURL, { method: "POST", body: form });
  assert.equal(sent.status, 204, await sent.text());
  assert.equal((await buffer(await client.getObject(bucket, "form/one"))).toString(), "in a form");
}

async function keepsVersionsAndTags(target) {
  const client = connect(target);
  const bucket = `${target.bucket}-minio`;
  await client.makeBucket(bucket);
  await client.setBucketVersioning(bucket, { Status: "Enabled" });
  const one = await client.putObject(bucket, "doc", "1");
  const two = await client.putObject(bucket, "doc", "2");
  await client.setObjectTagging(bucket, "doc", { team: "blue" }, { versionId: one.versionId });
  assert.deepEqual(await client.getObjectTagging(bucket, "doc", { versionId: one.versionId }), [
    { Key: "team", Value: "blue" },
  ]);
  await client.removeObject(bucket, "doc");
  const versions = await all(client.listObjects(bucket, "", true, { IncludeVersion: true }));
  const isMarker = (item) => Boolean(item.isDeleteMarker);
  assert.equal(versions.filter(isMarker).length, 1);
  assert.deepEqual(
    versions.filter((item) => !isMarker(item)).map((item) => item.versionId),
    [two.versionId, one.versionId],
  );
  const old = await client.getObject(bucket, "doc", { versionId: one.versionId });
  assert.equal((await buffer(old)).toString(), "1");
  await client.removeObjects(
    bucket,
    versions.map((item) => ({ name: "doc", versionId: item.versionId })),
  );
  await client.removeBucket(bucket);
}

await run(
  storesFilesAndStreams,
  listsAndRemoves,
  copiesAndComposes,
  sharesLinksAndForms,
  keepsVersionsAndTags,
);
