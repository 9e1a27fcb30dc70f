/** Goal: whoever follows the log misses nothing and gets nothing twice, whatever breaks. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import {
  Client,
  ConnectionFailed,
  type ConsumeOptions,
  type Delivery,
  EventfoldError,
  FilterFailed,
  GroupExists,
  GroupNotFound,
  LeaseLost,
  newEvent,
  type RecordedEvent,
  StoreIncarnationChanged,
} from "@eventfold/client";

import { ACCOUNT, eventually, failing, World } from "./support.js";

let world: World;
let address: string;
let client: Client;

before(async () => {
  world = await World.begin();
  ({ address } = await world.ask("server"));
  client = new Client(address);
});

after(() => {
  client.close();
  world[Symbol.dispose]();
});

/** Appends events to three streams until it is stopped, again and again where that fails. */
async function write(store: Client, category: string, stopped: () => boolean): Promise<number> {
  let written = 0;
  while (!stopped()) {
    const event = newEvent("Noted", { n: written });
    const stream = `${category}-${written % 3}`;
    for (let isStored = false; !isStored; ) {
      try {
        await store.append(stream, [event], { expectedVersion: "any", timeoutMs: 2_000 });
        isStored = true;
      } catch (error) {
        assert.ok(error instanceof EventfoldError && error.code === "UNAVAILABLE", String(error));
      }
    }
    written += 1;
  }
  return written;
}

/** Follows through a break of some kind, with a writer beside, and compares with what is stored. */
async function followThrough(
  store: Client,
  target: string,
  category: string,
  breaking: (seen: () => number) => Promise<void>,
): Promise<void> {
  using follower = new Client(target);
  let isDone = false;
  let breaks = 0;
  const seen: RecordedEvent[] = [];
  const subscription = follower.subscribe({
    categories: [category],
    onReconnect: () => (breaks += 1),
  });
  const writing = write(store, category, () => isDone);
  const following = (async () => {
    for await (const event of subscription) seen.push(event);
  })();
  await eventually(() => seen.length > 5);
  await breaking(() => seen.length);
  isDone = true;
  const written = await writing;
  await eventually(() => seen.length >= written);
  subscription.close();
  await following;
  const stored = await store.readAll({ categories: [category] }).toArray();
  assert.equal(stored.length, written);
  assert.deepEqual(seen.map((one) => one.position), stored.map((one) => one.position));
  assert.deepEqual(seen.map((one) => one.id), stored.map((one) => one.id));
  assert.ok(breaks > 0, "nothing broke");
}

test("a subscription goes on through cuts, with a writer beside", async () => {
  const proxy = await world.ask(`proxy ${address}`);
  await followThrough(client, proxy.address, "cut", async (seen) => {
    for (let cuts = 0; cuts < 6; cuts++) {
      const before = seen();
      await world.ask(`cut ${proxy.address}`);
      await eventually(() => seen() > before + 3);
    }
  });
});

test("a subscription goes on through a server that is killed and started", async () => {
  using own = await World.begin();
  const server = await own.ask("server");
  using store = new Client(server.address);
  await followThrough(store, server.address, "kill", async (seen) => {
    for (let kills = 0; kills < 2; kills++) {
      const before = seen();
      await own.ask(`kill ${server.number}`);
      await own.ask(`start ${server.number}`);
      await eventually(() => seen() > before + 3);
    }
  });
});

test("a read goes on through a cut", async () => {
  const events = Array.from({ length: 900 }, (_, n) => ({
    type: "Noted",
    data: { n, pad: "x".repeat(3_000) },
  }));
  await client.append("long-1", events, { expectedVersion: 0 });
  await client.append("long-1", events, { expectedVersion: 900 });
  const proxy = await world.ask(`proxy ${address}`);
  using reading = new Client(proxy.address);
  let next = 0n;
  for await (const event of reading.read("long-1", { timeoutMs: 30_000 })) {
    next += 1n;
    assert.equal(event.version, next);
    if (next === 100n || next === 1_000n) await world.ask(`cut ${proxy.address}`);
  }
  assert.equal(next, 1_800n);
});

test("a watch goes on through a cut", async () => {
  const proxy = await world.ask(`proxy ${address}`);
  using watching = new Client(proxy.address);
  const versions: bigint[] = [];
  for await (const state of watching.watch("watch", "1", { fold: ACCOUNT })) {
    versions.push(state.version);
    if (state.version === 4n) break;
    await world.ask(`cut ${proxy.address}`);
    const deposit = { type: "MoneyDeposited", data: { amount: 1 } };
    await client.append("watch-1", [deposit], { expectedVersion: state.version });
  }
  assert.deepEqual(versions, [0n, 1n, 2n, 3n, 4n]);
});

async function five(category: string): Promise<void> {
  const events = [1, 2, 3, 4, 5].map((n) => ({ type: "Noted", data: { n } }));
  await client.append(`${category}-1`, events, { expectedVersion: 0 });
}

