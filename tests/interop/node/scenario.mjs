// Run what a client's users do, one scenario after another, and say how each went.
//
//   node NAME.mjs BUCKET     with AWS's variables in the environment
//
// The exit code is 1 if a scenario failed; the others have run all the same.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export async function run(...scenarios) {
  const directory = await mkdtemp(join(tmpdir(), "interop-"));
  const endpoint = new URL(process.env.AWS_ENDPOINT_URL);
  const target = {
    endpoint: endpoint.origin,
    host: endpoint.hostname,
    port: Number(endpoint.port),
    bucket: process.argv[2],
    accessKey: process.env.AWS_ACCESS_KEY_ID,
    secretKey: process.env.AWS_SECRET_ACCESS_KEY,
    region: process.env.AWS_REGION,
    directory, // empty, for files
  };
  let failed = 0;
  for (const scenario of scenarios) failed += !(await succeeds(scenario, target));
  await rm(directory, { recursive: true });
  process.exit(failed ? 1 : 0);
}

async function succeeds(scenario, target) {
  const started = performance.now();
  try {
    await scenario(target);
  } catch (problem) {
    console.log(`FAILED ${scenario.name}\n${problem.stack ?? problem}\n${describe(problem)}`);
    return false;
  }
  console.log(`passed ${scenario.name} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
  return true;
}

function describe(problem) {
  return JSON.stringify({ name: problem.name, code: problem.code, metadata: problem.$metadata });
}
