/** Goal: the runner expands and compares as docs/conformance.md says, whatever the server does. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { CaseError, compact, listOf, mappingOf, parse, parseCases, type Value } from "./cases.js";
import { differences } from "./compare.js";
import { expand, Variables } from "./expand.js";

function examples(list: string): Value[] {
  const document = mappingOf(parse(readFileSync("../examples.yaml", "utf8")));
  const found = listOf(document[list] ?? []);
  assert.ok(found.length > 0, `there are no examples of ${list}`);
  return found;
}

function exampleVariables(): Variables {
  const variables = new Variables([
    ["x", "X"],
    ["y", "${x}!"],
  ]);
  variables.set("n", 4);
  return variables;
}

test("comparing", () => {
  for (const one of examples("comparing").map(mappingOf)) {
    const problems = differences(one["expected"] ?? null, one["actual"]);
    assert.equal(problems.length > 0, one["differs"], `${compact(one)}: ${problems}`);
  }
});

test("expanding", () => {
  for (const one of examples("expanding").map(mappingOf)) {
    assert.deepEqual(expand(one["value"] ?? null, exampleVariables()), one["becomes"]);
  }
});

test("a wrong case is told from a wrong server", () => {
  for (const value of examples("refused")) {
    assert.throws(() => expand(value, exampleVariables()), CaseError, compact(value));
  }
});

test("fresh ids keep their names", () => {
  const filled = exampleVariables().fillIn("${uuid.a} ${uuid.a} ${uuid_upper.a} ${uuid.b}");
  const [first = "", second, upper, other] = filled.split(" ");
  assert.deepEqual([second, upper], [first, first.toUpperCase()]);
  assert.notEqual(other, first);
  assert.deepEqual(differences("$uuid", first), []);
});

test("numbers keep their digits", () => {
  const request = '{plain: 123456789012345678901234567890, quoted: "1", off: no}';
  const [one] = parseCases(
    `subject: numbers\ncases:\n  - name: one\n    steps: [{call: A.B, request: ${request}}]\n`,
  );
  const found = compact(one?.steps[0]?.["request"] ?? null);
  assert.equal(found, '{"plain":123456789012345678901234567890,"quoted":"1","off":"no"}');
});
