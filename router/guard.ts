/**
 * Lets into a user's machine only what the router sent: for fetch handlers and for node:http, and the check behind both.
 *
 * One file without dependencies, made to be copied into an image; Node runs it as it is (22.18 or newer).
 * `guard.py` is its twin, and both agree on every vector of `guard_vectors.json`. It answers for the `state` of a
 * replay and for the replay headers on the way in and out; who the visitor is stays the app's own question.
 *
 *     http.createServer(guardNode(listener, { purpose: "public", port: [80, 443, 4443] }));
 *     export default { fetch: guardFetch(handler, { purpose: "public", port: 443 }) };
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";

export type Purpose = "public" | "management";
export type Header = readonly [name: string, value: string];
export type Environment = Readonly<Record<string, string | undefined>>;

/** What code says about a guard. */
export interface Options {
  purpose: Purpose;
  /** The public ports, as the visitor sees them. */
  port: number | readonly number[];
  /** The one path that Fly's checks may ask without a state; null for none. Default "/healthz". */
  health?: string | null;
  /** Default "signed". */
  auth?: "signed" | "psk";
  /** Default: the process's environment, read when the guard is made. */
  environ?: Environment;
  /** Unix seconds; default: the system's clock. */
  now?: () => number;
}

/** What one guard accepts. */
export interface Settings {
  readonly ports: readonly number[];
  readonly health: string | null;
  readonly auth: "signed" | "psk";
  readonly app: string;
  readonly keys: readonly string[];
}

/** What to do with a request: 200 "accepted" or "health", else the refusal's status and reason. */
export interface Verdict {
  readonly status: 200 | 401 | 503;
  readonly reason: string;
}

const KEY_NAMES = { public: "PRESHARED_KEY", management: "PRESHARED_KEY_MANAGEMENT" } as const;
const SHORTEST_KEY = 32;
const LONGEST_SOURCE = 4096;
const LATE_S = 60; // a machine that resumes has a clock that lags, or runs ahead
const EARLY_S = 300;

const STATE = /^v1\.[0-9a-f]{8}\.([1-9][0-9]{0,11})\.([A-Za-z0-9_-]{43})$/;
const HOST = /^([a-z0-9._-]{1,253}?)\.?(?::[0-9]{1,5})?$/;
const PRINTABLE = /^[ -~]*$/;
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const BREAKS = /[\r\n\0]/;
const REPLAY_TYPE = "application/vnd.fly.replay+json";
const TEXTS = { 200: "ok\n", 401: "401: not through the router\n", 503: "503: not set up\n" } as const;

/**
 * Settings from code and environment; without a key of 32 characters everything is refused.
 *
 * The environment holds FLY_APP_NAME and PRESHARED_KEY, or PRESHARED_KEY_MANAGEMENT for the purpose "management",
 * and during a rotation the same name with _PREVIOUS.
 */
export function settings(options: Options): Settings {
  const auth = options.auth ?? "signed";
  const environ = options.environ ?? process.env;
  if (!Object.hasOwn(KEY_NAMES, options.purpose) || !["signed", "psk"].includes(auth)) {
    throw new TypeError('guard: purpose is "public" or "management", auth is "signed" or "psk"');
  }
  const ports = typeof options.port === "number" ? [options.port] : [...options.port];
  if (ports.length === 0 || !ports.every((port) => Number.isInteger(port) && port > 0 && port < 65536)) {
    throw new TypeError("guard: port is one public port, or several, from 1 to 65535");
  }
  const name = KEY_NAMES[options.purpose];
  const current = environ[name] ?? "";
  const keys = [current, environ[`${name}_PREVIOUS`] ?? ""].filter((key) => key.length >= SHORTEST_KEY);
  return {
    ports,
    health: options.health === undefined ? "/healthz" : options.health,
    auth,
    app: environ["FLY_APP_NAME"] ?? "",
    keys: current.length >= SHORTEST_KEY ? keys : [],
  };
}

/** Judge one request, or one upgrade, when it begins; `target` is path and query, `now` unix seconds. */
export function check(
  method: string,
  target: string,
  headers: Iterable<Header>,
  settings: Settings,
  now: number,
): Verdict {
  if (settings.health !== null && method === "GET" && target === settings.health) {
    return { status: 200, reason: "health" };
  }
  if (settings.keys.length === 0) return { status: 503, reason: "no_key" };
  if (settings.app === "") return { status: 503, reason: "no_app" };
  const hosts: string[] = [];
  const sources: string[] = [];
  for (const [name, value] of headers) {
    const lower = name.toLowerCase();
    if (lower === "host") hosts.push(value);
    else if (lower === "fly-replay-src") sources.push(value);
  }
  const state = stateOf(sources);
  if (typeof state !== "string") return state;
  if (settings.auth === "psk") return acceptedIf(isAny(state, settings.keys), "mismatch");
  return checkSignature(state, hosts, settings, now);
}

