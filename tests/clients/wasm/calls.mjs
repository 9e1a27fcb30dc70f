// calls.mjs PACKAGE: what the package promises beyond states; throws where it does not keep it.

import assert from "node:assert/strict";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const dist = (file) => pathToFileURL(join(process.argv[2], file)).href;
const { compileFold, FoldError, FoldState, init } = await import(dist("node.js"));
const { call, currentInstance } = await import(dist("engine.js"));
const { panic_for_test: panic } = await import(dist("eventfold_wasm.js"));

const SUM = 'fold: sum\ninitial: {n: 0}\nhandlers:\n  T: {n: "state.n + event.n"}\n';
const id = (version) => `00000000-0000-4000-8000-${String(version).padStart(12, "0")}`;
const event = (version, data = '{"n":1}', others = {}) => ({
  id: id(version),
  stream: "sum-1",
  type: "T",
  version,
  position: version,
  writer: "w",
  data,
  ...others,
});
const refusal = (reason, facts = {}) => (error) => {
  assert.ok(error instanceof FoldError, error);
  assert.equal(error.reason, reason);
  for (const [name, value] of Object.entries(facts)) assert.equal(error.facts[name], value);
  return true;
};

// A fold says what it is; bytes and text are the same document.
const fold = compileFold(SUM);
assert.equal(fold.name, "sum");
assert.match(fold.digest, /^[0-9a-f]{64}$/);
assert.deepEqual(fold.eventTypes, ["T"]);
assert.equal(compileFold(new TextEncoder().encode(SUM)).digest, fold.digest);
assert.throws(() => compileFold(new Uint8Array([0xff])), refusal("INVALID_VALUE"));
assert.throws(() => compileFold("fold: \ud800"), refusal("INVALID_VALUE"));

// Before the first event, with all at once, in parts, from a state, from the text of one.
assert.equal(fold.start().stateText, '{"n":0}');
assert.equal(fold.start().exists, false);
const all = fold.fold([event(1), event(2n), event(3)]);
assert.ok(all instanceof FoldState);
assert.deepEqual([all.stateText, all.version, all.position], ['{"n":3}', 3n, 3n]);
assert.deepEqual([all.eventsRead, all.eventsFolded], [3, 3]);
assert.deepEqual(all.value, { n: 3 });
assert.equal(fold.apply(fold.fold([event(1)]), [event(2), event(3)]).stateText, all.stateText);
assert.equal(fold.apply(fold.start(), [event(1)]).stateText, '{"n":1}');
assert.equal(fold.apply('{"n":41}', [event(1)]).stateText, '{"n":42}');
const run = fold.run();
run.feed([event(1)]);
run.feed([event(2), event(3)]);
assert.equal(run.finish().stateText, all.stateText);
assert.throws(() => run.feed([event(4)]), /over/);
// Many messages.
const large = `{"n":1,"x":"${"x".repeat(100_000)}"}`;
const many = Array.from({ length: 40 }, (_, at) => event(at + 1, large));
assert.equal(fold.fold(many).stateText, '{"n":40}');

// Times in all their forms, before 1970 too; texts beyond ASCII and beyond a short one.
const meta = compileFold(
  'fold: f\nhandlers:\n  T: {at: "[meta.recorded_at, meta.occurred_at, meta.writer, meta.tags]"}\n',
);
const micros = -62135596799999999n;
const date = new Date("1969-12-31T23:59:59.999Z");
const at = (recordedAt, occurredAt, writer) =>
  meta.fold([event(1, "{}", { recordedAt, occurredAt, writer, tags: ["é", "z"] })]).value.at;
assert.deepEqual(at(micros, date, "Jürgen"), [
  "0001-01-01T00:00:00.000001Z", "1969-12-31T23:59:59.999Z", "Jürgen", ["é", "z"],
]);
assert.deepEqual(at({ seconds: 0n, nanos: 5000 }, undefined, "ü".repeat(100)).slice(0, 3), [
  "1970-01-01T00:00:00.000005Z", "1970-01-01T00:00:00.000005Z", "ü".repeat(100),
]);

