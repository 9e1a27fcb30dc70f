// Drives emmett on PostgreSQL from Node.js; the protocol is that of `protocol.py`. Callers are
// promises of one event store, which has a pool of connections. It cannot catch up: its log has no
// index in the order of positions, so that every page of it sorts the whole table.

import { createInterface } from "node:readline";
import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [url, modules, python, layout] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const load = (name) => import(pathToFileURL(require.resolve(name)));
const { getPostgreSQLEventStore } = await load("@event-driven-io/emmett-postgresql");

const LOADERS = 32;
const store = getPostgreSQLEventStore(url);
await store.schema.migrate();

const eventOf = (number) => ({
  type: number === 0 ? "AccountOpened" : number % 3 ? "MoneyDeposited" : "MoneyWithdrawn",
  data: {
    account: "8f6c1f0e-5d0b-4a57-9e0b-6a6f1f6d2c11",
    booking: number,
    currency: "EUR",
    amount: 10 + (number % 7),
    text: "salary of the month, transferred by the employer",
    reference: `RF-${String(number).padStart(12, "0")}`,
  },
});

const initialState = () => ({ balance: 0, deposits: 0, open: false, limit: 0 });

const evolve = (state, { type, data }) => {
  switch (type) {
    case "MoneyDeposited":
      return { ...state, balance: state.balance + data.amount, deposits: state.deposits + 1 };
    case "MoneyWithdrawn":
      return { ...state, balance: state.balance - data.amount };
    case "AccountOpened":
      return { ...state, owner: data.account, open: true };
    default:
      return state;
  }
};

const appendTo = (stream, version, count) =>
  store.appendToStream(
    stream,
    Array.from({ length: count }, (_, n) => eventOf(version + n)),
    { expectedStreamVersion: version === 0 ? "STREAM_DOES_NOT_EXIST" : BigInt(version) },
  );

class Caller {
  stream = `account-${randomUUID()}`;
  version = 0;

  async append(count) {
    await appendTo(this.stream, this.version, count);
    this.version += count;
    return count;
  }

  async read(stream) {
    return (await store.readStream(stream)).events.length;
  }

  async hydrate(stream) {
    return (await store.aggregateStream(stream, { evolve, initialState })).state.balance;
  }
}

const stepOf = (caller, request) => {
  switch (request.do) {
    case "append":
      return () => caller.append(request.batch);
    case "read":
      return () => caller.read(request.stream);
    case "hydrate":
      return () => caller.hydrate(request.stream);
    case "mixed":
      return () =>
        Math.random() < 0.8
          ? caller.hydrate(`account-f${Math.floor(Math.random() * request.events)}`)
          : caller.append(1);
    default:
      throw new Error(`there is no ${request.do}`);
  }
};

const cell = async (request) => {
  const callers = Array.from({ length: request.in_flight }, () => new Caller());
  const latencies = [];
  const cpu = process.cpuUsage();
  const begin = performance.now();
  const deadline = begin + request.seconds * 1000;
  let result = 0;
  await Promise.all(
    callers.map(async (caller, number) => {
      const step = stepOf(caller, request);
      for (let end = performance.now(); ; ) {
        const start = end;
        const found = await step();
        if (number === 0) result = found;
        end = performance.now();
        latencies.push(Math.round((end - start) * 1000));
        if (end >= deadline) return;
      }
    }),
  );
  const elapsed = (performance.now() - begin) / 1000;
  const used = process.cpuUsage(cpu);
  return {
    operations: latencies.length,
    elapsed_s: elapsed,
    cpu_s: (used.user + used.system) / 1e6,
    latencies_us: latencies,
    result,
  };
};

// The order of the log is written down once, in Python.
const fill = async (request) => {
  const begin = performance.now();
  const text = execFileSync(python, [layout, String(request.events)], {
    encoding: "utf8",
    maxBuffer: 1 << 30,
  });
  const runs = text.trimEnd().split("\n").values();
  const written = new Map();
  const loader = async () => {
    for (const line of runs) {
      const [stream, first, count] = line.split(" ");
      const before = written.get(stream) ?? Promise.resolve();
      const done = before.then(() => appendTo(stream, Number(first), Number(count)));
      written.set(stream, done);
      await done;
    }
  };
  await Promise.all(Array.from({ length: LOADERS }, loader));
  const elapsed = (performance.now() - begin) / 1000;
  return { operations: 0, elapsed_s: elapsed, cpu_s: 0, latencies_us: [], result: 0 };
};

for await (const line of createInterface({ input: process.stdin })) {
  const request = { seconds: 0, in_flight: 1, batch: 1, ...JSON.parse(line) };
  let found;
  try {
    found = await (request.do === "load" ? fill(request) : cell(request));
  } catch (fault) {
    console.error(fault);
    found = { error: String(fault) };
  }
  console.log(JSON.stringify(found));
}
await store.close();
process.exit(0);
