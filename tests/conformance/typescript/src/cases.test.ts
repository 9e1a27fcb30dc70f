/** Goal: the server does what every conformance case says, through the TypeScript client. */

import assert from "node:assert/strict";
import { cpus } from "node:os";
import { after, describe, it } from "node:test";

import { type Case, loadFile, loadFolder, loadReasons, targetOf } from "./cases.js";
import { Runner, Servers } from "./runner.js";

const servers = new Servers();
const runner = new Runner(loadReasons("../reasons.yaml"), servers);
after(() => servers.close());

const isFresh = (one: Case): boolean => one.steps.some((step) => targetOf(one, step) === "fresh");

const cases = loadFolder("../cases");
// A fresh store is a server of its own: not more of them start at once than there are cores.
describe("fresh", { concurrency: cpus().length }, () => {
  for (const one of cases.filter(isFresh)) it(`cases/${one.id}`, () => runner.run(one));
});

describe("shared", { concurrency: 4 }, () => {
  assert.ok(cases.length > 0, "there are no cases");
  for (const one of cases.filter((item) => !isFresh(item))) {
    it(`cases/${one.id}`, () => runner.run(one));
  }
});

// A runner that cannot fail proves nothing.
describe("wrong cases fail", { concurrency: 4 }, () => {
  for (const one of loadFile("../wrong.yaml")) {
    it(one.id, async () => {
      let said = "";
      await runner.run(one).catch((error: unknown) => (said = String(error)));
      assert.ok(said.includes(one.fails), `should have said '${one.fails}', and said: ${said}`);
      assert.notEqual(said, "");
    });
  }
});
