/** Goal: whatever is at the other end, a call ends in time, with a typed error. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import {
  Client,
  ConnectionFailed,
  DeadlineExceeded,
  newEvent,
  OutcomeUnknown,
  PermissionDenied,
  Unauthenticated,
  UnexpectedAnswer,
  VersionConflict,
} from "@eventfold/client";

import { failing, World } from "./support.js";

let world: World;
let address: string;

before(async () => {
  world = await World.begin();
  ({ address } = await world.ask("server"));
});

after(() => world[Symbol.dispose]());

const noted = { type: "Noted", data: {} };

for (const [kind, code] of [
  ["stranger", "UNIMPLEMENTED"],
  ["later", "UNIMPLEMENTED"],
  ["garbled", "UNKNOWN"],
  ["web", "UNAVAILABLE"],
] as const) {
  test(`a server of another kind is told: ${kind}`, async () => {
    using client = new Client((await world.ask(kind)).address);
    for (const call of [
      () => client.getStream("a-1"),
      () => client.append("a-1", [noted], { expectedVersion: 0 }),
      () => client.read("a-1").toArray(),
      () => client.subscribe()[Symbol.asyncIterator]().next(),
    ]) {
      const error = await failing(call(), UnexpectedAnswer);
      assert.equal(error.code, code);
      assert.ok(error.target?.startsWith("127.0.0.1:"));
    }
  });
}

test("a server that says nothing costs the deadline, and no more", async () => {
  using client = new Client((await world.ask("silent")).address, { timeoutMs: 400 });
  const began = performance.now();
  const read = await failing(client.getStream("a-1"), DeadlineExceeded);
  assert.equal(read.deadlineMs, 400n);
  const append = client.append("a-1", [noted], { expectedVersion: 0 });
  assert.equal((await failing(append, OutcomeUnknown)).reason, "OUTCOME_UNKNOWN");
  await failing(client.read("a-1", { timeoutMs: 200 }).toArray(), DeadlineExceeded);
  assert.ok(performance.now() - began < 5_000);
});

test("nobody there is a failed connection, tried for a while", async () => {
  using client = new Client("127.0.0.1:1", { timeoutMs: 5_000 });
  const began = performance.now();
  const error = await failing(client.getStream("a-1"), ConnectionFailed);
  const elapsed = performance.now() - began;
  assert.equal(error.code, "UNAVAILABLE");
  // Five attempts have four pauses, of 50 ms to 400 ms, of which half is certain.
  assert.ok(elapsed > 300 && elapsed < 5_000, `it took ${elapsed} ms`);
});

test("tls is spoken with those who can prove it", async () => {
  const server = await world.ask("server tls");
  const { authority } = await world.ask("authority");
  using trusted = new Client(server.address, { tls: server.authority });
  const appended = await trusted.append("tls-1", [noted], { expectedVersion: 0 });
  assert.equal(appended.lastVersion, 1n);
  const options = { timeoutMs: 3_000 };
  for (const tls of [authority, true]) {
    using other = new Client(server.address, { ...options, tls });
    const error = await failing(other.getStream("tls-1"), ConnectionFailed);
    assert.match(error.message, /certificate/);
  }
  // Plain text meets TLS, and the other way round.
  using plain = new Client(server.address, options);
  const meeting = plain.getStream("tls-1");
  const told = await meeting.then(() => undefined, (error: unknown) => error);
  assert.ok(told instanceof ConnectionFailed || told instanceof UnexpectedAnswer, String(told));
  using tls = new Client(address, { ...options, tls: server.authority });
  await failing(tls.getStream("tls-1"), ConnectionFailed);
});

test("tokens are sent, and what they do not permit is refused", async () => {
  const server = await world.ask("server tokens");
  using nobody = new Client(server.address);
  await failing(nobody.append("t-1", [noted], { expectedVersion: 0 }), Unauthenticated);
  using stranger = new Client(server.address, { token: "wrong" });
  await failing(stranger.read("t-1").toArray(), Unauthenticated);
  using writer = new Client(server.address, { token: "conformance-writer" });
  await writer.append("t-1", [noted], { expectedVersion: 0 });
  const denied = await failing(writer.getStream("t-1"), PermissionDenied);
  assert.equal(denied.permission, "read");
  const subscription = writer.subscribe()[Symbol.asyncIterator]();
  await failing(subscription.next(), PermissionDenied);
  await failing(writer.consume("g")[Symbol.asyncIterator]().next(), PermissionDenied);
  using reader = new Client(server.address, { token: "conformance-reader" });
  assert.equal((await reader.read("t-1").toArray())[0]?.writer, "writer");
});

test("an append goes through a connection that is cut, and is stored once", async () => {
  const proxy = await world.ask(`proxy ${address}`);
  using client = new Client(proxy.address, { timeoutMs: 30_000 });
  let cuts = 0;
  let isDone = false;
  const cutting = (async () => {
    while (!isDone) {
      await world.ask(`cut ${proxy.address}`);
      cuts += 1;
      await new Promise((resolve) => setTimeout(resolve, 70));
    }
  })();
  for (let version = 0; version < 30; ) {
    const event = newEvent("Noted", { version });
    try {
      const appended = await client.append("cut-1", [event], { expectedVersion: version });
      version = Number(appended.lastVersion);
    } catch (error) {
      // Five attempts may all meet a cut; the same event may be appended again.
      assert.ok(error instanceof ConnectionFailed || error instanceof OutcomeUnknown);
      const again = await client.append("cut-1", [event], { expectedVersion: version });
      version = Number(again.lastVersion);
    }
  }
  isDone = true;
  await cutting;
  using direct = new Client(address);
  const events = await direct.read("cut-1").toArray();
  assert.deepEqual(events.map((one) => one.data["version"]), [...Array(30).keys()]);
  assert.ok(cuts > 1);
});

test("a call ends when its signal is aborted, and when its client is closed", async () => {
  const silent = await world.ask("silent");
  const client = new Client(silent.address);
  const controller = new AbortController();
  const options = { signal: controller.signal };
  setTimeout(() => controller.abort(new RangeError("enough")), 100);
  const append = client.append("a-1", [noted], { expectedVersion: 0, ...options });
  await Promise.all([
    failing(append, RangeError),
    failing(client.getStream("a-1", options), RangeError),
    failing(client.read("a-1", options).toArray(), RangeError),
  ]);
  const aborted = { signal: AbortSignal.abort(new RangeError()) };
  await failing(client.getStream("a-1", aborted), RangeError);
  setTimeout(() => client.close(), 100);
  const began = performance.now();
  await assert.rejects(client.getStream("a-1"));
  assert.ok(performance.now() - began < 3_000);
  client.close();
  await assert.rejects(client.getStream("a-1"), /the client is closed/);
});

test("a deadline of a call is its own, and the server's word counts", async () => {
  using client = new Client(address);
  await client.append("wait-1", [noted], { expectedVersion: 0 });
  const options = { timeoutMs: 300, atLeastPosition: 1_000_000 };
  const waited = await failing(client.read("wait-1", options).toArray(), DeadlineExceeded);
  assert.ok(waited.code === "DEADLINE_EXCEEDED");
  // Errors of the catalogue are not taken for those of the connection.
  const conflict = client.append("wait-1", [noted], { expectedVersion: 0, timeoutMs: 5_000 });
  await failing(conflict, VersionConflict);
  await assert.rejects(client.getStream("wait-1", { timeoutMs: -1 }), /a timeout is/);
});
