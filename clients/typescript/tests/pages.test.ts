/** Goal: what README.md shows runs and prints what it says, and the bank keeps its money. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import { Client } from "@eventfold/client";

import { run } from "../examples/bank/bank.js";
import { World } from "./support.js";

let world: World;
let address: string;

before(async () => {
  world = await World.begin();
  ({ address } = await world.ask("server"));
});

after(() => world[Symbol.dispose]());

test("the snippet of README.md compiles, runs, and prints its comments", async () => {
  const page = await readFile("README.md", "utf8");
  const snippet = /```ts\n\/\/ file: readme\.ts\n(.*?)```/s.exec(page)?.[1];
  assert.ok(snippet, "README.md has no readme.ts");
  const folder = "build/readme";
  await mkdir(folder, { recursive: true });
  await writeFile(`${folder}/readme.ts`, snippet);
  const extended = { extends: "../../tsconfig.tests.json", include: ["*.ts"], exclude: [] };
  const options = { ...extended, compilerOptions: { rootDir: ".", outDir: "." } };
  await writeFile(`${folder}/tsconfig.json`, JSON.stringify(options));
  const call = promisify(execFile);
  const compiling = call("node_modules/.bin/tsc", ["-p", folder]);
  await compiling.catch((error: { stdout: string }) => assert.fail(error.stdout));
  const { stdout } = await call("node", [`${folder}/readme.js`, address]);
  const lines = snippet.split("\n");
  const comment = /(?:console\.log\(.*\); |^)\/\/ (\d.*)$/;
  const shown = lines.flatMap((line) => comment.exec(line)?.[1] ?? []);
  assert.equal(shown.length, 4);
  assert.deepEqual(stdout.trim().split("\n"), shown);
});

test("two who withdraw at once are told from each other, and no money is lost", async () => {
  using client = new Client(address);
  const said: string[] = [];
  await run(client, (line) => said.push(line));
  const races = said.filter((line) => line.includes("of 2 succeeded"));
  assert.deepEqual(races, [
    "  2 of 2 succeeded after 3 decisions; the balance is 40",
    "  1 of 2 succeeded after 3 decisions; the balance is 14.5",
  ]);
  assert.ok(said.some((line) => line.includes("gets nothing: the balance is 14.5")));
  assert.deepEqual(said.slice(-5).map((line) => line.trim().split(/ +/)[1]), [
    "AccountOpened",
    "MoneyDeposited",
    "MoneyWithdrawn",
    "MoneyWithdrawn",
    "MoneyWithdrawn",
  ]);
});

test("the benchmark prints its figures", async () => {
  const call = promisify(execFile);
  const { stdout } = await call("node", ["build/bench/bench.js", address, "8"]);
  const figures = JSON.parse(stdout) as Record<string, unknown>;
  assert.equal(figures["client"], "typescript");
  const keys = ["append_per_s", "read_100_ms", "read_1000_ms", "hydrate_100_ms", "hydrate_1000_ms"];
  for (const key of keys) assert.ok((figures[key] as number) > 0, key);
});