test("a place in the middle of a frame goes on exactly, and proves the log", async () => {
  await five("place");
  const subscription = client.subscribe({ categories: ["place"] });
  for await (const event of subscription) if (event.version === 3n) break;
  const { place } = subscription;
  assert.ok(place.eventId);
  const next = client.subscribe({ categories: ["place"], place });
  for await (const event of next) {
    assert.equal(event.version, 4n);
    break;
  }
  const other = { ...place, eventId: newEvent("x").id };
  const lost = client.subscribe({ categories: ["place"], place: other });
  await failing(lost[Symbol.asyncIterator]().next(), StoreIncarnationChanged);
  // A filter that hides the event of the place makes no other log of it.
  const hidden = client.subscribe({ categories: ["place"], place, where: "event.n > 4" });
  for await (const event of hidden) {
    assert.equal(event.version, 5n);
    break;
  }
});

test("frames tell how far it is, and their tokens go on", async () => {
  await five("frames");
  const kinds: string[] = [];
  const subscription = client.subscribe({ stream: "frames-1" });
  for await (const frame of subscription.frames()) {
    kinds.push(`${frame.kind} ${frame.events.length}`);
    if (frame.kind === "caught up") break;
  }
  assert.deepEqual(kinds, ["events 5", "caught up 0"]);
  assert.ok(subscription.isCaughtUp && subscription.head >= subscription.place.position);
  const { resumeToken } = subscription;
  await client.append("frames-1", [{ type: "Noted" }], { expectedVersion: 5 });
  for await (const event of client.subscribe({ stream: "frames-1", resumeToken })) {
    assert.equal(event.version, 6n);
    break;
  }
  for await (const event of client.subscribe({ stream: "frames-1", fromVersion: 2 })) {
    assert.equal(event.version, 2n);
    break;
  }
});

test("a subscription ends where it is told to", async () => {
  await five("ends");
  const closed = client.subscribe({ categories: ["ends"] });
  let seen = 0;
  for await (const _ of closed) if (++seen === 5) setTimeout(() => closed.close(), 50);
  assert.equal(seen, 5);
  const controller = new AbortController();
  const aborted = client.subscribe({ categories: ["ends"], signal: controller.signal });
  await failing(
    (async () => {
      for await (const _ of aborted) {
        if (++seen === 10) setTimeout(() => controller.abort(new RangeError("enough")), 50);
      }
    })(),
    RangeError,
  );
  assert.equal(seen, 10);
  assert.throws(() => client.subscribe({ fromPosition: 1, fromNow: true }), TypeError);
});

test("what no further call can mend is thrown", async () => {
  await five("bad");
  const failed = client.subscribe({ categories: ["bad"], where: "event.missing > 1" });
  await failing(failed[Symbol.asyncIterator]().next(), FilterFailed);
  using nobody = new Client("127.0.0.1:1");
  const never = nobody.subscribe({ timeoutMs: 300 });
  await failing(never[Symbol.asyncIterator]().next(), ConnectionFailed);
  const garbled = new Client((await world.ask("garbled")).address);
  const wrong = garbled.subscribe({ timeoutMs: 5_000 })[Symbol.asyncIterator]().next();
  assert.equal((await failing(wrong, EventfoldError)).reason, "UNEXPECTED_ANSWER");
  garbled.close();
});

test("a subscription gives up when it was told to", async () => {
  using own = await World.begin();
  const server = await own.ask("server");
  using store = new Client(server.address);
  const subscription = store.subscribe({ giveUpAfterMs: 500 });
  const following = (async () => {
    for await (const _ of subscription) await own.ask(`kill ${server.number}`);
  })();
  await store.append("a-1", [{ type: "Noted" }], { expectedVersion: 0 });
  await failing(following, ConnectionFailed);
});

/** Consumes until so many different events are acknowledged; positions in the order of handling. */
async function consumed(
  store: Client,
  group: string,
  count: number,
  options: ConsumeOptions,
  beside: (delivery: Delivery) => Promise<void> | void,
): Promise<RecordedEvent[]> {
  const handled: RecordedEvent[] = [];
  const acked = new Set<bigint>();
  for await (const delivery of store.consume(group, options)) {
    handled.push(delivery.event);
    await beside(delivery);
    if (!delivery.isOpen) continue;
    delivery.ack();
    acked.add(delivery.event.position);
    if (acked.size >= count) {
      try {
        await delivery.confirm();
      } catch (error) {
        acked.delete(delivery.event.position);
        assert.ok(error instanceof EventfoldError);
      }
    }
    if (acked.size >= count) break;
  }
  return handled;
}

