/**
 * A node:http server and a fetch handler behind guard.ts, and clients that try both; prints what each got as JSON.
 *
 * The assertions are test_guard_node.py's.
 */
import { once } from "node:events";
import { createServer, request as ask } from "node:http";
import type { IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { connect } from "node:net";
import { guardFetch, guardNode, guardUpgrade } from "../../router/guard.ts";
import type { Options } from "../../router/guard.ts";

const { environ, now, source, host } = JSON.parse(process.argv[2]);
const options: Options = { purpose: "public", port: [80, 443], environ, now: () => now };
const steering = { "Fly-Replay": "app=acme-bob", "fly-replay-cache": "x/*", "x-own": "kept" };
const replayType = "application/vnd.fly.replay+json";
const reached: unknown[] = [];

function note(request: IncomingMessage): void {
  const sources = [request.headers["fly-replay-src"], request.headersDistinct["fly-replay-src"]];
  const raw = request.rawHeaders.filter((text) => text.toLowerCase() === "fly-replay-src");
  reached.push([request.url, sources.filter(Boolean).length + raw.length]);
}

const server = createServer(
  guardNode((request, response) => {
    note(request);
    switch (request.url) {
      case "/object":
        response.writeHead(201, "Made", { ...steering, "content-type": replayType });
        break;
      case "/list":
        response.writeHead(201, ["Fly-Replay", "app=x", "x-own", "kept", "Content-Type", replayType]);
        break;
      case "/pairs":
        response.writeHead(201, [["Fly-Replay", "app=x"], ["x-own", "kept"]]);
        break;
      case "/third":
        // @ts-expect-error: node reads headers from the third argument first, whatever the second one is
        response.writeHead(201, { "x-other": "ignored" }, { ...steering, "content-type": replayType });
        break;
      case "/informed":
        response.writeInformation?.(103, { ...steering, "content-type": replayType });
        response.writeHead(201, { "x-own": "kept" });
        break;
      default:
        response.statusCode = 201;
        for (const [name, value] of Object.entries(steering)) response.setHeader(name, value);
        response.setHeader("Content-Type", replayType);
        response.appendHeader("fly-replay-cache-ttl-secs", "60");
    }
    request.pipe(response);
  }, options),
);
server.on(
  "upgrade",
  guardUpgrade((request, socket) => {
    note(request);
    socket.end("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n");
  }, options),
);

type Got = { status?: number; body: string; headers: Record<string, unknown>; informed?: Record<string, unknown>[] };

function get(port: number, path: string, headers: Record<string, string | string[]>, method = "GET"): Promise<Got> {
  return new Promise((resolve, reject) => {
    const informed: Record<string, unknown>[] = [];
    const sent = ask({ port, host: "127.0.0.1", path, method, headers: { host, ...headers } }, (answer) => {
      let body = "";
      answer.on("data", (part) => (body += part));
      answer.on("end", () => resolve({ status: answer.statusCode, body, headers: answer.headers, informed }));
    });
    sent.on("information", (answer) => informed.push(answer.headers));
    sent.on("error", reject);
    sent.end(method === "POST" ? "body" : undefined);
  });
}

function upgrade(port: number, lines: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect(port, "127.0.0.1", () =>
      socket.write(`GET /healthz HTTP/1.1\r\nhost: ${host}\r\nconnection: upgrade\r\nupgrade: x\r\n${lines}\r\n`),
    );
    socket.on("data", (part) => (answer += part));
    socket.on("end", () => resolve(answer.split("\r\n")[0]));
    socket.on("error", reject);
  });
}

/** Whether the server lets go of an upgrade that it refused, though the client never closes its end. */
async function isLetGo(port: number): Promise<boolean> {
  const accepted = once(server, "connection");
  const client = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  client.resume();
  client.write(`GET / HTTP/1.1\r\nhost: ${host}\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n`);
  const [socket] = await accepted;
  const closed = once(socket, "close", { signal: AbortSignal.timeout(2_000) });
  const letGo = await closed.then(() => true, () => false);
  client.destroy();
  socket.destroy();
  return letGo;
}

const good = { "fly-replay-src": source };
const fetched: unknown[] = [];
const handler = guardFetch(async (request: Request) => {
  fetched.push([new URL(request.url).pathname, request.headers.has("fly-replay-src"), await request.text()]);
  return new Response("hello", { status: 201, headers: { ...steering, "content-type": replayType } });
}, options);

async function fetching(path: string, headers: [string, string][], method = "GET"): Promise<Got> {
  const body = method === "POST" ? "body" : undefined;
  const answer = await handler(new Request(`https://${host}${path}`, { method, headers, body }));
  return { status: answer.status, body: await answer.text(), headers: Object.fromEntries(answer.headers) };
}

server.listen(0, "127.0.0.1", async () => {
  const { port } = server.address() as AddressInfo;
  const pair: [string, string] = ["fly-replay-src", source];
  const result = {
    node: {
      set: await get(port, "/set", good, "POST"),
      object: await get(port, "/object", good),
      list: await get(port, "/list", good),
      pairs: await get(port, "/pairs", good),
      third: await get(port, "/third", good),
      informed: await get(port, "/informed", good),
      none: await get(port, "/none", {}),
      twice: await get(port, "/twice", { "fly-replay-src": [source, "t=1"] }),
      health: await get(port, "/healthz", {}),
      query: await get(port, "/healthz?x", {}),
    },
    upgrade: {
      good: await upgrade(port, `fly-replay-src: ${source}\r\n`),
      none: await upgrade(port, ""),
    },
    letGo: await isLetGo(port),
    fetch: {
      good: await fetching("/", [pair], "POST"),
      none: await fetching("/none", []),
      twice: await fetching("/twice", [pair, ["fly-replay-src", "t=1"]]),
      around: await fetching("/around", [["fly-replay-src", `${source};x=1`], ["fly-replay-src", "y=2"]]),
      health: await fetching("/healthz", []),
      query: await fetching("/healthz?x", []),
      otherHost: await fetching("/host", [pair, ["host", "bob.example.com"]]),
    },
    reached,
    fetched,
  };
  server.close();
  server.closeAllConnections();
  process.stdout.write(JSON.stringify(result));
});
