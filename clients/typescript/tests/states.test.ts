/** Goal: states are folded there and here, exact, and decisions meet conflicts. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import {
  Client,
  Decimal,
  FoldFailed,
  FoldNotFound,
  type Handlers,
  InvalidFold,
  type JsonValue,
  type RecordedEvent,
  StateMismatch,
  StateNotCarried,
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

interface Account {
  readonly balance: Decimal;
  readonly count: number;
}

function account(state: JsonValue): Account {
  const { balance, count } = state as Record<string, JsonValue>;
  if (typeof count !== "number") throw new TypeError("count is a number");
  return { balance: Decimal.of(balance as number), count };
}

const deposit = (amount: unknown) => ({ type: "MoneyDeposited", data: { amount } });

test("a state is folded into the user's type, with cents", async () => {
  const events = [deposit(Decimal.of("0.1")), deposit(Decimal.of("0.2"))];
  const appended = await client.append("acc-1", events, { expectedVersion: 0 });
  const options = { fold: ACCOUNT, into: account };
  const hydrated = await client.hydrate("acc", "1", options);
  assert.deepEqual([hydrated.exists, hydrated.version], [true, 2n]);
  assert.deepEqual([hydrated.state.balance.text, hydrated.state.count], ["0.3", 2]);
  assert.equal(new TextDecoder().decode(hydrated.stateBytes), '{"balance":0.3,"count":2}');
  const first = await client.hydrate("acc", "1", { ...options, version: 1 });
  assert.equal(first.state.balance.text, "0.1");
  const there = { ...options, position: appended.positions[0] ?? 0n };
  assert.equal((await client.hydrate("acc", "1", there)).version, 1n);
  const past = { ...options, recordedAt: new Date(0) };
  assert.equal((await client.hydrate("acc", "1", past)).version, 0n);
  const future = { ...options, occurredAt: new Date("9000-01-01") };
  assert.equal((await client.hydrate("acc", "1", future)).version, 2n);
  const waited = { ...options, atLeastPosition: appended.position };
  assert.equal((await client.hydrate("acc", "1", waited)).version, 2n);
  await failing(client.hydrate("acc", "1", { ...options, version: 3 }), VersionAhead);
  await assert.rejects(client.hydrate("acc", "1", { ...options, version: 1, position: 1 }));
});

test("a state that does not fit is an error where it is used", async () => {
  await client.append("acc-misfit", [deposit(1)], { expectedVersion: 0 });
  const into = (): never => {
    throw new Error("no");
  };
  const hydrated = await client.hydrate("acc", "misfit", { fold: ACCOUNT, into });
  assert.throws(() => hydrated.state, StateMismatch);
  const schema = { "~standard": { validate: () => ({ issues: [{ message: "no" }] }) } };
  const by = await client.hydrate("acc", "misfit", { fold: ACCOUNT, into: schema });
  assert.throws(() => by.state, StateMismatch);
  const passing = { "~standard": { validate: (value: unknown) => ({ value: [value] }) } };
  const passed = await client.hydrate("acc", "misfit", { fold: ACCOUNT, into: passing });
  assert.deepEqual(passed.state, [{ balance: 1, count: 1 }]);
  await client.append("acc-misfit", [{ type: "AccountDeleted" }], { expectedVersion: 1 });
  const gone = await client.hydrate("acc", "misfit", { fold: ACCOUNT });
  assert.deepEqual([gone.exists, gone.state, gone.version], [false, null, 2n]);
});

test("folds are registered and refused", async () => {
  const { fold, created } = await client.putFold({ ...ACCOUNT, fold: "registered" });
  assert.deepEqual([fold.revision, created], [1n, true]);
  assert.equal((await client.putFold({ ...ACCOUNT, fold: "registered" })).created, false);
  assert.equal((await client.getFold("registered")).digest, fold.digest);
  const names: string[] = [];
  for await (const one of client.listFolds({ pageSize: 1 })) names.push(one.name);
  assert.ok(names.includes("registered"));
  await client.append("acc-named", [deposit(3)], { expectedVersion: 0 });
  const named = await client.hydrate("acc", "named", { fold: "registered", into: account });
  assert.equal(named.state.balance.text, "3");
  await failing(client.getFold("nobody"), FoldNotFound);
  const source = "fold: bad\nhandlers: {A: {a: 'state.'}}\n";
  const bad = await failing(client.putFold({ source }), InvalidFold);
  assert.equal(bad.handler, "A");
  const report = await client.checkFold({ ...ACCOUNT }, "acc");
  assert.ok(report.done && report.events > 0n);
});

test("many states come at once, each with its own error", async () => {
  await client.append("acc-many1", [deposit(1)], { expectedVersion: 0 });
  await client.append("acc-many2", [deposit("x")], { expectedVersion: 0 });
  const names = ["acc-many1", "acc-many2", "acc-none"];
  const many = await client.hydrateMany(names, { fold: ACCOUNT, into: account });
  assert.deepEqual([...many.states.keys()], ["acc-many1", "acc-none"]);
  assert.equal(many.states.get("acc-none")?.exists, false);
  assert.equal(many.states.get("acc-many1")?.state.balance.text, "1");
  assert.ok(many.errors.get("acc-many2") instanceof FoldFailed);
  assert.equal((await client.hydrateMany([], { fold: ACCOUNT })).states.size, 0);
});

test("the states of all versions come in order, and are explained", async () => {
  await client.append("acc-past", [1, 2, 3].map(deposit), { expectedVersion: 0 });
  const balances: string[] = [];
  const options = { fold: ACCOUNT, into: account };
  for await (const one of client.hydrateHistory("acc", "past", { ...options, fromVersion: 2 })) {
    balances.push(`${one.version}: ${one.state.balance}`);
  }
  assert.deepEqual(balances, ["2: 3", "3: 6"]);
  const paths: string[] = [];
  for await (const one of client.explain("acc", "past", { fold: ACCOUNT, toVersion: 1 })) {
    paths.push(...one.changes.map((change) => change.path));
  }
  assert.deepEqual(paths, ["balance", "count"]);
});

const handlers: Handlers<{ sum: Decimal; seen: string[] }> = {
  MoneyDeposited: (state, event: RecordedEvent<{ amount: number }>) => {
    state.seen.push(event.type);
    return { ...state, sum: state.sum.plus(event.data.amount) };
  },
};

test("handlers fold here, and the initial state stays as it is", async () => {
  const initial = { sum: Decimal.of(0), seen: [] as string[] };
  const none = await client.readAggregate("acc", "local", initial, handlers);
  assert.deepEqual([none.version, none.state.sum.text], [0n, "0"]);
  const events = [deposit(1), { type: "Other" }, deposit(2), { type: "toString" }];
  await client.append("acc-local", events, { expectedVersion: 0 });
  const read = await client.readAggregate("acc", "local", initial, handlers);
  assert.deepEqual([read.version, read.state.sum.text, read.state.seen.length], [4n, "3", 2]);
  assert.deepEqual(initial.seen, []);
  const on = await client.readAggregate("acc", "local", () => initial, handlers, {
    fromVersion: 3,
  });
  assert.deepEqual([on.version, on.state.sum.text], [4n, "2"]);
  const emitted = await client.emitEvents("acc", "local", [deposit(4)], on.version);
  assert.equal(emitted.lastVersion, 5n);
});

test("handlers do not pass over the state that a stream was opened with", async () => {
  await client.append("acc-old", [deposit(1)], { expectedVersion: 0 });
  await client.closeStream("acc-old", { successor: "acc-new", folds: [ACCOUNT] });
  const initial = { sum: Decimal.of(0), seen: [] };
  await failing(client.readAggregate("acc", "new", initial, handlers), StateNotCarried);
  const all = await client.readAggregate("acc", "new", initial, handlers, { follow: "all" });
  assert.deepEqual([all.state.sum.text, all.stream], ["1", "acc-new"]);
});

test("decisions that race are made again, and no money is lost", async () => {
  await client.append("acc-race", [deposit(10)], { expectedVersion: 0 });
  let decisions = 0;
  const withdraw = (): Promise<unknown> =>
    client.retry<Account>(
      "acc",
      "race",
      ({ balance }) => {
        decisions += 1;
        return balance.compare(1) < 0 ? [] : [{ type: "MoneyWithdrawn", data: { amount: 1 } }];
      },
      { fold: ACCOUNT, into: account, attempts: 50 },
    );
  const results = await Promise.all(Array.from({ length: 14 }, withdraw));
  assert.equal(results.filter((one) => one === undefined).length, 4);
  assert.ok(decisions > 14, `there were ${decisions} decisions`);
  const { state } = await client.hydrate("acc", "race", { fold: ACCOUNT, into: account });
  assert.deepEqual([state.balance.text, state.count], ["0", 11]);
});

test("retrying ends, and what a decision throws passes through", async () => {
  const options = { handlers, initial: { sum: Decimal.of(0), seen: [] }, attempts: 2 };
  let calls = 0;
  const decide = async () => {
    calls += 1;
    await client.append("acc-busy", [deposit(1)], { expectedVersion: "any" });
    return [deposit(1)];
  };
  await failing(client.retry("acc", "busy", decide, options), VersionConflict);
  assert.equal(calls, 2);
  const refuse = (): never => {
    throw new RangeError("no money");
  };
  await failing(client.retry("acc", "busy", refuse, options), RangeError);
});

test("an aggregate is watched from before its first event", async () => {
  const seen: string[] = [];
  for await (const one of client.watch("acc", "seen", { fold: ACCOUNT, into: account })) {
    seen.push(`${one.version}: ${one.state.balance}`);
    if (one.version === 3n) break;
    const at = { expectedVersion: one.version };
    await client.append("acc-seen", [deposit(Decimal.of("1.5"))], at);
  }
  assert.deepEqual(seen, ["0: 0", "1: 1.5", "2: 3", "3: 4.5"]);
});
