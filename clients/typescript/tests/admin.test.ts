/** Goal: projections, personal data, deletion, links and the raw stubs, each once for real. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import {
  Client,
  Decimal,
  DeletionRestricted,
  ErasureNotFound,
  ErasurePlanMoved,
  EventfoldError,
  InvalidExpression,
  InvalidProjection,
  type JsonObject,
  LegalHold,
  LinkNotFound,
  newId,
  PersonalUndeclared,
  PlaintextStored,
  PrivacyRulesNotFound,
  ProjectionNotFound,
  SubjectErased,
  SubjectNotErased,
  TransformNotFound,
} from "@eventfold/client";
import {
  DeletionState,
  ErasureState,
  EventStore,
  EventTypes,
  GenerationState,
  Transforms,
} from "@eventfold/client/stubs";

import { eventually, failing, World } from "./support.js";

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

async function listed<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

const users = {
  projection: "users",
  source: { category: "User" },
  handlers: { Registered: { name: "event.name", paid: "event.paid" } },
  columns: { name: "text", paid: "numeric" },
  on_error: "park",
};

test("a projection is put, queried, rebuilt, switched and dropped", async () => {
  const put = await client.projections.put(users, { switch: "by hand" });
  assert.deepEqual([put.generation, put.created], [1n, true]);
  assert.equal((await client.projections.put(users)).created, false);
  let position = 0n;
  for (const [index, name] of ["Ada", "Bo", "Cy", "Di"].entries()) {
    const data = { name, paid: Decimal.of(`${index}.10`) };
    const event = { type: "Registered", data };
    ({ position } = await client.append(`User-${index}`, [event], { expectedVersion: 0 }));
  }
  const seen = { atLeastPosition: position, timeoutMs: 60_000 };
  const options = { ...seen, filter: "paid > 0.10", order: ["-name"], pageSize: 2 };
  const into = (columns: unknown): string => {
    const { name, paid } = columns as { name: string; paid: Decimal };
    return `${name} ${Decimal.of(paid).text}`;
  };
  const rows = await listed(client.projections.query("users", { ...options, into }));
  assert.deepEqual(rows.map((row) => row.columns), ["Di 3.10", "Cy 2.10", "Bo 1.10"]);
  assert.deepEqual([rows[0]?.key, rows[0]?.version], ["User-3", 1n]);
  const page = await client.projections.queryPage("users", { order: ["name"], pageSize: 3 });
  assert.deepEqual([page.rows.length, page.nextPageToken !== ""], [3, true]);
  assert.ok(page.freshness.position >= position);
  const count = await client.projections.count("users", { ...seen, filter: "name < 'C'" });
  assert.equal(count.rows, 2n);
  const bad = client.projections.query("users", { filter: "name <" }).next();
  await failing(bad, InvalidExpression);
  const found = await client.projections.get("users");
  assert.deepEqual([found.active, found.generations[0]?.state], [1n, GenerationState.ACTIVE]);
  assert.equal(await client.projections.rebuild("users", { switch: "by hand" }), 2n);
  await eventually(async () => {
    const { generations } = await client.projections.get("users");
    return generations.at(-1)?.state === GenerationState.READY;
  });
  const verified = await client.projections.verify("users", { keys: 10 });
  assert.deepEqual([verified.rowsShown, verified.keysDiffering], [4n, 0n]);
  assert.equal((await client.projections.switch("users")).active, 2n);
  await client.projections.drop("users", { generation: 1 });
  assert.deepEqual((await listed(client.projections.list())).map((one) => one.name), ["users"]);
  await client.projections.drop("users");
  await failing(client.projections.get("users"), ProjectionNotFound);
  await failing(client.projections.put({ source: "projection: x\n" }), InvalidProjection);
});

test("keys that failed are parked, and tried again", async () => {
  const document = {
    projection: "ages",
    source: { category: "Aged" },
    handlers: { Registered: { age: "event.age" } },
    columns: { age: "integer" },
    on_error: "park",
  };
  await client.projections.put(document);
  await client.append("Aged-1", [{ type: "Registered", data: {} }], { expectedVersion: 0 });
  const parkedKeys = () => listed(client.projections.listParkedKeys("ages"));
  await eventually(async () => (await parkedKeys()).length > 0);
  const [parked] = await parkedKeys();
  assert.deepEqual([parked?.events, parked?.error?.code], [1n, 9]);
  const retried = await client.projections.retry("ages", { keys: [parked?.key ?? ""] });
  assert.deepEqual([retried.keysFailed, retried.keysMended], [1n, 0n]);
});

test("personal values are sealed, found, exported, held and erased", async () => {
  const rules = { privacy: "Joined", personal: { "/email": null } };
  const plain = { privacy: "Plain", personal: { "/email": null } };
  const event = (type: string) => ({ type, data: { n: Decimal.of("1.50"), email: "a@b" } });
  await client.append("Person-0", [event("Plain")], { expectedVersion: 0 });
  await failing(client.privacy.put(plain), PlaintextStored);
  assert.equal((await client.privacy.check(plain)).plaintext, 1n);
  assert.equal((await client.privacy.put(plain, { existing: "plaintext" })).created, true);
  assert.equal((await client.privacy.put(rules)).rules?.revision, 1);
  assert.equal((await client.privacy.get({ eventType: "Joined" })).fields[0]?.pointer, "/email");
  assert.equal((await listed(client.privacy.list({ pageSize: 1 }))).length, 2);
  const less = { privacy: "Joined", personal: {} };
  await assert.rejects(client.privacy.put(less), EventfoldError);
  const other = { privacy: "Joined", personal: { "/phone": null } };
  await failing(client.privacy.put(other), PersonalUndeclared);

  const stream = "Person-1";
  await client.append(stream, [event("Joined")], { expectedVersion: 0 });
  await eventually(async () => {
    try {
      return (await listed(client.subjects.find(stream))).length === 1;
    } catch (error) {
      assert.equal((error as EventfoldError).reason, "SUBJECT_INDEX_BEHIND");
      return false;
    }
  });
  const exported = await listed(client.subjects.export(stream));
  const emails = exported.map((one) => one.event?.data["email"]);
  assert.deepEqual(emails, ["a@b"]);
  const { subjectId } = await client.subjects.get({ name: stream });
  assert.equal((await client.subjects.get({ subjectId })).name, stream);
  assert.equal((await client.subjects.rotateDataKey({ subject: stream })).version, 2);
  assert.equal((await client.subjects.rotateMasterKey()).done, true);
  assert.equal((await listed(client.subjects.list({ category: "Person" }))).length, 1);
  assert.equal((await client.privacy.status()).subjectsActive, 1n);
  await failing(client.subjects.readmit(stream), SubjectNotErased);

  const plan = await client.erasures.plan(stream);
  assert.deepEqual([plan.active, plan.events[0]?.events], [true, 1n]);
  await client.erasures.hold("trial", { subject: stream }, "in court");
  assert.deepEqual((await listed(client.erasures.listHolds())).map((one) => one.name), ["trial"]);
  await failing(client.erasures.erase(stream, { reason: "asked for" }), LegalHold);
  await client.erasures.release("trial");
  const stale = { reason: "asked for", planDigest: "0".repeat(64) };
  await failing(client.erasures.erase(stream, stale), ErasurePlanMoved);
  const said = { reason: "asked for", planDigest: plan.digest, requestId: newId() };
  const job = await client.erasures.erase(stream, said);
  assert.equal(job.erasureId, said.requestId);
  await eventually(async () => {
    const { erasure } = await client.erasures.get(job.erasureId);
    return erasure.state === ErasureState.DONE;
  });
  const { receipt, receiptText } = await client.erasures.get(job.erasureId);
  assert.ok(receipt !== undefined && receiptText.startsWith("{"));
  const jobs = await listed(client.erasures.list({ subject: stream }));
  assert.deepEqual(jobs.map((one) => one.erasureId), [job.erasureId]);
  await failing(client.erasures.get(newId()), ErasureNotFound);
  const [read] = await client.read(stream).toArray();
  assert.deepEqual([String(read?.data["n"]), read?.data["email"]], ["1.50", null]);
  assert.deepEqual(read?.message.erasedPaths, ["/email"]);
  await failing(
    client.append(stream, [event("Joined")], { expectedVersion: 1 }),
    SubjectErased,
  );
  assert.equal(await client.subjects.readmit(stream), subjectId);
  await client.privacy.drop({ eventType: "Joined" });
  await failing(client.privacy.get({ eventType: "Joined" }), PrivacyRulesNotFound);
});

test("streams belong to others, and are deleted with them", async () => {
  const opened = { type: "Opened", data: { owner: "User-9" } };
  await client.append("Owned-1", [opened], { expectedVersion: 0 });
  await client.append("User-9", [{ type: "Registered", data: {} }], { expectedVersion: 0 });
  const by = { eventType: "Opened", pointer: "/owner" };
  assert.equal((await client.links.putRule("owners", by, "restrict")).begins, true);
  await client.links.putRule("halves", { category: "UserPrivate", of: "User" }, "cascade");
  await client.links.put("Owned-2", "User-9", "detach");
  await eventually(async () => {
    const rules = await listed(client.links.listRules());
    return rules.every((rule) => rule.position >= rule.head || rule.link.case === "byCategory");
  });
  const links = await listed(client.links.list({ owner: "User-9", pageSize: 1 }));
  assert.deepEqual(links.map((one) => one.stream).sort().slice(0, 2), ["Owned-1", "Owned-2"]);
  const said = { expectedVersion: 1, reason: "asked for" } as const;
  await failing(client.deletion.delete("User-9", said), DeletionRestricted);
  await client.links.putRule("owners", by, "cascade");
  const plan = await client.deletion.plan("User-9");
  assert.deepEqual(plan.streams.map((one) => one.stream), ["Owned-1", "User-9"]);
  const planDigest = plan.digest;
  const job = await client.deletion.delete("User-9", { ...said, planDigest });
  await eventually(async () => {
    return (await client.deletion.get(job.deletionId)).state === DeletionState.DONE;
  });
  const gone = await listed(client.deletion.listStreams(job.deletionId, { pageSize: 1 }));
  assert.deepEqual(gone.map((one) => one.stream), ["Owned-1", "User-9"]);
  assert.equal((await listed(client.deletion.list({ stream: "User-9" }))).length, 1);
  const [event] = await client.readAll({ categories: ["Owned"] }).toArray();
  assert.deepEqual([event?.isDeleted, event?.data], [true, {}]);
  await failing(client.links.drop("Owned-7", "User-9"), LinkNotFound);
  await client.links.dropRule("halves");
});

test("nothing of the protos is out of reach", async () => {
  const types = client.stub(EventTypes);
  const schema = { type: "object", properties: { n: { type: "integer" } } };
  let isDone = false;
  const request = { eventType: "Typed", source: JSON.stringify(schema) };
  for await (const told of types.putSchema(request)) isDone ||= told.done;
  assert.ok(isDone);
  const of = { case: "eventType", value: "Typed" } as const;
  assert.equal((await types.getSchema({ of })).schema?.revision, 1);
  const missing = client.stub(Transforms).getTransform({ transformId: newId() });
  await failing(missing, TransformNotFound);
  const store = client.stub(EventStore);
  async function* requests() {
    for (const number of [1n, 2n]) {
      const stream = "Raw-1";
      const events = [{ type: "Noted", data: new TextEncoder().encode(`{"n":${number}}`) }];
      const expectedVersion = { kind: { case: "exact", value: 0n } } as const;
      yield { appends: [{ number, append: { stream, events, expectedVersion } }] };
    }
  }
  const answers = [];
  for await (const message of store.appendSession(requests())) answers.push(...message.answers);
  const outcomes = answers.map((one) => `${one.number} ${one.outcome.case}`);
  assert.deepEqual(outcomes, ["1 appended", "2 refused"]);
  const [event] = await client.read("Raw-1").toArray();
  assert.deepEqual(event?.data as JsonObject, { n: 1 });
});
