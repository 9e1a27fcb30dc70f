// node.mjs PACKAGE: reads cases from standard input, one a line, and writes what each comes to.

import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

import { outcome, parse } from "./cases.mjs";

const api = await import(pathToFileURL(process.argv[2]).href);
for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await outcome(api, parse(line)))}\n`);
}