test("a group delivers everything, in order by stream, through cuts", async () => {
  const proxy = await world.ask(`proxy ${address}`);
  using store = new Client(proxy.address);
  const events = Array.from({ length: 20 }, (_, n) => ({ type: "Noted", data: { n } }));
  for (const id of [1, 2, 3]) {
    await client.append(`grp-${id}`, events, { expectedVersion: 0 });
  }
  await client.groups.create("through", { categories: ["grp"] });
  let deliveries = 0;
  let breaks = 0;
  const options = { consumer: "c", underWay: 10, onReconnect: () => (breaks += 1) };
  const handled = await consumed(store, "through", 60, options, async () => {
    deliveries += 1;
    if (deliveries === 7 || deliveries === 30) await world.ask(`cut ${proxy.address}`);
  });
  assert.equal(breaks, 2);
  assert.equal(new Set(handled.map((one) => one.id)).size, 60);
  for (const id of [1, 2, 3]) {
    // What comes again comes before what follows it: versions go up by one, or back.
    let next = 1n;
    for (const event of handled.filter((one) => one.stream === `grp-${id}`)) {
      assert.ok(event.version <= next, `${event.stream}: ${event.version} came before ${next}`);
      if (event.version === next) next += 1n;
    }
  }
  await eventually(async () => (await client.groups.get("through")).group.lag === 0n);
});

test("deliveries are retried, parked, skipped, replayed and purged", async () => {
  await five("settle");
  const settings = { retryInitialMs: 0, attemptsMax: 2, onPark: "let pass" } as const;
  const source = { categories: ["settle"], settings };
  assert.equal((await client.groups.create("settle", source)).created, true);
  assert.equal((await client.groups.create("settle", source)).created, false);
  await failing(client.groups.create("settle", { categories: ["other"] }), GroupExists);
  const log: string[] = [];
  let left = 5;
  for await (const delivery of client.consume("settle", { underWay: 1 })) {
    const n = delivery.event.data["n"];
    log.push(`${n}/${delivery.attempt}`);
    if (n === 1) delivery.retry({ delayMs: 0, reason: "again" });
    else if (n === 2) delivery.park("no address");
    else if (n === 3) delivery.skip();
    else {
      delivery.extend();
      delivery.ack();
    }
    if (n !== 1 || delivery.attempt === 2) left -= 1;
    if (left > 0) continue;
    await delivery.confirm();
    break;
  }
  assert.deepEqual(log, ["1/1", "1/2", "2/1", "3/1", "4/1", "5/1"]);
  const parked: string[] = [];
  for await (const one of client.groups.listParked("settle", { pageSize: 1 })) {
    parked.push(`${one.event.data["n"]}: ${one.about.reason}`);
  }
  assert.deepEqual(parked, ["1: again", "2: no address"]);
  const { status } = await client.groups.get("settle");
  assert.deepEqual([status.parked, status.underWay], [2n, 0n]);
  assert.equal(await client.groups.purgeParked("settle", [status.oldestParked]), 1n);
  assert.equal(await client.groups.replayParked("settle", "all"), 1n);
  const again = await consumed(client, "settle", 1, {}, () => undefined);
  assert.deepEqual(again.map((one) => one.data["n"]), [2]);
  assert.equal((await client.groups.reset("settle", { fromPosition: 1 })).generation, 2n);
  const names: string[] = [];
  for await (const group of client.groups.list({ pageSize: 1 })) names.push(group.name);
  assert.ok(names.includes("settle"));
  await client.groups.delete("settle");
  await failing(client.groups.get("settle"), GroupNotFound);
  await failing(consumed(client, "settle", 1, {}, () => undefined), GroupNotFound);
});

test("a function handles several streams at once, each in order", async () => {
  for (const id of [1, 2, 3, 4]) {
    const events = [1, 2, 3].map((n) => ({ type: "Noted", data: { n } }));
    await client.append(`run-${id}`, events, { expectedVersion: 0 });
  }
  await client.groups.create("run", { categories: ["run"], settings: { retryInitialMs: 0 } });
  const order = new Map<string, number[]>();
  const errors: unknown[] = [];
  let [busy, most, isFailed] = [0, 0, false];
  const consumer = client.consume("run");
  const handler = async ({ event }: Delivery): Promise<void> => {
    most = Math.max(most, ++busy);
    await new Promise((resolve) => setTimeout(resolve, 20));
    busy -= 1;
    if (event.stream === "run-2" && !isFailed) {
      isFailed = true;
      throw new RangeError("once");
    }
    const seen = order.get(event.stream) ?? [];
    order.set(event.stream, [...seen, event.data["n"] as number]);
  };
  const running = consumer.run(handler, {
    concurrency: 3,
    onError: (error) => errors.push(error),
  });
  await eventually(() => [...order.values()].flat().length === 12);
  await consumer.close();
  await running;
  for (const seen of order.values()) assert.deepEqual(seen, [1, 2, 3]);
  assert.ok(most > 1 && most <= 3, `${most} at once`);
  assert.deepEqual(errors.map(String), ["RangeError: once"]);
  assert.equal((await client.groups.get("run")).group.lag, 0n);
});

test("leaving the loop gives back what is not settled, and too late is told", async () => {
  await five("back");
  await client.groups.create("back", { categories: ["back"] });
  let kept: Delivery | undefined;
  for await (const delivery of client.consume("back")) {
    kept = delivery;
    break;
  }
  assert.equal(kept?.isOpen, false);
  kept?.ack();
  await failing(kept?.confirm() ?? Promise.resolve(), LeaseLost);
  const again = await consumed(client, "back", 5, {}, () => undefined);
  assert.deepEqual(again.map((one) => one.version), [1n, 2n, 3n, 4n, 5n]);
});
