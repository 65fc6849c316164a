/** @distilled.cloud/fly-io, unchanged, against localfly: each of its operations, and the error class of a refusal. */
import assert from "node:assert/strict";
import * as Fly from "@distilled.cloud/fly-io";
import { getHttpTrait } from "@distilled.cloud/core/traits";
import { Effect, Layer, Redacted } from "effect";
import { FetchHttpClient } from "effect/unstable/http";
import { selfSigned } from "./certificate.ts";
import * as told from "./told.ts";

const package_: Record<string, any> = Fly;
const offered = Object.keys(package_)
  .filter((name) => typeof package_[name] === "function" && "asEffect" in package_[name])
  .map((name) => {
    const { method, path } = getHttpTrait(package_[`${name[0].toUpperCase()}${name.slice(1)}Input`].ast)!;
    return { name, method, path };
  });
const helped = new Set<string>();
const paths = new Map(offered.map(({ name, path }) => [name, path]));

interface Sender {
  token?: string;
  /** The package has no parameter for this header. */
  nonce?: string;
  /** The package has no null in its shapes, where Fly says so of a free volume and a certificate's rate limit. */
  leavesOutNulls?: boolean;
}

/** One call of the package, without its retries: a refusal is to be seen. */
function ask(name: string, input: object, sender: Sender = {}): Promise<any> {
  const base = paths.get(name)!.startsWith("/v1/") ? told.url : `${told.url}/v1`; // CurrentTokenShow brings its own
  const apiKey = Redacted.make(sender.token ?? told.token);
  return Effect.runPromise(
    package_[name](input).pipe(
      Fly.Retry.none,
      Effect.provide(Layer.succeed(Fly.Credentials, { apiKey, apiBaseUrl: base })),
      Effect.provide(FetchHttpClient.layer),
      Effect.provideService(FetchHttpClient.Fetch, fetchFor(sender)),
    ) as Effect.Effect<unknown>,
  );
}

/** The fetch that a caller hands to the package: the place for what the package has no word for. */
function fetchFor({ nonce, leavesOutNulls }: Sender): typeof fetch {
  return async (url, init) => {
    const headers = new Headers(init?.headers);
    if (nonce !== undefined) headers.set("fly-machine-lease-nonce", nonce);
    const response = await fetch(url, { ...init, headers });
    if (!leavesOutNulls) return response;
    const body = JSON.stringify(await response.json(), (_, value) => value ?? undefined);
    return new Response(body, { status: response.status, headers: response.headers });
  };
}

/** A call that has to succeed. */
function call(name: string, input: object = {}, sender?: Sender): Promise<any> {
  if (sender?.leavesOutNulls) helped.add(name);
  return told.noted(name, ask(name, input, sender), (error: any) => /localfly does not imitate/.test(error?.message));
}

/** A call that has to be refused with this class of error and words. */
async function refused(name: string, input: object, tag: string, words: RegExp, sender?: Sender): Promise<void> {
  const error: any = await ask(name, input, sender).then(
    () => assert.fail(`${name} was not refused`),
    (error) => error,
  );
  assert.equal(error._tag, tag, String(error));
  assert.match(error.message, words);
}

const withoutNulls: Sender = { leavesOutNulls: true };
const app_name = "from-fly-io";
const org_slug = told.org;
const region = "ams";

await call("AppsCreate", { name: app_name, org_slug, network: "tenant" });
const app = await call("AppsShow", { app_name });
assert.deepEqual([app.name, app.status, app.network, app.organization.slug], [app_name, "pending", "tenant", org_slug]);
assert.equal((await call("AppsList", { org_slug })).total_apps, 1);
await refused("AppsCreate", { name: app_name, org_slug }, "UnprocessableEntity", /Name has already been taken/);
await refused("AppsShow", { app_name: "held-by-nobody" }, "NotFound", /app not found/);
await refused("AppsShow", { app_name }, "Unauthorized", /token validation error/, { token: "not-a-token" });

await told.part(async () => {
  const { token } = await call("AppCreateDeployToken", { app_name, expiry: "1h" });
  assert.equal((await ask("AppsShow", { app_name }, { token })).name, app_name);
  await refused("AppsCreate", { name: "not-mine", org_slug }, "Forbidden", /unauthorized/, { token });
});
await told.part(async () => {
  const { tokens } = await call("CurrentTokenShow");
  assert(tokens.some((each: any) => each.org_slug === org_slug && each.token_id));
});
await told.part(async () => void (await call("TokensRequestOIDC", { aud: "https://example.com" })));
await told.part(async () => void (await call("TokensRequestKms")));
await told.part(async () => {
  // On Fly these replies have their keys in PascalCase, which this package does not read: nothing else is there to see.
  assert.deepEqual(await call("PlatformRegionsGet"), {});
  assert.deepEqual(await call("PlatformPlacementsPost", { org_slug, region: "ams,fra", count: 1 }), {});
});

