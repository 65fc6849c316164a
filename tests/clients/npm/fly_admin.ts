/** fly-admin, unchanged, against localfly: each of its REST calls, and what it makes of a refusal. */
import assert from "node:assert/strict";
import module from "fly-admin/dist/client.js";
import * as told from "./told.ts";

const client = new module.default(told.token, { apiUrl: told.url });
const resources = Object.entries(client).filter(([, value]) => typeof value === "object");
const offered = resources.flatMap(([noun, resource]) =>
  Object.getOwnPropertyNames(Object.getPrototypeOf(resource))
    .filter((verb) => verb !== "constructor" && !resource[verb].toString().includes("gqlPostOrThrow"))
    .map((verb) => `${noun}.${verb}`),
);

/** The client itself; its calls are noted by name. */
const fly: any = Object.fromEntries(
  resources.map(([noun, resource]) => [
    noun,
    new Proxy(resource, {
      get: (_, verb: string) => (input: unknown) =>
        told.noted(`${noun}.${verb}`, resource[verb](input), (error) => /^Error: 501: /.test(String(error))),
    }),
  ]),
);

const app_name = "from-fly-admin";
const region = "ams";

await fly.App.createApp({ org_slug: told.org, app_name, network: "tenant" });
assert.equal((await fly.App.getApp(app_name)).status, "pending");
const apps = await fly.App.listApps(told.org);
assert.deepEqual([apps.total_apps, apps.apps[0].name, apps.apps[0].network], [1, app_name, "tenant"]);
await assert.rejects(fly.App.createApp({ org_slug: told.org, app_name }), /^Error: 422: .*"name_taken"/);
await assert.rejects(fly.App.getApp("held-by-nobody"), /^Error: 404: .*app not found/);
const stranger: any = new module.default("not-a-token", { apiUrl: told.url });
await assert.rejects(stranger.App.getApp(app_name), /^Error: 401: /);

const volume = await fly.Volume.createVolume({ app_name, name: "data", region, size_gb: 1 });
assert.deepEqual([volume.name, volume.size_gb, volume.attached_machine_id], ["data", 1, null]);
const at = { app_name, volume_id: volume.id };
assert.equal((await fly.Volume.getVolume(at)).id, volume.id);
assert.deepEqual((await fly.Volume.listVolumes(app_name)).map((each: any) => each.id), [volume.id]);
assert.equal((await fly.Volume.extendVolume({ ...at, size_gb: 2 })).volume.size_gb, 2);
await told.part(async () => assert.deepEqual(await fly.Volume.listSnapshots(at), []));

const config = { ...told.guest, env: { A: "1" }, mounts: [{ volume: volume.id, path: "/data" }] };
const machine = await fly.Machine.createMachine({ app_name, name: "web", region, config });
assert.deepEqual([machine.name, machine.region, machine.config.env], ["web", region, { A: "1" }]);
const of = { app_name, machine_id: machine.id };
const reads = async (state: string) =>
  told.until(`the machine reads ${state}`, async () => (await fly.Machine.getMachine(of)).state === state);

assert.equal((await fly.Machine.waitMachine({ ...of, state: "started", timeout: "20s" })).ok, true);
await assert.rejects(fly.Machine.createMachine({ app_name, name: "web", config: told.guest }), /^Error: 409: .*already_exists/);
await assert.rejects(fly.Machine.waitMachine({ ...of, timeout: "61" }), /^Error: 400: .*inside range \[1s, 1m0s\]/);
await assert.rejects(fly.Machine.deleteMachine(of), /^Error: 412: .*unable to destroy machine/);
await assert.rejects(fly.Volume.deleteVolume(at), new RegExp(`^Error: 412: .*bound to machine: ${machine.id}`));
assert.equal((await fly.Machine.listMachines(app_name)).length, 1);
assert.equal((await fly.Machine.listMachines({ app_name, region: "nrt" })).length, 0);
const events = await fly.Machine.listEvents(of);
assert.deepEqual([events.at(-1).type, events.at(-1).status, events.at(-1).source], ["launch", "created", "user"]);

const after = await fly.Machine.updateMachine({ ...of, config: { ...config, env: { A: "2" } } });
assert.notEqual(after.instance_id, machine.instance_id);
await fly.Machine.waitMachine({ ...of, instance_id: after.instance_id, state: "started" });
const versions = await fly.Machine.listVersions(of);
assert.deepEqual(versions.map((each: any) => each.version), [after.instance_id, machine.instance_id]);
assert.equal(versions[1].user_config.env.A, "1");

await told.part(async () => {
  const processes = await fly.Machine.listProcesses({ ...of, sort_by: "pid", order: "asc" });
  assert(processes.length > 0 && processes.every((each: any) => each.pid > 0 && each.command));
});
await told.part(async () => {
  assert.equal((await fly.Machine.cordonMachine(of)).ok, true);
  assert.equal((await fly.Machine.getMachine(of)).cordoned, true);
  await fly.Machine.uncordonMachine(of);
  assert.equal((await fly.Machine.getMachine(of)).cordoned, false);
});
await told.part(async () => {
  assert.equal((await fly.Machine.restartMachine(of)).ok, true);
  await reads("started");
  assert.equal((await fly.Machine.getMachine(of)).instance_id, after.instance_id);
});
await told.part(async () => {
  assert.equal((await fly.Machine.signalMachine({ ...of, signal: "SIGUSR1" })).ok, true);
});
await fly.Machine.stopMachine(of);
await fly.Machine.waitMachine({ ...of, instance_id: after.instance_id, state: "stopped" });
const started = await told.until("the start is accepted", () => fly.Machine.startMachine(of));
assert.equal((started as any).previous_state, "stopped");
await reads("started");

const lease = await fly.Machine.acquireLease({ ...of, ttl: 30 });
assert.deepEqual([lease.status, lease.data.version], ["success", after.instance_id]);
assert.equal((await fly.Machine.getLease(of)).data.owner, lease.data.owner);
await assert.rejects(fly.Machine.stopMachine(of), new RegExp(`^Error: 409: .*${machine.id} lease currently held by`));

// It cannot release a lease, so another machine shows the end of one, and the app's deletion that of the rest.
const other = await fly.Machine.createMachine({ app_name, config: told.guest, skip_launch: true });
const gone = { app_name, machine_id: other.id };
assert.equal((await fly.Machine.deleteMachine({ ...gone, force: true })).ok, true);
await told.until("it is destroyed", async () => (await fly.Machine.getMachine(gone)).state === "destroyed");
assert.equal((await fly.Machine.listMachines(app_name)).length, 1);
assert.equal((await fly.Machine.listMachines({ app_name, include_deleted: "" })).length, 2);
const spare = await fly.Volume.createVolume({ app_name, name: "data", region });
assert.equal((await fly.Volume.deleteVolume({ app_name, volume_id: spare.id })).id, spare.id);

const brief = "from-fly-admin-brief";
await fly.App.createApp({ org_slug: told.org, app_name: brief });
assert.equal(await fly.App.deleteApp(brief), undefined);
await told.until("the app is gone", () => fly.App.getApp(brief).then(() => false, () => true));

told.print(offered);