/** Whether a response header may leave: it neither steers Fly's proxy nor smuggles one in that does. */
export function mayLeave(name: string, value: string): boolean {
  const lower = name.toLowerCase();
  if (!TOKEN.test(lower) || BREAKS.test(value)) return false;
  if (lower === "fly-replay" || lower.startsWith("fly-replay-")) return false;
  return lower !== "content-type" || !value.toLowerCase().includes(REPLAY_TYPE);
}

/**
 * Wrap a fetch handler (Deno, Bun, or an adapter on Node) so that only what came through the router reaches it.
 *
 * The handler gets a copy of the request. Bun's `server.upgrade` wants the request itself: for WebSockets on Bun
 * use node:http and `guardUpgrade`.
 */
export function guardFetch<Rest extends unknown[]>(
  handler: (request: Request, ...rest: Rest) => Response | Promise<Response>,
  options: Options,
): (request: Request, ...rest: Rest) => Promise<Response> {
  const { judge } = judgeWith(options);
  return async (request, ...rest) => {
    const url = new URL(request.url);
    const verdict = judge(request.method, url.pathname + url.search, linesOf(request, url));
    if (verdict.reason !== "accepted") {
      return new Response(TEXTS[verdict.status], {
        status: verdict.status,
        headers: { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store" },
      });
    }
    const inward = new Request(request);
    inward.headers.delete("fly-replay-src");
    return cleaned(await handler(inward, ...rest));
  };
}

/**
 * Wrap a node:http listener so that only what came through the router reaches it.
 *
 * What the listener writes past the response, on its raw socket, is its own: no header is removed there.
 */
export function guardNode(
  listener: (request: IncomingMessage, response: ServerResponse) => void,
  options: Options,
): (request: IncomingMessage, response: ServerResponse) => void {
  const { judge } = judgeWith(options);
  return (request, response) => {
    const verdict = judge(request.method ?? "", request.url ?? "", pairs(request.rawHeaders));
    if (verdict.reason !== "accepted") {
      response.writeHead(verdict.status, {
        "content-type": "text/plain; charset=utf-8",
        "cache-control": "no-store",
      });
      response.end(TEXTS[verdict.status]);
      return;
    }
    forgetSource(request);
    keepClean(response);
    listener(request, response);
  };
}

/**
 * Wrap the listener of node:http's "upgrade" event: a socket without a good state is answered and closed.
 *
 * What the listener writes on the raw socket afterwards is its own: no header is removed there.
 */
export function guardUpgrade(
  listener: (request: IncomingMessage, socket: Duplex, head: Buffer) => void,
  options: Options,
): (request: IncomingMessage, socket: Duplex, head: Buffer) => void {
  const { judge } = judgeWith(options);
  return (request, socket, head) => {
    const verdict = judge("UPGRADE", request.url ?? "", pairs(request.rawHeaders));
    if (verdict.reason !== "accepted") {
      const phrase = verdict.status === 401 ? "401 Unauthorized" : "503 Service Unavailable";
      socket.on("error", () => socket.destroy());
      socket.once("finish", () => socket.destroy()); // else a client that never closes its end would keep it
      socket.end(`HTTP/1.1 ${phrase}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`);
      return;
    }
    forgetSource(request);
    listener(request, socket, head);
  };
}

function judgeWith(options: Options): {
  judge: (method: string, target: string, headers: Iterable<Header>) => Verdict;
} {
  const chosen = settings(options);
  const now = options.now ?? (() => Date.now() / 1000);
  if (chosen.keys.length === 0 || chosen.app === "") {
    const name = KEY_NAMES[options.purpose];
    console.warn(
      `router guard: every request is refused without FLY_APP_NAME and ${name} (${SHORTEST_KEY} characters or more) in the environment`,
    );
  }
  return { judge: (method, target, headers) => check(method, target, headers, chosen, now()) };
}

/** The `state` in the one `fly-replay-src`, which Fly writes as `key=value;key=value` in any order. */
function stateOf(sources: readonly string[]): string | Verdict {
  const source = sources[0];
  if (source === undefined) return refused("missing");
  if (sources.length > 1) return refused("duplicate");
  if (source.length > LONGEST_SOURCE || !PRINTABLE.test(source)) return refused("malformed");
  const parts = new Map<string, string>();
  for (const part of source.split(";")) {
    const equals = part.indexOf("=");
    const key = part.slice(0, Math.max(equals, 0)).replace(/^ +| +$/g, "");
    if (equals < 0 || key === "" || parts.has(key)) return refused("malformed");
    parts.set(key, part.slice(equals + 1).replace(/^ +| +$/g, ""));
  }
  return parts.get("state") || refused("no_state");
}

function checkSignature(state: string, hosts: readonly string[], settings: Settings, now: number): Verdict {
  const match = STATE.exec(state);
  if (match === null) return refused("form");
  const [first = "", ...more] = hosts;
  const host = more.length === 0 ? HOST.exec(first.toLowerCase()) : null;
  if (host === null) return refused("host");
  const [, exp = "", mac = ""] = match;
  const macs = settings.keys.flatMap((key) =>
    settings.ports.map((port) =>
      createHmac("sha256", key).update(`v1\n${settings.app}\n${host[1]}\n${port}\n${exp}`).digest("base64url"),
    ),
  );
  if (!isAny(mac, macs)) return refused("mismatch");
  if (Number(exp) < now - LATE_S) return refused("expired");
  return acceptedIf(Number(exp) <= now + EARLY_S, "early");
}

/** Whether `given` is one of `expected`; takes as long for a wrong one as for a right one. */
function isAny(given: string, expected: readonly string[]): boolean {
  const digest = sha256(given);
  return expected.map((each) => timingSafeEqual(digest, sha256(each))).includes(true);
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

function refused(reason: string): Verdict {
  return { status: 401, reason };
}

function acceptedIf(isGood: boolean, reason: string): Verdict {
  return isGood ? { status: 200, reason: "accepted" } : refused(reason);
}

/** Header lines of a fetch request, which joins equal names with a comma: here each counts on its own again. */
function linesOf(request: Request, url: URL): Header[] {
  const lines: Header[] = [];
  for (const name of ["host", "fly-replay-src"]) {
    const joined = request.headers.get(name) ?? (name === "host" ? url.host : null);
    for (const value of joined?.split(",") ?? []) lines.push([name, value]);
  }
  return lines;
}

function cleaned(response: Response): Response {
  const bad = [...response.headers].filter(([name, value]) => !mayLeave(name, value));
  if (bad.length === 0) return response;
  const headers = new Headers(response.headers);
  for (const [name] of bad) headers.delete(name);
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}

function pairs(flat: readonly string[]): Header[] {
  return Array.from({ length: flat.length >> 1 }, (_, i) => [flat[2 * i], flat[2 * i + 1]] as Header);
}

function forgetSource(request: IncomingMessage): void {
  // Node makes the two objects from the list when they are first read, so the list comes last.
  delete request.headers["fly-replay-src"];
  delete request.headersDistinct["fly-replay-src"];
  const kept = pairs(request.rawHeaders).filter(([name]) => name.toLowerCase() !== "fly-replay-src");
  request.rawHeaders.splice(0, request.rawHeaders.length, ...kept.flat());
}

type Value = number | string | readonly string[] | undefined;

const SENDERS = ["writeHead", "writeEarlyHints", "writeInformation", "addTrailers"] as const;

/** Every way of node:http to send headers ends in one of these; each sends only what may leave. */
function keepClean(response: ServerResponse): void {
  for (const sender of SENDERS) {
    const send: unknown = Reflect.get(response, sender);
    if (typeof send !== "function") continue; // writeInformation is newer than the oldest Node
    Reflect.set(response, sender, (...given: unknown[]) => {
      for (const name of response.getHeaderNames()) {
        if (!valueMayLeave(name, response.getHeader(name))) response.removeHeader(name);
      }
      return Reflect.apply(send, response, given.map(cleanedHeaders));
    });
  }
}

/** An argument in one of the three shapes of headers: an object, a flat list, a list of pairs; others as they are. */
function cleanedHeaders(headers: unknown): unknown {
  if (!headers || typeof headers !== "object") return headers;
  if (!Array.isArray(headers)) {
    return Object.fromEntries(Object.entries(headers).filter(([name, value]) => valueMayLeave(name, value)));
  }
  if (Array.isArray(headers[0])) return headers.filter(([name, value]) => valueMayLeave(name, value));
  return pairs(headers)
    .filter(([name, value]) => valueMayLeave(name, value))
    .flat();
}

function valueMayLeave(name: string, value: Value): boolean {
  return (Array.isArray(value) ? value : [value]).every((each) => mayLeave(name, String(each ?? "")));
}
