/** Goal: every call on the log, once for real, and what it must not do. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import {
  ChecksFailed,
  Client,
  Decimal,
  EventAlreadyCancelled,
  EventIdReused,
  EventNotFound,
  InvalidValue,
  type JsonObject,
  newEvent,
  newId,
  StreamClosed,
  StreamNotFound,
  VersionAhead,
  VersionConflict,
} from "@eventfold/client";

import { ACCOUNT, failing, World } from "./support.js";

let world: World;
let client: Client;

before(async () => {
  world = await World.begin();
  client = new Client((await world.ask("server")).address);
});

after(() => {
  client.close();
  world[Symbol.dispose]();
});

const deposit = (amount: unknown) => ({ type: "MoneyDeposited", data: { amount } });

test("an append is read back, exactly", async () => {
  const data = { amount: Decimal.of("100.10"), big: 12345678901234567890n, text: "é 🎉" };
  const event = {
    type: "MoneyDeposited",
    data,
    metadata: { correlation_id: "c" },
    tags: ["b", "a"],
    occurredAt: new Date("2020-02-03T04:05:06.789Z"),
  };
  const result = await client.append("log-read", [event, deposit(2)], { expectedVersion: 0 });
  assert.deepEqual([result.firstVersion, result.lastVersion], [1n, 2n]);
  assert.deepEqual([result.positions.length, result.duplicate], [2, false]);
  assert.equal(result.position, result.positions[1]);
  const reader = client.read("log-read");
  const [first, second] = await reader.toArray();
  assert.ok(first && second);
  const { amount, big, text } = first.data as { amount: Decimal; big: bigint; text: string };
  assert.deepEqual([amount.text, big, text], ["100.10", data.big, data.text]);
  const written = '{"amount":100.10,"big":12345678901234567890,"text":"é 🎉"}';
  assert.equal(new TextDecoder().decode(first.dataBytes), written);
  assert.deepEqual(first.metadata, { correlation_id: "c" });
  assert.deepEqual(first.tags, ["a", "b"]);
  assert.equal(first.occurredAt.toISOString(), "2020-02-03T04:05:06.789Z");
  assert.match(first.id, /^[0-9a-f]{8}-[0-9a-f]{4}-7/);
  assert.deepEqual([first.version, first.position], [1n, result.positions[0]]);
  assert.equal(second.writer, "anonymous");
  const { version, position, endReached, stream } = reader.end;
  assert.deepEqual([version, position], [2n, result.position]);
  assert.deepEqual([endReached, stream], [true, "log-read"]);
});

test("an append is made once, and an id stands for one event", async () => {
  const event = newEvent("MoneyDeposited", { amount: 1 });
  const first = await client.append("log-once", [event], { expectedVersion: 0 });
  const again = await client.append("log-once", [event], { expectedVersion: 0 });
  assert.deepEqual([again.duplicate, again.positions], [true, first.positions]);
  const other = { ...event, data: { amount: 2 } };
  const reused = await failing(
    client.append("log-once", [other], { expectedVersion: 1 }),
    EventIdReused,
  );
  assert.equal(reused.eventId, event.id);
  assert.equal((await client.read("log-once").toArray()).length, 1);
});

test("a stream that moved refuses the append", async () => {
  await client.append("log-moved", [deposit(1)], { expectedVersion: "any" });
  await client.append("log-moved", [deposit(1)], { expectedVersion: "exists" });
  const conflict = await failing(
    client.append("log-moved", [deposit(1)], { expectedVersion: 1n }),
    VersionConflict,
  );
  assert.deepEqual([conflict.expected, conflict.actual], ["1", 2n]);
  assert.deepEqual([conflict.reason, conflict.code], ["VERSION_CONFLICT", "ABORTED"]);
});

test("what cannot be sent is not sent", async () => {
  const at = { expectedVersion: 0 };
  const nan = await failing(client.append("log-bad", [deposit(NaN)], at), InvalidValue);
  assert.equal(nan.path, "events[0].data.amount");
  await failing(client.append("log-bad", [deposit(1)], { expectedVersion: 0.5 }), InvalidValue);
  const later = { ...deposit(1), occurredAt: new Date(NaN) };
  await failing(client.append("log-bad", [later], at), InvalidValue);
  await failing(client.read("log-bad").toArray(), StreamNotFound);
});

test("an append to several streams is stored whole or not at all", async () => {
  await client.append("log-many-c", [deposit(1)], { expectedVersion: 0 });
  const appends = ["log-many-a", "log-many-b"].map((stream) => ({
    stream,
    events: [deposit(1)],
    expectedVersion: 0,
  }));
  const results = await client.appendMany(appends, { checks: { "log-many-c": 1 } });
  assert.deepEqual(results.map((one) => one.stream), ["log-many-a", "log-many-b"]);
  const refused = await failing(
    client.appendMany(
      appends.map((one) => ({ ...one, expectedVersion: one.stream === "log-many-a" ? 1 : 7 })),
      { checks: { "log-many-c": 5 } },
    ),
    ChecksFailed,
  );
  const told = refused.failed.map((one) => [one.stream, one.actualVersion, one.error.reason]);
  assert.deepEqual(told, [
    ["log-many-b", 1n, "VERSION_CONFLICT"],
    ["log-many-c", 1n, "VERSION_CONFLICT"],
  ]);
  assert.deepEqual([refused.failed[0]?.appendIndex, refused.failed[1]?.checkIndex], [1, 0]);
  assert.equal((await client.getStream("log-many-a")).version, 1n);
});

test("a dry run stores nothing", async () => {
  const checked = await client.checkAppend("log-dry", [deposit(1)], { expectedVersion: 0 });
  assert.equal(checked.lastVersion, 1n);
  await failing(client.getStream("log-dry"), StreamNotFound);
});

test("a wrong event is cancelled, once, and corrected", async () => {
  const wrong = newEvent("MoneyDeposited", { amount: 100 });
  await client.append("log-wrong", [wrong], { expectedVersion: 0 });
  const correction = deposit(97);
  const options = { reason: "a digit too many", expectedVersion: 1, correction } as const;
  const result = await client.compensate("log-wrong", wrong.id, options);
  assert.deepEqual([result.firstVersion, result.lastVersion], [2n, 3n]);
  const events = await client.read("log-wrong", { markCancelled: true }).toArray();
  assert.deepEqual(events.map((one) => one.isCancelled), [true, false, false]);
  assert.equal(events[1]?.cancels, wrong.id);
  assert.equal(events[1]?.type, "MoneyDepositedCancelled");
  const again = { reason: "again", expectedVersion: "any" } as const;
  await failing(client.compensate("log-wrong", wrong.id, again), EventAlreadyCancelled);
});

test("books are closed, and the successor carries the state", async () => {
  await client.append("log-year", [deposit(Decimal.of("7.50"))], { expectedVersion: 0 });
  const options = { successor: "log-year@2", folds: [ACCOUNT], closing: { data: { by: "me" } } };
  const closed = await client.closeStream("log-year", options);
  assert.deepEqual([closed.version, closed.successor], [2n, "log-year@2"]);
  assert.equal((await client.closeStream("log-year", options)).duplicate, true);
  const refused = await failing(
    client.append("log-year", [deposit(1)], { expectedVersion: 2 }),
    StreamClosed,
  );
  assert.equal(refused.successor, "log-year@2");
  const followed = { expectedVersion: "any", follow: true } as const;
  assert.equal((await client.append("log-year", [deposit(1)], followed)).stream, "log-year@2");
  const hydrated = await client.hydrate<JsonObject>("log", "year@2", { fold: ACCOUNT });
  assert.equal(String(hydrated.state["balance"]), "8.5");
  const all = await client.read("log-year", { follow: "all" }).toArray();
  assert.deepEqual(
    all.map((one) => one.type),
    ["MoneyDeposited", "$Closed", "$Opened", "MoneyDeposited"],
  );
});

test("reads begin, end and filter as they are told", async () => {
  const events = [1, 2, 3, 4, 5].map((n) => ({ type: n % 2 ? "Odd" : "Even", data: { n } }));
  await client.append("log-range", events, { expectedVersion: 0 });
  const numbers = async (options: object): Promise<unknown[]> =>
    (await client.read("log-range", options).toArray()).map((one) => one.data["n"]);
  assert.deepEqual(await numbers({ fromVersion: 2, toVersion: 4 }), [2, 3, 4]);
  assert.deepEqual(await numbers({ direction: "backwards", limit: 2 }), [5, 4]);
  assert.deepEqual(await numbers({ types: ["Even"] }), [2, 4]);
  assert.deepEqual(await numbers({ fromVersion: 6n }), []);
  await failing(client.read("log-range", { fromVersion: 7 }).toArray(), VersionAhead);
  const reader = client.read("log-range", { limit: 2 });
  assert.throws(() => reader.end, /known when all/);
  for await (const event of reader) if (event.version === 1n) break;
});

test("a long stream is read whole and in order", async () => {
  for (let at = 0; at < 3_000; at += 1_000) {
    const events = Array.from({ length: 1_000 }, (_, n) => ({
      type: "Noted",
      data: { n: at + n, pad: "x".repeat(1_000) },
    }));
    await client.append("log-long", events, { expectedVersion: at });
  }
  let next = 0;
  for await (const event of client.read("log-long")) assert.equal(event.data["n"], next++);
  assert.equal(next, 3_000);
});

test("the log is read by category, and on from a token", async () => {
  await client.append("logall-1", [deposit(1)], { expectedVersion: 0 });
  const reader = client.readAll({ categories: ["logall"] });
  assert.equal((await reader.toArray()).length, 1);
  await client.append("logall-2", [deposit(2)], { expectedVersion: 0 });
  const { resumeToken } = reader.end;
  const rest = await client.readAll({ categories: ["logall"], resumeToken }).toArray();
  assert.deepEqual(rest.map((one) => one.stream), ["logall-2"]);
  const [newest] = await client.readAll({ direction: "backwards", limit: 1 }).toArray();
  assert.ok(newest && newest.position >= (rest[0]?.position ?? 0n));
});

test("events and streams are found", async () => {
  const event = newEvent("Found", { n: 1 });
  await client.append("find-1", [event], { expectedVersion: 0 });
  await client.append("find-2", [deposit(1)], { expectedVersion: 0 });
  assert.equal((await client.getEvent(event.id)).stream, "find-1");
  await failing(client.getEvent(newId()), EventNotFound);
  assert.equal((await client.getStream("find-1")).version, 1n);
  const names: string[] = [];
  const options = { category: "find", pageSize: 1 };
  for await (const stream of client.listStreams(options)) names.push(stream.name);
  assert.deepEqual(names, ["find-1", "find-2"]);
});
