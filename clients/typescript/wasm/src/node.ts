/** The entry for Node, which reads the module from its file at the first fold. */

import { readFileSync } from "node:fs";

import { currentInstance, load, loadWith, type ModuleSource } from "./engine.js";

export * from "./api.js";

const FILE = new URL("eventfold_wasm_bg.wasm", import.meta.url);

loadWith(() => new WebAssembly.Module(readFileSync(FILE)));

/** Loads the module now; in Node nobody has to. See the entry for browsers. */
export async function init(source?: ModuleSource | Promise<Response>): Promise<void> {
  if (source === undefined) currentInstance();
  else await load(source);
}
