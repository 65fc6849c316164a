/**
 * What a client's script needs to know and tells: where localfly is, what was driven, what localfly does not imitate.
 *
 * A script ends with `told.print(...)`, one JSON line; anything it finds wrong ends it with an error instead.
 */
import assert from "node:assert/strict";

export const url = need("LOCALFLY_URL");
export const token = need("LOCALFLY_TOKEN");
export const org = need("LOCALFLY_ORG");
export const guest = { image: "registry.fly.io/guest:v1", guest: { cpu_kind: "shared", cpus: 1, memory_mb: 256 } };

const driven = new Set<string>();
const unimitated = new Set<string>();
const PATIENCE_MS = 10_000;
const POLL_MS = 30;

/** Note that an operation succeeded, or that localfly said by name that it does not imitate it. */
export async function noted<T>(name: string, answer: Promise<T>, is501: (error: unknown) => boolean): Promise<T> {
  try {
    const value = await answer;
    driven.add(name);
    return value;
  } catch (error) {
    if (is501(error)) {
      unimitated.add(name);
      throw new Unimitated(name);
    }
    throw error;
  }
}

class Unimitated extends Error {}

/** Steps that stand or fall together; they end where localfly does not imitate one of them. */
export async function part(steps: () => Promise<void>): Promise<void> {
  try {
    await steps();
  } catch (error) {
    if (!(error instanceof Unimitated)) throw error;
  }
}

/** Ask again until the answer is there: a condition that holds, or a call that is no longer refused. */
export async function until<T>(what: string, ask: () => Promise<T | false | undefined>): Promise<T> {
  const deadline = Date.now() + PATIENCE_MS;
  let last: unknown;
  while (Date.now() < deadline) {
    try {
      last = await ask();
      if (last !== false && last !== undefined) return last as T;
    } catch (error) {
      if (error instanceof Unimitated || error instanceof assert.AssertionError) throw error;
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new Error(`${what}: not within ${PATIENCE_MS} ms; the last answer was ${String(last)}`);
}

/** The last line for the test: all that the package offers, and what became of it. */
export function print(offered: unknown, more: object = {}): void {
  console.log(JSON.stringify({ offered, driven: [...driven].sort(), unimitated: [...unimitated].sort(), ...more }));
}

function need(name: string): string {
  const value = process.env[name];
  assert(value, `${name} is not set`);
  return value;
}