const ips = async () => (await call("AppIPAssignmentsList", { app_name })).ips.map((each: any) => each.ip);
assert.deepEqual(await ips(), []);
await told.part(async () => {
  const shared = await call("AppIPAssignmentsCreate", { app_name, type: "shared_v4" });
  assert.match(shared.ip, /^\d+\.\d+\.\d+\.\d+$/);
  assert.equal(shared.shared, true);
  const flycast = await call("AppIPAssignmentsCreate", { app_name, type: "private_v6", network: "tenant" });
  assert.match(flycast.ip, /^fdaa:/);
  assert.deepEqual((await ips()).sort(), [shared.ip, flycast.ip].sort());
  await refused("AppIPAssignmentsCreate", { app_name, type: "private_v6", network: "unheard-of" }, "BadRequest", /network not found/);
  await call("AppIPAssignmentsDelete", { app_name, ip: flycast.ip });
  assert.deepEqual(await ips(), [shared.ip]);
});

await told.part(async () => {
  const of = { app_name, hostname: "www.example.com" };
  const asked = await call("AppCertificatesAcmeCreate", of, withoutNulls);
  assert.deepEqual([asked.hostname, asked.acme_requested], [of.hostname, true]);
  const list = await call("AppCertificatesList", { app_name, filter: "example", limit: 10 });
  assert.deepEqual([list.total_count, list.certificates[0].hostname], [1, of.hostname]);
  assert.equal((await call("AppCertificatesShow", of, withoutNulls)).hostname, of.hostname);
  const checked = await call("AppCertificatesCheck", of, withoutNulls);
  assert.equal(typeof checked.dns_records, "object");
  await call("AppCertificatesAcmeDelete", of, withoutNulls);
  await call("AppCertificatesDelete", of);
  await refused("AppCertificatesShow", of, "NotFound", /not found/);
});
await told.part(async () => {
  const of = { app_name, hostname: "own.example.com" };
  const made = { ...of, ...selfSigned(of.hostname) };
  assert.equal((await call("AppCertificatesCustomCreate", made, withoutNulls)).certificates[0].source, "custom");
  assert.deepEqual((await call("AppCertificatesCustomDelete", of, withoutNulls)).certificates, []);
});

const first = await call("SecretCreate", { app_name, secret_name: "API_KEY", value: "one" });
assert.deepEqual([first.name, first.value], ["API_KEY", undefined]);
const both = await call("SecretsUpdate", { app_name, values: { API_KEY: "two", OTHER: "three" } });
assert.equal(both.secrets.length, 2);
const read = await call("SecretGet", { app_name, secret_name: "API_KEY" });
assert.notEqual(read.digest, first.digest);
assert.deepEqual((await call("SecretsList", { app_name })).secrets.map((each: any) => each.name).sort(), ["API_KEY", "OTHER"]);
await call("SecretDelete", { app_name, secret_name: "OTHER" });
await refused("SecretGet", { app_name, secret_name: "OTHER" }, "NotFound", /not found/);
for (const verb of ["Set", "Generate", "Get", "Encrypt", "Decrypt", "Sign", "Verify", "Delete"]) {
  await told.part(async () => void (await call(`Secretkey${verb}`, { app_name, secret_name: "SIGNER", type: "hs256" })));
}
await told.part(async () => void (await call("SecretkeysList", { app_name })));

const volume = await call("VolumesCreate", { app_name, name: "data", region, size_gb: 1, snapshot_retention: 7 }, withoutNulls);
assert.deepEqual([volume.region, volume.size_gb, volume.snapshot_retention], [region, 1, 7]);
const at = { app_name, volume_id: volume.id };
assert.equal((await call("VolumesGetById", at, withoutNulls)).name, "data");
assert.deepEqual((await call("VolumesList", { app_name }, withoutNulls)).map((each: any) => each.id), [volume.id]);
assert.equal((await call("VolumesOrgList", { org_slug, limit: 10 }, withoutNulls)).volumes[0].app_name, app_name);
assert.equal((await call("VolumesExtend", { ...at, size_gb: 3 }, withoutNulls)).volume.size_gb, 3);
await told.part(async () => {
  const changed = await call("VolumesUpdate", { ...at, snapshot_retention: 9, auto_backup_enabled: false }, withoutNulls);
  assert.deepEqual([changed.snapshot_retention, changed.auto_backup_enabled], [9, false]);
});
await told.part(async () => {
  await call("createVolumeSnapshot", at);
  const [snapshot] = await call("VolumesListSnapshots", at);
  assert.match(snapshot.id, /^vs_/);
});

const config = {
  ...told.guest,
  metadata: { color: "green" },
  mounts: [{ volume: volume.id, path: "/data" }],
  restart: { policy: "on-failure", max_retries: 2 },
  services: [
    { protocol: "tcp", internal_port: 8080, ports: [{ port: 80, handlers: ["http"] }], concurrency: { type: "requests", soft_limit: 20 } },
  ],
  stop_config: { signal: "SIGTERM", timeout: "2s" },
};
const machine = await call("MachinesCreate", { app_name, name: "web", region, config, lease_ttl: 60 });
assert.deepEqual([machine.name, machine.region, machine.config.metadata], ["web", region, { color: "green" }]);
const of = { app_name, machine_id: machine.id };
const nonce: string = machine.nonce;