// New events count as the next ones.
const preview = fold.apply(all, [{ type: "T", data: '{"n":0.5}' }]);
assert.deepEqual([preview.stateText, preview.version], ['{"n":3.5}', 4n]);
const tagged = meta.fold([{ type: "T", data: "{}", tags: ["😀", "ﬀ", "b", "b", "a"] }]);
assert.deepEqual(tagged.value.at[3], ["a", "b", "ﬀ", "😀"]);
assert.equal(tagged.value.at[2], "anonymous");

// What is refused before the core sees it; an error of an event before comes first.
assert.throws(() => fold.fold([event(2), event(1)]), refusal("INVALID_VALUE", { path: "events" }));
const elsewhere = event(2, "{}", { stream: "b-1" });
assert.throws(() => fold.fold([event(1), elsewhere]), refusal("INVALID_VALUE"));
const failed = refusal("FOLD_FAILED", { version: "1" });
assert.throws(() => fold.fold([event(1, "{}"), event(1)]), failed);
assert.throws(() => fold.fold([event(1.5)]), refusal("INVALID_VALUE", { path: "version" }));
assert.throws(() => fold.fold([event(1, "{}", { writer: "\ud800" })]), refusal("INVALID_VALUE"));
assert.throws(() => fold.fold([event(1, { n: 1 })]), refusal("INVALID_VALUE", { path: "data" }));
assert.throws(() => fold.fold([event(2n ** 64n)]), refusal("INVALID_VALUE", { path: "version" }));
assert.throws(() => fold.fold([event(1, "{}", { id: "x" })]), refusal("INVALID_REQUEST"));

// A run that failed gives the same error again.
const failing = fold.run();
assert.throws(() => failing.feed([event(1, "{}")]), refusal("FOLD_FAILED"));
assert.throws(() => failing.finish(), refusal("FOLD_FAILED"));

// The line of periods goes on through its streams.
const opens = { stream: "sum-2", type: "$Opened", flags: 128 };
const second = [
  event(1, '{"predecessor":"sum-1"}', opens),
  event(2, '{"n":5}', { stream: "sum-2" }),
];
const line = fold.fold([event(1), ...second]);
assert.deepEqual([line.stateText, line.version], ['{"n":6}', 2n]);

// What is cancelled is passed over, wherever the events are cut.
const skipping = compileFold(`${SUM}skip_cancelled: true\n`);
const cancelled = skipping.run();
cancelled.feed([event(1), event(2, '{"n":10}')]);
cancelled.feed([event(3, "{}", { type: "Undone", cancels: id(2) })]);
assert.equal(cancelled.finish().stateText, '{"n":1}');
const before = skipping.fold([event(1), event(2)]);
const undo = [event(3, "{}", { type: "Undone", cancels: id(2) })];
assert.throws(() => skipping.apply(before, undo), refusal("INVALID_VALUE"));

// What is absent stays so from state to state.
const keeping = compileFold('fold: f\nhandlers:\n  T: {n: "event.n", gone: "erased(state.?n)"}\n');
const gone = keeping.fold([event(1, '{"n":null}', { erasedPaths: ["/n"] })]);
assert.deepEqual(gone.erasedPaths, ["/n"]);
assert.equal(keeping.apply(gone, [event(2, '{"n":1}')]).stateText, '{"n":1,"gone":true}');

// A panic is BUG; folds go on, runs under way do not.
const under = fold.run();
under.feed([event(1)]);
const told = console.error;
const lines = [];
console.error = (text) => lines.push(text);
const instance = currentInstance();
assert.throws(() => call(() => panic()), refusal("BUG"));
console.error = told;
assert.match(lines.join("\n"), /as asked for/);
assert.equal(currentInstance(), instance + 1);
assert.throws(() => under.finish(), refusal("BUG"));
assert.equal(fold.fold([event(1), event(2), event(3)]).stateText, all.stateText);

// Memory is given back, by `using` too.
const freed = compileFold(SUM);
freed[Symbol.dispose]();
freed.free();
assert.throws(() => freed.fold([]), /freed/);
for (let round = 0; round < 2000; round += 1) compileFold(SUM).free();
await init();
console.log("done");
