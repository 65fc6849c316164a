/** Judges every vector of a file with guard.ts and prints the verdicts as JSON; the assertions are test_guard_vectors.py's. */
import { readFileSync } from "node:fs";
import { check, mayLeave, settings } from "../../router/guard.ts";
import type { Header, Options } from "../../router/guard.ts";

type Vector = Omit<Options, "now"> & { now: number; method: string; target: string; headers: Header[] };

const file = JSON.parse(readFileSync(process.argv[2], "utf8"));
const requests = file.requests.map((vector: Partial<Vector>) => {
  const { now, method, target, headers, ...options }: Vector = { ...file.defaults, ...vector };
  const { status, reason } = check(method, target, headers, settings(options), now);
  return [status, reason];
});
const outbound = file.outbound.map(({ headers }: { headers: Header[] }) =>
  headers.filter(([name, value]) => mayLeave(name, value)),
);
process.stdout.write(JSON.stringify({ requests, outbound }));