// A lease's reply is wrapped on Fly, and this package reads the flat form of Fly's own schema: it sees no field of it.
assert.deepEqual(await call("MachinesShowLease", of), {});
await refused("MachinesCreateLease", of, "Conflict", new RegExp(`${machine.id} lease currently held by`));
assert.deepEqual(await call("MachinesCreateLease", { ...of, ttl: 90 }, { nonce }), {});
assert.equal((await call("MachinesWait", { ...of, state: "started", timeout: 20 })).ok, true);
await refused("MachinesStop", of, "Conflict", /^aborted: .*lease currently held by/);
await call("MachinesReleaseLease", of, { nonce });
await refused("MachinesShowLease", of, "NotFound", /lease not found/);

await refused("MachinesCreate", { app_name, name: "web", config: told.guest }, "Conflict", new RegExp(`machine ID ${machine.id} already exists`));
await refused("MachinesWait", { ...of, timeout: 61 }, "BadRequest", /inside range \[1s, 1m0s\]/);
await refused("MachinesShow", { app_name, machine_id: "00000000000000" }, "NotFound", /machine not found/);
assert.equal((await call("MachinesShow", of)).state, "started");
assert.deepEqual((await call("MachinesList", { app_name, state: "started", region })).map((each: any) => each.id), [machine.id]);
const page = await call("MachinesOrgList", { org_slug, limit: 1 });
assert.deepEqual([page.machines[0].id, page.machines[0].version], [machine.id, machine.instance_id]);
assert.deepEqual(page.machines[0].config.metadata, { color: "green" });

assert.deepEqual(await call("MachinesShowMetadata", of), { color: "green" });
await call("MachinesUpsertMetadata", { ...of, key: "shape", value: "round" });
assert.equal((await call("MachinesGetMetadataKey", { ...of, key: "shape" })).value, "round");
await call("MachinesUpdateMetadata", { ...of, metadata: { color: "blue" }, machine_version: machine.instance_id });
await call("MachinesDeleteMetadata", { ...of, key: "shape" });
assert.deepEqual(await call("MachinesShowMetadata", of), { color: "blue" });
await refused("MachinesGetMetadataKey", { ...of, key: "shape" }, "NotFound", /./);

await told.part(async () => {
  const done = await call("MachinesExec", { ...of, command: ["sh", "-c", "echo $FLY_MACHINE_ID; exit 3"], timeout: 10 });
  assert.deepEqual([done.stdout.trim(), done.exit_code], [machine.id, 3]);
});
await told.part(async () => {
  const processes = await call("MachinesListProcesses", { ...of, sort_by: "pid", order: "asc" });
  assert(processes.length > 0 && processes.every((each: any) => each.pid > 0));
});
await told.part(async () => {
  assert.equal((await call("MachinesGetMemory", of)).limit_mb, 256);
  assert.equal((await call("MachinesSetMemoryLimit", { ...of, limit_mb: 200 })).limit_mb, 200);
  assert.equal(typeof (await call("MachinesReclaimMemory", { ...of, amount_mb: 10 })).actual_mb, "number");
});
await told.part(async () => {
  await call("MachinesCordon", of);
  await call("MachinesUncordon", of);
});
await told.part(async () => void (await call("MachinesSignal", { ...of, signal: "SIGUSR1" })));

const after = await call("MachinesUpdate", { ...of, config: { ...config, env: { A: "2" } } });
assert.notEqual(after.instance_id, machine.instance_id);
assert.equal((await call("MachinesWait", { ...of, state: "settled", version: after.instance_id })).ok, true);
const versions = await call("MachinesListVersions", of);
assert.deepEqual(versions.map((each: any) => each.version), [after.instance_id, machine.instance_id]);
assert.equal((await call("MachinesListEvents", { ...of, limit: 50 })).at(-1).type, "update");

await told.part(async () => {
  await call("MachinesRestart", of);
  await call("MachinesWait", { ...of, state: "started" });
});
await told.part(async () => {
  await call("MachinesSuspend", of);
  await call("MachinesWait", { ...of, state: "suspended" });
  await told.until("it resumes", () => ask("MachinesStart", of).then(() => true));
  await call("MachinesWait", { ...of, state: "started" });
});
await call("MachinesStop", { ...of, signal: "SIGINT", timeout: "1s" });
await call("MachinesWait", { ...of, state: "stopped", version: after.instance_id });
await told.until("the start is accepted", () => call("MachinesStart", of).then(() => true));
await call("MachinesWait", { ...of, state: "started" });
await refused("MachinesDelete", of, "UnknownFlyIoError", /failed_precondition: unable to destroy machine/);
await call("MachinesStop", of); // `force` is a word of the query on Fly, and this package sends it in a body
await call("MachinesWait", { ...of, state: "stopped" });
await call("MachinesDelete", of);
await told.until("its volume is free", () => call("VolumeDelete", at, withoutNulls).then(() => true));

await call("AppsDelete", { app_name });
await told.until("the app is gone", () => ask("AppsShow", { app_name }).then(() => false, (error) => error._tag === "NotFound"));

told.print(offered, { without_nulls: [...helped].sort() });
